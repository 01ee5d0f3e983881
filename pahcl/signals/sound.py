"""Reading sound files of any kind: wav, FLAC and whatever else libsndfile knows.

Integers of 8, 16, 24 and 32 bits become shares of the converter's full scale; floats are taken as
such shares already. Chunks stand in any order.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from pahcl.errors import RecordError, told_by

FULL_SCALE = "full scale"
"""Unit of a sound: a share of the largest count that the converter has."""

MOST_SAMPLES = 2**29
"""Samples of all channels together that a sound may have in memory: 37 hours at 4 kHz."""

_STEPS = {"PCM_U8": 2.0**-7, "PCM_S8": 2.0**-7, "PCM_16": 2.0**-15, "PCM_24": 2.0**-23}
# What wav writers that do not know the length yet put in its place: 0, or about the largest number
# with or without a sign. libsndfile then reads to the end of the file.
_LARGEST_KNOWN = 0x7FFFF000
_FRAMES_AT_ONCE = 2**18


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
    _require_whole(data[:8], len(data))
    with _named_errors(), soundfile.SoundFile(io.BytesIO(data)) as sound:
        announced, fs = sound.frames, float(sound.samplerate)
        if announced * sound.channels > MOST_SAMPLES:
            raise RecordError(f"it announces {announced} samples, more than any record")
        step = _STEPS.get(sound.subtype)
        dtype = "float64" if step is None else "float32"
        samples = sound.read(dtype=dtype, always_2d=True).T
    _require_all(samples.shape[1], announced)
    return Sound(samples, fs, step)


@dataclass
class SoundFile:
    """Read a sound file of any length piece by piece, its channels mixed to one.

        with SoundFile(Path("night.flac")) as sound:
            first_minute = sound.read(0, round(60 * sound.fs))

    Args:
        path: The file.

    Attributes:
        fs: Rate in Hz.
        channels: Number of channels of the file.
        length: Number of samples.
        step: Step of the converter, where the samples of the file are multiples of it.
        loudest: Largest of the samples that have been read, over all channels.

    Raises:
        RecordError: The file is missing, empty, no sound or cut off.
        OSError: The machine cannot read it now.
    """

    path: Path
    fs: float = field(init=False)
    channels: int = field(init=False)
    length: int = field(init=False)
    step: float | None = field(init=False)
    loudest: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        begin, size = _begin(self.path)
        _require_whole(begin, size)
        with _named_errors():
            self._file = soundfile.SoundFile(self.path)
        self.fs, self.channels = float(self._file.samplerate), self._file.channels
        self.length, self.step = self._file.frames, _STEPS.get(self._file.subtype)
        self._at, self._last = 0, np.zeros(0, dtype=np.float32)

    def __enter__(self) -> SoundFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """Tell what is particular of what has been read."""
        notes = []
        if self.channels > 1:
            notes.append(f"the mean of its {self.channels} channels is taken")
        if self.loudest > 1:
            notes.append(f"its samples reach {self.loudest:.3g} times full scale")
        return tuple(notes)

    def read(self, begin: int, stop: int) -> npt.NDArray[np.float32]:
        """Read `[stop - begin]` samples; what was read last is not decoded again.

        Raises:
            RecordError: The file is damaged, or ends before its header says.
        """
        kept = self._last[:0]
        if self._at - len(self._last) <= begin <= self._at:
            kept = self._last[len(self._last) - (self._at - begin) :][: stop - begin]
        samples = np.empty(stop - begin, dtype=np.float32)
        samples[: len(kept)] = kept
        with _named_errors():
            if begin + len(kept) != self._at:
                self._file.seek(begin + len(kept))
            for place in range(len(kept), len(samples), _FRAMES_AT_ONCE):
                count = min(_FRAMES_AT_ONCE, len(samples) - place)
                block = self._file.read(count, dtype="float32", always_2d=True)
                _require_all(begin + place + len(block), min(begin + place + count, self.length))
                samples[place : place + count] = _mixed(block)
                if self.step is None:
                    real = np.isfinite(block)
                    top = float(np.max(np.abs(block), initial=0.0, where=real))
                    self.loudest = max(self.loudest, top)
        self._at, self._last = stop, samples
        return samples


def _mixed(block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Take the mean over channels of `[L, channels]`."""
    if block.shape[1] == 1:
        return block[:, 0]
    with np.errstate(invalid="ignore"):  # inf - inf of a damaged float file is missing, as NaN is
        return np.asarray(block.mean(axis=1), dtype=np.float32)


@contextmanager
def _named_errors() -> Iterator[None]:
    """Turn what the library raises at a damaged file into a `RecordError`."""
    try:
        yield
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        # The library's own words, without the object that it was given.
        text = getattr(error, "error_string", None) or told_by(error)
        raise RecordError(f"not a readable sound file ({text})") from error


def _begin(path: Path) -> tuple[bytes, int]:
    """Read the first bytes of a file, and its size."""
    try:
        if not path.is_file():
            raise RecordError(
                f"{path.name} is no file" if path.exists() else f"the file {path.name} is missing"
            )
        with path.open("rb") as file:
            begin = file.read(8)
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise RecordError(f"the file {path.name} is missing") from error
    if not size:
        raise RecordError(f"the file {path.name} is empty")
    return begin, size


def _require_whole(begin: bytes, size: int) -> None:
    """Refuse a wav that ends before its own length, of which libsndfile reads what is there."""
    if begin[:4] != b"RIFF" or size < 8:
        return
    stated = int.from_bytes(begin[4:8], "little")
    # The byte that makes the last chunk even may lack, and does no harm.
    if 0 < stated < _LARGEST_KNOWN and stated + 7 > size:
        raise RecordError(f"the file ends {stated + 8 - size} bytes before its sound does")


def _require_all(read: int, announced: int) -> None:
    if read < announced:
        raise RecordError(f"the file ends after {read} of {announced} samples")
