"""When the heart beats: RR intervals of sinus rhythm, atrial fibrillation and ectopic beats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pahcl.simulation.population import Case, Generator

Floats = npt.NDArray[np.float64]

CONDUCTED, VENTRICULAR, ATRIAL = 0, 1, 2
"""Kinds of beats: conducted from the usual place, ventricular and atrial premature."""

SHORTEST_RR = 0.3
"""Refractory time in seconds."""


@dataclass(frozen=True)
class Beats:
    """Hold the beats of one record.

    Args:
        times: `[K]` times of the R waves in seconds from the start of the record.
        rr: `[K]` interval before each beat in seconds.
        kind: `[K]` `CONDUCTED`, `VENTRICULAR` or `ATRIAL`.
        breath: Rate and phase of breathing, in Hz and radians.
    """

    times: Floats
    rr: Floats
    kind: npt.NDArray[np.int64]
    breath: tuple[float, float]


def draw_beats(rng: Generator, case: Case, duration: float, margin: float) -> Beats:
    """Draw the beats from `-margin` to `duration + margin` seconds."""
    mean = 60 / case.rate
    count = int(np.ceil((duration + 2 * margin) / SHORTEST_RR)) + 2
    breath = (float(rng.uniform(0.17, 0.32)), float(rng.uniform(0, 2 * np.pi)))
    if "AFIB" in case.truth:
        rr = _fibrillating(rng, mean, count)
    else:
        rr = _sinus(rng, case, mean, count, breath)
    times = np.cumsum(rr) - margin - rng.uniform(0, 1) * mean
    times, kind = _premature(rng, case, times, mean)
    keep = times < duration + margin
    times, kind = times[keep], kind[keep]
    before = np.diff(times, prepend=times[0] - mean)
    return Beats(times, before, kind, breath)


def _sinus(
    rng: Generator, case: Case, mean: float, count: int, breath: tuple[float, float]
) -> Floats:
    """Draw sinus intervals: breathing (less of it with age), a slow drift and a small jitter."""
    depth = np.exp(rng.normal(np.log(0.025), 0.5)) * np.exp(-(case.age - 50) / 45)
    if "SARRH" in case.truth:
        depth = rng.uniform(0.07, 0.16)
    phase = 2 * np.pi * breath[0] * mean * np.arange(count) + breath[1]
    drift = np.cumsum(rng.normal(0, 0.006, count)) * 0.7
    jitter = rng.normal(0, 0.008, count)
    rr = mean * (1 + min(depth, 0.2) * np.sin(phase) + drift + jitter)
    return np.asarray(np.maximum(rr, SHORTEST_RR))


def _fibrillating(rng: Generator, mean: float, count: int) -> Floats:
    """Draw intervals of atrial fibrillation: independent, skewed, with a refractory floor."""
    spread = float(np.clip(rng.normal(0.21, 0.055), 0.08, 0.34))
    shape = 1 / spread**2
    return np.maximum(rng.gamma(shape, mean / shape, count), SHORTEST_RR)


def _premature(
    rng: Generator, case: Case, times: Floats, mean: float
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Make some beats premature: a ventricular one with a full pause, an atrial one without."""
    kind = np.zeros(len(times), dtype=np.int64)
    shifted = times.copy()
    # Hearts have single extra beats that nobody writes down.
    for code, what in (("PVC", VENTRICULAR), ("PAC", ATRIAL)):
        share = rng.uniform(0.06, 0.25) if code in case.truth else 0.0015
        if what == ATRIAL and "AFIB" in case.truth:
            continue
        early = np.flatnonzero(rng.random(len(times)) < share)
        if code in case.truth:
            visible = np.flatnonzero((times > 1) & (times < 6))
            early = np.union1d(early, rng.choice(visible, 1))
        for beat in early:
            if beat == 0 or kind[beat - 1] or kind[beat]:
                continue
            gap = shifted[beat] - shifted[beat - 1]
            step = gap - max(SHORTEST_RR + 0.02, gap * rng.uniform(0.55, 0.75))
            if step <= 0:
                continue
            kind[beat] = what
            last = beat + 1 if what == VENTRICULAR else len(times)
            shifted[beat:last] -= step
    return shifted, kind
