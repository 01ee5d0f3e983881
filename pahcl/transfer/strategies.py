"""How an encoder's weights move when it is carried to another task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from pahcl.encoders.base import Encoder
from pahcl.errors import UsageError


def trainable(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """List the parameters of some modules that are to be learned."""
    return [
        parameter
        for module in modules
        for parameter in module.parameters()
        if parameter.requires_grad
    ]


class Strategy(ABC):
    """Say which parts of an encoder stay as they are, and how fast the others learn.

    A frozen part gets no gradient and stays in evaluation mode: no dropout, and its normalisation
    statistics are not touched.
    """

    @abstractmethod
    def frozen(self, encoder: Encoder) -> list[nn.Module]:
        """List the parts of the encoder that stay as they are."""

    def freezes_all(self, encoder: Encoder) -> bool:
        """Say whether nothing of the encoder is learned."""
        return len(self.frozen(encoder)) == len(encoder.stages())

    def prepare(self, encoder: Encoder) -> None:
        """Freeze what is to be frozen, once, before the optimiser is made."""
        for part in self.frozen(encoder):
            part.requires_grad_(requires_grad=False)
        self.keep_frozen(encoder)

    def keep_frozen(self, encoder: Encoder) -> None:
        """Put frozen parts back into evaluation mode, after each `train()` of the whole model."""
        frozen = self.frozen(encoder)
        for part in frozen:
            part.eval()
        if frozen and self.freezes_all(encoder):
            encoder.eval()

    def parameter_groups(
        self, encoder: Encoder, head_modules: Sequence[nn.Module], lr: float
    ) -> list[dict[str, Any]]:
        """Group what is learned for the optimiser, from input to output.

        Args:
            encoder: The encoder, prepared.
            head_modules: What stands behind it.
            lr: Learning rate of the head.

        Returns:
            One dict a group with `params`, `lr` and `name`; the last one is the head's.
        """
        groups = [
            {"params": trainable([encoder]), "lr": lr, "name": "encoder"},
            {"params": trainable(head_modules), "lr": lr, "name": "head"},
        ]
        return [group for group in groups if group["params"]]


@dataclass(frozen=True)
class Full(Strategy):
    """Learn every weight at the same rate."""

    def frozen(self, encoder: Encoder) -> list[nn.Module]:
        """Freeze nothing."""
        del encoder
        return []


@dataclass(frozen=True)
class LinearProbe(Strategy):
    """Learn the head alone, on features that never change."""

    def frozen(self, encoder: Encoder) -> list[nn.Module]:
        """Freeze every stage."""
        return encoder.stages()


@dataclass(frozen=True)
class FreezeFirst(Strategy):
    """Keep the stages next to the input, learn the others.

    Args:
        stages: Number of stages to keep.

    Raises:
        UsageError: The number is not positive, or the encoder has fewer stages.
    """

    stages: int

    def __post_init__(self) -> None:
        if self.stages < 1:
            raise UsageError(
                f"FreezeFirst.stages must be 1 or more, got {self.stages}; use Full to freeze none."
            )

    def frozen(self, encoder: Encoder) -> list[nn.Module]:
        """Freeze the first stages."""
        stages = encoder.stages()
        if self.stages > len(stages):
            raise UsageError(
                f"FreezeFirst.stages is {self.stages}, but {type(encoder).__name__} has only "
                f"{len(stages)} stages."
            )
        return stages[: self.stages]


@dataclass(frozen=True)
class DiscriminativeLR(Strategy):
    """Learn slower the nearer to the input.

    Universal language model fine-tuning for text classification (Howard & Ruder, ACL 2018,
    section 3.2): each stage learns at the rate of the one above it, divided by 2.6; the head has
    the full rate.

    Args:
        decay: Ratio of the rates of two neighbouring stages.

    Raises:
        UsageError: The ratio is below one.
    """

    decay: float = 2.6

    def __post_init__(self) -> None:
        if not self.decay >= 1:
            raise UsageError(f"DiscriminativeLR.decay must be 1 or more, got {self.decay}.")

    def frozen(self, encoder: Encoder) -> list[nn.Module]:
        """Freeze nothing."""
        del encoder
        return []

    def parameter_groups(
        self, encoder: Encoder, head_modules: Sequence[nn.Module], lr: float
    ) -> list[dict[str, Any]]:
        """Make one group a stage, with rates that fall towards the input."""
        stages = encoder.stages()
        groups = [
            {
                "params": trainable([stage]),
                "lr": lr / self.decay ** (len(stages) - position),
                "name": f"stage{position}",
            }
            for position, stage in enumerate(stages)
        ]
        groups.append({"params": trainable(head_modules), "lr": lr, "name": "head"})
        return [group for group in groups if group["params"]]
