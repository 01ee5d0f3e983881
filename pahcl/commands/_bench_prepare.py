"""What `pahcl bench prepare` measures: packing a data set against reading it, and memory of both.

Both sides have the index already and work through the same records of a simulated corpus, whose
files lie in the page cache. Each side is one process; round by round they take turns, so that what
else the machine does hits both.
"""

from __future__ import annotations

import importlib
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pahcl.commands._bench import Figure, peak_memory
from pahcl.commands._common import datasets, find_data_module, modules_in, nearest
from pahcl.errors import DataError, RecordError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from data_modules._corpus import Corpus

GOAL = 2.0
"""Packing costs at most as much again as reading."""

MEMORY_GOAL = 1.2
"""Of the peak on ten times the records."""

FEWEST = 20
"""Records with which something can be measured."""

T = TypeVar("T")


@dataclass(frozen=True)
class Spent:
    """Hold what one side needed for one round.

    Args:
        records: Records of the round.
        cpu: Seconds of processor time.
        wall: Seconds on the clock.
    """

    records: int
    cpu: float
    wall: float


def chosen(names: Sequence[str] | None) -> list[str]:
    """Give the data sets to measure: by default every one that has a simulator.

    Raises:
        UsageError: A name is no such data set.
    """
    simulated = set(modules_in("pahcl.simulation"))
    known = [name for name in datasets() if name in simulated]
    for name in names or ():
        if name not in known:
            raise UsageError(
                f"There is no simulated data set `{name}`{nearest(name, known)}; there are: "
                f"{', '.join(known)}."
            )
    return list(dict.fromkeys(names or known))


def measure(
    names: Sequence[str], records: int, rounds: int, memory_records: int, console: Console
) -> dict[str, Figure]:
    """Simulate each data set, read it and pack it in turns, and weigh both.

    Args:
        names: The data sets.
        records: Records of each.
        rounds: Rounds, after one that is not counted.
        memory_records: Records of the smaller corpus for the memory of packing, or 0.
        console: Says what is being done, on a terminal.

    Returns:
        The figures by name.

    Raises:
        UsageError: A number is too small to measure anything.
    """
    if records < FEWEST or rounds < 1 or (memory_records and memory_records < FEWEST):
        raise UsageError(
            f"`bench prepare` needs at least {FEWEST} records (`--memory-records` too, or 0) and "
            "one round."
        )
    figures: dict[str, Figure] = {}
    for name in names:
        with tempfile.TemporaryDirectory(prefix="pahcl-bench-") as folder:
            with console.status(f"{name}: time"):
                figures |= speed(name, Path(folder), records, rounds)
            if memory_records:
                with console.status(f"{name}: memory"):
                    figures |= memory(name, Path(folder), memory_records)
    return figures


def speed(name: str, folder: Path, records: int, rounds: int) -> dict[str, Figure]:
    """Compare packing with reading in processor time and on the clock."""
    root = simulate(name, folder / "corpus", records)
    sides: dict[str, list[Spent]] = {"read": [], "pack": []}
    with process() as reader, process() as packer:
        turns: dict[str, Callable[[], Spent]] = {
            "read": lambda: reader.submit(read, name, root).result(),
            "pack": lambda: packer.submit(pack, name, root, folder / "store").result(),
        }
        for turn in range(rounds + 1):
            order = list(turns.items())
            for side, go in order if turn % 2 else reversed(order):
                spent = go()
                if turn:
                    sides[side].append(spent)
    pairs = [*zip(sides["pack"], sides["read"], strict=True)]
    rates = {side: [one.records / one.cpu for one in found] for side, found in sides.items()}
    ratio = statistics.median(ours.cpu / theirs.cpu for ours, theirs in pairs)
    wall = statistics.median(ours.wall / theirs.wall for ours, theirs in pairs)
    return {
        f"{name}_ratio": Figure(ratio, "x", goal=GOAL, better="lower"),
        f"{name}_wall_ratio": Figure(wall, "x", better="lower"),
        f"{name}_rate": Figure(statistics.median(rates["pack"]), "records / CPU s"),
        f"{name}_read_rate": Figure(statistics.median(rates["read"]), "records / CPU s"),
    }


def memory(name: str, folder: Path, records: int) -> dict[str, Figure]:
    """Compare the peak memory of packing N and 10 N records, each in a process of its own."""
    peaks = []
    for count in (records, 10 * records):
        root = simulate(name, folder / f"corpus-{count}", count)
        with process() as packer:
            peaks.append(packer.submit(peak_of_packing, name, root, folder / "store").result())
    with process() as reader:
        reading = reader.submit(peak_of_reading, name, root).result()
    few, many = (peak / 2**20 for peak in peaks)
    more = f"MiB for {9 * records} more"
    return {
        f"{name}_memory_ratio": Figure(many / few, "x", goal=MEMORY_GOAL, better="lower"),
        f"{name}_memory": Figure(many, f"MiB at {10 * records} records", better="lower"),
        f"{name}_memory_growth": Figure(many - few, more, better="lower"),
        f"{name}_read_memory": Figure(reading / 2**20, f"MiB at {10 * records}", better="lower"),
    }


def simulate(name: str, out: Path, records: int) -> Path:
    """Write a corpus without ugly cases."""
    simulator: Any = importlib.import_module(f"pahcl.simulation.{name}")
    simulator.write(out, records=records, seed=0, ugly=False)
    return out


@contextmanager
def process() -> Iterator[ProcessPoolExecutor]:
    """Give a fresh process that does what it is told, one thing after the other."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


# In those processes


def read(name: str, root: Path) -> Spent:
    """Read every record that the index lists, and keep none."""
    module, held = _contents(name, root)
    rows = cast("list[dict[str, Any]]", held.index.table.to_dict("records"))
    spent, _ = _clocked(lambda: _read_all(module, root, rows), len(rows))
    return spent


def pack(name: str, root: Path, out: Path) -> Spent:
    """Pack the same records into a store, reading included, which is then removed."""
    module, held = _contents(name, root)
    given = {"contents": classmethod(lambda cls, *args, **options: held)}
    indexed = cast("type[Corpus]", type(module.__name__, (module,), given))
    spent, manifest = _clocked(
        lambda: indexed.prepare(root, out, progress=False), len(held.index.table)
    )
    shutil.rmtree(out)
    if manifest is None or manifest.counts["kept"] < len(held.index.table):
        raise DataError(f"Records of the simulated {name} were rejected; their time means nothing.")
    return spent


def peak_of_packing(name: str, root: Path, out: Path) -> int:
    """Pack a corpus, index included, and give this process's peak memory in bytes."""
    find_data_module(name).prepare(root, out, progress=False)
    shutil.rmtree(out)
    return peak_memory()


def peak_of_reading(name: str, root: Path) -> int:
    """List and read a corpus, and give this process's peak memory in bytes."""
    read(name, root)
    return peak_memory()


def _contents(name: str, root: Path) -> tuple[type[Corpus], Any]:
    module = find_data_module(name)
    return module, module.contents(root, None)


def _read_all(module: type[Corpus], root: Path, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        try:
            module.read(root, row)
        except RecordError as error:
            raise DataError(f"{row['file']} of the simulated corpus: {error}") from error


def _clocked(work: Callable[[], T], records: int) -> tuple[Spent, T]:
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    spent = time.process_time() - cpu, time.perf_counter() - wall
    return Spent(records, *(max(seconds, 1e-9) for seconds in spent)), result
