"""Write a synthetic corpus in a publisher's layout.

The corpus stands in for records that one may not share: `docs/simulation.md` says what it is good
for, and what may not be concluded from it.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

from pahcl.commands._common import modules_in, nearest, write_json
from pahcl.errors import DataError, UsageError


class _Simulator(Protocol):
    def write(
        self,
        out: Path,
        records: int = 1000,
        seed: int = 0,
        ugly: bool = True,
        progress: Callable[[int], None] | None = None,
        **settings: Any,
    ) -> dict[str, int]:
        """Write a corpus and return its counts."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dataset", metavar="DATASET", help="whose layout, for example ptbxl")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--records", type=int, default=1000, metavar="N", help="good records")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same bytes")
    parser.add_argument(
        "--form",
        metavar="FORM",
        help="which of its publishers' forms, where a data set has several: cpsc2018 has "
        "challenge, original and both (default)",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the counts there")


def run(arguments: argparse.Namespace) -> int:
    """Write the corpus with a progress bar and say what it holds, or that it is there already."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    if arguments.records < 1:
        raise UsageError(f"--records must be at least 1, got {arguments.records}.")
    if arguments.seed < 0:
        raise UsageError(f"--seed must not be negative, got {arguments.seed}.")
    simulator = _find(arguments.dataset)
    settings = {} if arguments.form is None else _form(simulator, arguments)
    console = Console()
    out = Path(arguments.out)
    columns = (TextColumn("simulate"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        line = bar.add_task("simulate", total=arguments.records)
        try:
            counts = simulator.write(
                out,
                arguments.records,
                arguments.seed,
                progress=lambda done: bar.advance(line, done),
                **settings,
            )
        except OSError as error:
            raise DataError(
                f"The corpus could not be written to {out}: {error.strerror or error}. Free space "
                "or give another folder with --out, and run the command again."
            ) from error
    if not bar.tasks[0].completed:
        console.print(
            f"{out} holds this corpus already; nothing had to be written.", soft_wrap=True
        )
    console.print(
        f"{arguments.dataset}: {counts['records']} records of {counts['subjects']} subjects, and "
        f"{counts['table_rows'] - counts['records']} rows of ugly cases, in {out} "
        f"(seed {arguments.seed}).",
        soft_wrap=True,
    )
    facts = {"dataset": arguments.dataset, "out": str(out), "seed": arguments.seed}
    write_json(arguments.json, {**facts, "counts": counts})
    return 0


def _find(dataset: str) -> _Simulator:
    """Find the module of `pahcl.simulation` that writes a data set."""
    modules = {
        name: importlib.import_module(f"pahcl.simulation.{name}")
        for name in modules_in("pahcl.simulation")
    }
    known = {name: module for name, module in modules.items() if hasattr(module, "write")}
    if dataset not in known:
        raise UsageError(
            f"There is no simulator `{dataset}`{nearest(dataset, known)}; there are: "
            f"{', '.join(known)}."
        )
    return cast(_Simulator, known[dataset])


def _form(simulator: _Simulator, arguments: argparse.Namespace) -> dict[str, Any]:
    """Give the form as the simulator takes it; refuse one that it does not have."""
    forms = getattr(simulator, "FORMS", ())
    if "form" not in inspect.signature(simulator.write).parameters:
        raise UsageError(f"--form: {arguments.dataset} has one form alone; leave --form out.")
    if arguments.form not in forms:
        raise UsageError(
            f"--form: {arguments.dataset} has {', '.join(forms)}, not {arguments.form}."
        )
    return {"form": arguments.form}
