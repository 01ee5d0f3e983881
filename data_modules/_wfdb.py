"""Reading WFDB records, the form in which PhysioNet publishes signals."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import wfdb

from pahcl.errors import RecordError
from pahcl.signals.recording import Recording
from pahcl.store import Rejection, is_machines_fault

MISSING = np.iinfo(np.int16).min
"""Count by which WFDB format 16 marks a missing sample."""

INVALID = {
    "24": -(2**23), "32": -(2**31), "80": -(2**7), "160": MISSING, "212": -(2**11),
    "310": -(2**9), "311": -(2**9),
}  # fmt: skip
"""The same for other formats (WFDB, signal(5)); format 16 otherwise."""


def read_wfdb(path: Path, record_id: str, subject_id: str, fs: float) -> Recording:
    """Read one record in its own unit and rate, with the step of its converter.

    Args:
        path: The record without suffix; `<path>.hea` and the signal file that it names are read.
        record_id: The data set's identifier of the record.
        subject_id: The data set's identifier of the person.
        fs: Rate in Hz that the data set gives. A header may leave its rate out, and is then read as
            if it said 250 Hz; so another rate than this one is refused.

    Returns:
        The recording; missing samples are NaN.

    Raises:
        RecordError: A file is missing, the header cannot be read, lists no signal or states another
            rate, the leads have different units, or the samples do not match the checksums of the
            header.
        OSError: The machine cannot read the files now.
    """
    try:
        return _read(path, record_id, subject_id, fs)
    except FileNotFoundError as error:
        raise RecordError(f"the file {Path(error.filename or path).name} is missing") from error
    except KeyError as error:
        raise RecordError(
            f"the header names {error.args[0]} as format of the samples, which is none of WFDB's"
        ) from error
    except MemoryError as error:
        raise RecordError("the header announces more samples than any record has") from error
    except (ValueError, IndexError, TypeError, AttributeError, OverflowError, OSError) as error:
        if isinstance(error, OSError) and is_machines_fault(error):
            raise
        raise RecordError(f"not a readable WFDB record ({error})") from error


def _read(path: Path, record_id: str, subject_id: str, fs: float) -> Recording:
    record = wfdb.rdrecord(str(path), physical=False)
    if not record.n_sig or not record.units:
        raise RecordError("the header lists no signal")
    if record.fs != fs:
        raise RecordError(
            f"the header states {record.fs:g} Hz (or no rate, which WFDB reads as 250 Hz), but the "
            f"data set gives {fs:g} Hz"
        )
    files = dict.fromkeys(record.file_name)  # leads may lie in several, as in the PTB database
    source = b"".join(path.with_name(name).read_bytes() for name in files)
    counts = np.asarray(record.d_signal, dtype=np.int64).T
    missing = [INVALID.get(code, MISSING) for code in record.fmt]
    return calibrate(record, counts, record_id, subject_id, source, missing)


class Header(Protocol):
    """What a WFDB header says of its signals, by the names of the package `wfdb`."""

    @property
    def fs(self) -> float:
        """Sampling rate in Hz."""

    @property
    def sig_name(self) -> Sequence[str]:
        """Names of the leads."""

    @property
    def units(self) -> Sequence[str]:
        """Unit of each lead."""

    @property
    def adc_gain(self) -> Sequence[float]:
        """Counts per unit of each lead."""

    @property
    def baseline(self) -> Sequence[int]:
        """Count of each lead that means 0."""

    @property
    def checksum(self) -> Sequence[int | None] | None:
        """Sum of each lead's counts modulo 65536, where it is stated."""


def calibrate(
    header: Header,
    counts: npt.NDArray[np.int64],
    record_id: str,
    subject_id: str,
    source: bytes,
    missing: Sequence[int] = (MISSING,),
) -> Recording:
    """Turn the converter's counts into physical units, with the step of each lead.

    Args:
        header: What the counts mean.
        counts: `[leads, samples]`.
        record_id: The data set's identifier of the record.
        subject_id: The data set's identifier of the person.
        source: The publisher's bytes of the samples.
        missing: Count that marks a missing sample, of all leads or of each.

    Raises:
        RecordError: The leads have different units, or the counts do not match the checksums of
            the header.
    """
    if len(set(header.units)) != 1:
        raise RecordError(f"the leads have different units: {', '.join(sorted(set(header.units)))}")
    stated = header.checksum
    if stated is not None and None not in stated:
        wrong = (counts.sum(axis=1) - np.asarray(stated, dtype=np.int64)) % 65536 != 0
        if wrong.any():
            leads = ", ".join(np.asarray(header.sig_name)[wrong])
            raise RecordError(f"the samples do not match the header's checksum in lead {leads}")
    steps = 1 / np.asarray(header.adc_gain, dtype=np.float64)
    signal = (counts - np.asarray(header.baseline)[:, None]) * steps[:, None]
    signal[counts == np.asarray(missing)[:, None]] = np.nan
    return Recording(
        signal=signal.astype(np.float32),
        fs=float(header.fs),
        leads=tuple(header.sig_name),
        unit=header.units[0],
        record_id=record_id,
        subject_id=subject_id,
        resolution=steps,
        source_sha256=hashlib.sha256(source).hexdigest(),
    )


def unlisted(root: Path, pattern: str, listed: set[str | None], table: str) -> list[Rejection]:
    """Name the record files on disk that the publisher's table does not list.

    Args:
        root: The data set's folder.
        pattern: Glob of the record files, which are listed without their suffix.
        listed: Names that the table gives, relative to `root`.
        table: Name of the table, for the reason.
    """
    found = sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.glob(pattern))
    return [
        Rejection(name, Path(name).name, f"{table} does not list this file")
        for name in found
        if name not in listed
    ]
