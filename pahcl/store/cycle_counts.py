"""Who has cycles, who lost them, and whose cycles are flagged: counts by label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.task import UNLABELLED_CLASS, Task

Mask = npt.NDArray[np.bool_]
Groups = Mapping[str, Mapping[str, Mask]]
"""By task and class: which records of the store are in it, `[N]`."""

UNLABELLED = "not labelled"


@dataclass(frozen=True, eq=False)
class PerRecord:
    """Hold counts of the cycles of N records.

    Args:
        cycles: `[N]` of them.
        flagged: `[N]` of them with any flag.
        flags: By flag, `[N]`.
    """

    cycles: npt.NDArray[np.int64]
    flagged: npt.NDArray[np.int64]
    flags: dict[str, npt.NDArray[np.int64]]

    def of(self, records: Mask) -> dict[str, Any]:
        """Sum the counts of some records."""
        return {
            "records": int(records.sum()),
            "cycles": int(self.cycles[records].sum()),
            "records_without_cycles": int((self.cycles[records] == 0).sum()),
            "flagged": int(self.flagged[records].sum()),
            "flags": {name: int(count[records].sum()) for name, count in self.flags.items()},
        }

    def by_label(self, groups: Groups) -> dict[str, dict[str, dict[str, Any]]]:
        """Sum the counts of each class of each task."""
        return {
            task: {name: self.of(records) for name, records in classes.items()}
            for task, classes in groups.items()
        }


def label_groups(tasks: Iterable[Task], labels: pd.DataFrame) -> dict[str, dict[str, Mask]]:
    """Say which records are in which class of each task; amounts have no classes.

    Args:
        tasks: The tasks of a data set.
        labels: Their label columns, one row per record of the store.

    Raises:
        UsageError: A label column is missing, or holds an unknown class.
    """
    return {task.name: _classes(task, labels) for task in tasks if task.kind != "regression"}


def _classes(task: Task, labels: pd.DataFrame) -> dict[str, Mask]:
    targets = task.targets(labels)
    if task.kind == "multiclass":
        found = {name: targets == number for number, name in enumerate(task.classes)}
        unlabelled = targets == UNLABELLED_CLASS
    else:
        found = {name: targets[:, number] == 1 for number, name in enumerate(task.classes)}
        if task.kind == "binary":
            found[f"not {task.classes[0]}"] = targets[:, 0] == 0
        unlabelled = np.isnan(targets).all(axis=1)
    return {**found, UNLABELLED: unlabelled} if unlabelled.any() else found
