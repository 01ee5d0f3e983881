"""The units that a task scores: records as they are, or one answer a subject or examination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.errors import UsageError
from pahcl.evaluation.aggregation import EXAMINATION
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
    names, first, codes, counts = np.unique(
        np.asarray(own_names, dtype=object).astype(str),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    sums = np.zeros((len(names), records.estimates.shape[1]))
    np.add.at(sums, codes, records.estimates.astype(np.float64))
    own = target_matrix(task, records.targets)
    targets = records.targets[first].copy()
    if targets.ndim == 1:
        known = np.isfinite(own).any(axis=1)
        targets[codes[known]] = records.targets[known]
    else:  # each class has the label of the records that have one of it
        rows, columns = np.nonzero(np.isfinite(records.targets))
        targets[codes[rows], columns] = records.targets[rows, columns]
    gap = own - target_matrix(task, targets)[codes]
    odd = np.nan_to_num(gap).any(axis=1)
    if odd.any():
        shown = ", ".join(sorted(set(names[codes[odd]].tolist()))[:3])
        raise UsageError(
            f"Task `{task.name}` has one answer a subject, but records of {shown} are labelled "
            "differently. Ask it record by record, or mend the labels."
        )
    subjects = [str(records.subject_ids[place]) for place in first]
    return Units(
        names.tolist(), subjects, targets, (sums / counts[:, None]).astype(records.estimates.dtype)
    )


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
