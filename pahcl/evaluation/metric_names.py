"""How the metrics of each kind of task are called; light to import, unlike those that compute."""

from __future__ import annotations

from pahcl.task import Kind

BINARY_METRICS = (
    "auroc",
    "auprc",
    "f1",
    "sensitivity",
    "specificity",
    "accuracy",
    "calibration_error",
    "brier",
)
REGRESSION_METRICS = ("mae", "rmse", "r2", "pearson")


def class_metrics(kind: Kind) -> tuple[str, ...]:
    """Name the metrics that each class of a task has."""
    return REGRESSION_METRICS if kind == "regression" else BINARY_METRICS


def averaged_metrics(kind: Kind) -> dict[str, str]:
    """Name the task's metrics that are means over classes, and the class metric behind each.

    With one class the mean is that class, and the name has no prefix. A multiclass accuracy is no
    mean over classes.
    """
    if kind in ("binary", "regression"):
        return {name: name for name in class_metrics(kind)}
    left_out = {"accuracy"} if kind == "multiclass" else set()
    return {f"macro_{name}": name for name in BINARY_METRICS if name not in left_out}


def pooled_metrics(kind: Kind) -> tuple[str, ...]:
    """Name the task's metrics that are not means over classes."""
    if kind == "multilabel":
        return ("micro_f1", "weighted_f1", "exact_match")
    return ("micro_f1", "weighted_f1", "accuracy") if kind == "multiclass" else ()


def metric_names(kind: Kind) -> tuple[str, ...]:
    """Name every metric of the whole task."""
    return (*averaged_metrics(kind), *pooled_metrics(kind))
