"""Lay runs side by side: means over seeds, intervals, paired differences.

Runs that differ only in their seed form one row. A folder stands for all runs below it, and a
pattern such as 'runs/demo/*' for what it matches. Runs that were not tested are listed.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pahcl.commands._common import write_json
from pahcl.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pahcl.evaluation.summary import Summary

WIDE = 200
"""Columns of a table that is written to a file or a pipe."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or folders of runs")
    parser.add_argument(
        "--metric",
        nargs="+",
        metavar="M",
        help="columns, for example macro_auroc (default: the task's usual ones); the first one "
        "is compared",
    )
    parser.add_argument(
        "--group-by",
        nargs="+",
        default=[],
        metavar="KEY",
        help="config keys that tell rows apart, such as data.init_args.fraction, or `experiment` "
        "(default: every key but the seeds)",
    )
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="two rows, by name or by a run in them (default: of the same task, labels and test "
        "subjects, each row with the one from scratch, or each with each)",
    )
    parser.add_argument("--format", choices=("text", "markdown", "csv", "latex"), default="text")
    parser.add_argument("--samples", type=int, default=1000, metavar="N", help="resamples")
    parser.add_argument("--level", type=float, default=0.95, metavar="P", help="of the intervals")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the resamples")
    parser.add_argument("--json", metavar="FILE", help="also write the facts there")


def run(arguments: argparse.Namespace) -> int:
    """Write the table; 1 where no run was tested, or the evidence of one is damaged."""
    from rich.console import Console

    from pahcl.evaluation.run import find_runs
    from pahcl.evaluation.summary import summarize
    from pahcl.evaluation.tables import to_facts

    if arguments.seed < 0:
        raise UsageError(f"--seed must not be negative, got {arguments.seed}.")
    summary = summarize(
        find_runs(arguments.runs),
        arguments.metric,
        arguments.group_by,
        arguments.compare,
        arguments.samples,
        arguments.seed,
        arguments.level,
    )
    if arguments.format == "text":
        console = Console()
        show(summary, Console(width=WIDE) if not console.is_terminal else console)
    else:
        sys.stdout.write(_text(summary, arguments.format, arguments.compare is not None))
    write_json(arguments.json, to_facts(summary))
    damaged = any(folder.is_complete for folder, _ in summary.unfinished)
    return 0 if summary.groups and not damaged else 1


def show(summary: Summary, console: Console) -> None:
    """Draw the tables on the screen."""
    from rich.table import Table
    from rich.text import Text

    from pahcl.evaluation import tables

    def draw(cells: tables.Cells, title: str, text: str) -> None:
        table = Table(title=title, caption=Text(text))
        table.title_justify = table.caption_justify = "left"
        for name in cells[0]:
            numbers = name == "a - b" or name.endswith(("↑", "↓"))
            table.add_column(Text(name), overflow="fold", no_wrap=numbers)
        for row in cells[1:]:
            table.add_row(*map(Text, row))
        console.print(table)

    if summary.groups:
        draw(tables.group_cells(summary, "\n"), "Runs", tables.caption(summary))
    if summary.comparisons:
        draw(tables.comparison_cells(summary), "Differences", tables.comparison_caption(summary))
    for note in summary.notes:
        console.print(note, markup=False)
    if summary.unfinished:
        console.print("Not finished:", style="bold")
        for line in tables.unfinished_lines(summary):
            console.print(f"  {line}", markup=False)


def _text(summary: Summary, form: str, compared: bool) -> str:
    """Write the tables as Markdown, LaTeX or CSV; CSV is one table, the one asked for."""
    from pahcl.evaluation import tables

    if form == "csv":
        frame = tables.comparison_frame(summary) if compared else tables.to_frame(summary)
        return str(frame.to_csv(index=False))
    parts = []
    pairs = [
        (tables.group_cells(summary), tables.caption(summary), bool(summary.groups)),
        (tables.comparison_cells(summary), tables.comparison_caption(summary),
         bool(summary.comparisons)),
    ]  # fmt: skip
    lines = [*summary.notes, *(f"Not finished: {x}" for x in tables.unfinished_lines(summary))]
    if form == "latex":
        parts = [tables.to_latex(cells, text) for cells, text, there in pairs if there]
        parts += [f"% {line}" for line in lines]
    else:
        parts = [f"{tables.to_markdown(cells)}\n\n{text}" for cells, text, there in pairs if there]
        parts += lines
    return "\n\n".join(parts) + "\n"
