"""Write an HTML page with figures of one run, or one that compares several."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pahcl.commands._common import write_json
from pahcl.errors import UsageError

if TYPE_CHECKING:
    from pahcl.reports.runs import Run

COMPARISON = "comparison.html"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="run folders, folders of runs, or patterns of them"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help=f"the page (default: report.html in the run, or {COMPARISON} beside several runs)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the same facts as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Write the page and say where it lies; 1 where a run's files are damaged or were changed."""
    from rich.console import Console

    from pahcl.evaluation.run import find_runs
    from pahcl.reports.page import render_comparison, render_run, write_page
    from pahcl.reports.runs import load_run
    from pahcl.reports.verdict import warnings

    folders = find_runs(arguments.runs)
    runs = [load_run(folder) for folder in folders]
    single = len(runs) == 1
    target = arguments.out or (
        folders[0].report if single else common_folder([f.path for f in folders]) / COMPARISON
    )
    if target.is_dir():
        raise UsageError(f"--out names the folder {target}; name a file in it, such as page.html.")
    write_page(target, render_run(runs[0]) if single else render_comparison(runs))
    found = [warnings(one) for one in runs]
    facts = [_facts(one, said) for one, said in zip(runs, found, strict=True)]
    write_json(arguments.json, {"page": str(target), "runs": facts})
    console = Console(highlight=False)
    console.print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)", soft_wrap=True, markup=False)
    if single:
        for text in found[0]:
            console.print(f"  - {text}", soft_wrap=True, markup=False)
    damaged = [f"{one.name}: {text}" for one in runs for text in (*one.damaged, *one.changed)]
    for text in damaged:
        sys.stderr.write(f"pahcl report: {text}\n")
    return 1 if damaged else 0


def common_folder(paths: list[Path]) -> Path:
    """Find the deepest folder that holds all of these."""
    parents = [path.resolve().parents for path in paths]
    shared = set(parents[0]).intersection(*map(set, parents[1:]))
    return max(shared, key=lambda folder: len(folder.parts))


def _facts(one: Run, warnings: list[str]) -> dict[str, Any]:
    """Give what a page says of a run, as plain types."""
    task = one.task
    primary = one.primary
    known = task is not None and primary is not None and primary.known
    return {
        "run": str(one.folder.path),
        "dataset": one.dataset,
        "task": task.name if task else None,
        "split": one.split,
        "initialisation": one.initialisation,
        "strategy": one.strategy,
        "fraction": one.fraction,
        "seed": one.seed,
        "metric": task.primary_metric if task else None,
        "value": primary.value if known and primary else None,
        "low": primary.low if known and primary and primary.has_ends else None,
        "high": primary.high if known and primary and primary.has_ends else None,
        "warnings": warnings,
        "robustness": _borne(one),
    }


def _borne(one: Run) -> dict[str, Any] | None:
    """Give what a run's curve under attack comes to; None where there is none."""
    facts = one.robustness.facts
    if not facts or not facts["curve"]:
        return None
    area = facts["area"] or {}
    return {
        "split": facts["split"],
        "metric": facts["metric"],
        "mean_height": area.get("logarithmic"),
        "mean_height_linear": area.get("linear"),
        "warnings": facts["warnings"],
    }
