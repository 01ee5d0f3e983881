"""The predictions table: one row per scored unit, and everything that scores reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.errors import PahclError, UsageError
from pahcl.files import appearing
from pahcl.task import UNLABELLED_CLASS, Task

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Scored:
    """Hold a predictions table as arrays, classes in the task's order.

    Args:
        target: `[N, K]` float64, NaN = not labelled; multiclass as one column a class.
        probability: `[N, K]` float64; for regression the estimate in the task's unit.
        prediction: `[N, K]` float64, 0 or 1; for regression the estimate.
        subject: `[N]` int64, codes into `subjects`.
        subjects: Identifiers of the subjects, sorted.
    """

    target: npt.NDArray[np.float64]
    probability: npt.NDArray[np.float64]
    prediction: npt.NDArray[np.float64]
    subject: npt.NDArray[np.int64]
    subjects: tuple[str, ...]


def columns_of(task: Task, part: str) -> list[str]:
    """Name the columns of one part (`target`, `probability`, `prediction`), one a class."""
    return [f"{part}/{name}" for name in task.classes]


def target_matrix(task: Task, targets: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Bring a batch's targets to one column a class.

    Args:
        task: What is asked.
        targets: `[N]` integers for multiclass (-1 = not labelled), else `[N, K]` or, with one
            class, `[N]` (NaN = not labelled).

    Returns:
        `[N, K]` float32, NaN = not labelled.

    Raises:
        UsageError: The shape or a class code does not fit the task.
    """
    values = np.asarray(targets)
    if task.kind != "multiclass":
        return _matrix(task, values, "targets")
    if values.ndim != 1:
        raise UsageError(
            f"Targets of the multiclass task `{task.name}` are one class code a record `[N]`, "
            f"got the shape {list(values.shape)}."
        )
    codes = values.astype(np.int64)
    if codes.size and (codes.min() < UNLABELLED_CLASS or codes.max() >= task.num_outputs):
        raise UsageError(
            f"Targets of `{task.name}` must lie between -1 (not labelled) and "
            f"{task.num_outputs - 1}, got {codes.min()} to {codes.max()}."
        )
    table = np.vstack([np.eye(task.num_outputs), np.full((1, task.num_outputs), np.nan)])
    matrix: npt.NDArray[np.float32] = table.astype(np.float32)[codes]
    return matrix


def _matrix(task: Task, values: npt.NDArray[np.generic], what: str) -> npt.NDArray[np.float32]:
    """Check that an array is `[N, K]`; `[N]` will do where the task has one output."""
    if values.ndim == 1 and task.num_outputs == 1:
        values = values[:, None]
    if values.ndim != 2 or values.shape[1] != task.num_outputs:
        raise UsageError(
            f"The {what} of `{task.name}` need the shape [N, {task.num_outputs}], got "
            f"{list(values.shape)}."
        )
    return values.astype(np.float32)


def decide(
    task: Task,
    probabilities: npt.NDArray[np.float32],
    thresholds: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float32]:
    """Turn probabilities `[N, K]` into predictions `[N, K]`.

    Binary and multilabel: 1 where the probability reaches the class's threshold. Multiclass: 1 for
    the most probable class. Regression: the estimate itself.
    """
    if task.kind == "regression":
        return probabilities
    if task.kind == "multiclass":
        best = np.asarray(probabilities.argmax(axis=1)[:, None] == np.arange(task.num_outputs))
        return best.astype(np.float32)
    limits = np.full(task.num_outputs, DEFAULT_THRESHOLD, np.float32)
    if thresholds is not None:
        limits = np.asarray(thresholds, dtype=np.float32).reshape(-1)
        if len(limits) != task.num_outputs:
            raise UsageError(
                f"Task `{task.name}` needs {task.num_outputs} threshold(s), got {len(limits)}."
            )
    return (probabilities >= limits).astype(np.float32)


def predictions_table(
    task: Task,
    record_ids: Sequence[str],
    subject_ids: Sequence[str],
    targets: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    thresholds: npt.ArrayLike | None = None,
) -> pd.DataFrame:
    """Lay out what a network said, beside what is true.

    Args:
        task: What is asked.
        record_ids: One identifier a row.
        subject_ids: The subject of each row.
        targets: As in a batch: `[N]` class codes for multiclass, else `[N, K]`.
        probabilities: `[N, K]` in 0..1; for regression the estimates in the task's unit.
        thresholds: `[K]`, from validation; 0.5 where they are not given. Multiclass and
            regression do not use them.

    Returns:
        `record_id`, `subject_id`, then `target/<class>`, `probability/<class>` (both float32) and
        `prediction/<class>` (int8; float32 for regression) for each class.

    Raises:
        UsageError: Lengths or shapes differ, or a probability lies outside 0..1.
    """
    target = target_matrix(task, targets)
    probability = _matrix(task, np.asarray(probabilities), "probabilities")
    lengths = {len(record_ids), len(subject_ids), len(target), len(probability)}
    if len(lengths) != 1:
        raise UsageError(
            f"A predictions table needs one row a record, got {len(record_ids)} record_ids, "
            f"{len(subject_ids)} subject_ids, {len(target)} targets and {len(probability)} "
            "probabilities."
        )
    _check_range(task, probability)
    prediction = decide(task, probability, thresholds)
    decided = prediction if task.kind == "regression" else prediction.astype(np.int8)
    columns: dict[str, object] = {
        "record_id": np.asarray(record_ids, dtype=object),
        "subject_id": np.asarray(subject_ids, dtype=object),
    }
    for k, name in enumerate(task.classes):
        columns[f"target/{name}"] = target[:, k]
        columns[f"probability/{name}"] = probability[:, k]
        columns[f"prediction/{name}"] = decided[:, k]
    table = pd.DataFrame(columns)
    return table.astype({"record_id": "str", "subject_id": "str"})


def _check_range(task: Task, probability: npt.NDArray[np.floating]) -> None:
    outside = (probability < 0) | (probability > 1)
    if task.kind != "regression" and outside.any():
        raise UsageError(
            f"Probabilities of `{task.name}` must lie in 0..1, got {probability[outside][0]:.4g}: "
            "apply a sigmoid (binary, multilabel) or a softmax (multiclass) to the logits first."
        )


def as_arrays(task: Task, predictions: pd.DataFrame) -> Scored:
    """Read a predictions table into arrays, classes in the task's order.

    Raises:
        UsageError: A column of the task is missing, or a probability lies outside 0..1.
    """
    parts = {part: columns_of(task, part) for part in ("target", "probability", "prediction")}
    wanted = ["record_id", "subject_id", *(name for names in parts.values() for name in names)]
    missing = [name for name in wanted if name not in predictions.columns]
    if missing:
        raise UsageError(
            f"The predictions table lacks {missing[:6]}, which task `{task.name}` needs; it has "
            f"{[str(name) for name in predictions.columns[:8]]}. Is it of another task?"
        )
    arrays = {part: predictions[names].to_numpy(np.float64) for part, names in parts.items()}
    _check_range(task, arrays["probability"])
    codes, subjects = pd.factorize(predictions["subject_id"], sort=True)
    return Scored(**arrays, subject=codes.astype(np.int64), subjects=tuple(map(str, subjects)))


def write_predictions(path: str | Path, predictions: pd.DataFrame) -> None:
    """Write a predictions table as Parquet, atomically: no reader ever sees half a file."""
    with appearing(Path(path)) as temporary:
        predictions.to_parquet(temporary, index=False)


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read a predictions table.

    Raises:
        UsageError: There is no such file.
        PahclError: The file is no predictions table, or is damaged.
    """
    source = Path(path)
    if not source.is_file():
        raise UsageError(f"There is no predictions table at {source}; `pahcl test` writes one.")
    try:
        table = pd.read_parquet(source)
    except (OSError, ValueError) as error:
        raise PahclError(
            f"{source} cannot be read as Parquet ({error}); run `pahcl test` again."
        ) from error
    missing = [name for name in ("record_id", "subject_id") if name not in table.columns]
    if missing:
        raise PahclError(f"{source} is no predictions table: it lacks {missing}.")
    return table.astype({"record_id": "str", "subject_id": "str"})
