import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pahcl.evaluation.heart_cycle_pool import by_group, pool
from pahcl.evaluation.heart_cycles import (
    found_sounds,
    match,
    read_reference,
    score_recording,
    score_without_heart,
)
from pahcl.signals.heart_cycles import upstream
from pahcl.signals.heart_cycles.cycles import HeartCycles, whole_cycles
from pahcl.signals.heart_cycles.segmenter import Segmentation
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, UNANNOTATED, HeartStates

LENGTHS = (0.12, 0.18, 0.1, 0.4)


def beats(count, start=0.0, lengths=LENGTHS, first=0):
    """States of whole beats, one after the other; the first `first` states are left out."""
    edges = start + np.concatenate([[0], np.cumsum(np.tile(lengths, count))])
    states = np.tile([S1, SYSTOLE, S2, DIASTOLE], count)
    return HeartStates(edges[:-1][first:], edges[1:][first:], states[first:].astype(np.int8))


def found(states, duration=60.0, confidence=None, shift=0.0):
    moved = HeartStates(states.start + shift, states.end + shift, states.state)
    return Segmentation(moved, whole_cycles(moved, confidence), duration, "test")


def of_cycles(edges, confidence=1.0):
    edges = np.asarray(edges, dtype=np.float64)
    unknown = np.full(len(edges) - 1, np.nan)
    cycles = HeartCycles(
        edges[:-1], unknown, unknown, unknown, edges[1:], np.full(len(edges) - 1, confidence)
    )
    none = np.zeros(0)
    return Segmentation(HeartStates(none, none, none), cycles, 60.0, "cuts")


def largest_matching(one, other, tolerance):
    """Try every way to pair the smaller side with the larger one."""
    if len(one) > len(other):
        one, other = other, one
    ways = itertools.permutations(range(len(other)), len(one))
    return max(
        sum(abs(one[k] - other[place]) <= tolerance + 1e-9 for k, place in enumerate(way))
        for way in ways
    )


instants = st.lists(st.integers(0, 60), max_size=6).map(lambda x: np.sort(np.array(x)) / 100)


@given(instants, instants, st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_matching_is_the_largest_there_is_one_to_one_and_symmetric(one, other, hundredths):
    tolerance = hundredths / 100
    pairs = match(one, other, tolerance)
    assert len(pairs) == (largest_matching(one, other, tolerance) if len(one) * len(other) else 0)
    assert len(pairs) == len(match(other, one, tolerance))
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
    assert (np.abs(one[pairs[:, 0]] - other[pairs[:, 1]]) <= tolerance + 1e-9).all()


@given(
    st.integers(3, 12),
    st.tuples(*[st.floats(0.08, 0.4)] * 4),
    st.floats(0, 5),
    st.integers(0, 3),
)
@settings(max_examples=40, deadline=None)
def test_what_is_annotated_is_perfect(count, lengths, start, first):
    truth = beats(count, start, lengths, first)
    score = pool([score_recording(found(truth), truth)])
    for metric in ("f1_60", "f1_100", "whole_beats", "rate_close", "precision_60"):
        assert score[metric] == pytest.approx(1), metric
    assert score["rate_error"] == pytest.approx(0, abs=1e-9)
    assert all(row["p95"] == pytest.approx(0, abs=1e-6) for row in score.boundaries.values())


def test_a_shift_of_61_ms_is_wrong_at_60_and_right_at_100():
    truth = beats(10, start=1.0)
    score = pool([score_recording(found(truth, shift=0.061), truth)])
    assert score["f1_60"] == 0
    assert score["f1_100"] == 1
    assert score["whole_beats"] == 1
    assert score.boundaries["S1 begin"]["median"] == pytest.approx(61)
    assert score.boundaries["S2 end"]["absolute"] == pytest.approx(61)
    assert pool([score_recording(found(truth, shift=0.06), truth)])["f1_60"] == 1
    assert pool([score_recording(found(truth, shift=-0.06), truth)])["f1_60"] == 1


def test_half_and_double_beats_are_no_whole_beats():
    truth = beats(12, start=1.0)
    first = truth.start[truth.state == S1]
    second = truth.start[truth.state == S2]
    halves = pool([score_recording(of_cycles(np.sort(np.r_[first, second])), truth)])
    assert halves["whole_beats"] == 0
    assert halves["beats_found"] == 0
    assert halves["rate_close"] == 0
    doubles = pool([score_recording(of_cycles(first[::2]), truth)])
    assert doubles["whole_beats"] == 0
    assert doubles["rate_error"] == pytest.approx(60 / 0.8 / 2)
    whole = pool([score_recording(of_cycles(first), truth)])
    assert whole["whole_beats"] == whole["beats_found"] == 1


def test_a_segmenter_without_states_has_cuts_as_first_sounds_and_the_third_quarter_as_second():
    sounds = found_sounds(of_cycles([1.0, 1.8, 2.6]))
    assert sounds["S1"].middle.tolist() == [1.0, 1.8, 2.6]
    assert sounds["S2"].middle == pytest.approx([1.5, 2.3])


def test_found_sounds_outside_annotated_time_do_not_count():
    whole = beats(20)
    inside = (whole.start >= 4 - 1e-9) & (whole.end <= 8 + 1e-9)
    truth = HeartStates(
        np.r_[0, whole.start[inside], 8.0],
        np.r_[4.0, whole.end[inside], 16.0],
        np.r_[UNANNOTATED, whole.state[inside], UNANNOTATED],
    )
    score = score_recording(found(whole), truth)
    assert score.counts["S1_false_60"] == score.counts["S2_false_60"] == 0
    # The first sound at the edge may be cut: it counts neither way.
    assert score.counts["S1_right_60"] == 4
    assert score.counts["S2_right_60"] == 5
    assert score.counts["cycles"] == score.counts["cycles_right"] == 4
    assert score.counts["beats"] == score.counts["beats_found"] == 4


def test_noise_counts_neither_way_and_splits_the_beats():
    whole = beats(20)
    state = whole.state.copy()
    noisy = (whole.start >= 4.8 - 1e-9) & (whole.end <= 9.6 + 1e-9)
    state[noisy] = UNANNOTATED
    truth = HeartStates(whole.start, whole.end, state)
    reference = read_reference(truth)
    assert reference.annotated.start == pytest.approx([0, 9.6])
    assert reference.annotated.end == pytest.approx([4.8, 16])
    assert len(reference.beats.start) == 5 + 7
    score = score_recording(found(whole), truth)
    assert score.counts["S1_false_60"] + score.counts["S1_missed_60"] == 0
    nothing = score_recording(found(beats(6)), truth)
    assert nothing.counts["S1_missed_60"] == 7


def test_what_is_invented_or_missed_inside_is_told():
    truth = beats(10, start=1.0)
    extra = HeartStates(
        np.insert(truth.start, 6, 1.98),
        np.insert(truth.end, 6, 2.02),
        np.insert(truth.state, 6, S1),
    )
    score = score_recording(found(extra), truth)
    assert score.counts["S1_false_60"] == 1
    assert score.counts["S2_false_60"] == 0
    keep = np.ones(len(truth), dtype=bool)
    keep[16:20] = False
    lacking = score_recording(
        found(HeartStates(truth.start[keep], truth.end[keep], truth.state[keep])), truth
    )
    assert lacking.counts["S1_missed_60"] == lacking.counts["S2_missed_60"] == 1
    assert lacking.counts["beats_found"] == 8 - 1


def test_marks_without_a_length_are_whole_and_the_time_between_them_is_annotated():
    times = np.arange(1.0, 7.0, 0.4)
    truth = HeartStates(times, times, np.resize([S1, S2], len(times)))
    reference = read_reference(truth)
    assert (reference.annotated.start, reference.annotated.end) == (times[:1], times[-1:])
    assert reference.heart_rate == pytest.approx(75)
    score = pool([score_recording(of_cycles(times[::2]), truth)])
    assert score["S1_f1_60"] == 1
    assert score["S2_f1_100"] == pytest.approx(1)
    assert score["S2_f1_60"] == 0  # the middle of the third quarter lies 100 ms behind the half
    assert score["whole_beats"] == 1
    assert not score.boundaries


def test_nothing_found_is_missed_and_is_told():
    truth = beats(10)
    none = np.zeros(0)
    empty = Segmentation(
        HeartStates(none, none, none), HeartCycles.empty(), 8.0, "test", "near silence"
    )
    score = pool([score_recording(empty, truth)])
    assert score["f1_60"] == 0
    assert np.isnan(score["precision_60"])
    assert np.isnan(score["whole_beats"])
    assert np.isnan(score["rate_error"])
    assert score["rate_close"] == 0
    assert score.counts["refused"] == score.counts["empty"] == 1


def test_false_beats_of_recordings_without_a_heart_are_a_figure_of_their_own():
    quiet = score_without_heart(of_cycles(np.arange(0, 21, 1.0), confidence=0.6))
    truth = beats(10)
    score = pool([quiet, score_recording(found(truth), truth)])
    assert score["false_beats"] == 20
    assert score["quiet_answered"] == 0
    assert score.counts["sure_beats"] == 20
    assert score["f1_60"] == 1
    assert score["whole_beats"] == 1


def test_confidence_is_ranked_and_compared_with_the_share_of_whole_beats():
    truth = beats(40, start=1.0)
    first = truth.start[truth.state == S1]
    cut = first.copy()
    cut[20:30] += 0.3
    made = of_cycles(cut)
    wrong = np.zeros(len(cut) - 1, dtype=bool)
    wrong[19:30] = True
    cycles = made.cycles
    told = HeartCycles(
        cycles.start, cycles.systole, cycles.s2, cycles.diastole, cycles.end,
        np.where(wrong, 0.15, 0.95),
    )  # fmt: skip
    score = pool(
        [score_recording(Segmentation(made.states, told, 60.0, "test"), truth)] * 3,
        ["a", "b", "c"],
        samples=50,
    )
    assert score["confidence_auroc"] == 1
    low, high = score.reliability
    assert (low["n"], low["observed"], low["mean_probability"]) == (33, 0, pytest.approx(0.15))
    assert (high["n"], high["observed"]) == (84, 1)


def test_intervals_draw_subjects_and_are_the_same_every_time():
    truth = beats(30, start=1.0)
    good = score_recording(found(truth), truth)
    bad = score_recording(found(truth, shift=0.08), truth)
    scores = [good, good, bad, good, bad, good]
    score = pool(scores, list("aabbcc"), samples=200, seed=3)
    value = score.metrics["f1_60"]
    assert value.value == pytest.approx(4 / 6)
    assert value.low < value.value < value.high
    assert score.counts["subjects"] == 3
    assert pool(scores, list("aabbcc"), samples=200, seed=3).facts() == score.facts()
    alone = pool([good, bad], ["a", "a"])
    assert np.isnan(alone.metrics["f1_60"].low)
    # Drawn sums give what a pool over the drawn recordings gives.
    twice = pool([good, good, good, good, bad, good], samples=0)
    assert twice["f1_60"] == pytest.approx(5 / 6)


def test_groups_are_scored_for_themselves():
    truth = beats(10, start=1.0)
    scores = [score_recording(found(truth, shift=shift), truth) for shift in (0, 0.08, 0.2)]
    grouped = by_group(scores, ["x", "y", "y"], samples=0)
    assert list(grouped) == ["x", "y"]
    assert grouped["x"]["f1_60"] == 1
    assert grouped["y"]["f1_60"] == 0
    assert grouped["y"]["f1_100"] == pytest.approx(0.5, abs=0.01)


def test_no_recordings_give_no_numbers():
    score = pool([])
    assert score.counts == {"subjects": 0}
    assert all(np.isnan(value.value) for value in score.metrics.values())


def test_marks_are_held_against_the_middle_of_a_first_sound():
    whole = beats(10, lengths=(0.3, 0.1, 0.1, 0.3))
    truth = HeartStates(*(2 * [(whole.start + whole.end) / 2]), whole.state)
    keep = np.isin(truth.state, [S1, S2])
    marks = HeartStates(truth.start[keep], truth.end[keep], truth.state[keep])
    score = score_recording(found(whole), marks)
    assert score.counts["cycles"] == score.counts["cycles_right"] == 9


def test_upstream_cuts_on_the_peaks_of_first_sounds():
    truth = beats(10)
    middles = ((truth.start + truth.end) / 2)[truth.state == S1]
    cycles, states = upstream.quarters(middles[:-1], middles[1:])
    sounds = found_sounds(Segmentation(states, cycles, 8.0, upstream.Upstream.name))
    assert sounds["S1"].middle == pytest.approx(middles)
    assert sounds["S2"].middle == pytest.approx(middles[:-1] + 0.5)
