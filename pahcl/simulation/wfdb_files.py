"""WFDB records in format 16: a text header and little-endian int16 samples, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

INVALID = -32768
"""The value of format 16 that says: no sample."""

LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""Lead names as PTB-XL spells them."""

GAIN = 1000
"""Steps of the converter per mV."""


def write_header(
    path: Path,
    steps: npt.NDArray[np.int16],
    fs: int,
    leads: Sequence[str] = LEADS,
    gain: int = GAIN,
    start: str = "",
) -> None:
    """Write the header that belongs to `[12, samples]` steps.

    Args:
        path: The record without an extension.
        steps: Samples in steps of the converter.
        fs: Sampling rate in Hz.
        leads: Names of the leads, in the order of `steps`.
        gain: Steps of the converter per mV.
        start: Time and day, where they are given.
    """
    name = path.name
    sums = steps.astype(np.int64).sum(axis=1) % 65536
    lines = [f"{name} {len(leads)} {fs} {steps.shape[1]} {start}".rstrip()]
    lines += [
        f"{name}.dat 16 {gain}.0(0)/mV 16 0 {first} {total} 0 {lead}"
        for lead, first, total in zip(leads, steps[:, 0], sums, strict=True)
    ]
    path.with_name(f"{name}.hea").write_text("\n".join(lines) + "\n", encoding="ascii")


def write_samples(path: Path, steps: npt.NDArray[np.int16]) -> None:
    """Write the samples of `[12, samples]` steps beside the header."""
    path.with_name(f"{path.name}.dat").write_bytes(steps.T.astype("<i2").tobytes())


def write_record(path: Path, steps: npt.NDArray[np.int16], fs: int) -> None:
    """Write header and samples."""
    write_header(path, steps, fs)
    write_samples(path, steps)
