"""What the six sets of PhysioNet 2016 sound like, in a simulation: devices, lengths, people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from pahcl.simulation.heart_cases import Extra, draw_heart, draw_murmur_words, draw_scene
from pahcl.simulation.heart_murmur import Phase
from pahcl.simulation.heart_sound import Heart, Murmur, Scene, Site

Generator = np.random.Generator

EXTRAS: tuple[Extra, ...] = ("third", "fourth", "click")
SITES: tuple[Site, ...] = ("AV", "PV", "TV", "MV", "Phc")


@dataclass(frozen=True)
class Source:
    """Describe one set.

    Args:
        turns: How often it comes in a round of `ROUND` records; the true shares would leave small
            corpora without sets c and d.
        abnormal: Share of people who should be referred.
        noisy: Share of recordings that nobody can judge.
        seconds: Shortest and longest recording.
        band: Pass band of the device in Hz.
        noise: Factor on all disturbances.
        ages: Youngest and oldest person in years.
        digits: Digits of the records' names.
    """

    turns: int
    abnormal: float
    noisy: float
    seconds: tuple[float, float]
    band: tuple[float, float]
    noise: float
    ages: tuple[float, float]
    digits: int = 4


SETS: Mapping[str, Source] = {
    "a": Source(4, 0.65, 0.1, (9, 36), (25, 600), 1.0, (18, 80)),
    "b": Source(4, 0.3, 0.25, (5.3, 8), (35, 800), 1.6, (20, 80)),
    "c": Source(2, 0.6, 0.1, (9, 45), (20, 900), 0.8, (20, 70)),
    "d": Source(2, 0.5, 0.15, (6, 30), (15, 500), 1.2, (20, 60)),
    "e": Source(6, 0.2, 0.12, (8, 40), (18, 1000), 1.0, (18, 60), 5),
    "f": Source(2, 0.4, 0.15, (29, 45), (40, 700), 0.9, (20, 60)),
}
"""The sources differ in devices and prevalence; numbers are set by hand, orders as published."""

_NOISE = {"clean": (1.5, 0.6), "noisy": (3.5, 0.5)}
"""Median of a recording's factor on all disturbances and the spread of its logarithm. Whether one
can be judged is not to be told from its noise alone, as it cannot be in the challenge's sounds."""

ROUND = sum(source.turns for source in SETS.values())


@dataclass(frozen=True)
class Person:
    """Hold what is true of one recording before anybody listened to it.

    Args:
        heart: The heart.
        scene: How it is listened to.
        abnormal: Whether somebody with these ears would refer the person.
        noisy: Whether nobody can judge the recording.
        findings: What is to be heard, in words.
    """

    heart: Heart
    scene: Scene
    abnormal: bool
    noisy: bool
    findings: tuple[str, ...]


def letters(records: int) -> list[str]:
    """Say which set each record belongs to: the sets take turns, each as often as it comes."""
    places = [
        ((turn + 0.5) / source.turns, letter)
        for letter, source in SETS.items()
        for turn in range(source.turns)
    ]
    return list(islice(cycle(letter for _, letter in sorted(places)), records))


def draw_person(rng: Generator, letter: str, fs: float, seconds: float | None = None) -> Person:
    """Draw who is listened to and how, in one of the sets."""
    source = SETS[letter]
    abnormal, noisy = bool(rng.random() < source.abnormal), bool(rng.random() < source.noisy)
    murmurs: tuple[Murmur, ...] = ()
    extra: Extra | None = None
    early = False
    if abnormal:
        kind = rng.random()
        if kind < 0.75:
            phase: Phase = "diastolic" if rng.random() < 0.2 else "systolic"
            murmurs = (draw_murmur_words(rng, phase, grades=(0, 0.2, 0.4, 0.3, 0.1)),)
        elif kind < 0.9:
            extra = EXTRAS[int(rng.integers(len(EXTRAS)))]
        else:
            early = True
    age = float(rng.uniform(*source.ages))
    heart = draw_heart(rng, age, murmurs=murmurs, extra=extra, extrasystoles=early)
    duration = round(float(seconds or rng.uniform(*source.seconds)), 3)
    site = SITES[int(rng.integers(len(SITES)))]
    median, spread = _NOISE["noisy" if noisy else "clean"]
    noise = source.noise * median * float(np.exp(rng.normal(0, spread)))
    scene = draw_scene(rng, fs, duration, site, noise, source.band)
    findings = [f"{one.phase} murmur of grade {one.grade}" for one in murmurs]
    findings += [f"{extra} sound" if extra != "click" else "click"] if extra else []
    findings += ["extrasystoles"] if early else []
    return Person(heart, scene, abnormal, noisy, tuple(findings))
