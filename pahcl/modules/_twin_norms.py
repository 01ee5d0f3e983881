"""Norms that a network has twice, for clean and for attacked signals."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

TWINS = "adversarial_norm."
"""Beginning of the twins' names in a network that holds them."""


def batch_norms(network: nn.Module) -> dict[str, nn.Module]:
    """Name the BatchNorm layers of a network, but for the twins."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm) and not name.startswith(TWINS)
    }


class TwinNorms(nn.ModuleList):
    """Hold a copy of each BatchNorm layer, in their order; empty where there are no twins."""

    def in_place_of(self, norms: Mapping[str, nn.Module]) -> dict[str, Tensor]:
        """Give the twins' tensors under the originals' names, for `torch.func.functional_call`."""
        return {
            f"{name}.{part}": value
            for name, twin in zip(norms, self, strict=True)
            for part, value in (*twin.named_parameters(), *twin.named_buffers())
        }

    def begin_as(self, norms: Mapping[str, nn.Module]) -> None:
        """Take over what the originals are by now."""
        for twin, norm in zip(self, norms.values(), strict=False):
            twin.load_state_dict(norm.state_dict())

    def idle(self) -> Tensor | float:
        """Give a 0 that depends on every weight: DDP waits for every gradient."""
        total: Tensor | float = 0.0
        for parameter in self.parameters():
            total = total + 0.0 * parameter.sum()
        return total


class Branch(nn.Module):
    """A network by another of its forward passes, for attacks, which hold it still as a whole.

    Args:
        network: Holds all weights.
        call: The pass: signal `[B, C, L]` and mask -> outputs `[B, K]`.
    """

    def __init__(self, network: nn.Module, call: Callable[..., Tensor]) -> None:
        super().__init__()
        self.network, self.call = network, call

    def forward(self, signal: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the outputs `[B, K]` for signals `[B, C, L]`."""
        return self.call(signal, mask)
