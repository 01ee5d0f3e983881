"""What a method asks of a data module."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Protocol, cast

from torch import Tensor

from pahcl.errors import UsageError
from pahcl.files import plain
from pahcl.signals.spec import SignalSpec
from pahcl.task import Task


class LabelledData(Protocol):
    """Name what a data module offers after its `setup`."""

    task: Task
    spec: SignalSpec
    class_weights: Tensor | None
    label_statistics: dict[str, Any]


def scored_unit_of(trainer: object) -> dict[str, str] | None:
    """Give the scored unit of each record, where the data module names a column of units."""
    data = getattr(trainer, "datamodule", None)
    column = getattr(data, "unit_column", "subject_id")
    if column == "subject_id":
        return None
    table = cast("Any", data).store.table
    return dict(zip(table["record_id"].astype(str), table[column].astype(str), strict=True))


def cycles_of(data: object) -> dict[str, Any] | None:
    """Say in plain types how a data module shows heart cycles; None where it shows records."""
    shown: Any = getattr(data, "cycles", None)
    return None if shown is None else cast("dict[str, Any]", plain(asdict(shown)))


def labelled_data(trainer: object) -> LabelledData:
    """Find the trainer's data module.

    Raises:
        UsageError: There is none, or it lacks what a method reads.
    """
    data = getattr(trainer, "datamodule", None)
    if data is None:
        raise UsageError(
            "The method reads task and input contract from a data module: give the trainer "
            "`datamodule=`, not bare data loaders."
        )
    wanted = ("task", "spec", "class_weights", "label_statistics")
    missing = [name for name in wanted if not hasattr(data, name)]
    if missing:
        raise UsageError(
            f"{type(data).__name__} lacks {', '.join(missing)}; a data module sets them in `setup`."
        )
    return cast("LabelledData", data)
