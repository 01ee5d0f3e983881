from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pahcl.store.quantise import LARGEST, dequantise, exact_steps, quantise

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=30)


@given(
    hnp.arrays(
        np.float32,
        SHAPES,
        elements=st.floats(-1e6, 1e6, width=32, allow_nan=False, allow_infinity=False),
    )
)
@settings(max_examples=150, deadline=None)
def test_error_is_at_most_half_a_step_and_nothing_is_clipped(signal):
    samples, scale = quantise(signal)
    assert samples.dtype == np.dtype("<i2")
    assert np.abs(samples.astype(int)).max() <= LARGEST
    exact = samples * scale[:, None]
    assert (np.abs(exact - signal) <= scale[:, None] / 2 * (1 + 1e-9)).all()
    peak = np.abs(signal).max(axis=1).astype(np.float64)
    usual = peak > LARGEST * np.finfo(np.float32).tiny
    np.testing.assert_allclose(scale[usual], peak[usual] / LARGEST)
    back = dequantise(samples, scale)
    rounding = np.abs(signal) * 2.0**-23
    assert (np.abs(back - signal) <= scale[:, None] / 2 * (1 + 1e-9) + rounding).all()


@given(
    hnp.arrays(np.int16, SHAPES),
    st.floats(1.0, 5000.0).map(lambda gain: round(gain, 3)),
)
@settings(max_examples=150, deadline=None)
def test_multiples_of_the_resolution_come_back_exactly(steps, gain):
    signal = (steps / gain).astype(np.float32)
    resolution = np.full(len(steps), 1 / gain)
    samples, scale = quantise(signal, resolution)
    np.testing.assert_array_equal(samples, steps)
    np.testing.assert_array_equal(scale, resolution)
    np.testing.assert_array_equal(dequantise(samples, scale), signal)


@given(
    hnp.arrays(np.int32, SHAPES, elements=st.integers(-33_000, 33_000)),
    st.floats(1e-3, 5000.0),
    st.floats(0.0, 0.02),
)
@settings(max_examples=300, deadline=None)
def test_the_fast_way_says_what_the_careful_one_does_or_nothing(steps, gain, off):
    signal = (steps / gain).astype(np.float32)
    signal[0, -1] += np.float32(off / gain)
    resolution = np.full(len(steps), 1 / gain)
    fast = exact_steps(signal, resolution)
    samples, scale = quantise(signal, resolution)
    if fast is not None:
        assert fast.dtype == np.dtype("<i2")
        np.testing.assert_array_equal(fast, samples)
        np.testing.assert_array_equal(scale, resolution)
    elif off == 0 and np.abs(steps).max() <= LARGEST:
        pytest.fail("multiples of the step were not recognised")


@pytest.mark.parametrize("step", [0.0, -0.1, np.nan, np.inf, 1e-39])
def test_the_fast_way_leaves_strange_steps_to_the_careful_one(step):
    assert exact_steps(np.ones((2, 3), np.float32), np.array([1.0, step])) is None
    assert exact_steps(np.full((1, 3), 3e38, np.float32), np.array([1e-30])) is None


def test_each_lead_falls_back_on_its_own():
    steps = np.array([[1, 2, 3, 4], [1, 2, 3, 40_000], [1, 2, 3, 4], [0, 0, 0, 0]])
    signal = (steps * 0.01).astype(np.float32)
    signal[2, 1] += 0.004  # not a multiple
    samples, scale = quantise(signal, np.array([0.01, 0.01, 0.01, np.nan]))
    assert scale[0] == 0.01
    assert scale[1] == pytest.approx(400 / LARGEST)
    assert scale[2] == pytest.approx(0.04 / LARGEST)
    assert scale[3] == 1.0
    assert not samples[3].any()


def test_repaired_samples_do_not_end_exactness():
    signal = np.array([[0.01, 0.013, 0.02]], dtype=np.float32)
    repaired = np.array([[False, True, False]])
    samples, scale = quantise(signal, np.array([0.01]), repaired)
    assert scale[0] == 0.01
    assert samples.tolist() == [[1, 1, 2]]


@pytest.mark.parametrize("value", [1e-45, 3e38, -3e38])
def test_extreme_sizes_keep_a_scale_that_float32_holds(value):
    samples, scale = quantise(np.array([[value, 0.0]], dtype=np.float32))
    assert np.isfinite(scale).all()
    assert scale.astype(np.float32)[0] > 0
    assert np.abs(dequantise(samples, scale)[0, 0] - np.float32(value)) <= scale[0] / 2
