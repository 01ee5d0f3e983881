"""Lay a summary out: for the screen, and as Markdown, LaTeX and CSV."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pahcl.evaluation.compare import Comparison, GroupValue
from pahcl.evaluation.groups import Group, spread
from pahcl.evaluation.run import RunFolder
from pahcl.evaluation.summary import Summary
from pahcl.files import plain
from pahcl.task import metric_mode

Cells = list[list[str]]

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}


MARKS = re.compile(r"[\\|`*<]|(?<!\w)_|_(?!\w)")
"""What Markdown reads as marks; an underscore within a word is none."""


SHARED = ("data", "task", "strategy", "records", "subjects")
"""Columns that become part of the caption where they are the same in every row."""


def number(value: float) -> str:
    """Write a value with three decimals, or a dash where it is not defined."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def cell(value: GroupValue | None, between: str = " ") -> str:
    """Write a metric as `mean [low, high]`, and over several runs `(smallest–largest)`."""
    if value is None:
        return ""
    parts = [number(value.value)]
    if not math.isnan(value.low):
        parts.append(f"[{number(value.low)}, {number(value.high)}]")
    if len(value.runs) > 1:
        parts.append("({}–{})".format(*map(number, spread(value))))
    return between.join(parts)


def header(metric: str) -> str:
    """Write a metric's name with an arrow to its good side."""
    return f"{metric} {'↓' if metric_mode(metric) == 'min' else '↑'}"


def _rows(summary: Summary, between: str) -> list[dict[str, str]]:
    return [
        {
            "group": group.name,
            "data": group.data,
            "task": group.task.name,
            "initialisation": group.initialisation,
            "strategy": group.strategy,
            "labels": group.labels,
            "runs": str(len(group.runs)),
            "records": str(group.n_records),
            "subjects": str(group.n_subjects),
            **{header(m): cell(group.values.get(m), between) for m in summary.metrics},
        }
        for group in summary.groups
    ]


def _shared(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Find what is the same in every row and need not be a column."""
    return {name: rows[0][name] for name in SHARED if len({row[name] for row in rows}) == 1}


def group_cells(summary: Summary, between: str = " ") -> Cells:
    """Lay the groups out as text, the header first.

    Columns that are empty, or the same in every row and told in the caption, are left out.
    """
    rows = _rows(summary, between)
    if not rows:
        return []
    shared = _shared(rows)
    names = [name for name in rows[0] if name not in shared and any(row[name] for row in rows)]
    return [names, *([row[name] for name in names] for row in rows)]


def comparison_cells(summary: Summary) -> Cells:
    """Lay the comparisons out as text, the header first."""
    head = ["a", "b", "metric", "a - b", "p", "runs", "records", "subjects", "resampled"]
    rows = [[a, b, *_comparison_row(found)] for a, b, found in summary.comparisons]
    return [head, *rows]


def _comparison_row(found: Comparison) -> list[str]:
    return [
        header(found.metric),
        f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        if not math.isnan(found.difference)
        else "–",
        number(found.p_value),
        f"{found.runs_a}, {found.runs_b}",
        str(found.n_records),
        str(found.n_subjects),
        found.sources,
    ]


def caption(summary: Summary) -> str:
    """Say what the numbers in brackets are."""
    several = any(len(group.runs) > 1 for group in summary.groups)
    single = any(len(group.runs) == 1 for group in summary.groups)
    seeds = "subjects, and of the runs where a group has several" if single else "subjects and runs"
    text = (
        f"Test split. Mean over runs that differ in their seed [{100 * summary.level:.4g} % "
        f"percentile interval of {summary.samples} resamples of the "
        f"{seeds if several else 'subjects'}]"
    )
    if several:
        text += " (smallest–largest run)"
    shared = {k: v for k, v in _shared(_rows(summary, " ")).items() if v} if summary.groups else {}
    if shared:
        text += ". In every row: " + ", ".join(f"{name} {value}" for name, value in shared.items())
    return f"{text}."


def comparison_caption(summary: Summary) -> str:
    """Say how the differences were made."""
    return (
        "Paired differences: the same records and the same resamples on both sides; two-sided "
        f"bootstrap p of no difference, at least {2 / (summary.samples + 1):.2g}, not corrected "
        "for the number of comparisons."
    )


def to_markdown(cells: Cells) -> str:
    """Write a table in Markdown, with what Markdown would read as marks escaped."""
    safe = [[MARKS.sub(r"\\\g<0>", text) for text in row] for row in cells]
    widths = [max(3, *(len(row[i]) for row in safe)) for i in range(len(cells[0]))]
    lines = ["| " + " | ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)) + " |"
             for row in safe]  # fmt: skip
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])


def to_latex(cells: Cells, text: str) -> str:
    """Write a table in LaTeX for the `booktabs` package, everything escaped."""
    lines = [" & ".join(map(escape_latex, row)) + r" \\" for row in cells]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(text)}}}",
            rf"\begin{{tabular}}{{{'l' * len(cells[0])}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def escape_latex(text: str) -> str:
    """Write text so that LaTeX prints it as it is."""
    return "".join(LATEX.get(letter, letter) for letter in text)


def to_frame(summary: Summary) -> pd.DataFrame:
    """Lay everything out in numbers, one row a group, and one for each run without evidence.

    Returns:
        `group`, `status`, what the group is, and for each metric `<metric>`, `<metric>_low`,
        `_high`, `_min` and `_max`; NaN where a task has no such metric.
    """
    rows = [{"group": group.name, "status": "tested", **_facts(group)} for group in summary.groups]
    for row, group in zip(rows, summary.groups, strict=True):
        for metric, value in group.values.items():
            row.update(_flat(metric, value))
    rows += [
        {"group": _place(folder), "status": f"not finished: {why}"}
        for folder, why in summary.unfinished
    ]
    return pd.DataFrame(rows)


def comparison_frame(summary: Summary) -> pd.DataFrame:
    """Lay the comparisons out in numbers, one row each."""
    return pd.DataFrame([{"a": a, "b": b, **vars(found)} for a, b, found in summary.comparisons])


def _facts(group: Group) -> dict[str, Any]:
    return {
        "dataset": group.dataset,
        "simulated": group.simulated,
        "task": group.task.name,
        "initialisation": group.initialisation,
        "strategy": group.strategy,
        "fraction": group.fraction,
        "fraction_of": group.fraction_of,
        "split_seed": group.split_seed,
        "runs": len(group.runs),
        "records": group.n_records,
        "subjects": group.n_subjects,
        "resampled": group.covers,
    }


def _flat(metric: str, value: GroupValue) -> dict[str, float]:
    smallest, largest = spread(value)
    return {
        metric: value.value,
        f"{metric}_low": value.low,
        f"{metric}_high": value.high,
        f"{metric}_min": smallest,
        f"{metric}_max": largest,
    }


def _place(folder: RunFolder) -> str:
    return f"{folder.experiment}/{folder.name}"


def unfinished_lines(summary: Summary) -> list[str]:
    """Write one line for each run that has no evidence."""
    return [f"{_place(folder)}: {why}" for folder, why in summary.unfinished]


def to_facts(summary: Summary) -> dict[str, Any]:
    """Lay a summary out for `--json FILE`: the same facts in plain types, NaN as null."""
    groups: Sequence[Mapping[str, Any]] = [
        {
            "name": group.name,
            **_facts(group),
            "run_names": [_place(run.folder) for run in group.runs],
            "metrics": {name: vars(value) for name, value in group.values.items()},
        }
        for group in summary.groups
    ]
    facts = {
        "groups": groups,
        "comparisons": [{"a": a, "b": b, **vars(c)} for a, b, c in summary.comparisons],
        "unfinished": [{"run": _place(f), "reason": why} for f, why in summary.unfinished],
        "notes": list(summary.notes),
        "bootstrap": {"samples": summary.samples, "level": summary.level, "seed": summary.seed},
        "caption": caption(summary),
    }
    return dict(plain(facts, finite=True))
