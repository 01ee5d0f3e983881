"""The segmenter of the first implementation: every constant, and the faults that follow."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal

from pahcl.signals.heart_cycles import segment
from pahcl.signals.heart_cycles.upstream import Upstream, peaks_of
from pahcl.simulation.heart_sound import Heart, Rhythm, Scene, simulate

FS = 4000


def plain_envelope(signal: np.ndarray, fs: int) -> np.ndarray:
    """Restate the envelope of the method, one value after the other."""
    ratio = math.gcd(5000, fs)
    samples = scipy.signal.resample_poly(signal.astype(np.float64), 5000 // ratio, fs // ratio)
    numerator, denominator = scipy.signal.butter(4, [25 / 2500, 400 / 2500], "band")
    samples = scipy.signal.filtfilt(numerator, denominator, samples)
    samples = (samples - samples.mean()) / samples.std()
    share = samples / (np.abs(samples).max() + 1e-8)
    energy = [-(x * x + 1e-10) * math.log(x * x + 1e-10) for x in share]
    padded = [0.0] * 50 + energy + [0.0] * 49
    return np.array([math.fsum(padded[at : at + 100]) / 100 for at in range(0, len(energy), 50)])


def plain_maxima(values: np.ndarray, height: float) -> list[int]:
    """Take the highest peak, drop what is nearer than 30 frames, and go on with the next."""
    inner = range(1, len(values) - 1)
    peaks = [i for i in inner if values[i - 1] < values[i] > values[i + 1] and values[i] >= height]
    kept: list[int] = []
    for peak in sorted(peaks, key=lambda i: -values[i]):
        if all(abs(peak - other) >= 30 for other in kept):
            kept.append(peak)
    return sorted(kept)


def plain_peaks(envelope: np.ndarray, duration: float) -> list[int]:
    around = np.concatenate([envelope[2::-1], envelope, envelope[:-4:-1]])
    smooth = np.array([around[i : i + 7].mean() for i in range(len(envelope))])
    fewest, most = int(duration * 40 / 60), int(duration * 200 / 60)
    scored = []
    for factor in (0.5, 0.4, 0.3, 0.2, 0.1):
        peaks = plain_maxima(smooth, smooth.mean() + factor * (smooth.max() - smooth.mean()))
        count = len(peaks)
        if count < 0.5 * fewest:
            continue
        inside = fewest <= count <= 1.5 * most
        aim = (fewest + most) / 2 if inside else most
        scored.append(((1.0 if inside else 0.5) / (1 + abs(count - aim)), peaks))
    return max(scored, key=lambda one: one[0])[1]


@pytest.mark.parametrize(("rate", "seed"), [(55, 1), (75, 2), (100, 3), (140, 4)])
def test_it_does_what_a_plain_restatement_does(rate: float, seed: int) -> None:
    scene = Scene(fs=FS, duration=8, background=0.02)
    sound = simulate(Heart(rhythm=Rhythm(rate=rate)), scene, (seed, 1))
    envelope = plain_envelope(sound.signal, FS)
    peaks = np.array(plain_peaks(envelope, 8.0)) / 100
    long = np.diff(peaks)
    kept = (long >= 0.4 - 1e-9) & (long <= 1.5 + 1e-9)
    found = Upstream()(sound.signal, FS).cycles
    np.testing.assert_allclose(found.start, peaks[:-1][kept])
    np.testing.assert_allclose(found.end, peaks[1:][kept])
    assert len(found) > 3


def beats(rate: float, systole: float, duration: float = 30.0) -> np.ndarray:
    """Give a plain heart: two short tones a beat, the second `systole` seconds after the first."""
    time = np.arange(int(duration * FS)) / FS
    signal = np.random.default_rng(0).normal(0, 0.002, len(time))
    for first in np.arange(0.2, duration - 0.6, 60 / rate):
        for at, pitch, size in ((first, 45, 0.6), (first + systole, 60, 0.5)):
            here = slice(round((at - 0.1) * FS), round((at + 0.1) * FS))
            tone = np.sin(2 * np.pi * pitch * time[here])
            signal[here] += size * np.exp(-(((time[here] - at) / 0.02) ** 2)) * tone
    return signal


@pytest.mark.parametrize(
    ("rate", "systole", "length"),
    [(50, 0.34, 0.86), (60, 0.33, 0.67), (70, 0.317, 0.54), (80, 0.3, 0.45)],
)
def test_slow_hearts_give_half_beats(rate: float, systole: float, length: float) -> None:
    found = segment(beats(rate, systole), FS, "upstream").cycles
    assert np.median(found.end - found.start) == pytest.approx(length, abs=0.015)


@pytest.mark.parametrize("rate", [100, 120])
def test_faster_hearts_give_whole_ones(rate: float) -> None:
    found = segment(beats(rate, 0.25), FS, "upstream")
    assert found.heart_rate == pytest.approx(rate, rel=0.03)


def test_quarters_are_the_states() -> None:
    found = segment(beats(110, 0.2), FS, Upstream(longest=1.2))
    cycles = found.cycles
    whole = cycles.end - cycles.start
    for part, name in enumerate(("systole", "s2", "diastole"), start=1):
        np.testing.assert_allclose(getattr(cycles, name), cycles.start + part * whole / 4)
    assert found.states.state[:8].tolist() == [1, 2, 3, 4] * 2
    assert (cycles.confidence == 0.5).all()


def test_the_longest_cycle_is_a_setting() -> None:
    signal = beats(42, 0.29)
    assert len(segment(signal, FS, Upstream(longest=0.9)).cycles) == 0
    assert len(segment(signal, FS, Upstream(longest=1.5)).cycles) > 10


def test_few_peaks_fall_back_to_prominent_ones() -> None:
    envelope = np.zeros(6000)
    envelope[[1000, 1100]] = 1.0
    assert peaks_of(envelope, 60.0).tolist() == [1000, 1100]
