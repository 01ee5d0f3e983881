"""What the cycles of one recording say of the heart: its rate, how that varies, and durations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pahcl.signals.heart_cycles.cycles import LARGEST_GAP, HeartCycles

Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

ECTOPIC = 0.2
"""A cycle whose length differs by more than this share from the median of its neighbourhood is no
normal beat (after Malik et al., Medical and Biological Engineering and Computing 27, 1989, who hold
it against the cycle before): premature beats, the pauses behind them, beats that were missed."""

NEIGHBOURS = 5
"""Cycles before and behind that, with the cycle itself, are the neighbourhood."""


@dataclass(frozen=True)
class CycleMeasures:
    """Hold the measures of one recording; NaN where there is too little to take them from.

    Args:
        heart_rate: Median of 60 s over the length of a cycle, in beats a minute.
        sdnn_ms: Standard deviation (over n - 1) of the lengths of normal cycles, in ms.
        rmssd_ms: Root mean square of the differences of successive normal cycles, in ms.
        normal: Cycles whose lengths these two are of.
        ectopic: Cycles that were left out of them, since their length is none of a normal beat.
        systole_diastole_ratio: Median of the time from S1 to S2 over that from S2 to the next S1,
            each from begin to begin.
        s1_ms: Median duration of the first sound.
        systole_ms: Median duration of systole, from the end of S1 to the begin of S2.
        s2_ms: Median duration of the second sound.
        diastole_ms: Median duration of diastole, from the end of S2 to the next S1.
    """

    heart_rate: float
    sdnn_ms: float
    rmssd_ms: float
    normal: int
    ectopic: int
    systole_diastole_ratio: float
    s1_ms: float
    systole_ms: float
    s2_ms: float
    diastole_ms: float


def measure(cycles: HeartCycles) -> CycleMeasures:
    """Measure the cycles that are to be trusted.

    Names and formulas of the variability are those of the Task Force of the ESC and NASPE
    (Circulation 93, 1996). They ask for 5 minutes; in less they say less.

    Args:
        cycles: In order of time; others may lie between them.
    """
    length = 1000 * (cycles.end - cycles.start)
    ectopic = find_ectopic(cycles)
    follows = np.abs(cycles.start[1:] - cycles.end[:-1]) <= LARGEST_GAP
    pairs = follows & ~ectopic[1:] & ~ectopic[:-1]
    steps = np.diff(length)[pairs]
    normal = length[~ectopic]
    with np.errstate(divide="ignore"):
        ratio = (cycles.s2 - cycles.start) / (cycles.end - cycles.s2)
    return CycleMeasures(
        heart_rate=_median(60_000 / length),
        sdnn_ms=float(normal.std(ddof=1)) if len(normal) > 1 else float("nan"),
        rmssd_ms=float(np.sqrt(np.mean(steps**2))) if len(steps) else float("nan"),
        normal=len(normal),
        ectopic=int(ectopic.sum()),
        systole_diastole_ratio=_median(ratio),
        s1_ms=_median(1000 * (cycles.systole - cycles.start)),
        systole_ms=_median(1000 * (cycles.s2 - cycles.systole)),
        s2_ms=_median(1000 * (cycles.diastole - cycles.s2)),
        diastole_ms=_median(1000 * (cycles.end - cycles.diastole)),
    )


def find_ectopic(cycles: HeartCycles) -> Flags:
    """Find the cycles `[N]` whose length is that of no normal beat here."""
    length = cycles.end - cycles.start
    if not len(length):
        return np.zeros(0, dtype=np.bool_)
    padded = np.pad(length, NEIGHBOURS, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1)
    usual = np.nanmedian(around, axis=1)
    return np.asarray(np.abs(length - usual) > ECTOPIC * usual)


def _median(values: Values) -> float:
    """Give the median of what is known; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
