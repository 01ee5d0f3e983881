"""Decision thresholds, chosen on validation and never on test."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from pahcl.errors import UsageError
from pahcl.evaluation.predictions import DEFAULT_THRESHOLD, target_matrix
from pahcl.task import Task

Criterion = Literal["f1", "youden"]


def choose_thresholds(
    task: Task,
    target: npt.ArrayLike,
    probability: npt.ArrayLike,
    criterion: Criterion = "f1",
) -> npt.NDArray[np.float32]:
    """Choose for each class the probability from which on it is called present.

    Candidates are the probabilities that occur. Of equally good ones the smallest is taken, which
    misses the fewest positives. A class without labelled positives or without labelled negatives,
    or with a probability that is not finite, keeps 0.5: there is nothing to choose from. Multiclass
    and regression decide without thresholds and get 0.5 throughout.

    Args:
        task: What is asked.
        target: As in a batch: `[N, K]` (NaN = not labelled), `[N]` class codes for multiclass.
        probability: `[N, K]`.
        criterion: `f1` maximises F1, `youden` sensitivity + specificity - 1 (Youden 1950).

    Returns:
        `[K]` float32. Compare in float32: each is exactly a probability that occurred.

    Raises:
        UsageError: Another criterion, or shapes that do not fit.
    """
    if criterion not in ("f1", "youden"):
        raise UsageError(f"Thresholds are chosen by `f1` or `youden`, got {criterion!r}.")
    chosen = np.full(task.num_outputs, DEFAULT_THRESHOLD, np.float32)
    if task.kind in ("multiclass", "regression"):
        return chosen
    truth = target_matrix(task, target)
    if not len(truth):
        return chosen
    score = np.asarray(probability, dtype=np.float32).reshape(truth.shape)
    # Unlabelled records sort to the end (probability -1 < 0) and count nowhere.
    labelled = ~np.isnan(truth)
    score = np.where(labelled, score, np.float32(-1.0))
    order = np.argsort(-score, axis=0, kind="stable")
    ranked = np.take_along_axis(score, order, axis=0)
    positive = np.take_along_axis(np.where(labelled, truth, 0.0), order, axis=0)
    negative = np.take_along_axis(np.where(labelled, 1.0 - truth, 0.0), order, axis=0)
    hits = positive.cumsum(axis=0, dtype=np.float64)
    alarms = negative.cumsum(axis=0, dtype=np.float64)
    positives, negatives = hits[-1], alarms[-1]
    usable = (positives > 0) & (negatives > 0) & np.isfinite(score).all(axis=0)
    if criterion == "f1":
        merit = 2.0 * hits / np.maximum(hits + alarms + positives, 1.0)
    else:
        merit = hits / np.maximum(positives, 1.0) - alarms / np.maximum(negatives, 1.0)
    # A threshold takes every record of equal probability along: only the last of a tie counts.
    last_of_tie = np.vstack([ranked[1:] != ranked[:-1], np.ones((1, ranked.shape[1]), bool)])
    merit = np.where(last_of_tie & (ranked >= 0), merit, -np.inf)
    # Reversed, so that argmax finds the smallest of equally good thresholds.
    best = len(merit) - 1 - merit[::-1].argmax(axis=0)
    found = np.take_along_axis(ranked, best[None], axis=0)[0]
    return np.where(usable, found, chosen).astype(np.float32)
