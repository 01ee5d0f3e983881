"""Heart sounds: timing by the textbooks, bands, murmurs inside their interval, truth that holds."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pahcl.errors import UsageError
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, UNANNOTATED
from pahcl.simulation.heart_cases import Extra, draw_heart, draw_murmur_words, draw_scene
from pahcl.simulation.heart_murmur import (
    GRADE_SIZE,
    PITCH_BAND,
    Phase,
    Pitch,
    Quality,
    Shape,
    Timing,
)
from pahcl.simulation.heart_noise import band_noise, dropouts, friction, speech, thumps
from pahcl.simulation.heart_rhythm import VENTRICULAR, systole_length
from pahcl.simulation.heart_sound import (
    SITES,
    Heart,
    HeartSound,
    Murmur,
    Rhythm,
    Scene,
    Site,
    simulate,
)

QUIET = Scene(duration=6, background=0, breathing=0, band=(1.0, 1900.0))


def share_between(signal: np.ndarray, fs: float, low: float, high: float) -> float:
    """Give the share of a signal's power that lies in a band."""
    power = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
    frequency = np.fft.rfftfreq(len(signal), 1 / fs)
    return float(power[(frequency >= low) & (frequency < high)].sum() / power.sum())


def power_in(signal: np.ndarray, states: np.ndarray, state: int) -> float:
    return float((signal[states == state].astype(np.float64) ** 2).sum())


def alone(heart: Heart, scene: Scene, seed: tuple[int, ...]) -> tuple[np.ndarray, HeartSound]:
    """Give what the murmurs of a heart add to it, and the whole."""
    whole = simulate(heart, scene, seed)
    return whole.clean - simulate(replace(heart, murmurs=()), scene, seed).clean, whole


def test_the_same_seed_gives_the_same_samples() -> None:
    scene = Scene(duration=3, friction=0.1, speech=0.1, thumps=1, dropouts_a_minute=10)
    first, second, other = (simulate(Heart(), scene, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(first.signal, second.signal)
    assert first.truth() == second.truth()
    assert not np.array_equal(first.signal, other.signal)


def test_the_heart_beats_the_same_at_every_rate_and_site() -> None:
    heart = Heart(rhythm=Rhythm(rate=80, extrasystoles=0.1))
    listened: list[tuple[int, Site]] = [(2000, "MV"), (4000, "MV"), (4000, "AV"), (44100, "PV")]
    sounds = [simulate(heart, replace(QUIET, fs=fs, site=site), (5,)) for fs, site in listened]
    for one in sounds[1:]:
        np.testing.assert_array_equal(one.states.start, sounds[0].states.start)
    assert [len(one.signal) for one in sounds] == [12000, 24000, 24000, 264600]


@settings(max_examples=60, deadline=None)
@given(
    rate=st.floats(30, 220),
    seed=st.integers(0, 2**20),
    variability=st.floats(0, 0.15),
    extra=st.sampled_from([0.0, 0.2]),
)
@example(rate=148.0, seed=1, variability=0.0, extra=0.2)
def test_states_follow_each_other_at_every_rate(
    rate: float, seed: int, variability: float, extra: float
) -> None:
    rhythm = Rhythm(rate=rate, variability=variability, extrasystoles=extra)
    sound = simulate(Heart(rhythm=rhythm), Scene(fs=1000, duration=7), (seed,))
    states = sound.states
    assert states.start[0] == 0
    assert states.end[-1] == 7
    np.testing.assert_array_equal(states.start[1:], states.end[:-1])
    assert set(np.diff(states.state.astype(int)) % 4) == {1}
    assert UNANNOTATED not in states.state
    beats = sound.beats
    assert (beats.first < beats.first_end).all()
    assert (beats.first_end < beats.second).all()
    assert (beats.second < beats.second_end).all()
    assert (beats.second_end[:-1] < beats.first[1:]).all()
    assert np.isfinite(sound.signal).all()
    assert np.abs(sound.signal).max() <= 1


@pytest.mark.parametrize("rate", [45, 60, 72, 100, 140, 180])
def test_the_mean_rate_and_the_phases_are_those_of_the_textbooks(rate: float) -> None:
    rhythm = Rhythm(rate=rate, variability=0)
    beats = simulate(Heart(rhythm=rhythm), Scene(fs=1000, duration=120), (3,)).beats
    assert 60 / np.diff(beats.first).mean() == pytest.approx(rate, rel=0.09)
    systole = np.median(beats.second - beats.first)
    assert systole == pytest.approx(max(0.43 - 0.0017 * rate, 0.13), abs=0.02)
    assert 0.03 < np.median(beats.first_end - beats.first) < 0.13
    assert 0.03 < np.median(beats.second_end - beats.second) < 0.13


def test_breathing_moves_rate_and_split() -> None:
    rhythm = Rhythm(rate=60, variability=0.1, breath=0.2, split=(0.01, 0.05))
    beats = simulate(Heart(rhythm=rhythm), Scene(fs=1000, duration=100), (2,)).beats
    angle = 2 * np.pi * beats.breath[0] * beats.second + beats.breath[1]
    assert np.corrcoef(beats.split, np.sin(angle))[0, 1] > 0.95
    assert beats.split.min() < 0.015
    assert beats.split.max() > 0.045
    spectrum = np.abs(np.fft.rfft(np.diff(beats.first) - np.diff(beats.first).mean()))
    assert np.argmax(spectrum) / (len(beats.first) - 1) == pytest.approx(0.2, abs=0.03)


def test_a_ventricular_beat_has_a_full_pause() -> None:
    rhythm = Rhythm(rate=70, variability=0, extrasystoles=0.08, ventricular=1.0)
    beats = simulate(Heart(rhythm=rhythm), Scene(fs=1000, duration=60), (4,)).beats
    early = np.flatnonzero(beats.kind == VENTRICULAR)
    early = early[(early > 0) & (early + 1 < len(beats.first))]
    assert len(early)
    before = beats.first[early] - beats.first[early - 1]
    both = beats.first[early + 1] - beats.first[early - 1]
    usual = np.median(np.diff(beats.first))
    assert (before < 0.85 * usual).all()
    np.testing.assert_allclose(both, 2 * usual, rtol=0.1)


def test_extra_beats_are_there_when_asked_for_and_only_then() -> None:
    assert not simulate(Heart(), Scene(fs=1000, duration=30), (1,)).beats.kind.any()
    for seed in range(20):
        rhythm = Rhythm(rate=75, extrasystoles=1e-9)
        assert simulate(Heart(rhythm=rhythm), Scene(fs=1000, duration=6), (seed,)).beats.kind.any()


def test_sounds_of_the_valves_lie_between_20_and_150_hz_and_in_their_states() -> None:
    sound = simulate(Heart(), QUIET, (1,))
    assert share_between(sound.signal, 4000, 20, 150) > 0.95
    states = sound.states.sampled(4000, len(sound.signal))
    whole = float((sound.signal.astype(np.float64) ** 2).sum())
    inside = power_in(sound.signal, states, S1) + power_in(sound.signal, states, S2)
    assert inside / whole > 0.995
    np.testing.assert_array_equal(sound.signal, np.clip(sound.clean, -1, 1))


def test_the_first_sound_leads_at_the_apex_and_the_second_at_the_base() -> None:
    ratio = {}
    for site in SITES:
        sound = simulate(Heart(), replace(QUIET, site=site), (1,))
        states = sound.states.sampled(4000, len(sound.signal))
        ratio[site] = power_in(sound.signal, states, S1) / power_in(sound.signal, states, S2)
    assert ratio["MV"] > ratio["TV"] > 1 > max(ratio["AV"], ratio["PV"])


@pytest.mark.parametrize("phase", get_args(Phase))
@pytest.mark.parametrize("timing", get_args(Timing))
@pytest.mark.parametrize("quality", get_args(Quality))
def test_a_murmur_lies_wholly_in_its_phase(phase: Phase, timing: Timing, quality: Quality) -> None:
    murmur = Murmur(phase=phase, timing=timing, grade=4, quality=quality)
    heart = Heart(rhythm=Rhythm(rate=70), murmurs=(murmur,))
    sound, whole = alone(heart, QUIET, (9,))
    states = whole.states.sampled(4000, len(sound))
    total = float((sound.astype(np.float64) ** 2).sum())
    own = SYSTOLE if phase == "systolic" else DIASTOLE
    assert power_in(sound, states, own) / total > 0.995
    heard = np.zeros(len(sound), dtype=bool)
    for begin, end in whole.murmurs[0]:
        heard[round(begin * 4000) : round(end * 4000)] = True
    assert (sound[heard].astype(np.float64) ** 2).sum() / total > 0.995
    intervals = whole.states.state == own
    length = (whole.states.end - whole.states.start)[intervals].sum()
    part = {"early": 0.55, "mid": 0.6, "late": 0.55, "holo": 1.0}[timing]
    assert sum(b - a for a, b in whole.murmurs[0]) == pytest.approx(part * length, rel=0.15)


def test_the_truth_tells_of_murmurs_and_extra_sounds() -> None:
    murmur = Murmur(phase="diastolic", timing="early", grade=3, pitch="high", origin="AV")
    heart = Heart(murmurs=(murmur,), third=0.4, click=0.3)
    sound = simulate(heart, replace(QUIET, site="AV"), (6,))
    truth = sound.truth()
    (told,) = truth["murmurs"]
    assert (told["phase"], told["grade"]) == ("diastolic", 3)
    assert told["size"] == pytest.approx(GRADE_SIZE[3])
    assert told["audible"]
    assert told["spans"] == [[round(a, 4), round(b, 4)] for a, b in sound.murmurs[0]]
    assert set(truth["extra_sounds"]) == {"third", "click"}
    for name, state in (("third", DIASTOLE), ("click", SYSTOLE)):
        at = np.array(truth["extra_sounds"][name])
        begins = (sound.states.start[:, None] <= at) & (at < sound.states.end[:, None])
        assert len(at) > 3
        assert set(sound.states.state[begins.argmax(axis=0)]) == {state}


def test_where_no_heart_is_heard_there_is_no_truth_of_one() -> None:
    heart = Heart(murmurs=(Murmur(),), third=0.4)
    sound = simulate(heart, replace(QUIET, heart=0.0, speech=0.2), (6,))
    truth = sound.truth()
    assert not sound.clean.any()
    assert truth.pop("disturbances")["speech"]
    assert truth.pop("extra_sounds") == {}
    assert not any(truth.values())


@pytest.mark.parametrize("pitch", get_args(Pitch))
def test_a_murmur_has_its_band(pitch: Pitch) -> None:
    heart = Heart(murmurs=(Murmur(grade=5, pitch=pitch),))
    sound, _ = alone(heart, QUIET, (3,))
    low, high = PITCH_BAND[pitch]
    assert share_between(sound, 4000, 0.85 * low, 1.15 * high) > 0.85


def test_a_musical_murmur_is_a_tone() -> None:
    tones = {}
    for quality in get_args(Quality):
        sound, _ = alone(Heart(murmurs=(Murmur(grade=5, quality=quality),)), QUIET, (3,))
        power = np.abs(np.fft.rfft(sound)) ** 2
        tones[quality] = np.sort(power)[-60:].sum() / power.sum()
    assert tones["musical"] > 2 * tones["blowing"] > 0
    assert tones["blowing"] > tones["harsh"], "a harsh one is broader"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("plateau", (1.0, 1.0, 1.0)),
        ("crescendo", (0.26, 0.505, 0.754)),
        ("decrescendo", (0.754, 0.505, 0.26)),
        ("diamond", (0.52, 0.878, 0.52)),
    ],
)
def test_a_murmur_has_its_shape(shape: Shape, expected: tuple[float, float, float]) -> None:
    heart = Heart(rhythm=Rhythm(rate=60), murmurs=(Murmur(grade=5, shape=shape),))
    sound, whole = alone(heart, replace(QUIET, duration=60), (8,))
    thirds = np.zeros(3)
    for begin, end in whole.murmurs[0][1:-1]:
        edges = np.round(np.linspace(begin, end, 9) * 4000).astype(int)
        for place, (first, last) in enumerate(((1, 3), (3, 5), (5, 7))):
            thirds[place] += (sound[edges[first] : edges[last]].astype(np.float64) ** 2).sum()
    size = np.sqrt(thirds / thirds.max())
    np.testing.assert_allclose(size, np.array(expected) / max(expected), atol=0.12)


def test_grades_and_sites_change_the_loudness() -> None:
    def size(grade: int, site: Site) -> float:
        heart = Heart(murmurs=(Murmur(grade=grade, origin="TV"),))
        sound, whole = alone(heart, replace(QUIET, duration=20, site=site), (6,))
        inside = whole.states.sampled(4000, len(sound)) == SYSTOLE
        return float(np.sqrt((sound[inside].astype(np.float64) ** 2).mean())) / QUIET.gain

    sizes = [size(grade, "TV") for grade in GRADE_SIZE]
    assert sizes == sorted(sizes)
    for found, (_, wanted) in zip(sizes, GRADE_SIZE.items(), strict=True):
        assert wanted * 0.6 < found < wanted * 1.4
    assert size(3, "TV") > size(3, "MV") > size(3, "AV")
    loud = Murmur(grade=3, origin="TV")
    assert loud.size_at("TV") == GRADE_SIZE[3]
    assert all(loud.is_heard(site) == (loud.size_at(site) >= 0.02) for site in SITES)


@pytest.mark.parametrize(
    ("name", "state", "low", "high"),
    [
        ("third", DIASTOLE, 15, 60),
        ("fourth", DIASTOLE, 15, 60),
        ("click", SYSTOLE, 60, 300),
    ],
)
def test_further_sounds_lie_where_they_belong(
    name: str, state: int, low: float, high: float
) -> None:
    usual = Heart(rhythm=Rhythm(rate=65), click_at=0.5)
    louder = {
        "third": replace(usual, third=0.5),
        "fourth": replace(usual, fourth=0.5),
        "click": replace(usual, click=0.5),
    }
    plain, more = (simulate(heart, QUIET, (5,)) for heart in (usual, louder[name]))
    sound = more.clean - plain.clean
    # Which random numbers come later changes with a further sound: what is left is its own.
    states = more.states.sampled(4000, len(sound))
    total = float((sound.astype(np.float64) ** 2).sum())
    assert total > 0
    assert power_in(sound, states, state) / total > 0.9
    assert share_between(sound, 4000, low, high) > 0.8


def test_disturbances_are_heard_when_the_truth_says_so() -> None:
    scene = Scene(
        duration=20, heart=0, background=0, breathing=0, friction=0.1, speech=0.1, thumps=0.5,
        band=(1.0, 1900.0),
    )  # fmt: skip
    sound = simulate(Heart(), scene, (3,))
    assert not sound.clean.any()
    said = np.zeros(len(sound.signal), dtype=bool)
    for spans in sound.disturbances.values():
        for begin, end in spans:
            said[max(round((begin - 0.02) * 4000), 0) : round((end + 0.02) * 4000)] = True
    power = sound.signal.astype(np.float64) ** 2
    assert set(sound.disturbances) == {"friction", "speech", "thumps"}
    assert power[said].sum() / power.sum() > 0.999
    assert said.mean() < 0.9


def test_lost_contact_is_silence_and_nothing_else_is() -> None:
    sound = simulate(Heart(), Scene(duration=20, dropouts_a_minute=20), (1,))
    silent = np.zeros(len(sound.signal), dtype=bool)
    for begin, end in sound.disturbances["dropouts"]:
        silent[round(begin * 4000) : round(end * 4000)] = True
    assert silent.any()
    assert not sound.signal[silent].any()
    assert (sound.signal[~silent] != 0).mean() > 0.999


def test_breath_comes_and_goes_with_the_breath() -> None:
    scene = Scene(duration=40, heart=0, background=0, breathing=0.1)
    sound = simulate(Heart(rhythm=Rhythm(breath=0.25)), scene, (2,))
    loudness = (sound.signal.astype(np.float64) ** 2).reshape(-1, 400).mean(axis=1)
    spectrum = np.abs(np.fft.rfft(loudness - loudness.mean()))
    assert np.argmax(spectrum) / 40 == pytest.approx(0.25, abs=0.03)
    time = (np.arange(len(loudness)) + 0.5) / 10
    phase = 2 * np.pi * 0.25 * time + sound.beats.breath[1]
    # The lung fills while the sine rises.
    assert loudness[np.cos(phase) > 0.5].mean() > 3 * loudness[np.cos(phase) < -0.5].mean()


def test_noise_has_its_band_and_size() -> None:
    rng = np.random.default_rng(0)
    noise = band_noise(rng, 40000, 4000, 100, 300)
    assert noise.std() == pytest.approx(1, abs=1e-3)
    assert share_between(noise, 4000, 80, 380) > 0.95
    for draw in (friction, speech, thumps):
        sound, spans = draw(rng, 40000, 4000, 30.0)
        outside = np.ones(40000, dtype=bool)
        for begin, end in spans:
            outside[int(begin * 4000) : int(np.ceil(end * 4000)) + 1] = False
        assert not sound[outside].any()
        assert sound.any()
        assert draw(rng, 4000, 4000, 0.0)[1] == []
    assert dropouts(rng, 10.0, 0.0) == []


def test_speech_is_a_pitch_with_harmonics() -> None:
    sound, ((begin, end), *_) = speech(np.random.default_rng(5), 16000, 4000, 15.0)
    piece = sound[round(begin * 4000) : round(end * 4000)]
    assert share_between(piece, 4000, 90, 1900) > 0.99
    frames = piece[: len(piece) // 400 * 400].reshape(-1, 400) * np.hanning(400)
    power = np.sort(np.abs(np.fft.rfft(frames)) ** 2, axis=1)
    # Harmonics leave the bins between them empty; noise would fill them.
    loud = power[power.sum(axis=1) > np.median(power.sum(axis=1))]
    assert (loud[:, -40:].sum(axis=1) / loud.sum(axis=1)).min() > 0.8


def test_too_loud_is_clipped_at_full_scale() -> None:
    sound = simulate(Heart(), Scene(duration=5, gain=5.0), (1,))
    assert np.abs(sound.signal).max() == 1
    assert (np.abs(sound.signal) == 1).sum() > 20


def test_the_device_takes_away_what_is_outside_its_band() -> None:
    heart = Heart(murmurs=(Murmur(grade=5, pitch="high"),))
    wide = simulate(heart, QUIET, (1,))
    narrow = simulate(heart, replace(QUIET, band=(25.0, 150.0)), (1,))
    assert share_between(wide.signal, 4000, 250, 500) > 0.03
    assert share_between(narrow.signal, 4000, 250, 500) < 0.01


@settings(max_examples=30, deadline=None)
@given(
    age=st.floats(0, 90),
    seed=st.integers(0, 2**20),
    extra=st.sampled_from([None, *get_args(Extra)]),
    phase=st.sampled_from(get_args(Phase)),
    site=st.sampled_from(SITES),
    noise=st.floats(0, 6),
)
def test_every_drawn_heart_can_be_listened_to(
    age: float, seed: int, extra: Extra | None, phase: Phase, site: Site, noise: float
) -> None:
    rng = np.random.default_rng(seed)
    murmurs = (draw_murmur_words(rng, phase),)
    heart = draw_heart(rng, age, murmurs=murmurs, extra=extra, extrasystoles=seed % 2 == 0)
    sound = simulate(heart, draw_scene(rng, 2000, 4.0, site, noise), (seed,))
    assert sound.signal.dtype == np.float32
    assert len(sound.signal) == 8000
    assert np.isfinite(sound.signal).all()
    assert np.abs(sound.signal).max() <= 1
    assert sound.states.annotated == pytest.approx(4.0)


def test_small_hearts_beat_faster_and_sound_higher() -> None:
    rng = np.random.default_rng(0)
    hearts = {age: [draw_heart(rng, age) for _ in range(40)] for age in (0.1, 6.0, 40.0)}
    rates = [np.median([one.rhythm.rate for one in hearts[age]]) for age in hearts]
    pitches = [np.median([one.pitch for one in hearts[age]]) for age in hearts]
    assert rates == sorted(rates, reverse=True)
    assert pitches == sorted(pitches, reverse=True)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="30 to 220 times a minute"):
        Rhythm(rate=10)
    with pytest.raises(UsageError, match="grade of 1 to 6"):
        Murmur(grade=0)
    with pytest.raises(UsageError, match=r"1000 Hz and 0\.5 s at least"):
        Scene(fs=500)


def test_systole_shortens_by_weissler() -> None:
    rr = 60 / np.array([50.0, 60.0, 100.0])
    np.testing.assert_allclose(systole_length(rr), [0.345, 0.328, 0.26], atol=1e-9)
    assert np.all(np.diff(systole_length(np.linspace(0.25, 2, 50))) >= 0)
