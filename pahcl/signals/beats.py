"""How fast the heart beats, without detecting a single beat; and what that says of a stated rate.

A record whose sampling rate is misstated by a factor shows a heart that is fast or slow by that
factor. The estimate makes no use of what a plausible heart rate is, so that it can tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.ndimage

from pahcl.signals.spec import Modality

COMMON_RATES = (
    100.0, 125.0, 128.0, 200.0, 240.0, 250.0, 256.0, 257.0, 300.0, 360.0, 400.0, 500.0, 512.0,
    1000.0, 2000.0, 4000.0, 8000.0, 11025.0, 16000.0, 22050.0, 44100.0, 48000.0,
)  # fmt: skip
"""Sampling rates in Hz that recorders of hearts have."""

PLAUSIBLE_MEDIAN: dict[Modality, tuple[float, float]] = {"ecg": (45.0, 125.0), "pcg": (45.0, 175.0)}
"""Beats a minute between which the median over a corpus lies. Single hearts go beyond, half of a
corpus does not: grown-up patients have 65 to 75, the children whose heart sounds CirCor holds 125
(its annotated cycles), and of two sounds a beat both may be counted."""

SUGGESTED = (55.0, 110.0)
"""Beats a minute that a rate must lead to, to be suggested instead."""

USUAL = 75.0
FEWEST = 5
"""Records below which a median heart rate says nothing about the sampling rate."""

_SLOPE_S, _SMOOTH_S = 0.01, 0.08
_REPEATS = 0.85
_CLEAR = 0.15
_LONGEST_FFT = 2**19
_ENVELOPE_HZ = 250.0


@dataclass(frozen=True)
class RateGuess:
    """Say whether heart rates fit a stated sampling rate.

    Args:
        stated: The sampling rate in Hz.
        beats_per_minute: Median over records, at that rate.
        records: How many records show a clear rhythm.
        plausible: Whether a corpus has such a median.
        likely: Common rates at which it would be usual, the most usual heart first.
    """

    stated: float
    beats_per_minute: float
    records: int
    plausible: bool
    likely: tuple[float, ...]


def beats_per_minute(signal: npt.NDArray[np.floating], fs: float) -> float:
    """Estimate the beat rate from the strongest repetition of a record's steep parts.

    The slopes of all leads, each by its own size, are added up, smoothed over 80 ms and clipped;
    the rate is that of the first high maximum of their autocorrelation. What lies between a few
    tens of milliseconds and half the record can be found, plausible or not.

    Args:
        signal: `[C, L]`, NaN where samples are missing.
        fs: Sampling rate in Hz.

    Returns:
        Beats a minute; NaN where nothing repeats itself clearly.
    """
    envelope, step = _envelope(signal, fs)
    count = len(envelope)
    if count < 16 or not envelope.std() > 0:
        return float("nan")
    centred = envelope - envelope.mean()
    spectrum = scipy.fft.rfft(centred, scipy.fft.next_fast_len(2 * count, real=True))
    same = scipy.fft.irfft(np.abs(spectrum) ** 2)[: count // 2]
    # Fewer pairs reach over a longer lag.
    same = same / (same[0] * (1 - np.arange(len(same)) / count))
    lag = _first_high_maximum(same)
    return 60.0 * fs / (lag * step) if lag else float("nan")


def _envelope(signal: npt.NDArray[np.floating], fs: float) -> tuple[npt.NDArray[np.float64], int]:
    """Add up the leads' slopes; gives the envelope and the samples from one point to the next."""
    filled = np.nan_to_num(np.asarray(signal, dtype=np.float32), posinf=0.0, neginf=0.0)
    reach = max(1, round(_SLOPE_S * fs))
    slope = np.abs(filled[:, reach:] - filled[:, :-reach])
    size = np.percentile(slope, 98, axis=1, keepdims=True) if slope.shape[1] else slope[:, :0]
    usable = (size > 0).ravel() if slope.shape[1] else np.zeros(len(slope), dtype=bool)
    total = np.minimum(slope[usable] / size[usable], 1.5).sum(axis=0, dtype=np.float64)
    step = max(1, int(fs // _ENVELOPE_HZ), -(-len(total) // _LONGEST_FFT))
    total = scipy.ndimage.uniform_filter1d(total, max(1, round(_SMOOTH_S * fs)), mode="nearest")
    total = total[::step]
    return np.minimum(total, np.percentile(total, 98)) if len(total) else total, step


def _first_high_maximum(same: npt.NDArray[np.float64]) -> float:
    """Find the lag of the first maximum that is nearly the highest one beyond the main lobe."""
    rising = np.flatnonzero(np.diff(same) > 0)
    if not len(rising):
        return 0.0
    start = int(rising[0])
    inner = same[1:-1]
    peaks = 1 + np.flatnonzero((inner >= same[:-2]) & (inner > same[2:]))
    peaks = peaks[peaks > start]
    if not len(peaks) or same[peaks].max() < _CLEAR:
        return 0.0
    return float(peaks[np.argmax(same[peaks] >= _REPEATS * same[peaks].max())])


def guess_rate(rates: npt.ArrayLike, stated: float, modality: Modality = "ecg") -> RateGuess | None:
    """Hold the heart rates of many records against the sampling rate that is stated for them.

    Args:
        rates: `[N]` beats a minute at the stated rate; NaN counts nothing.
        stated: Sampling rate in Hz.
        modality: What was recorded.

    Returns:
        The guess; None where fewer than `FEWEST` records show a clear rhythm. Neighbouring rates
        (400 and 500 Hz) make hearts that are both plausible, and are not told apart.
    """
    found = np.asarray(rates, dtype=np.float64)
    found = found[np.isfinite(found)]
    if len(found) < FEWEST:
        return None
    median = float(np.median(found))
    low, high = PLAUSIBLE_MEDIAN[modality]
    plausible = low <= median <= high
    hearts = {rate: median * rate / stated for rate in COMMON_RATES}
    fitting = [rate for rate in COMMON_RATES if SUGGESTED[0] <= hearts[rate] <= SUGGESTED[1]]
    likely = sorted(fitting, key=lambda rate: abs(np.log(hearts[rate] / USUAL)))
    return RateGuess(stated, median, len(found), plausible, tuple(likely[:3]))
