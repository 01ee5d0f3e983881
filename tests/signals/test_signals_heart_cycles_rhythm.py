"""Heart cycles by their rhythm, against the truth of simulated hearts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

from pahcl.signals.heart_cycles._rhythm_beats import Intervals, lay_beats, usual_systole
from pahcl.signals.heart_cycles._rhythm_sound import hear
from pahcl.signals.heart_cycles._rhythm_trust import likenesses
from pahcl.signals.heart_cycles.envelopes import rms_envelope
from pahcl.signals.heart_cycles.preparation import prepare
from pahcl.signals.heart_cycles.rhythm import Rhythm
from pahcl.signals.heart_cycles.segmenter import Segmentation
from pahcl.signals.states import S1, S2, HeartStates
from pahcl.simulation.heart_sound import Heart, HeartSound, Murmur, Scene, simulate
from pahcl.simulation.heart_sound import Rhythm as Pace

FS = 2000.0


def listen(
    rate: float, duration: float = 15.0, scene: Scene | None = None, seed: int = 5, **heart: Any
) -> HeartSound:
    pace = Pace(rate=rate, variability=0.03, extrasystoles=heart.pop("extrasystoles", 0.0))
    heard = replace(scene or Scene(), fs=FS, duration=duration)
    person = Heart(rhythm=pace, pitch=float(np.interp(rate, (80, 140), (1, 1.35))), **heart)
    return simulate(person, heard, seed=(int(rate), seed))


def middles(states: HeartStates, state: int) -> npt.NDArray[np.float64]:
    return np.asarray(((states.start + states.end) / 2)[states.state == state])


def share_found(found: HeartStates, truth: HeartStates, tolerance: float = 0.06) -> float:
    """Give the F1 of first and second sounds whose middles agree."""
    right = total = 0
    for state in (S1, S2):
        a, b = middles(found, state), middles(truth, state)
        total += len(a) + len(b)
        if len(a) and len(b):
            right += int((np.abs(a[:, None] - b[None, :]).min(axis=0) <= tolerance).sum())
    return 2 * right / total


def find(sound: HeartSound) -> Segmentation:
    return Rhythm()(sound.signal, sound.fs)


@pytest.mark.parametrize("rate", [30, 40, 50, 65, 80, 95, 110, 125, 140, 160, 180, 200, 220])
def test_beats_are_found_at_every_rate(rate: float) -> None:
    sound = listen(rate)
    found = find(sound)
    assert share_found(found.states, sound.states) >= 0.97
    assert found.heart_rate == pytest.approx(rate, rel=0.06)
    assert found.confidence > 0.6


@pytest.mark.parametrize("rate", [55, 75, 100, 135, 165])
@pytest.mark.parametrize(
    "murmur",
    [
        Murmur(timing="holo", grade=4, pitch="low", quality="harsh"),
        Murmur(timing="holo", grade=4, pitch="high"),
        Murmur(timing="mid", shape="diamond", grade=4, pitch="medium"),
        Murmur(phase="diastolic", timing="early", shape="decrescendo", grade=3, pitch="medium"),
    ],
    ids=["low", "high", "mid", "diastolic"],
)
def test_murmurs_hide_no_beat(rate: float, murmur: Murmur) -> None:
    sound = listen(rate, murmurs=(murmur,))
    assert share_found(find(sound).states, sound.states) >= 0.95


@pytest.mark.parametrize(
    ("rate", "heart"),
    [
        (60, {"second": 0.3}),
        (75, {"second": 0.3}),
        (120, {"second": 0.35}),
        (70, {"second": 2.5}),
        (70, {"third": 0.5}),
        (90, {"third": 0.5}),
        (80, {"fourth": 0.5}),
        (75, {"click": 0.5, "click_at": 0.5}),
    ],
    ids=lambda value: str(value),
)
def test_no_octave_is_missed(rate: float, heart: dict[str, Any]) -> None:
    """A weak second sound makes no half beat; a third, fourth or loud second one no double one."""
    sound = listen(rate, **heart)
    found = find(sound)
    assert found.heart_rate == pytest.approx(rate, rel=0.06)
    assert share_found(found.states, sound.states) >= 0.95


def test_premature_beats_leave_the_others_right() -> None:
    for rate in (60, 75, 100):
        sound = listen(rate, duration=30, extrasystoles=0.1)
        assert share_found(find(sound).states, sound.states) >= 0.85


def test_the_rate_may_drift() -> None:
    slow, fast = listen(60, 12), listen(85, 12)
    both = np.concatenate([slow.signal, fast.signal])
    rates = Rhythm()(both, FS).cycles
    assert np.median(rates.heart_rate[rates.end < 11]) == pytest.approx(60, rel=0.06)
    assert np.median(rates.heart_rate[rates.start > 14]) == pytest.approx(85, rel=0.06)


@pytest.mark.parametrize("rate", [45, 75, 120, 170])
def test_a_cycle_begins_in_the_valley_before_its_first_sound(rate: float) -> None:
    sound = listen(rate)
    found = find(sound).cycles
    loud = rms_envelope(prepare(sound.signal, FS).signal, 1000.0, frame=0.02, hop=0.001)
    for start, systole in zip(found.start, found.systole, strict=True):
        begin, end = round(start * 1000), round(systole * 1000)
        assert loud[begin] < 0.6 * loud[begin:end].max()
        # No peak of any height stands where a cycle is cut.
        assert loud[begin] < loud[max(begin - 30, 0) : begin + 31].max()
    for start in found.start:
        assert np.abs(sound.beats.first - start).min() < 0.05


@pytest.mark.parametrize("seed", range(4))
def test_noise_has_no_cycle_to_be_trusted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for noise in (
        rng.normal(size=30000),
        np.cumsum(rng.normal(size=30000)),
        simulate(Heart(), Scene(fs=FS, duration=15, heart=0), (seed,)).signal,
    ):
        found = Rhythm()(noise.astype(np.float32), FS)
        assert found.confidence < 0.5
        assert len(found.cycles) or found.refusal
        assert len(found.cycles) < 8


@pytest.mark.parametrize(
    "noise",
    [
        {"speech": 0.3, "thumps": 0.5},
        {"speech": 0.6},
        {"friction": 0.3},
        {"breathing": 0.4},
        {"breathing": 0.1, "friction": 0.2, "speech": 0.2, "thumps": 1.0},
    ],
    ids=["speech and knocks", "speech", "friction", "breath", "all"],
)
def test_what_is_no_heart_is_not_trusted(noise: dict[str, Any]) -> None:
    trusted = 0
    for seed in range(6):
        scene = Scene(fs=FS, duration=15, heart=0.0, background=0.02, events_a_minute=25, **noise)
        found = Rhythm()(simulate(Heart(), scene, (seed, 31)).signal, FS)
        trusted += int((found.cycles.confidence > 0.3).sum())
    assert trusted <= 1


@pytest.mark.parametrize("timing", ["early", "holo"])
def test_a_murmur_does_not_halve_the_rate_of_a_fast_heart(timing: Literal["early", "holo"]) -> None:
    murmur = Murmur(timing=timing, shape="plateau", grade=5, pitch="medium")
    for rate in (115, 145, 150):
        for seed in (5, 6):
            pace = Pace(rate=rate, variability=0.03)
            heart = Heart(rhythm=pace, pitch=0.9, second=0.75, murmurs=(murmur,))
            sound = simulate(heart, Scene(fs=FS, duration=15), (rate, seed))
            assert find(sound).heart_rate == pytest.approx(rate, rel=0.08)


def test_a_murmur_costs_no_trust() -> None:
    for pitch in ("low", "medium", "high"):
        for rate in (60, 85, 110):
            found = find(listen(rate, murmurs=(Murmur(timing="holo", grade=4, pitch=pitch),)))
            assert found.confidence > 0.8


@pytest.mark.parametrize("frequency", [50.0, 120.0])
def test_pitch_is_the_frequency_of_a_tone(frequency: float) -> None:
    tone = np.sin(2 * np.pi * frequency * np.arange(3000) / 1000)
    heard = hear(tone, 1000.0, 0.05, 2.5)
    np.testing.assert_allclose(np.exp(heard.pitch[5:-5]), frequency, rtol=0.04)


def test_beats_are_alike_where_their_level_is() -> None:
    rng = np.random.default_rng(0)
    shape = rng.random(80).astype(np.float32)
    known = np.ones(9, dtype=np.bool_)
    first = 10 + 80 * np.arange(9)
    same = likenesses(np.tile(shape, 10), first, known, 80.0)
    np.testing.assert_allclose(same, 1, atol=1e-5)
    level = np.tile(shape, 10)
    level[320:400] = rng.random(80)
    one_other = likenesses(level, first, known, 80.0)
    assert one_other.argmin() == 4
    assert likenesses(level, first[:1], known[:1], 80.0) == pytest.approx(0.6)


def test_a_passage_without_a_heart_has_no_cycle() -> None:
    before, after = listen(70, 10), listen(70, 10, seed=6)
    hiss = np.random.default_rng(0).normal(0, 0.002, int(8 * FS)).astype(np.float32)
    found = Rhythm()(np.concatenate([before.signal, hiss, after.signal]), FS).cycles
    inside = (found.start > 10.5) & (found.end < 17.5)
    assert inside.sum() <= 2
    assert (found.end < 10.5).sum() >= 9
    assert (found.start > 17.5).sum() >= 9


def test_confidence_orders_recordings() -> None:
    rough = Scene(background=0.4, breathing=0.4, friction=0.4, events_a_minute=30)
    clean, noisy = find(listen(70)), find(listen(70, scene=rough))
    assert clean.confidence > 0.9
    assert noisy.confidence < clean.confidence - 0.1


@pytest.mark.parametrize("factor", [-1.0, 1e-3, 1e3, -7.0])
def test_gain_and_polarity_change_nothing(factor: float) -> None:
    sound = listen(80)
    one, two = (Rhythm()(sound.signal * gain, FS) for gain in (1.0, factor))
    np.testing.assert_allclose(one.states.start, two.states.start, atol=1e-9)
    np.testing.assert_allclose(one.cycles.confidence, two.cycles.confidence, atol=1e-3)


def test_two_calls_give_the_same() -> None:
    sound = listen(66)
    one, two = find(sound), find(sound)
    np.testing.assert_array_equal(one.states.start, two.states.start)
    np.testing.assert_array_equal(one.cycles.confidence, two.cycles.confidence)


def test_what_is_heard_later_is_found_later() -> None:
    sound = listen(72, 20)
    shift = 1.0
    one, two = find(sound), Rhythm()(sound.signal[int(shift * FS) :], FS)
    first, later = middles(one.states, S1), middles(two.states, S1) + shift
    inner = later[(later > 3) & (later < 18)]
    assert len(inner) > 10
    assert np.abs(inner[:, None] - first).min(axis=1).max() <= 0.011


@pytest.mark.parametrize("fs", [1000.0, 4000.0, 8000.0])
def test_the_rate_of_the_samples_does_not_matter(fs: float) -> None:
    sound = simulate(Heart(rhythm=Pace(rate=75)), Scene(fs=fs, duration=12), (3,))
    assert share_found(find(sound).states, sound.states) >= 0.97


@pytest.mark.parametrize("duration", [0.6, 1.0, 1.5, 2.0, 3.0])
def test_short_recordings_are_answered(duration: float) -> None:
    sound = listen(75, duration)
    found = find(sound)
    assert len(found.cycles) or found.refusal
    assert len(found.cycles) <= duration * 2
    if duration >= 3.0:
        assert share_found(found.states, sound.states) >= 0.8


def test_states_follow_each_other_without_gap_or_overlap() -> None:
    for rate in (45, 90, 180):
        states = find(listen(rate)).states
        np.testing.assert_allclose(states.start[1:], states.end[:-1], atol=1e-12)
        assert set((np.diff(states.state) % 4).tolist()) == {1}


def test_systole_is_as_long_as_textbooks_say() -> None:
    period = 60 / np.array([50.0, 75.0, 100.0, 150.0, 200.0])
    systole = usual_systole(period)
    assert (np.diff(systole) < 0).all()
    assert systole[1] == pytest.approx(0.443 - 0.0017 * 75)
    assert (systole < 0.5 * period).all()


def test_the_search_is_exact_on_a_train_of_sounds() -> None:
    first, second = (np.full(1000, -3, dtype=np.float32) for _ in range(2))
    beats = np.arange(40, 1000, 80)
    first[beats] = second[beats + 30] = 5
    periods = np.full(1000, 80)
    found = lay_beats(first, second, periods, 80.0, 100.0, Intervals())
    inside = (found.first >= 0) & (found.first < 1000)
    np.testing.assert_array_equal(found.first[inside], beats)
    np.testing.assert_array_equal(found.second[inside], beats + 30)
