"""Reliability: do 30 % of the records that are given 30 % have the finding?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pahcl.errors import UsageError
from pahcl.evaluation.metrics import CALIBRATION_BINS
from pahcl.evaluation.predictions import as_arrays
from pahcl.task import Task

WILSON_Z = 1.959963984540054
"""Standard normal quantile of a 95 % interval."""


def reliability_curve(
    task: Task, predictions: pd.DataFrame, bins: int = CALIBRATION_BINS
) -> pd.DataFrame:
    """Compare probabilities with frequencies, class by class, in bins of equal width.

    Args:
        task: Binary, multilabel or multiclass (each class against the rest).
        predictions: Table of `predictions_table`.
        bins: Number of bins over 0..1; the last one holds 1 too.

    Returns:
        One row a class and bin that holds records: `class`, `lower`, `upper`, `n`,
        `mean_probability`, `observed`, and `low`, `high`, the 95 % Wilson interval of `observed`
        (records taken as independent).

    Raises:
        UsageError: A regression task, or no bins.
    """
    if task.kind == "regression":
        raise UsageError(f"Task `{task.name}` is a regression; it has no probabilities.")
    if bins < 1:
        raise UsageError(f"A reliability curve needs at least one bin, got {bins}.")
    scored = as_arrays(task, predictions)
    edges = np.linspace(0, 1, bins + 1)
    parts = []
    for k, name in enumerate(task.classes):
        usable = ~np.isnan(scored.target[:, k]) & np.isfinite(scored.probability[:, k])
        target, probability = scored.target[usable, k], scored.probability[usable, k]
        where = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, bins - 1)
        n = np.bincount(where, minlength=bins)
        held = np.flatnonzero(n)
        count = n[held]
        observed = np.bincount(where, weights=target, minlength=bins)[held] / count
        centre = (observed + WILSON_Z**2 / (2 * count)) / (1 + WILSON_Z**2 / count)
        spread = observed * (1 - observed) / count + WILSON_Z**2 / (4 * count**2)
        half = WILSON_Z * np.sqrt(spread) / (1 + WILSON_Z**2 / count)
        parts.append(
            pd.DataFrame(
                {
                    "class": name,
                    "lower": edges[held],
                    "upper": edges[held + 1],
                    "n": count,
                    "mean_probability": np.bincount(where, weights=probability, minlength=bins)[
                        held
                    ]
                    / count,
                    "observed": observed,
                    "low": (centre - half).clip(0, 1),
                    "high": (centre + half).clip(0, 1),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
