"""Who is recorded in the simulated CirCor: children, their murmurs, and what the table says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pahcl.simulation.heart_cases import Extra, draw_heart, draw_murmur_words
from pahcl.simulation.heart_murmur import Murmur, Site
from pahcl.simulation.heart_rhythm import Generator
from pahcl.simulation.heart_sound import Heart

Answer = Literal["Present", "Unknown", "Absent"]

SECOND_VISITS = 12
"""Every so-many-th patient is the one before, examined again under another number."""

OTHER_ANSWERS = 24
"""Every so-many-th patient is such a one, of whom the second examination says something else."""

GOLDEN = 0.6180339887498949

_GROUPS = {
    "Child": (658, (2.0, 12.0)),
    "Infant": (126, (0.1, 1.9)),
    "Adolescent": (72, (12.0, 20.0)),
    "nan": (74, (16.0, 38.0)),
    "Neonate": (12, (0.0, 0.08)),
}
"""Patients of each age group, and their ages in years; without a group are mostly the pregnant."""

_ABNORMAL: Mapping[Answer, float] = {"Present": 0.84, "Unknown": 0.63, "Absent": 0.38}
"""Share of an abnormal outcome, as in the publisher's table."""

_SITES: tuple[tuple[float, tuple[Site, ...]], ...] = (
    (586, ("AV", "PV", "TV", "MV")),
    (115, ("AV", "MV")),
    (71, ("PV", "TV", "MV")),
    (37, ("MV",)),
    (29, ("AV", "PV", "TV")),
    (18, ("AV", "PV")),
    (14, ("PV", "TV")),
)
_ROMAN = ("I", "II", "III", "IV", "V", "VI")
_PHASES = ("systolic", "diastolic")
_FACTS = ("timing", "shape", "grading", "pitch", "quality")


@dataclass(frozen=True)
class Patient:
    """Hold one patient of the table.

    Args:
        number: Place in the corpus, from 0.
        name: The patient's number in the table.
        person: The number under which the person came first.
        other: The person's other number, where there is one.
        age: In years.
        group: Age group as the table says it.
        female: Whether the patient is a girl or woman.
        pregnant: Whether she is pregnant.
        height: In cm; None where it was not measured.
        weight: In kg; None where it was not measured.
        murmur: What the table says.
        abnormal: Whether the outcome is.
        sites: Where recordings are made, in order.
        heart: What is heard.
        noise: Factor on all disturbances.
        campaign: When.
    """

    number: int
    name: str
    person: str
    other: str | None
    age: float
    group: str
    female: bool
    pregnant: bool
    height: float | None
    weight: float | None
    murmur: Answer
    abnormal: bool
    sites: tuple[Site, ...]
    heart: Heart
    noise: float
    campaign: str

    @property
    def recordings(self) -> list[tuple[str, Site]]:
        """Name each recording, with its site; several of one site have numbers."""
        named = []
        for place, site in enumerate(self.sites):
            several = self.sites.count(site) > 1
            take = self.sites[: place + 1].count(site)
            named.append((f"{self.name}_{site}_{take}" if several else f"{self.name}_{site}", site))
        return named

    @property
    def row(self) -> dict[str, str]:
        """Write the patient's row of the table, in the order of its columns."""
        return {
            "Patient ID": self.name,
            "Recording locations:": "+".join(self.sites),
            "Age": self.group,
            "Sex": "Female" if self.female else "Male",
            "Height": _number(self.height),
            "Weight": _number(self.weight),
            "Pregnancy status": str(self.pregnant),
            "Murmur": self.murmur,
            **self._murmur_words(),
            "Outcome": "Abnormal" if self.abnormal else "Normal",
            "Campaign": self.campaign,
            "Additional ID": self.other or "nan",
        }

    @property
    def heard_at(self) -> list[Site]:
        """Name the recorded sites at which a murmur is heard, the loudest first."""
        sizes = {
            site: max((one.size_at(site) for one in self.heart.murmurs), default=0.0)
            for site in dict.fromkeys(self.sites)
        }
        ranked = sorted(sizes, key=lambda site: -sizes[site])
        heard = [s for s in ranked if any(one.is_heard(s) for one in self.heart.murmurs)]
        return heard or (ranked[:1] if self.heart.murmurs else [])

    def _murmur_words(self) -> dict[str, str]:
        """Describe the murmurs, if the table says that there are any."""
        blank = {f"{p.capitalize()} murmur {fact}": "nan" for p in _PHASES for fact in _FACTS}
        words = {"Murmur locations": "nan", "Most audible location": "nan", **blank}
        if self.murmur != "Present":
            return words
        words["Murmur locations"] = "+".join(sorted(self.heard_at))
        words["Most audible location"] = self.heard_at[0]
        for one in self.heart.murmurs:
            said = one.phase.capitalize()
            timing = f"{one.timing.capitalize()}-{one.phase}"
            words[f"{said} murmur timing"] = f"Holo{one.phase}" if one.timing == "holo" else timing
            words[f"{said} murmur shape"] = one.shape.capitalize()
            scale = "VI" if one.phase == "systolic" else "IV"
            words[f"{said} murmur grading"] = f"{_ROMAN[one.grade - 1]}/{scale}"
            words[f"{said} murmur pitch"] = one.pitch.capitalize()
            words[f"{said} murmur quality"] = one.quality.capitalize()
        return words


def draw_patient(seed: tuple[int, ...], number: int) -> Patient:
    """Draw a patient; who comes a second time is the patient before, a year older."""
    if number % SECOND_VISITS != 5:
        first = _draw(seed, number)
        if (number + 1) % SECOND_VISITS == 5:
            return replace(first, other=_name(number + 1), campaign="CC2014")
        return first
    rng = np.random.default_rng([*seed, number])
    first = draw_patient(seed, number - 1)
    again = replace(
        first,
        number=number,
        name=_name(number),
        other=first.name,
        age=first.age + 1,
        height=None if first.height is None else first.height + 5,
        weight=None if first.weight is None else round(first.weight * 1.1, 1),
        campaign="CC2015",
    )
    if number % OTHER_ANSWERS == 17:  # what was a murmur is none, and the other way round
        answer: Answer = "Absent" if first.murmur == "Present" else "Present"
        murmurs = (draw_murmur_words(rng, grades=(0, 0, 1)),) if answer == "Present" else ()
        again = replace(again, murmur=answer, heart=replace(first.heart, murmurs=murmurs))
        return replace(again, abnormal=not first.abnormal)
    return again


def _name(number: int) -> str:
    """Number the patients: the first ones have four digits, as in the publisher's table."""
    return str(2530 + 7 * number if number < 3 else 50_000 + 7 * number)


def _draw(seed: tuple[int, ...], number: int) -> Patient:
    """Draw somebody who comes for the first time."""
    rng = np.random.default_rng([*seed, number])
    # Spread evenly, so that small corpora have all answers too.
    place = (number * GOLDEN + 0.05) % 1
    murmur: Answer = "Present" if place < 0.22 else "Unknown" if place < 0.3 else "Absent"
    weights = np.array([weight for weight, _ in _GROUPS.values()], dtype=np.float64)
    group = list(_GROUPS)[int(rng.choice(len(weights), p=weights / weights.sum()))]
    age = float(rng.uniform(*_GROUPS[group][1]))
    grown = group == "nan"
    female = grown or bool(rng.random() < 0.48)
    abnormal = bool(rng.random() < _ABNORMAL[murmur])
    # Whether somebody has a murmur of whom one could not tell, the recordings do not say.
    loud = murmur == "Present" or (murmur == "Unknown" and rng.random() < 0.4)
    # Some hearts are ill without a murmur, and can be heard to be; others cannot.
    sign = _sign(rng) if abnormal and not loud and rng.random() < 0.6 else None
    height = float(np.interp(age, (0, 1, 5, 10, 16, 40), (50, 75, 108, 138, 165, 165)))
    height = round(height * float(np.exp(rng.normal(0, 0.05))))
    weight = float(np.interp(height, (48, 75, 110, 140, 170), (3.2, 9.5, 19, 34, 62)))
    measured = rng.random(2) > (0.95 if grown else 0.06)
    return Patient(
        number=number,
        name=_name(number),
        person=_name(number),
        other=None,
        age=age,
        group=group,
        female=female,
        pregnant=grown,
        height=float(height) if measured[0] else None,
        weight=round(weight * float(np.exp(rng.normal(0, 0.12))), 1) if measured[1] else None,
        murmur=murmur,
        abnormal=abnormal,
        sites=_sites(rng, number),
        heart=draw_heart(rng, age, murmurs=_murmurs(rng) if loud else (), extra=sign),
        noise=float(np.exp(rng.normal(0, 0.6))) * (3.2 if murmur == "Unknown" else 1.0),
        campaign="CC2014" if rng.random() < 0.41 else "CC2015",
    )


def _sign(rng: Generator) -> Extra:
    signs: tuple[Extra, ...] = ("third", "fourth", "click")
    return signs[int(rng.integers(len(signs)))]


def _murmurs(rng: Generator) -> tuple[Murmur, ...]:
    """Draw a systolic murmur, seldom a diastolic one beside it or instead."""
    systolic = draw_murmur_words(rng)
    if rng.random() > 0.05:
        return (systolic,)
    diastolic = draw_murmur_words(rng, "diastolic")
    return (diastolic,) if rng.random() < 0.3 else (systolic, diastolic)


def _sites(rng: Generator, number: int) -> tuple[Site, ...]:
    """Draw where recordings are made; now and then a site twice, or some other place."""
    weights = np.array([weight for weight, _ in _SITES])
    sites = list(_SITES[int(rng.choice(len(weights), p=weights / weights.sum()))][1])
    if number % 23 == 3:
        sites.insert(1, sites[0])
    if number % 47 == 6:
        sites.append("Phc")
    return tuple(sites)


def _number(value: float | None) -> str:
    return "nan" if value is None else f"{value:.1f}"


def person_count(patients: Sequence[Patient]) -> int:
    """Count the persons behind patients."""
    return len({one.person for one in patients})
