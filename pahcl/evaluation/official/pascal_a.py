"""PASCAL challenge, set A: total precision of four classes, and how well artifacts are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pahcl.evaluation.official._pascal import (
    ALIASES,
    SOURCE,
    f_beta,
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

BETA = 0.9


@dataclass(frozen=True, kw_only=True)
class PascalA(Scorer):
    """Score recordings of the phone application, of which artifacts are to be found."""

    title = "PASCAL heart sound challenge 2011, set A"
    source = SOURCE
    classes = ("normal", "murmur", "extrasound", "artifact")
    aliases = ALIASES
    one_class = True
    single_target = True
    headline = "total_precision"

    def summands(self, answers: Answers) -> dict[str, Floats]:
        """Count labels against predictions."""
        return {"confusion": pairs(answers.target, answers.prediction)}

    def scores(self, sums: Mapping[str, Floats], whole: Mapping[str, Floats]) -> Scores:
        """Compute the total precision and the scores of artifact against the rest."""
        del whole
        table = table_of(sums, len(self.classes))
        sensitivity, specificity, precision = two_way(table, (self.classes.index("artifact"),))
        return Scores(
            {
                "total_precision": total_precision(table),
                "artifact_sensitivity": sensitivity,
                "artifact_specificity": specificity,
                "artifact_youden": sensitivity + specificity - 1,
                "artifact_f0.9": f_beta(precision, sensitivity, BETA),
            },
            by_class(table),
        )

    def notes(self, answers: Answers) -> list[str]:
        """Say which classes add nothing."""
        return never_predicted(answers)
