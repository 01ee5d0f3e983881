"""Bring a heart sound to what a segmenter reads: one rate, one band, one scale."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.signal

from pahcl.signals.resample import resample

ORDER = 4
"""Order of the Butterworth band-pass at each edge; it runs forward and backward."""

_FEWEST = 5
_LOUDEST = 1000.0


@dataclass(frozen=True, eq=False)
class Prepared:
    """Hold a heart sound that is ready to be segmented.

    Args:
        signal: `[L]` float32, band-passed; 1 is the usual height of its loud parts.
        fs: Sampling rate in Hz.
        duration: Length of the recording in seconds.
    """

    signal: npt.NDArray[np.float32]
    fs: float
    duration: float


@lru_cache(maxsize=16)
def band_pass_sections(fs: float, low: float, high: float) -> npt.NDArray[np.float64]:
    """Design the band-pass as second-order sections; edges lie within 0.001 and 0.999 Nyquist."""
    edges = np.clip(np.array([low, high]) / (fs / 2), 0.001, 0.999)
    return np.asarray(scipy.signal.butter(ORDER, edges, "bandpass", output="sos"))


def prepare(
    signal: npt.NDArray[np.floating],
    fs: float,
    to: float = 1000.0,
    band: tuple[float, float] = (25.0, 400.0),
) -> Prepared:
    """Resample by a polyphase filter, band-pass without shifting phase, and scale.

    The scale is robust: a knock on the sensor, however loud, does not make the heart quiet.

    Args:
        signal: `[L]` without NaN.
        fs: Its rate in Hz.
        to: Wanted rate in Hz.
        band: Pass band in Hz.
    """
    samples = resample(signal, fs, to)
    return Prepared(scaled(_both_ways(samples, to, band), to), to, len(signal) / fs)


@lru_cache(maxsize=16)
def _settled(fs: float, low: float, high: float) -> npt.NDArray[np.float64]:
    """Give the state of the filter after a long stretch of ones."""
    return np.asarray(scipy.signal.sosfilt_zi(band_pass_sections(fs, low, high)))


def _both_ways(
    samples: npt.NDArray[np.float32], fs: float, band: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Filter as `scipy.signal.sosfiltfilt` does, with the state at rest computed but once."""
    sections, settled = band_pass_sections(fs, *band), _settled(fs, *band)
    pad = min(len(samples) - 1, int(fs))
    before = 2 * samples[0] - samples[pad:0:-1]
    behind = 2 * samples[-1] - samples[-2 : -pad - 2 : -1]
    longer = np.concatenate([before, samples, behind], dtype=np.float64)
    for _ in range(2):
        longer, _ = scipy.signal.sosfilt(sections, longer, zi=settled * longer[0])
        longer = longer[::-1]
    return longer[pad : len(longer) - pad]


def scaled(signal: npt.NDArray[np.floating], fs: float) -> npt.NDArray[np.float32]:
    """Divide by the usual height: the median, over the recording, of each second's loudest sample.

    A recording of less than `_FEWEST` seconds is divided into as many parts instead, so that knocks
    at both of its ends are still the fewer.
    """
    pieces = max(len(signal) // int(fs), _FEWEST)
    width = len(signal) // pieces
    loudest = np.abs(signal[: pieces * width]).reshape(pieces, -1)
    height = float(np.median(loudest.max(axis=1))) if width else 0.0
    if height <= 0:
        return np.zeros(len(signal), dtype=np.float32)
    # What is far beyond any heart is a knock, of which the height says nothing more.
    return np.asarray(np.clip(signal / height, -_LOUDEST, _LOUDEST), dtype=np.float32)
