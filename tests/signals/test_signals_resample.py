from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from pahcl.errors import SpecError
from pahcl.signals import resample, resampled_length

RATES = (100.0, 128.5, 257.0, 360.0, 400.0, 500.0, 999.97, 1000.0, 4000.0)


def sine(frequency: float, fs: float, seconds: float = 10.0) -> np.ndarray:
    time = np.arange(round(seconds * fs)) / fs
    return np.sin(2 * np.pi * frequency * time).astype(np.float32)


@pytest.mark.parametrize("source_fs", RATES)
@pytest.mark.parametrize("target_fs", [100.0, 400.0, 500.0])
def test_a_slow_sine_stays_the_same_sine(source_fs: float, target_fs: float) -> None:
    resampled = resample(sine(5.0, source_fs), source_fs, target_fs)
    expected = sine(5.0, target_fs)
    assert abs(len(resampled) - len(expected)) <= 1
    inner = slice(len(expected) // 20, -(len(expected) // 20))
    shortest = min(len(resampled), len(expected))
    np.testing.assert_allclose(resampled[:shortest][inner], expected[:shortest][inner], atol=5e-3)


def test_what_the_new_rate_cannot_hold_is_removed() -> None:
    resampled = resample(sine(80.0, 500.0), 500.0, 100.0)
    naive = sine(80.0, 500.0)[::5]
    assert np.abs(naive).max() > 0.9  # without a filter it comes back as 20 Hz
    assert np.abs(resampled[50:-50]).max() < 2e-3


def test_there_and_back_keeps_a_band_limited_signal() -> None:
    rng = np.random.default_rng(0)
    white = rng.normal(size=(3, 5000))
    smooth = scipy.signal.sosfiltfilt(scipy.signal.butter(6, 30, fs=500, output="sos"), white)
    back = resample(resample(smooth, 500.0, 100.0), 100.0, 500.0)
    assert back.shape == smooth.shape
    assert np.abs(back - smooth)[:, 250:-250].max() < 0.01 * smooth.std()


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 700),
    source=st.sampled_from(RATES[:-1]),
    target=st.sampled_from([100.0, 250.0, 400.0, 500.0]),
)
def test_length_contract_and_offset(length: int, source: float, target: float) -> None:
    resampled = resample(np.full((2, length), 3.25, np.float32), source, target)
    assert resampled.shape == (2, resampled_length(length, source, target))
    assert abs(resampled.shape[1] - length * target / source) <= 0.5 or resampled.shape[1] == 1
    assert resampled.dtype == np.float32
    np.testing.assert_allclose(resampled, 3.25, rtol=1e-5)


def test_known_lengths() -> None:
    assert resampled_length(4096, 400.0, 500.0) == 5120
    assert resampled_length(4096, 400.0, 100.0) == 1024
    assert resampled_length(1, 500.0, 100.0) == 1
    assert resampled_length(0, 500.0, 100.0) == 0
    assert resample(np.empty((12, 0), np.float32), 500.0, 100.0).shape == (12, 0)


def test_same_rate_is_not_copied() -> None:
    signal = np.ones((2, 10), np.float32)
    assert resample(signal, 500.0, 500.0) is signal


def test_leading_axes_are_free() -> None:
    signal = np.random.default_rng(0).normal(size=(2, 3, 500)).astype(np.float32)
    whole = resample(signal, 500.0, 360.0)
    np.testing.assert_array_equal(whole[1, 2], resample(signal[1, 2], 500.0, 360.0))


@pytest.mark.parametrize(
    ("source", "target"),
    [(0.0, 100.0), (-1.0, 100.0), (500.0, float("nan")), (float("inf"), 100.0), (1e6, 1.0)],
)
def test_impossible_rates_are_refused(source: float, target: float) -> None:
    with pytest.raises(SpecError, match="Hz"):
        resample(np.ones((1, 10), np.float32), source, target)
