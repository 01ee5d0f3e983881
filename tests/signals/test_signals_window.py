from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pahcl.signals import Pad, crop_or_pad, window_bounds


def ramp(length: int) -> np.ndarray:
    return np.arange(1, length + 1, dtype=np.float32)[None]


def test_crop_takes_the_middle() -> None:
    window, mask = crop_or_pad(ramp(10), 4)
    np.testing.assert_array_equal(window, [[4, 5, 6, 7]])
    assert mask.all()


def test_pad_in_the_middle_and_at_the_end() -> None:
    window, mask = crop_or_pad(ramp(3), 6)
    np.testing.assert_array_equal(window, [[0, 1, 2, 3, 0, 0]])
    np.testing.assert_array_equal(mask, [False, True, True, True, False, False])
    window, mask = crop_or_pad(ramp(3), 6, "end")
    np.testing.assert_array_equal(window, [[1, 2, 3, 0, 0, 0]])
    np.testing.assert_array_equal(mask, [True, True, True, False, False, False])


def test_a_fitting_record_is_a_view() -> None:
    signal = ramp(5)
    window, mask = crop_or_pad(signal, 5)
    assert np.shares_memory(window, signal)
    assert mask.all()


@given(
    lengths=st.lists(st.integers(0, 60), max_size=8),
    length=st.integers(1, 50),
    pad=st.sampled_from(["center", "end"]),
)
def test_bounds_of_many_are_the_windows_of_each(lengths: list[int], length: int, pad: Pad) -> None:
    begin, start, stop = window_bounds(lengths, length, pad)
    for row, recorded in enumerate(lengths):
        signal = ramp(recorded)
        window, mask = crop_or_pad(signal, length, pad)
        assert window.shape == (1, length)
        np.testing.assert_array_equal(np.flatnonzero(mask), np.arange(start[row], stop[row]))
        np.testing.assert_array_equal(
            window[0, mask], signal[0, begin[row] : begin[row] + stop[row] - start[row]]
        )
        assert (window[0, ~mask] == 0).all()
        assert mask.sum() == min(recorded, length)
        right = length - stop[row]
        if pad == "center":
            assert 0 <= right - start[row] <= 1
