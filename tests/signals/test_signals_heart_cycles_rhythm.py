"""Heart cycles by their rhythm, against the truth of simulated hearts."""

from __future__ import annotations

import numpy as np
import pytest

from pahcl.signals.heart_cycles.rhythm import Rhythm
from pahcl.signals.states import S1, S2, HeartStates
from pahcl.simulation.heart_sound import Heart, HeartSound, Scene, simulate
from pahcl.simulation.heart_sound import Rhythm as Pace


def listen(rate: float, duration: float = 15.0) -> HeartSound:
    heart = Heart(rhythm=Pace(rate=rate, variability=0.03))
    return simulate(heart, Scene(fs=2000, duration=duration), seed=(int(rate), 5))


def share_found(found: HeartStates, truth: HeartStates, tolerance: float = 0.06) -> float:
    """Give the F1 of first and second sounds whose middles agree."""
    right = total = 0
    for state in (S1, S2):
        a, b = ((s.start[s.state == state] + s.end[s.state == state]) / 2 for s in (found, truth))
        right += int((np.abs(a[:, None] - b[None, :]).min(axis=0) <= tolerance).sum())
        total += len(a) + len(b)
    return 2 * right / total


@pytest.mark.parametrize("rate", [35, 50, 65, 80, 95])
def test_beats_are_found_where_they_are(rate: float) -> None:
    sound = listen(rate)
    found = Rhythm()(sound.signal, sound.fs)
    assert share_found(found.states, sound.states) >= 0.95
    assert found.heart_rate == pytest.approx(rate, rel=0.05)
