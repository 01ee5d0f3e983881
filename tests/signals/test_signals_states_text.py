"""States as text in CirCor's form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_modules._circor_files import read_states
from pahcl.signals.heart_cycles.cycles import HeartCycles, whole_cycles
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, UNANNOTATED, HeartStates
from pahcl.signals.states_text import states_text, sure_states


def states(*rows: tuple[float, float, int]) -> HeartStates:
    start, end, state = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return HeartStates(start, end, state.astype(np.int8))


def test_the_lines_are_those_of_circor() -> None:
    found = states((0.076288, 0.218693, S1), (0.218693, 0.32025, SYSTOLE), (0.32025, 0.5, S2))
    assert states_text(found, 10.0) == (
        "0\t0.076288\t0\n"
        "0.076288\t0.218693\t1\n"
        "0.218693\t0.32025\t2\n"
        "0.32025\t0.5\t3\n"
        "0.5\t10\t0\n"
    )  # fmt: skip


def test_nothing_found_is_one_unannotated_line() -> None:
    assert states_text(states(), 7.25) == "0\t7.25\t0\n"
    assert states_text(states(), 0.0) == ""


def test_overlaps_end_where_the_next_interval_begins() -> None:
    text = states_text(states((0, 0.3, S1), (0.2, 0.5, SYSTOLE), (0.5, 0.5, S2)), 0.5)
    assert text == "0\t0.2\t1\n0.2\t0.5\t2\n"


def test_what_lies_beyond_the_recording_is_left_out() -> None:
    text = states_text(states((0.1, 0.3, S1), (0.9, 1.4, DIASTOLE), (1.4, 1.6, S1)), 1.0)
    assert text == "0\t0.1\t0\n0.1\t0.3\t1\n0.3\t0.9\t0\n0.9\t1\t4\n"


@given(st.lists(st.floats(0, 30, allow_nan=False), max_size=40), st.integers(0, 4))
def test_read_again_every_sample_has_its_state(times: list[float], first: int) -> None:
    edges = np.unique(np.round(times, 6))
    state = (np.arange(max(len(edges) - 1, 0)) + first) % 5
    found = HeartStates(edges[:-1], edges[1:], state.astype(np.int8))
    lines = states_text(found, 31.0).splitlines()
    rows = np.array([line.split("\t") for line in lines], dtype=np.float64)
    assert rows[0, 0] == 0
    assert rows[-1, 1] == 31
    np.testing.assert_array_equal(rows[1:, 0], rows[:-1, 1])
    again = HeartStates(rows[:, 0], rows[:, 1], rows[:, 2].astype(np.int8))
    np.testing.assert_array_equal(found.sampled(200, 6200), again.sampled(200, 6200))


def test_the_reader_of_circor_takes_it(tmp_path: Path) -> None:
    found = states((0.5, 0.61, S1), (0.61, 0.8, SYSTOLE), (0.8, 0.9, S2), (0.9, 1.3, DIASTOLE))
    (tmp_path / "a.tsv").write_text(states_text(found, 2.0), encoding="ascii")
    again = read_states(tmp_path / "a.tsv")
    assert again is not None
    assert again.annotated == found.annotated
    assert again.state.tolist() == [0, 1, 2, 3, 4, 0]


def test_only_kept_cycles_and_what_touches_them_stay_annotated() -> None:
    beat = [(0.0, 0.1, S1), (0.1, 0.3, SYSTOLE), (0.3, 0.4, S2), (0.4, 0.8, DIASTOLE)]
    beats = [(a + 0.8 * k, b + 0.8 * k, state) for k in range(4) for a, b, state in beat]
    cut = [(3.2, 3.3, S1), (3.3, 3.4, SYSTOLE)]
    lone = [(5.0, 5.1, S1)]
    found = states((0.0, 0.2, DIASTOLE), *((a + 0.2, b + 0.2, c) for a, b, c in beats + cut), *lone)
    cycles = whole_cycles(found)
    assert len(cycles) == 4
    before, behind = [DIASTOLE], [S1, SYSTOLE]
    whole = [S1, SYSTOLE, S2, DIASTOLE]
    for kept, wanted in (
        ([1, 1, 1, 1], [*before, *4 * whole, *behind, 0]),
        ([0, 1, 1, 1], [0, *4 * [0], *3 * whole, *behind, 0]),
        ([1, 0, 1, 0], [*before, *whole, *4 * [0], *whole, *4 * [0], 0, 0, 0]),
        ([0, 0, 0, 0], 20 * [UNANNOTATED]),
    ):
        left = sure_states(found, cycles, np.array(kept, dtype=np.bool_))
        assert left.state.tolist() == wanted
        np.testing.assert_array_equal(left.start, found.start)


def test_without_a_cycle_nothing_is_sure() -> None:
    found = states((0.0, 0.1, S1), (0.1, 0.3, SYSTOLE), (0.3, 0.4, S2))
    left = sure_states(found, HeartCycles.empty(), np.zeros(0, dtype=np.bool_))
    assert not left.state.any()
    nothing = states()
    assert not len(sure_states(nothing, HeartCycles.empty(), np.zeros(0, dtype=np.bool_)))
