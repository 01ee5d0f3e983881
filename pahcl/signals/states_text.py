"""The states of a recording as text, in the form of the CirCor data set's `.tsv` files."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pahcl.signals.heart_cycles.cycles import LARGEST_GAP, HeartCycles
from pahcl.signals.states import UNANNOTATED, HeartStates

_TICK = 1e-6


def states_text(states: HeartStates, duration: float) -> str:
    """Write begin and end in seconds and the state's number, one interval a line.

    The lines follow each other without gap or overlap from 0 to the end of the recording, as those
    of CirCor mostly do: what is in no interval is `UNANNOTATED` (0), and an interval ends where the
    next one begins. Times have up to six decimals.

    Args:
        states: Of the recording.
        duration: Length of the recording in seconds; what lies beyond is left out.
    """
    rows: list[tuple[float, float, int]] = []
    reached = 0.0
    following = np.append(states.start, np.inf)[1:]
    for start, end, after, state in zip(
        states.start.tolist(),
        states.end.tolist(),
        following.tolist(),
        states.state.tolist(),
        strict=True,
    ):
        begin, stop = round(max(start, reached), 6), round(min(end, after, duration), 6)
        if stop - begin < _TICK / 2:
            continue
        if begin - reached > _TICK / 2:
            rows.append((reached, begin, UNANNOTATED))
        rows.append((begin, stop, state))
        reached = stop
    last = round(duration, 6)
    if last - reached > _TICK / 2:
        rows.append((reached, last, UNANNOTATED))
    return "".join(f"{_seconds(a)}\t{_seconds(b)}\t{state}\n" for a, b, state in _merged(rows))


def sure_states(
    states: HeartStates, cycles: HeartCycles, kept: npt.NDArray[np.bool_]
) -> HeartStates:
    """Take the annotation away from what is not sure.

    Sure are the states of kept cycles, and those beside them that belong to no whole cycle, since
    the recording, or what disturbs it, cuts that.

    Args:
        states: Of the recording.
        cycles: N cycles in it, in order of time.
        kept: `[N]`, which of them are sure.
    """
    if not len(cycles) or not len(states):
        return HeartStates(states.start, states.end, np.full(len(states), UNANNOTATED, np.int8))
    middle = (states.start + states.end) / 2
    place = np.maximum(np.searchsorted(cycles.start, middle, side="right") - 1, 0)
    within = (middle >= cycles.start[place]) & (middle < cycles.end[place])
    sure = within & kept[place]
    apart = np.abs(states.start[1:] - states.end[:-1]) > LARGEST_GAP
    runs = np.cumsum(np.append(True, apart | (within[1:] != within[:-1])))
    for run in np.unique(runs[~within]).tolist():
        here = np.flatnonzero(runs == run)
        first, last = int(here[0]), int(here[-1])
        before = first > 0 and not apart[first - 1] and sure[first - 1]
        behind = last + 1 < len(states) and not apart[last] and sure[last + 1]
        sure[here] = bool(before or behind)
    return HeartStates(states.start, states.end, np.where(sure, states.state, UNANNOTATED))


def _merged(rows: list[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """Make one of unannotated intervals that follow each other."""
    merged: list[tuple[float, float, int]] = []
    for row in rows:
        if merged and row[2] == merged[-1][2] == UNANNOTATED:
            merged[-1] = (merged[-1][0], row[1], UNANNOTATED)
        else:
            merged.append(row)
    return merged


def _seconds(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
