"""How the scores of segmenters are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pahcl.commands._segment_scored import Scored
from pahcl.evaluation.heart_cycle_pool import PooledScore
from pahcl.evaluation.heart_cycles import BOUNDARIES, key
from pahcl.evaluation.intervals import Interval
from pahcl.evaluation.tables import to_markdown

SHARES = 3
"""Decimals of a share."""

Rows = list[list[str]]

CAPTION = "In brackets: 95 % intervals over subjects, each drawn with all of its recordings."


def tables_of(found: Scored) -> list[tuple[str, Rows]]:
    """Lay out all scores: a title and the rows of each table, the header first."""
    tables = []
    for heading, groups in found.pooled.items():
        hearts = {
            group: {name: one for name, one in by_name.items() if one.counts.get("recordings")}
            for group, by_name in groups.items()
        }
        if any(hearts.values()):
            tables.append((f"Sounds, by {heading}", sound_rows(hearts, found.question.tolerances)))
            tables.append((f"Cycles, by {heading}", cycle_rows(hearts)))
    everything = next(iter(found.pooled["all"].values()))
    if any(one.boundaries for one in everything.values()):
        tables.append(("Boundaries, found minus annotated, in ms", boundary_rows(everything)))
    if any(one.reliability for one in everything.values()):
        tables.append(("Whole beats by confidence", reliability_rows(everything)))
    if any(one.counts.get("quiet") for one in everything.values()):
        tables.append(("Recordings without a heart", quiet_rows(everything)))
    return tables


def head_of(found: Scored) -> str:
    """Say what was scored, and how many recordings."""
    asked = found.question
    left = ", ".join(f"{count} {what}" for what, count in found.left.items() if count)
    what = f"{asked.dataset} at {asked.path}" if asked.dataset else str(asked.path)
    return f"{what}{' with the ECG' if asked.ecg else ''}: {left}"


def show(found: Scored, console: Console) -> None:
    """Print what was scored, and the scores group by group."""
    console.print(head_of(found), markup=False, soft_wrap=True, style="bold")
    for title, rows in tables_of(found):
        _draw(console, title, rows)
    console.print(CAPTION, soft_wrap=True, markup=False)
    for name, reason in list(found.unreadable.items())[:10]:
        console.print(f"- {name}: {reason}", markup=False, soft_wrap=True)


def markdown_of(found: Scored) -> str:
    """Write the tables in Markdown."""
    parts = [f"{title}\n\n{to_markdown(rows)}" for title, rows in tables_of(found)]
    return "\n\n".join([head_of(found), *parts, CAPTION]) + "\n"


def _draw(console: Console, title: str, rows: Rows) -> None:
    table = Table(title=Text(title), title_justify="left")
    texts = 2 if rows[0][1:2] == ["segmenter"] else 1
    for place, name in enumerate(rows[0]):
        table.add_column(Text(name), justify="left" if place < texts else "right", overflow="fold")
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    console.print(table)


Groups = Mapping[str, Mapping[str, PooledScore]]


def sound_rows(groups: Groups, tolerances: Sequence[float]) -> Rows:
    """Lay out how well first and second sounds were found."""
    head = ["group", "segmenter", "recordings"]
    for tolerance in tolerances:
        milliseconds = f"±{tolerance * 1000:g} ms"
        head += [f"F1 {milliseconds}", f"S1 {milliseconds}", f"S2 {milliseconds}"]
    narrow = min(tolerances)
    head += [f"sensitivity ±{narrow * 1000:g} ms", f"precision ±{narrow * 1000:g} ms"]
    rows = [head]
    for group, segmenter, one in _each(groups):
        row = [group, segmenter, f"{one.counts['recordings']:g}"]
        for tolerance in tolerances:
            row.append(cell(one.metrics[key("f1", tolerance)]))
            row += [number(one[key(f"{name}_f1", tolerance)]) for name in ("S1", "S2")]
        row += [number(one[key(name, narrow)]) for name in ("sensitivity", "precision")]
        rows.append(row)
    return rows


def cycle_rows(groups: Groups) -> Rows:
    """Lay out how well cycles and heart rates were found."""
    rows = [
        [
            "group", "segmenter", "cycles", "whole beats", "beats found", "rate error /min",
            "rate within 5", "AUROC of confidence", "no cycle", "refused",
        ]
    ]  # fmt: skip
    for group, segmenter, one in _each(groups):
        rows.append(
            [
                group,
                segmenter,
                f"{one.counts['cycles']:g}",
                cell(one.metrics["whole_beats"]),
                cell(one.metrics["beats_found"]),
                cell(one.metrics["rate_error"], 2),
                cell(one.metrics["rate_close"]),
                cell(one.metrics["confidence_auroc"]),
                f"{one.counts['empty']:g}",
                f"{one.counts['refused']:g}",
            ]
        )
    return rows


def boundary_rows(by_name: Mapping[str, PooledScore]) -> Rows:
    """Lay out the errors of the states' edges."""
    rows = [["segmenter", "boundary", "n", "median", "median size", "95 % below"]]
    for segmenter, one in by_name.items():
        for boundary in BOUNDARIES:
            if boundary in one.boundaries:
                found = one.boundaries[boundary]
                values = [f"{found[name]:.1f}" for name in ("median", "absolute", "p95")]
                rows.append([segmenter, boundary, f"{found['n']:g}", *values])
    return rows


def reliability_rows(by_name: Mapping[str, PooledScore]) -> Rows:
    """Lay out confidence against the share of whole beats."""
    rows = [["segmenter", "confidence", "cycles", "mean confidence", "whole beats"]]
    for segmenter, one in by_name.items():
        rows += [
            [
                segmenter,
                f"{row['lower']:.1f} to {row['upper']:.1f}",
                f"{row['n']:g}",
                number(row["mean_probability"]),
                cell(Interval(row["observed"], row["low"], row["high"])),
            ]
            for row in one.reliability
        ]
    return rows


def quiet_rows(by_name: Mapping[str, PooledScore]) -> Rows:
    """Lay out what was found where no heart beats."""
    rows = [["segmenter", "recordings", "no beat found", "false beats /min", "of confidence ≥ 0.5"]]
    for segmenter, one in by_name.items():
        seconds = one.counts["quiet_seconds"]
        rows.append(
            [
                segmenter,
                f"{one.counts['quiet']:g}",
                cell(one.metrics["quiet_answered"]),
                cell(one.metrics["false_beats"], 2),
                f"{60 * one.counts['sure_beats'] / seconds:.2f}" if seconds else "–",
            ]
        )
    return rows


def _each(groups: Groups) -> list[tuple[str, str, PooledScore]]:
    return [
        (group if place == 0 else "", segmenter, one)
        for group, by_name in groups.items()
        for place, (segmenter, one) in enumerate(by_name.items())
    ]


def number(value: float, decimals: int = SHARES) -> str:
    """Write a number, or a dash where it is not defined."""
    return "–" if value != value else f"{value:.{decimals}f}"


def cell(value: Interval, decimals: int = SHARES) -> str:
    """Write a value with its interval."""
    text = number(value.value, decimals)
    if not (value.known and value.has_ends):
        return text
    return f"{text} [{number(value.low, decimals)}, {number(value.high, decimals)}]"
