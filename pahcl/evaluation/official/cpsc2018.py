"""CPSC 2018: mean F1 of nine classes of 12-lead ECG, and F1 of four groups of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pahcl.errors import PahclError
from pahcl.evaluation.official.base import (
    Answers,
    Extra,
    Floats,
    Names,
    Scorer,
    Scores,
    by_class,
    diagonal,
    matches,
    pairs,
    ratio,
    table_of,
)

CLASSES = ("Normal", "AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE")
"""In the order of the publisher's codes 1 to 9."""

ALIASES: Mapping[str, Names] = {
    "Normal": ("N", "NORM", "SNR", "NSR", "426783006"),
    "AF": ("AFIB", "164889003"),
    "I-AVB": ("IAVB", "1AVB", "1dAVb", "270492004"),
    "LBBB": ("CLBBB", "164909002"),
    "RBBB": ("CRBBB", "59118001"),
    "PAC": ("284470004",),
    "PVC": ("VPC", "164884008"),
    "STD": ("429622005",),
    "STE": ("164931005",),
}
GROUPS: Mapping[str, tuple[int, ...]] = {
    "f1_af": (1,),
    "f1_block": (2, 3, 4),
    "f1_premature": (5, 6),
    "f1_st": (7, 8),
}


def read_label(text: str) -> float:
    """Read a code from 1 to 9, or a class by its name, as an index.

    Raises:
        ValueError: It is neither.
    """
    for k, name in enumerate(CLASSES):
        if matches(text, name, ALIASES):
            return float(k)
    code = float(text)
    if code not in range(1, len(CLASSES) + 1):
        raise ValueError(f"{text} is no code from 1 to {len(CLASSES)}")
    return code - 1


@dataclass(frozen=True, kw_only=True)
class CPSC2018(Scorer):
    """Score one predicted class a record against up to three labels."""

    title = "China Physiological Signal Challenge 2018"
    source = (
        "Liu et al., An open access database for evaluating the algorithms of electrocardiogram "
        "rhythm and morphology abnormality detection, J. Med. Imaging Health Inform. 8(7), 2018, "
        "and the organisers' scoring script"
    )
    classes = CLASSES
    aliases = ALIASES
    one_class = True
    extras = (
        Extra(
            name="first_label",
            says="the first of the record's labels, as a code from 1 to 9 or a class",
            read=read_label,
            gaps=True,
        ),
    )
    headline = "f1"
    means: ClassVar[Mapping[str, str]] = {"f1": "f1"}

    def summands(self, answers: Answers) -> dict[str, Floats]:
        """Count the one predicted class as its own label if it is among the record's labels."""
        hit = (answers.target * answers.prediction).sum(axis=1, keepdims=True)
        row = np.where(hit > 0, answers.prediction, np.eye(len(CLASSES))[self._first(answers)])
        return {"confusion": pairs(row, answers.prediction)}

    @staticmethod
    def _first(answers: Answers) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Give the first label of each record; without one at hand the first in order."""
        in_order = answers.target.argmax(axis=1)
        given = answers.extras.get("first_label", np.full(len(answers), np.nan))
        first = np.where(np.isnan(given), in_order, given).astype(np.int64)
        wrong = answers.target[np.arange(len(first)), first] != 1
        if wrong.any():
            raise PahclError(
                f"The first label of {int(wrong.sum())} record(s) is not among their labels (one "
                f"is labelled {CLASSES[in_order[wrong][0]]}, its first label is "
                f"{CLASSES[first[wrong][0]]}): `first_label` is of other records than the "
                "predictions. Name their own file with `--labels`."
            )
        return first

    def scores(self, sums: Mapping[str, Floats], whole: Mapping[str, Floats]) -> Scores:
        """Compute F1 of each class and of each group of classes."""
        del whole
        table = table_of(sums, len(CLASSES))
        right, margins = diagonal(table), table.sum(axis=2) + table.sum(axis=1)
        groups = {
            name: ratio(2 * right[:, members].sum(axis=1), margins[:, members].sum(axis=1))
            for name, members in GROUPS.items()
        }
        return Scores(groups, {"f1": by_class(table)["f1"]})

    def notes(self, answers: Answers) -> list[str]:
        """Say where the order of the labels matters and is not known."""
        given = answers.extras.get("first_label", np.full(len(answers), np.nan))
        several = answers.target.sum(axis=1) > 1
        open_rows = (
            np.isnan(given) & several & ((answers.target * answers.prediction).sum(axis=1) == 0)
        )
        if not open_rows.any():
            return []
        return [
            f"{int(open_rows.sum())} wrong answer(s) to records with several labels count against "
            "the first of them in the order of the classes; the publisher's order, which a column "
            "`first_label` or `--labels REFERENCE.csv` would give, may differ"
        ]
