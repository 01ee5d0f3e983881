"""What is asked of a recording."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.errors import UsageError

Kind = Literal["binary", "multiclass", "multilabel", "regression"]
Level = Literal["cycle", "record", "subject"]

LOWER_IS_BETTER = frozenset({"loss", "mae", "rmse", "calibration_error", "brier"})
"""Metrics for which a smaller value is the better one."""

UNLABELLED_CLASS = -1
"""Multiclass target of a record without a label."""


def metric_mode(metric: str) -> Literal["min", "max"]:
    """Say whether a metric is to be minimised or maximised, by its name without the split."""
    return "min" if metric.removeprefix("macro_") in LOWER_IS_BETTER else "max"


@dataclass(frozen=True)
class Task:
    """Define a clinical question: its classes, its label columns and how it is scored.

    Args:
        name: Short name, unique within a data set.
        kind: `binary` and `multilabel` have one probability a class, `multiclass` one of many,
            `regression` one number an output.
        classes: Names of the outputs, in order. Binary and single regression have one.
        columns: Label columns of a data module's label table. One a class, but for `multiclass`
            a single column that holds class names.
        primary_metric: The metric that chooses checkpoints and leads the tables.
        level: The unit that is scored.
        scorer: Official scorer of the data set, if there is one.
        unit: Physical unit of a regression target.
    """

    name: str
    kind: Kind
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    primary_metric: str
    level: Level = "record"
    scorer: str | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UsageError(
                f"Task `{self.name}` has kind {self.kind!r}; use one of {get_args(Kind)}."
            )
        expected = 1 if self.kind == "multiclass" else len(self.classes)
        if len(self.columns) != expected:
            raise UsageError(
                f"Task `{self.name}` ({self.kind}) needs {expected} label column(s) for "
                f"{len(self.classes)} class(es), got {self.columns}."
            )
        if self.kind == "binary" and len(self.classes) != 1:
            raise UsageError(f"Task `{self.name}` is binary: name the positive class alone.")

    @property
    def num_outputs(self) -> int:
        """Count the numbers that a head puts out for one record."""
        return len(self.classes)

    @property
    def mode(self) -> Literal["min", "max"]:
        """Say whether the primary metric is to be minimised or maximised."""
        return metric_mode(self.primary_metric)

    def targets(self, labels: pd.DataFrame) -> npt.NDArray[Any]:
        """Read the targets of every row of a label table.

        Args:
            labels: Table with this task's `columns`.

        Returns:
            `[N]` int64 for multiclass (-1 = not labelled), else `[N, K]` float32 (NaN = not
            labelled).

        Raises:
            UsageError: A label column is missing, or a class name is unknown.
        """
        missing = [column for column in self.columns if column not in labels.columns]
        if missing:
            raise UsageError(
                f"Task `{self.name}` reads the label column(s) {missing}, which the table lacks; "
                f"it has {sorted(map(str, labels.columns))[:20]}."
            )
        if self.kind != "multiclass":
            return labels[list(self.columns)].to_numpy(dtype=np.float32, na_value=np.nan)
        names = labels[self.columns[0]]
        codes = pd.Categorical(names, categories=list(self.classes)).codes.astype(np.int64)
        unknown = names.notna().to_numpy() & (codes == UNLABELLED_CLASS)
        if unknown.any():
            found = sorted(set(names[unknown].astype(str)))
            raise UsageError(
                f"Task `{self.name}` knows {self.classes}, but the labels hold {found}."
            )
        return codes

    def to_dict(self) -> dict[str, Any]:
        """Write the task as plain types, as checkpoints and receipts keep it."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Task:
        """Read what `to_dict` wrote.

        Raises:
            KeyError, TypeError: It is something else.
            UsageError: It is a task that cannot be.
        """
        arguments: dict[str, Any] = dict(values)
        for name in ("classes", "columns"):
            arguments[name] = tuple(arguments[name])
        for text in (arguments["name"], arguments["primary_metric"], *arguments["classes"]):
            if not isinstance(text, str):
                raise TypeError(f"{text!r} is no name.")
        return cls(**arguments)
