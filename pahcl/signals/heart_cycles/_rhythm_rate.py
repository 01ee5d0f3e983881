"""How often a heart beats: local autocorrelation of the level, and the periods it speaks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.ndimage

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

DRIFT = (0.6, 1.65)
"""Least and greatest local period over that of the recording."""

STRAY = 2.5
"""Autocorrelation that a local period has to make up for, by its squared logarithm."""


@dataclass(frozen=True, eq=False)
class Recurrence:
    """Hold how like itself a sound is some time later.

    Args:
        centre: `[W]` middle of each window in frames.
        local: `[W, lags]` autocorrelation of each window, 1 at lag 0.
        whole: `[lags]`, their mean.
    """

    centre: npt.NDArray[np.floating]
    local: Floats
    whole: Floats

    def at(self, lag: float) -> float:
        """Give the greatest value within a frame of a lag; 0 beyond the longest."""
        near = self.whole[max(round(lag) - 1, 1) : round(lag) + 2]
        return float(near.max()) if len(near) else 0.0

    def near(self, frames: Places, lags: Places) -> npt.NDArray[np.float64]:
        """Give the greatest local value within two frames of lags, `[K]`, at frames, `[K]`."""
        window = np.abs(self.centre[:, None] - frames).argmin(axis=0)
        near = np.clip(lags[:, None] + np.arange(-2, 3), 1, self.local.shape[1] - 1)
        return np.asarray(self.local[window[:, None], near].max(axis=1), dtype=np.float64)


def recurrence(level: Floats, window: int, lags: int) -> Recurrence:
    """Correlate windows that overlap by two thirds with themselves.

    Args:
        level: `[N]`, 0 in quiet and 1 in loud frames.
        window: Frames of a window, at most the whole.
        lags: Number of lags wanted.
    """
    heard = scipy.ndimage.gaussian_filter1d(
        np.minimum(np.maximum(level, np.float32(-0.3)), np.float32(1.3)), 1.0
    )
    count, size = len(level), min(window, len(level))
    windows = max(-(-3 * (count - size) // size), 0) + 1
    begin = np.linspace(0, count - size, windows).astype(np.int64)
    pieces = heard[begin[:, None] + np.arange(size)]
    pieces -= pieces.mean(axis=1, keepdims=True)
    room = scipy.fft.next_fast_len(size + lags, real=True)
    spectrum = scipy.fft.rfft(pieces, room, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    local = scipy.fft.irfft(power, room, axis=1)[:, : min(lags, size)]
    local /= local[:, :1] + np.float32(1e-9)
    # Fewer products stand for a longer lag; half of that is made up for, the rest is doubt.
    local *= np.sqrt(size / (size - np.arange(local.shape[1], dtype=np.float32)))
    return Recurrence(begin + size / 2, local, local.mean(axis=0))


def likely_periods(
    found: Recurrence, limits: tuple[int, int], most: int, share: float
) -> npt.NDArray[np.int64]:
    """Give the lags at which a sound is most like itself, the likeliest first.

    Args:
        found: Autocorrelation.
        limits: Least and greatest lag in frames.
        most: Number of lags at most.
        share: Part of the greatest autocorrelation that the others have to have.
    """
    whole = found.whole
    peak = np.flatnonzero((whole[1:-1] >= whole[:-2]) & (whole[1:-1] > whole[2:])) + 1
    peak = peak[(peak >= limits[0]) & (peak <= limits[1]) & (whole[peak] > 0)]
    peak = peak[np.argsort(-whole[peak], kind="stable")[:most]]
    return np.asarray(peak[whole[peak] >= share * whole[peak[:1]].sum()])


def local_periods(found: Recurrence, period: int, frames: int) -> npt.NDArray[np.int64]:
    """Follow a period through a recording.

    Args:
        found: Autocorrelation.
        period: The period in frames; `DRIFT` says how far it may drift from that.
        frames: Number of frames.

    Returns:
        `[frames]`, the period at each frame.
    """
    low = max(int(DRIFT[0] * period), 1)
    lag = np.arange(low, min(int(DRIFT[1] * period) + 2, found.local.shape[1]))
    if not len(lag):
        return np.full(frames, period)
    height = found.local[:, lag] - STRAY * np.log(lag / period).astype(np.float32) ** 2
    best = lag[height.argmax(axis=1)].astype(np.float64)
    return np.asarray(np.rint(np.interp(np.arange(frames), found.centre, best)), dtype=np.int64)
