"""Read what a scorer needs beside the predictions, from the table itself or a publisher's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pahcl.errors import PahclError, UsageError
from pahcl.evaluation.aggregation import unit_column
from pahcl.evaluation.official.base import Extra, Floats, simple

KEYS: Mapping[str, frozenset[str]] = {
    "record_id": frozenset({"recordid", "recording", "record"}),
    "subject_id": frozenset({"subjectid", "patientid", "patient", "subject"}),
}
NOTHING = frozenset({"", "nan", "none", "na", "<na>"})
SHOWN = 3
"""Records that a sentence names."""


def add_labels(table: pd.DataFrame, path: str | Path, extras: Sequence[Extra]) -> pd.DataFrame:
    """Add the columns of a file of labels to a predictions table, by record or by subject.

    Args:
        table: Predictions table.
        path: CSV or Parquet with one of the columns `record_id` (`Recording`) and `subject_id`
            (`Patient ID`); the publisher's REFERENCE-SQI.csv, which has no header, is known.
        extras: What the scorer reads.

    Returns:
        The table with the columns that were found, missing where the file has no row.

    Raises:
        UsageError: There is no such file, or the scorer reads nothing of that kind.
        PahclError: The file cannot be read, lacks the columns, or says two things of one record.
    """
    source = Path(path)
    if not extras:
        raise UsageError("This scorer reads nothing but the predictions: leave `--labels` out.")
    if not source.is_file():
        raise UsageError(f"There is no file of labels at {source}; `--labels` names it.")
    labels = _read(source)
    columns = {str(name): name for name in labels.columns}
    own = {"subject_id": unit_column(table, "subject")}  # a number is that of one examination
    keys = [(own.get(k, k), n) for k, spelt in KEYS.items() for n in columns if simple(n) in spelt]
    found = {extra.name: name for extra in extras if (name := find_column(columns, extra))}
    if not keys or not found:
        wanted = f"`{extras[0].name}` ({extras[0].says})" if keys else "`record_id` or `subject_id`"
        raise PahclError(
            f"{source} lacks a column {wanted}; it has {', '.join(list(columns)[:8]) or 'none'}."
        )
    ids = {name: labels[name].astype("str").str.strip() for _, name in keys}
    fitting = [(key, name) for key, name in keys if table[key].isin(ids[name]).any()]
    if not fitting:
        key, name = keys[0]
        raise PahclError(
            f"No `{key}` of the predictions ({', '.join(table[key].iloc[:SHOWN])}) is a "
            f"`{name}` of {source} ({', '.join(ids[name].iloc[:SHOWN])})."
        )
    return _joined(table, labels, fitting[0], found, source)


def _joined(
    table: pd.DataFrame,
    labels: pd.DataFrame,
    by: tuple[str, str],
    found: Mapping[str, str],
    source: Path,
) -> pd.DataFrame:
    """Join by a column of the predictions and one of the labels, which must be unique there."""
    key, spelt = by
    known = labels[[spelt, *found.values()]].drop_duplicates()
    ids = known[spelt].astype("str").str.strip()
    if ids.duplicated().any():
        raise PahclError(
            f"{source} says different things of {ids[ids.duplicated()].iloc[0]} in "
            f"{', '.join(found.values())}: leave one row of each `{spelt}`."
        )
    known = known.set_axis(ids, axis="index")
    added = {name: known[column].reindex(table[key]).to_numpy() for name, column in found.items()}
    return table.drop(columns=[name for name in added if name in table]).assign(**added)


def _read(source: Path) -> pd.DataFrame:
    try:
        if source.suffix == ".parquet":
            return pd.read_parquet(source)
        labels = pd.read_csv(source, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        if list(labels.columns[1:2]) in (["1"], ["-1"]) and len(labels.columns) == 3:
            names = ["record_id", "label", "quality"]
            return pd.read_csv(source, dtype=str, header=None, names=names)
    except (OSError, ValueError) as error:  # pandas' and pyarrow's errors are ValueErrors
        raise PahclError(f"{source} cannot be read as a table of labels ({error}).") from error
    return labels


def find_column(columns: Sequence[str] | Mapping[str, object], extra: Extra) -> str | None:
    """Find the column of an extra by its name or an alias."""
    spelt = {simple(name) for name in (extra.name, *extra.aliases)}
    return next((name for name in columns if simple(name) in spelt), None)


def read_extras(table: pd.DataFrame, extras: Sequence[Extra], source: str) -> dict[str, Floats]:
    """Read the extras that a predictions table has columns of.

    Raises:
        PahclError: A cell is missing or cannot be read.
    """
    found = {}
    for extra in extras:
        column = find_column([str(name) for name in table.columns], extra)
        if column is None:
            continue
        cells = table[column]
        texts = [str(cell).strip() for cell in cells]
        values = {text: _number(text, extra) for text in set(texts)}
        numbers = np.array([values[text] for text in texts], np.float64)
        empty = np.array([_is_empty(text) for text in texts], bool)
        wrong = np.flatnonzero(np.isnan(numbers) & ~(empty & extra.gaps))
        if len(wrong):
            names = ", ".join(table["record_id"].iloc[wrong[:SHOWN]])
            raise PahclError(
                f"{source}: column `{column}` must hold {extra.says}, but has "
                f"{cells.iloc[wrong[0]]} for {len(wrong)} of {len(cells)} rows (record {names}). "
                "Complete it, or leave the whole column out."
            )
        found[extra.name] = numbers
    return found


def _is_empty(text: str) -> bool:
    return text.casefold() in NOTHING


def _number(text: str, extra: Extra) -> float:
    """Read a cell; NaN where it cannot be read."""
    if _is_empty(text):
        return float("nan")
    try:
        return extra.read(text)
    except ValueError:
        return float("nan")
