"""The tables of MIMIC-IV-ECG: records, what the machine read and measured, and linked notes.

800,000 rows are read in pieces and kept in Arrow's columns; no row becomes a Python object.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data_modules._streams import Stream, joined, numbers, texts_of, whole_numbers
from pahcl.text.reports import PRETRAINING_WORDS, clean_columns

RECORDS = "record_list.csv"
MEASURED = "machine_measurements.csv"
NOTES = "waveform_note_links.csv"

LINES = tuple(f"report_{line}" for line in range(18))
ACQUISITION = ("cart_id", "bandwidth", "filtering")
MEASUREMENTS = {
    "rr_interval": (200, 3000),
    "p_onset": (0, 2000),
    "p_end": (0, 2000),
    "qrs_onset": (0, 2000),
    "qrs_end": (0, 2000),
    "t_end": (0, 2000),
    "p_axis": (-180, 360),
    "qrs_axis": (-180, 360),
    "t_axis": (-180, 360),
}
"""Measurement -> least and greatest value that can be meant, in ms or degrees. RR: 20 to 300 beats
a minute. The others are times within one averaged beat, which the machine sees for 1.2 s; 29,999
stands where it found no such wave."""

INTERVALS = {
    "rr": (None, "rr_interval", 200, 3000),
    "pr": ("p_onset", "qrs_onset", 50, 600),
    "qrs": ("qrs_onset", "qrs_end", 40, 300),
    "qt": ("qrs_onset", "t_end", 150, 800),
}
"""Interval -> from, to, and the least and greatest length in ms that a beat can have."""

Integers = npt.NDArray[np.int64]


def index_tables(
    root: Path,
) -> tuple[pd.DataFrame, npt.NDArray[np.bool_], list[str], dict[str, int]]:
    """Read and join all tables.

    Returns:
        The index table, a row for each row of the list of records; which rows name a path that is
        not that of their patient and study; the beginnings of rows that are no rows of the list;
        notes of what is odd.
    """
    records, broken = read_records(root)
    measured, notes = read_measured(root)
    found = join_measured(records, measured, notes)
    del measured
    subject, study = texts_of(records["subject"]), texts_of(records["study"])
    first = pc.utf8_slice_codeunits(subject, 0, 4)
    own = joined(["files/p", first, "/p", subject, "/s", study, "/", study])
    foreign = pc.fill_null(pc.not_equal(records["path"], own), False).to_numpy()
    links = read_note_links(root)
    columns = {
        "record_id": study,
        "subject_id": subject,
        "file": records["path"],
        "ecg_time": records["ecg_time"],
        **dict(zip(found.column_names, found.columns, strict=True)),
        **({} if links is None else {"note_id": _linked(records, links)}),
    }
    words = pc.fill_null(columns["report_words"], 0)
    table = pa.table({**columns, "report_words": words})
    del records, found, columns
    # Column by column, each freed when it is converted.
    return table.to_pandas(split_blocks=True, self_destruct=True), foreign, broken, notes


def _linked(records: pa.Table, links: pa.Table) -> pa.ChunkedArray:
    rows, _ = places_of(_studies(records), links)
    return take(links, rows)["note_id"]


def _studies(table: pa.Table) -> Integers:
    """Give the column `study`, -1 where there is none."""
    return np.asarray(pc.fill_null(table["study"], -1).to_numpy(), dtype=np.int64)


def read_records(root: Path) -> tuple[pa.Table, list[str]]:
    """Read the list of records.

    Returns:
        Columns `subject` and `study` (int64, null where there is none), `path` and `ecg_time`;
        the beginnings of the rows that are no rows of this table.
    """
    stream = Stream(root / RECORDS, ("subject_id", "study_id", "path"), ("ecg_time",))
    pieces = [
        pa.table(
            {
                "subject": whole_numbers(piece["subject_id"]),
                "study": whole_numbers(piece["study_id"]),
                "path": pc.utf8_trim_whitespace(piece["path"]),
                "ecg_time": _column(piece, "ecg_time"),
            }
        )
        for piece in stream.pieces()
    ]
    return _together(pieces), stream.broken


def read_measured(root: Path) -> tuple[pa.Table, dict[str, int]]:
    """Read what the machine wrote, cleaned, and what it measured.

    Returns:
        Columns `subject`, `study`, `report`, `report_words`, `ACQUISITION` (text), `MEASUREMENTS`
        as they stand and `interval/<name>` (float32; null where it is missing or cannot be). Notes
        of what is odd.
    """
    stream = Stream(
        root / MEASURED, ("subject_id", "study_id", LINES[0]),
        (*LINES[1:], *ACQUISITION, *MEASUREMENTS),
    )  # fmt: skip
    notes: dict[str, int] = {}
    pieces = [_measured(piece, notes) for piece in stream.pieces()]
    _count(notes, f"row of {MEASURED} with other cells than its header", len(stream.broken))
    return _together(pieces), notes


def _measured(piece: pa.Table, notes: dict[str, int]) -> pa.Table:
    lines = [piece[name] for name in LINES if name in piece.column_names]
    report, words = clean_columns(lines)
    columns: dict[str, Any] = {
        "subject": whole_numbers(piece["subject_id"]),
        "study": whole_numbers(piece["study_id"]),
        "report": report,
        "report_words": words,
        **{name: _column(piece, name) for name in ACQUISITION},
    }
    found = {name: numbers(_column(piece, name)) for name in MEASUREMENTS}
    for name, (low, high) in MEASUREMENTS.items():
        unit = "degrees" if name.endswith("axis") else "ms"
        absurd = pc.sum(_outside(found[name], low, high)).as_py()
        _count(notes, f"{name} outside {low} to {high} {unit}", absurd)
        columns[name] = found[name].cast(pa.float32(), safe=False)
    for name, (start, end, low, high) in INTERVALS.items():
        length = found[end] if start is None else pc.subtract(found[end], found[start])
        absurd = _outside(length, low, high)
        for side in (start, end):
            if side is not None:
                absurd = pc.or_kleene(absurd, _outside(found[side], *MEASUREMENTS[side]))
        kept = pc.if_else(absurd, pa.scalar(None, pa.float64()), length)
        columns[f"interval/{name}"] = kept.cast(pa.float32())
    return pa.table(columns)


def _outside(values: pa.ChunkedArray, low: float, high: float) -> pa.ChunkedArray:
    return pc.or_kleene(pc.less(values, low), pc.greater(values, high))


def _column(piece: pa.Table, name: str) -> pa.ChunkedArray:
    """Give a column of text, all null where the table has none of the name."""
    if name in piece.column_names:
        return piece[name]
    return pa.chunked_array([pa.nulls(len(piece), pa.large_string())])


def _together(pieces: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(pieces)


def _count(notes: dict[str, int], text: str, count: int | None) -> None:
    if count:
        notes[text] = notes.get(text, 0) + int(count)


def read_note_links(root: Path) -> pa.Table | None:
    """Read which cardiologist's note belongs to which record; None where the table is not there.

    Returns:
        Columns `study` and `note_id`.
    """
    if not (root / NOTES).is_file():
        return None
    stream = Stream(root / NOTES, ("study_id", "note_id"))
    return _together(
        [
            pa.table({"study": whole_numbers(piece["study_id"]), "note_id": piece["note_id"]})
            for piece in stream.pieces()
        ]
    )


def places_of(studies: Integers, table: pa.Table) -> tuple[Integers, Integers]:
    """Find for each study the first row of a table that is its own.

    Args:
        studies: `[N]`.
        table: With the column `study`.

    Returns:
        `[N]` rows of the table, -1 where it has none; the studies of the table, each once.
    """
    unique, first = np.unique(_studies(table), return_index=True)
    if not len(unique):
        return np.full(len(studies), -1), unique
    at = np.searchsorted(unique, studies).clip(max=len(unique) - 1)
    same = (unique[at] == studies) & (studies >= 0)
    return np.where(same, first[at], -1), unique[unique >= 0]


def take(table: pa.Table, rows: Integers) -> pa.Table:
    """Give rows of a table, nulls where a row is -1."""
    return table.take(pa.array(rows, mask=rows < 0))


def join_measured(records: pa.Table, measured: pa.Table, notes: dict[str, int]) -> pa.Table:
    """Give each record what the machine wrote of it, and count what does not fit.

    A row of another patient than the record's is not taken: a report on the wrong ECG is worse than
    none.
    """
    studies = _studies(records)
    rows, unique = places_of(studies, measured)
    found = take(measured, rows)
    other = pc.fill_null(pc.not_equal(found["subject"], records["subject"]), False).to_numpy()
    if other.any():
        found = take(measured, np.where(other, -1, rows))
    odd = len(measured) - measured["study"].null_count - len(unique)
    here = np.isin(unique, studies)
    _count(notes, f"{MEASURED} gives this record to another patient", int(other.sum()))
    _count(notes, f"{MEASURED} names a record again; the first row is taken", odd)
    _count(notes, f"{MEASURED} names a record that {RECORDS} does not list", int((~here).sum()))
    _count(notes, f"{MEASURED} has no row for this record", int((rows < 0).sum()))
    few = pc.less(found["report_words"], PRETRAINING_WORDS)
    _count(notes, f"report of fewer than {PRETRAINING_WORDS} words", pc.sum(few).as_py())
    return found.drop_columns(["subject", "study"])
