"""The table of CirCor's patients: its words, and who comes twice under two numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from data_modules._tables import flags, identifiers, read_table, texts
from pahcl.errors import DataError
from pahcl.store import Rejection
from pahcl.task import Task

TABLE = "training_data.csv"
TASKS = {
    "murmur": Task(
        "murmur",
        "multiclass",
        ("Present", "Unknown", "Absent"),
        ("murmur",),
        primary_metric="macro_auroc",
        level="subject",
        scorer="cinc2022_murmur",
    ),
    "outcome": Task(
        "outcome",
        "multiclass",
        ("Abnormal", "Normal"),
        ("outcome",),
        primary_metric="macro_auroc",
        level="subject",
        scorer="cinc2022_outcome",
    ),
    "murmur_here": Task(
        "murmur_here", "binary", ("murmur",), ("murmur_here",), primary_metric="auroc"
    ),
}
_LOCATIONS = ("Recording locations", "Locations")
_WORDS = {
    "murmur": ("Murmur", ("Present", "Unknown", "Absent")),
    "outcome": ("Outcome", ("Abnormal", "Normal")),
    "age_group": ("Age", ("Neonate", "Infant", "Child", "Adolescent", "Young Adult")),
    "sex": ("Sex", ("female", "male")),
}
"""Column of the index -> column of the table, and the words that it may hold."""

_TEXTS = {
    "murmur_locations": "Murmur locations",
    "most_audible": "Most audible location",
    **{
        f"{phase.lower()}_{fact}": f"{phase} murmur {fact}"
        for phase in ("Systolic", "Diastolic")
        for fact in ("timing", "shape", "grading", "pitch", "quality")
    },
    "campaign": "Campaign",
}
_NUMBERS = {"height": "Height", "weight": "Weight"}


@dataclass(frozen=True)
class Patients:
    """Hold the patients of the table.

    Args:
        table: One row a patient, by `patient_id`: `subject_id`, labels and what else is kept.
        locations: Sites by patient, as the table writes them.
        rejected: Rows that name no patient.
        conflicting: Patients of whom the table has several rows that differ.
        notes: What was odd, and how often.
    """

    table: pd.DataFrame
    locations: dict[str, str | None]
    rejected: list[Rejection]
    conflicting: set[str]
    notes: dict[str, int]


def read_patients(root: Path) -> Patients:
    """Read the table.

    Raises:
        DataError: It is missing, no table, or lacks columns.
    """
    path = root / TABLE
    raw = read_table(path, ("Patient ID", "Murmur", "Outcome"))
    # Version 1.0.3 writes `Recording locations:`, with a colon.
    raw = raw.rename(columns=lambda name: str(name).strip().rstrip(":"))
    where = next((name for name in _LOCATIONS if name in raw), None)
    if where is None:
        raise DataError(
            f"{path} lacks the column {_LOCATIONS[0]} (or {_LOCATIONS[1]}): it is another table or "
            "another version than this data module reads."
        )
    patient = identifiers(raw["Patient ID"])
    nobody = np.flatnonzero(patient.isna())
    rejected = [
        Rejection(TABLE, f"(row {row})", "the patient's number is missing or no whole number")
        for row in nobody.tolist()
    ]
    raw = raw.assign(**{"Patient ID": patient})[patient.notna()]
    single = raw.drop_duplicates()
    twice = single["Patient ID"].duplicated(keep=False)
    conflicting = set(single["Patient ID"][twice])
    table = single.drop_duplicates("Patient ID").set_index("Patient ID").rename_axis("patient_id")
    other = _column(table, "Additional ID")
    links = _known(identifiers(other))
    kept, notes = _kept(table)
    kept.insert(0, "subject_id", pd.Series(same_person(links)))
    notes["rows of the table that stand there twice"] = len(raw) - len(single)
    return Patients(kept, _known(texts(table[where])), rejected, conflicting, notes)


def _known(words: pd.Series) -> dict[str, str | None]:
    """Give a text by patient, None where there is none."""
    pairs = zip(words.index, words, strict=True)
    return {name: word if isinstance(word, str) else None for name, word in pairs}


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    """Give a column of the table; empty where this version lacks it."""
    return table[name] if name in table else pd.Series(None, index=table.index, dtype=object)


def _kept(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read what the index keeps of each patient, and count words that it should not hold."""
    columns: dict[str, pd.Series] = {}
    notes = {}
    for name, (source, known) in _WORDS.items():
        words = texts(_column(table, source))
        one_spelling = {word.casefold(): word for word in known}
        columns[name] = words.map(
            lambda word, to=one_spelling: to.get(word.casefold()) if isinstance(word, str) else None
        )
        odd = int((words.notna() & columns[name].isna()).sum())
        notes[f"{source} is none of {', '.join(known)}"] = odd
    for name, source in _TEXTS.items():
        columns[name] = texts(_column(table, source))
    for name, source in _NUMBERS.items():
        numbers = pd.to_numeric(_column(table, source), errors="coerce").astype(np.float32)
        columns[name] = numbers.where(numbers > 0)
    pregnant = flags(_column(table, "Pregnancy status"))
    columns["pregnant"] = pd.Series(pregnant, index=table.index)
    return pd.DataFrame(columns), notes


def same_person(links: Mapping[str, str | None]) -> dict[str, str]:
    """Give every patient the least number under which the same person is known.

    Args:
        links: Another number of the same person (`Additional ID`) by patient.
    """
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while root.get(name, name) != name:
            root[name] = root.get(root[name], root[name])
            name = root[name]
        return name

    for patient, other in links.items():
        if other is not None and other != patient:
            ends = sorted((find(patient), find(other)), key=lambda name: (len(name), name))
            root[ends[1]] = ends[0]
    return {patient: find(patient) for patient in links}
