"""The folder that a simulated corpus is written to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pahcl import __version__
from pahcl.errors import DataError, UsageError

MARK = "simulation.json"
"""Says that a folder was written here and holds the truth; no reader of the layout looks at it."""


def claim_folder(
    out: Path, dataset: str, layout: tuple[str, ...], question: Mapping[str, Any]
) -> dict[str, int] | None:
    """Make a folder for a corpus, unless that very corpus is there already.

    Args:
        out: The folder.
        dataset: Name of the simulator.
        layout: Patterns of the files and folders that the simulator writes into `out`.
        question: What the corpus depends on: `seed`, `records` and whatever else.

    Returns:
        None where the corpus has to be written: the folder is new or empty, or holds the same one
        unfinished or in parts, which is removed. The counts of the corpus where it is complete.

    Raises:
        UsageError: The folder holds another corpus, or files that no simulator wrote.
        DataError: The folder cannot be written.
    """
    try:
        if out.is_dir() and any(out.iterdir()):
            mark = _require_same(out, dataset, question)
            if mark.get("complete") and all(any(out.glob(pattern)) for pattern in layout):
                return dict(mark["counts"])
            _remove(out, layout)
        out.mkdir(parents=True, exist_ok=True)
        # Written first, so that a corpus that was interrupted can be begun again.
        write_mark(out, dataset, question, {"complete": False})
    except OSError as error:
        raise DataError(
            f"The corpus cannot be written to {out} ({error.strerror or error}). Give another "
            "folder with --out."
        ) from error
    return None


def write_mark(
    out: Path, dataset: str, question: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """Write what was asked for, and what was simulated: counts, and the truth behind the labels."""
    mark = {"simulation": dataset, "version": __version__, "question": dict(question), **facts}
    (out / MARK).write_text(json.dumps(mark, sort_keys=True) + "\n", encoding="utf-8")


def _require_same(out: Path, dataset: str, question: Mapping[str, Any]) -> dict[str, Any]:
    """Read the mark of a folder; refuse one that was not written here, or to another question."""
    try:
        mark = json.loads((out / MARK).read_text(encoding="utf-8"))
        found = mark.get("simulation")
    except (OSError, ValueError, AttributeError):
        mark, found = {}, None
    if found != dataset:
        raise UsageError(
            f"{out} is not empty and was not written by `pahcl simulate {dataset}`, so it is left "
            "alone. Give an empty or new folder with --out."
        )
    there = mark.get("question") or {}
    if there != dict(question):
        state = "a corpus" if mark.get("complete") else "an unfinished corpus"
        raise UsageError(
            f"{out} holds {state} of {_described(there, question)}, not of "
            f"{_described(question, there)}, and is left alone. Give another folder with --out, "
            "or delete this one."
        )
    return dict(mark)


def _described(question: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Name a question in words: `1000 records, seed 0`, and in what else it differs."""
    seed, records = (question.get(name, "unknown") for name in ("seed", "records"))
    more = [
        f"{name} {value}"
        for name, value in question.items()
        if name not in {"seed", "records"} and value != other.get(name, value)
    ]
    return ", ".join([f"{records} records", f"seed {seed}", *more])


def _remove(out: Path, layout: tuple[str, ...]) -> None:
    """Remove what a simulator writes, and nothing else."""
    for found in [path for pattern in layout for path in out.glob(pattern)]:
        if found.is_dir() and not found.is_symlink():
            shutil.rmtree(found)
        else:
            found.unlink()
