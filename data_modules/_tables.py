"""What the readers of publishers' tables share: reading, and naming what cannot be used."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pahcl.errors import DataError
from pahcl.store import Rejection

# Absolute, with a drive, or climbing, as systems of either sort write it.
_OUTSIDE = r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)"


def read_table(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """Read a publisher's CSV file.

    Args:
        path: The file.
        columns: Columns without which the file cannot be used.

    Raises:
        DataError: The file is missing, is no table, or lacks columns.
    """
    with reading_table(path):
        table = pd.read_csv(path, low_memory=False)
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first column for an index
        raise DataError(
            f"The rows of {path} have more cells than its heading has names, so that none of them "
            "can be told. Fetch the file again."
        )
    require_columns(path, table.columns, columns)
    return table


def require_columns(path: Path, have: Iterable[str], needed: Iterable[str]) -> None:
    """Refuse a table without columns that it cannot be used without.

    Raises:
        DataError: With their names.
    """
    there = set(have)
    missing = [column for column in needed if column not in there]
    if missing:
        raise DataError(
            f"{path} lacks the column(s) {', '.join(missing)}: it is another table or another "
            "version than this data module reads."
        )


def read_rows(path: Path) -> list[list[str]]:
    """Read a publisher's CSV file that has no header, as texts; empty lines are left out.

    Args:
        path: The file.

    Raises:
        DataError: The file is missing or is no table.
    """
    with reading_table(path):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    return [row for row in rows if any(row)]


@contextmanager
def reading_table(path: Path) -> Iterator[None]:
    """Say of a table that cannot be read what a person can do about it."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing. data.init_args.root (`--root`) must name the folder that holds it."
        ) from error
    except UnicodeError as error:
        raise DataError(
            f"{path} is not the UTF-8 text that its publisher gives ({_encoding(path)}): a "
            "spreadsheet or an editor has written it anew. Fetch the file again, or save it as "
            "CSV in UTF-8."
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, pa.ArrowInvalid) as error:
        raise DataError(
            f"{path} cannot be read as a table ({error}). Fetch the file again."
        ) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror or error}). Look after the disk or the mount, "
            "and who may read the file; then run the same command again."
        ) from error


def _encoding(path: Path) -> str:
    """Guess in words how a table that is no UTF-8 was written."""
    with path.open("rb") as stream:
        start = stream.read(2)
    return "it looks like UTF-16" if start in (b"\xff\xfe", b"\xfe\xff") else "perhaps Latin-1"


def identifiers(values: pd.Series) -> pd.Series:
    """Write numeric identifiers as text (`15709.0` becomes `15709`); None if no whole number."""
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.dtype != np.int64:
        numbers = numbers.astype(np.float64)
        # Beyond 2^53 neighbouring identifiers would become one.
        numbers = numbers.where((numbers % 1 == 0) & (numbers.abs() < 2**53))
    whole = numbers.astype("Int64").astype(object)
    return whole.map(lambda value: None if value is pd.NA else str(value))


def texts(values: pd.Series) -> pd.Series:
    """Read a text column; None where a cell is empty."""
    words = values.astype(object).where(values.notna(), None)
    return words.map(lambda value: (str(value).strip() or None) if value is not None else None)


def flags(values: pd.Series) -> npt.NDArray[np.float32]:
    """Read yes/no columns however a spreadsheet wrote them: 1, 0 or NaN where neither is said."""
    words = values.astype(str).str.strip().str.lower()
    known = {"true": 1.0, "1": 1.0, "1.0": 1.0, "false": 0.0, "0": 0.0, "0.0": 0.0}
    return words.map(known).to_numpy(dtype=np.float32, na_value=np.nan)


def reject_rows(
    table: pd.DataFrame, reasons: Mapping[str, npt.ArrayLike], source: str
) -> tuple[pd.DataFrame, list[Rejection]]:
    """Take unusable rows out of an index table; each is named once, with its first reason.

    Args:
        table: Index table with `record_id`, `subject_id` and `file`, None where they are missing.
        reasons: Reason -> mask of the rows that it concerns, strongest first.
        source: Name of the publisher's table.

    Returns:
        The rows that stay, and the rejections of the others. A row without a record's number, a
        file or a subject, with a file outside of the folder, and every repetition of a `record_id`,
        is rejected too. Without a number the rejection names the row, counted from 0; without a
        file it names `source`.
    """
    verdict = pd.Series([None] * len(table), index=table.index, dtype=object)
    every = {
        "the record's number is missing or no whole number": table["record_id"].isna(),
        **reasons,
        f"{source} names no file for this record": table["file"].isna(),
        f"{source} names a file outside of the data set's folder": leads_out(table["file"]),
        "the patient's id is missing or no whole number, so the record cannot be kept out of "
        "another split": table["subject_id"].isna(),
    }
    for reason, mask in every.items():
        verdict[np.asarray(mask, dtype=bool) & verdict.isna().to_numpy()] = reason
    again = table["record_id"][verdict.isna()].duplicated()
    verdict[again.index[again]] = "the table names this record twice"
    out = verdict.notna().to_numpy()
    if not out.any():  # large tables are not copied without need
        return table.reset_index(drop=True), []
    refused = table[out]
    files = refused["file"].fillna(source).astype(str)
    rows = pd.Series([f"(row {row})" for row in np.flatnonzero(out)], index=refused.index)
    records = refused["record_id"].where(refused["record_id"].notna(), rows).astype(str)
    named = zip(files, records, verdict[out], strict=True)
    rejected = [Rejection(file, record, reason) for file, record, reason in named]
    return table[~out].reset_index(drop=True), rejected


def leads_out(files: pd.Series) -> pd.Series:
    """Say which paths are absolute or climb, so that they may lead out of their folder."""
    return files.astype("string").str.contains(_OUTSIDE, regex=True).fillna(False).astype(bool)


def counted(notes: Mapping[str, float]) -> dict[str, int]:
    """Keep the notes that count something."""
    return {text: int(count) for text, count in notes.items() if count}
