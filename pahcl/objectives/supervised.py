"""Losses by kind of task, masked where labels are missing."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from pahcl.task import UNLABELLED_CLASS, Kind

RegressionLoss = Literal["mse", "huber"]


def loss_terms(
    kind: Kind,
    outputs: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    regression: RegressionLoss = "mse",
) -> tuple[Tensor, Tensor]:
    """Compute each record's share of the loss, in float32 also under autocast.

    Args:
        kind: `binary` and `multilabel` take binary cross-entropy, `multiclass` cross-entropy,
            `regression` the squared or Huber (delta 1) error.
        outputs: `[B, K]` logits, or estimates on the scale of `target`.
        target: `[B]` int64 with -1 = not labelled for multiclass, else `[B, K]` with NaN = not
            labelled.
        class_weights: `[K]`: weight of a positive (binary, multilabel) or of a class.
        regression: The error of a regression.

    Returns:
        Sums `[B]` and weights `[B]`; the loss of any set of records is the sum of the first over
        the sum of the second.
    """
    outputs = outputs.float()
    if kind == "multiclass":
        labelled = target != UNLABELLED_CLASS
        terms = F.cross_entropy(
            outputs, target, class_weights, ignore_index=UNLABELLED_CLASS, reduction="none"
        )
        weights = labelled.float()
        if class_weights is not None:
            weights = weights * class_weights[target.clamp(min=0)]
        return terms, weights
    labelled = ~target.isnan()
    known = target.float().masked_fill(~labelled, 0.0)
    if kind == "regression":
        error = F.huber_loss if regression == "huber" else F.mse_loss
        terms = error(outputs, known, reduction="none")
    else:
        terms = F.binary_cross_entropy_with_logits(
            outputs, known, reduction="none", pos_weight=class_weights
        )
    return terms.masked_fill(~labelled, 0.0).sum(1), labelled.float().sum(1)


def probabilities(kind: Kind, outputs: Tensor) -> Tensor:
    """Turn outputs `[B, K]` into probabilities; a regression's estimates stay as they are."""
    outputs = outputs.float()
    if kind == "regression":
        return outputs
    return outputs.softmax(1) if kind == "multiclass" else outputs.sigmoid()
