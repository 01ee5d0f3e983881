"""The preparation of heart sounds of PA-HCL's first implementation, plainly, to be measured beside.

Every constant is the original's, the configuration that comes with it included. It is written from
a description of what is computed, with the same calls of scipy.
"""

from __future__ import annotations

from itertools import pairwise
from math import gcd
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import signal as scipy_signal
from scipy.io import wavfile
from scipy.ndimage import uniform_filter1d

FS = 5000
LENGTH = 4000
SHORTEST, LONGEST = 0.4, 1.2

Samples = npt.NDArray[np.floating]
Places = npt.NDArray[np.int64]


def prepare_recording(path: Path, out: Path) -> int:
    """Read, resample, filter, cut and judge a recording, and write each cycle to a file.

    Args:
        path: A wav.
        out: Folder for the cycles.

    Returns:
        How many cycles were kept.
    """
    samples = filtered(read(path))
    peaks = peaks_of(envelope(samples), len(samples) / FS) * 50
    kept = 0
    for begin, stop in pairwise(peaks):
        if not SHORTEST <= (stop - begin) / FS <= LONGEST:
            continue
        cycle = samples[begin:stop]
        if is_good(cycle):
            np.save(out / f"cycle_{kept:04d}.npy", to_length(cycle))
            kept += 1
    return kept


def read(path: Path) -> Samples:
    """Read a wav of 16 bit and bring it to 5 kHz."""
    fs, counts = wavfile.read(path)
    samples = counts.astype(np.float32) / 32768
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    common = gcd(FS, fs)
    if fs == FS:
        return np.asarray(samples)
    return np.asarray(scipy_signal.resample_poly(samples, FS // common, fs // common))


def filtered(samples: Samples) -> Samples:
    """Band-pass forward and backward, and bring to mean 0 and deviation 1."""
    numerator, denominator = scipy_signal.butter(4, [25 / (FS / 2), 400 / (FS / 2)], btype="band")
    passed = scipy_signal.filtfilt(numerator, denominator, samples)
    deviation = passed.std()
    if deviation < 1e-8:
        return np.zeros_like(passed)
    return np.asarray((passed - passed.mean()) / deviation)


def envelope(samples: Samples) -> Samples:
    """Take the Shannon energy of 20 ms, every 10 ms."""
    share = samples / (np.abs(samples).max() + 1e-8)
    square = share**2 + 1e-10
    energy = -square * np.log(square)
    return np.asarray(uniform_filter1d(energy, size=100, mode="constant")[::50])


def peaks_of(energy: Samples, duration: float) -> Places:
    """Choose among five thresholds the one that gives a number of peaks near 120 a minute."""
    smooth = uniform_filter1d(energy, size=7)
    fewest, most = int(duration * 40 / 60), int(duration * 200 / 60)
    mean, top = smooth.mean(), smooth.max()
    best, highest = np.zeros(0, dtype=np.int64), 0.0
    for factor in (0.5, 0.4, 0.3, 0.2, 0.1):
        peaks, _ = scipy_signal.find_peaks(smooth, height=mean + factor * (top - mean), distance=30)
        if len(peaks) < 0.5 * fewest:
            continue
        if fewest <= len(peaks) <= 1.5 * most:
            score = 1 / (1 + abs(len(peaks) - (fewest + most) / 2))
        else:
            score = 0.5 / (1 + abs(len(peaks) - most))
        if score > highest:
            best, highest = peaks, score
    if len(best) >= 2:
        return best
    mean, span = energy.mean(), energy.max() - energy.mean()
    peaks, _ = scipy_signal.find_peaks(
        energy, height=mean + 0.2 * span, distance=30, prominence=0.2 * span
    )
    return np.asarray(peaks)


def is_good(cycle: Samples) -> bool:
    """Say whether a cycle passes all three thresholds."""
    frequency, power = scipy_signal.welch(cycle, fs=FS, nperseg=min(len(cycle), 1024))
    heart = power[(frequency >= 25) & (frequency <= 150)].sum()
    noise = power[(frequency >= 200) & (frequency <= 400)].sum()
    ratio = 60.0 if noise < 1e-10 else 10 * np.log10(heart / noise)
    size = np.abs(cycle)
    peak = size.max()
    return bool(
        ratio >= 10 and peak / (size.mean() + 1e-8) < 50 and (size < 0.01 * peak).mean() < 0.3
    )


def to_length(cycle: Samples) -> npt.NDArray[np.float32]:
    """Cut out the middle, or pad both sides with 0."""
    spare = LENGTH - len(cycle)
    if spare <= 0:
        begin = -spare // 2
        return cycle[begin : begin + LENGTH].astype(np.float32)
    return np.pad(cycle, (spare // 2, spare - spare // 2)).astype(np.float32)
