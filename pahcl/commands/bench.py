"""Measure speed, on this machine, beside what it is compared with, in one run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pahcl.commands._common import write_json

if TYPE_CHECKING:
    from rich.console import Console

    from pahcl.commands._bench import Figure

WIDE = 160
"""Columns of a table that is written to a file or a pipe."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    subjects = parser.add_subparsers(dest="bench", required=True, metavar="NAME")
    for name, (add, told) in {
        "data": (_add_data, "loading of batches, and memory of `prepare`"),
        "prepare": (_add_prepare, "packing of each data set beside its reader"),
        "attack": (_add_attack, "adversarial recipes: time, memory, robustness"),
        "pcg": (_add_pcg, "heart cycles: time and memory of finding them"),
    }.items():
        subject = subjects.add_parser(name, help=told)
        add(subject)
        subject.add_argument("--json", metavar="FILE", help="also write the figures there")


def _add_data(subject: argparse.ArgumentParser) -> None:
    _add_records(subject, 4096, "records of the synthetic corpus")
    subject.add_argument(
        "--fs", type=int, default=100, choices=(100, 500), help="rate of the records in Hz"
    )
    subject.add_argument(
        "--batch-size", type=int, default=64, metavar="B", help="records in a batch"
    )
    _add_rounds(subject, 3)
    _add_memory_records(subject, 200, "of `prepare` for")


def _add_prepare(subject: argparse.ArgumentParser) -> None:
    subject.add_argument(
        "--datasets", nargs="+", metavar="D", help="which (default: all that can be simulated)"
    )
    _add_records(subject, 1024, "records of each synthetic corpus")
    _add_rounds(subject, 7)
    _add_memory_records(subject, 100, "of packing")


def _add_attack(subject: argparse.ArgumentParser) -> None:
    add = subject.add_argument
    add(
        "--recipes",
        nargs="+",
        metavar="R",
        help="beside the clean one (default: all: paper fast one_step free trades)",
    )
    _add_records(subject, 2000, "records of the synthetic corpus")
    add("--seeds", type=int, default=3, metavar="N", help="trainings of a recipe")
    add("--epochs", type=int, default=8, metavar="N", help="of a training; half of them are clean")
    add("--epsilon", type=float, default=0.02, metavar="E", help="of the attacks at the end, in mV")
    add("--size", choices=("small", "paper"), default="small", help="network that is timed")
    add("--batch-size", type=int, default=32, metavar="B", help="records in a step")
    _add_rounds(subject, 5)


def _add_pcg(subject: argparse.ArgumentParser) -> None:
    add = subject.add_argument
    add("--recordings", type=int, default=60, metavar="N", help="simulated heart sounds")
    add("--seconds", type=float, default=20, metavar="S", help="length of each")
    add("--fs", type=int, default=4000, metavar="HZ", help="their rate")
    _add_rounds(subject, 5)
    add(
        "--memory-minutes",
        type=float,
        default=60,
        metavar="M",
        help="measure the memory of one recording of M minutes and of a tenth; 0 leaves it out",
    )


def _add_records(subject: argparse.ArgumentParser, count: int, told: str) -> None:
    subject.add_argument("--records", type=int, default=count, metavar="N", help=told)


def _add_rounds(subject: argparse.ArgumentParser, count: int) -> None:
    told = "rounds of timing, of which the median is given"
    subject.add_argument("--rounds", type=int, default=count, metavar="R", help=told)


def _add_memory_records(subject: argparse.ArgumentParser, count: int, what: str) -> None:
    told = f"measure the memory {what} N and 10 N records; 0 leaves it out"
    subject.add_argument("--memory-records", type=int, default=count, metavar="N", help=told)


def run(arguments: argparse.Namespace) -> int:
    """Measure, show the figures, and say in the exit status whether all goals are met."""
    from rich.console import Console
    from rich.table import Table

    from pahcl.commands._bench import machine

    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    benches = {"data": _data, "prepare": _prepare, "attack": _attack, "pcg": _pcg}
    figures = benches[arguments.bench](arguments, console)
    table = Table("figure", "value", "unit", "goal", title=f"pahcl bench {arguments.bench}")
    for name, figure in figures.items():
        sign = "at most" if figure.better == "lower" else "at least"
        goal = "" if figure.goal is None else f"{sign} {figure.goal:g}"
        colour = "" if figure.goal is None else "green" if figure.is_met else "red"
        value = f"[{colour}]{figure.value:,.4g}[/]" if colour else f"{figure.value:,.4g}"
        table.add_row(name, value, figure.unit, goal)
    console.print(table)
    here = machine()
    console.print(", ".join(f"{key} {value}" for key, value in here.items()), highlight=False)
    facts = {
        "bench": arguments.bench,
        "figures": {name: figure.to_dict() for name, figure in figures.items()},
        "machine": here,
    }
    write_json(arguments.json, facts)
    return 0 if all(figure.is_met for figure in figures.values()) else 1


def _data(arguments: argparse.Namespace, console: Console) -> dict[str, Figure]:
    from pahcl.commands import _bench_data

    return _bench_data.measure(
        records=arguments.records,
        batch_size=arguments.batch_size,
        rounds=arguments.rounds,
        memory_records=arguments.memory_records,
        fs=arguments.fs,
    )


def _prepare(arguments: argparse.Namespace, console: Console) -> dict[str, Figure]:
    from pahcl.commands import _bench_prepare

    return _bench_prepare.measure(
        _bench_prepare.chosen(arguments.datasets),
        records=arguments.records,
        rounds=arguments.rounds,
        memory_records=arguments.memory_records,
        console=console,
    )


def _attack(arguments: argparse.Namespace, console: Console) -> dict[str, Figure]:
    from pahcl.commands import _bench_attack

    return _bench_attack.measure(
        _bench_attack.Settings(
            recipes=_bench_attack.chosen(arguments.recipes),
            records=arguments.records,
            seeds=arguments.seeds,
            epochs=arguments.epochs,
            epsilon=arguments.epsilon,
            size=arguments.size,
            batch_size=arguments.batch_size,
            rounds=arguments.rounds,
        ),
        console,
    )


def _pcg(arguments: argparse.Namespace, console: Console) -> dict[str, Figure]:
    from pahcl.commands import _bench_pcg

    return _bench_pcg.measure(
        recordings=arguments.recordings,
        seconds=arguments.seconds,
        fs=arguments.fs,
        rounds=arguments.rounds,
        minutes=arguments.memory_minutes,
        console=console,
    )
