"""One record as its file gives it, and the recording that it is with what a person says besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_modules._arguments import HIGHEST_RATE, LOWEST_RATES
from pahcl.errors import RecordError
from pahcl.signals.recording import Recording
from pahcl.signals.spec import Modality

LARGEST_FILE = 2 * 2**30
"""Most bytes of a file that holds one record: a day of 12 leads at 500 Hz has 1.04e9."""

MOST_VALUES = 2**29
"""Most numbers of one record, for headers that announce what no memory holds."""


@dataclass(frozen=True)
class Raw:
    """Hold what a file says of a record, and what it does not.

    Args:
        values: `[L]` or `[C, L]`; `[L, C]` is possible where `oriented` is false.
        fs: Rate in Hz; None where the file is silent.
        unit: Unit of the samples; None where the file is silent.
        names: Names of the channels; None where the file is silent.
        resolution: `[C]` step of the converter, where the samples are multiples of it.
        sha256: Checksum of the bytes that were read.
        oriented: Whether `values` is known to be `[C, L]`.
    """

    values: npt.NDArray[Any]
    fs: float | None
    unit: str | None
    names: tuple[str, ...] | None
    sha256: str
    resolution: npt.NDArray[np.float64] | None = None
    oriented: bool = True


@dataclass(frozen=True)
class Facts:
    """Hold what a person says of files that do not say it themselves.

    Args:
        modality: What is recorded.
        fs: Rate in Hz.
        unit: Unit of the samples.
        leads: Lead of each channel by its name in the file; in order where the file names none.
    """

    modality: Modality | None = None
    fs: float | None = None
    unit: str | None = None
    leads: Mapping[str, str] | None = None


def require_size(path: Path, largest: int = LARGEST_FILE) -> None:
    """Refuse a file that is missing, empty, or larger than any record.

    Raises:
        RecordError: With what is wrong.
        OSError: The machine cannot look at it now.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise RecordError(f"the file {path.name} is missing") from error
    if not path.is_file():
        raise RecordError(f"{path.name} is no file")
    if not size:
        raise RecordError(f"the file {path.name} is empty")
    if size > largest:
        raise RecordError(f"{path.name} has {size} bytes, more than any record ({largest})")


def recording_of(raw: Raw, facts: Facts, record_id: str, subject_id: str) -> Recording:
    """Complete what a file says by what a person says.

    Raises:
        RecordError: Rate, unit or names of the channels are not known, or cannot be.
    """
    fs = raw.fs if raw.fs is not None else facts.fs
    unit = raw.unit or facts.unit
    if fs is None:
        raise RecordError("the file does not say its rate: give recorded_fs")
    lowest = LOWEST_RATES[facts.modality or "ecg"]
    if not lowest <= fs <= HIGHEST_RATE:
        raise RecordError(
            f"the rate is {fs:g} Hz, not one between {lowest:g} and {HIGHEST_RATE:g} Hz"
        )
    if unit is None:
        raise RecordError("the file does not say the unit of its samples: give unit")
    values, names = _channels(raw, facts)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, hence missing
        signal = np.ascontiguousarray(values, dtype=np.float32)
    return Recording(
        signal=signal,
        fs=float(fs),
        leads=names,
        unit=unit,
        record_id=record_id,
        subject_id=subject_id,
        resolution=raw.resolution,
        source_sha256=raw.sha256,
    )


def _channels(raw: Raw, facts: Facts) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Give `[C, L]` with the name of each channel."""
    leads = dict(facts.leads or {})
    values = raw.values[None] if raw.values.ndim == 1 else raw.values
    if raw.names is not None:
        return values, tuple(leads.get(name, name) for name in raw.names)
    names = tuple(leads.values())
    if not names and facts.modality == "pcg":
        names = ("PCG",)
    if not names:
        raise RecordError("the file does not name its channels: give channels, in order")
    count = len(names)
    fitting = [axis for axis, size in enumerate(values.shape) if size == count]
    if raw.oriented or raw.values.ndim == 1:
        fitting = [axis for axis in fitting if axis == 0]
    if len(fitting) != 1:
        raise RecordError(
            f"the samples have the shape {raw.values.shape}, which does not fit the "
            f"{count} channel(s) {', '.join(names)}"
        )
    return (values if fitting[0] == 0 else values.T), names


def require_numbers(values: Any, what: str) -> None:
    """Refuse an array, or one on disk, that cannot be samples.

    Raises:
        RecordError: It holds no real numbers, or is of an impossible shape.
    """
    if values.dtype.kind not in "iuf":
        raise RecordError(f"{what} holds {values.dtype}, not integers or real numbers")
    if not 1 <= len(values.shape) <= 3:
        raise RecordError(f"{what} has the shape {values.shape}, not that of signals")


def pick(values: Any, row: int | None, what: str) -> npt.NDArray[Any]:
    """Take one record out of an array, or out of one on disk.

    Args:
        values: `[L]`, `[C, L]`, `[L, C]`; or `[N, L]`, `[N, C, L]`, `[N, L, C]` with a row.
        row: The record's place; None where the array is one record.
        what: Name of the array, for the reason.

    Raises:
        RecordError: There is no such row, or a row is needed, or it is too large.
    """
    require_numbers(values, what)
    shape = tuple(values.shape)
    if row is None and len(shape) == 3:
        raise RecordError(
            f"{what} has the shape {shape}, so it holds many records: name the table's column of "
            "row numbers with row"
        )
    if row is not None and (len(shape) == 1 or not 0 <= row < shape[0]):
        raise RecordError(f"{what} has the shape {shape} and no row {row}")
    wanted = shape if row is None else shape[1:]
    if np.prod(wanted, dtype=np.float64) > MOST_VALUES:
        raise RecordError(f"{what} has the shape {wanted}, more than any record")
    return np.asarray(values[()] if row is None else values[row])
