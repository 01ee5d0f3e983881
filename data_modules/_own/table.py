"""A person's table: read as text, its columns found by what they hold."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from data_modules._own.listing import Resolver
from data_modules._own.options import NO_TABLE, Options, said
from data_modules._tables import identifiers
from pahcl.errors import DataError, UsageError
from pahcl.files import sha256_file, sha256_text

KINDS = (".csv", ".tsv", ".txt", ".parquet")
FOUND_ALONE = (".csv", ".parquet")
"""Kinds of tables that are found without being named."""

ALL_TABLES = "*.csv"
"""Name of several tables, one a split, whatever their suffixes."""

PATHS = ("path", "file", "filename", "filepath", "wav", "record", "recording", "recordname", "name")
SUBJECTS = ("subject", "subjectid", "patient", "patientid", "person", "personid", "participant",
            "participantid", "pid", "caseid")  # fmt: skip
LABELS = ("labelname", "label", "labels", "class", "target", "diagnosis", "outcome", "y")
SPLITS = ("split", "subset", "partition")
ROWS = ("row", "rowindex")
SIDES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
         "dev": "val", "test": "test", "testing": "test"}  # fmt: skip

_TRIED = 2000
_ERRORS = (
    csv.Error, ValueError, KeyError, TypeError, OSError, OverflowError, NotImplementedError,
)  # fmt: skip
_EMPTY = ["", "nan", "NaN", "NA", "N/A", "null", "<NA>"]


def find_table(root: Path, options: Options) -> str | None:
    """Name the table, relative to the folder; None where there is none.

    Raises:
        UsageError: It is not below the folder, or several could be meant.
    """
    if options.table == NO_TABLE:
        return None
    if options.table is not None:
        given = Path(options.table)
        path = given if given.is_absolute() else root / given
        if not given.is_absolute() and not path.is_file() and given.is_file():
            path = given  # told from where one stands
        home = root.resolve()
        if ".." in given.parts and not path.resolve().is_relative_to(home):
            raise UsageError(f"{said('table')} must lie below {root}, got {options.table}.")
        if not path.absolute().is_relative_to(root.absolute()):
            raise UsageError(f"{said('table')} must lie below {root}, got {options.table}.")
        if not path.is_file():
            raise UsageError(f"{said('table')}: there is no file {path}.")
        if path.suffix.lower() not in KINDS:
            raise UsageError(f"{said('table')} must end in {', '.join(KINDS)}, got {path.name}.")
        return path.absolute().relative_to(root.absolute()).as_posix()
    found = [path.name for path in _tables_in(root)]
    if len(found) > 1 and {Path(name).stem for name in found} <= set(SIDES):
        return ALL_TABLES  # train.csv, val.csv, test.csv
    if len(found) > 1:
        raise UsageError(
            f"{root} holds several tables ({', '.join(found[:6])}): name one with {said('table')}, "
            f"or `{NO_TABLE}`."
        )
    return found[0] if found else None


def files_of(root: Path, name: str) -> list[Path]:
    """List the files of a table: one, or those of the splits."""
    return _tables_in(root) if name == ALL_TABLES else [root / name]


def _tables_in(root: Path) -> list[Path]:
    """List the tables that lie in a folder and are not hidden, by name."""
    return sorted(
        path
        for path in root.iterdir()
        if path.suffix.lower() in FOUND_ALONE and path.is_file() and not path.name.startswith(".")
    )


def digest_of(root: Path, name: str) -> str:
    """Name the content of a table's files."""
    return sha256_text("".join(sha256_file(path) for path in files_of(root, name)))


def read_tables(root: Path, name: str) -> pd.DataFrame:
    """Read a table; of several files, one a split, all rows with the `split` that the name says.

    Raises:
        DataError: One cannot be read.
    """
    parts = [(path, read_any_table(path)) for path in files_of(root, name)]
    if len(parts) == 1:
        return parts[0][1]
    for path, table in parts:
        if named_like(table, SPLITS, ()) is None:
            table["split"] = path.stem
    return pd.concat([table for _, table in parts], ignore_index=True).astype(object)


def read_any_table(path: Path) -> pd.DataFrame:
    """Read CSV (comma, semicolon or tab; lines with # before it left out) or Parquet, all as text.

    Returns:
        Text in every cell, None where it is empty.

    Raises:
        DataError: It is no such table, or empty, or names a column twice.
    """
    try:
        table = pd.read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except UnicodeError as error:
        raise DataError(
            f"{path} is no UTF-8 text ({error.reason} at byte {error.start}): save it as CSV in "
            "UTF-8."
            if isinstance(error, UnicodeDecodeError)
            else f"{path} is no UTF-8 text: save it as CSV in UTF-8."
        ) from error
    except _ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        text = " ".join(str(error).split())[:200]
        raise DataError(f"{path} cannot be read as a table ({text}). Save it anew.") from error
    # An index that has a name was a column before.
    table = table.reset_index(drop=all(name is None for name in table.index.names))
    table.columns = pd.Index([str(name).strip() for name in table.columns])
    if not len(table) or not len(table.columns):
        raise DataError(f"{path} holds no row. Fill it, or name another table with --table.")
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise DataError(f"{path} has two columns {twice[0]!r}: rename one of them.")
    return pd.DataFrame({name: _texts(table[name]) for name in table.columns})


def _read_csv(path: Path) -> pd.DataFrame:
    """Read rows as they stand; pandas would drop cells that go beyond the heading.

    Raises:
        DataError: A row has more cells than the heading.
    """
    with path.open(encoding="utf-8-sig", newline="") as stream:
        skip = 0
        for head in stream:
            if not head.startswith("#"):
                break
            skip += 1
        else:
            raise DataError(f"{path} holds no heading. Write the columns' names in its first line.")
        stream.seek(0)
        for _ in range(skip):
            stream.readline()
        separator = max(",;\t", key=head.count)
        lines = csv.reader(stream, delimiter=separator, strict=True)
        rows = []
        for row in lines:
            if any(row):
                rows.append(row)
                if len(row) > len(rows[0]):
                    raise DataError(
                        f"{path}, line {skip + lines.line_num}: it has {len(row)} cells, but the "
                        f"heading has {len(rows[0])}. Put a text that holds a separator in quotes."
                    )
    heading = rows[0] if rows else []
    cells = [row + [""] * (len(heading) - len(row)) for row in rows[1:]]
    return pd.DataFrame(cells, columns=pd.Index(heading), dtype=object)


def _texts(values: pd.Series) -> pd.Series:
    """Write a column as text: whole numbers without a point, None where a cell is empty."""
    if pd.api.types.is_bool_dtype(values.dtype):
        return values.map({True: "1", False: "0"}).astype(object)
    if pd.api.types.is_float_dtype(values.dtype):
        whole = values.dropna() % 1 == 0
        if whole.all() and values.abs().max() < 2**53:
            return identifiers(values)
    words = [_text(value) for value in values]
    return pd.Series(words, index=values.index, dtype=object)


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    # What no file can be written with (lone surrogates) is replaced.
    text = str(value).strip().encode("utf-8", "replace").decode("utf-8")
    return None if text in _EMPTY else text


def simple(name: str) -> str:
    """Bring a column's name to letters and digits, to compare it."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def named_like(table: pd.DataFrame, names: Sequence[str], without: Iterable[str]) -> str | None:
    """Find the column that is called like one of these, the first name first."""
    left = [column for column in table.columns if column not in set(without)]
    for name in names:
        for column in left:
            if simple(column) == name:
                return str(column)
    return None


def column(table: pd.DataFrame, name: str, option: str) -> str:
    """Give the column that a person named.

    Raises:
        UsageError: The table has none of that name.
    """
    if name in table.columns:
        return name
    near = [found for found in table.columns if simple(found) == simple(name)]
    if len(near) == 1:
        return str(near[0])
    raise UsageError(
        f"{said(option)}: the table has no column {name!r}; it has "
        f"{', '.join(map(str, table.columns[:20]))}."
    )


def path_column(table: pd.DataFrame, resolver: Resolver) -> tuple[str, float] | None:
    """Find the column that names most files of the folder, with the share of its cells that do."""
    found: list[tuple[float, int, int, str]] = []
    for place, name in enumerate(table.columns):
        cells = table[name].dropna()[:_TRIED]
        if not len(cells):
            continue
        share = sum(resolver.find(cell)[0] is not None for cell in cells) / len(cells)
        likely = PATHS.index(simple(name)) if simple(name) in PATHS else len(PATHS)
        found.append((share, -likely, -place, str(name)))
    best = max(found, default=None)
    return (best[3], best[0]) if best is not None and best[0] > 0 else None
