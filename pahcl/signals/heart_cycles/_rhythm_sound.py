"""How loud a heart sound is from frame to frame, relative to what is around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.ndimage

Floats = npt.NDArray[np.float32]

FRAME_RATE = 100.0
"""Frames a second: fine enough for the sounds of beats at 220 a minute."""

LEVELS = (-0.5, 1.4)
"""Levels beyond which a frame counts as no quieter and no louder: a knock is no better beat."""

_SMOOTHED = 0.003
"""Seconds over which samples are averaged: heart sounds lie mostly below 150 Hz, murmurs above."""

_FLOOR = np.float32(1e-9)
"""Mean square that counts as silence; loud parts have some 0.1."""


@dataclass(frozen=True, eq=False)
class Heard:
    """Hold what can be heard in a prepared heart sound, frame by frame.

    Args:
        level: `[N]` float32, 0 in the quiet and 1 in the loud parts of what is around.
        contrast: Logarithm of the energy of loud over that of quiet parts.
        energy: `[N]` float32, logarithm of the mean square of what is low.
        pitch: `[N]` float32, logarithm of the frequency in Hz, as a root of a mean square.
    """

    level: Floats
    contrast: float
    energy: Floats
    pitch: Floats


def hear(signal: npt.NDArray[np.floating], fs: float, width: float, around: float) -> Heard:
    """Measure the level.

    Args:
        signal: `[L]`, prepared.
        fs: Rate in Hz.
        width: Seconds over which energy is averaged, with a weight that falls to 0 at both ends.
        around: Seconds over which quiet and loud are judged.
    """
    step = round(fs / FRAME_RATE)
    count = max(len(signal) // step, 1)
    samples = np.zeros(count * step, dtype=np.float32)
    samples[: len(signal)] = signal[: len(samples)]
    taps = max(round(_SMOOTHED * fs), 1)
    low = np.convolve(samples, np.full(taps, 1 / taps, dtype=np.float32), "same")
    slope = np.zeros_like(samples)
    np.subtract(samples[1:], samples[:-1], out=slope[:-1])
    frames = max(round(width * FRAME_RATE), 1) | 1
    weights = np.hanning(frames + 2)[1:-1] ** 2
    weights /= weights.sum()
    mean = np.full(step, 1 / step, dtype=np.float32)
    energy, whole, slopes = (
        np.log(
            scipy.ndimage.correlate1d(
                np.square(x).reshape(count, step) @ mean, weights, mode="constant"
            )
            + _FLOOR
        )
        for x in (low, samples, slope)
    )
    level, contrast = _relative(energy, max(round(around * FRAME_RATE), 2))
    # The mean square of the slope over that of the signal is that of the angular frequency.
    pitch = (slopes - whole) / 2 + np.float32(np.log(fs / (2 * np.pi)))
    return Heard(level, contrast, energy, pitch)


def _relative(values: Floats, around: int) -> tuple[Floats, float]:
    """Scale to 0 in the quiet and 1 in the loud parts of windows, between which they glide."""
    count = len(values)
    places = [round(q * (count - 1)) for q in _QUIET_LOUD]
    ranked = np.partition(values, places)
    quiet, loud = (float(ranked[place]) for place in places)
    contrast = loud - quiet
    if count <= around:
        return (values - np.float32(quiet)) / np.float32(max(contrast, 0.1)), contrast
    windows = 2 * -(-count // around) - 1
    begin = np.linspace(0, count - around, windows).astype(np.int64)
    places = [round(q * (around - 1)) for q in _QUIET_LOUD]
    pieces = np.partition(values[begin[:, None] + np.arange(around)], places, axis=1)
    low, top = (pieces[:, place] for place in places)
    span = np.maximum(top - low, 0.5 * contrast + 0.1)
    place, centre = np.arange(count), begin + around / 2
    scaled = (values - np.interp(place, centre, low)) / np.interp(place, centre, span)
    return scaled.astype(np.float32), contrast


_QUIET_LOUD = (0.4, 0.92)
"""Shares of the frames that are quieter than quiet and loud ones: heart sounds take a fifth to
two fifths of the time."""
