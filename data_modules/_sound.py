"""Heart sounds as publishers give them: one channel of one rate, in a sound file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_modules._matlab import read_bytes
from pahcl.errors import RecordError
from pahcl.signals.heart_cycles.hearing import SHORTEST_SECONDS
from pahcl.signals.recording import Recording
from pahcl.signals.sound import FULL_SCALE, decode

QUIETEST = 1e-3
"""A sound that stays this near to its median, in shares of full scale, is near silence: the 16 bit
of its file carry fewer than six."""


def read_sound(path: Path, fs: float) -> tuple[npt.NDArray[np.float32], float | None, str]:
    """Read a sound of one channel.

    Args:
        path: The file.
        fs: Rate in Hz that the data set gives; a file of another one is refused.

    Returns:
        Samples `[L]` in shares of full scale, the converter's step where the samples are integers,
        and the SHA-256 of the file.

    Raises:
        RecordError: The file is missing, empty, cut off, of another kind, rate or number of
            channels, or holds no sample.
        OSError: The machine cannot read it now.
    """
    data = read_bytes(path)
    sound = decode(data)
    rate, channels = sound.fs, len(sound.samples)
    if rate != fs:
        raise RecordError(f"the sound has {rate:g} Hz, but the data set gives {fs:g} Hz")
    if channels != 1:
        raise RecordError(f"the sound has {channels} channels, but the data set gives one")
    if not sound.samples.size:
        raise RecordError("the sound holds no sample")
    samples = sound.samples[0].astype(np.float32, copy=False)
    return samples, sound.step, hashlib.sha256(data).hexdigest()


def require_heart_sound(samples: npt.NDArray[np.float32], fs: float) -> None:
    """Refuse a sound in which no heart can be heard, since it is too short or near silence.

    Raises:
        RecordError: With its duration or its loudest sample.
    """
    seconds = len(samples) / fs
    if seconds < SHORTEST_SECONDS:
        raise RecordError(
            f"the sound lasts {seconds:.3g} s, less than a heart cycle ({SHORTEST_SECONDS:g} s)"
        )
    finite = samples[np.isfinite(samples)]
    peak = float(np.abs(finite - np.median(finite)).max(initial=0)) if finite.size else 0.0
    if peak < QUIETEST:
        raise RecordError(
            f"the sound is near silence: its loudest sample is {peak:.2g} of full scale, less than "
            f"{QUIETEST:g}"
        )


def read_heart_sound(path: Path, fs: float, record_id: str, subject_id: str) -> Recording:
    """Read a heart sound of one channel as a recording with the lead `PCG`.

    Args:
        path: The file.
        fs: Rate in Hz that the data set gives.
        record_id: The data set's identifier of the record.
        subject_id: The data set's identifier of the person.

    Raises:
        RecordError: As `read_sound` and `require_heart_sound` say.
        OSError: The machine cannot read the file now.
    """
    samples, step, digest = read_sound(path, fs)
    require_heart_sound(samples, fs)
    return Recording(
        signal=samples[None],
        fs=fs,
        leads=("PCG",),
        unit=FULL_SCALE,
        record_id=record_id,
        subject_id=subject_id,
        resolution=None if step is None else np.array([step]),
        source_sha256=digest,
    )
