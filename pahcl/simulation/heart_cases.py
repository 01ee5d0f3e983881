"""Hearts and scenes as they come: rates by age, murmurs by prevalence, noise of all sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np

from pahcl.simulation.heart_murmur import (
    LOUDEST,
    Murmur,
    Phase,
    Pitch,
    Quality,
    Shape,
    Site,
    Timing,
)
from pahcl.simulation.heart_rhythm import Generator, Rhythm
from pahcl.simulation.heart_sound import Heart, Scene

Extra = Literal["third", "fourth", "click"]

_AGES = (0.0, 0.5, 1.0, 3.0, 6.0, 10.0, 15.0, 25.0, 90.0)
_RATES = (142.0, 138.0, 128.0, 112.0, 100.0, 88.0, 80.0, 73.0, 70.0)
"""Median rate at rest by age in years, after the textbooks of paediatrics."""

# Shares in the table of CirCor, whose patients are children.
_TIMING: Mapping[Timing, float] = {"holo": 101, "early": 59, "mid": 17, "late": 1}
_SHAPE: Mapping[Shape, float] = {"plateau": 111, "decrescendo": 34, "diamond": 31, "crescendo": 2}
_PITCH: Mapping[Pitch, float] = {"low": 87, "medium": 49, "high": 42}
_QUALITY: Mapping[Quality, float] = {"harsh": 96, "blowing": 78, "musical": 4}
_ORIGIN: Mapping[Site, float] = {"PV": 62, "TV": 56, "MV": 42, "AV": 19}

_Word = TypeVar("_Word", bound=str)


def draw_murmur_words(
    rng: Generator, phase: Phase = "systolic", grades: Sequence[float] = (0.58, 0.16, 0.26)
) -> Murmur:
    """Draw what a murmur is called.

    Args:
        rng: Where random numbers come from.
        phase: Systolic, or diastolic: then early, falling and mostly blowing.
        grades: Share of each grade from 1 on, as far as the phase has grades.
    """
    weights = np.asarray(grades[: LOUDEST[phase]], dtype=np.float64)
    diastolic = phase == "diastolic"
    return Murmur(
        phase=phase,
        timing="early" if diastolic else _choose(rng, _TIMING),
        shape="decrescendo" if diastolic else _choose(rng, _SHAPE),
        grade=1 + int(rng.choice(len(weights), p=weights / weights.sum())),
        pitch=_choose(rng, _PITCH),
        quality="blowing" if diastolic and rng.random() < 0.8 else _choose(rng, _QUALITY),
        origin=_choose(rng, _ORIGIN),
    )


def draw_heart(
    rng: Generator,
    age: float,
    *,
    murmurs: tuple[Murmur, ...] = (),
    extra: Extra | None = None,
    extrasystoles: bool = False,
) -> Heart:
    """Draw a person's heart.

    Args:
        rng: Where random numbers come from.
        age: In years: gives rate, breathing, and the pitch of a small heart.
        murmurs: Its murmurs.
        extra: A further sound that everybody hears.
        extrasystoles: Whether a share of its beats is premature.
    """
    rate = float(np.interp(age, _AGES, _RATES)) * float(np.exp(rng.normal(0, 0.12)))
    breath = float(np.interp(age, (0, 2, 8, 18), (0.6, 0.42, 0.33, 0.25)))
    deep = float(rng.uniform(0.02, 0.05))
    rhythm = Rhythm(
        rate=float(np.clip(rate, 40, 190)),
        variability=float(np.clip(np.exp(rng.normal(np.log(0.035), 0.5)), 0.005, 0.12)),
        breath=breath * float(np.exp(rng.normal(0, 0.12))),
        split=(float(rng.uniform(0.005, 0.015)), deep),
        extrasystoles=float(rng.uniform(0.05, 0.2)) if extrasystoles else 0.0,
        ventricular=float(rng.uniform(0.3, 1.0)),
    )
    # Many healthy children have a faint third sound.
    faint = float(rng.uniform(0.0, 0.06)) if age < 20 and rng.random() < 0.3 else 0.0
    sizes = {"third": faint, "fourth": 0.0, "click": 0.0}
    if extra is not None:
        sizes[extra] = float(rng.uniform(0.25, 0.55))
    return Heart(
        rhythm=rhythm,
        murmurs=murmurs,
        pitch=float(np.interp(age, (0, 6, 18), (1.35, 1.2, 1.0)) * np.exp(rng.normal(0, 0.07))),
        second=float(np.exp(rng.normal(0, 0.2))),
        third=sizes["third"],
        fourth=sizes["fourth"],
        click=sizes["click"],
        click_at=float(rng.choice((0.08, 0.55)) + rng.uniform(-0.05, 0.1)),
    )


def draw_scene(
    rng: Generator,
    fs: float,
    duration: float,
    site: Site = "MV",
    noise: float = 1.0,
    band: tuple[float, float] = (15.0, 1200.0),
) -> Scene:
    """Draw how one recording is taken.

    Args:
        rng: Where random numbers come from.
        fs: Sampling rate in Hz.
        duration: Length in seconds.
        site: Where.
        noise: Factor on all disturbances and on how often they come; 1 is a ward.
        band: Pass band of the device in Hz.
    """

    def size(median: float, chance: float = 1.0) -> float:
        there = rng.random() < chance * noise
        drawn = float(median * noise * np.exp(rng.normal(0, 0.7)))
        return min(drawn, 20 * median) if there or chance == 1 else 0.0

    return Scene(
        fs=fs,
        duration=duration,
        site=site,
        gain=float(np.clip(np.exp(rng.normal(np.log(0.22), 0.5)), 0.03, 0.9)),
        band=band,
        background=size(0.014),
        breathing=size(0.012),
        friction=size(0.06, 0.45),
        speech=size(0.05, 0.3),
        thumps=size(1.5, 0.25),
        events_a_minute=float(rng.uniform(4, 14)),
        dropouts_a_minute=float(rng.uniform(2, 8)) if rng.random() < 0.03 * noise else 0.0,
    )


def _choose(rng: Generator, weights: Mapping[_Word, float]) -> _Word:
    shares = np.array(list(weights.values()), dtype=np.float64)
    return list(weights)[int(rng.choice(len(shares), p=shares / shares.sum()))]
