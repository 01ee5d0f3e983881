"""PhysioNet Challenge 2016: MAcc of abnormal heart sounds, with signal quality and `unsure`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pahcl.errors import UsageError
from pahcl.evaluation.official.base import (
    Answers,
    Extra,
    Floats,
    Names,
    Scorer,
    Scores,
    flag,
    pairs,
    ratio,
    table_of,
)

KINDS = ("abnormal, clean", "abnormal, noisy", "normal, clean", "normal, noisy")
SAID = ("abnormal", "unsure", "normal")


@dataclass(frozen=True, kw_only=True)
class CinC2016(Scorer):
    """Score normal against abnormal recordings, of which noisy ones may be called unsure.

    Args:
        unsure: Probabilities of the abnormal class between these two, ends included, are the
            answer `unsure`. A table may hold that answer itself, as `prediction/unsure`.
        clean_shares: Shares of clean recordings among the abnormal and among the normal ones of
            the complete test set; None takes those of the table.
    """

    unsure: tuple[float, float] | None = field(
        default=None,
        metadata={
            "help": "probabilities of abnormal from LOW to HIGH are the answer `unsure`",
            "metavar": ("LOW", "HIGH"),
        },
    )
    clean_shares: tuple[float, float] | None = field(
        default=None,
        metadata={
            "help": "shares of clean recordings among the abnormal and the normal ones of the "
            "complete test set (default: those of the table)",
            "metavar": ("ABNORMAL", "NORMAL"),
        },
    )

    title = "PhysioNet Challenge 2016, abnormal heart sounds"
    source = (
        "Clifford et al., Classification of normal/abnormal heart sound recordings: the "
        "PhysioNet/Computing in Cardiology Challenge 2016, CinC 2016, pp. 609-612"
    )
    classes = ("abnormal", "normal")
    complement = "normal"
    one_class = True
    single_target = True
    answers_only = ("unsure",)
    severity = ("abnormal", "normal")
    extras = (
        Extra(
            name="quality",
            says="the signal quality, 1 clean or 0 noisy",
            read=flag,
            aliases=("sqi",),
        ),
    )
    headline = "macc"

    def __post_init__(self) -> None:
        for option, values in (("unsure", self.unsure), ("clean-shares", self.clean_shares)):
            if values is not None and not all(0 <= value <= 1 for value in values):
                raise UsageError(f"`--{option}` takes two numbers from 0 to 1, got {values}.")
        if self.unsure is not None and self.unsure[0] > self.unsure[1]:
            raise UsageError(f"`--unsure LOW HIGH`: LOW is above HIGH in {self.unsure}.")

    @property
    def needs_probability(self) -> bool:
        """Say whether probabilities are read: only to find what is unsure."""
        return self.unsure is not None

    def summands(self, answers: Answers) -> dict[str, Floats]:
        """Count recordings by label and quality against the three answers."""
        clean = answers.extras.get("quality", np.ones(len(answers)))
        unsure = self._unsure(answers)
        grade = np.stack([clean, 1 - clean], axis=1)
        abnormal, normal = answers.prediction.T
        said = np.stack([abnormal * (1 - unsure), unsure, normal * (1 - unsure)], axis=1)
        return {"confusion": pairs(pairs(answers.target, grade), said)}

    def _unsure(self, answers: Answers) -> Floats:
        unsure = answers.extras.get("unsure", np.zeros(len(answers)))
        if self.unsure is None or answers.probability is None:
            return unsure
        low, high = self.unsure
        abnormal = answers.probability[:, 0]
        return np.maximum(unsure, (abnormal >= low) & (abnormal <= high))

    def scores(self, sums: Mapping[str, Floats], whole: Mapping[str, Floats]) -> Scores:
        """Compute the modified sensitivity and specificity, and their mean."""
        table, complete = table_of(sums, len(KINDS)), table_of(whole, len(KINDS))[0].sum(axis=1)
        clean = (
            self.clean_shares
            if self.clean_shares is not None
            else (ratio(complete[0], complete[:2].sum()), ratio(complete[2], complete[2:].sum()))
        )
        sensitivity = _rate(table[:, 0], table[:, 1], float(clean[0]), right=0)
        specificity = _rate(table[:, 2], table[:, 3], float(clean[1]), right=2)
        said = table.sum(axis=1)
        return Scores(
            {
                "macc": (sensitivity + specificity) / 2,
                "sensitivity": sensitivity,
                "specificity": specificity,
                "unsure_share": ratio(said[:, 1], said.sum(axis=1)),
            }
        )

    def confusion_names(self, answers: Answers) -> tuple[Names, Names]:
        """Name kinds of recordings and answers."""
        del answers
        return KINDS, SAID

    def notes(self, answers: Answers) -> list[str]:
        """Say what is not official about these scores."""
        notes = []
        if "quality" not in answers.extras:
            notes.append(
                "the signal quality is not known, so every recording counts as clean and `unsure` "
                "as wrong; a column `quality` or `--labels REFERENCE-SQI.csv` would give it"
            )
        if self.clean_shares is None:
            notes.append(
                "the shares of clean recordings are those of this table; the Challenge took those "
                "of its complete test set, which is not public"
            )
        return notes


def _rate(clean: Floats, noisy: Floats, clean_share: float, right: int) -> Floats:
    """Weigh the shares of right answers; where no recording has a grade, it must weigh nothing.

    Args:
        clean: Answers to clean recordings of one class `[S, 3]`.
        noisy: Answers to its noisy recordings, where `unsure` is right too.
        clean_share: Weight of the clean ones.
        right: Column of the right answer.
    """
    parts = (
        (clean_share, ratio(clean[:, right], clean.sum(axis=1))),
        (1 - clean_share, ratio(noisy[:, right] + noisy[:, 1], noisy.sum(axis=1))),
    )
    found = np.zeros(len(clean))
    for weight, rate in parts:
        if weight != 0:  # NaN, where the class has no recording at all, stays
            found = found + weight * rate
    return found
