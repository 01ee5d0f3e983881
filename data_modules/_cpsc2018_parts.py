"""The two publishers' forms of CPSC2018, listed together: every file, every row of the labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._challenge import people, read_header, record_files
from data_modules._matlab import first_fields, read_bytes, read_struct
from data_modules._tables import read_table, texts
from pahcl.errors import RecordError

FS = 500.0
CLASSES = ("Normal", "AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE")
"""The nine classes in the order of the publisher's numbers 1 to 9."""

CODES = {
    "426783006": "Normal",
    "164889003": "AF",
    "270492004": "I-AVB",
    "164909002": "LBBB",
    "59118001": "RBBB",
    "284470004": "PAC",
    "164884008": "PVC",
    "429622005": "STD",
    "164931005": "STE",
}
"""SNOMED CT codes of the Challenge form, which codes premature ventricular beats as ectopics."""

REFERENCE = "REFERENCE.csv"
_COLUMNS = ("Recording", "First_label", "Second_label", "Third_label")
_NUMBER = re.compile(r"A\d{4}")
UNNAMED = "the file is not named like a record of CPSC2018 (A0001 and on)"


@dataclass
class Listed:
    """Hold one record as it was found.

    Args:
        record_id: Its number, `A0001` to `A6877`.
        file: Its path without a suffix; None where only `REFERENCE.csv` names it.
        form: `challenge`, `original`, or empty.
        labels: Names of its classes, in the publisher's order.
        ordered: Whether that order means which label is the first.
        said: `age` and `sex` as they are written.
        verdict: Why it cannot be used.
    """

    record_id: str
    file: str | None
    form: str
    labels: tuple[str, ...] = ()
    ordered: bool = True
    said: Mapping[str, object] = field(default_factory=dict)
    verdict: str | None = None


def list_records(root: Path) -> tuple[list[Listed], dict[str, float]]:
    """List the records of both forms, and the rows of `REFERENCE.csv` without a file.

    Returns:
        The records; each number is free of a verdict once at most: a record in both forms is taken
        in the Challenge's, whose counts a store keeps without an error. Notes of what is odd.
    """
    headers, signals = record_files(root)
    challenge = set(headers)
    reference = _reference(root)
    told = "does not list this record" if reference is not None else "is not in the folder"
    labels = reference or {}
    there = set(signals)
    found = [_challenge(root, file, there) for file in headers]
    found += [_original(root, file, labels, told) for file in signals if file not in challenge]
    notes = {"labels other than REFERENCE.csv gives": float(_compare(found, labels))}
    taken: dict[str, str | None] = {}
    for one in found:
        if one.verdict is None and one.record_id in taken:
            one.verdict = f"the same record is taken from {taken[one.record_id]}"
        elif one.verdict is None:
            taken[one.record_id] = one.file
    named = {one.record_id for one in found}
    found += [Listed(name, None, "", verdict=_absent(name)) for name in labels if name not in named]
    return found, notes


def _absent(name: str) -> str:
    if name.startswith("(row"):
        return f"{REFERENCE} names no record in this row"
    return "no file of this record is in the folder"


def _challenge(root: Path, file: str, signals: set[str]) -> Listed:
    """List a record of the Challenge form from its header."""
    one = Listed(Path(file).name, file, "challenge", ordered=False)
    if not _NUMBER.fullmatch(one.record_id):
        one.verdict = UNNAMED
        return one
    try:
        header = read_header(root / file, FS)
        one.said = header.comments
        one.labels = _classes_of(header.codes)
        one.ordered = len(one.labels) == 1
    except RecordError as error:
        one.verdict = str(error)
    if one.verdict is None and file not in signals:
        one.verdict = f"the file {one.record_id}.mat is missing"
    return one


def _original(
    root: Path, file: str, labels: Mapping[str, tuple[str, ...] | str], told: str
) -> Listed:
    """List a record of the original form; its labels stand in `REFERENCE.csv` alone."""
    one = Listed(Path(file).name, file, "original")
    unlisted = f"{REFERENCE} {told}, and there is no header {one.record_id}.hea"
    given = labels.get(one.record_id, unlisted)
    if not _NUMBER.fullmatch(one.record_id):
        one.verdict = UNNAMED
    elif isinstance(given, str):
        one.verdict = given
    else:
        one.labels = given
        one.said = first_fields((root / file).with_name(f"{one.record_id}.mat"))
    return one


def _classes_of(codes: Sequence[str]) -> tuple[str, ...]:
    """Name the classes of a header's codes."""
    unknown = [code for code in codes if code not in CODES]
    if unknown:
        raise RecordError(
            f"the header's diagnosis {', '.join(unknown)[:60]} is none of the nine of CPSC2018"
        )
    if not 1 <= len(codes) <= 3:
        raise RecordError(f"the header names {len(codes)} diagnoses; a record has one to three")
    return tuple(CODES[code] for code in codes)


def _reference(root: Path) -> dict[str, tuple[str, ...] | str] | None:
    """Read every `REFERENCE.csv` of the folder: the classes of each record, or what is wrong."""
    files = sorted(root.rglob(REFERENCE))
    if not files:
        return None
    table = pd.concat([read_table(file, _COLUMNS)[list(_COLUMNS)] for file in files])
    table["Recording"] = texts(table["Recording"])
    labels: dict[str, tuple[str, ...] | str] = {}
    for place, (name, *cells) in enumerate(table.itertuples(index=False, name=None)):
        key = f"(row {place})" if pd.isna(name) else str(name)
        given = _row_labels(cells)
        if labels.setdefault(key, given) != given:
            labels[key] = f"{REFERENCE} gives this record twice, with different labels"
    return labels


def _row_labels(cells: Sequence[Any]) -> tuple[str, ...] | str:
    """Name the classes of one row; a text says what is wrong with it."""
    given = [cell for cell in cells if not pd.isna(cell)]
    numbers = pd.to_numeric(pd.Series(given, dtype=object), errors="coerce")
    wrong = [
        str(cell) for cell, number in zip(given, numbers, strict=True) if number not in range(1, 10)
    ]
    if wrong:
        return f"{REFERENCE} gives the label {wrong[0][:40]}; labels are 1 to 9"
    if not given or pd.isna(cells[0]):
        return f"{REFERENCE} gives this record no first label"
    return tuple(dict.fromkeys(CLASSES[int(number) - 1] for number in numbers))


def _compare(found: Sequence[Listed], labels: Mapping[str, tuple[str, ...] | str]) -> int:
    """Take the order of labels from `REFERENCE.csv`, which headers do not keep; count conflicts."""
    conflicts = 0
    for one in found:
        given = labels.get(one.record_id)
        if one.form == "challenge" and one.verdict is None and isinstance(given, tuple):
            if set(given) == set(one.labels):
                one.labels, one.ordered = given, True
            else:
                conflicts += 1
    return conflicts


def index_table(found: Sequence[Listed]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Make the columns of the index.

    Returns:
        One row a record, with a column of 1 and 0 for each class and `first_label`, None where a
        header names several without an order; notes on age and sex of the usable ones.
    """
    who, _ = people([one.said for one in found])
    _, notes = people([one.said for one in found if one.verdict is None])
    marks = np.array([[name in one.labels for name in CLASSES] for one in found], dtype=np.float32)
    own = pd.DataFrame(
        {
            "record_id": [one.record_id for one in found],
            "subject_id": [one.record_id for one in found],
            "file": pd.Series([one.file for one in found], dtype=object),
            "form": [one.form for one in found],
            "first_label": pd.Series(
                [one.labels[0] if one.labels and one.ordered else None for one in found],
                dtype=object,
            ),
        }
    )
    return pd.concat([own, who, pd.DataFrame(marks, columns=list(CLASSES))], axis=1), notes


def read_original(path: Path) -> tuple[npt.NDArray[np.float32], bytes]:
    """Read the signal of the original form, `[12, samples]` in mV, and the file's bytes.

    Args:
        path: The record without a suffix.

    Raises:
        RecordError: The file is missing or damaged, or does not hold what it must.
        OSError: The machine cannot read it now.
    """
    data = read_bytes(path.with_name(f"{path.name}.mat"))
    signal = read_struct(data, "ECG").get("data")
    if isinstance(signal, str) or signal is None:
        raise RecordError("`ECG` has no field `data` that holds numbers")
    if signal.ndim != 2 or signal.shape[0] != 12:
        raise RecordError(
            f"`ECG.data` has the shape {signal.shape}, not that of 12 leads by samples"
        )
    return signal.astype(np.float32), data
