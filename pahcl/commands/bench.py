"""Measure speed, on this machine, beside what it is compared with, in one run."""

from __future__ import annotations

import argparse

from pahcl.commands._common import write_json


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    subjects = parser.add_subparsers(dest="bench", required=True, metavar="NAME")
    data = subjects.add_parser("data", help="loading of batches, and memory of `prepare`")
    data.add_argument(
        "--records", type=int, default=4096, metavar="N", help="records of the synthetic corpus"
    )
    data.add_argument(
        "--fs", type=int, default=100, choices=(100, 500), help="rate of the records in Hz"
    )
    data.add_argument("--batch-size", type=int, default=64, metavar="B", help="records in a batch")
    data.add_argument(
        "--rounds", type=int, default=3, metavar="R", help="rounds, of which the median is given"
    )
    data.add_argument(
        "--memory-records",
        type=int,
        default=200,
        metavar="N",
        help="measure the memory of `prepare` for N and 10 N records; 0 leaves it out",
    )
    data.add_argument("--json", metavar="FILE", help="also write the figures there")


def run(arguments: argparse.Namespace) -> int:
    """Measure, show the figures, and say in the exit status whether all goals are met."""
    from rich.console import Console
    from rich.table import Table

    from pahcl.commands import _bench_data

    figures, machine = _bench_data.measure(
        records=arguments.records,
        batch_size=arguments.batch_size,
        rounds=arguments.rounds,
        memory_records=arguments.memory_records,
        fs=arguments.fs,
    )
    table = Table("figure", "value", "unit", "goal", title="pahcl bench data")
    for name, figure in figures.items():
        sign = "at most" if figure.better == "lower" else "at least"
        goal = "" if figure.goal is None else f"{sign} {figure.goal:g}"
        colour = "" if figure.goal is None else "green" if figure.is_met else "red"
        value = f"[{colour}]{figure.value:,.4g}[/]" if colour else f"{figure.value:,.4g}"
        table.add_row(name, value, figure.unit, goal)
    console = Console()
    console.print(table)
    console.print(", ".join(f"{key} {value}" for key, value in machine.items()), highlight=False)
    facts = {
        "bench": "data",
        "figures": {name: figure.to_dict() for name, figure in figures.items()},
        "machine": machine,
    }
    write_json(arguments.json, facts)
    return 0 if all(figure.is_met for figure in figures.values()) else 1
