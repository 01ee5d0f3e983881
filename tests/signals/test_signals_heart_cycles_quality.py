"""Measures and flags of heart cycles: each disturbance is named, murmurs are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.signal

from pahcl.signals.heart_cycles.cycles import HeartCycles, whole_cycles
from pahcl.signals.heart_cycles.preparation import prepare
from pahcl.signals.heart_cycles.quality import CycleQuality, Quality, UpstreamQuality
from pahcl.simulation.heart_murmur import Murmur
from pahcl.simulation.heart_rhythm import Rhythm
from pahcl.simulation.heart_sound import Heart, HeartSound, Scene, simulate


def sound(*murmurs: Murmur, rate: float = 75, seed: int = 3, **scene: float) -> HeartSound:
    heart = Heart(rhythm=Rhythm(rate=rate), murmurs=murmurs)
    return simulate(heart, Scene(fs=2000, duration=12, **scene), seed=(1, seed))


def judged(found: HeartSound, signal: np.ndarray | None = None) -> CycleQuality:
    samples = found.signal if signal is None else signal
    return Quality()(samples, found.fs, whole_cycles(found.states))


@pytest.mark.parametrize("rate", [45, 75, 150])
def test_a_clean_heart_has_no_flag(rate: float) -> None:
    flags = judged(sound(rate=rate)).flags
    assert not any(flag.any() for flag in flags.values())


@pytest.mark.parametrize(
    "murmur",
    [
        Murmur(timing="holo", grade=4, origin="MV"),
        Murmur(phase="diastolic", timing="early", grade=4, origin="AV"),
    ],
    ids=lambda murmur: murmur.phase,
)
def test_a_loud_murmur_is_no_noise_here_and_was_upstream(murmur: Murmur) -> None:
    heard, quiet = sound(murmur), sound()
    flags = judged(heard).flags
    assert not flags["noisy"].any()
    assert not flags["unrepeated"].any()
    cycles = whole_cycles(heard.states)
    snr, before = (
        UpstreamQuality()(one.signal, one.fs, cycles).measures["upstream_snr_db"].mean()
        for one in (heard, quiet)
    )
    assert snr < before  # what is a murmur counts as noise there


def test_noise_has_neither_contrast_nor_repeats() -> None:
    noise = np.random.default_rng(0).normal(size=24000)
    quality = judged(sound(), noise)
    assert quality.flags["noisy"].all()
    assert quality.flags["unrepeated"].mean() > 0.9


def test_each_disturbance_is_named_where_it_is() -> None:
    found = sound()
    cycles = whole_cycles(found.states)
    third = slice(*(int(t * found.fs) for t in (cycles.start[3], cycles.end[3])))
    lost, gone, knocked = (found.signal.copy() for _ in range(3))
    lost[third.start + 100 : third.start + 700] = 0.013
    gone[third.start + 100 : third.start + 700] = np.nan
    knocked[third.start + 500 : third.start + 510] = 8 * np.abs(found.signal).max()
    only = np.arange(len(cycles)) == 3
    assert (judged(found, lost).flags["dropout"] == only).all()
    assert (judged(found, gone).flags["dropout"] == only).all()
    assert (judged(found, knocked).flags["knock"] == only).all()


def test_clipping_is_held_at_the_rail() -> None:
    found = sound(gain=0.25)
    loud = np.clip(found.signal, *np.quantile(found.signal, (0.01, 0.99)))
    assert judged(found, loud).flags["clipped"].mean() > 0.9
    assert not judged(found).flags["clipped"].any()


@pytest.mark.parametrize(("factor", "flagged"), [(0.5, True), (2.0, True), (0.7, False)])
def test_half_and_double_beats_have_another_length_than_their_neighbours(
    factor: float, flagged: bool
) -> None:
    length = np.full(9, 0.8)
    length[4] *= factor
    end = np.cumsum(length)
    none = np.full(9, np.nan)
    cycles = HeartCycles(end - length, none, none, none, end, np.ones(9))
    quality = Quality()(sound().signal, 2000, cycles)
    assert quality.measures["length_ratio"][4] == pytest.approx(factor)
    assert quality.flags["atypical_length"].tolist() == [i == 4 and flagged for i in range(9)]


def test_confidence_is_compared_and_thresholds_are_arguments() -> None:
    found = sound()
    cycles = whole_cycles(found.states)
    unsure = replace(cycles, confidence=np.linspace(0, 1, len(cycles)))
    flags = Quality(least_confidence=0.5)(found.signal, found.fs, unsure).flags
    assert (flags["low_confidence"] == (unsure.confidence < 0.5)).all()
    strict = Quality(least_contrast=1000)(found.signal, found.fs, cycles)
    assert strict.flags["noisy"].all()


def test_measures_do_not_depend_on_the_scale_of_the_recording() -> None:
    found = sound()
    once, louder = judged(found), judged(found, 7.5 * found.signal)
    for name, values in once.measures.items():
        np.testing.assert_allclose(values, louder.measures[name], rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("check", [Quality(), UpstreamQuality()])
def test_what_tells_nothing_is_not_flagged_and_nothing_crashes(
    check: Quality | UpstreamQuality,
) -> None:
    none = check(np.zeros(100), 2000, HeartCycles.empty())
    assert all(not len(values) for values in (*none.measures.values(), *none.flags.values()))
    nan = np.array([np.nan])
    lone = HeartCycles(np.array([0.1]), nan, nan, nan, np.array([0.15]), np.array([1.0]))
    beyond = HeartCycles(np.array([0.9]), nan, nan, nan, np.array([7.0]), np.array([1.0]))
    for signal in (
        np.zeros(2000),
        np.full(2000, np.nan),
        np.random.default_rng(1).normal(size=2000),
    ):
        for cycles in (lone, beyond):
            found = check(signal, 2000, cycles)
            assert tuple(found.measures) == check.measures
            assert tuple(found.flags) == check.flags
    silent = Quality()(np.zeros(2000), 2000, lone)
    assert silent.flags["dropout"].all()
    assert silent.flags["noisy"].all()
    assert not silent.flags["unrepeated"].any()
    assert not silent.flags["atypical_length"].any()


def test_upstream_is_what_the_original_computes() -> None:
    found = sound(Murmur(timing="holo", grade=3, origin="MV"))
    cycles = whole_cycles(found.states)
    measured = UpstreamQuality()(found.signal, found.fs, cycles).measures
    samples = prepare(found.signal, found.fs, to=5000.0).signal.astype(np.float64)
    samples = (samples - samples.mean()) / samples.std()
    for number in range(len(cycles)):
        first, stop = round(cycles.start[number] * 5000), round(cycles.end[number] * 5000)
        piece = samples[first:stop]
        frequency, density = scipy.signal.welch(piece, 5000, nperseg=min(len(piece), 1024))
        heart = density[(frequency >= 25) & (frequency <= 150)].sum()
        noise = density[(frequency >= 200) & (frequency <= 400)].sum()
        size = np.abs(piece)
        expected = {
            "upstream_snr_db": 10 * np.log10(heart / noise),
            "upstream_peak_ratio": size.max() / (size.mean() + 1e-8),
            "upstream_zero_share": np.mean(size < 0.01 * size.max()),
        }
        for name, value in expected.items():
            assert measured[name][number] == pytest.approx(value, rel=1e-5), name
