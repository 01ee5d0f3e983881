"""How `pahcl doctor` reads recordings of no publisher: leniently, for it wants to see them all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from data_modules._own.kinds import READERS, read_file
from data_modules._own.listing import Files, list_files
from data_modules._own.options import NO_TABLE, Options
from data_modules._own.raw import Raw
from data_modules._own.rows import NO_ROW, Rows, rows_of_folder, rows_of_table
from data_modules._own.table import find_table, simple
from pahcl.commands._doctor_place import Place
from pahcl.errors import DataError, PahclError, RecordError, UsageError
from pahcl.signals.leads import STANDARD_12
from pahcl.signals.recording import Recording
from pahcl.store import Finding

ASSUMED_HZ = 500.0
"""Rate at which records are looked at whose file does not say it."""

_TRIED = 16
_HEADER_OF = {".dat": ".hea", ".mat": ".hea"}


def own_files(path: Path) -> Place:
    """Open a folder of recordings, or one file.

    Raises:
        UsageError: There is nothing in it that can be read.
        DataError: The machine cannot read it now.
    """
    root, files = _files(path)
    if not files.records:
        raise UsageError(
            f"{path} holds neither a store (give the folder that `pahcl prepare` wrote with "
            "`--out`), nor a data set or a run that is known, nor a recording "
            f"({', '.join(READERS)}). With `--dataset` a folder is read as that data set, and says "
            "what it lacks."
        )
    findings: list[Finding] = []
    found = _rows(root, files, findings)
    table = found.frame.copy()
    table["subject_id"] = table["subject_id"].where(table["subject_id"].notna(), table["record_id"])
    if (age := _column(table, "age")) is not None and age != "age":
        table["age"] = table[age]
    rows = [None if row == NO_ROW else int(row) for row in table["row"]]

    def raw(position: int) -> Raw:
        return read_file(root / str(table["file"].iloc[position]), None, rows[position])

    def read(position: int) -> Recording:
        ids = table[["record_id", "subject_id"]].iloc[position]
        return lenient(raw(position), str(ids["record_id"]), str(ids["subject_id"]))

    unsaid: set[str] = set()
    for position in np.unique(np.linspace(0, len(table) - 1, _TRIED).astype(int)):
        try:
            unsaid |= what_is_unsaid(raw(int(position)))
        except (PahclError, OSError):
            continue
    for name in found.labels:
        lost = int(table[name].isna().sum()) if name in table else 0
        if lost:
            text = f"{lost} of {len(table)} records have no label"
            findings.append(Finding("labels missing", name, text, "hint"))
    return Place(
        path=root,
        kind="own files",
        dataset=path.resolve().name,
        table=table,
        read=read,
        rejected=(*files.rejected, *found.rejected),
        notes={text: count for text, count in {**files.notes, **found.notes}.items() if count},
        findings=findings,
        unsaid=frozenset(unsaid),
    )


def _files(path: Path) -> tuple[Path, Files]:
    """List the recordings of a folder; of a file, it alone."""
    if path.is_dir():
        return path, list_files(path)
    header = path.with_suffix(_HEADER_OF.get(path.suffix.lower(), path.suffix))
    known = header.suffix.lower() in READERS and header.is_file()
    return path.parent, Files((header.name,) if known else (), (), {})


def _rows(root: Path, files: Files, findings: list[Finding]) -> Rows:
    """Find the records by the folder's table, or without one where it is of no use."""
    try:
        name = find_table(root, Options()) if len(files.records) > 1 else None
        if name is not None:
            found = rows_of_table(root, name, files, Options())
            if len(found.frame):
                return found
            findings.append(Finding("table", name, "it names no file of the folder", "warning"))
    except (UsageError, DataError) as error:
        findings.append(Finding("table", str(root), f"not used: {error}", "hint"))
    return rows_of_folder(root, files, Options(table=NO_TABLE))


def _column(table: pd.DataFrame, name: str) -> str | None:
    return next((str(column) for column in table if simple(str(column)) == name), None)


def what_is_unsaid(raw: Raw) -> set[str]:
    """Name what a file does not say of its record: `unit`, `rate`, `leads`."""
    facts = {"unit": raw.unit, "rate": raw.fs, "leads": raw.names}
    sound = raw.unit == "full scale"
    return {
        name for name, fact in facts.items() if fact is None and not (sound and name == "leads")
    }


def lenient(raw: Raw, record_id: str, subject_id: str) -> Recording:
    """Make a recording of what a file says; what it does not say is assumed.

    Twelve channels without names are taken for the standard leads in their usual order, several
    without a unit for millivolts. A single one without a unit may be a sound as well as an ECG, and
    keeps none.

    Raises:
        RecordError: The samples have a shape that no record has.
    """
    values = raw.values[None] if raw.values.ndim == 1 else raw.values
    if values.ndim != 2:
        raise RecordError(f"the samples have the shape {raw.values.shape}, not that of one record")
    if not raw.oriented and values.shape[0] > values.shape[1]:
        values = values.T
    count = len(values)
    names = raw.names or (
        STANDARD_12
        if count == len(STANDARD_12)
        else tuple(f"channel {k + 1}" for k in range(count))
    )
    if raw.unit == "full scale" and raw.names is None and count == 1:
        names = ("PCG",)
    with np.errstate(over="ignore", invalid="ignore"):
        signal = np.ascontiguousarray(values, dtype=np.float32)
    unit = raw.unit or ("mV" if count > 1 else "not stated")
    return Recording(signal, raw.fs or ASSUMED_HZ, names, unit, record_id, subject_id)
