"""A loss that is differentiated summand by summand, so that one graph lives at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


class _HandedOn(torch.autograd.Function):
    """A number (scalar, no axes) whose gradient by some tensors is known already."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor], *_: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.detach().clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        return None, None, *(gradient.mul_(upstream[0]) for gradient in gradients)


class InParts:
    """Add up an objective, differentiating each summand and freeing its graph at once.

    The sum can be given to `backward` like any loss: accumulation, clipping, and the hooks by which
    distributed training averages gradients see one ordinary backward pass.

    Args:
        parameters: What is learned.
        scale: How the precision in use scales losses against underflow; None = not at all.
    """

    def __init__(
        self, parameters: Sequence[Tensor], scale: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self.parameters = list(parameters)
        self.scale = scale
        self.value: Tensor | None = None
        self.gradients: list[Tensor] = []

    def add(self, summand: Tensor, also: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Add one summand.

        Args:
            summand: A scalar with its graph, which is freed.
            also: Other tensors whose gradients are wanted.

        Returns:
            The gradients of `also`.
        """
        wanted = [*self.parameters, *also]
        with torch.autocast(summand.device.type, enabled=False):
            scaled = summand if self.scale is None else self.scale(summand)
            found = torch.autograd.grad(scaled, wanted, allow_unused=True, materialize_grads=True)
            if self.scale is not None:
                down = self.scale(torch.ones_like(summand)).reciprocal()
                found = tuple(gradient * down.to(gradient) for gradient in found)
        mine, others = found[: len(self.parameters)], found[len(self.parameters) :]
        if self.value is None:
            self.value, self.gradients = summand.detach(), list(mine)
        else:
            self.value = self.value + summand.detach()
            for total, gradient in zip(self.gradients, mine, strict=True):
                total += gradient
        return others

    def total(self) -> Tensor:
        """Give the sum; its gradients are those found so far."""
        if self.value is None:
            raise ValueError("there is no summand")
        total: Tensor = _HandedOn.apply(self.value, self.gradients, *self.parameters)  # type: ignore[no-untyped-call]
        return total
