"""What is asked of one's own records: the task behind label columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from data_modules._own.options import said
from pahcl.errors import UsageError
from pahcl.task import Kind, Task

METRICS: dict[str, str] = {
    "binary": "auroc", "multiclass": "macro_auroc", "multilabel": "macro_auroc",
    "regression": "mae",
}  # fmt: skip
HEALTHY = frozenset({"normal", "absent", "negative", "no", "none", "healthy", "control", "false"})
"""Names of the class that a binary question does not ask for."""

MOST_CLASSES = 100
_FEW = 20
_SEVERAL = re.compile(r"[;|,]")


@dataclass(frozen=True)
class Labels:
    """Hold tasks, the columns that answer them, and how they were found.

    Args:
        tasks: By name, the first one the usual.
        columns: `label/…`, on the table's index.
        said: Sentences about what was not asked but found.
        notes: Counts.
    """

    tasks: dict[str, Task]
    columns: pd.DataFrame
    said: tuple[str, ...] = ()
    notes: dict[str, int] = field(default_factory=dict)


def unlabelled(index: pd.Index) -> Labels:
    """Give records without labels a task that nobody can be trained for."""
    columns = pd.DataFrame({"label/none": np.full(len(index), np.nan, np.float32)}, index=index)
    text = "no labels: the records can be packed, and no task be learnt from them"
    return Labels(unlabelled_task(), columns, (text,))


def unlabelled_task() -> dict[str, Task]:
    """Give the task of records without labels."""
    return {"none": Task("none", "binary", ("label",), ("label/none",), METRICS["binary"])}


def find_labels(
    table: pd.DataFrame, names: Sequence[str], kind: Kind | None, classes: Sequence[str] | None
) -> Labels:
    """Find the task behind label columns.

    Args:
        table: Columns of text, None where a cell is empty.
        names: The label columns.
        kind: Kind of task; None finds out.
        classes: Classes, where not all or in another order; for binary the one that is asked for.

    Raises:
        UsageError: The kind cannot be told, or does not fit the cells.
    """
    if len(names) > 1 and (kind in ("multilabel", "regression") or (kind is None)):
        together = kind == "regression" or all(_is_flag(table[name]) for name in names)
        if together or kind == "multilabel":
            return _side_by_side(table, names, kind or "multilabel")
    if len(names) > 1 and classes is not None:
        raise UsageError(
            f"{said('classes')} are those of one label column; {len(names)} are named: "
            f"{', '.join(names)}."
        )
    found = [_one(table[name], name, kind, classes) for name in names]
    return Labels(
        {name: task for one in found for name, task in one.tasks.items()},
        pd.concat([one.columns for one in found], axis=1),
        tuple(text for one in found for text in one.said),
        {text: count for one in found for text, count in one.notes.items()},
    )


def _side_by_side(table: pd.DataFrame, names: Sequence[str], kind: Kind) -> Labels:
    """Make one task of several columns of numbers."""
    columns = {f"label/{name}": _numbers(table[name], name, kind) for name in names}
    if kind == "multilabel":
        for name, values in zip(names, columns.values(), strict=True):
            if not values.dropna().isin([0, 1]).all():
                raise UsageError(f"The label column {name!r} of a multilabel task must be 0 or 1.")
    task = Task("labels", kind, tuple(names), tuple(columns), METRICS[kind])
    text = f"task `labels`: {kind}, one column each"
    return Labels({"labels": task}, pd.DataFrame(columns, index=table.index), (text,))


def _one(cells: pd.Series, name: str, kind: Kind | None, classes: Sequence[str] | None) -> Labels:
    """Make a task of one column."""
    guessed = kind or _guess(cells, name, classes)
    column = f"label/{name}"
    if guessed == "regression":
        values = _numbers(cells, name, guessed)
        task = Task(name, guessed, (name,), (column,), METRICS[guessed])
        return _labels(task, pd.DataFrame({column: values}), kind, "")
    if guessed == "multilabel":
        return _lists(cells, name, classes)
    if guessed == "binary":
        values, positive, how = _binary(cells, name, classes)
        task = Task(name, guessed, (positive,), (column,), METRICS[guessed])
        return _labels(task, pd.DataFrame({column: values}), kind, how)
    names = tuple(classes or sorted(cells.dropna().unique(), key=_natural))
    if not 2 <= len(names) <= MOST_CLASSES:
        raise UsageError(
            f"The label column {name!r} has {len(names)} different values, not 2 to "
            f"{MOST_CLASSES} classes: name another with {said('labels')}, or say {said('kind')}."
        )
    task = Task(name, "multiclass", names, (column,), METRICS["multiclass"])
    known = cells.where(cells.isin(names), None)
    odd = {
        f"label {name}: a class that is not asked for": int((cells != known)[cells.notna()].sum())
    }
    found = _labels(task, pd.DataFrame({column: known}), kind, f"classes {', '.join(names)}")
    return Labels(found.tasks, found.columns, found.said, odd)


def _labels(task: Task, columns: pd.DataFrame, kind: Kind | None, how: str) -> Labels:
    text = f"task `{task.name}`: {task.kind}" + (f", {how}" if how else "")
    return Labels({task.name: task}, columns, (text,) if kind is None or how else ())


def _guess(cells: pd.Series, name: str, classes: Sequence[str] | None) -> Kind:
    """Find the kind of a column, or refuse where two would fit."""
    known = cells.dropna()
    if _is_flag(cells):
        return "binary"
    numbers = pd.to_numeric(known, errors="coerce")
    if classes is None and len(known) and numbers.notna().all():
        if (numbers % 1 != 0).any() or numbers.nunique() > _FEW:
            return "regression"
        raise UsageError(
            f"The label column {name!r} holds the numbers "
            f"{', '.join(f'{x:g}' for x in sorted(numbers.unique())[:6])}: say with "
            f"{said('kind')} whether they are classes (multiclass) or amounts (regression)."
        )
    if classes is not None:
        return "binary" if len(classes) == 1 else "multiclass"
    words = {str(word).lower() for word in known.unique()}
    return "binary" if len(words) == 2 and len(words & HEALTHY) == 1 else "multiclass"


def _is_flag(cells: pd.Series) -> bool:
    """Say whether cells are 0 and 1, however they are written."""
    numbers = pd.to_numeric(cells.dropna(), errors="coerce")
    return bool(len(numbers) and numbers.isin([0, 1]).all())


def _binary(
    cells: pd.Series, name: str, classes: Sequence[str] | None
) -> tuple[pd.Series, str, str]:
    """Give 0, 1 or NaN, the class that is asked for, and how it was found."""
    if classes is None and _is_flag(cells):
        return pd.to_numeric(cells).astype(np.float32), name, "1 against 0"
    words = sorted(cells.dropna().unique())
    if classes is None:
        asked = [word for word in words if word.lower() not in HEALTHY]
        if len(words) != 2 or len(asked) != 1:
            raise UsageError(
                f"The label column {name!r} holds {', '.join(words[:6])}: name with "
                f"{said('classes')} the one that is asked for."
            )
    elif len(classes) != 1 or classes[0] not in words:
        raise UsageError(
            f"{said('classes')} names the one class that a binary task asks for, of "
            f"{', '.join(words[:6])}; got {', '.join(classes)}."
        )
    else:
        asked = list(classes)
    values = (cells == asked[0]).astype(np.float32).where(cells.notna(), np.nan)
    others = ", ".join(word for word in words if word != asked[0])
    return values.astype(np.float32), asked[0], f"{asked[0]} against {others}"


def _lists(cells: pd.Series, name: str, classes: Sequence[str] | None) -> Labels:
    """Make a multilabel task of a column that lists classes, as in `AF;RBBB`."""
    lists = cells.map(_split, na_action="ignore")
    found = sorted({word for words in lists.dropna() for word in words}, key=_natural)
    names = tuple(classes or found)
    if not 1 <= len(names) <= 10 * MOST_CLASSES:
        raise UsageError(f"The label column {name!r} lists {len(names)} classes.")
    columns = {
        f"label/{name}={one}": lists.map(
            lambda words, one=one: float(one in words), na_action="ignore"
        ).astype(np.float32)
        for one in names
    }
    task = Task(name, "multilabel", names, tuple(columns), METRICS["multilabel"])
    odd = sum(word not in names for words in lists.dropna() for word in words)
    labels = _labels(task, pd.DataFrame(columns), "multilabel", f"classes {', '.join(names[:12])}")
    notes = {f"label {name}: a class that is not asked for": odd}
    return Labels(labels.tasks, labels.columns, labels.said, notes)


def _split(cell: str) -> list[str]:
    return [word.strip() for word in _SEVERAL.split(cell) if word.strip()]


def _numbers(cells: pd.Series, name: str, kind: Kind) -> pd.Series:
    """Read a column of finite numbers.

    Raises:
        UsageError: A cell is none.
    """
    numbers = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    wrong = cells.notna() & ~np.isfinite(numbers.astype(np.float32))
    if wrong.any():
        raise UsageError(
            f"The label column {name!r} holds {cells[wrong].iloc[0]!r}, which is no number for a "
            f"{kind} task: say {said('kind')}, or name another column with {said('labels')}."
        )
    return numbers.astype(np.float32)


def _natural(word: str) -> list[Any]:
    """Sort 2 before 10."""
    return [(0, int(part[:99]), "") if part.isascii() and part.isdigit() else (1, 0, part)
            for part in re.split(r"(\d+)", word)]  # fmt: skip
