"""Which subjects' labels training uses: a share of them, or a few of each class."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._splits import subject_rank
from pahcl.errors import DataError
from pahcl.task import Task


def nested_order(by_subject: pd.Series, seed: int) -> list[str]:
    """Order subjects such that every beginning of the list is balanced over strata.

    Fractions are beginnings of this one list: a smaller one lies wholly in a larger one. In each of
    them every stratum has its exact share, rounded up or down to a subject; a rare one is rounded
    up as early as the others' shares allow.

    Args:
        by_subject: Strata by subject, see `subject_strata`.
        seed: Key of the draw.
    """
    ranks = [subject_rank(str(name), seed, "fraction") for name in by_subject.index]
    table = pd.DataFrame({"stratum": by_subject.to_numpy(), "rank": ranks}, index=by_subject.index)
    table = table.sort_values("rank")
    strata = table["stratum"].to_numpy(dtype=np.int64)
    waiting = {int(name): iter(table.index[strata == name]) for name in np.unique(strata)}
    turns = take_turns({name: int((strata == name).sum()) for name in waiting})
    return [str(next(waiting[stratum])) for stratum in turns]


def take_turns(sizes: Mapping[int, int]) -> list[int]:
    """Interleave strata such that every beginning holds of each its share, rounded up or down.

    The i-th member of a stratum that has the share s of all must come after place (i - 1) / s and
    not behind place i / s, rounded up. Whoever must come first comes first: this keeps all terms
    (Baruah, Cohen, Plaxton and Varvel, Proportionate progress, Algorithmica 15, 1996). Read
    backwards the order keeps them too, and rare strata come before common ones, not behind.

    Args:
        sizes: Size of each stratum.
    """
    total = sum(sizes.values())
    names = sorted(sizes)
    # (place from which on the next member may come, stratum, member)
    later = [(1, place, 1) for place in range(len(names))]
    ready: list[tuple[int, int, int]] = []
    turns = []
    for now in range(1, total + 1):
        while later and later[0][0] <= now:
            _, place, member = heapq.heappop(later)
            heapq.heappush(ready, (-(-member * total // sizes[names[place]]), place, member))
        _, place, member = heapq.heappop(ready)
        turns.append(names[place])
        if member < sizes[names[place]]:
            begin = member * total // sizes[names[place]] + 1
            heapq.heappush(later, (begin, place, member + 1))
    return turns[::-1]


def fraction_of_subjects(order: list[str], fraction: float, of: int | None = None) -> set[str]:
    """Take the beginning of a nested order.

    Args:
        order: Subjects of the training split, see `nested_order`.
        fraction: Share to take, in (0, 1].
        of: Number of subjects that the share refers to; None means those of `order`.

    Raises:
        DataError: The share of the whole is more than the training split holds.
    """
    if fraction >= 1:
        return set(order)
    # 0.1 * 30 is 3.0000000000000004: rounded first, so that the ceiling adds nobody.
    count = int(np.ceil(round(fraction * (of or len(order)), 9)))
    if count > len(order):
        raise DataError(
            f"data.init_args.fraction {fraction:g} of the whole data set is {count} subjects, but "
            f"the training split has {len(order)}. Use a smaller fraction, or fraction_of: train."
        )
    return set(order[:count])


def shots_of_classes(
    task: Task,
    subjects: pd.Series,
    targets: npt.NDArray[Any],
    shots: int,
    seed: int,
) -> tuple[set[str], dict[str, int]]:
    """Draw a few subjects of each class.

    For each class the first subjects that have it are taken, in one order that the seed draws. So
    fewer shots lie in more, and whoever has several classes may be one of each: a class can end up
    with more than was asked for. A binary task takes as many subjects without its class; a
    multilabel one takes nobody for having none.

    Args:
        task: What is asked; regression has no classes.
        subjects: Subject of each labelled training record.
        targets: Their targets, as `Task.targets` gives them.
        shots: Subjects of each class.
        seed: Key of the draw.

    Returns:
        The subjects, and the classes that have fewer than asked for, with how many they have.
    """
    positive = class_marks(task, targets)
    names = subjects.to_numpy(dtype=object)
    people = sorted(set(names), key=lambda name: subject_rank(str(name), seed, "shots"))
    chosen: set[str] = set()
    short: dict[str, int] = {}
    for name, marks in positive.items():
        having = set(names[marks])
        first = [person for person in people if person in having][:shots]
        chosen.update(first)
        if len(first) < shots:
            short[name] = len(first)
    return chosen, short


def class_marks(task: Task, targets: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.bool_]]:
    """Say for each class which records have it; of a binary task also which have it not."""
    if task.kind == "multiclass":
        return {name: targets == code for code, name in enumerate(task.classes)}
    marks = {name: targets[:, k] > 0 for k, name in enumerate(task.classes)}
    if task.kind == "binary":
        marks[f"not {task.classes[0]}"] = targets[:, 0] == 0
    return marks
