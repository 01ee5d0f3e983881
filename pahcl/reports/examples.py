"""Which records a page shows: the surest right and wrong ones, and the borderline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.evaluation.predictions import DEFAULT_THRESHOLD, Scored, as_arrays
from pahcl.reports.names import listing, number
from pahcl.reports.style import shorten
from pahcl.task import Task

MOST_CLASSES = 6
"""Classes that are shown, those with most positives; five records a class."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Example:
    """Name one record that is worth looking at.

    Args:
        group: The class, or for regression the output, under which it is shown.
        outcome: What happened: `true positive`, `largest overestimate`, ...
        record_id: The record.
        subject_id: The person.
        score: What was predicted, in words.
        labels: What is true, in words.
    """

    group: str
    outcome: str
    record_id: str
    subject_id: str
    score: str
    labels: str


def choose_examples(
    task: Task, predictions: pd.DataFrame, thresholds: Mapping[str, float]
) -> list[Example]:
    """Choose records for every main class; each record is shown once.

    Args:
        task: The task.
        predictions: The predictions table.
        thresholds: Decision threshold a class.
    """
    scored = as_arrays(task, predictions)
    seen: set[int] = set()
    if task.kind == "regression":
        picks = _picks_of_regression(task, scored)
    else:
        picks = _picks_of_classes(task, scored, thresholds)
    examples = []
    for k, outcome, rows in picks:
        row = next((int(row) for row in rows if int(row) not in seen), None)
        if row is None:
            continue
        seen.add(row)
        examples.append(
            Example(
                group=task.classes[k],
                outcome=outcome,
                record_id=str(predictions["record_id"].iloc[row]),
                subject_id=str(predictions["subject_id"].iloc[row]),
                score=_score(task, scored, row, k, thresholds.get(task.classes[k])),
                labels=_labels(task, scored, row, k),
            )
        )
    return examples


def _picks_of_classes(
    task: Task, scored: Scored, thresholds: Mapping[str, float]
) -> Iterator[tuple[int, str, Rows]]:
    """Yield class, outcome and the candidates of that outcome, the best one first."""
    positives = np.nansum(scored.target, axis=0)
    main = np.sort(np.argsort(-positives, kind="stable")[:MOST_CLASSES])
    for k in main.tolist():
        target, probability = scored.target[:, k], scored.probability[:, k]
        said = scored.prediction[:, k]
        rows = np.arange(len(target))
        usable = ~np.isnan(target) & np.isfinite(probability)
        for outcome, truth, decision in (
            ("true positive", 1, 1),
            ("false positive", 0, 1),
            ("false negative", 1, 0),
            ("true negative", 0, 0),
        ):
            found = rows[usable & (target == truth) & (said == decision)]
            surest = probability[found] * (-1 if decision else 1)
            yield k, outcome, found[np.argsort(surest, kind="stable")]
        distance = np.abs(probability - thresholds.get(task.classes[k], DEFAULT_THRESHOLD))
        found = rows[usable]
        yield k, "borderline", found[np.argsort(distance[found], kind="stable")]


def _picks_of_regression(task: Task, scored: Scored) -> Iterator[tuple[int, str, Rows]]:
    for k in range(min(task.num_outputs, MOST_CLASSES)):
        error = scored.prediction[:, k] - scored.target[:, k]
        found = np.flatnonzero(np.isfinite(error))
        for outcome, order in (
            ("closest", np.abs(error)),
            ("largest overestimate", -error),
            ("largest underestimate", error),
        ):
            ranked = found[np.argsort(order[found], kind="stable")]
            yield k, outcome, ranked
            yield k, outcome, ranked


def _score(task: Task, scored: Scored, row: int, k: int, threshold: float | None) -> str:
    if task.kind == "regression":
        unit = f" {task.unit}" if task.unit else ""
        return f"predicted {number(scored.prediction[row, k], 1)}{unit}"
    text = f"p = {number(scored.probability[row, k])}"
    if task.kind == "multiclass":
        return f"{text}, decided {_names(task, scored.prediction[row])}"
    return text + (f", threshold {number(threshold)}" if threshold is not None else "")


def _labels(task: Task, scored: Scored, row: int, k: int) -> str:
    if task.kind == "regression":
        unit = f" {task.unit}" if task.unit else ""
        return f"true {number(scored.target[row, k], 1)}{unit}"
    return f"labels: {_names(task, scored.target[row])}"


def _names(task: Task, flags: npt.NDArray[np.float64]) -> str:
    names = [shorten(name) for name, flag in zip(task.classes, flags, strict=True) if flag == 1]
    if np.isnan(flags).all():
        return "not labelled"
    return listing(names) if names else "none"
