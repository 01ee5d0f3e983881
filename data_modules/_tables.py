"""What the readers of publishers' tables share: reading, and naming what cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.errors import DataError
from pahcl.store import Rejection


def read_table(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """Read a publisher's CSV file.

    Args:
        path: The file.
        columns: Columns without which the file cannot be used.

    Raises:
        DataError: The file is missing, is no table, or lacks columns.
    """
    try:
        table = pd.read_csv(path, low_memory=False)
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing. data.init_args.root (`--root`) must name the folder that holds it."
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as a table ({error}). Fetch the file again."
        ) from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DataError(
            f"{path} lacks the column(s) {', '.join(missing)}: it is another table or another "
            "version than this data module reads."
        )
    return table


def identifiers(values: pd.Series) -> pd.Series:
    """Write numeric identifiers as text (`15709.0` becomes `15709`); None if unreadable."""
    numbers = pd.to_numeric(values, errors="coerce").round().astype("Int64")
    return numbers.astype(object).map(lambda value: None if value is pd.NA else str(value))


def flags(values: pd.Series) -> npt.NDArray[np.float32]:
    """Read yes/no columns however a spreadsheet wrote them: 1, 0 or NaN where neither is said."""
    words = values.astype(str).str.strip().str.lower()
    known = {"true": 1.0, "1": 1.0, "1.0": 1.0, "false": 0.0, "0": 0.0, "0.0": 0.0}
    return words.map(known).to_numpy(dtype=np.float32, na_value=np.nan)


def reject_rows(
    table: pd.DataFrame, reasons: Mapping[str, npt.ArrayLike]
) -> tuple[pd.DataFrame, list[Rejection]]:
    """Take unusable rows out of an index table; each is named once, with its first reason.

    Args:
        table: Index table with `record_id`, `subject_id` and `file`.
        reasons: Reason -> mask of the rows that it concerns, strongest first.

    Returns:
        The rows that stay, and the rejections of the others. A row without a subject, and every
        repetition of a `record_id`, is rejected too.
    """
    verdict = pd.Series([None] * len(table), index=table.index, dtype=object)
    every = {
        **reasons,
        "the patient's id is missing, so the record cannot be kept out of another split": table[
            "subject_id"
        ].isna(),
        "the table names this record twice": table["record_id"].duplicated(),
    }
    for reason, mask in every.items():
        verdict[np.asarray(mask, dtype=bool) & verdict.isna().to_numpy()] = reason
    out = verdict.notna()
    rejected = [
        Rejection(str(file), str(record), str(reason))
        for file, record, reason in zip(
            table["file"][out], table["record_id"][out], verdict[out], strict=True
        )
    ]
    return table[~out].reset_index(drop=True), rejected


def unlisted(root: Path, pattern: str, listed: set[str], table: str) -> list[Rejection]:
    """Name the record files on disk that the publisher's table does not list.

    Args:
        root: The data set's folder.
        pattern: Glob of the record files, which are listed without their suffix.
        listed: Names that the table gives, relative to `root`.
        table: Name of the table, for the reason.
    """
    found = sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.glob(pattern))
    return [
        Rejection(name, Path(name).name, f"{table} does not list this file")
        for name in found
        if name not in listed
    ]


def counted(notes: Mapping[str, float]) -> dict[str, int]:
    """Keep the notes that count something."""
    return {text: int(count) for text, count in notes.items() if count}
