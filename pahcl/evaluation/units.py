"""The units that a task scores: records, or one answer a subject or examination; never cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.errors import UsageError
from pahcl.evaluation.aggregation import EXAMINATION, aggregate
from pahcl.evaluation.predictions import target_matrix
from pahcl.task import Task


class Units(NamedTuple):
    """Hold what is scored, one row a unit.

    Args:
        record_ids: Identifiers of the units; of a subject or examination its own.
        subject_ids: Identifiers of the subjects.
        targets: `[N]` or `[N, K]`, as `Task.targets` gives them.
        estimates: `[N, K]` probabilities, or estimates of a regression.
    """

    record_ids: list[str]
    subject_ids: list[str]
    targets: npt.NDArray[Any]
    estimates: npt.NDArray[Any]


def scored_units(task: Task, records: Units, unit_of: Mapping[str, str] | None = None) -> Units:
    """Bring records to the level at which a task is scored.

    A subject's answer is the mean of its records' probabilities (or estimates), and its target the
    one of its labelled records; `pahcl score` aggregates by other rules.

    Args:
        task: What was asked.
        records: One row a record.
        unit_of: Name of the unit of each record, where that is not the subject but one of several
            examinations; each lies within one subject.

    Raises:
        UsageError: The records of a unit have different labels.
    """
    if task.level != "subject":
        return records
    own_names = records.subject_ids
    if unit_of is not None:
        own_names = [unit_of[name] for name in records.record_ids]
    units, odd = _averaged(task, records, own_names)
    if odd:
        raise UsageError(
            f"Task `{task.name}` has one answer a subject, but records of {', '.join(odd[:3])} are "
            "labelled differently. Ask it record by record, or mend the labels."
        )
    return units


def whole_records(task: Task, cycles: Units) -> Units:
    """Give one row a record of rows that are its heart cycles, which all have its label.

    A record's answer is the mean of its cycles' probabilities (or estimates).
    """
    if len(set(cycles.record_ids)) == len(cycles.record_ids):
        return cycles
    return _averaged(task, cycles, cycles.record_ids)[0]


def _averaged(task: Task, rows: Units, own_names: Sequence[str]) -> tuple[Units, list[str]]:
    """Average rows of one name, in the order of the names; list those of unequal labels."""
    names, first, codes, counts = np.unique(
        np.asarray(own_names, dtype=object).astype(str),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    sums = np.zeros((len(names), rows.estimates.shape[1]))
    np.add.at(sums, codes, rows.estimates.astype(np.float64))
    own = target_matrix(task, rows.targets)
    targets = rows.targets[first].copy()
    if targets.ndim == 1:
        known = np.isfinite(own).any(axis=1)
        targets[codes[known]] = rows.targets[known]
    else:  # each class has the label of the rows that have one of it
        labelled, columns = np.nonzero(np.isfinite(rows.targets))
        targets[codes[labelled], columns] = rows.targets[labelled, columns]
    gap = own - target_matrix(task, targets)[codes]
    odd = np.unique(names[codes[np.nan_to_num(gap).any(axis=1)]]).tolist()
    subjects = [str(rows.subject_ids[place]) for place in first]
    means = (sums / counts[:, None]).astype(rows.estimates.dtype)
    return Units(names.tolist(), subjects, targets, means), odd


def predicted_records(
    task: Task, table: pd.DataFrame, thresholds: npt.NDArray[np.float32]
) -> pd.DataFrame:
    """Make a predictions table of records from one of their heart cycles.

    Args:
        task: What was asked.
        table: Predictions table with a column `cycle`; a cycle may come more than once.
        thresholds: `[K]`, from validation.

    Returns:
        One row a record, in the order of their first cycles.
    """
    once = table.drop_duplicates(["record_id", "cycle"]).drop(columns="cycle")
    limits = dict(zip(task.classes, map(float, thresholds), strict=True))
    exclusive = task.kind == "multiclass"
    merged = aggregate(once, "record", "mean", exclusive=exclusive, threshold=limits)
    if task.kind == "regression":
        for name in task.classes:
            merged[f"prediction/{name}"] = merged[f"probability/{name}"]
    return merged.astype({name: once[name].dtype for name in merged if "/" in str(name)})


def with_examinations(
    units: pd.DataFrame, records: pd.DataFrame, unit_of: Mapping[str, str] | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Name the examination in every row, where examinations are scored and not subjects.

    Args:
        units: Predictions table of the units.
        records: That of their records.
        unit_of: As in `scored_units`.
    """
    if unit_of is None:
        return units, records
    named = [unit_of[name] for name in records["record_id"]]
    return (
        units.assign(**{EXAMINATION: units["record_id"]}),
        records.assign(**{EXAMINATION: named}),
    )
