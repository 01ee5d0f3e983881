"""Preparation of heart sounds and their envelopes, against scipy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from pahcl.signals import resample
from pahcl.signals.heart_cycles import (
    hilbert_envelope,
    preparation,
    prepare,
    rms_envelope,
    shannon_envelope,
)
from pahcl.simulation.heart_sound import Heart, Scene, simulate

RNG = np.random.default_rng(3)


def heart(fs: float = 4000.0, duration: float = 8.0) -> np.ndarray:
    return simulate(Heart(), Scene(fs=fs, duration=duration), (3, 1)).signal


def test_the_band_is_that_of_filtfilt_at_5_khz() -> None:
    signal = RNG.standard_normal(30000)
    numerator, denominator = scipy.signal.butter(4, [25 / 2500, 400 / 2500], "band")
    expected = scipy.signal.filtfilt(numerator, denominator, signal, padlen=5000)
    ours = prepare(signal, 5000, to=5000).signal.astype(np.float64)
    scale = np.dot(ours, expected) / np.dot(expected, expected)
    np.testing.assert_allclose(ours, scale * expected, atol=2e-6 * scale * np.abs(expected).max())


@pytest.mark.parametrize(("fs", "to"), [(1000, 1000), (4000, 1000), (2000, 5000), (44100, 800)])
@pytest.mark.parametrize("duration", [0.6, 7.3])
def test_one_product_of_spectra_is_resampling_and_filtering(
    fs: float, to: float, duration: float
) -> None:
    time = np.arange(int(duration * fs)) / fs
    tones = sum(np.sin(2 * np.pi * tone * time + tone) for tone in (31, 77, 160, 290, 350))
    signal = (tones + 0.5).astype(np.float32)
    spectrum = preparation._by_spectrum(signal, fs, to, (25.0, 390.0))
    assert spectrum is not None
    sections = preparation._both_ways(resample(signal, fs, to), to, (25.0, 390.0))
    assert len(spectrum) == len(sections)
    # The polyphase filter has a ripple of 1e-3, and sees nothing beyond the ends.
    inner = slice(round(0.15 * to), -round(0.15 * to))
    tolerance = 1e-5 if fs == to else 0.03
    np.testing.assert_allclose(spectrum[inner], sections[inner], atol=tolerance)


def test_a_spike_is_not_smeared_over_the_recording() -> None:
    signal = heart().astype(np.float64)
    spoilt = signal.copy()
    spoilt[9000] = 1e8
    middle = slice(4000, -1000)
    clean, other = prepare(signal, 4000).signal[middle], prepare(spoilt, 4000).signal[middle]
    np.testing.assert_allclose(
        other, clean * np.dot(other, clean) / np.dot(clean, clean), atol=0.02
    )


@pytest.mark.parametrize("fs", [1000, 2000, 2205.0, 4000, 8000, 44100])
@pytest.mark.parametrize("to", [1000, 800.0, 2000])
def test_every_rate_comes_to_the_one_that_is_wanted(fs: float, to: float) -> None:
    time = np.arange(int(6 * fs)) / fs
    prepared = prepare(np.sin(2 * np.pi * 90.7 * time) + 5.0, fs, to)
    assert prepared.fs == to
    assert prepared.duration == pytest.approx(6.0)
    assert len(prepared.signal) == round(6 * to)
    inner = slice(int(to), -int(to))
    expected = np.sin(2 * np.pi * 90.7 * np.arange(len(prepared.signal)) / to)
    np.testing.assert_allclose(prepared.signal[inner], expected[inner], atol=0.03)


def test_what_is_out_of_the_band_is_gone() -> None:
    time = np.arange(40000) / 4000
    inside = 0.02 * np.sin(2 * np.pi * 90.7 * time)
    middle = slice(2000, -2000)
    alone = prepare(inside, 4000).signal[middle]
    for tone in (8, 480, 700):
        mixed = prepare(np.sin(2 * np.pi * tone * time) + inside, 4000).signal[middle]
        np.testing.assert_allclose(mixed, alone, atol=0.05)


@pytest.mark.parametrize("duration", [2.0, 3.0, 8.0])
@pytest.mark.parametrize("loud", [10.0, 1000.0])
def test_a_loud_artefact_does_not_make_the_heart_quiet(duration: float, loud: float) -> None:
    signal = heart(duration=duration).astype(np.float64)
    noise = RNG.standard_normal(240) * loud * np.abs(signal).max()
    disturbed = signal.copy()
    disturbed[:240] += noise
    disturbed[-240:] += noise
    clean, other = prepare(signal, 4000).signal, prepare(disturbed, 4000).signal
    middle = slice(len(clean) // 4, -len(clean) // 4)
    ratio = np.linalg.norm(other[middle]) / np.linalg.norm(clean[middle])
    assert 0.5 < ratio < 2


def test_scale_and_offset_do_not_matter() -> None:
    signal = heart().astype(np.float64)
    expected = prepare(signal, 4000).signal
    np.testing.assert_allclose(prepare(-3e4 * signal, 4000).signal, -expected, atol=2e-3)
    np.testing.assert_allclose(prepare(signal + 0.3, 4000).signal, expected, atol=2e-3)


def test_a_silent_signal_stays_silent() -> None:
    assert not prepare(np.zeros(5000), 4000).signal.any()


def test_envelopes_of_a_steady_tone_have_closed_forms() -> None:
    time = np.arange(5000) / 1000
    for height in (0.2, 0.5, 1.0):
        tone = height * np.sin(2 * np.pi * 100 * time)
        inner = slice(20, -20)
        np.testing.assert_allclose(rms_envelope(tone, 1000)[inner], height / np.sqrt(2), rtol=1e-6)
        np.testing.assert_allclose(hilbert_envelope(tone, 1000)[inner], height, rtol=0.01)
        # The mean of -x² ln x² over a period of x = a sin t.
        shannon = height**2 * (np.log(2) - 0.5 - np.log(height))
        fine = height * np.sin(2 * np.pi * 100 * np.arange(50000) / 10000)
        np.testing.assert_allclose(shannon_envelope(fine, 10000)[inner], shannon, rtol=0.01)


def test_envelopes_follow_a_tone_that_swells() -> None:
    time = np.arange(20000) / 1000
    swell = 0.5 * (1 + 0.8 * np.cos(2 * np.pi * 1.5 * time))
    signal = swell * np.sin(2 * np.pi * 120 * time)
    places = np.arange(0, 20000, 10)
    # A mean over 20 ms of a swell of 1.5 Hz is 0.15 % flatter.
    inner = slice(50, -50)
    np.testing.assert_allclose(
        hilbert_envelope(signal, 1000)[inner], swell[places][inner], atol=0.01
    )
    root = swell[places] / np.sqrt(2)
    np.testing.assert_allclose(rms_envelope(signal, 1000)[inner], root[inner], atol=0.02)


def test_hilbert_is_that_of_scipy() -> None:
    signal = RNG.standard_normal(4096)
    expected = np.abs(scipy.signal.hilbert(signal))
    np.testing.assert_allclose(hilbert_envelope(signal, 1000, frame=0.001, hop=0.001), expected)


@pytest.mark.parametrize("envelope", [shannon_envelope, rms_envelope, hilbert_envelope])
@pytest.mark.parametrize("length", [1, 7, 500, 1003])
def test_there_is_a_value_every_hop(envelope: object, length: int) -> None:
    assert callable(envelope)
    values = envelope(RNG.standard_normal(length), 1000)
    assert len(values) == -(-length // 10)
    assert np.isfinite(values).all()


def test_shannon_weighs_what_is_of_middle_height_most() -> None:
    def loudness(height: float) -> float:
        return float(shannon_envelope(np.full(1000, height), 1000)[50])

    assert loudness(0.6) > loudness(0.95)
    assert loudness(0.6) > loudness(0.2)
    assert loudness(5.0) == pytest.approx(loudness(1.0), abs=1e-9)


@pytest.mark.parametrize(("fs", "length"), [(4000, 0), (44100, 1), (44100, 22), (1000, 1)])
def test_next_to_no_samples_are_prepared(fs: float, length: int) -> None:
    prepared = prepare(np.full(length, 0.5, dtype=np.float32), fs)
    assert len(prepared.signal) == len(resample(np.zeros(length), fs, 1000))
    assert np.isfinite(prepared.signal).all()


@pytest.mark.parametrize("fs", [2000, 4000, 44100])
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_digital_silence_does_not_make_rounding_the_usual_height(fs: float, offset: float) -> None:
    sound = heart(fs, 8.0)
    gap = np.full(int(24 * fs), 0.0, dtype=np.float32)
    alone = prepare(sound, fs).signal
    both = prepare(np.concatenate([sound, gap]) + np.float32(offset), fs).signal
    inner = slice(500, 7000)
    np.testing.assert_allclose(both[inner], alone[inner], rtol=0.2, atol=0.02)
    assert np.abs(both[10_000:-500]).max() < 1e-3
    assert not prepare(gap + np.float32(offset), fs).signal.any()
