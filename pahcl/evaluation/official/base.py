"""What every official scorer is: which columns it reads, what it adds up, and its formulas.

A scorer writes one row of numbers for each scored unit (`summands`) and computes its scores from
sums of these rows (`scores`). The sums of all rows give the score; the sums over drawn subjects
give its interval, by the same lines of code.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from pahcl.errors import UsageError

Floats = npt.NDArray[np.float64]
Names = tuple[str, ...]


def simple(name: str) -> str:
    """Write a name without case, blanks and signs, so that spellings can be compared."""
    return re.sub(r"[\W_]+", "", name).casefold()


def flag(text: str, words: Mapping[str, float] | None = None) -> float:
    """Read a cell that is 1 or 0, true or false, or one of two words.

    Raises:
        ValueError: It is none of them.
    """
    word = simple(text)
    if words and word in words:
        return words[word]
    if word in ("true", "false"):
        return float(word == "true")
    number = float(text)
    if number not in (0.0, 1.0):
        raise ValueError(f"{number} is neither 1 nor 0")
    return number


def matches(name: str, wanted: str, aliases: Mapping[str, Names]) -> bool:
    """Say whether a name is a class of the scorer in one of its spellings."""
    return simple(name) in {simple(one) for one in (wanted, *aliases.get(wanted, ()))}


@dataclass(frozen=True, kw_only=True)
class Extra:
    """Describe something that a scorer reads beside target and prediction, one value a unit.

    Args:
        name: Column of the predictions table, or of the file given as `--labels`.
        says: What it holds, for sentences and help.
        read: Turns one cell into a number; raises ValueError if it cannot.
        aliases: Other names of the column in publishers' files.
        gaps: It may be missing for some units; the scorer then knows what to do.
    """

    name: str
    says: str
    read: Callable[[str], float]
    aliases: Names = ()
    gaps: bool = False


@dataclass(frozen=True)
class Answers:
    """Hold what a scorer reads, classes in its own order.

    Args:
        classes: Names of the K classes.
        target: `[N, K]`, 0 or 1; NaN = not labelled, only where the scorer takes that.
        prediction: `[N, K]`, 0 or 1; exactly one a row where the scorer wants one class a unit.
        probability: `[N, K]`; None where the scorer does not need it.
        extras: For each `Extra` and each answer that is no label, where it is there, `[N]`;
            NaN only where it may have gaps.
    """

    classes: Names
    target: Floats
    prediction: Floats
    probability: Floats | None = None
    extras: Mapping[str, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True)
class Scores:
    """Hold the scores of S weightings of the rows, NaN where they are not defined.

    Args:
        whole: For each score of the whole table `[S]`.
        classes: For each score of a class `[S, K]`.
    """

    whole: dict[str, Floats]
    classes: dict[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scorer(ABC):
    """Score a predictions table by a published rule.

    Fields of a subclass are its options; `field(metadata={"help": ...})` makes one an option of
    `pahcl score`.

    Attributes:
        title: What is scored.
        source: Where the formula is published.
        unit: What one row must be.
        classes: Names of the classes; empty where the table's own are taken.
        aliases: Other spellings of a class.
        complement: A class that a table may lack, since it is the opposite of the other one.
        one_class: Each unit has exactly one predicted class, and its target at least one.
        single_target: The target of a unit is exactly one class.
        fallback: The class that stands where none or several are predicted; None: the most
            probable one.
        partial: Units that are labelled for some classes alone are taken.
        ranked: AUROC and AUPRC are scored too, from the probabilities.
        answers_only: Answers that are no label, such as `unsure`; a table may hold them as
            `prediction/<answer>`.
        reads_prediction: Decisions are read, not probabilities alone.
        severity: Classes from the gravest on: the order in which `any-site` decides.
        extras: What else is read, if it is there.
        headline: The score that the publisher ranks by.
        lower_is_better: Scores of which a smaller value is the better one.
        means: Scores that are means over classes, and the class score behind each.
    """

    title: ClassVar[str]
    source: ClassVar[str]
    unit: ClassVar[Literal["record", "subject"]] = "record"
    classes: ClassVar[Names] = ()
    aliases: ClassVar[Mapping[str, Names]] = {}
    complement: ClassVar[str | None] = None
    one_class: ClassVar[bool] = False
    single_target: ClassVar[bool] = False
    fallback: ClassVar[str | None] = None
    partial: ClassVar[bool] = False
    ranked: ClassVar[bool] = False
    answers_only: ClassVar[Names] = ()
    reads_prediction: ClassVar[bool] = True
    severity: ClassVar[Names] = ()
    extras: ClassVar[tuple[Extra, ...]] = ()
    headline: ClassVar[str]
    lower_is_better: ClassVar[frozenset[str]] = frozenset()
    means: ClassVar[Mapping[str, str]] = {}

    @property
    def name(self) -> str:
        """Name the scorer after its file."""
        return type(self).__module__.rsplit(".", 1)[-1]

    @property
    def needs_probability(self) -> bool:
        """Say whether probabilities are read."""
        return self.ranked

    def columns(self, found: Sequence[str]) -> dict[str, Names]:
        """Find the table's names of each class.

        Args:
            found: Classes of the predictions table.

        Returns:
            For each class of the scorer the table's names of it: one, none for a complement that
            is not there, several where the publisher counts classes as one.

        Raises:
            UsageError: A class is missing, given twice, or unknown.
        """
        if not self.classes:
            return {name: (name,) for name in found}
        named = {
            wanted: tuple(name for name in found if matches(name, wanted, self.aliases))
            for wanted in self.classes
        }
        missing = [name for name, there in named.items() if not there and name != self.complement]
        twice = [there for there in named.values() if len(there) > 1]
        unknown = [name for name in found if not any(name in there for there in named.values())]
        if missing or twice or unknown:
            what = (
                f"lacks {', '.join(missing)}"
                if missing
                else f"gives one class twice ({', '.join(twice[0])})"
                if twice
                else f"has other classes ({', '.join(unknown[:6])})"
            )
            raise UsageError(
                f"{self.name} scores the classes {', '.join(self.classes)}; the table {what} and "
                f"has {', '.join(found) or 'none'}. Score predictions of that task, with columns "
                f"such as `target/{self.classes[0]}`."
            )
        return named

    @abstractmethod
    def summands(self, answers: Answers) -> dict[str, Floats]:
        """Write what is added up, each `[N, M]`; `confusion` is truth by prediction, flat."""

    @abstractmethod
    def scores(self, sums: Mapping[str, Floats], whole: Mapping[str, Floats]) -> Scores:
        """Compute the scores from sums.

        Args:
            sums: Sums of the summands under S weightings of the rows, each `[S, M]`.
            whole: The same over the whole table, each `[1, M]`, for what a rule takes from it.
        """

    def confusion_names(self, answers: Answers) -> tuple[Names, Names]:
        """Name the rows (truth) and the columns (prediction) of the confusion table."""
        return answers.classes, answers.classes

    def notes(self, answers: Answers) -> list[str]:
        """Say what a reader must know about these scores."""
        return []


def ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Floats:
    """Divide; NaN where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.divide(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.where(np.asarray(denominator) == 0, np.nan, found)


def pairs(truth: Floats, said: Floats) -> Floats:
    """Write the confusion table of each row, `[N, K]` by `[N, J]` to `[N, K * J]`."""
    cells: Floats = (truth[:, :, None] * said[:, None, :]).reshape(len(truth), -1)
    return cells


def table_of(sums: Mapping[str, Floats], rows: int) -> Floats:
    """Read the summed confusion tables `[S, rows, columns]`."""
    cells = sums["confusion"]
    return cells.reshape(len(cells), rows, -1)


def diagonal(table: Floats) -> Floats:
    """Give what was right, class by class, `[S, K]`."""
    return np.asarray(np.diagonal(table, axis1=1, axis2=2))


def by_class(table: Floats) -> dict[str, Floats]:
    """Give F1, sensitivity and precision of each class of confusion tables `[S, K, K]`."""
    right, truth, said = diagonal(table), table.sum(axis=2), table.sum(axis=1)
    return {
        "f1": ratio(2 * right, truth + said),
        "sensitivity": ratio(right, truth),
        "precision": ratio(right, said),
    }
