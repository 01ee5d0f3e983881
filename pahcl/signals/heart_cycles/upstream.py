"""Cutting a heart sound on the peaks of its energy, as PA-HCL's first implementation does.

It is here for comparison, with every constant and with its faults. It prefers whatever number of
peaks is nearest to 120 a minute, so that between 50 and 80 beats a minute it finds both sounds of a
beat and keeps the half beats between them; and it cuts through the middle of the first sound.

What every segmenter leaves out is left out here as well, which the original did not do: a silent
recording, a longer dropout, and cuts within a pause of the signal. Elsewhere the cuts are its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import scipy.ndimage
import scipy.signal

from pahcl.signals.heart_cycles.cycles import HeartCycles
from pahcl.signals.heart_cycles.envelopes import shannon_envelope
from pahcl.signals.heart_cycles.segmenter import Samples, Segmentation, Segmenter
from pahcl.signals.resample import resample
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, HeartStates

FS = 5000.0
"""Rate in Hz at which it works."""

BAND = (25.0, 400.0)
"""Its pass band in Hz: Butterworth, order 4 at each edge, forward and backward."""

FRAME, HOP = 0.02, 0.01
"""Seconds of a frame of the envelope, and from one to the next."""

RATES = (40.0, 200.0)
"""Beats a minute that it expects; it aims at their middle."""

FACTORS = (0.5, 0.4, 0.3, 0.2, 0.1)
"""Heights of the thresholds it tries, between the mean and the maximum of the envelope."""

FALLBACK = 0.2
"""Height, and prominence, where none of them gives two peaks."""

CONFIDENCE = 0.5
"""Confidence of every cycle: neither trusted nor not, since the method says nothing of it."""

_DISTANCE = round(60 / RATES[1] / HOP)
_SMOOTHED = max(3, _DISTANCE // 4)
_TINY = 1e-8

Envelope = npt.NDArray[np.float64]
Peaks = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Upstream(Segmenter):
    """Cut from peak to peak of the energy; states are the quarters of each cycle.

    Args:
        shortest: Least length of a cycle in seconds; what is shorter is left out.
        longest: Greatest length in seconds; the configuration that comes with the original has 1.2.
    """

    shortest: float = 0.4
    longest: float = 1.5

    name: ClassVar[str] = "upstream"

    def find(self, signal: Samples, fs: float, ecg: Samples | None) -> Segmentation:
        """Cut `[L]` on the peaks of its envelope; an ECG is not made use of."""
        samples = normalised(resample(signal, fs, FS))
        energy = shannon_envelope(samples / (np.abs(samples).max() + _TINY), FS, FRAME, HOP)
        peaks = peaks_of(energy, len(samples) / FS) * round(HOP * FS)
        start, end = peaks[:-1], peaks[1:]
        kept = (end - start >= self.shortest * FS) & (end - start <= self.longest * FS)
        cycles, states = quarters(start[kept] / FS, end[kept] / FS)
        return Segmentation(states, cycles, len(signal) / fs, self.name)


def normalised(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Band-pass `[L]` at `FS` without shifting phase, and bring it to mean 0 and deviation 1."""
    numerator, denominator = _band_pass()
    filtered = scipy.signal.filtfilt(numerator, denominator, samples.astype(np.float64))
    deviation = filtered.std()
    if deviation < _TINY:
        return np.zeros(len(filtered))
    return np.asarray((filtered - filtered.mean()) / deviation)


def peaks_of(envelope: Envelope, duration: float) -> Peaks:
    """Find the peaks of an envelope, of as many as are nearest to 120 a minute.

    Args:
        envelope: `[N]`, a value every `HOP` seconds.
        duration: Length of the recording in seconds.

    Returns:
        Their places in the envelope.
    """
    smooth = scipy.ndimage.uniform_filter1d(envelope, _SMOOTHED)
    fewest, most = (int(duration * rate / 60) for rate in RATES)
    best: Peaks = np.zeros(0, dtype=np.int64)
    highest = 0.0
    for factor in FACTORS:
        peaks = _above(smooth, factor)
        count = len(peaks)
        if count < 0.5 * fewest:
            continue
        if fewest <= count <= 1.5 * most:
            score = 1 / (1 + abs(count - (fewest + most) / 2))
        else:
            score = 0.5 / (1 + abs(count - most))
        if score > highest:
            highest, best = score, peaks
    return best if len(best) >= 2 else _above(envelope, FALLBACK, prominent=True)


def quarters(
    start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]
) -> tuple[HeartCycles, HeartStates]:
    """Give cycles from `start` to `end`, both `[N]`, and their quarters as the four states."""
    edges = start[:, None] + (end - start)[:, None] * np.arange(5) / 4
    edges[:, 4] = end
    first, systole, s2, diastole, last = edges.T
    sure = np.full(len(start), CONFIDENCE, dtype=np.float32)
    cycles = HeartCycles(first, systole, s2, diastole, last, sure)
    order = np.tile(np.array([S1, SYSTOLE, S2, DIASTOLE], dtype=np.int8), len(start))
    return cycles, HeartStates(edges[:, :4].reshape(-1), edges[:, 1:].reshape(-1), order)


def _above(envelope: Envelope, factor: float, prominent: bool = False) -> Peaks:
    mean = float(envelope.mean())
    height = factor * (float(envelope.max()) - mean)
    peaks, _ = scipy.signal.find_peaks(
        envelope,
        height=mean + height,
        distance=_DISTANCE,
        prominence=height if prominent else None,
    )
    return np.asarray(peaks, dtype=np.int64)


@lru_cache(maxsize=1)
def _band_pass() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    edges = np.clip(np.array(BAND) / (FS / 2), 0.001, 0.999)
    numerator, denominator = scipy.signal.butter(4, edges, "band")
    return numerator, denominator
