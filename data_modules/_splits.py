"""Who is in which split: by subject, seeded, whatever the row order.

Every draw ranks subjects by a keyed hash of their identifier, never by their place in a table: the
same person falls to the same side on every machine, and rows added or left out move few others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
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
            f"{total} subject(s) cannot fill a training split beside "
            f"{' and '.join(f'{count} for {name}' for name, count in parts.items())}. Use more "
            "records, or smaller data.init_args.val_fraction and test_fraction."
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


def k_folds(
    subjects: pd.Series, strata: npt.NDArray[np.int64], folds: int, fold: int, seed: int
) -> pd.Series:
    """Deal subjects out to k folds, balanced over strata: one tests, the next one validates.

    Args:
        subjects: Subject of each record.
        strata: `[N]` stratum of each record, see `record_strata`.
        folds: Number of folds, at least 3.
        fold: The fold that tests, from 0; the one behind it validates, the others train.
        seed: Key of the draw. All folds of one cross-validation need the same.

    Returns:
        `train`, `val` or `test` for each record, on the index of `subjects`. Over all `fold`s each
        subject tests once and validates once.

    Raises:
        DataError: There are fewer subjects than folds.
    """
    by_subject = subject_strata(subjects, strata)
    if len(by_subject) < folds:
        raise DataError(
            f"{len(by_subject)} subject(s) cannot fill {folds} folds. Use more records, or a "
            "smaller data.init_args.folds."
        )
    order = pd.DataFrame(
        {
            "stratum": by_subject.to_numpy(),
            "rank": [subject_rank(str(name), seed, "fold") for name in by_subject.index],
        },
        index=by_subject.index,
    ).sort_values(["stratum", "rank"])
    # Dealt out through all strata without a break: every stratum and the whole are even to one.
    place = (np.arange(len(order)) - fold) % folds
    sides = np.select([place == 0, place == 1], ["test", "val"], "train").astype(object)
    return subjects.map(pd.Series(sides, index=order.index))


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
