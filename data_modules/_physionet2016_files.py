"""Which recordings PhysioNet 2016 holds: tables without a header, six sets, and copies of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from data_modules._tables import read_rows
from pahcl.errors import DataError

FS = 2000.0
REFERENCE = "REFERENCE.csv"
_QUALITY = "REFERENCE-SQI.csv"
_LABELS = {"1": 1.0, "-1": 0.0}
_QUALITIES = {"1": 1.0, "0": 0.0}
_SUFFIXES = (".wav", ".hea", ".dat")


@dataclass(frozen=True)
class Listed:
    """Hold one recording as it was found.

    Args:
        record_id: Its name, with `validation-` before it in the validation set.
        subject_id: The name: the publisher gives no persons.
        file: Its path without a suffix.
        abnormal: 1 or 0; NaN where it is not labelled.
        quality: 1 where it can be judged, 0 where not; NaN where that is not said.
        verdict: Why it cannot be used.
    """

    record_id: str
    subject_id: str
    file: str
    abnormal: float = np.nan
    quality: float = np.nan
    verdict: str | None = None

    @property
    def domain(self) -> str:
        """The set that it comes from, by the first letter of its name."""
        return self.subject_id[:1]


@dataclass
class Labels:
    """Hold what the tables of a folder say of each recording, and what is odd in them.

    Args:
        abnormal: 1, 0, or NaN where that is not said, by name.
        quality: The same of the signal's quality.
        notes: What was odd, and how often.
    """

    abnormal: dict[str, float]
    quality: dict[str, float]
    notes: dict[str, int]


def list_recordings(root: Path) -> tuple[list[Listed], dict[str, float]]:
    """List the recordings of all sets, by folder and name.

    Args:
        root: The publisher's folder.

    Returns:
        Recordings, and notes of what is odd.

    Raises:
        DataError: A set's folder has no readable `REFERENCE.csv`.
    """
    folders = sorted([*root.glob("training-[a-f]"), *root.glob("training/training-[a-f]")])
    found: list[Listed] = []
    notes: dict[str, float] = {}
    quality: dict[str, float] = {}
    for folder in folders:
        labels = _read_labels(folder, root)
        quality |= labels.quality
        for text, count in labels.notes.items():
            notes[text] = notes.get(text, 0) + count
        found += _list_set(folder, root, labels)
    found += _list_validation(root, found, quality)
    kept = [one for one in found if one.verdict is None]
    notes["label missing"] = sum(map(np.isnan, (one.abnormal for one in kept)))
    notes["quality missing"] = sum(map(np.isnan, (one.quality for one in kept)))
    return found, notes


def _read_labels(folder: Path, root: Path) -> Labels:
    """Read the tables of a set: the label, and label and quality where there is such a table."""
    abnormal = _column(read_rows(folder / REFERENCE), 1, _LABELS)
    updated = root / "annotations" / "updated" / folder.name / "REFERENCE_withSQI.csv"
    path = next((one for one in (folder / _QUALITY, updated) if one.is_file()), None)
    rows = [] if path is None else read_rows(path)
    again, quality = _column(rows, 1, _LABELS), _column(rows, 2, _QUALITIES)
    both = [(abnormal[name], value) for name, value in again.items() if name in abnormal]
    notes = {
        "label neither 1 nor -1, or two labels": _unknown(abnormal | again),
        "quality neither 1 nor 0, or two qualities": _unknown(quality),
        f"another label in {_QUALITY} than in {REFERENCE}, which is taken": sum(
            one == 1 - other for one, other in both
        ),
    }
    return Labels({**again, **abnormal}, quality, notes)


def _column(rows: list[list[str]], place: int, words: dict[str, float]) -> dict[str, float]:
    """Read a column by name; NaN where it says nothing known, or two things."""
    said: dict[str, set[float]] = {}
    for row in rows:
        cell = row[place] if len(row) > place else ""
        said.setdefault(row[0], set()).add(words.get(cell, np.nan))
    return {name: values.pop() if len(values) == 1 else np.nan for name, values in said.items()}


def _unknown(values: dict[str, float]) -> int:
    return sum(map(np.isnan, values.values()))


def _list_set(folder: Path, root: Path, labels: Labels) -> list[Listed]:
    """List what the tables or the files of a folder name."""
    letter, place = folder.name[-1], folder.relative_to(root).as_posix()
    files = {suffix: _stems(folder, suffix) for suffix in _SUFFIXES}
    names = sorted({*labels.abnormal, *labels.quality}.union(*files.values()))
    found = []
    for name in names:
        one = Listed(
            record_id=name,
            subject_id=name,
            file=f"{place}/{name}",
            abnormal=labels.abnormal.get(name, np.nan),
            quality=labels.quality.get(name, np.nan),
        )
        if not re.fullmatch(rf"{letter}\d{{4,5}}", name):
            what = f"not named like a recording of set {letter} ({letter}0001 and on)"
            one = replace(one, verdict=f"it is {what}")
        elif name not in files[".wav"]:
            one = replace(one, verdict="its sound (.wav) is missing")
        found.append(one)
    return found


def _stems(folder: Path, suffix: str) -> set[str]:
    return {path.name.removesuffix(suffix) for path in folder.glob(f"*{suffix}")}


def _list_validation(
    root: Path, training: Iterable[Listed], quality: dict[str, float]
) -> list[Listed]:
    """List the validation set, which the publisher drew from the training sets.

    A sound that has the very samples of a training recording is named and left out. Another one
    counts as a further recording of the person of its name.
    """
    folder = root / "validation"
    names = sorted(_stems(folder, ".wav"))
    if not names:
        return []
    table = folder / REFERENCE
    said = _column(read_rows(table) if table.is_file() else [], 1, _LABELS)
    known = {one.file for one in training if one.verdict is None}
    copies = _Copies(root, known)
    found = []
    for name in names:
        file = f"validation/{name}"
        label = said.get(name, np.nan)
        one = Listed(f"validation-{name}", name, file, label, quality.get(name, np.nan))
        if not re.fullmatch(r"[a-f]\d{4,5}", name):
            one = replace(one, verdict="it is not named like a recording (a0001 and on)")
        elif (source := copies.of(file)) is not None:
            one = replace(one, verdict=f"the same samples are taken from {source}.wav")
        found.append(one)
    return found


class _Copies:
    """Find the training recording that a sound is a copy of, by the checksum of the samples.

    Args:
        root: The publisher's folder.
        files: Paths of the training recordings without their suffix.
    """

    def __init__(self, root: Path, files: set[str]) -> None:
        self._root = root
        self._files = files
        self._by_name = {Path(file).name: file for file in sorted(files, reverse=True)}
        self._all: dict[str, str] | None = None

    def of(self, file: str) -> str | None:
        """Give the recording with the same samples, if there is one: as a rule the namesake."""
        mine = self._digest(file)
        if mine is None:
            return None
        namesake = self._by_name.get(Path(file).name)
        if namesake is not None and self._digest(namesake) == mine:
            return namesake
        if self._all is None:
            digests = ((self._digest(one), one) for one in sorted(self._files, reverse=True))
            self._all = {digest: one for digest, one in digests if digest is not None}
        return self._all.get(mine)

    def _digest(self, file: str) -> str | None:
        """Give the checksum of the samples; None where they cannot be read."""
        try:
            samples, _ = soundfile.read(self._root / f"{file}.wav", dtype="int16")
        except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError):
            return None
        return hashlib.sha256(samples.tobytes()).hexdigest()


def index_table(found: list[Listed], homepage: str, root: Path, ecg: bool) -> pd.DataFrame:
    """Make the index table, with rows that cannot be used.

    Raises:
        DataError: No recording was found.
    """
    if not found:
        raise DataError(
            f"{root} holds none of the folders training-a to training-f. Fetch them from "
            f"{homepage} and unpack them there."
        )
    return pd.DataFrame(
        {
            "record_id": [one.record_id for one in found],
            "subject_id": [one.subject_id for one in found],
            "file": [one.file for one in found],
            "domain": [one.domain for one in found],
            "abnormal": np.array([one.abnormal for one in found], dtype=np.float32),
            "quality": np.array([one.quality for one in found], dtype=np.float32),
            "_ecg": ecg,
        }
    )
