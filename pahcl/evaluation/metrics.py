"""Metrics of a predictions table, by torchmetrics, per class and with support.

A metric that the labels cannot define (an AUROC without positives) is NaN with a reason, never 0,
a crash or a warning. A macro metric is the mean over the classes that define it, and says how many
those are.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torchmetrics.functional import classification as tm
from torchmetrics.functional import regression as tr

from pahcl.evaluation.metric_names import averaged_metrics, class_metrics, pooled_metrics
from pahcl.evaluation.predictions import Scored, as_arrays
from pahcl.task import UNLABELLED_CLASS, Kind, Task

_LOG = logging.getLogger(__name__)

CALIBRATION_BINS = 15
"""Bins of equal width of the expected calibration error, as in Guo et al. 2017."""

NEEDS_POSITIVES = frozenset({"auroc", "auprc", "f1", "sensitivity"})
NEEDS_NEGATIVES = frozenset({"auroc", "specificity"})


@dataclass(frozen=True)
class Metrics:
    """Hold what a predictions table is worth.

    Args:
        macro: The metrics of the whole task by their logged names (`macro_auroc`, `auroc`, `mae`).
        per_class: For each class its metrics and its support: `positives`, `negatives` and
            `unlabelled`; for regression `labelled` and `unlabelled`.
        confusion: Counts, rows = truth, columns = prediction: `[K, 2, 2]` for binary and
            multilabel (absent first), `[K, K]` for multiclass, None for regression.
        classes_defined: For each macro metric the number of classes that it covers.
        n_records: Rows of the table.
        n_subjects: Subjects behind them.
        notes: Why something is not defined, in words.
    """

    macro: dict[str, float]
    per_class: dict[str, dict[str, float]]
    confusion: npt.NDArray[np.int64] | None
    classes_defined: dict[str, int]
    n_records: int
    n_subjects: int
    notes: tuple[str, ...]


def evaluate(task: Task, predictions: pd.DataFrame) -> Metrics:
    """Score a predictions table.

    Threshold metrics (F1, sensitivity, specificity, accuracy, confusion) read the `prediction`
    columns, the others the probabilities. Unlabelled targets are left out class by class.

    Args:
        task: What is asked.
        predictions: Table of `predictions_table`.

    Returns:
        Metrics in plain floats.

    Raises:
        UsageError: The table is not of this task.
    """
    scored = as_arrays(task, predictions)
    per_class = {name: _class_scores(task.kind, scored, k) for k, name in enumerate(task.classes)}
    macro, defined = {}, {}
    for name, source in averaged_metrics(task.kind).items():
        values = np.array([scores[source] for scores in per_class.values()])
        there = ~np.isnan(values)
        macro[name] = float(values[there].mean()) if there.any() else float("nan")
        defined[name] = int(there.sum())
    macro.update(_pooled_scores(task, scored, per_class))
    notes = _notes(task, scored, per_class)
    for note in notes:
        _say_once(f"{task.name}: {note}")
    return Metrics(
        macro=macro,
        per_class=per_class,
        confusion=_confusion(task, scored),
        classes_defined=defined,
        n_records=len(predictions),
        n_subjects=len(scored.subjects),
        notes=notes,
    )


@functools.cache
def _say_once(note: str) -> None:
    """Log a reason the first time only: a validation has the same labels after every epoch."""
    _LOG.info("%s", note)


def _class_scores(kind: Kind, scored: Scored, k: int) -> dict[str, float]:
    """Score one class on the records that are labelled for it."""
    labelled = ~np.isnan(scored.target[:, k])
    target, probability, prediction = (
        torch.from_numpy(np.ascontiguousarray(part[labelled, k]))
        for part in (scored.target, scored.probability, scored.prediction)
    )
    unlabelled = int((~labelled).sum())
    finite = bool(torch.isfinite(probability).all())
    if kind == "regression":
        scores = _regression_scores(target, probability) if finite else {}
        support = {"labelled": int(labelled.sum()), "unlabelled": unlabelled}
    else:
        scores = _binary_scores(target.long(), probability, prediction.long()) if finite else {}
        positives = int(target.sum())
        support = {
            "positives": positives,
            "negatives": len(target) - positives,
            "unlabelled": unlabelled,
        }
    return {**{name: scores.get(name, float("nan")) for name in class_metrics(kind)}, **support}


def _binary_scores(
    target: torch.Tensor, probability: torch.Tensor, prediction: torch.Tensor
) -> dict[str, float]:
    """Score `[N]` labels that are all known; what they cannot define is left out."""
    positives = int(target.sum())
    functions: dict[str, Callable[[], torch.Tensor]] = {
        "auroc": lambda: tm.binary_auroc(probability, target),
        "auprc": lambda: tm.binary_average_precision(probability, target),
        "f1": lambda: tm.binary_f1_score(prediction, target),
        "sensitivity": lambda: tm.binary_recall(prediction, target),
        "specificity": lambda: tm.binary_specificity(prediction, target),
        "accuracy": lambda: tm.binary_accuracy(prediction, target),
        "calibration_error": lambda: tm.binary_calibration_error(
            probability, target, n_bins=CALIBRATION_BINS
        ),
        "brier": lambda: tr.mean_squared_error(probability, target.to(probability.dtype)),
    }
    lacking = set(functions) if not len(target) else set()
    lacking |= NEEDS_POSITIVES if positives == 0 else frozenset()
    lacking |= NEEDS_NEGATIVES if positives == len(target) else frozenset()
    return {name: float(score()) for name, score in functions.items() if name not in lacking}


def is_constant(values: npt.NDArray[np.float64]) -> bool:
    """Say whether values differ by no more than the rounding of float32."""
    return bool(np.ptp(values) <= 1e-6 * np.abs(values).max(initial=0.0)) if len(values) else True


def _regression_scores(target: torch.Tensor, estimate: torch.Tensor) -> dict[str, float]:
    """Score `[N]` targets that are all known; what they cannot define is left out."""
    if not len(target):
        return {}
    scores = {
        "mae": float(tr.mean_absolute_error(estimate, target)),
        "rmse": float(tr.mean_squared_error(estimate, target, squared=False)),
    }
    if is_constant(target.numpy()):
        return scores
    scores["r2"] = float(tr.r2_score(estimate, target))
    if not is_constant(estimate.numpy()):
        # Standardised, because torchmetrics warns by the absolute size of a variance.
        x, y = ((part - part.mean()) / part.std() for part in (estimate, target))
        scores["pearson"] = float(tr.pearson_corrcoef(x, y))
    return scores


def _pooled_scores(
    task: Task, scored: Scored, per_class: dict[str, dict[str, float]]
) -> dict[str, float]:
    """Compute what is no mean over classes: micro and weighted F1, exact match, accuracy."""
    if task.kind not in ("multilabel", "multiclass"):
        return {}
    nan = float("nan")
    labelled = ~np.isnan(scored.target)
    target = torch.from_numpy(scored.target[labelled]).long()
    prediction = torch.from_numpy(scored.prediction[labelled]).long()
    usable = bool(np.isfinite(scored.probability[labelled]).all())
    positives = np.array([scores["positives"] for scores in per_class.values()])
    f1 = np.array([scores["f1"] for scores in per_class.values()])
    some = positives > 0
    pooled = dict.fromkeys(pooled_metrics(task.kind), nan)
    if usable and some.any():
        pooled["micro_f1"] = float(tm.binary_f1_score(prediction, target))
        pooled["weighted_f1"] = float(np.average(f1[some], weights=positives[some]))
    whole = labelled.all(axis=1)
    if usable and whole.any():
        right = torch.from_numpy((scored.prediction == scored.target)[whole]).long()
        name = "exact_match" if task.kind == "multilabel" else "accuracy"
        pooled[name] = float(right.all(dim=1).double().mean())
    return pooled


def class_codes(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Turn one-hot rows `[N, K]` into codes `[N]`, -1 where a row is NaN."""
    unlabelled = np.isnan(matrix).any(axis=1)
    codes = np.nan_to_num(matrix).argmax(axis=1).astype(np.int64)
    return np.where(unlabelled, UNLABELLED_CLASS, codes)


def _confusion(task: Task, scored: Scored) -> npt.NDArray[np.int64] | None:
    """Count truth (rows) against prediction (columns) over the labelled records."""
    if task.kind == "regression":
        return None
    if task.kind == "multiclass":
        counts = tm.multiclass_confusion_matrix(
            torch.from_numpy(class_codes(scored.prediction)),
            torch.from_numpy(class_codes(scored.target)),
            num_classes=task.num_outputs,
            ignore_index=UNLABELLED_CLASS,
        )
        return np.asarray(counts.numpy(), np.int64)
    tables = []
    for k in range(task.num_outputs):
        labelled = ~np.isnan(scored.target[:, k])
        truth = torch.from_numpy(scored.target[labelled, k]).long()
        said = torch.from_numpy(scored.prediction[labelled, k]).long()
        tables.append(tm.binary_confusion_matrix(said, truth).numpy())
    return np.stack(tables).astype(np.int64)


def _notes(task: Task, scored: Scored, per_class: dict[str, dict[str, float]]) -> tuple[str, ...]:
    """Say in words which classes lack what, one sentence a reason."""
    labelled = ~np.isnan(scored.target)
    broken = (~np.isfinite(scored.probability) & labelled).sum(axis=0)
    reasons: dict[str, list[str]] = {}

    def add(reason: str, name: str) -> None:
        reasons.setdefault(reason, []).append(name)

    for k, (name, scores) in enumerate(per_class.items()):
        if broken[k]:
            add("outputs that are not finite, so no metric is defined", name)
        elif not labelled[:, k].any():
            add("no labelled record, so no metric is defined", name)
        elif task.kind == "regression":
            if np.isnan(scores["pearson"]):
                add("a constant target or estimate, so r2 or Pearson is undefined", name)
        elif scores["positives"] == 0:
            add("no positives, so AUROC, AUPRC, F1 and sensitivity are undefined", name)
        elif scores["negatives"] == 0:
            add("no negatives, so AUROC and specificity are undefined", name)
    return tuple(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
