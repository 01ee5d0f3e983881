"""Which records a folder has, of which subjects, and what a table says of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from data_modules._own import hdf5
from data_modules._own import table as tables
from data_modules._own.kinds import ARRAYS, HDF5, suffix_of
from data_modules._own.labels import MOST_CLASSES
from data_modules._own.listing import Files, Resolver, record_name
from data_modules._own.options import Options, said
from pahcl.errors import DataError, UsageError
from pahcl.store import Rejection

CYCLE = re.compile(r"(?:^|/)cycle_\d+\.npy$")
"""A heart cycle in PA-HCL's layout."""

CLASS = "class"
"""Label column of class-named folders."""

NO_ROW = -1
_SUBJECT_FOLDER = re.compile(r"(?:^|/)(?:subject|patient|participant)[_-]?([^/]+)/", re.IGNORECASE)


@dataclass
class Rows:
    """Hold the records, and how they were found.

    Args:
        frame: `record_id`, `subject_id`, `file`, `row` (-1 where a file is one record), and the
            table's columns as text.
        columns: What the table's columns are, by the names of the options.
        labels: The label columns.
        rejected: Records that cannot be used.
        said: Sentences about what was not asked but found.
        notes: Counts.
    """

    frame: pd.DataFrame
    columns: dict[str, str] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)


def rows_of_folder(root: Path, files: Files, options: Options) -> Rows:
    """List the records of a folder without a table.

    Raises:
        UsageError: A column of a table is asked for.
    """
    for name in ("path", "row", "subject", "labels", "split"):
        if getattr(options, name) is not None:
            raise UsageError(
                f"{said(name)} names a column, but there is no table in {root}: name one with "
                f"{said('table')}."
            )
    places = list(_records(root, files.records))
    frame = pd.DataFrame(places, columns=["file", "row"])
    found = Rows(frame)
    _name_records(found)
    _subjects_from_paths(found, options)
    tops = _class_folders(files.records)
    if tops:
        found.frame[CLASS] = found.frame["file"].map(lambda file: file.split("/")[0])
        found.labels = [CLASS]
        found.said.append(f"classes: the folders' names ({', '.join(tops)})")
    return found


def _records(root: Path, files: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Give each record: a file, or a row of a file of heart cycles."""
    for file in files:
        cycles = hdf5.cycles(root / file) if suffix_of(file) in HDF5 else None
        if cycles is None:
            yield file, NO_ROW
        else:
            yield from ((file, row) for row in range(cycles))


def _class_folders(files: Iterable[str]) -> list[str]:
    """Name the folders that are classes: all files lie in them, and they are no subjects."""
    tops = sorted({file.split("/")[0] if "/" in file else "" for file in files})
    if not 2 <= len(tops) <= MOST_CLASSES or "" in tops:
        return []
    return [] if all(_SUBJECT_FOLDER.match(f"{top}/") for top in tops) else tops


def _name_records(found: Rows) -> None:
    """Name each record by its path; with the suffix where two files share the rest."""
    frame = found.frame
    files = frame["file"].drop_duplicates()
    stems = files.map(record_name)
    shared = set(files[stems.duplicated(keep=False)])
    frame["record_id"] = [
        (file if row == NO_ROW else f"{file}#{row}")
        if file in shared
        else record_name(file, None if row == NO_ROW else row)
        for file, row in zip(frame["file"], frame["row"], strict=True)
    ]


def _subjects_from_paths(found: Rows, options: Options) -> None:
    """Find the subject of each record in its path, or count each file as one of its own."""
    files = found.frame["file"].drop_duplicates()
    pattern = options.subject_pattern()
    if pattern is not None:
        subjects = {file: _match(pattern, file) for file in files}
        lost = found.frame["file"].map(subjects).isna()
        _reject(found, lost, "subject_from finds no subject in this path")
        text = f"subjects: by {options.subject_from} from the path"
    else:
        subjects = {file: _match(_SUBJECT_FOLDER, file) for file in files}
        text = "subjects: the folders' names (subject_…)"
        if None in subjects.values():
            subjects = {file: record_name(file) for file in files}
            text = (
                "subjects: each file is a subject of its own; where that is wrong, one person may "
                f"both train and test: name a column with {said('subject')} or a pattern with "
                f"{said('subject_from')}"
            )
    found.frame["subject_id"] = found.frame["file"].map(subjects)
    found.said.append(text)


def _match(pattern: re.Pattern[str], file: str) -> str | None:
    match = pattern.search(file)
    if match is None:
        return None
    name = match.groupdict().get("subject")
    return name or next((part for part in match.groups() if part), None) or match[0] or None


def rows_of_table(root: Path, name: str, files: Files, options: Options) -> Rows:
    """List the records that a table names, or whose subjects it names.

    Raises:
        DataError: The table cannot be read, or names nothing in the folder.
        UsageError: A column is not there, or cannot be told.
    """
    table = tables.read_tables(root, name)
    columns: dict[str, str] = {}
    for option in ("path", "row", "subject", "split"):
        given = getattr(options, option)
        if given is not None:
            columns[option] = tables.column(table, given, option)
    resolver = Resolver(files.records)
    found = Rows(table, columns)
    found.said.append(f"table: {name}, {len(table)} rows")
    if options.path is None:
        _find_path(found, resolver, files)
    if options.row is None and (row := _row_column(found)):
        columns["row"] = row
        found.said.append(f"row numbers: column {row!r}")
    if options.subject is None and options.subject_from is None:
        guess = tables.named_like(table, tables.SUBJECTS, columns.values())
        if guess is not None:
            columns["subject"] = guess
            found.said.append(f"subjects: column {guess!r}")
    _find_split(found, options)
    _find_labels(found, options)
    if "path" in columns or (len(files.records) == 1 and "row" in columns):
        _by_path(found, resolver, files, name, options)
    elif "subject" in columns:
        _by_subject(found, root, files, name, options)
    else:
        raise DataError(
            f"No column of {name} names files of {root} (it has "
            f"{', '.join(map(str, table.columns[:12]))}; the first file is "
            f"{next(iter(files.records), 'none')}). Name the column with {said('path')}, or leave "
            f"the table out with {said('table')} none."
        )
    return found


def _find_path(found: Rows, resolver: Resolver, files: Files) -> None:
    left = found.frame.drop(columns=[*found.columns.values()])
    best = tables.path_column(left, resolver)
    if best is not None:
        found.columns["path"] = best[0]
        found.said.append(f"files: column {best[0]!r} (names {best[1]:.0%} of its files)")
    elif len(files.records) == 1 and suffix_of(files.records[0]) in ARRAYS:
        found.said.append(f"files: every row is one of {files.records[0]}")


def _row_column(found: Rows) -> str | None:
    """Find row numbers, where several rows of the table name one file; else they only count."""
    if "path" in found.columns and not found.frame[found.columns["path"]].duplicated().any():
        return None
    guess = tables.named_like(found.frame, tables.ROWS, found.columns.values())
    whole = guess is not None and found.frame[guess].dropna().str.fullmatch(r"\d{1,12}").all()
    return guess if whole else None


def _find_split(found: Rows, options: Options) -> None:
    """Find a column that says train, val and test."""
    if options.split is None:
        guess = tables.named_like(found.frame, tables.SPLITS, found.columns.values())
        if guess is None:
            return
        known = {tables.SIDES.get(word) for word in found.frame[guess].dropna().str.lower()}
        if len(known & set(tables.SIDES.values())) < 2:
            return
        found.columns["split"] = guess
        found.said.append(f"splits: column {guess!r}")
    sides = found.frame[found.columns["split"]].str.lower().map(tables.SIDES)
    odd = int((found.frame[found.columns["split"]].notna() & sides.isna()).sum())
    found.notes["split: neither train, val nor test, left out"] = odd
    found.frame[found.columns["split"]] = sides.astype(object).where(sides.notna(), None)


def _find_labels(found: Rows, options: Options) -> None:
    """Find the label columns, or refuse where they cannot be told."""
    taken = [*found.columns.values()]
    if options.labels is not None:
        found.labels = [tables.column(found.frame, name, "labels") for name in options.labels]
        return
    guess = tables.named_like(found.frame, tables.LABELS, taken)
    left = [
        str(name)
        for name in found.frame.columns
        if name not in taken and tables.simple(str(name)) not in ("age", "sex", "gender")
    ]
    if guess is None and len(left) == 1:
        guess = left[0]
    if guess is None and left:
        raise UsageError(
            f"Which column is the label? Name it with {said('labels')}; there are "
            f"{', '.join(left[:12])}."
        )
    if guess is not None:
        found.labels = [guess]
        found.said.append(f"labels: column {guess!r}")


def _by_path(found: Rows, resolver: Resolver, files: Files, name: str, options: Options) -> None:
    """Give each row of the table its file; name rows without one, and files without a row."""
    frame = found.frame
    empty = (None, None, f"{name} names no file here")
    # All is read before columns of these names are written: a table may have them, too.
    cells, subjects = _cells(found, files), _subjects_of(found)
    rows = [resolver.find(cell) if cell else empty for cell in cells]
    numbers = (
        pd.to_numeric(frame[found.columns["row"]], errors="coerce")
        if "row" in found.columns
        else pd.Series([place for _, place, _ in rows], index=frame.index, dtype=object)
    )
    bad = numbers.isna() & ("row" in found.columns)
    bad |= ((numbers % 1 != 0) | (numbers < 0)) & numbers.notna()
    frame["row"] = numbers.where(numbers.between(0, 2**40), NO_ROW).fillna(NO_ROW).astype("int64")
    shown = [cell or f"(row {place})" for place, cell in enumerate(cells)]
    frame["file"] = [file or text for (file, _, _), text in zip(rows, shown, strict=True)]
    _name_records(found)
    verdict = pd.Series([reason for _, _, reason in rows], index=frame.index, dtype=object)
    verdict[bad & verdict.isna()] = "the row number is missing or no whole number"
    again = frame["record_id"].duplicated() & verdict.isna()
    verdict[again] = f"{name} names this record twice"
    named = set(frame["file"])
    if subjects is not None:
        lost = subjects.isna() & verdict.isna()
        verdict[lost] = "the subject is missing, so the record cannot be kept out of another split"
        frame["subject_id"] = subjects.fillna("")
    _reject(found, verdict.notna(), verdict)
    if subjects is None:
        _subjects_from_paths(found, options)
    found.rejected += [
        Rejection(file, record_name(file), f"{name} does not list this file")
        for file in files.records
        if file not in named
    ]


def _cells(found: Rows, files: Files) -> list[str | None]:
    if "path" in found.columns:
        return list(found.frame[found.columns["path"]])
    return [files.records[0]] * len(found.frame)


def _subjects_of(found: Rows) -> pd.Series | None:
    """Read the subjects; `7.0`, which spreadsheets write beside empty cells, is 7."""
    if "subject" not in found.columns:
        return None
    cells = found.frame[found.columns["subject"]]
    return cells.str.replace(r"^(\d+)\.0+$", r"\1", regex=True)


def _by_subject(found: Rows, root: Path, files: Files, name: str, options: Options) -> None:
    """Give each file the row of its subject."""
    column = found.columns["subject"]
    table = found.frame.assign(**{column: _subjects_of(found)}).dropna(subset=[column])
    if table[column].duplicated().any():
        twice = table[column][table[column].duplicated()].iloc[0]
        raise DataError(
            f"{name} names no files and the subject {twice} twice: which row is meant cannot be "
            f"told. Name a column of files with {said('path')}."
        )
    frame = pd.DataFrame(list(_records(root, files.records)), columns=["file", "row"])
    own = Rows(frame)
    _name_records(own)
    _subjects_from_paths(own, options)
    if own.frame["subject_id"].isin(table[column]).sum() == 0:
        raise DataError(
            f"{name} names no file of {root}, and no subject that a path names "
            f"({next(iter(own.frame['subject_id']), 'none')} is the first). Name the column of "
            f"files with {said('path')}, or how a path names its subject with "
            f"{said('subject_from')}."
        )
    found.said.append(f"{name} names no files: its rows are of subjects")
    found.said += own.said
    lost = set(table[column]) - set(own.frame["subject_id"])
    found.rejected += own.rejected
    found.rejected += [
        Rejection(name, str(subject), "the folder has no file of this subject")
        for subject in table[column]
        if subject in lost
    ]
    clash = {"file", "row", "record_id", "subject_id"} & set(table.columns) - {column}
    table = table.drop(columns=sorted(clash))
    right: Any = table.rename(columns={column: "subject_id"})
    merged = own.frame.merge(right, on="subject_id", how="left", indicator="_side")
    found.frame = merged
    found.columns["subject"] = "subject_id"
    if column in found.labels:
        raise UsageError(f"{said('labels')}: {column!r} is the column of subjects.")
    _reject(found, merged["_side"] == "left_only", f"{name} does not list this file's subject")
    found.frame = found.frame.drop(columns="_side")


def _reject(found: Rows, mask: pd.Series, reason: str | pd.Series) -> None:
    """Move rows to the rejected ones, for one reason or each for its own."""
    out = found.frame[mask.to_numpy()]
    reasons = [reason] * len(out) if isinstance(reason, str) else reason[mask.to_numpy()]
    found.rejected += [
        Rejection(str(file), str(record), str(why))
        for file, record, why in zip(out["file"], out["record_id"], reasons, strict=True)
    ]
    found.frame = found.frame[~mask.to_numpy()].reset_index(drop=True)
