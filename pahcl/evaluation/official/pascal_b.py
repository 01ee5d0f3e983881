"""PASCAL challenge, set B: total precision of three classes, and how well problems are found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pahcl.evaluation.official._pascal import Pascal, discriminant_power, two_way
from pahcl.evaluation.official.base import Answers, Floats


@dataclass(frozen=True, kw_only=True)
class PascalB(Pascal):
    """Score recordings of the digital stethoscope; murmur and extrasystole are heart problems."""

    title = "PASCAL heart sound challenge 2011, set B"
    classes = ("normal", "murmur", "extrasystole")

    def two_way_scores(self, table: Floats) -> dict[str, Floats]:
        """Score heart problem against normal."""
        sensitivity, specificity, _ = two_way(table, (1, 2))
        return {
            "problem_sensitivity": sensitivity,
            "problem_specificity": specificity,
            "problem_youden": sensitivity + specificity - 1,
            "discriminant_power": discriminant_power(sensitivity, specificity),
            "discriminant_power_log10": discriminant_power(sensitivity, specificity, np.log10),
        }

    def notes(self, answers: Answers) -> list[str]:
        """Say which classes add nothing, and where the discriminant power is infinite."""
        ill, said = answers.target[:, 0] == 0, answers.prediction[:, 0] == 0
        found = super().notes(answers)
        if ill.any() and not ill.all() and (said[ill].all() or not said[~ill].any()):
            found.append("the discriminant power is infinite where a rate is 1; JSON holds null")
        return found
