"""The HDF5 parts of CODE-15%: which row holds which exam, and open files that are kept open."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from pahcl.errors import RecordError
from pahcl.store import Rejection


def part_rows(path: Path) -> tuple[list[str], int]:
    """Read the exam ids of a part and count its tracings.

    Raises:
        RecordError: The part is truncated, or is no part of CODE-15%.
    """
    try:
        with h5py.File(path, "r") as part:
            ids = np.asarray(part["exam_id"][:], dtype=np.int64).astype(str).tolist()
            shape = part["tracings"].shape
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise RecordError(f"{path.name} cannot be read ({error}); fetch it again") from error
    if len(shape) != 3 or shape[2] != 12:
        raise RecordError(f"{path.name} holds tracings of shape {shape}, not [exams, samples, 12]")
    return ids, int(shape[0])


def locate_exams(
    parts: Iterable[Path], known: set[str]
) -> tuple[dict[str, tuple[str, int]], list[Rejection], dict[str, str]]:
    """Find the row of every exam by reading the parts' ids; no tracing is read.

    Args:
        parts: The HDF5 files, in order.
        known: Exam ids of `exams.csv`.

    Returns:
        Exam id -> (part, row); the rows that are no use, each with its reason; and why a part as a
        whole cannot be read, by its name.
    """
    places: dict[str, tuple[str, int]] = {}
    rejected: list[Rejection] = []
    broken: dict[str, str] = {}
    for path in parts:
        try:
            ids, tracings = part_rows(path)
        except RecordError as error:
            broken[path.name] = error.reason
            continue
        for row, exam in enumerate(ids):
            reason = None
            if exam == "0" and exam not in known:
                reason = "a dummy row without an exam"
            elif exam not in known:
                reason = "exams.csv does not list this exam"
            elif exam in places:
                reason = "another row holds the same exam; that one is taken"
            elif row >= tracings:
                reason = f"the part ends after {tracings} tracings, before this exam"
            if reason is None:
                places[exam] = (path.name, row)
            else:
                rejected.append(Rejection(path.name, f"{exam} (row {row})", reason))
        reason = f"the part lists {len(ids)} exam ids, none for this tracing"
        beyond = range(len(ids), tracings)
        rejected += [Rejection(path.name, f"(row {row})", reason) for row in beyond]
    return places, rejected, broken


def absence(
    named: pd.Series, there: pd.Series, parts: set[str], broken: dict[str, str]
) -> dict[str, pd.Series]:
    """Say why exams of `exams.csv` have no tracing.

    Args:
        named: The part that `exams.csv` names for each exam.
        there: Whether a row was found.
        parts: Names of the parts in the folder.
        broken: Why a part cannot be read, by its name.

    Returns:
        Reason -> mask of the exams that it concerns.
    """
    gone = ~there
    return {
        **{reason: gone & (named == part) for part, reason in broken.items()},
        "the part that exams.csv names is not in the folder": gone & ~named.isin(parts),
        "no readable row of its part holds this exam": gone,
    }


@functools.lru_cache(maxsize=4)
def _open(path: Path, process: int) -> h5py.File:
    return h5py.File(path, "r")


def tracing(path: Path, row: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Read one row of a part as `[12, samples]`; each process keeps its files open."""
    part = _open(path, os.getpid())
    return np.ascontiguousarray(part["tracings"][row].T, dtype=np.float32)
