"""PASCAL challenge, set B: total precision of three classes, and how well problems are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pahcl.evaluation.official._pascal import (
    ALIASES,
    SOURCE,
    discriminant_power,
    never_predicted,
    total_precision,
    two_way,
)
from pahcl.evaluation.official.base import (
    Answers,
    Floats,
    Scorer,
    Scores,
    by_class,
    pairs,
    table_of,
)


@dataclass(frozen=True, kw_only=True)
class PascalB(Scorer):
    """Score recordings of the digital stethoscope; murmur and extrasystole are heart problems."""

    title = "PASCAL heart sound challenge 2011, set B"
    source = SOURCE
    classes = ("normal", "murmur", "extrasystole")
    aliases = ALIASES
    one_class = True
    single_target = True
    headline = "total_precision"

    def summands(self, answers: Answers) -> dict[str, Floats]:
        """Count labels against predictions."""
        return {"confusion": pairs(answers.target, answers.prediction)}

    def scores(self, sums: Mapping[str, Floats], whole: Mapping[str, Floats]) -> Scores:
        """Compute the total precision and the scores of heart problem against normal."""
        del whole
        table = table_of(sums, len(self.classes))
        sensitivity, specificity, _ = two_way(table, (1, 2))
        return Scores(
            {
                "total_precision": total_precision(table),
                "problem_sensitivity": sensitivity,
                "problem_specificity": specificity,
                "problem_youden": sensitivity + specificity - 1,
                "discriminant_power": discriminant_power(sensitivity, specificity),
                "discriminant_power_log10": discriminant_power(sensitivity, specificity, np.log10),
            },
            by_class(table),
        )

    def notes(self, answers: Answers) -> list[str]:
        """Say which classes add nothing, and where the discriminant power is infinite."""
        ill, said = answers.target[:, 0] == 0, answers.prediction[:, 0] == 0
        found = never_predicted(answers)
        if ill.any() and not ill.all() and (said[ill].all() or not said[~ill].any()):
            found.append("the discriminant power is infinite where a rate is 1; JSON holds null")
        return found
