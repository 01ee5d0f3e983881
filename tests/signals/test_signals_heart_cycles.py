"""Heart cycles: what is whole, what is refused, and what they say."""

from __future__ import annotations

import numpy as np
import pytest

from pahcl.errors import RecordError
from pahcl.signals import HeartStates
from pahcl.signals.heart_cycles.cycles import HeartCycles, whole_cycles


def beats(count: int, gap: float = 0.0) -> HeartStates:
    lengths = np.tile([0.1, 0.2, 0.1, 0.4], count)[: 4 * count - 2]
    start = np.concatenate([[0], np.cumsum(lengths)[:-1]]) + gap * np.arange(len(lengths))
    return HeartStates(start, start + lengths, np.resize([1, 2, 3, 4], len(lengths)))


def test_a_cycle_is_whole_when_the_next_s1_follows() -> None:
    cycles = whole_cycles(beats(4))
    assert cycles.start.tolist() == pytest.approx([0, 0.8, 1.6])
    assert (cycles.end[:-1] == cycles.start[1:]).all()
    assert cycles.heart_rate.tolist() == pytest.approx([75] * 3)
    assert (cycles.confidence == 1).all()


def test_small_gaps_are_bridged_and_large_ones_are_not() -> None:
    assert len(whole_cycles(beats(4, gap=0.003))) == 3
    assert len(whole_cycles(beats(4, gap=0.02))) == 0


def test_confidence_is_the_mean_of_the_four_states() -> None:
    states = beats(2)
    sure = np.array([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert whole_cycles(states, sure).confidence.tolist() == pytest.approx([0.5])


def test_nothing_gives_no_cycle() -> None:
    assert len(whole_cycles(HeartStates(np.zeros(0), np.zeros(0), np.zeros(0)))) == 0
    assert HeartCycles.empty().table().empty


def test_unknown_boundaries_are_kept_and_disorder_is_refused() -> None:
    nan = np.nan
    kept = HeartCycles([0.0], [nan], [0.3], [nan], [0.8], [1.0])  # type: ignore[arg-type]
    assert kept.table()["s2"].tolist() == [0.3]
    with pytest.raises(RecordError, match="cycle 1"):
        HeartCycles([0.0], [nan], [0.9], [nan], [0.8], [1.0])  # type: ignore[arg-type]
