"""PhysioNet Challenge 2022, outcomes: mean cost over patients (Abnormal, Normal)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pahcl.evaluation.official._cinc2022 import MEANS, SOURCE, class_scores, mean_cost
from pahcl.evaluation.official.base import Answers, Floats, Names, Scorer, Scores, pairs

WEIGHTS = (5.0, 1.0)
"""Of the true classes Abnormal, Normal."""


@dataclass(frozen=True, kw_only=True)
class CinC2022Outcome(Scorer):
    """Score clinical outcomes of patients by what screening them costs."""

    title = "PhysioNet Challenge 2022, clinical outcomes"
    source = SOURCE
    unit = "subject"
    classes = ("Abnormal", "Normal")
    aliases: ClassVar[Mapping[str, Names]] = {"Abnormal": ("outcome",)}
    complement = "Normal"
    one_class = True
    single_target = True
    fallback = "Abnormal"
    ranked = True
    severity = ("Abnormal", "Normal")
    headline = "cost"
    lower_is_better = frozenset({"cost"})
    means = MEANS

    def summands(self, answers: Answers) -> dict[str, Floats]:
        """Count outcomes against predictions."""
        return {"confusion": pairs(answers.target, answers.prediction)}

    def scores(self, sums: Mapping[str, Floats], whole: Mapping[str, Floats]) -> Scores:
        """Compute cost and weighted accuracy."""
        del whole
        tp, fn, fp, tn = sums["confusion"].T
        return class_scores(sums, WEIGHTS, {"cost": mean_cost(tp, fp, fn, tn)})
