"""What is known of a task's labels, by split, by record and by subject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._splits import SPLITS
from pahcl.commands._describe_contents import Contents, distribution
from pahcl.task import Task

Flags = npt.NDArray[np.bool_]


def parts_of(contents: Contents) -> dict[str, Flags]:
    """Say for each row whether it is in a part: `all`, and each split where there are splits."""
    parts = {"all": np.ones(len(contents.table), dtype=bool)}
    if contents.splits is not None:
        parts |= {name: (contents.splits == name).to_numpy() for name in SPLITS}
    return parts


def answers(task: Task, targets: npt.NDArray[Any]) -> tuple[Flags, Flags]:
    """Give `[N, K]` whether a class is true of a record, and whether it is known of it."""
    if task.kind == "multiclass":
        known = np.repeat((targets >= 0)[:, None], len(task.classes), axis=1)
        return targets[:, None] == np.arange(len(task.classes)), known
    known = np.isfinite(targets)
    return known & (targets > 0), known


def describe_task(task: Task, contents: Contents) -> dict[str, Any]:
    """Count a task's labels, as plain types.

    Returns:
        `parts`: of all records and of each split how many there are, how many have no label, and
        the classes (or, for regression, the distribution of each output); `together`: for
        multilabel, how many records have both of two classes; `labels_per_record`.

    Raises:
        DataError: The table lacks what the labels are made of.
    """
    targets = contents.targets(task)
    subjects = pd.factorize(contents.table["subject_id"])[0]
    true, known = answers(task, targets)
    facts: dict[str, Any] = {"parts": {}}
    for name, here in parts_of(contents).items():
        part: dict[str, Any] = _sizes(subjects[here], known[here])
        if task.kind == "regression":
            part["outputs"] = {
                output: distribution(targets[here, k]) for k, output in enumerate(task.classes)
            }
        else:
            columns = enumerate(task.classes)
            part["classes"] = {
                output: _class(subjects[here], true[here, k], known[here, k])
                for k, output in columns
            }
        facts["parts"][name] = part
    if task.kind == "multilabel":
        ones = true.astype(np.float32)  # exact up to 16.7 million records, and a fast product
        facts["together"] = (ones.T @ ones).astype(np.int64).tolist()
        per_record = np.bincount(true[known.any(axis=1)].sum(axis=1))
        facts["labels_per_record"] = {
            str(labels): int(count) for labels, count in enumerate(per_record) if count
        }
    return facts


def _sizes(subjects: npt.NDArray[np.int64], known: Flags) -> dict[str, Any]:
    """Count records and subjects, and those without any label."""
    labelled: Flags = np.asarray(known.any(axis=1))
    everyone, some = _different(subjects), _different(subjects[labelled])
    return {
        "records": {"number": len(subjects), "unlabelled": int((~labelled).sum())},
        "subjects": {"number": everyone, "unlabelled": everyone - some},
    }


def _different(codes: npt.NDArray[np.int64]) -> int:
    """Count the different ones of codes from 0 on, without sorting them."""
    return int(np.count_nonzero(np.bincount(codes)))


def _class(subjects: npt.NDArray[np.int64], true: Flags, known: Flags) -> dict[str, Any]:
    """Count one class; a subject has it if any record has it."""
    by_record = int(true.sum()), int(known.sum())
    by_subject = _different(subjects[true]), _different(subjects[known])
    counted = zip(("records", "subjects"), (by_record, by_subject), strict=True)
    return {
        unit: {
            "positive": positive,
            "labelled": labelled,
            "prevalence": positive / labelled if labelled else None,
        }
        for unit, (positive, labelled) in counted
    }


def pairs(task: Task, together: list[list[int]], most: int) -> list[tuple[str, str, int]]:
    """Name the pairs of classes that occur together, the most frequent first."""
    counts = np.triu(np.asarray(together), k=1)
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    places = zip(*np.unravel_index(order, counts.shape), strict=True)
    found = [(task.classes[a], task.classes[b], int(counts[a, b])) for a, b in places]
    return [pair for pair in found if pair[2]]


def labelled_records(tasks: Mapping[str, Task], contents: Contents) -> dict[str, int]:
    """Count for each task the records that have a label."""
    return {
        name: int(answers(task, contents.targets(task))[1].any(axis=1).sum())
        for name, task in tasks.items()
    }
