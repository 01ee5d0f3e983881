"""Heart cycles: where each begins and ends, and its four states between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.errors import RecordError
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, HeartStates

Times = npt.NDArray[np.float64]

BOUNDARIES = ("start", "systole", "s2", "diastole", "end")
"""Columns of a cycle's times, in their order: begins of S1, systole, S2 and diastole, and the end
of diastole, which is the begin of the next S1."""

LARGEST_GAP = 0.01
"""Seconds between two intervals that still count as following each other: annotations on paper
grids leave gaps and overlaps of some milliseconds."""


@dataclass(frozen=True, eq=False)
class HeartCycles:
    """Hold the whole cycles of one recording, in order of time.

    Args:
        start: `[N]` float64, begin of each cycle in seconds from that of the recording.
        systole: `[N]` begin of systole, the end of S1; NaN where it is not known.
        s2: `[N]` begin of S2; NaN where it is not known.
        diastole: `[N]` begin of diastole, the end of S2; NaN where it is not known.
        end: `[N]` end of each cycle.
        confidence: `[N]` float32 from 0 to 1: how far a cycle is to be trusted.

    Raises:
        RecordError: The arrays have different lengths, or the times of a cycle are not in order.
    """

    start: Times
    systole: Times
    s2: Times
    diastole: Times
    end: Times
    confidence: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        for name in (*BOUNDARIES, "confidence"):
            dtype = np.float32 if name == "confidence" else np.float64
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=dtype).reshape(-1))
        if len({len(getattr(self, name)) for name in (*BOUNDARIES, "confidence")}) != 1:
            raise RecordError("cycles need every boundary and a confidence each")
        if not self:
            return
        times = np.stack([getattr(self, name) for name in BOUNDARIES], axis=1)
        # A boundary that is not known takes the place of the one before it.
        known = np.fmax.accumulate(times, axis=1)
        wrong = ~(np.isfinite(self.start) & np.isfinite(self.end) & (self.end > self.start))
        wrong |= (times[:, 1:] < known[:, :-1]).any(axis=1)
        if wrong.any():
            raise RecordError(
                f"cycle {int(wrong.argmax()) + 1} has the times {times[wrong.argmax()].tolist()}, "
                "which are not in order"
            )

    def __len__(self) -> int:
        return len(self.start)

    @property
    def heart_rate(self) -> Times:
        """Give the beats a minute of each cycle, `[N]`."""
        return 60.0 / (self.end - self.start)

    def take(self, which: npt.NDArray[np.generic]) -> HeartCycles:
        """Choose cycles by position or by a mask."""
        return HeartCycles(**{name: getattr(self, name)[which] for name in _FIELDS})

    def moved(self, by: float) -> HeartCycles:
        """Add `by` seconds to every time."""
        times = {name: getattr(self, name) + by for name in BOUNDARIES}
        return HeartCycles(**times, confidence=self.confidence)

    def table(self) -> pd.DataFrame:
        """Give one row per cycle: the boundaries in seconds, heart rate and confidence."""
        columns = {name: getattr(self, name) for name in BOUNDARIES}
        return pd.DataFrame(
            {**columns, "heart_rate": self.heart_rate, "confidence": self.confidence}
        )

    @classmethod
    def empty(cls) -> HeartCycles:
        """Give no cycles."""
        none = np.zeros(0)
        return cls(none, none, none, none, none, none.astype(np.float32))


_FIELDS = (*BOUNDARIES, "confidence")


def whole_cycles(
    states: HeartStates, confidence: npt.NDArray[np.floating] | None = None
) -> HeartCycles:
    """Find the cycles of which all four states are marked and after which another S1 begins.

    Args:
        states: Intervals of one recording.
        confidence: `[len(states)]` of each interval, 0 to 1; a cycle has the mean of its four.
            None gives 1.
    """
    order = np.array([S1, SYSTOLE, S2, DIASTOLE, S1])
    first = np.arange(len(states) - 4)
    if not len(first):
        return HeartCycles.empty()
    rows = first[:, None] + np.arange(5)
    gap = states.start[rows[:, 1:]] - states.end[rows[:, :-1]]
    whole = (states.state[rows] == order).all(axis=1) & (np.abs(gap) <= LARGEST_GAP).all(axis=1)
    rows = rows[whole]
    sure = np.ones(len(states)) if confidence is None else np.asarray(confidence)
    start, systole, s2, diastole, end = states.start[rows].T
    return HeartCycles(start, systole, s2, diastole, end, sure[rows[:, :4]].mean(axis=1))
