from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pahcl.signals import repair


def test_a_gap_in_a_sine_is_bridged_along_time() -> None:
    time = np.arange(1000) / 100.0
    sine = np.sin(2 * np.pi * 0.5 * time).astype(np.float32)
    other = np.full_like(sine, 100.0)  # interpolating across leads would bring this in
    signal = np.stack([other, sine, -other])
    signal[1, 480:500] = np.nan
    repaired, missing = repair(signal)
    np.testing.assert_array_equal(missing, [0, 20, 0])
    assert missing.dtype == np.int64
    # A chord of 0.21 s under a 0.5 Hz sine: h^2 / 8 times the largest curvature.
    assert np.abs(repaired[1] - sine).max() <= 0.21**2 / 8 * (2 * np.pi * 0.5) ** 2
    np.testing.assert_array_equal(repaired[[0, 2]], signal[[0, 2]])
    expected = np.interp(time[480:500], time[[479, 500]], sine[[479, 500]])
    np.testing.assert_allclose(repaired[1, 480:500], expected, atol=1e-6)


def test_inf_is_missing_and_ends_are_held() -> None:
    signal = np.array([[np.nan, np.inf, 2.0, 4.0, -np.inf, 8.0, np.nan]], np.float32)
    repaired, missing = repair(signal)
    np.testing.assert_array_equal(repaired, [[2.0, 2.0, 2.0, 4.0, 6.0, 8.0, 8.0]])
    np.testing.assert_array_equal(missing, [4])
    assert np.isnan(signal[0, 0])  # the input is left as it was


def test_a_lead_without_any_sample_becomes_zero_and_is_counted() -> None:
    signal = np.array([[np.nan] * 5, [1.0] * 5], np.float32)
    repaired, missing = repair(signal)
    np.testing.assert_array_equal(repaired, [[0.0] * 5, [1.0] * 5])
    np.testing.assert_array_equal(missing, [5, 0])


def test_a_whole_signal_is_not_copied() -> None:
    signal = np.ones((2, 3), np.float32)
    repaired, missing = repair(signal)
    assert repaired is signal
    assert not missing.any()


@pytest.mark.parametrize("shape", [(0, 5), (3, 0)])
def test_empty_signals(shape: tuple[int, int]) -> None:
    repaired, missing = repair(np.empty(shape, np.float32))
    assert repaired.shape == shape
    assert missing.shape == shape[:1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, -2.5, np.nan, np.inf]), min_size=1, max_size=40))
def test_result_is_finite_bounded_and_stable(values: list[float]) -> None:
    signal = np.array([values], np.float32)
    finite = np.isfinite(signal)
    repaired, missing = repair(signal)
    assert np.isfinite(repaired).all()
    assert missing[0] == (~finite).sum()
    np.testing.assert_array_equal(repaired[finite], signal[finite])
    if finite.any():
        assert repaired.min() >= signal[finite].min()
        assert repaired.max() <= signal[finite].max()
    again, none = repair(repaired)
    assert again is repaired
    assert not none.any()
