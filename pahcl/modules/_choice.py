"""What the best checkpoint is chosen by, also where the primary metric is undefined."""

from __future__ import annotations

import logging
import math

from pahcl.evaluation.metrics import Metrics
from pahcl.task import Task

log = logging.getLogger(__name__)

MONITOR = "val/choice"
"""Key, in no logger, by which checkpoints are chosen, training stops early and rates fall."""


class Choice:
    """Give one number a validation by which models are compared, better in the task's own sense.

    It is the primary metric. Where the labels of the validation split leave that undefined (AUROC
    without a positive), it is the loss for the whole run: numbers of two kinds do not compare.
    """

    def __init__(self) -> None:
        self.by: str | None = None

    def value(self, task: Task, metrics: Metrics, loss: float) -> float:
        """Give the number of one validation; one that is not finite counts as the worst.

        Args:
            task: What is asked.
            metrics: Of the validation split.
            loss: Of the validation split, NaN where nothing is labelled.
        """
        primary = metrics.macro[task.primary_metric]
        if self.by is None and math.isfinite(primary):
            self.by = task.primary_metric
        elif self.by is None and math.isfinite(loss):
            self.by = "loss"
            log.warning(
                "On the validation split %s is undefined (%s). The best checkpoint is chosen by "
                "the smallest val/loss instead.",
                task.primary_metric,
                "; ".join(metrics.notes) or "its values are not finite",
            )
        worst = -math.inf if task.mode == "max" else math.inf
        if self.by == "loss":
            primary = -loss if task.mode == "max" else loss
        return primary if math.isfinite(primary) else worst
