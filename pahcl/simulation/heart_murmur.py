"""Murmurs: noise of a band, under an envelope that lies wholly in systole or in diastole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pahcl.errors import UsageError
from pahcl.simulation.heart_noise import Sound, Spans, band_noise
from pahcl.simulation.heart_rhythm import Floats, Generator

Phase = Literal["systolic", "diastolic"]
Timing = Literal["early", "mid", "late", "holo"]
Shape = Literal["plateau", "crescendo", "decrescendo", "diamond"]
Pitch = Literal["low", "medium", "high"]
Quality = Literal["blowing", "harsh", "musical"]
Site = Literal["AV", "PV", "TV", "MV", "Phc"]

SITES: tuple[Site, ...] = ("AV", "PV", "TV", "MV", "Phc")
"""Where one listens: second right and left intercostal space, lower left sternal border, apex, and
some other place."""

GRADE_SIZE: Mapping[int, float] = {1: 0.035, 2: 0.07, 3: 0.14, 4: 0.25, 5: 0.4, 6: 0.6}
"""Root mean square of a murmur at its loudest, where it arises, by Levine's grade."""

LOUDEST: Mapping[Phase, int] = {"systolic": 6, "diastolic": 4}
"""Highest grade: what sounds in diastole, under lower pressures, is graded from I to IV alone (as
in the tables of CirCor)."""

AUDIBLE = 0.02
"""Root mean square below which nobody hears a murmur at a site."""

PITCH_BAND: Mapping[Pitch, tuple[float, float]] = {
    "low": (45.0, 130.0),
    "medium": (100.0, 240.0),
    "high": (200.0, 480.0),
}
"""Band of a murmur in Hz."""

TIMING_SPAN: Mapping[Timing, tuple[float, float]] = {
    "early": (0.0, 0.55),
    "mid": (0.2, 0.8),
    "late": (0.45, 1.0),
    "holo": (0.0, 1.0),
}
"""Part of systole or diastole in which a murmur sounds."""

# Place of each site on the chest in cm, to the left of the breastbone's middle and above its end.
_PLACE = {
    "AV": (-3.0, 9.0),
    "PV": (3.0, 9.0),
    "TV": (2.5, 1.5),
    "MV": (9.0, -1.0),
    "Phc": (5.0, 4.5),
}
_REACH = 7.0
"""Distance in cm over which a murmur falls to a third."""


@dataclass(frozen=True)
class Murmur:
    """Describe a murmur in the words of those who listen.

    Args:
        phase: `systolic` or `diastolic`.
        timing: Part of that phase.
        shape: Its loudness over that part; `diamond` rises and falls.
        grade: 1 to 6 after Levine, in diastole 1 to 4.
        pitch: Its band, see `PITCH_BAND`.
        quality: `blowing` is noise of that band, `harsh` reaches beyond it, `musical` is a tone.
        origin: Where it is loudest.
    """

    phase: Phase = "systolic"
    timing: Timing = "holo"
    shape: Shape = "plateau"
    grade: int = 2
    pitch: Pitch = "medium"
    quality: Quality = "blowing"
    origin: Site = "MV"

    def __post_init__(self) -> None:
        if self.grade not in range(1, LOUDEST[self.phase] + 1):
            raise UsageError(
                f"A {self.phase} murmur has a grade of 1 to {LOUDEST[self.phase]}, got "
                f"{self.grade}."
            )

    def size_at(self, site: Site) -> float:
        """Give its root mean square at a site, at its loudest; it falls with the distance."""
        gap = np.subtract(_PLACE[site], _PLACE[self.origin])
        return float(GRADE_SIZE[self.grade] * np.exp(-np.hypot(*gap) / _REACH))

    def is_heard(self, site: Site) -> bool:
        """Say whether somebody would hear it at a site."""
        return self.size_at(site) >= AUDIBLE


def draw_murmur(
    rng: Generator,
    murmur: Murmur,
    site: Site,
    fs: float,
    phase: tuple[Floats, Floats],
    samples: int,
) -> tuple[Sound, Spans]:
    """Draw one murmur; nothing of it lies outside its part of the cycle.

    Args:
        rng: Where random numbers come from.
        murmur: What is drawn.
        site: Where one listens.
        fs: Sampling rate in Hz.
        phase: Begin and end of each systole or diastole in seconds from the first sample.
        samples: Length of the sound.

    Returns:
        The sound, and when it is heard in seconds.
    """
    begin, end = phase
    share = TIMING_SPAN[murmur.timing]
    first, last = (begin + (end - begin) * part for part in share)
    envelope = np.zeros(samples, dtype=np.float32)
    spans: Spans = []
    for one, other in zip(first.tolist(), last.tolist(), strict=True):
        start, stop = max(int(np.ceil(one * fs)), 0), min(int(np.floor(other * fs)), samples)
        if other - one > 0.02 and stop - start > 8:
            along = (np.arange(start, stop) / fs - one) / (other - one)
            envelope[start:stop] = _shape(murmur.shape, along)
            spans.append((one, other))
    size = murmur.size_at(site) * np.exp(rng.normal(0, 0.1))
    return _tone(rng, murmur, fs, samples) * envelope * np.float32(size), spans


def _shape(shape: Shape, along: Floats) -> Floats:
    """Give the loudness over a murmur's length: 0 at both ends, 1 at the loudest."""
    edge: Floats = np.sin(np.pi / 2 * np.clip(np.minimum(along, 1 - along) / 0.12, 0, 1)) ** 2
    if shape == "crescendo":
        edge *= along / 0.88
    elif shape == "decrescendo":
        edge *= (1 - along) / 0.88
    elif shape == "diamond":
        edge *= 1 - np.abs(2 * along - 1)
    return edge


def _tone(rng: Generator, murmur: Murmur, fs: float, samples: int) -> Sound:
    """Draw the sound of a murmur without an end, root mean square 1."""
    low, high = PITCH_BAND[murmur.pitch]
    if murmur.quality == "harsh":
        return band_noise(rng, samples, fs, 0.8 * low, 1.4 * high)
    noise = band_noise(rng, samples, fs, low, high)
    if murmur.quality == "blowing":
        return noise
    time = np.arange(samples) / fs
    height = np.sqrt(low * high) * rng.uniform(0.9, 1.1)
    swing = 0.6 * np.sin(2 * np.pi * rng.uniform(4, 6) * time + rng.uniform(0, 2 * np.pi))
    phase = 2 * np.pi * height * time + swing
    tone = np.sin(phase) + 0.35 * np.sin(2 * phase)
    mixed = tone / 0.75 + 0.3 * noise
    return np.asarray(mixed / mixed.std(), dtype=np.float32)
