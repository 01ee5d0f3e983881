"""A watch on the training loss that does not make the host wait for the device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pahcl.errors import PahclError

SHOWN_RECORDS = 10


class Step(NamedTuple):
    """What is kept of a step until it is looked at."""

    value: Tensor
    sums: Tensor
    record_ids: list[str]
    place: str


class LossWatch:
    """Keep the losses of the last steps on the device, and look at all of them at once.

    To look at a loss in every step would make the host wait for the device in every step.
    """

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def add(self, value: Tensor, sums: Tensor, record_ids: list[str], place: str) -> None:
        """Keep one step.

        Args:
            value: The loss, equal on all processes.
            sums: `[B]`, each record's share of it.
            record_ids: `[B]`.
            place: Epoch and step, for the error's text.
        """
        self._steps.append(Step(value.detach(), sums.detach(), record_ids, place))

    def check(self) -> None:
        """Look at the steps since the last look.

        Raises:
            PahclError: Names the first step whose loss is not finite, and its records.
        """
        steps, self._steps = self._steps, []
        if not steps:
            return
        finite = torch.stack([step.value for step in steps]).isfinite().tolist()
        if not all(finite):
            raise PahclError(_refusal(steps[finite.index(False)]))


def _refusal(step: Step) -> str:
    broken = (~step.sums.isfinite()).tolist()
    bad = [name for name, is_bad in zip(step.record_ids, broken, strict=True) if is_bad]
    shown = ", ".join(bad[:SHOWN_RECORDS]) + (", ..." if len(bad) > SHOWN_RECORDS else "")
    where = f"the records {shown}" if bad else "a batch of another process"
    return (
        f"The loss is {float(step.value)} in {step.place}, at {where}. Look at these records, or "
        "lower `lr` or the precision's range (`trainer.precision`)."
    )
