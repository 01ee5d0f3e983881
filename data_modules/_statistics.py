"""What a training split says of its labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from pahcl.files import sha256_text
from pahcl.task import Task


def counts_by_class(task: Task, targets: npt.NDArray[Any]) -> dict[str, int]:
    """Count the records of each class; for regression those that have a value."""
    if task.kind == "multiclass":
        counts = [np.sum(targets == code) for code in range(len(task.classes))]
    elif task.kind == "regression":
        counts = list(np.isfinite(targets).sum(axis=0))
    else:
        counts = list((targets > 0).sum(axis=0))
    return {name: int(count) for name, count in zip(task.classes, counts, strict=True)}


def class_weights(task: Task, targets: npt.NDArray[Any]) -> Tensor | None:
    """Weigh classes against their rarity.

    Args:
        task: What is asked.
        targets: Of the training split alone.

    Returns:
        float32 `[K]`: for binary and multilabel tasks negatives / positives, the weight of a
        positive in a binary cross-entropy; for multiclass ones N / (K n_k), the weight of a class
        in a cross-entropy. 1 where a class has no positive or no negative. None for regression.
    """
    if task.kind == "regression":
        return None
    classes = len(task.classes)
    if task.kind == "multiclass":
        positives = np.bincount(targets[targets >= 0], minlength=classes).astype(np.float64)
        against = np.full(classes, positives.sum() / classes)
    else:
        positives = (targets == 1).sum(axis=0).astype(np.float64)
        against = (targets == 0).sum(axis=0).astype(np.float64)
    usable = (positives > 0) & (against > 0)
    weights = np.divide(against, positives, out=np.ones(classes), where=usable)
    return torch.from_numpy(weights.astype(np.float32))


def label_statistics(task: Task, targets: npt.NDArray[Any]) -> dict[str, list[float] | list[int]]:
    """Describe the labels of the training split as plain types, one entry an output.

    Returns:
        `mean` and `std` of regression targets, `positives` and `negatives` of the others.
    """
    if task.kind == "regression":
        values = np.ma.masked_invalid(targets.astype(np.float64))
        mean = np.ma.filled(values.mean(axis=0), 0.0)
        std = np.ma.filled(values.std(axis=0), 1.0)
        # A constant target would divide by zero.
        return {"mean": mean.tolist(), "std": np.where(std > 0, std, 1.0).tolist()}
    positives = list(counts_by_class(task, targets).values())
    if task.kind == "multiclass":
        negatives = [int((targets >= 0).sum()) - count for count in positives]
    else:
        negatives = (targets == 0).sum(axis=0).tolist()
    return {"positives": positives, "negatives": negatives}


def describe_splits(
    task: Task,
    table: pd.DataFrame,
    targets: npt.NDArray[Any],
    rows: Mapping[str, npt.NDArray[np.int64]],
) -> dict[str, dict[str, Any]]:
    """Describe the splits for the receipt.

    Args:
        task: What is asked.
        table: The store's table.
        targets: Of every row of the table.
        rows: Rows of each split.

    Returns:
        For each split its size, a digest of its records in any order, the records of each class,
        and how many of them hold the same samples as a training record: where a publisher has
        given one recording to two patients, no split by subject parts it.
    """
    trained = set(table["digest"].iloc[rows["train"]])
    found = {}
    for name, here in rows.items():
        part = table.iloc[here]
        text = "\n".join(sorted(map(str, part["record_id"])))
        found[name] = {
            "records": len(part),
            "subjects": int(part["subject_id"].nunique()),
            "digest": sha256_text(text),
            "by_class": counts_by_class(task, targets[here]),
            "copies_of_training": 0 if name == "train" else int(part["digest"].isin(trained).sum()),
        }
    return found
