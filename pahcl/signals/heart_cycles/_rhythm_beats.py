"""Lay beats over a heart sound: first and second sounds where it is loud, at a heart's intervals.

The search is exact (dynamic programming over all frames). A beat's score depends on beats that lie
the shortest interval back at least, so that as many frames are computed at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Frames = npt.NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)
Numbers = Frames | npt.NDArray[np.floating]

SHORTEST, LONGEST = 0.55, 1.75
"""Interval between two beats over the local period: from an early beat to a compensatory pause."""

LAST = 1.3
"""Periods before the end within which the last beat begins."""

SYSTOLE_RANGE = (0.65, 1.4)
"""Systole over its usual length at a rate."""


@dataclass(frozen=True, eq=False)
class Beats:
    """Hold first and second sounds in frames; the first and last may lie outside the recording.

    Args:
        first: `[K]` middles of first sounds.
        second: `[K]` middles of second sounds.
    """

    first: Frames
    second: Frames


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Say how long intervals are, and how far they stray.

    Args:
        systole_spread: Standard deviation of the logarithm of systole.
        beat_spread: That of the interval between beats, about the local period.
        odd: Share of intervals that stray three times as far, as premature beats do.
    """

    systole_spread: float = 0.11
    beat_spread: float = 0.13
    odd: float = 0.03

    def of_systole(self, length: Numbers, usual: float | Numbers) -> Floats:
        """Give the logarithm of the likelihood of lengths of systole, 0 at the usual one."""
        return _penalty(np.log(length / usual) / self.systole_spread, self.odd)

    def of_beat(self, length: Numbers, period: Numbers) -> Floats:
        """Give that of intervals between beats."""
        return _penalty(np.log(length / period) / self.beat_spread, self.odd)


def _penalty(strays: npt.NDArray[np.floating], odd: float) -> Floats:
    square = -0.5 * strays**2
    likelihood = (1 - odd) * np.exp(square) + odd * np.exp(square / 9)
    return np.asarray(np.log(likelihood), dtype=np.float32)


def usual_systole(period: float | npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Give the time from the first to the second sound.

    Ejection lasts 0.413 s less 1.7 ms for each beat a minute (Weissler, Harris and Schoenfeld,
    Circulation 37, 1968), and begins some 0.03 s after the first sound. Above some 150 beats a
    minute, where that line was never measured, systole takes 42 % of the beat.

    Args:
        period: Interval between beats in seconds.
    """
    return np.asarray(np.maximum(0.443 - 0.102 / period, np.minimum(0.42 * period, 0.17)))


def usual_of(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Give the median of each value and the three before and after it, `[K]`."""
    near = values[_neighbours(len(values))]
    near.sort(axis=0)
    middle: npt.NDArray[Number] = near[3]
    return middle


@lru_cache(maxsize=256)
def _neighbours(count: int) -> Frames:
    """Give the places of the three before and after each of `count`, `[7, count]`."""
    places = np.arange(count) + np.arange(-3, 4)[:, None]
    inside: Frames = np.minimum(np.maximum(places, 0), count - 1)
    return inside


def middle_of(values: Numbers) -> float:
    """Give the median, many times faster than numpy gives that of a few."""
    half = len(values) // 2
    ranked = np.sort(values)
    return float(ranked[half]) if len(values) % 2 else float(ranked[half - 1] + ranked[half]) / 2


def lay_beats(
    first: Floats, second: Floats, periods: Frames, reference: float, rate: float, law: Intervals
) -> Beats:
    """Find the best sequence of beats.

    It is sought in steps of two frames, of which the better one stands for both.

    Args:
        first: `[N]`, score of a first sound at each frame, two at least.
        second: `[N]`, that of a second sound.
        periods: `[N]`, period of the heart at each frame, in frames.
        reference: Usual period of the recording in frames.
        rate: Frames a second.
        law: How intervals stray.
    """
    count = len(first) // 2
    pairs = [score[: 2 * count].reshape(count, 2) for score in (first, second)]
    reference, rate = reference / 2, rate / 2
    least = max(int(SHORTEST * reference), 2)
    most = max(int(np.ceil(LONGEST * reference)), least + 1)
    follow, systole = _followed(pairs[1].max(axis=1), reference, rate, law, most)
    back, place = _chain(pairs[0].max(axis=1), follow, periods[::2], reference, (least, most), law)
    chain = [place]
    while place >= 0:
        place -= int(back[place])
        chain.append(place)
    beats = np.array(chain[::-1], dtype=np.int64)
    ends = beats + systole[most + beats]
    return Beats(*(_finer(at, pair) for at, pair in zip((beats, ends), pairs, strict=True)))


def _finer(at: Frames, pairs: Floats) -> Frames:
    """Turn steps into frames: of the two the better one; outside the recording the first."""
    inside = (at >= 0) & (at < len(pairs))
    here = pairs[np.where(inside, at, 0)]
    return 2 * at + (inside & (here[:, 1] > here[:, 0]))


def _followed(
    second: Floats, reference: float, rate: float, law: Intervals, before: int
) -> tuple[Floats, Frames]:
    """Give the score of the best second sound after each frame from `-before`, and how far off."""
    usual = float(usual_systole(reference / rate)) * rate
    least = max(int(SYSTOLE_RANGE[0] * usual), 2)
    length = np.arange(least, max(int(np.ceil(SYSTOLE_RANGE[1] * usual)), least + 1) + 1)
    padded = np.zeros(before + len(second) + int(length[-1]), dtype=np.float32)
    padded[before : before + len(second)] = second
    windows = _windows(padded[least:], len(length))
    scores = windows + law.of_systole(length, usual)
    best = scores.argmax(axis=1)
    return scores[np.arange(len(best)), best], length[best]


def _chain(
    first: Floats,
    follow: Floats,
    periods: Frames,
    reference: float,
    interval: tuple[int, int],
    law: Intervals,
) -> tuple[Frames, int]:
    """Give the interval from each frame to the beat before it, and the frame of the last beat."""
    least, most = interval
    count = len(first)
    lengths = np.arange(most, least - 1, -1)
    low = int(periods.min())
    known = np.arange(low, int(periods.max()) + 1) / 2
    fit = law.of_beat(lengths[None, :], known[:, None])[periods[:count] - low]
    # A beat before the recording costs nothing; its second sound may lie inside.
    total = np.empty(count + most, dtype=np.float32)
    total[:most] = follow[:most]
    gain = first + follow[most : most + count]
    earlier = _windows(total, len(lengths))
    back = np.empty(count, dtype=np.int64)
    rows = np.arange(least) * len(lengths)
    for begin in range(0, count, least):
        stop = min(begin + least, count)
        scores = earlier[begin:stop] + fit[begin:stop]
        best = scores.argmax(axis=1, out=back[begin:stop])
        highest = scores.ravel()[rows[: stop - begin] + best]
        np.add(highest, gain[begin:stop], out=total[most + begin : most + stop])
    final = max(count - int(LAST * reference), 0)
    return lengths[back], final + int(total[most + final :].argmax())


def _windows(values: Floats, width: int) -> Floats:
    """View every stretch of `width` values as a row: what changes in them changes in the view."""
    step = values.strides[0]
    shape = len(values) - width + 1, width
    return np.ndarray(shape, values.dtype, buffer=values, strides=(step, step))


def judge(beats: Beats, first: Floats, second: Floats, rate: float, law: Intervals) -> float:
    """Score beats by themselves, whatever period they were laid by.

    Args:
        beats: Beats of a recording.
        first: `[N]`, score of a first sound at each frame.
        second: `[N]`, that of a second sound.
        rate: Frames a second.
        law: How intervals stray.
    """
    interval = np.diff(beats.first)
    if not len(interval):
        return -np.inf
    usual = usual_of(interval)
    systole = (beats.second - beats.first)[:-1]
    expected = usual_systole(usual / rate) * rate
    fit = law.of_beat(interval, usual).sum() + law.of_systole(systole, expected).sum()
    heard = sum(
        float(score[at[(at >= 0) & (at < len(score))]].sum())
        for score, at in ((first, beats.first), (second, beats.second))
    )
    return heard + float(fit)
