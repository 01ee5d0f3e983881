"""States of the heart cycle: what is kept, what is refused, and the state of every sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pahcl.errors import RecordError
from pahcl.signals import HeartStates
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, UNANNOTATED


def states(*rows: tuple[float, float, int]) -> HeartStates:
    start, end, state = zip(*rows, strict=True) if rows else ((), (), ())
    return HeartStates(np.array(start), np.array(end), np.array(state, dtype=np.int8))


def test_gaps_and_small_overlaps_stay_as_they_are() -> None:
    kept = states((0, 0.1, S1), (0.103, 0.3, SYSTOLE), (0.298, 0.4, S2))
    assert kept.start.tolist() == [0, 0.103, 0.298]
    assert kept.end.tolist() == [0.1, 0.3, 0.4]
    assert len(kept) == 3
    assert kept.state.dtype == np.int8


def test_every_sample_has_the_state_of_the_interval_that_began_last() -> None:
    kept = states((0.002, 0.004, S1), (0.005, 0.008, SYSTOLE), (0.007, 0.009, S2))
    assert kept.sampled(1000, 12).tolist() == [0, 0, 1, 1, 0, 2, 2, 3, 3, 0, 0, 0]


def test_states_end_with_the_record() -> None:
    assert states((0, 10, DIASTOLE)).sampled(4, 3).tolist() == [DIASTOLE] * 3
    assert states((5, 10, DIASTOLE)).sampled(4, 3).tolist() == [UNANNOTATED] * 3


def test_no_interval_annotates_nothing() -> None:
    assert not states().sampled(1000, 5).any()
    assert states().annotated == 0


def test_annotated_time_leaves_out_what_is_marked_as_not_annotated() -> None:
    assert states((0, 2, UNANNOTATED), (2, 2.5, S1), (2.5, 3.25, SYSTOLE)).annotated == 1.25


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 4)), min_size=1, max_size=30),
    st.sampled_from([1000.0, 2000.0, 4000.0, 44100.0]),
)
def test_intervals_that_touch_give_each_sample_one_state(
    pieces: list[tuple[int, int]], fs: float
) -> None:
    lengths = [length for length, _ in pieces]
    ends = np.cumsum(lengths)
    numbers = np.array([state for _, state in pieces], dtype=np.int8)
    starts = ends - lengths
    kept = HeartStates(starts / fs, ends / fs, numbers)
    assert np.array_equal(kept.sampled(fs, int(ends[-1])), np.repeat(numbers, lengths))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(0, 1, 5)], "interval 1 of the states has the state 5"),
        ([(0, 1, 1), (-0.5, 1, 2)], "interval 2 of the states begins at -0.5 s"),
        ([(0, 1, 1), (2, 1.5, 2)], r"interval 2 of the states ends at 1.5 s, before it begins"),
        ([(1, 2, 1), (0.5, 3, 2)], "interval 2 of the states begins at 0.5 s, before the one"),
        ([(np.nan, 2, 1)], "interval 1 of the states begins at nan s"),
        ([(0, np.inf, 1)], "interval 1 of the states ends at inf s"),
    ],
)
def test_what_no_annotator_can_mean_is_refused(rows: list[Any], said: str) -> None:
    with pytest.raises(RecordError, match=said):
        states(*rows)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(RecordError, match="one start, end and state each"):
        HeartStates(np.zeros(2), np.zeros(1), np.zeros(2, dtype=np.int8))
