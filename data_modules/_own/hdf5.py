"""HDF5 files: one record a file, or many in the rows of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from data_modules._own.raw import Raw, pick, require_size
from pahcl.errors import RecordError, told_by
from pahcl.store import is_machines_fault

KEYS = ("ecg", "pcg", "signal", "signals", "tracings", "cycles", "data", "x")
"""Names of data sets that are taken where a file holds several, in this order."""

CYCLES = "cycles"
"""Data set whose rows are heart cycles, one record each, in PA-HCL's layout."""

MOST_CYCLES = 10**6
"""Most heart cycles of a file: a day has a tenth of that."""

_RATES = ("fs", "sample_rate", "sampling_rate", "sampling_frequency", "frequency")
_UNITS = ("unit", "units")
_LARGEST_ARRAY = 2**50
_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError, OverflowError, MemoryError)


def read(path: Path, key: str | None, row: int | None) -> Raw:
    """Read a data set, or a row of it, in the values that it holds.

    Args:
        path: The file.
        key: Name of the data set; None takes the only one, or one that is called like a signal.
        row: The record's place in a data set of many.

    Raises:
        RecordError: The file is damaged or names nothing that can be read within it.
        OSError: The machine cannot read it now.
    """
    require_size(path, _LARGEST_ARRAY)
    try:
        with h5py.File(path, "r") as file:
            found = _dataset(file, key)
            values = pick(found, row, f"the data set {found.name}")
            fs = _said(found, file, _RATES)
            unit = _said(found, file, _UNITS)
    except _ERRORS as error:
        if isinstance(error, OSError) and is_machines_fault(error):
            raise
        raise RecordError(f"not a readable HDF5 file ({told_by(error)})") from error
    rate = _number(fs)
    if fs is not None and rate is None:
        raise RecordError(f"the file states {str(fs)[:40]!r} as its rate")
    digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
    text = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else unit
    known = text.strip() if isinstance(text, str) and text.strip() else None
    return Raw(values, rate, known, None, digest, oriented=False)


def cycles(path: Path) -> int | None:
    """Count the heart cycles of a file in PA-HCL's layout; None for a file of another kind."""
    try:
        with h5py.File(path, "r") as file:
            found = _dataset(file, CYCLES) if CYCLES in file else None
            if found is None or len(found.shape) != 2 or found.shape[0] > MOST_CYCLES:
                return None
            return int(found.shape[0])
    except (RecordError, *_ERRORS) as error:
        if isinstance(error, OSError) and is_machines_fault(error):
            raise
        return None  # what is wrong is said when it is read


def _dataset(file: h5py.File, key: str | None) -> Any:
    """Find the data set; what lies in another file is never followed."""
    names = dict.fromkeys(_datasets(file))
    if key is None:
        named = [name for name in KEYS if name in names]
        if not named and len(names) != 1:
            shown = ", ".join([*names][:5]) or "none"
            raise RecordError(f"it is not clear which data set is the signal ({shown}): give key")
        key = named[0] if named else next(iter(names))
    key = key.strip("/")
    if key not in names:
        shown = ", ".join([*names][:5]) or "none"
        raise RecordError(f"the file has no data set {key}; it has {shown}")
    found = file[key]
    if found.external or found.is_virtual:
        raise RecordError(f"the data set {key} keeps its samples in another file")
    return found


def _datasets(group: h5py.Group, above: str = "", depth: int = 0) -> Iterator[str]:
    """Name the data sets that lie in the file itself."""
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        path, found = f"{above}{name}", group[name]
        if isinstance(found, h5py.Dataset):
            yield path
        elif isinstance(found, h5py.Group) and depth < 8:
            yield from _datasets(found, f"{path}/", depth + 1)


def _said(dataset: Any, file: h5py.File, names: tuple[str, ...]) -> Any:
    """Give the first attribute of one of these names."""
    for holder in (dataset, dataset.parent, file):
        for name in names:
            if name in holder.attrs:
                return holder.attrs[name]
    return None


def _number(value: Any) -> float | None:
    """Read a positive finite number, alone or in an array of one."""
    try:
        found = float(np.asarray(value).reshape(-1)[0]) if np.size(value) == 1 else np.nan
    except (TypeError, ValueError):
        return None
    return found if 0 < found < np.inf else None
