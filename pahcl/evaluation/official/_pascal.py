"""What the two sets of the PASCAL heart sound challenge share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from pahcl.evaluation.official.base import (
    Answers,
    Floats,
    Names,
    Scorer,
    Scores,
    by_class,
    diagonal,
    pairs,
    ratio,
    table_of,
)


def discriminant_power(
    sensitivity: Floats, specificity: Floats, log: Callable[[Floats], Floats] = np.log
) -> Floats:
    """Compute sqrt(3) / pi (log odds of the sensitivity + log odds of the specificity).

    It is infinite where one of the two is 1 and the other is not 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = log(sensitivity / (1 - sensitivity)) + log(specificity / (1 - specificity))
        power: Floats = math.sqrt(3) / math.pi * odds
    return power


def f_beta(precision: Floats, recall: Floats, beta: float) -> Floats:
    """Compute the F score that takes recall as beta times as important as precision."""
    square = beta * beta
    return ratio((1 + square) * precision * recall, square * precision + recall)


def two_way(table: Floats, positive: tuple[int, ...]) -> tuple[Floats, Floats, Floats]:
    """Give sensitivity, specificity and precision of a group of classes against the rest.

    Args:
        table: Truth by prediction `[S, K, K]`.
        positive: The group; which of its classes was said does not matter.
    """
    rest = [k for k in range(table.shape[1]) if k not in positive]
    truth, others = table[:, positive], table[:, rest]
    tp, fp = truth[:, :, positive].sum(axis=(1, 2)), others[:, :, positive].sum(axis=(1, 2))
    positives, negatives = truth.sum(axis=(1, 2)), others.sum(axis=(1, 2))
    return ratio(tp, positives), ratio(negatives - fp, negatives), ratio(tp, tp + fp)


class Pascal(Scorer):
    """Score one of the two sets: the total precision, and a question of two answers."""

    source = (
        "Bentley et al., The PASCAL Classifying Heart Sounds Challenge 2011 (CHSC2011), as told by "
        "Gomes et al., Classifying heart sounds: approaches to the PASCAL challenge, HEALTHINF 2013"
    )
    aliases: ClassVar[Mapping[str, Names]] = {
        "normal": ("n",),
        "extrasound": ("extrahls", "extra heart sound"),
        "artifact": ("artefact",),
        "extrasystole": ("extrastole",),
    }
    one_class = True
    single_target = True
    headline = "total_precision"

    @abstractmethod
    def two_way_scores(self, table: Floats) -> dict[str, Floats]:
        """Score the question of two answers, of truth by prediction `[S, K, K]`."""

    def summands(self, answers: Answers) -> dict[str, Floats]:
        """Count labels against predictions."""
        return {"confusion": pairs(answers.target, answers.prediction)}

    def scores(self, sums: Mapping[str, Floats], whole: Mapping[str, Floats]) -> Scores:
        """Compute the total precision and the scores of the question of two answers."""
        del whole
        table = table_of(sums, len(self.classes))
        # A class that is never predicted adds nothing.
        total = np.nan_to_num(ratio(diagonal(table), table.sum(axis=1))).sum(axis=1)
        return Scores({"total_precision": total, **self.two_way_scores(table)}, by_class(table))

    def notes(self, answers: Answers) -> list[str]:
        """Say which classes add nothing to the total precision."""
        said = answers.prediction.sum(axis=0)
        idle = [name for name, count in zip(answers.classes, said, strict=True) if not count]
        text = "never predicted, so nothing is added to the total precision"
        return [f"{text}: {', '.join(idle)}"] if idle else []
