"""Records in the form of the PhysioNet Challenges 2020 and 2021: a text header, and MATLAB 4."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import scipy.io

from pahcl.simulation.ecg import LEADS, twelve_leads

Steps = npt.NDArray[np.int16]
Style = Literal["plain", "long"]

INVALID = -32768
"""The value of format 16 that says: no sample."""

_LEAD = {"plain": "16+24 1000/mV", "long": "16x1+24 1000.0(0)/mV"}
_COMMENT = {"plain": "#", "long": "# "}
_TEXT_BYTES = 116


def to_steps(signal: npt.NDArray[np.float32]) -> Steps:
    """Convert `[8, samples]` in mV to all leads in steps of 1 µV, `[12, samples]`."""
    eight = np.round(signal.astype(np.float64) * 1000)
    return np.clip(np.round(twelve_leads(eight)), -32767, 32767).astype(np.int16)


def header(
    name: str,
    steps: Steps,
    said: Mapping[str, str],
    style: Style = "plain",
    fs: int = 500,
    date: str = "",
) -> str:
    """Write out a header.

    Args:
        name: Name of the record.
        steps: `[12, samples]` in steps of 1 µV.
        said: Comments, in order: `Age`, `Sex`, `Dx` and so on.
        style: `1000/mV` and `#Dx`, or `1000.0(0)/mV` and `# Dx`; publishers mix them.
        fs: Rate in Hz.
        date: Day and time behind the number of samples, where they are given.
    """
    # The publishers write the sum of the counts as a signed 16 bit number.
    sums = steps.astype(np.int64).sum(axis=1).astype(np.int16)
    lines = [f"{name} {len(LEADS)} {fs} {steps.shape[1]} {date}".rstrip()]
    lines += [
        f"{name}.mat {_LEAD[style]} 16 0 {first} {total} 0 {lead}"
        for lead, first, total in zip(LEADS, steps[:, 0], sums, strict=True)
    ]
    lines += [f"{_COMMENT[style]}{key}: {value}" for key, value in said.items()]
    return "\n".join(lines) + "\n"


def matlab_4(steps: Steps) -> bytes:
    """Write out the samples as the variable `val` of a MATLAB file of version 4."""
    stream = io.BytesIO()
    scipy.io.savemat(cast(Any, stream), {"val": steps}, format="4")  # the stubs know names alone
    return stream.getvalue()


def matlab_5(struct: Mapping[str, Mapping[str, object]]) -> bytes:
    """Write out a compressed struct as a MATLAB file of version 5, without the time of writing."""
    stream = io.BytesIO()
    scipy.io.savemat(cast(Any, stream), cast(Any, struct), do_compression=True)
    text = b"MATLAB 5.0 MAT-file, simulated".ljust(_TEXT_BYTES)
    return text + stream.getvalue()[_TEXT_BYTES:]


def write_record(path: Path, text: str, samples: bytes) -> None:
    """Write header and samples of the record that `path` names without a suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.hea").write_text(text, encoding="ascii")
    path.with_name(f"{path.name}.mat").write_bytes(samples)


def said_of(age: float | None, sex: str, codes: Sequence[str]) -> dict[str, str]:
    """Give the comments of a header."""
    age_said = "NaN" if age is None else str(int(age))
    words = {"Age": age_said, "Sex": sex, "Dx": ",".join(codes) or "Unknown"}
    return {**words, "Rx": "Unknown", "Hx": "Unknown", "Sx": "Unknown"}
