"""The most likely sequence of states, each of a likely duration: explicit-duration Viterbi.

States follow each other in a circle (S1, systole, S2, diastole, S1 …). Where the score of ending
state s at time t is V_s(t), and C_s the running sum of its scores,

    V_s(t) = C_s(t) + max over d of [V_{s-1}(t - d) - C_s(t - d) + log p_s(d)],

which needs V_{s-1} only up to t less the shortest duration of s. So a stretch as long as the
shortest whole circle can be computed for one state after the other with a few operations on
matrices, and no step is taken frame by frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from pahcl.errors import SpecError

Array = npt.NDArray[np.float64]

NOTHING = -1
"""Number of the state outside the circle."""


@dataclass(frozen=True, eq=False)
class Nothing:
    """Describe the state in which none of the circle is: silence, or noise above all.

    It lasts as long as it likes, comes after any state and before any state.

    Args:
        log_scores: `[T]`, as those of the other states.
        enter: What it costs to enter it from a state of the circle.
        shortest: Frames that it lasts at least, other than at the begin and end of a recording.
    """

    log_scores: npt.NDArray[np.floating]
    enter: float
    shortest: int


@dataclass(frozen=True, eq=False)
class Path:
    """Hold a sequence of states.

    Args:
        state: `[K]` int64, number of each state, or `NOTHING`.
        begin: `[K + 1]` int64, frame at which each begins; the last is the number of frames.
        score: Sum of the scores of all frames and of the durations, less what was paid.
    """

    state: npt.NDArray[np.int64]
    begin: npt.NDArray[np.int64]
    score: float

    def frames(self) -> npt.NDArray[np.int64]:
        """Give the state of every frame, `[T]`."""
        return np.repeat(self.state, np.diff(self.begin))


def log_durations(
    mean: Sequence[float],
    spread: Sequence[float],
    shortest: Sequence[float],
    longest: Sequence[float],
    rate: float,
) -> Array:
    """Make normal densities of durations that are cut at both ends.

    Args:
        mean: `[S]` seconds.
        spread: `[S]` standard deviations in seconds.
        shortest: `[S]` seconds.
        longest: `[S]` seconds.
        rate: Frames a second.

    Returns:
        `[S, D]`: in column k the logarithm of the chance of k + 1 frames, -inf where a duration is
        not allowed. Each row sums to one; at least one duration of each is allowed.
    """
    low = np.maximum(np.round(np.asarray(shortest) * rate), 1)
    high = np.maximum(np.round(np.asarray(longest) * rate), low)
    frames = np.arange(1, int(high.max()) + 1)
    place = (frames / rate - np.asarray(mean)[:, None]) / np.asarray(spread)[:, None]
    allowed = (frames >= low[:, None]) & (frames <= high[:, None])
    density = np.where(allowed, -0.5 * place**2, -np.inf)
    return np.asarray(density - np.logaddexp.reduce(density, axis=1, keepdims=True))


def decode(
    log_scores: npt.NDArray[np.floating], durations: Array, nothing: Nothing | None = None
) -> Path:
    """Find the best sequence of states.

    The first and the last state may have begun before, and end after, what is given: they count by
    the chance that they last at least as long as is seen.

    Args:
        log_scores: `[T, S]`, how well each frame fits each state; columns in the order in which the
            states follow each other, the first after the last.
        durations: `[S, D]` as `log_durations` gives them, or another logarithm of chances.
        nothing: A state outside the circle; None has none.

    Returns:
        The path of the highest score; with T = 0 one without states.

    Raises:
        SpecError: Shapes do not fit, a state has no allowed duration, or the shortest `nothing`
            is not longer than the shortest states between the first and the last one.
    """
    frames, states = log_scores.shape
    if durations.ndim != 2 or len(durations) != states or states < 2:
        raise SpecError(
            f"scores of {states} states and durations of the shape {durations.shape} do not fit"
        )
    if not np.isfinite(durations).any(axis=1).all():
        raise SpecError("a state has no allowed duration")
    if frames == 0:
        return Path(np.zeros(0, np.int64), np.zeros(1, np.int64), 0.0)
    return _Search(np.asarray(log_scores, np.float64), durations, nothing).run()


class _Search:
    """Keep the tables of one search; times are shifted by `reach`, so that none is negative."""

    def __init__(self, scores: Array, durations: Array, nothing: Nothing | None) -> None:
        self.states, self.nothing = len(durations), nothing
        allowed = np.isfinite(durations)
        self.low = [int(low) for low in allowed.argmax(axis=1) + 1]
        self.high = [int(high) for high in allowed.shape[1] - allowed[:, ::-1].argmax(axis=1)]
        self.reach = max(self.high)
        self.last = self.reach + len(scores)
        # From the longest duration to the shortest, as the frames before a time stand in a row.
        self.backward = [
            np.ascontiguousarray(row[low - 1 : high][::-1])
            for row, low, high in zip(durations, self.low, self.high, strict=True)
        ]
        backward = np.logaddexp.accumulate(durations[:, : self.reach][:, ::-1], axis=1)
        self.survival = backward[:, ::-1]  # the chance that a state lasts at least so long
        self.sums = self._running(scores.T)
        self.ended = np.full_like(self.sums, -np.inf)  # V_s(t)
        self.entered = np.full_like(self.sums, -np.inf)  # what may precede s at t, less C_s(t)
        seen = slice(self.reach + 1, min(2 * self.reach, self.last) + 1)
        # Row t: what may precede s at t, t + 1 … t + its longest duration less its shortest.
        self.before = [
            sliding_window_view(row, len(density))
            for row, density in zip(self.entered, self.backward, strict=True)
        ]
        self.begun = np.full_like(self.sums, -np.inf)  # s alone, begun before the recording
        self.begun[:, seen] = self.sums[:, seen] + self.survival[:, : seen.stop - seen.start]
        self.quiet = np.full(self.last + 1, -np.inf)  # `nothing` that ends at t
        self.left = np.full(self.last + 1, -np.inf)  # what may precede it, less its running sum
        self.best_left = np.full(self.last + 1, -np.inf)  # the best of that until a time
        if nothing is not None:
            self.quiet_sums = self._running(np.asarray(nothing.log_scores, np.float64))
            self.quiet[self.reach + 1 :] = self.quiet_sums[self.reach + 1 :]
        self.block = self._block()

    def _running(self, scores: Array) -> Array:
        sums = np.zeros((*scores.shape[:-1], self.last + 1))
        np.cumsum(scores, axis=-1, out=sums[..., self.reach + 1 :])
        return sums

    def _block(self) -> int:
        """Say how many frames can be computed at once."""
        if self.nothing is None:
            return sum(self.low)
        between = sum(self.low[1:-1])
        if self.nothing.shortest <= between:
            raise SpecError(
                f"`nothing` lasts {self.nothing.shortest} frames at least, and must last longer "
                f"than the {between} of the shortest states between the first and the last one"
            )
        return min(sum(self.low), self.nothing.shortest - between)

    def run(self) -> Path:
        """Fill the tables from the begin to the end, then walk back.

        A state is known further than the one before it by its own shortest duration.
        """
        ahead = [sum(self.low[1 : s + 1]) for s in range(self.states)]
        known = self.reach
        for s, more in enumerate(ahead):
            self._fill(s, known, known + more)
        while known < self.last:
            if self.nothing is not None:
                self._rest(known)
            for s, more in enumerate(ahead):
                self._fill(s, known + more, known + more + self.block)
            known += self.block
        return self._walk_back()

    def _fill(self, s: int, known: int, until: int) -> None:
        """Compute state s for the times after `known` up to `until`."""
        begin, end = known + 1, min(until, self.last) + 1
        if begin >= end:
            return
        low, high = self.low[s], self.high[s]
        self._enter(s, begin - low, end - low)
        before = self.before[s][begin - high : end - high]
        best = np.maximum.reduce(before + self.backward[s], axis=1) + self.sums[s, begin:end]
        np.maximum(best, self.begun[s, begin:end], out=self.ended[s, begin:end])

    def _enter(self, s: int, begin: int, end: int) -> None:
        """Note what may enter state s at the times from begin to end."""
        source = np.maximum(self.ended[s - 1, begin:end], self.quiet[begin:end])
        self.entered[s, begin:end] = source - self.sums[s, begin:end]

    def _rest(self, known: int) -> None:
        """Compute `nothing` as far as states that are known up to `known` allow."""
        if self.nothing is None:
            return
        wait = self.nothing.shortest
        begin, end = max(known - self.block, self.reach) + 1, known + 1
        self._leave(begin, end)
        end = min(end, self.last + 1 - wait)
        if begin < end:
            best = self.best_left[begin:end] + self.quiet_sums[begin + wait : end + wait]
            later = self.quiet[begin + wait : end + wait]
            np.maximum(best, later, out=later)

    def _leave(self, begin: int, end: int) -> None:
        """Note what may be left for `nothing` at the times from begin to end."""
        if self.nothing is None or begin >= end:
            return
        best = np.maximum.reduce(self.ended[:, begin:end]) - self.nothing.enter
        self.left[begin:end] = best - self.quiet_sums[begin:end]
        best_left = np.maximum.accumulate(self.left[begin - 1 : end])[1:]
        self.best_left[begin:end] = np.maximum(best_left, self.best_left[begin - 1])

    def _walk_back(self) -> Path:
        """Read the path from the tables, from its last state to its first."""
        s, time, score = self._ending()
        states, begins = [s], [self.last, time]
        while time > self.reach:
            # What has ended where state s begins, and when that began.
            s = self._preceding(s, time)
            time = self._begin_of(s, time)
            states.append(s)
            begins.append(time)
        return Path(
            np.array(states[::-1], np.int64), np.array(begins[::-1], np.int64) - self.reach, score
        )

    def _ending(self) -> tuple[int, int, float]:
        """Choose the last state, and when it begins."""
        found = []
        first = max(self.last - self.reach, self.reach + 1)
        for s in range(self.states):
            self._enter(s, self.last - self.low[s], self.last)
            lasting = self.survival[s, : self.last - first][::-1]
            scores = self.entered[s, first : self.last] + lasting + self.sums[s, self.last]
            if len(scores):
                found.append((float(scores.max()), s, first + int(scores.argmax())))
            found.append((float(self.begun[s, self.last]), s, self.reach))
        if self.nothing is not None:
            self._leave(max(self.last - self.block, self.reach + 1), self.last)
            scores = self.left[: self.last] + self.quiet_sums[self.last]
            found.append((float(scores.max()), NOTHING, int(scores.argmax())))
            found.append((float(self.quiet_sums[self.last]), NOTHING, self.reach))
        score, s, time = max(found)
        return s, time, score

    def _preceding(self, s: int, time: int) -> int:
        """Choose the state that ends at a time at which s begins."""
        if s == NOTHING:
            return int(self.ended[:, time].argmax())
        before = (s - 1) % self.states
        return before if self.ended[before, time] >= self.quiet[time] else NOTHING

    def _begin_of(self, s: int, end: int) -> int:
        """Choose when a state that ends at a time has begun."""
        if s == NOTHING:
            until = end - self.nothing.shortest + 1 if self.nothing is not None else 0
            left = self.left[: max(until, 0)]
            return int(left.argmax()) if left.size and left.max() > 0 else self.reach
        first = end - self.high[s]
        scores = self.entered[s, first : end - self.low[s] + 1] + self.backward[s]
        if self.begun[s, end] - self.sums[s, end] >= scores.max():
            return self.reach
        return first + int(scores.argmax())
