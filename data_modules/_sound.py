"""Reading sound files, in which publishers give heart sounds: wav and whatever libsndfile knows."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from data_modules._matlab import read_bytes
from pahcl.errors import RecordError, told_by
from pahcl.signals.recording import Recording

FULL_SCALE = "full scale"
"""Unit of a sound: a share of the largest count that the converter has."""

SHORTEST_SECONDS = 0.5
"""A shorter sound holds no whole heart cycle, at 120 beats a minute."""

QUIETEST = 1e-3
"""A sound that stays this near to its median, in shares of full scale, is near silence: the 16 bit
of its file carry fewer than six."""

_STEPS = {"PCM_U8": 2.0**-7, "PCM_S8": 2.0**-7, "PCM_16": 2.0**-15, "PCM_24": 2.0**-23}
MOST_SAMPLES = 2**29
"""Samples of all channels together that a sound may have: 37 hours at 4 kHz."""

_UNKNOWN_SIZES = frozenset({0, 0xFFFFFFFF})


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


class Sound(NamedTuple):
    """Hold a decoded sound.

    Args:
        samples: `[channels, L]` shares of full scale: float32 where that holds the file's integers,
            else float64.
        fs: Rate in Hz.
        step: Step of the converter, where the samples are multiples of it.
    """

    samples: npt.NDArray[np.floating]
    fs: float
    step: float | None


def decode(data: bytes) -> Sound:
    """Decode the bytes of a sound file.

    Raises:
        RecordError: They are no sound, are cut off, or promise more samples than any record has.
    """
    require_whole(data)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            announced, fs = sound.frames, float(sound.samplerate)
            if announced * sound.channels > MOST_SAMPLES:
                raise RecordError(f"it announces {announced} samples, more than any record")
            step = _STEPS.get(sound.subtype)
            dtype = "float64" if step is None else "float32"
            samples = sound.read(dtype=dtype, always_2d=True).T
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        # The library's own words, without the object that it was given.
        text = getattr(error, "error_string", None) or told_by(error)
        raise RecordError(f"not a readable sound file ({text})") from error
    if samples.shape[1] < announced:
        raise RecordError(f"the file ends after {samples.shape[1]} of {announced} samples")
    return Sound(samples, fs, step)


def require_whole(data: bytes) -> None:
    """Refuse a wav that ends before its own length, of which libsndfile reads what is there.

    Raises:
        RecordError: With the number of bytes that lack.
    """
    if data[:4] != b"RIFF" or len(data) < 8:
        return
    stated = int.from_bytes(data[4:8], "little")
    # The byte that makes the last chunk even may lack, and does no harm.
    if stated not in _UNKNOWN_SIZES and stated + 7 > len(data):
        raise RecordError(f"the file ends {stated + 8 - len(data)} bytes before its sound does")


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
