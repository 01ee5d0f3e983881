"""Who is in which split, and in which label fraction: by subject, seeded, whatever the row order.

Every draw ranks subjects by a keyed hash of their identifier, never by their place in a table: the
same person falls to the same side on every machine, and rows added or left out move few others.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.errors import DataError
from pahcl.task import UNLABELLED_CLASS, Task

SPLITS = ("train", "val", "test")

AGE_BINS = 4
"""Quantile bins in which regression targets are balanced."""


def subject_rank(subject_id: str, seed: int, purpose: str) -> int:
    """Place a subject in a permutation that depends on the seed and the identifier alone."""
    text = f"{purpose}:{seed}:{subject_id}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def record_strata(task: Task, targets: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Give each record the stratum in which it should be balanced.

    Args:
        task: What is asked.
        targets: `[N]` or `[N, K]`, as `Task.targets` gives them.

    Returns:
        `[N]`: the rarest positive class of binary and multilabel records, the class of multiclass
        ones, the quantile bin of the first regression target; -1 where there is none.
    """
    if task.kind == "multiclass":
        return targets.astype(np.int64)
    if task.kind == "regression":
        first = targets[:, 0]
        known = np.isfinite(first)
        edges = np.quantile(first[known], np.arange(1, AGE_BINS) / AGE_BINS) if known.any() else []
        return np.where(known, np.searchsorted(np.asarray(edges), first, side="right"), -1)
    positive = targets > 0  # NaN is not
    support = positive.sum(axis=0)
    # Smallest support first; ties by the order of the classes.
    commonness = np.where(positive, support[None, :], np.iinfo(np.int64).max)
    return np.where(positive.any(axis=1), commonness.argmin(axis=1), -1).astype(np.int64)


def subject_strata(subjects: Iterable[str], strata: npt.NDArray[np.int64]) -> pd.Series:
    """Give each subject one stratum: the rarest of its records', -1 only where all have none.

    Returns:
        Strata by subject, sorted by subject.
    """
    table = pd.DataFrame({"subject": np.asarray(list(subjects), dtype=object), "stratum": strata})
    sizes = table["stratum"].value_counts()
    table["size"] = table["stratum"].map(sizes).where(table["stratum"] >= 0, len(table) + 1)
    table = table.sort_values(["subject", "size", "stratum"], kind="stable")
    return table.drop_duplicates("subject").set_index("subject")["stratum"]


def split_by_subject(
    subjects: pd.Series,
    strata: npt.NDArray[np.int64],
    val_fraction: float,
    test_fraction: float,
    seed: int,
) -> pd.Series:
    """Draw a split by subject, balanced over strata.

    Args:
        subjects: Subject of each record.
        strata: `[N]` stratum of each record, see `record_strata`.
        val_fraction: Share of the subjects that validate.
        test_fraction: Share of the subjects that test.
        seed: Key of the draw.

    Returns:
        `train`, `val` or `test` for each record, on the index of `subjects`. Each split gets at
        least one subject.

    Raises:
        DataError: There are fewer subjects than splits.
    """
    by_subject = subject_strata(subjects, strata)
    total = len(by_subject)
    wanted = {"test": test_fraction, "val": val_fraction}
    parts = {name: max(1, round(share * total)) for name, share in wanted.items() if share > 0}
    if sum(parts.values()) >= total:
        raise DataError(
            f"{total} subject(s) cannot fill a training split beside {parts}. Use more records, or "
            "smaller data.init_args.val_fraction and test_fraction."
        )
    order = pd.DataFrame(
        {
            "stratum": by_subject.to_numpy(),
            "rank": [subject_rank(str(name), seed, "split") for name in by_subject.index],
        },
        index=by_subject.index,
    ).sort_values(["stratum", "rank"])
    # In each stratum the first ranks test, the next ones validate: somebody who is added moves at
    # most one other person over each border.
    sides = pd.Series("train", index=order.index, dtype=object)
    for name, count in parts.items():
        free = order[sides == "train"]
        shares = allot(free["stratum"].value_counts().sort_index(), count)
        place = free.groupby("stratum").cumcount()
        sides[free.index[place < free["stratum"].map(shares)]] = name
    return subjects.map(sides)


def allot(sizes: pd.Series, count: int) -> pd.Series:
    """Share a count out over strata in proportion to their sizes, by largest remainders.

    Args:
        sizes: Size of each stratum; together more than `count`.
        count: What is shared out.

    Returns:
        Counts on the index of `sizes`, which add up to `count` and are within 1 of the proportion.
    """
    quotas = sizes * count / sizes.sum()
    shares = quotas.astype(np.int64)
    # Rounded, so that equal remainders are equal and fall to the stratum that comes first.
    remainders = (quotas - shares).round(9).sort_values(ascending=False, kind="stable")
    shares[remainders.index[: count - int(shares.sum())]] += 1
    return shares


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


def require_disjoint(subjects: pd.Series, split: pd.Series) -> None:
    """Refuse a split in which one person is on two sides.

    Raises:
        DataError: Naming some of these persons.
    """
    inside = split.notna()
    sides = split[inside].groupby(subjects[inside].to_numpy()).nunique()
    leaks = sorted(str(name) for name in sides.index[sides > 1])
    if leaks:
        shown = ", ".join(leaks[:5])
        raise DataError(
            f"{len(leaks)} subject(s) are in more than one split (such as {shown}), so "
            "results would be too good. The split of the table must be by subject."
        )


def labelled(task: Task, targets: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Say for each row of targets whether anything in it is labelled."""
    if task.kind == "multiclass":
        return np.asarray(targets != UNLABELLED_CLASS)
    return np.asarray(np.isfinite(targets).any(axis=1))
