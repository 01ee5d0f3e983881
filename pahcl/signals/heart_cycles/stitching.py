"""Cutting a long heart sound into overlapping pieces, and joining what was found in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pahcl.signals.heart_cycles.cycles import BOUNDARIES, HeartCycles
from pahcl.signals.states import S1, S2, HeartStates

PIECE_SECONDS = 180.0
"""Longest piece of a recording that is segmented at once; no published recording is longer."""

OVERLAP_SECONDS = 10.0
"""Seconds that two pieces share: several cycles of the slowest heart."""

_MARGIN = 2.0
_AGREED = 0.06
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Found:
    """Hold the states and the whole cycles of a piece, in seconds of the recording."""

    states: HeartStates
    cycles: HeartCycles

    def moved(self, by: float) -> Found:
        """Add `by` seconds to every time."""
        states = self.states
        return Found(
            HeartStates(states.start + by, states.end + by, states.state), self.cycles.moved(by)
        )

    def before(self, time: float, end: float) -> Found:
        """Keep what ends by `time`; what ends just then ends at `end` instead."""
        states, cycles = self.states, self.cycles
        kept = states.end <= time + _SAME
        last = np.where(states.end[kept] >= time - _SAME, end, states.end[kept])
        whole = cycles.take(cycles.end <= time + _SAME)
        times = {name: getattr(whole, name) for name in BOUNDARIES}
        times["end"] = np.where(whole.end >= time - _SAME, end, whole.end)
        return Found(
            HeartStates(states.start[kept], last, states.state[kept]),
            HeartCycles(**times, confidence=whole.confidence),
        )

    def since(self, time: float) -> Found:
        """Keep what begins at `time` or after."""
        states, kept = self.states, self.states.start >= time
        return Found(
            HeartStates(states.start[kept], states.end[kept], states.state[kept]),
            self.cycles.take(self.cycles.start >= time),
        )

    def without(self, pauses: npt.NDArray[np.float64]) -> Found:
        """Leave out sounds that would lie in pauses, `[N, 2]` begins and ends, and their cycles."""
        if not len(pauses):
            return self
        states, cycles = self.states, self.cycles
        sound = (states.state == S1) | (states.state == S2)
        invented = sound & _mostly_within(states.start, states.end, pauses)
        kept = ~invented
        within = (cycles.start[:, None] <= states.start[invented]) & (
            states.start[invented] <= cycles.end[:, None]
        )
        return Found(
            HeartStates(states.start[kept], states.end[kept], states.state[kept]),
            cycles.take(~within.any(axis=1)),
        )


_NO_TIME = np.zeros(0)

NOTHING = Found(HeartStates(_NO_TIME, _NO_TIME, np.zeros(0, dtype=np.int8)), HeartCycles.empty())
"""What is found in silence."""


def pieces(length: int, fs: float) -> list[tuple[int, int]]:
    """Cut `length` samples into pieces of the same length that overlap.

    Args:
        length: Number of samples.
        fs: Their rate in Hz.

    Returns:
        Begin and stop of each piece; they overlap by `OVERLAP_SECONDS`.
    """
    overlap = round(OVERLAP_SECONDS * fs)
    count = max(math.ceil((length - overlap) / (round(PIECE_SECONDS * fs) - overlap)), 1)
    if count == 1:
        return [(0, length)]
    hop = (length - overlap) / count
    edges = [*(round(hop * piece) for piece in range(count)), length - overlap]
    return [(begin, stop + overlap) for begin, stop in pairwise(edges)]


def joined(parts: Sequence[Found]) -> Found:
    """Put what follows each other into one, without overlap."""
    if len(parts) == 1:
        return parts[0]
    states = [part.states for part in parts] or [NOTHING.states]
    cycles = [part.cycles for part in parts] or [NOTHING.cycles]
    return Found(
        HeartStates(
            *(
                np.concatenate([getattr(one, name) for one in states])
                for name in ("start", "end", "state")
            )
        ),
        HeartCycles(
            **{
                name: np.concatenate([getattr(one, name) for one in cycles])
                for name in (*BOUNDARIES, "confidence")
            }
        ),
    )


def stitched(found: Iterable[tuple[float, float, Found]]) -> Found:
    """Join pieces that overlap where both see a cycle begin, nearest to the overlap's middle.

    Where they agree on none, what lies across the middle of the overlap is left out.

    Args:
        found: Begin and end of each piece in seconds of the recording, and what was found in it.
    """
    done: list[Found] = []
    last: Found | None = None
    until = 0.0
    for begin, end, piece in found:
        if last is None:
            last, until = piece, end
            continue
        ends, begins = _seam(last, piece, begin, until)
        done.append(last.before(ends, begins))
        last, until = piece.since(begins), end
    return joined(done if last is None else [*done, last])


def _seam(first: Found, second: Found, begin: float, end: float) -> tuple[float, float]:
    """Find where the first piece ends and the second begins, between `begin` and `end`."""
    middle = (begin + end) / 2
    width = max(end - begin - 2 * _MARGIN, 0) / 2
    cycles = first.cycles
    near = np.abs(cycles.end - middle) <= width
    ends, diastole = cycles.end[near], np.fmax(cycles.start, cycles.diastole)[near]
    begins = second.cycles.start[np.abs(second.cycles.start - middle) <= width]
    same = np.abs(ends[:, None] - begins) <= _AGREED
    agreed = np.argwhere(same & (begins > diastole[:, None]))
    if not len(agreed):
        return middle, middle
    one, other = agreed[np.argmin(np.abs(begins[agreed[:, 1]] - middle))]
    return float(ends[one]), float(begins[other])


def _mostly_within(
    start: npt.NDArray[np.float64], end: npt.NDArray[np.float64], spans: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Say which intervals lie for more than half in one of the spans, which do not overlap."""
    middle = (start + end) / 2
    place = np.searchsorted(spans[:, 0], middle, side="right") - 1
    here = spans[np.maximum(place, 0)]
    share = np.minimum(end, here[:, 1]) - np.maximum(start, here[:, 0])
    return np.asarray((place >= 0) & (share > 0.5 * (end - start)) & (middle < here[:, 1]))
