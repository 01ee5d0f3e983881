"""Who is recorded: subjects, their conditions, and what the site writes down about them.

A subject has an age, a sex, a body (axis, voltage, lead vectors) and chronic conditions; a record
adds what changes from day to day (rate, rhythm, ectopic beats). Conditions are named by their
SCP-ECG codes, as PTB-XL does. What is true of the waveform and what the table says are two sets:
readers miss conditions and see some that are not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Generator = np.random.Generator

CHRONIC = ("CRBBB", "CLBBB", "IRBBB", "LAFB", "1AVB", "ASMI", "IMI", "LVH", "NDT", "ISC_")
"""Conditions that stay with a subject from record to record."""

RHYTHMS = ("AFIB", "SBRAD", "STACH", "SARRH")
"""Rhythms other than sinus rhythm at a common rate; a record has at most one of them."""

COMMON_RATE = (60.5, 99.5)
"""Least and greatest mean rate in beats per minute of sinus rhythm that is no `SBRAD` or `STACH`;
with a margin, for the beats of ten seconds have not exactly the mean that they are drawn from."""

EXTRA_BEATS = ("PVC", "PAC")

ACUTE = ("STE_",)
"""Conditions of a day; drawn where a site has them, so that the other sites' streams are theirs."""

AGE_SLOPE: Mapping[str, float] = {
    "AFIB": 0.65,
    "CRBBB": 0.35,
    "CLBBB": 0.45,
    "IRBBB": -0.05,
    "LAFB": 0.35,
    "1AVB": 0.4,
    "ASMI": 0.3,
    "IMI": 0.3,
    "LVH": 0.25,
    "NDT": 0.2,
    "ISC_": 0.35,
    "SBRAD": 0.0,
    "STACH": -0.1,
    "SARRH": -0.5,
    "PVC": 0.3,
    "PAC": 0.3,
    "STE_": 0.1,
}
"""Growth of a condition's logarithm of prevalence for each decade of age."""

FRAILTY = 0.7
"""Weight of the frailty that a subject's conditions share: one disease seldom comes alone."""

PAROXYSMAL = 0.75
"""Share of the records of a subject with atrial fibrillation that show it."""

_SUBJECT_STREAM, _RECORD_STREAM, _WAVEFORM_STREAM = 1, 2, 3


@dataclass(frozen=True)
class Population:
    """Describe who is recorded at a site, and how reliably labels are written.

    Args:
        age_mean: Mean age in years.
        age_sd: Standard deviation of the age in years.
        age_range: Youngest and oldest age; ages beyond are drawn again.
        female: Share of women.
        more_records: Chance that a subject comes once more after each record.
        rate: Median sinus rate in beats per minute.
        prevalence: Share of records with each condition, before exclusions.
        missed: Share of a condition's records whose label is not written down.
        invented: Labels written without the condition, as a share of its prevalence.
    """

    age_mean: float
    age_sd: float
    age_range: tuple[float, float]
    female: float
    more_records: float
    rate: float
    prevalence: Mapping[str, float]
    missed: float
    invented: float


@dataclass(frozen=True)
class Subject:
    """Hold what stays the same in all records of a person.

    Args:
        index: Number of the subject within its corpus, from 0.
        age: Age in years at the first record.
        female: Whether the subject is a woman.
        frailty: Standard normal; shared by all conditions.
        conditions: Chronic conditions, and `AFIB` where it comes and goes.
        axis: Rotation of the frontal QRS axis in degrees, positive to the right.
        voltage: Factor on every amplitude.
        rate: Resting sinus rate in beats per minute.
        build: `[8, 3]` relative change of the lead vectors by the shape of the chest.
        style: `[12]` standard normal numbers: habits of this heart's waveform.
    """

    index: int
    age: float
    female: bool
    frailty: float
    conditions: frozenset[str]
    axis: float
    voltage: float
    rate: float
    build: npt.NDArray[np.float64]
    style: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Hold one record before its waveform exists.

    Args:
        index: Number of the record within its corpus, from 0.
        subject: Whose record it is.
        visit: Number of the record within the subject's records, from 0.
        age: Age in years at this record.
        truth: Conditions that shape the waveform.
        labels: Conditions that the table names, after errors of the readers.
        rate: Mean ventricular rate in beats per minute.
        severity: Strength of the conditions, around 1.
        seed: Seed of the corpus; waveform and noise have streams of their own.
    """

    index: int
    subject: Subject
    visit: int
    age: float
    truth: frozenset[str]
    labels: frozenset[str]
    rate: float
    severity: float
    seed: tuple[int, ...]

    def stream(self, purpose: int) -> Generator:
        """Start a random stream of this record alone, one for each purpose."""
        return np.random.default_rng([*self.seed, _WAVEFORM_STREAM + purpose, self.index])


def draw_cases(population: Population, records: int, seed: tuple[int, ...]) -> Iterator[Case]:
    """Draw `records` records of as many subjects as they need, subject after subject.

    Every subject and every record has a random stream of its own, so that a record does not
    depend on how many others are drawn with it, or in what groups.
    """
    index = number = 0
    while index < records:
        rng = np.random.default_rng([*seed, _SUBJECT_STREAM, number])
        subject = _draw_subject(rng, population, number)
        visits = int(rng.geometric(1 - population.more_records))
        for visit in range(min(visits, records - index)):
            stream = np.random.default_rng([*seed, _RECORD_STREAM, index])
            yield _draw_case(stream, population, subject, visit, index, seed)
            index += 1
        number += 1


def _draw_subject(rng: Generator, population: Population, index: int) -> Subject:
    """Draw a person: mild effects of age and sex on voltage, axis and rate, after the textbooks."""
    low, high = population.age_range
    age = rng.normal(population.age_mean, population.age_sd)
    while not low <= age <= high:
        age = rng.normal(population.age_mean, population.age_sd)
    female = bool(rng.random() < population.female)
    frailty = float(rng.normal())
    conditions = {
        code for code in CHRONIC if rng.random() < _chance(population, code, age, frailty)
    }
    if rng.random() < _chance(population, "AFIB", age, frailty) / PAROXYSMAL:
        conditions.add("AFIB")
    decades = (age - 50) / 10
    axis = rng.normal(-5 * decades, 20)
    if "LAFB" in conditions:
        axis -= rng.uniform(45, 85)
    voltage = float(np.exp(rng.normal(0.13 - 0.03 * decades - (0.12 if female else 0), 0.22)))
    rate = population.rate * float(np.exp(rng.normal(0.04 if female else 0, 0.13)))
    return Subject(
        index=index,
        age=float(age),
        female=female,
        frailty=frailty,
        conditions=_exclude(conditions),
        axis=float(axis),
        voltage=voltage,
        rate=rate,
        build=rng.normal(0, 0.13, (8, 3)),
        style=rng.normal(0, 1, 12),
    )


def _draw_case(
    rng: Generator,
    population: Population,
    subject: Subject,
    visit: int,
    index: int,
    seed: tuple[int, ...],
) -> Case:
    """Draw one record of a subject: today's rhythm and rate, and the labels as written."""
    age = subject.age + visit * rng.gamma(1.5, 0.6)
    truth = set(subject.conditions - {"AFIB"})
    if "AFIB" in subject.conditions and rng.random() < PAROXYSMAL:
        truth.add("AFIB")
    for code in (*RHYTHMS[1:], *EXTRA_BEATS):
        if rng.random() < _chance(population, code, age, subject.frailty):
            truth.add(code)
    for code in ACUTE:
        if code in population.prevalence and rng.random() < _chance(
            population, code, age, subject.frailty
        ):
            truth.add(code)
    found = _exclude(truth)
    # Sorted, for a set of words has another order in every process.
    labels = {code for code in sorted(found) if rng.random() >= population.missed}
    for code, prevalence in population.prevalence.items():
        if code not in found and rng.random() < population.invented * prevalence:
            labels.add(code)
    return Case(
        index=index,
        subject=subject,
        visit=visit,
        age=age,
        truth=found,
        labels=_exclude(labels),
        rate=_draw_rate(rng, subject, found),
        severity=float(np.exp(rng.normal(0, 0.3))),
        seed=seed,
    )


def _draw_rate(rng: Generator, subject: Subject, truth: frozenset[str]) -> float:
    """Draw the mean ventricular rate in beats per minute that belongs to the rhythm."""
    if "AFIB" in truth:
        return float(np.clip(rng.normal(92, 24), 45, 165))
    if "SBRAD" in truth:
        return float(np.clip(rng.normal(52, 4.5), 36, 59.3))
    if "STACH" in truth:
        return float(np.clip(101 + rng.gamma(2, 7), 101, 160))
    # Sinus rhythm without the name of a slow or fast one is neither. A rate beyond is mirrored at
    # the bound, for clipping would put many records at exactly the same rate.
    low, high = COMMON_RATE
    rate = subject.rate * np.exp(rng.normal(0, 0.07))
    rate = min(max(rate, low**2 / rate), high**2 / rate)
    return float(np.clip(rate, low, high))


def _chance(population: Population, code: str, age: float, frailty: float) -> float:
    """Give the chance of a condition at an age; over the population its mean is the prevalence."""
    slope = AGE_SLOPE[code]
    decades = (age - population.age_mean) / 10
    spread = (slope * population.age_sd / 10) ** 2 + FRAILTY**2
    factor = np.exp(slope * decades + FRAILTY * frailty - spread / 2)
    return float(min(0.9, population.prevalence.get(code, 0.0) * factor))


def _exclude(codes: set[str]) -> frozenset[str]:
    """Drop what cannot stand beside another condition, or is not read beside it.

    Atrial fibrillation has no sinus rate and no PR interval. A heart has one bundle branch pattern,
    and a left bundle branch block hides infarction, hypertrophy and fascicular block.
    """
    kept = set(codes)
    if "AFIB" in kept:
        kept -= {"1AVB", "SBRAD", "STACH", "SARRH", "PAC"}
    if "STACH" in kept:
        kept -= {"SBRAD", "SARRH"}
    if "CLBBB" in kept:
        kept -= {"CRBBB", "IRBBB", "LAFB", "ASMI", "IMI", "LVH", "NDT", "ISC_", "STE_"}
    if "CRBBB" in kept:
        kept -= {"IRBBB"}
    if "STE_" in kept:
        kept -= {"ISC_"}
    if "ISC_" in kept:
        kept -= {"NDT"}
    return frozenset(kept)
