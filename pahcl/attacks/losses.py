"""What an attack raises: a loss for each record, without the entries that are not labelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pahcl.errors import UsageError
from pahcl.task import UNLABELLED_CLASS

Loss = Literal["bce", "bce_sum", "ce", "soft_ce", "dlr", "margin", "mse"]
CLASS_LOSSES = ("ce", "dlr", "margin")
LABEL_LOSSES = ("bce", "bce_sum", "soft_ce", "margin", "mse")


def _others(outputs: Tensor, index: Tensor) -> Tensor:
    """Give the largest output `[B]` of all but one class."""
    return outputs.scatter(1, index, float("-inf")).amax(1)


def dlr(outputs: Tensor, index: Tensor) -> Tensor:
    """Compute the difference of logits ratio, `[B]`, of which a positive value is a wrong class.

    Source: Croce & Hein, "Reliable evaluation of adversarial robustness", ICML 2020, equation 6.
    """
    ordered = outputs.sort(1).values
    right = outputs.gather(1, index).squeeze(1)
    return (_others(outputs, index) - right) / (ordered[:, -1] - ordered[:, -3] + 1e-12)


def targeted_dlr(outputs: Tensor, index: Tensor) -> Tensor:
    """Compute the targeted ratio, `[B]`, of which a positive value is the wanted class.

    Source: Croce & Hein, ICML 2020, equation 7; the place of the true class, which a targeted
    attack is not told, is taken by the strongest class but the wanted one.
    """
    ordered = outputs.sort(1).values
    wanted = outputs.gather(1, index).squeeze(1)
    width = ordered[:, -1] - 0.5 * (ordered[:, -3] + ordered[:, -4])
    return (wanted - _others(outputs, index)) / (width + 1e-12)


class Criterion:
    """The loss of one attack on one batch.

    Args:
        loss: Name; None takes `ce` for class numbers and `bce` for the others. `bce` and `mse`
            average over a record's labelled entries, `bce_sum` adds them. `margin` is the
            strongest other class less the right one (logits), or for labels the sum of
            `-(2 y - 1) z`, which does not saturate. With `soft_ce` the target is a distribution
            over the classes; with `bce` it may be probabilities. Up to a constant these two are the
            divergence from the target.
        target: `[B]` int64 with -1 = not labelled, or `[B, K]` (or `[B]`) float with NaN = not
            labelled.
        targeted: `target` is what the attack wants; the loss changes its sign.
        labels: Outputs whose loss alone is attacked.

    Attributes:
        labelled: `[B]` bool: the record has an entry to attack.

    Raises:
        UsageError: The loss does not go with the target.
    """

    def __init__(
        self,
        loss: Loss | None,
        target: Tensor,
        targeted: bool = False,
        labels: Sequence[int] | None = None,
    ) -> None:
        self.by_class = not target.is_floating_point()
        self.loss: Loss = loss or ("ce" if self.by_class else "bce")
        self.targeted, self.labels = targeted, labels
        self._refuse_other_target(target)
        if self.by_class:
            known = target != UNLABELLED_CLASS
            self.labelled = known
            self.target = target.clamp(min=0).unsqueeze(1)
        else:
            table = (target if target.ndim > 1 else target.unsqueeze(1)).float()
            known = ~table.isnan()
            if labels is not None:
                if max(labels) >= table.shape[1]:
                    raise UsageError(
                        f"`labels` names output {max(labels)}, the target has {table.shape[1]}."
                    )
                chosen = torch.zeros_like(known)
                chosen[:, list(labels)] = True
                known &= chosen
            self.labelled = known.any(1)
            self.target = table.masked_fill(~known, 0.0)
        self.known = known
        self._given = target

    def renamed(self, loss: Loss | None) -> Criterion:
        """Give another loss on the same target; None, and `mse` on either side, give this one."""
        if loss is None or "mse" in (loss, self.loss):
            return self
        return Criterion(loss, self._given, self.targeted, self.labels)

    def _refuse_other_target(self, target: Tensor) -> None:
        fitting = CLASS_LOSSES if self.by_class else LABEL_LOSSES
        if self.loss not in fitting:
            what = "class numbers" if self.by_class else "labels or values, one for each output"
            hint = (
                " DLR compares three classes and is not defined for binary or multilabel targets."
                if self.loss == "dlr"
                else ""
            )
            raise UsageError(
                f"The attack loss `{self.loss}` does not go with this target ({what}); use one of "
                f"{', '.join(fitting)}.{hint}"
            )
        if self.by_class and target.ndim != 1:
            raise UsageError(
                f"Class numbers must have the shape [B], got {list(target.shape)}; labels of "
                "several outputs are given as floats."
            )
        if self.by_class and self.labels is not None:
            raise UsageError("`labels` chooses outputs of labels; class numbers have no such ones.")

    def _refuse_other_outputs(self, outputs: Tensor) -> None:
        if outputs.ndim != 2 or outputs.shape[0] != self.target.shape[0]:
            raise UsageError(
                f"An attack needs outputs [B, K] for {self.target.shape[0]} records, the model "
                f"gives {list(outputs.shape)}."
            )
        count = outputs.shape[1]
        needed = 4 if self.targeted else 3
        if self.loss == "dlr" and count < needed:
            raise UsageError(
                f"The {'targeted ' if self.targeted else ''}DLR loss is defined for {needed} "
                f"classes or more, the model has {count}; use `ce` or `margin`."
            )
        if self.by_class and count < 2:
            raise UsageError("Class numbers need two outputs or more, the model has one.")
        if not self.by_class and count != self.target.shape[1]:
            raise UsageError(
                f"The target has {self.target.shape[1]} entries a record, the model {count}."
            )

    def __call__(self, outputs: Tensor) -> Tensor:
        """Compute each record's loss `[B]` from outputs `[B, K]`; 0 where nothing is labelled."""
        self._refuse_other_outputs(outputs)
        losses = self._class_loss(outputs) if self.by_class else self._label_loss(outputs)
        losses = losses if self.by_class and self.loss == "dlr" else self._signed(losses)
        return losses.masked_fill(~self.labelled, 0.0)

    def _signed(self, losses: Tensor) -> Tensor:
        return -losses if self.targeted else losses

    def _class_loss(self, outputs: Tensor) -> Tensor:
        if self.loss == "ce":
            return F.cross_entropy(outputs, self.target.squeeze(1), reduction="none")
        if self.loss == "dlr":
            return (targeted_dlr if self.targeted else dlr)(outputs, self.target)
        return _others(outputs, self.target) - outputs.gather(1, self.target).squeeze(1)

    def _label_loss(self, outputs: Tensor) -> Tensor:
        if self.loss == "mse":
            terms = F.mse_loss(outputs, self.target, reduction="none")
        elif self.loss == "soft_ce":
            terms = -self.target * outputs.log_softmax(1)
        elif self.loss == "margin":
            terms = (1.0 - 2.0 * self.target) * outputs
        else:
            terms = F.binary_cross_entropy_with_logits(outputs, self.target, reduction="none")
        sums = terms.masked_fill(~self.known, 0.0).sum(1)
        if self.loss in ("bce_sum", "soft_ce", "margin"):
            return sums
        return sums / self.known.sum(1).clamp(min=1)

    def fooled(self, outputs: Tensor) -> Tensor:
        """Say for which records the attack has reached its aim, `[B]` bool.

        Without a wanted target: another class, or a wrong decision (logit 0) on any labelled
        output. With one: that class, or all labelled outputs as wanted.
        """
        if self.loss == "mse":
            raise UsageError(
                "An estimate is never simply wrong: with the loss `mse` use the mode `best_loss`."
            )
        if self.by_class:
            wrong = outputs.argmax(1) != self.target.squeeze(1)
        elif self.loss == "soft_ce":
            wrong = outputs.argmax(1) != self.target.argmax(1)
        else:
            wrong = (((outputs > 0) != (self.target > 0.5)) & self.known).any(1)
        return (~wrong if self.targeted else wrong) & self.labelled
