"""What `pahcl segment` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pahcl.commands._segment_files import count_files

SHOWN = 20
"""Recordings that are printed; the table has them all."""

_NAMED = 5


def title_of(facts: dict[str, Any]) -> str:
    """Say in a line what a contact sheet shows."""
    return f"{facts['path']}: {_counts(facts)} (segmenter {facts['segmenter']})"


def show(console: Console, facts: dict[str, Any]) -> None:
    """Print what was found, what was refused, and where the results are."""
    rows = [row for row in facts["recordings"] if row["status"] == "segmented"]
    if rows:
        console.print(_recordings(rows))
        if len(rows) > SHOWN:
            console.print(f"… and {len(rows) - SHOWN:,} more, in {facts['out']}/summary.csv")
    for line in _lines(facts):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _recordings(rows: list[dict[str, Any]]) -> Table:
    table = Table()
    for name, justify in (
        ("recording", "left"), ("s", "right"), ("cycles", "right"), ("1/min", "right"),
        ("SDNN ms", "right"), ("confidence", "right"), ("flags", "left"),
    ):  # fmt: skip
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows[:SHOWN]:
        cycles = f"{row['kept']} of {row['cycles']}"
        numbers = [_number(row["heart_rate"]), _number(row["sdnn_ms"])]
        table.add_row(
            Text(row["file"]), f"{row['seconds']:.1f}", cycles, *numbers,
            f"{row['confidence']:.2f}", Text(row["flags"]),
        )  # fmt: skip
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _counts(facts: dict[str, Any]) -> str:
    counts = facts["counts"]
    parts = [f"{counts['segmented']:,} of {counts['found']:,} recordings segmented"]
    for name, says in (
        ("refused", "refused"), ("unreadable", "unreadable"), ("not_looked_at", "not looked at")
    ):  # fmt: skip
        parts += [f"{counts[name]:,} {says}"] if counts[name] else []
    return ", ".join(parts)


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    done = facts["counts"]["done_before"]
    before = f" {done:,} of them were done before with the same settings." if done else ""
    yield f"{_counts(facts)}, by `{facts['segmenter']}`.{before}"
    for one in facts["refused"]:
        yield f"refused {one['file']}: {one['reason']}"
    others = facts["other_files"]
    if others:
        named = ", ".join(others[:_NAMED])
        more = f" and {len(others) - _NAMED:,} more" if len(others) > _NAMED else ""
        yield f"left alone, for they are no recordings: {count_files(len(others))} ({named}{more})"
    gone = facts["segmented_before_but_gone"]
    if gone:
        named = gone[0] if len(gone) == 1 else f"{gone[0]} and {len(gone) - 1:,} more"
        yield f"segmented before, and gone: {named}; what was written about them stays"
    for sheet in facts["sheets"]:
        yield f"contact sheet: {sheet}"
    yield f"Results: {facts['out']} (summary.csv, cycles.csv, a .tsv for each recording)"
