"""What the two tasks of the Challenge of 2022 share: weighted accuracy and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pahcl.evaluation.official.base import Floats, Scores, by_class, diagonal, ratio, table_of

SOURCE = (
    "Reyna et al., Heart murmur detection from phonocardiogram recordings: the George B. Moody "
    "PhysioNet Challenge 2022, PLOS Digital Health 2(9), 2023"
)
PRESCREENING, TREATMENT, MISSED = 10.0, 10_000.0, 50_000.0
"""Cost of the algorithm for each patient, of treating a patient, of treating one late."""

EXPERT = (25.0, 397.0, -1718.0, 0.0, 11296.0)
"""Mean cost of expert screening a patient, as coefficients of powers of the referred share."""

MEANS: Mapping[str, str] = {
    "uar": "sensitivity",
    "macro_f1": "f1",
    "macro_auroc": "auroc",
    "macro_auprc": "auprc",
}


def mean_cost(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Compute the mean cost a patient of referring the positives, in the Challenge's currency."""
    patients = tp + fp + fn + tn
    referred = ratio(tp + fp, patients)
    expert = sum(factor * referred**power for power, factor in enumerate(EXPERT))
    cost: Floats = PRESCREENING + expert + ratio(TREATMENT * tp + MISSED * fn, patients)
    return cost


def weighted_accuracy(table: Floats, weights: Sequence[float]) -> Floats:
    """Compute the share of right answers, each weighted by its true class, `[S]`."""
    factors = np.asarray(weights)
    return ratio(diagonal(table) @ factors, table.sum(axis=2) @ factors)


def class_scores(
    sums: Mapping[str, Floats], weights: Sequence[float], more: Mapping[str, Floats]
) -> Scores:
    """Compute what both tasks report, and add what is a task's own."""
    table = table_of(sums, len(weights))
    whole = {
        **more,
        "weighted_accuracy": weighted_accuracy(table, weights),
        "accuracy": ratio(diagonal(table).sum(axis=1), table.sum(axis=(1, 2))),
    }
    return Scores(whole, by_class(table))
