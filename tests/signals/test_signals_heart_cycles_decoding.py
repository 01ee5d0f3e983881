"""The decoder against a slow search of the same model."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pahcl.errors import SpecError
from pahcl.signals.heart_cycles.decoding import NOTHING, Nothing, decode, log_durations


def path_score(states, begins, scores, durations, nothing=None):
    """Score a path as the model says, with nothing but sums."""
    total, last = 0.0, len(scores)
    for k, (s, begin, end) in enumerate(itertools.zip_longest(states, begins[:-1], begins[1:])):
        cut = k == 0 or k == len(states) - 1
        if s == NOTHING:
            total += nothing.log_scores[begin:end].sum() - (nothing.enter if k else 0)
            assert cut or end - begin >= nothing.shortest
            continue
        total += scores[begin:end, s].sum()
        chances = durations[s, end - begin - 1 :] if cut else durations[s, end - begin - 1]
        total += np.logaddexp.reduce(np.atleast_1d(chances))
        if k:
            assert states[k - 1] in ((s - 1) % durations.shape[0], NOTHING)
    assert begins[0] == 0
    assert begins[-1] == last
    return total


def slow_best(scores, durations, nothing=None):
    """Find the best score frame by frame, state by state, duration by duration."""
    frames, n = scores.shape
    kinds = [*range(n)] + ([NOTHING] if nothing else [])
    best = {(s, 0): -np.inf for s in kinds}

    def piece(s, begin, end, cut):
        if s == NOTHING:
            if not cut and end - begin < nothing.shortest:
                return -np.inf
            return nothing.log_scores[begin:end].sum()
        if end - begin > durations.shape[1]:
            return -np.inf
        chances = durations[s, end - begin - 1 :]
        chance = np.logaddexp.reduce(chances) if cut else chances[0]
        return scores[begin:end, s].sum() + chance

    def before(s, time):
        if s == NOTHING:
            return max(best[other, time] for other in range(n)) - nothing.enter
        found = best[(s - 1) % n, time]
        return max(found, best[NOTHING, time]) if nothing else found

    for end in range(1, frames + 1):
        for s in kinds:
            found = piece(s, 0, end, cut=True)
            for begin in range(1, end):
                found = max(found, before(s, begin) + piece(s, begin, end, cut=end == frames))
            best[s, end] = found
    return max(best[s, frames] for s in kinds)


def random_durations(rng, n, longest):
    low = rng.integers(1, longest + 1, n)
    high = rng.integers(low, longest + 1)
    frames = np.arange(1, longest + 1)
    density = rng.normal(0, 1, (n, longest))
    density[(frames < low[:, None]) | (frames > high[:, None])] = -np.inf
    return density - np.logaddexp.reduce(density, axis=1, keepdims=True)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    frames=st.integers(1, 45),
    n=st.integers(2, 4),
    longest=st.integers(2, 9),
    quiet=st.booleans(),
)
def test_finds_what_a_slow_search_finds(seed, frames, n, longest, quiet):
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (frames, n))
    durations = random_durations(rng, n, longest)
    nothing = None
    if quiet:
        between = sum(int(np.isfinite(row).argmax()) + 1 for row in durations[1:-1])
        shortest = between + 1 + int(rng.integers(0, 12))
        nothing = Nothing(rng.normal(-0.5, 2, frames), float(rng.uniform(0, 4)), shortest)
    path = decode(scores, durations, nothing)
    assert path.score == pytest.approx(slow_best(scores, durations, nothing), abs=1e-9)
    assert path.score == pytest.approx(
        path_score(path.state.tolist(), path.begin.tolist(), scores, durations, nothing), abs=1e-9
    )
    assert len(path.frames()) == frames


def test_beats_are_found_between_partial_ones_and_silence():
    rate = 100
    durations = log_durations(
        (0.12, 0.2, 0.1, 0.38), (0.03, 0.04, 0.03, 0.12), (0.04,) * 4, (0.3, 0.5, 0.3, 1.6), rate
    )
    truth = np.concatenate(
        [
            np.repeat([1, 2, 3], [7, 10, 30]),
            np.tile(np.repeat([0, 1, 2, 3], [12, 20, 10, 38]), 6),
            np.repeat(NOTHING, 200),
            np.tile(np.repeat([0, 1, 2, 3], [10, 20, 10, 40]), 5),
            np.repeat([0, 1], [12, 5]),
        ]
    )
    rng = np.random.default_rng(0)
    chances = np.full((len(truth), 5), 0.1)
    chances[np.arange(len(truth)), truth] = 1.0
    scores = np.log(chances / chances.sum(axis=1, keepdims=True))
    scores[rng.random(len(truth)) < 0.3] = np.log(0.2)
    path = decode(scores[:, :4], durations, Nothing(scores[:, 4], 5.0, 60))
    assert (path.frames() == truth).mean() > 0.97
    assert path.state.tolist() == [1, 2, 3, *[0, 1, 2, 3] * 6, NOTHING, *[0, 1, 2, 3] * 5, 0, 1]


def test_durations_are_chances():
    durations = log_durations((0.1, 0.3), (0.02, 0.1), (0.05, 0.1), (0.2, 0.6), 100)
    np.testing.assert_allclose(np.exp(durations).sum(axis=1), 1)
    assert np.flatnonzero(np.isfinite(durations[0]))[[0, -1]].tolist() == [4, 19]
    assert durations.argmax(axis=1).tolist() == [9, 29]


def test_twenty_seconds_take_few_operations():
    rng = np.random.default_rng(1)
    durations = log_durations(
        (0.12, 0.2, 0.1, 0.38), (0.03, 0.06, 0.03, 0.2), (0.05, 0.06, 0.05, 0.1),
        (0.25, 0.5, 0.25, 1.5), 50,
    )  # fmt: skip
    scores = rng.normal(0, 1, (1000, 4))
    spent = []
    for _ in range(3):
        begin = time.perf_counter()
        decode(scores, durations, Nothing(scores.mean(axis=1), 5.0, 40))
        spent.append(time.perf_counter() - begin)
    assert min(spent) < 0.2  # some 8 ms on an idle core; a loop over frames takes a second


def test_nothing_to_decode_and_what_does_not_fit():
    durations = log_durations((0.1,) * 4, (0.1,) * 4, (0.1,) * 4, (0.5,) * 4, 50)
    assert len(decode(np.zeros((0, 4)), durations).state) == 0
    with pytest.raises(SpecError, match="do not fit"):
        decode(np.zeros((5, 3)), durations)
    with pytest.raises(SpecError, match="no allowed duration"):
        decode(np.zeros((5, 4)), np.full((4, 3), -np.inf))
    with pytest.raises(SpecError, match="must last longer than the 10"):
        decode(np.zeros((5, 4)), durations, Nothing(np.zeros(5), 1.0, 10))
