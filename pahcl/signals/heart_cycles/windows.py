"""Fixed windows of a recording: the alternative to its heart cycles, which needs no segmenter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pahcl.errors import UsageError
from pahcl.signals.heart_cycles.cycles import HeartCycles

Times = npt.NDArray[np.float64]

WINDOW = 2.0
"""Seconds of a window."""

HOP = 1.0
"""Seconds from one window to the next."""


class Cut(NamedTuple):
    """Hold the windows of many recordings.

    Args:
        recording: `[M]` int64, which recording each is of.
        start: `[M]` seconds from the begin of that.
        end: `[M]` seconds.
    """

    recording: npt.NDArray[np.int64]
    start: Times
    end: Times


def fixed_windows(
    duration: float, seconds: float = WINDOW, hop: float = HOP, partial: bool = True
) -> HeartCycles:
    """Cut a recording into windows, as rows like those of its cycles.

    Args:
        duration: Of the recording in seconds.
        seconds: Of a window.
        hop: From one window to the next, in seconds.
        partial: Keep the last window where it is shorter and holds what no whole one does; so a
            recording shorter than a window is one. Otherwise its end is left out.

    Returns:
        Windows without states (their boundaries are NaN), of confidence 1: nothing is guessed.

    Raises:
        UsageError: A time is not positive, or windows would leave gaps.
    """
    _, start, end = cut_windows(np.array([duration]), seconds, hop, partial)
    unknown = np.full(len(start), np.nan)
    return HeartCycles(start, unknown, unknown, unknown, end, np.ones(len(start), dtype=np.float32))


def cut_windows(
    durations: Times, seconds: float = WINDOW, hop: float = HOP, partial: bool = True
) -> Cut:
    """Cut many recordings at once; arguments and errors are those of `fixed_windows`.

    Args:
        durations: `[N]` of the recordings in seconds.
        seconds: Of a window.
        hop: From one window to the next.
        partial: Keep last windows that are shorter.
    """
    if not (0 < seconds < np.inf and 0 < hop <= seconds):
        raise UsageError(
            f"Windows need a duration above 0 s, and a hop above 0 s that is not longer, got "
            f"{seconds:g} and {hop:g} s."
        )
    held = np.asarray(durations, dtype=np.float64)
    # 1 ns: 4.0 s of windows of 2 s are as many as those of 3.9999999999 s.
    whole = np.maximum(np.floor((held - seconds) / hop + 1e-9) + 1, 0).astype(np.int64)
    covered = np.where(whole > 0, (whole - 1) * hop + seconds, 0.0)
    last = (held > covered + 1e-9) & partial
    counts = whole + last
    recording = np.repeat(np.arange(len(held)), counts)
    place = np.arange(len(recording)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = place * hop
    return Cut(recording, start, np.minimum(start + seconds, held[recording]))
