"""What an attack may ask of a model: losses and input gradients, each of them counted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from pahcl.attacks.constraints import Ball
from pahcl.attacks.losses import Criterion
from pahcl.attacks.norms import Randomness

Model = Callable[..., Tensor]
"""Any module or function from signals `[B, ...]` to outputs `[B, K]`."""


@contextmanager
def held_still(model: Model) -> Iterator[None]:
    """Hold a model in evaluation mode, its parameters without gradients, and restore it.

    Every module's flag is set and restored by itself: a partly frozen model has mixed ones. Without
    the parameters' gradients no activation is kept for them.
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    parameters = list(model.parameters()) if isinstance(model, nn.Module) else []
    training = [module for module in modules if module.training]
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    try:
        for module in training:
            module.training = False
        for parameter in learning:
            parameter.requires_grad_(False)
        yield
    finally:
        for module in training:
            module.training = True
        for parameter in learning:
            parameter.requires_grad_(True)


def takes_mask(model: Model) -> bool:
    """Say whether a model's forward has a parameter named `mask`, also one that is wrapped."""
    inner = model
    while isinstance(inner, nn.Module):
        parameters = inspect.signature(inner.forward).parameters
        if "mask" in parameters:
            return True
        wrapped = getattr(inner, "_orig_mod", getattr(inner, "module", None))
        passes_on = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
        if not isinstance(wrapped, nn.Module) or not passes_on:
            return False
        inner = wrapped
    return "mask" in inspect.signature(inner).parameters


@dataclass
class Calls:
    """How often the model was asked, in passes over the batch."""

    gradient: int = 0
    forward: int = 0


@dataclass(frozen=True)
class Answer:
    """What the model says about one batch of points.

    Attributes:
        loss: `[B]` float32.
        outputs: `[B, K]` float32.
        gradient: As the points; empty where it was not asked for.
    """

    loss: Tensor
    outputs: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class Oracle:
    """One batch under attack.

    Attributes:
        model: In evaluation mode.
        criterion: The loss.
        ball: The constraints, and the clean signal.
        generator: Source of random numbers.
        mask: `[B, L]` for a model that takes one, else None.
        autocast: The lower precision that the caller runs the model in, or None.
        calls: The passes so far.
    """

    model: Model
    criterion: Criterion
    ball: Ball
    generator: Randomness
    mask: Tensor | None = None
    autocast: torch.dtype | None = None
    calls: Calls = field(default_factory=Calls)

    def with_criterion(self, criterion: Criterion) -> Oracle:
        """Ask for another loss; the passes are counted together."""
        return replace(self, criterion=criterion)

    def _outputs(self, point: Tensor) -> Tensor:
        # The attack's own arithmetic runs outside autocast, the model as the caller has it.
        with torch.autocast(point.device.type, self.autocast, enabled=self.autocast is not None):
            outputs = self.model(point) if self.mask is None else self.model(point, mask=self.mask)
        return (outputs if outputs.ndim > 1 else outputs.unsqueeze(1)).float()

    def ask(self, point: Tensor) -> Answer:
        """Compute losses at points `[B, ...]` by one forward pass."""
        self.calls.forward += 1
        with torch.no_grad():
            outputs = self._outputs(point)
            return Answer(self.criterion(outputs), outputs, point.new_empty(0))

    def ascend(self, point: Tensor) -> Answer:
        """Compute losses and their gradients by the points, by one forward and backward pass."""
        self.calls.gradient += 1
        with torch.enable_grad():
            leaf = point.detach().requires_grad_()
            outputs = self._outputs(leaf)
            losses = self.criterion(outputs)
            (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        return Answer(losses.detach(), outputs.detach(), gradient)
