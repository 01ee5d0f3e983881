"""PASCAL challenge, set A: total precision of four classes, and how well artifacts are found."""

from __future__ import annotations

from dataclasses import dataclass

from pahcl.evaluation.official._pascal import Pascal, f_beta, two_way
from pahcl.evaluation.official.base import Floats

BETA = 0.9


@dataclass(frozen=True, kw_only=True)
class PascalA(Pascal):
    """Score recordings of the phone application, of which artifacts are to be found."""

    title = "PASCAL heart sound challenge 2011, set A"
    classes = ("normal", "murmur", "extrasound", "artifact")

    def two_way_scores(self, table: Floats) -> dict[str, Floats]:
        """Score artifact against the rest."""
        sensitivity, specificity, precision = two_way(table, (self.classes.index("artifact"),))
        return {
            "artifact_sensitivity": sensitivity,
            "artifact_specificity": specificity,
            "artifact_youden": sensitivity + specificity - 1,
            "artifact_f0.9": f_beta(precision, sensitivity, BETA),
        }
