"""Hold what a segmenter found in one heart sound against what somebody annotated.

A sound is right when its middle lies within a tolerance of that of an annotated one, each found
sound standing for one annotated sound at most (Schmidt et al., Physiological Measurement 31, 2010,
and Springer et al., IEEE Transactions on Biomedical Engineering 63, 2016). A cycle is right when it
is one whole beat. What nobody has annotated counts neither way:

- Found sounds and cycles outside annotated time, or in noise, are not counted.
- An annotated sound that the edge of annotated time cuts has no known middle: whether it is found
  is not counted, nor is what was found of it.
- Near an edge, what was found may belong to a sound or beat beyond it: as far from the edge as the
  tolerance reaches it is counted where it is right, and not counted where it is wrong.

`pahcl.evaluation.heart_cycle_pool` adds recordings up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pahcl.signals.heart_cycles.cycles import LARGEST_GAP, HeartCycles
from pahcl.signals.heart_cycles.segmenter import Segmentation
from pahcl.signals.states import S1, S2, UNANNOTATED, HeartStates

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

TOLERANCES = (0.06, 0.1)
"""Seconds within which the middle of a sound is right: those of Schmidt and Springer."""

BEAT_TOLERANCE = 0.1
"""Seconds within which a cycle begins and ends where a beat does; half the shortest beat or less,
so that no half beat passes for a whole one."""

MARK_GAP = 2.0
"""Seconds between two marks without a length that annotated time still bridges: 30 a minute."""

SURE = 0.5
"""Confidence from which on a beat that is none counts as a sure one."""

QUARTERED = frozenset({"upstream"})
"""Segmenters that cut on the peaks of first sounds and call the quarters between them states."""

SOUNDS = {"S1": S1, "S2": S2}

BOUNDARIES = ("S1 begin", "S1 end", "S2 begin", "S2 end")

_SLACK = 1e-9
"""Times are sums of binary fractions: 60 ms is within 60 ms."""


class Spans(NamedTuple):
    """Hold begins and ends in seconds, each `[N]`, in order of time."""

    start: Floats
    end: Floats

    @property
    def middle(self) -> Floats:
        """Give the middles `[N]`."""
        return np.asarray((self.start + self.end) / 2)


@dataclass(frozen=True, eq=False)
class Reference:
    """Hold what is annotated in one recording.

    Args:
        annotated: Stretches of annotated time `[M]`.
        sounds: First and second sounds.
        whole: For each kind whether a sound's begin and end are known, `[N]`.
        beats: Begins of consecutive first sounds of one stretch `[B]`.
        marked: Whether sounds are marked by instants, which lie near their middles.
    """

    annotated: Spans
    sounds: Mapping[str, Spans]
    whole: Mapping[str, Flags]
    beats: Spans
    marked: bool = False

    @property
    def heart_rate(self) -> float:
        """Give the median heart rate of the beats in beats a minute; NaN without beats."""
        lengths = self.beats.end - self.beats.start
        return float(np.median(60 / lengths)) if len(lengths) else float("nan")


@dataclass(frozen=True, eq=False)
class RecordingScore:
    """Hold what one recording adds to a score.

    Args:
        counts: Numbers that are added up over recordings; see `score_recording`.
        errors: For each of `BOUNDARIES` found minus annotated time in seconds, of the sounds that
            the largest tolerance matches.
        confidence: `[C]`, that of each counted cycle.
        right: `[C]`, whether it is a whole beat.
        found_rate: Median heart rate of the cycles in annotated time; NaN without any.
        reference_rate: That of the annotated beats.
        tolerances: Tolerances in seconds.
    """

    counts: Mapping[str, float]
    errors: Mapping[str, Floats] = field(default_factory=dict)
    confidence: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    right: Flags = field(default_factory=lambda: np.zeros(0, bool))
    found_rate: float = float("nan")
    reference_rate: float = float("nan")
    tolerances: tuple[float, ...] = TOLERANCES


def key(what: str, tolerance: float) -> str:
    """Name a number of one tolerance: `f1_60`."""
    return f"{what}_{tolerance * 1000:g}"


def read_reference(states: HeartStates) -> Reference:
    """Read annotated time, sounds and beats out of states.

    Sounds that are marked by instants (intervals without a length) are whole, and the time between
    two of them is annotated.

    Args:
        states: The annotation; `UNANNOTATED` intervals and gaps are not annotated.
    """
    known = states.state != UNANNOTATED
    start, end, state = states.start[known], states.end[known], states.state[known]
    mark = end <= start
    bridged = np.where(mark[:-1] & mark[1:], MARK_GAP, LARGEST_GAP)
    latest = np.maximum.accumulate(end) if len(end) else end
    fresh = np.concatenate([[True], start[1:] - latest[:-1] > bridged])[: len(start)]
    first = np.flatnonzero(fresh)
    last = np.concatenate([first[1:], [len(start)]])[: len(first)] - 1
    annotated = Spans(start[first], latest[last])
    stretch = np.cumsum(fresh) - 1
    cut = (start <= annotated.start[stretch] + _SLACK) | (end >= annotated.end[stretch] - _SLACK)
    at = state == S1
    pair = stretch[at][1:] == stretch[at][:-1]
    pair &= np.diff(start[at]) > 0
    return Reference(
        annotated=annotated,
        sounds={name: Spans(start[state == k], end[state == k]) for name, k in SOUNDS.items()},
        whole={name: (mark | ~cut)[state == k] for name, k in SOUNDS.items()},
        beats=Spans(start[at][:-1][pair], start[at][1:][pair]),
        marked=bool(len(mark)) and bool(mark.all()),
    )


def found_sounds(found: Segmentation) -> dict[str, Spans]:
    """Give the first and second sounds that were found.

    A segmenter that knows cycles alone, or whose states are their quarters, has its cuts taken as
    first sounds, and the middle of the third quarter of each cycle as second sound.
    """
    states, cycles = found.states, found.cycles
    known = np.isin(states.state, list(SOUNDS.values())).any()
    if known and found.segmenter not in QUARTERED:
        return {
            name: Spans(states.start[states.state == k], states.end[states.state == k])
            for name, k in SOUNDS.items()
        }
    cuts = np.unique(np.concatenate([cycles.start, cycles.end]))
    second = cycles.start + 0.625 * (cycles.end - cycles.start)
    return {"S1": Spans(cuts, cuts), "S2": Spans(second, second)}


def match(found: Floats, reference: Floats, tolerance: float) -> npt.NDArray[np.int64]:
    """Pair instants with those of a reference, as many as a tolerance allows, each once at most.

    Both are walked in order of time, and the earliest that is still within reach is taken: on a
    line no other choice gives more pairs.

    Args:
        found: `[N]` seconds in ascending order.
        reference: `[M]` seconds in ascending order.
        tolerance: Largest distance of a pair in seconds, itself included.

    Returns:
        `[P, 2]`: places in `found` and in `reference`.
    """
    pairs, at = [], 0
    times, goals = found.tolist(), reference.tolist()
    for place, goal in enumerate(goals):
        while at < len(times) and times[at] < goal - tolerance - _SLACK:
            at += 1
        if at < len(times) and times[at] <= goal + tolerance + _SLACK:
            pairs.append((at, place))
            at += 1
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def score_recording(
    found: Segmentation, states: HeartStates, tolerances: Sequence[float] = TOLERANCES
) -> RecordingScore:
    """Score one recording in which a heart beats and somebody annotated it.

    Args:
        found: What a segmenter says.
        states: The annotation.
        tolerances: For the middles of sounds, in seconds.

    Returns:
        Its `counts` are, for each kind of sound and tolerance, `S1_right_60`, `S1_false_60` and
        `S1_missed_60`; `cycles` that are counted and `cycles_right`; annotated `beats` and
        `beats_found`; `rated` (1 where a heart rate is annotated), `rate_found` (1 where it was
        answered), `rate_error` in beats a minute, `rate_close` (1 within 5); `recordings`,
        `refused`, `empty` (no cycle at all), `seconds`.
    """
    reference = read_reference(states)
    sounds = found_sounds(found)
    counts = _about(found)
    errors: dict[str, Floats] = {}
    for name in SOUNDS:
        for tolerance in tolerances:
            pairs, false = _judge_sounds(sounds[name], reference, name, tolerance)
            counts[key(f"{name}_right", tolerance)] = len(pairs)
            counts[key(f"{name}_false", tolerance)] = int(false.sum())
            counts[key(f"{name}_missed", tolerance)] = int(reference.whole[name].sum() - len(pairs))
            if tolerance == max(tolerances):
                errors.update(_boundary_errors(sounds[name], reference, name, pairs))
    counted, right, beats = _judge_cycles(found.cycles, reference)
    inside = _within(found.cycles.start, found.cycles.end, reference.annotated)
    rates = found.cycles.heart_rate[inside | right]
    found_rate = float(np.median(rates)) if len(rates) else float("nan")
    goal = reference.heart_rate
    error = abs(found_rate - goal)
    known = error == error
    counts |= {
        "cycles": int(counted.sum()),
        "cycles_right": int(right.sum()),
        "beats": len(reference.beats.start),
        "beats_found": beats,
        "rated": float(goal == goal),
        "rate_found": float(known),
        "rate_error": error if known else 0.0,
        "rate_close": float(known and error <= 5),
    }
    return RecordingScore(
        counts=counts,
        errors=errors,
        confidence=found.cycles.confidence[counted],
        right=right[counted],
        found_rate=found_rate,
        reference_rate=goal,
        tolerances=tuple(tolerances),
    )


def score_without_heart(
    found: Segmentation, tolerances: Sequence[float] = TOLERANCES
) -> RecordingScore:
    """Score one recording in which no heart beats: every cycle is a false beat.

    Returns:
        Its `counts` are `quiet` (1), `quiet_seconds`, `quiet_answered` (1 where no cycle was
        found), `false_beats` and `sure_beats`, those whose confidence is 0.5 or more.
    """
    cycles = found.cycles
    return RecordingScore(
        counts={
            "quiet": 1,
            "quiet_seconds": found.duration,
            "quiet_answered": float(not len(cycles)),
            "false_beats": len(cycles),
            "sure_beats": int((cycles.confidence >= SURE).sum()),
        },
        found_rate=found.heart_rate,
        tolerances=tuple(tolerances),
    )


def _about(found: Segmentation) -> dict[str, float]:
    return {
        "recordings": 1,
        "seconds": found.duration,
        "refused": float(found.refusal is not None),
        "empty": float(not len(found.cycles)),
    }


def _within(start: Floats, end: Floats, spans: Spans, margin: float = 0.0) -> Flags:
    """Say which intervals lie in one of the spans, each of them narrowed by a margin."""
    if not len(spans.start):
        return np.zeros(len(start), dtype=bool)
    place = np.maximum(np.searchsorted(spans.start + margin, start, side="right") - 1, 0)
    return np.asarray(
        (start >= spans.start[place] + margin) & (end <= spans.end[place] - margin), dtype=bool
    )


def _judge_sounds(
    sounds: Spans, reference: Reference, name: str, tolerance: float
) -> tuple[npt.NDArray[np.int64], Flags]:
    """Pair sounds of one kind with the whole annotated ones, and say which are false `[N]`."""
    order = np.argsort(sounds.middle, kind="stable")
    middle = sounds.middle[order]
    goals, whole = reference.sounds[name], reference.whole[name]
    pairs = match(middle, goals.middle[whole], tolerance)
    left = np.ones(len(middle), dtype=bool)
    left[pairs[:, 0]] = False
    # What was found of a sound that an edge cuts is no false one.
    cut = Spans(goals.start[~whole], goals.end[~whole])
    left &= ~_within(middle, middle, cut, -tolerance)
    false = np.zeros(len(middle), dtype=bool)
    false[order] = left & _within(middle, middle, reference.annotated, tolerance)
    pairs = np.stack([order[pairs[:, 0]], np.flatnonzero(whole)[pairs[:, 1]]], axis=1)
    return pairs, false


def _boundary_errors(
    sounds: Spans, reference: Reference, name: str, pairs: npt.NDArray[np.int64]
) -> dict[str, Floats]:
    """Give found minus annotated begins and ends of paired sounds that have a length."""
    mine = Spans(*(times[pairs[:, 0]] for times in sounds))
    theirs = Spans(*(times[pairs[:, 1]] for times in reference.sounds[name]))
    long = (mine.end > mine.start) & (theirs.end > theirs.start)
    return {
        f"{name} begin": (mine.start - theirs.start)[long],
        f"{name} end": (mine.end - theirs.end)[long],
    }


def _judge_cycles(cycles: HeartCycles, reference: Reference) -> tuple[Flags, Flags, int]:
    """Say which cycles are counted and which are right `[N]`, and how many beats were found."""
    beats = reference.beats
    if not len(cycles) or not len(reference.annotated.start):
        none = np.zeros(len(cycles), dtype=bool)
        return none, none, 0
    right = np.zeros(len(cycles), dtype=bool)
    taken: set[int] = set()
    # Marks are held against the middle of a first sound, where that is known.
    late = np.nan_to_num((cycles.systole - cycles.start) / 2) if reference.marked else 0.0
    if len(beats.start):
        nearest = _nearest(beats.start, cycles.start + late)
        close = np.abs(beats.start[nearest] - cycles.start - late) <= BEAT_TOLERANCE + _SLACK
        close &= np.abs(beats.end[nearest] - cycles.end - late) <= BEAT_TOLERANCE + _SLACK
        for place in np.flatnonzero(close):
            beat = int(nearest[place])
            right[place] = beat not in taken
            taken.add(beat)
    sheer = _within(cycles.start, cycles.end, reference.annotated, BEAT_TOLERANCE)
    return right | sheer, right, len(taken)


def _nearest(times: Floats, wanted: Floats) -> npt.NDArray[np.int64]:
    """Give the place in `times` (ascending) that is nearest to each wanted time."""
    after = np.clip(np.searchsorted(times, wanted), 0, len(times) - 1)
    before = np.maximum(after - 1, 0)
    earlier = np.abs(times[before] - wanted) <= np.abs(times[after] - wanted)
    return np.asarray(np.where(earlier, before, after), dtype=np.int64)
