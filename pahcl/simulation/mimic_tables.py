"""The tables of MIMIC-IV-ECG as its publisher writes them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

RECORDS = "record_list.csv"
MEASURED = "machine_measurements.csv"
DICTIONARY = "machine_measurements_data_dictionary.csv"
LINKS = "waveform_note_links.csv"
TABLES = (RECORDS, MEASURED, DICTIONARY, LINKS)

LINES = 18
TIMES = ("rr_interval", "p_onset", "p_end", "qrs_onset", "qrs_end", "t_end")
AXES = ("p_axis", "qrs_axis", "t_axis")
_WHEN = "2180-07-23 08:44:00"
_MEASURED = (
    "subject_id", "study_id", "cart_id", "ecg_time", *(f"report_{line}" for line in range(LINES)),
    "bandwidth", "filtering", *TIMES, *AXES,
)  # fmt: skip


class Row(Protocol):
    """What the tables say of one record."""

    subject: int
    study: int
    kind: str
    lines: list[str | None]
    measured: dict[str, int]

    @property
    def path(self) -> str:
        """Path of the record without a suffix."""


def write_tables(out: Path, rows: Sequence[Row], seed: tuple[int, ...]) -> None:
    """Write all tables: the list by patient, the measurements in no order."""
    rng = np.random.default_rng(seed)
    listed = sorted(rows, key=lambda row: (row.subject, row.study))
    header = ("subject_id", "study_id", "file_name", "ecg_time", "path")
    _write(out / RECORDS, header, [line for row in listed for line in _listed(row, listed[0])])
    kept = [row for row in rows if row.kind != "not_measured"]
    shuffled = [_machine(kept[place], rng) for place in rng.permutation(len(kept))]
    stray = ["10000000", "39999999", *_machine(rows[0], rng)[2:]]
    _write(out / MEASURED, _MEASURED, [*shuffled, stray])
    meanings = [(name, _meaning(name)) for name in _MEASURED if not name.startswith("report_")]
    _write(out / DICTIONARY, ("Variable", "Description "), meanings)
    linked = ("subject_id", "study_id", "waveform_path", "note_id", "note_seq", "charttime")
    _write(out / LINKS, linked, [_link(row, n) for n, row in enumerate(listed) if n % 4])


def _listed(row: Row, first: Row) -> list[list[str]]:
    if row.kind == "short_row":
        return [[str(row.subject), str(row.study)]]
    if row.kind == "listed_twice":
        row = first
    subject = "unknown" if row.kind == "bad_subject" else str(row.subject)
    path = first.path if row.kind == "other_path" else row.path
    return [[subject, str(row.study), str(row.study), _WHEN, path]]


def _machine(row: Row, rng: np.random.Generator) -> list[str]:
    subject = row.subject + 1 if row.kind == "measured_as_another" else row.subject
    lines = [line or "" for line in row.lines]
    return [
        str(subject),
        str(row.study),
        str(6_848_000 + int(rng.integers(400))),
        _WHEN,
        *lines,
        *[""] * (LINES - len(lines)),
        "0.005-150 Hz",
        "60 Hz notch Baseline filter",
        *(str(row.measured[name]) for name in (*TIMES, *AXES)),
    ]


def _link(row: Row, number: int) -> list[str]:
    note = f"{row.subject}-EK-{number}"
    return [str(row.subject), str(row.study), row.path, note, str(number), _WHEN]


def _meaning(name: str) -> str:
    unit = "msec" if name in TIMES else "degrees" if name in AXES else "text"
    return f"{name.replace('_', ' ')} ({unit})"


def _write(path: Path, header: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
