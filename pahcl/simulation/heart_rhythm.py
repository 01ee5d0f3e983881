"""When a heart sounds: first and second sounds, beat by beat, with breathing and extra beats.

Intervals follow the textbooks: systole shortens with the rate (Weissler, Harris and Schoenfeld,
Circulation 37, 1968: ejection time = 0.413 s - 1.7 ms per beat a minute; the time from first to
second sound is a little longer), diastole shortens far more; breathing in speeds the heart up and
delays the pulmonary valve, so that the second sound splits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pahcl.errors import UsageError
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, HeartStates

Floats = npt.NDArray[np.float64]
Generator = np.random.Generator

USUAL, VENTRICULAR, ATRIAL = 0, 1, 2
"""Kinds of beats: usual ones, premature with a full pause, premature without one."""

SHORTEST_RR = 0.25
"""Least interval between beats in seconds (240 a minute)."""

TRICUSPID_DELAY = 0.018
FIRST_DECAY, SECOND_DECAY = 0.026, 0.018
"""Time constants in seconds, by which the components of a first and second sound die away."""

SPAN = 3.2
"""Time constants until a component has fallen to 4 %, which ends the state."""


@dataclass(frozen=True)
class Rhythm:
    """Describe when a heart beats.

    Args:
        rate: Mean rate in beats per minute, 30 to 220.
        variability: Depth of the breathing rhythm, as a share of the interval.
        breath: Breaths a second.
        split: Time from aortic to pulmonary closure in seconds, breathed out and breathed in.
        extrasystoles: Share of the beats that are premature; above 0 there is one at least.
        ventricular: Share of the premature beats that are ventricular, with a full pause.
    """

    rate: float = 72.0
    variability: float = 0.04
    breath: float = 0.25
    split: tuple[float, float] = (0.012, 0.04)
    extrasystoles: float = 0.0
    ventricular: float = 0.7

    def __post_init__(self) -> None:
        if not 30 <= self.rate <= 220:
            raise UsageError(f"A heart beats 30 to 220 times a minute here, got {self.rate:g}.")


@dataclass(frozen=True)
class Beats:
    """Hold the beats of a recording, in seconds from its begin.

    Args:
        first: `[K]` begin of each first sound.
        first_end: `[K]` its end.
        second: `[K]` begin of each second sound, the closure of the aortic valve.
        second_end: `[K]` its end.
        split: `[K]` time from aortic to pulmonary closure.
        pace: `[K]` factor on the durations of the sounds, 1 at 75 beats a minute.
        kind: `[K]` `USUAL`, `VENTRICULAR` or `ATRIAL`.
        breath: Rate and phase of breathing in Hz and radians; inspiration where the sine is
            positive.
    """

    first: Floats
    first_end: Floats
    second: Floats
    second_end: Floats
    split: Floats
    pace: Floats
    kind: npt.NDArray[np.int64]
    breath: tuple[float, float]

    def states(self, duration: float) -> HeartStates:
        """Lay the states out over a recording of `duration` seconds, cut to it."""
        edges = np.stack([self.first, self.first_end, self.second, self.second_end], axis=1)
        times = np.clip(edges.reshape(-1), 0, duration)
        numbers = np.tile(np.array([S1, SYSTOLE, S2, DIASTOLE], dtype=np.int8), len(edges))[:-1]
        begin, end = times[:-1], times[1:]
        keep = end > begin
        return HeartStates(begin[keep], end[keep], numbers[keep])

    def within(self, duration: float) -> Beats:
        """Keep the beats that begin within a recording of `duration` seconds."""
        keep = (self.first >= 0) & (self.first < duration)
        names = ("first", "first_end", "second", "second_end", "split", "pace", "kind")
        return replace(self, **{name: getattr(self, name)[keep] for name in names})


def draw_beats(rng: Generator, rhythm: Rhythm, duration: float, margin: float) -> Beats:
    """Draw the beats from `-margin` to `duration + margin` seconds; one more follows."""
    mean = 60 / rhythm.rate
    count = int(np.ceil((duration + 2 * margin) / SHORTEST_RR)) + 3
    phase = float(rng.uniform(0, 2 * np.pi))
    angle = 2 * np.pi * rhythm.breath * mean * np.arange(count) + phase
    drift = np.cumsum(rng.normal(0, 0.006, count))
    drift = 0.08 * np.tanh(drift / 0.08)
    jitter = rng.normal(0, 0.008, count)
    rr = np.maximum(mean * (1 - rhythm.variability * np.sin(angle) + drift + jitter), SHORTEST_RR)
    times = np.cumsum(rr) - rr[0] - margin - rng.uniform(0, 1) * mean
    times, kind = _premature(rng, rhythm, times, duration)
    keep = times < duration + margin
    keep[np.flatnonzero(~keep)[:1]] = True
    times, kind = times[keep], kind[keep]
    before = np.diff(times, prepend=times[0] - mean)
    after = np.diff(times, append=times[-1] + mean)
    systole = systole_length(before)
    pace = np.clip(np.sqrt(np.minimum(before, after) / 0.8), 0.45, 1.15)
    breathing = 2 * np.pi * rhythm.breath * (times + systole) + phase
    out, deep = rhythm.split
    # At a fast rate nothing else fits; the phases keep their order at every rate.
    split = (out + (deep - out) * (1 + np.sin(breathing)) / 2) * np.minimum(pace, 1)
    first_length = TRICUSPID_DELAY * pace + SPAN * FIRST_DECAY * pace
    first_length = np.minimum(first_length, 0.6 * systole)
    second_length = np.minimum(
        split + SPAN * SECOND_DECAY * pace, 0.7 * np.maximum(after - systole, 0.02)
    )
    second = times + systole
    return Beats(
        first=times,
        first_end=times + first_length,
        second=second,
        second_end=second + second_length,
        split=split,
        pace=pace,
        kind=kind,
        breath=(rhythm.breath, phase),
    )


def systole_length(rr: Floats) -> Floats:
    """Give the time from first to second sound after an interval, both in seconds."""
    rest = np.maximum(rr, SHORTEST_RR)
    return np.maximum(0.43 - 0.102 / rest, np.minimum(0.4 * rest, 0.16))


def _premature(
    rng: Generator, rhythm: Rhythm, times: Floats, duration: float
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Make some beats premature, of two neighbours one at most."""
    kind = np.zeros(len(times), dtype=np.int64)
    if rhythm.extrasystoles <= 0:
        return times, kind
    shifted = times.copy()
    early = set(np.flatnonzero(rng.random(len(times)) < rhythm.extrasystoles).tolist())
    inside = np.flatnonzero((times > 0.3 * duration) & (times < 0.7 * duration))
    if len(inside):
        early.add(int(rng.choice(inside)))
    for beat in sorted(early):
        if beat < 2 or kind[beat - 1] or beat + 1 == len(times):
            continue
        gap = shifted[beat] - shifted[beat - 1]
        # The valves have closed before the next beat opens them; how long the beat before ejects
        # follows from its own interval.
        before = shifted[beat - 1 : beat] - shifted[beat - 2 : beat - 1]
        least = float(systole_length(before)[0]) + 0.12 * min(1.0, gap / 0.6)
        step = gap - max(SHORTEST_RR, least, gap * rng.uniform(0.5, 0.72))
        if step <= 0:
            continue
        kind[beat] = VENTRICULAR if rng.random() < rhythm.ventricular else ATRIAL
        shifted[beat : beat + 1 if kind[beat] == VENTRICULAR else None] -= step
    return shifted, kind
