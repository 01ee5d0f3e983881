"""Poolings: from a sequence of features to one vector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from pahcl.encoders.base import require_shape
from pahcl.errors import UsageError


class Pooling(nn.Module, ABC):
    """Turn features `[B, D, T]` and their mask `[B, T]` into one vector a sample `[B, F]`.

    Features outside the mask never matter. A sample without any real step gives zeros.
    """

    def build(self, channels: int, steps: int | None) -> int:
        """Make the layers for an encoder's output.

        Args:
            channels: Number of features D.
            steps: Number of steps T; None where records keep their own lengths.

        Returns:
            Size F of the vector.
        """
        del steps
        return channels

    @abstractmethod
    def pool(self, features: Tensor, mask: Tensor) -> Tensor:
        """Pool `[B, D, T]` with a mask `[B, 1, T]` to `[B, F]`."""

    def config(self) -> dict[str, Any]:
        """Give the keyword arguments that make this pooling again, in plain types."""
        return {}

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool `[B, D, T]`, with a bool mask `[B, T]` where not every step is real, to `[B, F]`."""
        require_shape("The pooling's features", features, (None, None, None))
        batch, _, steps = features.shape
        if mask is None:
            mask = torch.ones(batch, steps, dtype=torch.bool, device=features.device)
        require_shape("The feature mask", mask, (batch, steps))
        return self.pool(features, mask.unsqueeze(1))


class MaskedMeanPool(Pooling):
    """Average over the real steps."""

    def pool(self, features: Tensor, mask: Tensor) -> Tensor:
        """Pool `[B, D, T]` with a mask `[B, 1, T]` to `[B, D]`."""
        return features.masked_fill(~mask, 0).sum(-1) / mask.sum(-1).clamp(min=1)


class MaskedMaxPool(Pooling):
    """Take the largest value of every feature over the real steps."""

    def pool(self, features: Tensor, mask: Tensor) -> Tensor:
        """Pool `[B, D, T]` with a mask `[B, 1, T]` to `[B, D]`."""
        largest = features.masked_fill(~mask, -torch.inf).amax(-1)
        return largest.masked_fill(~mask.any(-1), 0)


class AttentionPool(Pooling):
    """Average the real steps with learned weights.

    The weights of Ilse et al. (Attention-based deep multiple instance learning, ICML 2018,
    equation 8): softmax over the steps of `w · tanh(V f)`.

    Args:
        hidden: Size of V f.
    """

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.hidden = hidden
        self.score: nn.Module = nn.Identity()

    def build(self, channels: int, steps: int | None) -> int:
        """Make the scoring layers; the vector has the size D."""
        del steps
        self.score = nn.Sequential(
            nn.Conv1d(channels, self.hidden, 1), nn.Tanh(), nn.Conv1d(self.hidden, 1, 1, bias=False)
        )
        return channels

    def pool(self, features: Tensor, mask: Tensor) -> Tensor:
        """Pool `[B, D, T]` with a mask `[B, 1, T]` to `[B, D]`."""
        real = features.masked_fill(~mask, 0)
        score: Tensor = self.score(real).float()
        # Not -inf: a sample without any real step would divide zero by zero.
        weight = score.masked_fill(~mask, torch.finfo(score.dtype).min).softmax(-1)
        return (real * weight.to(real.dtype)).sum(-1)

    def config(self) -> dict[str, Any]:
        """Give the keyword arguments that make this pooling again, in plain types."""
        return {"hidden": self.hidden}


class Flatten(Pooling):
    """Keep every step apart: all D features of all T steps in a row, zero outside the mask.

    The head's size then depends on the window's length, as in Ribeiro et al. (2020).
    """

    def build(self, channels: int, steps: int | None) -> int:
        """Refuse records of varying length; the vector has the size D T.

        Raises:
            UsageError: The input contract names no window length.
        """
        if steps is None:
            raise UsageError(
                "Flatten needs windows of one length: set the data module's `length`, or use "
                "MaskedMeanPool."
            )
        return channels * steps

    def pool(self, features: Tensor, mask: Tensor) -> Tensor:
        """Flatten `[B, D, T]` with a mask `[B, 1, T]` to `[B, D T]`."""
        return features.masked_fill(~mask, 0).flatten(1)
