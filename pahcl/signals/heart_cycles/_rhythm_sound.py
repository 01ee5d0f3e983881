"""How loud a heart sound is from frame to frame, relative to what is around."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

Floats = npt.NDArray[np.float32]

FRAME_RATE = 100.0
"""Frames a second: fine enough for the sounds of beats at 220 a minute."""

_FLOOR = 1e-7
"""Energy of a frame that counts as silence; loud parts have some 10."""


@dataclass(frozen=True, eq=False)
class Heard:
    """Hold what can be heard in a prepared heart sound, frame by frame.

    Args:
        level: `[N]` float32, 0 in the quiet and 1 in the loud parts of what is around.
        contrast: Logarithm of the energy of loud over that of quiet parts.
    """

    level: Floats
    contrast: float


@lru_cache(maxsize=8)
def _taper(width: int) -> Floats:
    return np.hanning(width + 1)[:width].astype(np.float32)


def hear(
    signal: npt.NDArray[np.floating],
    fs: float,
    width: float,
    band: tuple[float, float],
    around: float,
) -> Heard:
    """Measure the level.

    Args:
        signal: `[L]`, prepared.
        fs: Rate in Hz.
        width: Length of the frames of the spectrum in seconds.
        band: Band of heart sounds in Hz.
        around: Seconds over which quiet and loud are judged.
    """
    power, step = _power(signal, fs, width)
    frequency = np.arange(power.shape[1]) * step
    inside = ((frequency >= band[0]) & (frequency <= band[1])).astype(np.float32)
    energy = np.log(power @ inside + np.float32(_FLOOR))
    level, contrast = _relative(energy, max(round(around * FRAME_RATE), 2))
    return Heard(level, contrast)


def _power(signal: npt.NDArray[np.floating], fs: float, width: float) -> tuple[Floats, float]:
    """Give the power spectrum of overlapping frames, and the step of its frequencies."""
    hop = fs / FRAME_RATE
    size = max(round(width * fs), 2)
    count = max(int(len(signal) / hop), 1)
    begin = np.round(np.arange(count) * hop + 0.5 * hop).astype(np.int64)
    room = int(begin[-1]) + size
    padded = np.zeros(room, dtype=np.float32)
    head = size // 2
    piece = signal[: room - head]
    padded[head : head + len(piece)] = piece
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[begin] * _taper(size)
    spectrum = scipy.fft.rfft(frames, axis=1)
    return spectrum.real**2 + spectrum.imag**2, fs / size


def _relative(values: Floats, around: int) -> tuple[Floats, float]:
    """Scale to 0 in the quiet and 1 in the loud parts of windows, between which they glide."""
    quiet, loud = (float(np.quantile(values, q)) for q in _QUIET_LOUD)
    contrast = loud - quiet
    count = len(values)
    if count <= around:
        return (values - np.float32(quiet)) / np.float32(max(contrast, 0.1)), contrast
    windows = 2 * -(-count // around) - 1
    begin = np.linspace(0, count - around, windows).astype(np.int64)
    pieces = np.sort(values[begin[:, None] + np.arange(around)], axis=1)
    low, top = (pieces[:, round(q * (around - 1))] for q in _QUIET_LOUD)
    span = np.maximum(top - low, 0.5 * contrast + 0.1)
    place, centre = np.arange(count), begin + around / 2
    scaled = (values - np.interp(place, centre, low)) / np.interp(place, centre, span)
    return scaled.astype(np.float32), contrast


_QUIET_LOUD = (0.4, 0.92)
"""Shares of the frames that are quieter than quiet and loud ones: heart sounds take a fifth to
two fifths of the time."""
