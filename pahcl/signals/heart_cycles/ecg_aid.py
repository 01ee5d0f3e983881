"""What an ECG that was recorded with a heart sound tells of its cycles: S1 follows the R wave."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.ndimage
import scipy.signal

from pahcl.signals.resample import resample

Array = npt.NDArray[np.float64]

_FS = 250.0
_BAND = (6.0, 22.0)  # Hz, in which QRS complexes are
_WIDTH = 0.1  # seconds of energy that are summed
_REFRACTORY = 0.27  # seconds; 220 beats a minute
_LOWEST = 0.3  # of the usual height of a QRS complex
_PIECE = 2.0  # seconds that hold at least one beat, at 30 a minute
_LARGEST_JITTER = 0.25
_LEAST_CONTRAST = 6.0

S1_WINDOW = (-0.02, 0.20)
"""Seconds after the R wave in which a first sound may be."""

S2_WINDOW = (0.20, 0.62)
"""Seconds after the R wave in which a second sound may be, for cycles of one second; the T wave
ends near it. Both scale with the square root of the cycle, as Bazett's formula has it."""


def r_peaks(ecg: npt.NDArray[np.floating], fs: float) -> tuple[Array, str | None]:
    """Find the R waves of an ECG of either polarity.

    Args:
        ecg: `[L]` without NaN, in any unit.
        fs: Its rate in Hz.

    Returns:
        Times `[R]` in seconds, none where the ECG is not to be trusted, and then the reason.
    """
    samples = resample(np.asarray(ecg, dtype=np.float32), fs, _FS)
    if len(samples) < 2 * _PIECE * _FS:
        return np.zeros(0), "the ECG is too short to be an aid"
    sections = scipy.signal.butter(2, _BAND, "bandpass", fs=_FS, output="sos")
    filtered = scipy.signal.sosfiltfilt(sections, samples)
    # A running sum may end a little below zero where the ECG is still.
    power = scipy.ndimage.uniform_filter1d(filtered**2, round(_WIDTH * _FS))
    energy = np.sqrt(np.maximum(power, 0.0))
    pieces = len(energy) // int(_PIECE * _FS)
    usual = np.median(energy[: pieces * int(_PIECE * _FS)].reshape(pieces, -1).max(axis=1))
    if not usual > 0 or usual < _LEAST_CONTRAST * np.median(energy):
        return np.zeros(0), "the ECG shows no clear R waves and is not made use of"
    places, _ = scipy.signal.find_peaks(
        energy, height=_LOWEST * usual, distance=round(_REFRACTORY * _FS)
    )
    strength = energy[places]
    # T waves that pass the band are far lower than the complexes before them.
    places = places[strength > 0.45 * np.median(strength)] if len(places) else places
    gaps = np.diff(places) / _FS
    if len(gaps) < 2 or not 60 / 220 <= np.median(gaps) <= 2:
        return np.zeros(0), "the ECG shows no heart rate and is not made use of"
    jitter = np.median(np.abs(gaps - np.median(gaps))) / np.median(gaps)
    if jitter > _LARGEST_JITTER:
        return np.zeros(0), "the R waves of the ECG are too irregular to be an aid"
    return places / _FS, None


def state_prior(peaks: Array, frames: int, rate: float, weight: float) -> Array:
    """Say how well the states of each frame fit to the R waves.

    Args:
        peaks: `[R]` times of the R waves in seconds.
        frames: How many frames there are.
        rate: Frames a second.
        weight: What a sound at a time where it is not expected costs, as a logarithm.

    Returns:
        `[frames, 4]` to be added to the log scores of S1, systole, S2 and diastole. It is 0 where
        no R wave is near.
    """
    prior = np.zeros((frames, 4))
    if len(peaks) < 2:
        return prior
    time = (np.arange(frames) + 0.5) / rate
    before = np.clip(np.searchsorted(peaks, time, side="right") - 1, -1, len(peaks) - 1)
    cycle = np.append(np.diff(peaks), np.median(np.diff(peaks)))
    pace = np.sqrt(np.clip(cycle, 60 / 220, 2.0))
    known = before >= 0
    since = np.where(known, time - peaks[before], np.inf)
    until = np.where(before + 1 < len(peaks), peaks[np.minimum(before + 1, len(peaks) - 1)], np.inf)
    until = until - time
    scale = pace[before]
    first = (since >= 0) & (since < S1_WINDOW[1] * np.minimum(scale, 1.0))
    first |= until < -S1_WINDOW[0]
    second = (since >= S2_WINDOW[0] * scale) & (since < S2_WINDOW[1] * scale)
    near = known & (since < 1.5 * cycle[before])
    prior[near & ~first, 0] = -weight
    prior[near & ~second, 2] = -weight
    prior[near & (since < 0.08), 1] = -weight
    prior[near & second & (since < 0.3 * scale), 3] = -weight
    return prior
