"""What the two sets of the PASCAL heart sound challenge share."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pahcl.evaluation.official.base import Answers, Floats, diagonal, ratio

SOURCE = (
    "Bentley et al., The PASCAL Classifying Heart Sounds Challenge 2011 (CHSC2011), as told by "
    "Gomes et al., Classifying heart sounds: approaches to the PASCAL challenge, HEALTHINF 2013"
)
ALIASES = {
    "normal": ("n",),
    "extrasound": ("extrahls", "extra heart sound"),
    "artifact": ("artefact",),
    "extrasystole": ("extrastole",),
}


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


def total_precision(table: Floats) -> Floats:
    """Add the precisions of all classes; one that is never predicted adds nothing."""
    total: Floats = np.nan_to_num(ratio(diagonal(table), table.sum(axis=1))).sum(axis=1)
    return total


def never_predicted(answers: Answers) -> list[str]:
    """Say which classes add nothing to the total precision."""
    said = answers.prediction.sum(axis=0)
    idle = [name for name, count in zip(answers.classes, said, strict=True) if not count]
    if not idle:
        return []
    return [f"never predicted, so nothing is added to the total precision: {', '.join(idle)}"]
