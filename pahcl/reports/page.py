"""The page: one HTML file that stands alone, without scripts and without requests to anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from pahcl import __version__
from pahcl.errors import PahclError
from pahcl.evaluation.summary import Summary
from pahcl.files import write_text
from pahcl.reports.comparison_sections import comparison_page
from pahcl.reports.runs import Run, pretty_json
from pahcl.reports.section import Section
from pahcl.reports.sections import sections
from pahcl.reports.verdict import verdict

TEMPLATES = Path(__file__).parent / "templates"


def environment() -> jinja2.Environment:
    """Make the template engine: whatever comes from data is escaped, and nothing is left out."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["code"] = code
    return made


def code(text: str) -> Markup:
    """Set what stands between backticks as code; everything else is escaped."""
    parts = [str(escape(part)) for part in text.split("`")]
    marked = [f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts)]
    return Markup("".join(marked))


def _render(template: str, facts: dict[str, Any]) -> str:
    return environment().get_template(template).render(version=__version__, **facts)


def render_run(run: Run) -> str:
    """Write the page of one run."""
    shown = run.folder.path.as_posix()
    again = f"--run.name {run.folder.name}-again --run.test true"
    commands = [f"pahcl fit --config {shown}/config.yaml {again}"]
    facts = {
        "title": run.name,
        "verdict": verdict(run),
        "sections": sections(run),
        "config": run.config_text,
        "receipt": pretty_json(run.receipt) if run.receipt else "",
        "commands": [*commands, f"pahcl report {shown}"],
        "digests": run.receipt.get("sha256") or {},
        "code": run.receipt.get("code") or {},
    }
    return _render("run.html.j2", facts)


def render_comparison(
    runs: Sequence[Run],
    summary: Summary | None = None,
    more: Sequence[Section] = (),
    title: str = "",
    commands: Sequence[str] = (),
) -> str:
    """Write the page that lays several runs side by side.

    Args:
        runs: The runs.
        summary: Their groups and differences, where they are known already.
        more: Sections beyond the usual ones.
        title: Its heading; "" names the experiments of the runs.
        commands: What makes the page again; nothing names every run.
    """
    page = comparison_page(runs, summary, more)
    shown = " ".join(run.folder.path.as_posix() for run in runs)
    facts = {
        "title": title or page.title,
        "page": page,
        "commands": list(commands) or [f"pahcl report {shown}"],
    }
    return _render("comparison.html.j2", facts)


def write_page(target: Path, text: str) -> None:
    """Write a page, atomically.

    Raises:
        PahclError: The place cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, text)
    except OSError as error:
        raise PahclError(
            f"The page cannot be written to {target}: {error.strerror or error}. Choose another "
            "place with --out."
        ) from error
