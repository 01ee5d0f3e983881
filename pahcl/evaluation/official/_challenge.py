"""What the ECG Challenges of 2020 and 2021 share: the metric with partial credit."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from pahcl.errors import PahclError, UsageError
from pahcl.evaluation.official.base import Answers, Floats, Names, Scorer, Scores, ratio, simple

EQUIVALENT = (("713427006", "59118001"), ("284470004", "63593006"), ("427172004", "17338001"))
"""SNOMED CT codes that both Challenges count as one class: complete right bundle branch block and
right bundle branch block, premature atrial and supraventricular contractions, premature ventricular
contractions under two codes."""

NORMAL = ("426783006", "NSR", "SNR", "SR", "NORM")
"""Normal sinus rhythm, the answer of a network that does nothing."""


@dataclass(frozen=True)
class Credits:
    """Hold a table of credits.

    Args:
        groups: For each scored class the names that count as it.
        values: `[K, K]`, the credit of answering column for row.
        normal: Index of the class of the inactive answer.
    """

    groups: tuple[Names, ...]
    values: Floats
    normal: int


def read_credits(path: str | Path, normal: str | None = None) -> Credits:
    """Read a publisher's `weights.csv`: classes in the first row and column, credits between.

    Classes joined by `|`, and those of `EQUIVALENT`, are one.

    Raises:
        UsageError: There is no such file, or no class for normal rhythm.
        PahclError: It holds something else.
    """
    source = Path(path)
    if not source.is_file():
        raise UsageError(f"There is no table of weights at {source}; `--weights` names it.")
    try:
        with source.open(encoding="utf-8-sig", newline="") as stream:
            rows = [[cell.strip() for cell in row] for row in csv.reader(stream) if any(row)]
        names = rows[0][1:]
        values = np.array([[float(cell) for cell in row[1:]] for row in rows[1:]])
    except (UnicodeDecodeError, csv.Error, ValueError, IndexError) as error:
        raise PahclError(f"{source} cannot be read as a table of weights ({error}).") from error
    if [row[0] for row in rows[1:]] != names or values.shape != (len(names), len(names)):
        raise PahclError(
            f"{source} is no table of weights: its first row and its first column must name the "
            "same classes in the same order."
        )
    if not np.isfinite(values).all():
        raise PahclError(f"{source} holds a weight that is no finite number.")
    groups, chosen = _merge(names, values, source)
    wanted = {simple(name) for name in ((normal,) if normal else NORMAL)}
    found = [k for k, group in enumerate(groups) if wanted & {simple(name) for name in group}]
    if not found:
        raise UsageError(
            f"{source} has no class {normal or NORMAL[0]} for normal rhythm; name one of its "
            f"classes with `--normal`: {', '.join(names[:8])} …"
        )
    return Credits(groups, values[np.ix_(chosen, chosen)], found[0])


def _merge(
    names: Sequence[str], values: Floats, source: Path
) -> tuple[tuple[Names, ...], list[int]]:
    """Group classes that count as one, and choose a row for each group."""
    groups: list[list[str]] = []
    chosen: list[int] = []
    for k, name in enumerate(names):
        codes = [code.strip() for code in name.split("|")]
        codes += [code for pair in EQUIVALENT if set(pair) & set(codes) for code in pair]
        known = [g for g, group in enumerate(groups) if set(group) & set(codes)]
        if not known:
            groups.append(list(dict.fromkeys(codes)))
            chosen.append(k)
            continue
        first = chosen[known[0]]
        same = np.array_equal(values[k], values[first]) and np.array_equal(
            values[:, k], values[:, first]
        )
        if not same:
            raise PahclError(
                f"{source}: {name} and {names[first]} are one class, but have different weights."
            )
    return tuple(tuple(group) for group in groups), chosen


@dataclass(frozen=True, kw_only=True)
class PartialCredit(Scorer):
    """Score several classes a record, with credit for answers that are nearly right.

    Args:
        weights: A table of weights, which also names the scored classes; None takes the
            publisher's, where it is part of the package.
        normal: The table's class of normal rhythm, where it is not found by itself.
    """

    weights: str | None = field(
        default=None,
        metadata={
            "help": "a weights.csv, which names the scored classes too (default: the publisher's; "
            "that of 2020 must be fetched)"
        },
    )
    normal: str | None = field(
        default=None,
        metadata={"help": "the class of normal rhythm in it (default: 426783006 or NSR)"},
    )

    ranked = True
    headline = "challenge_metric"
    means: ClassVar[Mapping[str, str]] = {
        "macro_f1": "f1",
        "macro_auroc": "auroc",
        "macro_auprc": "auprc",
    }

    page: ClassVar[str] = "https://github.com/physionetchallenges"
    own_weights: ClassVar[Path | None] = None
    """The publisher's table of weights, where it is part of the package."""

    def __post_init__(self) -> None:
        weights = self.weights or self.own_weights
        if weights is None:
            raise UsageError(
                f"{self.name} needs the publisher's table of weights, which is not part of pahcl: "
                f"take weights.csv from {self.page} and name it with `--weights FILE`."
            )
        object.__setattr__(self, "_credits", read_credits(weights, self.normal))

    @property
    def credits(self) -> Credits:
        """Give the table of weights."""
        found: Credits = vars(self)["_credits"]
        return found

    def columns(self, found: Sequence[str]) -> dict[str, Names]:
        """Find the scored classes; those that the table lacks are never labelled or predicted."""
        named = {
            "|".join(group): tuple(
                name
                for name in found
                if {simple(one) for one in name.split("|")} & {simple(one) for one in group}
            )
            for group in self.credits.groups
        }
        if not any(named.values()):
            table = self.weights or self.name
            raise UsageError(
                f"The predictions table has none of the classes of {table}, but "
                f"{', '.join(found[:8]) or 'none'}. Take the table of weights whose names are "
                f"those of the predictions: {', '.join(self.credits.groups[0])} …"
            )
        return named

    def summands(self, answers: Answers) -> dict[str, Floats]:
        """Add up credits, divided by the number of classes that are labelled or predicted."""
        labels, said = answers.target, answers.prediction
        idle = np.zeros_like(said)
        idle[:, self.credits.normal] = 1
        credit = [self._credit(labels, answer) for answer in (said, labels, idle)]
        right = (labels == said).all(axis=1)
        return {
            "credit": np.stack(credit, axis=1),
            "right": np.stack([right, np.ones(len(labels))], axis=1).astype(np.float64),
            "tp": labels * said,
            "fp": (1 - labels) * said,
            "fn": labels * (1 - said),
        }

    def _credit(self, labels: Floats, said: Floats) -> Floats:
        """Give each record's credit `[N]`."""
        classes = np.maximum(np.maximum(labels, said).sum(axis=1), 1)
        credit: Floats = ((labels @ self.credits.values) * said).sum(axis=1) / classes
        return credit

    def scores(self, sums: Mapping[str, Floats], whole: Mapping[str, Floats]) -> Scores:
        """Normalise: 1 is the right answer to all records, 0 normal rhythm for all."""
        del whole
        observed, correct, inactive = sums["credit"].T
        right, records = sums["right"].T
        tp, fp, fn = (sums[name] for name in ("tp", "fp", "fn"))
        # Sums of credits are rounded, so that equal ones may differ in the last digits.
        same = np.isclose(correct, inactive, rtol=1e-12, atol=0)
        return Scores(
            {
                "challenge_metric": np.where(
                    same, 0.0, np.nan_to_num(ratio(observed - inactive, correct - inactive))
                ),
                "accuracy": ratio(right, records),
            },
            {"f1": ratio(2 * tp, 2 * tp + fp + fn)},
        )
