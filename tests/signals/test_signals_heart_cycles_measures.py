"""Heart rate, its variability and durations, from the cycles of one recording."""

from __future__ import annotations

import numpy as np
import pytest

from pahcl.signals.heart_cycles.cycles import HeartCycles
from pahcl.signals.heart_cycles.measures import find_ectopic, measure


def cycles_of(lengths: list[float], known: bool = True) -> HeartCycles:
    """Make cycles that follow each other, with sounds of 0.1 and 0.08 s and a systole of 0.2 s."""
    edges = np.concatenate([[0.3], 0.3 + np.cumsum(lengths)])
    start, end = edges[:-1], edges[1:]
    s1, s2, rest = (start + time if known else start + np.nan for time in (0.1, 0.3, 0.38))
    return HeartCycles(start, s1, s2, rest, end, np.ones(len(start), dtype=np.float32))


def test_a_regular_heart() -> None:
    found = measure(cycles_of([0.8] * 10))
    assert found.heart_rate == pytest.approx(75)
    assert found.sdnn_ms == pytest.approx(0, abs=1e-9)
    assert found.rmssd_ms == pytest.approx(0, abs=1e-9)
    assert (found.normal, found.ectopic) == (10, 0)
    durations = found.s1_ms, found.systole_ms, found.s2_ms, found.diastole_ms
    assert durations == pytest.approx((100, 200, 80, 420))
    assert found.systole_diastole_ratio == pytest.approx(0.3 / 0.5)


def test_variability_is_that_of_the_definitions() -> None:
    lengths = np.array([0.80, 0.84, 0.78, 0.82, 0.86, 0.79])
    found = measure(cycles_of(lengths.tolist()))
    milliseconds = 1000 * lengths
    assert found.sdnn_ms == pytest.approx(np.std(milliseconds, ddof=1))
    assert found.rmssd_ms == pytest.approx(np.sqrt(np.mean(np.diff(milliseconds) ** 2)))


def test_a_premature_beat_and_its_pause_are_no_variability() -> None:
    lengths = [0.8, 0.81, 0.79, 0.5, 1.1, 0.8, 0.82, 0.8]
    cycles = cycles_of(lengths)
    assert np.flatnonzero(find_ectopic(cycles)).tolist() == [3, 4]
    found = measure(cycles)
    normal = 1000 * np.delete(lengths, [3, 4])
    assert found.ectopic == 2
    assert found.sdnn_ms == pytest.approx(np.std(normal, ddof=1))
    # Pairs that the two beats stand between are none.
    steps = np.array([10, -20, 20, -20])
    assert found.rmssd_ms == pytest.approx(np.sqrt(np.mean(steps**2)))


def test_what_is_left_out_between_two_cycles_makes_them_no_pair() -> None:
    cycles = cycles_of([0.8, 0.9, 0.8, 0.9])
    with_gap = cycles.take(np.array([True, False, True, True]))
    assert measure(with_gap).rmssd_ms == pytest.approx(100)
    apart = cycles.take(np.array([True, False, True, False]))
    assert np.isnan(measure(apart).rmssd_ms)


def test_too_few_cycles_say_less() -> None:
    none = measure(HeartCycles.empty())
    assert np.isnan([none.heart_rate, none.sdnn_ms, none.rmssd_ms, none.s1_ms]).all()
    assert (none.normal, none.ectopic) == (0, 0)
    one = measure(cycles_of([0.8]))
    assert one.heart_rate == pytest.approx(75)
    assert np.isnan(one.sdnn_ms)


def test_boundaries_that_are_not_known_have_no_durations() -> None:
    found = measure(cycles_of([0.8] * 5, known=False))
    assert found.heart_rate == pytest.approx(75)
    assert np.isnan([found.s1_ms, found.systole_diastole_ratio]).all()


def test_a_cycle_without_diastole_divides_nothing() -> None:
    start, sure = np.array([0.0, 0.8]), np.ones(2, dtype=np.float32)
    end = start + 0.8
    cycles = HeartCycles(start, start + 0.1, end, end, end, sure)
    assert np.isnan(measure(cycles).systole_diastole_ratio)
