"""PhysioNet Challenge 2022, murmurs: weighted accuracy over patients (Present, Unknown, Absent)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pahcl.evaluation.official._cinc2022 import MEANS, SOURCE, class_scores, mean_cost
from pahcl.evaluation.official.base import Answers, Extra, Floats, Scorer, Scores, flag, pairs

WEIGHTS = (5.0, 3.0, 1.0)
"""Of the true classes Present, Unknown, Absent."""

REFERRED = np.array([1.0, 1.0, 0.0])
"""Predicted Present and Unknown are sent to the expert."""


def read_outcome(text: str) -> float:
    """Read Abnormal as 1 and Normal as 0, or these numbers."""
    return flag(text, {"abnormal": 1.0, "normal": 0.0})


@dataclass(frozen=True, kw_only=True)
class CinC2022Murmur(Scorer):
    """Score murmurs of patients; with outcomes at hand also what the referrals cost."""

    title = "PhysioNet Challenge 2022, murmurs"
    source = SOURCE
    unit = "subject"
    classes = ("Present", "Unknown", "Absent")
    one_class = True
    single_target = True
    fallback = "Present"
    ranked = True
    severity = ("Present", "Unknown", "Absent")
    extras = (
        Extra(
            name="outcome",
            says="the clinical outcome, Abnormal or Normal (1 or 0)",
            read=read_outcome,
        ),
    )
    headline = "weighted_accuracy"
    lower_is_better = frozenset({"cost"})
    means = MEANS

    def summands(self, answers: Answers) -> dict[str, Floats]:
        """Count murmur labels against murmur predictions, and outcomes against referrals."""
        found = {"confusion": pairs(answers.target, answers.prediction)}
        if "outcome" in answers.extras:
            ill = answers.extras["outcome"]
            sent = answers.prediction @ REFERRED
            found["referral"] = pairs(
                np.stack([ill, 1 - ill], axis=1), np.stack([sent, 1 - sent], axis=1)
            )
        return found

    def scores(self, sums: Mapping[str, Floats], whole: Mapping[str, Floats]) -> Scores:
        """Compute the weighted accuracy, and the cost of referring Present and Unknown."""
        del whole
        cost: dict[str, Floats] = {}
        if "referral" in sums:
            tp, fn, fp, tn = sums["referral"].T
            cost["cost"] = mean_cost(tp, fp, fn, tn)
        return class_scores(sums, WEIGHTS, cost)

    def notes(self, answers: Answers) -> list[str]:
        """Say why there is no cost."""
        if "outcome" in answers.extras:
            return []
        return [
            "no cost: it is scored against the clinical outcome, which a column `outcome` or "
            "`--labels training_data.csv` would give"
        ]
