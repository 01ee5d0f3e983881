"""Run a grid of pretrainings, label fractions and seeds, and lay the results side by side.

FILE says what the grid is (`configs/sweep/` has examples). Each cell is one ordinary run, made by
the `pahcl fit` line that is printed. The run folders are all there is to know how far a sweep is:
stop it at any time, and the same command goes on. Complete runs are left alone, failed ones are
named and tried again by the next command. Several machines may run the same command, or shares of
it by `--shard`. At the end, and whenever the command is repeated, the table and paired differences
are shown and written into the sweep's folder as sweep.csv, sweep.json and sweep.html.
Words after `--` go to every `pahcl fit`, such as `-- --config configs/trainer/gpu.yaml`.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pahcl.commands._common import parse_shard, write_json
from pahcl.commands._sweep_file import SweepFile, own_options, read_sweep
from pahcl.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pahcl.commands._sweep_plan import Job
    from pahcl.commands._sweep_work import Outcome

HANDS_WORDS_ON = True
"""What follows `--` goes to `pahcl fit`; the door reads it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="what to run, a YAML file")
    parser.add_argument("fit", nargs="*", metavar="ARG", help="after `--`: words for each fit")
    parser.add_argument(
        "--root", type=Path, default=Path("runs"), help="where the sweep's folder lies"
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="runs side by side; GPUs are shared out"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[], metavar="S", help="instead of the file's"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="these arms or fractions alone, with the pretrainings that they need; `pretraining` "
        "leaves the transfers out",
    )
    parser.add_argument(
        "--shard",
        metavar="i/n",
        help="run one of n shares alone, i from 0 to n - 1; what starts from one pretraining with "
        "one seed stays together",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the lines and run nothing")
    parser.add_argument(
        "--report-only", action="store_true", help="show what is complete and run nothing"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the facts there")


def run(arguments: argparse.Namespace) -> int:
    """Run what is not done yet and show the table; 1 where a run failed or none is complete."""
    from rich.console import Console

    from pahcl.commands._sweep_plan import chosen, plan

    check(arguments)
    file = read_sweep(arguments.file)
    every = plan(file, arguments.root, arguments.seeds, arguments.fit)
    jobs = chosen(every, arguments.only, parse_shard(arguments.shard))
    console = Console(highlight=False, soft_wrap=True)
    if arguments.dry_run:
        return dry_run(console, jobs, arguments.json)
    if file.metric is not None:
        from pahcl.commands._sweep_results import require_metric

        require_metric(file.metric)
    outcome = work(console, [] if arguments.report_only else jobs, arguments.workers)
    if arguments.shard is not None and not arguments.report_only:
        again = f"pahcl sweep {arguments.file} --report-only"
        console.print(f"Share {arguments.shard} has ended. When all have: `{again}`.", markup=False)
        done = outcome.done
        facts: dict[str, Any] = {}
    else:
        done = complete_runs(every, outcome, of_any_words=arguments.report_only)
        facts = show_results(console, file, arguments, done)
    told = {
        "sweep": file.name,
        "runs": len(every),
        "complete": len(done),
        "failed": {job.title: why for job, why in outcome.failed.items()},
        "blocked": [job.title for job in outcome.blocked],
    }
    write_json(arguments.json, {**told, **facts})
    for job, why in outcome.failed.items():
        console.print(f"Failed: {job.title}: {why.splitlines()[0].rstrip(':')}", markup=False)
    if outcome.blocked:
        console.print(f"Not run, since their pretraining failed: {len(outcome.blocked)}.")
    console.print(f"{len(done)} of {len(every)} runs are complete.", markup=False)
    return 1 if outcome.failed or outcome.blocked or not done else 0


def check(arguments: argparse.Namespace) -> None:
    """Refuse options that mean nothing.

    Raises:
        UsageError: With what to give instead.
    """
    if arguments.workers < 1:
        raise UsageError(f"--workers must be at least 1, got {arguments.workers}.")
    negative = [seed for seed in arguments.seeds if seed < 0]
    if negative:
        raise UsageError(f"--seeds takes whole numbers from 0 on, got {negative[0]}.")
    if len(set(arguments.seeds)) < len(arguments.seeds):
        raise UsageError("--seeds has a number twice.")
    for name in own_options(arguments.fit):
        raise UsageError(
            f"--{name} is given by the sweep, to each run another value: leave it out after `--`."
        )


def dry_run(console: Console, jobs: Sequence[Job], target: str | None) -> int:
    """Print the line of every run."""
    from pahcl.commands._sweep_plan import is_done

    done = {job: is_done(job) for job in jobs}
    for job in jobs:
        console.print(f"{job.line}{'  # done' if done[job] else ''}", markup=False)
    left = len(jobs) - sum(done.values())
    console.print(f"{len(jobs)} runs, {left} of them to be run.", markup=False)
    lines = [{"run": job.title, "words": list(job.words), "done": done[job]} for job in jobs]
    write_json(target, {"lines": lines})
    return 0


def work(console: Console, jobs: Sequence[Job], workers: int) -> Outcome:
    """Run the jobs, with a bar where somebody looks at it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from pahcl.commands._sweep_work import TerminatedError, Work, duration

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[rest]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal or not jobs) as bar:
        shown = bar.add_task("sweep", total=len(jobs), rest="")

        def on_change(settled: int, rest: float | None) -> None:
            left = "" if rest is None else f"about {duration(rest)} remain"
            bar.update(shown, completed=settled, rest=left)

        def say(text: str) -> None:
            bar.console.print(text, markup=False)

        try:
            return Work(jobs, workers, say, on_change).run()
        except TerminatedError as error:
            raise SystemExit(143) from error


def complete_runs(every: Sequence[Job], outcome: Outcome, *, of_any_words: bool) -> list[Job]:
    """List all complete runs of a sweep, those that were not chosen this time too.

    Args:
        every: All runs of the sweep.
        outcome: What became of those that were chosen; runs that cannot be used are added to it.
        of_any_words: Take runs that other words after `--` have made, too.
    """
    from pahcl.commands._sweep_plan import is_done
    from pahcl.errors import PahclError

    found = []
    for job in every:
        try:
            known = job in outcome.done or job in outcome.failed
            if job in outcome.done or (not known and is_done(job, of_any_words=of_any_words)):
                found.append(job)
        except PahclError as error:
            outcome.failed[job] = str(error)
    return found


def show_results(
    console: Console, file: SweepFile, arguments: argparse.Namespace, done: Sequence[Job]
) -> dict[str, Any]:
    """Show the tables, and write them and the page into the sweep's folder.

    Args:
        console: Where to show them.
        file: The sweep.
        arguments: The command.
        done: The complete runs.

    Returns:
        What `sweep.json` holds.
    """
    from rich.console import Console
    from rich.table import Table

    from pahcl.commands._sweep_plan import TRANSFER
    from pahcl.commands._sweep_results import (
        COST_CAPTION,
        cost_cells,
        costs,
        tabulate,
        write_sweep_page,
        write_tables,
    )
    from pahcl.commands.summarize import WIDE, show

    if not any(job.stage == TRANSFER for job in done):
        return {}
    folder = arguments.root / file.name
    summary, spent = tabulate(file, done), costs(file, done)
    facts = write_tables(folder, summary, spent)
    wide = console if console.is_terminal else Console(width=WIDE)
    show(summary, wide)
    head, *rows = cost_cells(spent)
    table = Table(*head, title="Cost", caption=COST_CAPTION, title_justify="left")
    table.caption_justify = "left"
    for row in rows:
        table.add_row(*row)
    wide.print(table)
    again = shlex.join(["pahcl", "sweep", str(arguments.file), "--root", str(arguments.root)])
    page = write_sweep_page(folder, done, summary, spent, f"{again} --report-only")
    console.print(f"{page}, and sweep.csv and sweep.json beside it", markup=False)
    return facts
