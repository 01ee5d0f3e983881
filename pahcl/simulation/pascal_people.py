"""Who is heard in a simulated PASCAL challenge, and how: by phone (set A) or stethoscope (B)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import resample_poly

from pahcl.simulation.heart_cases import Extra, draw_heart, draw_murmur_words, draw_scene
from pahcl.simulation.heart_sound import Heart, HeartSound, Murmur, Site, simulate
from pahcl.simulation.sound_files import Counts, to_counts

Generator = np.random.Generator

RATES = {"a": 44_100, "b": 4000}
SLOW_RATE = 4410
"""Rate in Hz at which set A is simulated; the phone's own has nothing above half of it here."""

SHARES: Mapping[str, Mapping[str, float]] = {
    "a": {"normal": 0.28, "murmur": 0.26, "extrahls": 0.2, "artifact": 0.26},
    "b": {"normal": 0.55, "murmur": 0.27, "extrastole": 0.18},
}
"""Share of each class; rare ones come more often than in the challenge."""

PLACES: Mapping[str, Site] = {"A": "AV", "B": "PV", "C": "TV", "D": "MV"}
"""Places of set B; the publisher does not say what its letters mean."""

SHORTEST: Mapping[str, float] = {"a": 1.0, "b": 4.0}
"""Least length in seconds. A shorter sound of set B may hold no extrasystole; it is that of all
classes, so that the length tells nothing."""

LONGEST = 12.0
_MISTAKEN = 0.03


@dataclass(frozen=True)
class Take:
    """Hold one recording.

    Args:
        truth: What is to be heard: a class of the set.
        label: What its label says; now and then something else.
        noisy: Whether the place is loud.
        sound: The simulated sound.
        findings: What is to be heard, in words.
    """

    truth: str
    label: str
    noisy: bool
    sound: HeartSound
    findings: tuple[str, ...]

    @property
    def counts(self) -> Counts:
        """The sound in counts, at the rate of its set."""
        signal = self.sound.signal
        if self.sound.fs == SLOW_RATE:
            signal = resample_poly(signal, RATES["a"] // SLOW_RATE, 1).astype(np.float32)
        return to_counts(signal)


def draw_word(rng: Generator, which: str) -> str:
    """Draw a class of a set."""
    words = list(SHARES[which])
    shares = np.array([SHARES[which][word] for word in words])
    return words[int(rng.choice(len(words), p=shares / shares.sum()))]


def draw_person(rng: Generator, word: str) -> Heart:
    """Draw the heart of somebody with a finding."""
    murmurs: tuple[Murmur, ...] = ()
    extra: Extra | None = None
    if word == "murmur":
        murmurs = (draw_murmur_words(rng, "systolic", grades=(0, 0.1, 0.4, 0.35, 0.15)),)
    elif word == "extrahls":
        sounds: tuple[Extra, ...] = ("third", "fourth", "click")
        extra = sounds[int(rng.integers(len(sounds)))]
    return draw_heart(
        rng,
        float(rng.uniform(5, 60)),
        murmurs=murmurs,
        extra=extra,
        extrasystoles=word == "extrastole",
    )


def record(
    rng: Generator,
    which: str,
    heart: Heart,
    word: str,
    seed: tuple[int, ...],
    place: str = "D",
    seconds: float | None = None,
) -> Take:
    """Record a heart as a set does it.

    Args:
        rng: Where random numbers come from.
        which: The set.
        heart: Who is listened to.
        word: The class; an artifact holds everything but a heart.
        seed: Names the recording.
        place: Letter of the place, in set B.
        seconds: Its length; None draws one.
    """
    noisy = bool(rng.random() < (0.3 if which == "b" else 0.1))
    drawn = float(rng.lognormal(np.log(5.6), 0.55))
    duration = round(float(np.clip(drawn, SHORTEST[which], LONGEST)), 3)
    fs, band = (SLOW_RATE, (35.0, 1500.0)) if which == "a" else (RATES["b"], (18.0, 900.0))
    site = PLACES.get(place, "MV") if which == "b" else "MV"
    scene = draw_scene(rng, fs, seconds or duration, site, 3.0 if noisy else 0.8, band)
    if word == "artifact":
        scene = replace(scene, heart=0.0, speech=0.25, friction=0.3, background=0.03)
    sound = simulate(heart, scene, seed)
    words = list(SHARES[which])
    mistaken = bool(rng.random() < _MISTAKEN)
    label = words[int(rng.integers(len(words)))] if mistaken else word
    findings = tuple(f"{one.phase} murmur of grade {one.grade}" for one in heart.murmurs)
    return Take(word, label, noisy, sound, findings)
