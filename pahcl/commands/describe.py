"""Say what a data set and its tasks are, and what of it is there.

Without a name: all data sets. With one: what its publisher says of it, and what its store holds
(or, without a store, what the tables of the publisher's folder list). With a task as well: its
classes, how often each occurs by split, by record and by subject. No signal is read.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pahcl.commands._common import (
    datasets,
    find_data_module,
    modules_in,
    nearest,
    write_json,
)
from pahcl.errors import DataError, UsageError

if TYPE_CHECKING:
    from data_modules.base import SignalDataModule
    from pahcl.commands._describe_contents import Contents
    from pahcl.task import Task

SUFFIXES = (".svg", ".png")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dataset", nargs="?", metavar="DATASET", help="for example ptbxl")
    parser.add_argument("task", nargs="?", metavar="TASK", help="one of its tasks")
    parser.add_argument(
        "--root",
        metavar="DIR",
        help="the publisher's folder (default: that of the data set in $PAHCL_DATA, or in data/)",
    )
    parser.add_argument(
        "--store",
        metavar="DIR",
        help="the packed store, which goes before the folder (default: that of the data set in "
        "$PAHCL_STORES, or in stores/)",
    )
    parser.add_argument(
        "--picture",
        metavar="FILE",
        help="also draw classes by split, durations and ages there (.svg or .png); without TASK "
        "the classes of the first task",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the facts there")


def run(arguments: argparse.Namespace) -> int:
    """Describe all data sets, one, or one of its tasks.

    Raises:
        UsageError: The data set, the task or the picture cannot be.
        DataError: A picture was asked for and no records are there.
    """
    _require_arguments(arguments)
    if arguments.dataset is None:
        return _describe_all(arguments)
    cls = find_data_module(arguments.dataset)
    if cls.tasks:
        _find_task(cls, arguments.task)  # before anything is read

    from pahcl.commands import _describe_show as show
    from pahcl.commands._describe_contents import (
        describe_contents,
        describe_dataset,
        find_contents,
    )
    from pahcl.commands._describe_task import describe_task, labelled_records

    contents = find_contents(cls, arguments.root, arguments.store)
    task = _find_task(cls if contents is None else contents.module, arguments.task)
    facts: dict[str, Any] = {"dataset": describe_dataset(cls), "contents": None}
    if contents is not None:
        facts["dataset"] = describe_dataset(cls, contents.module)
        facts["contents"] = describe_contents(contents)
    if task is not None:
        facts["task"] = task.to_dict()
    if contents is not None and task is not None:
        facts["labels"] = describe_task(task, contents)
    elif contents is not None:
        facts["labelled_records"] = labelled_records(contents.module.tasks, contents)
    if arguments.picture is not None:
        _draw(arguments.picture, cls, task, contents)
    console = show.console()
    if task is None:
        show.dataset(console, facts)
    else:
        show.task(console, facts, task)
    if text := _what_next(cls, contents):
        console.print(text, soft_wrap=True, highlight=False, markup=False)
    write_json(arguments.json, facts)
    return 0


def _require_arguments(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be answered before anything heavy is imported."""
    given = [name for name in ("root", "store", "picture") if getattr(arguments, name) is not None]
    if arguments.dataset is None and given:
        raise UsageError(
            f"`--{given[0]}` goes with a data set: name it first, as in `pahcl describe ptbxl "
            f"--{given[0]} {getattr(arguments, given[0])}`. `pahcl describe` lists them."
        )
    if arguments.picture is None:
        return
    path = Path(arguments.picture)
    if path.suffix.lower() not in SUFFIXES:
        found = f"ends in {path.suffix}" if path.suffix else "has no suffix"
        raise UsageError(
            f"`--picture {path}` {found}: name a file that ends in {' or '.join(SUFFIXES)}."
        )
    if path.is_dir():
        raise UsageError(f"`--picture {path}` is a folder: name a file in it.")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise UsageError(f"`--picture {path}`: {above} is a file, not a folder.")


def _find_task(cls: type[SignalDataModule] | SignalDataModule, name: str | None) -> Task | None:
    if name is None or name in cls.tasks:
        return None if name is None else cls.tasks[name]
    if not cls.tasks:
        raise UsageError(
            f"{cls.title} have no task by themselves: name the folder with `--root` or its store "
            "with `--store`."
        )
    raise UsageError(
        f"{cls.title} has no task `{name}`{nearest(name, cls.tasks)}; it has: "
        f"{', '.join(cls.tasks)}."
    )


def _describe_all(arguments: argparse.Namespace) -> int:
    from pahcl.commands import _describe_show as show
    from pahcl.commands._describe_contents import describe_dataset, whereabouts

    found = []
    for name in datasets():
        cls = find_data_module(name)
        found.append({**describe_dataset(cls), "here": whereabouts(cls)})
    show.overview(show.console(), found)
    write_json(arguments.json, {"datasets": found})
    return 0


def _draw(
    name: str, cls: type[SignalDataModule], task: Task | None, contents: Contents | None
) -> None:
    from pahcl.commands._describe_picture import draw
    from pahcl.reports.datasets import save

    if contents is None:
        raise DataError(f"There is nothing to draw in {name}. {_how_to_see_more(cls)}")
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(draw(task or next(iter(contents.module.tasks.values())), contents), path)


def _what_next(cls: type[SignalDataModule], contents: Contents | None) -> str:
    """Say how more is known of a data set; nothing where a store was read."""
    if contents is None:
        return _how_to_see_more(cls)
    if contents.kind == "store":
        return ""
    return (
        "These are the publisher's tables. Durations, quality flags and damaged files are known "
        f"once the records are packed: {_prepare_line(contents)}"
    )


def _prepare_line(contents: Contents) -> str:
    module = contents.module
    return f"`pahcl prepare {module.name} --root {contents.path} --out {module.store_path}`."


def _how_to_see_more(cls: type[SignalDataModule]) -> str:
    """Say where records were looked for, and how they come there."""
    module = cls()
    root, store = module.root, module.store_path
    fetch = "Put them there"
    if cls.source is not None:
        fetch = f"Fetch them from {cls.homepage} (`pahcl download {cls.name} --out {root}`)"
    text = (
        f"No records of {cls.title} are there: neither a store at {store} nor files at {root}. "
        f"{fetch}, or name them with `--root` or their store with `--store`, to see counts, "
        "durations, ages and prevalences."
    )
    if _has_simulator(cls.name):
        text += f" A synthetic corpus: `pahcl simulate {cls.name} --out {root}`."
    return text


def _has_simulator(name: str) -> bool:
    if name not in modules_in("pahcl.simulation"):
        return False
    return hasattr(importlib.import_module(f"pahcl.simulation.{name}"), "write")
