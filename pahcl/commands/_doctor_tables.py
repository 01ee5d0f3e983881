"""What `pahcl doctor` reads out of tables: labels, files, ages, persons, what was rejected."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from pahcl.commands._doctor_place import Place
from pahcl.commands._doctor_places import is_there
from pahcl.errors import PahclError
from pahcl.store import Finding
from pahcl.store.verify import Severity, subjects_in_several_folds

SIGNALS = frozenset(
    {".dat", ".mat", ".wav", ".flac", ".npy", ".edf", ".bdf", ".h5", ".hdf5", ".mp3", ".ogg"}
)
"""Suffixes of files that hold signals."""

NAME_COLUMNS = frozenset({"fname", "filename", "file_name", "file", "path", "filename_hr"})
LARGEST_TABLE = 20 * 2**20

OLDEST = 120

_NAMED = 8


def examine_table(place: Place) -> Iterator[Finding]:
    """Look at what a data set's tables say, without reading a signal.

    What a store's own check finds (folds, duplicates) is left to it.
    """
    yield from _rejected(place)
    if place.store is None:
        yield from _files(place)
        yield from _named_files(place.path)
        yield from _ids(place.table)
        yield from subjects_in_several_folds(place.table)
    yield from _ages(place)
    yield from _sexes(place.table)
    yield from _labels(place)
    for text, count in place.notes.items():
        if text == "age missing" and "age" in place.table:
            continue  # said above, with the records
        yield Finding("note", place.dataset, f"{text}: {count}", "hint")


def _rejected(place: Place) -> Iterator[Finding]:
    # A store was packed without them, and has said so then.
    severity: Severity = "hint" if place.store is not None else "warning"
    for one in place.rejected:
        where = one.record_id if one.record_id in one.file else f"{one.record_id} ({one.file})"
        yield Finding("not usable", where, one.reason, severity)


def _ids(table: pd.DataFrame) -> Iterator[Finding]:
    for record in table["record_id"][table["record_id"].duplicated()].unique():
        yield Finding("ids", str(record), "several rows have this record_id")


def _files(place: Place) -> Iterator[Finding]:
    """Hold the files that the table names against those that lie beside them."""
    listed: dict[str, dict[str, str]] = defaultdict(dict)
    named = zip(place.table["file"].astype(str), place.table["record_id"].astype(str), strict=True)
    for file, record in named:
        folder, _, name = file.rpartition("/")
        listed[folder][name] = record
    known = {stem_of(one.file) for one in place.rejected}
    for folder in sorted(listed):
        names = _names_in(place.path / folder)
        there = names | {stem_of(name) for name in names}
        within = f"{folder}/" if folder else ""
        for name in sorted(listed[folder].keys() - there):
            text = f"the table names {within}{name}, which is not there"
            yield Finding("row without file", listed[folder][name], text, "warning")
        if place.module is None:
            continue  # of one's own files all are records, or noted
        stated = {stem_of(name) for name in listed[folder]}
        for name in sorted(names):
            signal = Path(name).suffix.lower() in SIGNALS
            if signal and stem_of(name) not in stated and f"{within}{stem_of(name)}" not in known:
                yield Finding("file without row", f"{within}{name}", "no row names it", "warning")


def _named_files(root: Path) -> Iterator[Finding]:
    """Look in the tables of a folder for names of files under which nothing lies there."""
    for path in sorted(root.glob("*.csv")):
        if path.stat().st_size > LARGEST_TABLE:
            continue
        try:
            table = pd.read_csv(path, dtype=str, usecols=lambda name: name.strip() in NAME_COLUMNS)
        except (ValueError, OSError):
            continue  # whoever needs the table says what is wrong with it
        for column in table:
            named = table[column].dropna().drop_duplicates()
            lost = [name for name in named if not is_there(root / name.strip())]
            if lost:
                text = (
                    f"{len(lost)} of {len(named)} names in the column `{column}` are no file's: "
                    f"{shown(lost)}"
                )
                yield Finding("names of files", path.name, text, "hint")


def _names_in(folder: Path) -> set[str]:
    """List the files of a folder; one that cannot be read holds none."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError:
        return set()


def stem_of(name: str) -> str:
    """Give a file's name without the suffix of a signal or of a WFDB header."""
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in SIGNALS | {".hea"} else name


def _ages(place: Place) -> Iterator[Finding]:
    if "age" not in place.table:
        return
    age = pd.to_numeric(place.table["age"], errors="coerce")
    records = place.table["record_id"].astype(str)
    for row in np.flatnonzero(((age < 0) | (age > OLDEST)).to_numpy()):
        text = f"the age is {age.iloc[row]:g}, not between 0 and {OLDEST}"
        yield Finding("age", records.iloc[row], text, "warning")
    missing = records[age.isna().to_numpy()]
    if 0 < len(missing) < len(age):
        text = f"{len(missing)} of {len(age)} records have no usable age: {shown(missing)}"
        yield Finding("age missing", place.dataset, text, "hint")


def _sexes(table: pd.DataFrame) -> Iterator[Finding]:
    if "sex" not in table:
        return
    pairs = table[["subject_id", "sex"]].dropna().drop_duplicates()
    for subject in pairs["subject_id"][pairs["subject_id"].duplicated()].unique():
        yield Finding("sex", str(subject), "its records state both sexes", "warning")


def _labels(place: Place) -> Iterator[Finding]:
    """Ask each task for its answers: labels that are unknown, classes that are empty."""
    if place.module is None:
        return
    subjects = place.table["subject_id"].astype(str)
    for name, task in place.module.tasks.items():
        try:
            targets = task.targets(place.module(task=name).labels(place.table))
        except PahclError as error:
            yield Finding("labels", name, str(error))
            continue
        except (KeyError, ValueError, TypeError) as error:
            yield Finding("labels", name, f"cannot be read ({type(error).__name__}: {error})")
            continue
        if task.kind == "regression":
            continue
        flat = targets if targets.ndim == 2 else targets[:, None]
        known = np.asarray((flat >= 0).any(axis=1), dtype=np.bool_)  # neither NaN nor -1
        if not known.all():
            text = f"{int((~known).sum())} of {len(known)} records have no label"
            yield Finding("labels missing", f"task {name}", text, "hint")
        counts = (
            np.bincount(targets[targets >= 0], minlength=len(task.classes))
            if targets.ndim == 1
            else np.nansum(targets, axis=0)
        )
        empty = [one for one, count in zip(task.classes, counts, strict=True) if not count]
        if empty:
            text = f"no record has {shown(empty)}"
            yield Finding("class without records", f"task {name}", text, "hint")
        if flat.shape[1] == 1:
            yield from _torn(name, subjects[known], flat[known, 0])


def _torn(task: str, subjects: pd.Series, answers: np.ndarray) -> Iterator[Finding]:
    """Count subjects whose records carry different answers to one question."""
    pairs = pd.DataFrame({"subject": subjects.to_numpy(), "answer": answers}).drop_duplicates()
    torn = pairs["subject"][pairs["subject"].duplicated()].unique()
    if len(torn):
        text = (
            f"{len(torn)} of {pairs['subject'].nunique()} subjects have records of different "
            f"classes ({shown(torn)}): split by subject, never by record"
        )
        yield Finding("subjects of several classes", f"task {task}", text, "hint")


def shown(values: Iterable[object]) -> str:
    """Write the first of many names."""
    names = [str(value) for value in values]
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
