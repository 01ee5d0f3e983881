"""Which records train, validate and test: what a config says of it, carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._splits import k_folds, record_strata, split_by_subject, subject_strata
from data_modules._subsets import fraction_of_subjects, nested_order, shots_of_classes
from pahcl.errors import UsageError
from pahcl.task import Task

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Hold the arguments of a data module that choose records, as `SignalDataModule` tells them."""

    fraction: float = 1.0
    fraction_of: Literal["train", "dataset"] = "train"
    shots: int | None = None
    folds: int | None = None
    fold: int = 0
    val_fraction: float = 0.1
    test_fraction: float = 0.1
    split_seed: int = 0

    def __post_init__(self) -> None:
        val, test = self.val_fraction, self.test_fraction
        checks = {
            "fraction": (0 < self.fraction <= 1, "a share in (0, 1]"),
            "val_fraction": (min(val, test) > 0 and val + test < 1, "a share that leaves a part"),
            "split_seed": (self.split_seed >= 0, "0 or more"),
            "shots": (self.shots is None or self.shots > 0, "at least 1 (or null)"),
            "folds": (self.folds is None or self.folds >= 3, "at least 3 (or null)"),
            "fold": (0 <= self.fold < (self.folds or 1), f"from 0 to {(self.folds or 1) - 1}"),
        }
        for name, (fits, expected) in checks.items():
            if not fits:
                given = getattr(self, name)
                raise UsageError(f"data.init_args.{name} must be {expected}, got {given}.")
        if self.shots is not None and self.fraction < 1:
            raise UsageError(
                f"data.init_args.shots ({self.shots}) and data.init_args.fraction "
                f"({self.fraction:g}) both choose training subjects: give one of them."
            )

    def draw(self, subjects: pd.Series, strata: npt.NDArray[np.int64]) -> pd.Series:
        """Draw a split by subject where the publisher gives none."""
        shares = self.val_fraction, self.test_fraction
        return split_by_subject(subjects, strata, *shares, self.split_seed)

    def deal(self, subjects: pd.Series, strata: npt.NDArray[np.int64]) -> pd.Series:
        """Deal the subjects out to the folds of a cross-validation."""
        return k_folds(subjects, strata, self.folds or 0, self.fold, self.split_seed)

    def training(
        self, task: Task, subjects: pd.Series, targets: npt.NDArray[Any], train: Bools, known: Bools
    ) -> tuple[Bools, dict[str, int]]:
        """Choose the training records whose labels are used.

        Args:
            task: What is asked.
            subjects: Subject of each record.
            targets: Of each record.
            train: `[N]`, which records are of the training split and labelled.
            known: `[N]`, which are labelled at all.

        Returns:
            `[N]`, which train; and the classes that have fewer subjects than `shots`, with how
            many they have.

        Raises:
            DataError: The share of the whole is more than the training split holds.
        """
        here = subjects[train]
        if self.shots is not None:
            if task.kind == "regression":
                raise UsageError(
                    f"data.init_args.shots counts subjects of each class, but the task "
                    f"`{task.name}` is a regression: use data.init_args.fraction."
                )
            chosen, short = shots_of_classes(
                task, here, targets[train], self.shots, self.split_seed
            )
        else:
            strata = subject_strata(here, record_strata(task, targets[train]))
            whole = None if self.fraction_of == "train" else subjects[known].nunique()
            order = nested_order(strata, self.split_seed)
            chosen, short = fraction_of_subjects(order, self.fraction, whole), {}
        return train & subjects.isin(chosen).to_numpy(), short


class Tested(Protocol):
    """A data module of which the test split must not be trained on."""

    name: str

    def test_records(self) -> pd.DataFrame:
        """Give `subject_id`, `digest` and `source_sha256` of the records that test."""


def without_tests_of(
    split: pd.Series,
    table: pd.DataFrame,
    others: Iterable[Tested],
    shares_subjects: Callable[[Tested], bool],
) -> tuple[pd.Series, list[dict[str, Any]]]:
    """Leave out of training and validation whoever tests elsewhere.

    Args:
        split: Split of each record.
        table: `subject_id` of each record, and the checksums `digest` (of the samples, whatever
            contract they are brought to) and `source_sha256` (of the publisher's bytes).
        others: What is tested.
        shares_subjects: Says of one of them whether subjects are known by their identifier. In any
            other a recording is known by its samples or its bytes, and its subject by it.

    Returns:
        The split, None where a record was left out; for each of the others what was.
    """
    facts = []
    inside = split.isin(["train", "val"])
    gone = pd.Series(False, index=split.index)
    for other in others:
        tested = other.test_records()
        same = table["subject_id"].isin(tested["subject_id"]) & shares_subjects(other)
        copied = table["digest"].isin(tested["digest"])
        copied |= table["source_sha256"].isin(tested["source_sha256"].dropna())
        person = table["subject_id"].isin(table.loc[copied, "subject_id"])
        found = (same | person) & inside
        gone |= found
        facts.append(
            {
                "dataset": other.name,
                "test_records": len(tested),
                "left_out_records": int(found.sum()),
                "of_the_same_samples": int((copied & inside).sum()),
                "left_out_subjects": int(table.loc[found, "subject_id"].nunique()),
            }
        )
    return split.where(~gone, None), facts
