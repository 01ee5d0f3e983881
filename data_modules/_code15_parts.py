"""The HDF5 parts of CODE-15%: which row holds which exam, and open files that are kept open."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.errors import DataError, RecordError
from pahcl.store import Rejection, is_machines_fault


@dataclass
class Located:
    """Say where exams are, and what in the parts is no use.

    Args:
        places: Exam id -> (part, row); row -1 where the part ends before the exam's tracing.
        rejected: Rows of parts that are no use, each with its reason. A row that an exam of the
            table is rejected for is not among them: it would count twice.
        broken: Why a part as a whole cannot be read, by its name.
        cut: Why an exam has no tracing in the part that lists it.
    """

    places: dict[str, tuple[str, int]] = field(default_factory=dict)
    rejected: list[Rejection] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    cut: dict[str, str] = field(default_factory=dict)


def part_rows(path: Path) -> tuple[list[str], int]:
    """Read the exam ids of a part and count its tracings.

    Raises:
        RecordError: The part is truncated, or is no part of CODE-15%.
        DataError: The machine cannot read the part now.
    """
    with reading_part(path) as part:
        ids = np.asarray(part["exam_id"][:], dtype=np.int64).astype(str).tolist()
        tracings = tracings_in(part, path)
    return ids, tracings


@contextmanager
def reading_part(path: Path) -> Iterator[h5py.File]:
    """Open a file of tracings, and say in words what is wrong with it.

    Raises:
        RecordError: It is truncated, or is something else.
        DataError: The machine cannot read it now.
    """
    try:
        with h5py.File(path, "r") as part:
            yield part
    except RecordError:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, OSError) and is_machines_fault(error):
            raise unreadable_now(path, error) from error
        raise RecordError(f"{path.name} cannot be read ({error}); fetch it again") from error


def tracings_in(part: h5py.File, path: Path) -> int:
    """Count the tracings of an open file.

    Raises:
        RecordError: They have not the shape `[exams, samples, 12]`, are no numbers, or lie in
            another file.
    """
    tracings = part["tracings"]
    linked = not isinstance(part.get("tracings", getlink=True), h5py.HardLink)
    if linked or tracings.external or tracings.is_virtual:
        raise RecordError(f"{path.name} keeps its tracings in another file")
    shape, kind = tracings.shape, tracings.dtype
    if len(shape) != 3 or shape[2] != 12:
        raise RecordError(f"{path.name} holds tracings of shape {shape}, not [exams, samples, 12]")
    if kind.kind not in "fiu":
        raise RecordError(f"{path.name} holds tracings of the type {kind}, not numbers")
    return int(shape[0])


def unreadable_now(path: Path, error: OSError) -> DataError:
    """Say that a part is there and that the machine, not the publisher, is at fault."""
    return DataError(
        f"{path} cannot be read now ({os.strerror(error.errno or 0)}). What is done is kept: look "
        "after the disk or the mount, then run the same command again."
    )


def locate_exams(parts: Iterable[Path], known: set[str]) -> Located:
    """Find the row of every exam by reading the parts' ids; no tracing is read.

    Args:
        parts: The HDF5 files, in order.
        known: Exam ids of `exams.csv`.
    """
    found = Located()
    beyond: list[tuple[str, str, int, int]] = []
    for path in parts:
        try:
            ids, tracings = part_rows(path)
        except RecordError as error:
            found.broken[path.name] = error.reason
            continue
        for row, exam in enumerate(ids):
            if exam not in known:
                dummy = "a dummy row without an exam"
                reason = dummy if exam == "0" else "exams.csv does not list this exam"
                found.rejected.append(Rejection(path.name, f"{exam} (row {row})", reason))
            elif row >= tracings:
                beyond.append((path.name, exam, row, tracings))
            else:
                _place(found, path.name, exam, row)
        reason = f"the part lists {len(ids)} exam ids, none for this tracing"
        rows = range(len(ids), tracings)
        found.rejected += [Rejection(path.name, f"(row {row})", reason) for row in rows]
    for part, exam, row, tracings in beyond:  # last, for another part may hold the exam
        if _place(found, part, exam, row, usable=False):
            found.cut[exam] = f"its part ends after {tracings} tracings, before row {row}"
    return found


def _place(found: Located, part: str, exam: str, row: int, usable: bool = True) -> bool:
    """Note the first place of an exam, and reject every other."""
    first = exam not in found.places
    if first:
        found.places[exam] = (part, row if usable else -1)
    else:
        reason = "another row holds the same exam; that one is taken"
        found.rejected.append(Rejection(part, f"{exam} (row {row})", reason))
    return first


def absence(ids: pd.Series, named: pd.Series, found: Located, parts: set[str]) -> dict[str, Any]:
    """Say why exams of `exams.csv` have no tracing.

    Args:
        ids: The exams.
        named: The part that `exams.csv` names for each exam, None where it names none.
        found: What the parts hold.
        parts: Names of the parts in the folder.

    Returns:
        Reason -> mask of the exams that it concerns, the strongest reason first.
    """
    cut = ids.map(found.cut)
    gone = ~ids.isin([exam for exam, (_, row) in found.places.items() if row >= 0])
    return {
        **{reason: cut == reason for reason in cut.dropna().unique()},
        **{reason: gone & (named == part) for part, reason in found.broken.items()},
        "exams.csv names no part for this exam, and no part here lists it": gone & named.isna(),
        "the part that exams.csv names is not in the folder": gone & ~named.isin(parts),
        "no readable row of its part holds this exam": gone,
    }


@functools.lru_cache(maxsize=4)
def _open(path: Path, process: int) -> h5py.File:
    return h5py.File(path, "r")


def tracing(path: Path, row: int) -> tuple[npt.NDArray[np.float32], str]:
    """Read one row of a part; each process keeps its files open.

    Returns:
        The tracing `[12, samples]`, and the SHA-256 of the row's bytes as the part holds them,
        `[samples, 12]` without compression. A whole part is too large to be hashed for each run.

    Raises:
        DataError: The part has vanished since it was listed.
        OSError: It cannot be read.
    """
    try:
        stored = np.ascontiguousarray(_open(path, os.getpid())["tracings"][row])
    except FileNotFoundError as error:
        raise unreadable_now(path, error) from error
    except OSError:
        _open.cache_clear()  # a file whose mount dropped out has to be opened anew
        raise
    digest = hashlib.sha256(stored.tobytes()).hexdigest()
    return np.ascontiguousarray(stored.T, dtype=np.float32), digest
