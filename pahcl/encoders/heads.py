"""Heads: from a pooled vector to a task's outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from pahcl.encoders.base import require_shape
from pahcl.errors import UsageError


class Head(nn.Module, ABC):
    """Turn vectors `[B, F]` into outputs `[B, K]` (logits, or numbers in a regression).

    A head is configured first and built when both sizes are known.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers: nn.Sequential | None = None
        self.in_features = 0

    @abstractmethod
    def make(self, in_features: int, out_features: int) -> nn.Sequential:
        """Make the layers from `[B, F]` to `[B, K]`."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Give the keyword arguments that make this head again, in plain types."""

    def build(self, in_features: int, out_features: int) -> None:
        """Make the layers, with fresh weights."""
        self.in_features = in_features
        self.layers = self.make(in_features, out_features)

    def forward(self, vectors: Tensor) -> Tensor:
        """Map `[B, F]` to `[B, K]`.

        Raises:
            UsageError: The head has not been built.
            SpecError: The vectors have another size than the head was built for.
        """
        if self.layers is None:
            raise UsageError(
                f"{type(self).__name__} has no layers yet: call build(in_features, out_features)."
            )
        require_shape("The head's input", vectors, (None, self.in_features))
        output: Tensor = self.layers(vectors)
        return output


class LinearHead(Head):
    """One linear layer.

    Args:
        dropout: Share of inputs that training drops.
    """

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout

    def make(self, in_features: int, out_features: int) -> nn.Sequential:
        """Make the layers from `[B, F]` to `[B, K]`."""
        return nn.Sequential(nn.Dropout(self.dropout), nn.Linear(in_features, out_features))

    def config(self) -> dict[str, Any]:
        """Give the keyword arguments that make this head again, in plain types."""
        return {"dropout": self.dropout}


class MLPHead(Head):
    """Two linear layers with a GELU between them.

    Args:
        hidden: Size of the vector between the layers.
        dropout: Share of inputs that training drops before each layer.
    """

    def __init__(self, hidden: int = 128, dropout: float = 0.0) -> None:
        super().__init__()
        self.hidden, self.dropout = hidden, dropout

    def make(self, in_features: int, out_features: int) -> nn.Sequential:
        """Make the layers from `[B, F]` to `[B, K]`."""
        return nn.Sequential(
            nn.Dropout(self.dropout),
            nn.Linear(in_features, self.hidden),
            nn.GELU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, out_features),
        )

    def config(self) -> dict[str, Any]:
        """Give the keyword arguments that make this head again, in plain types."""
        return {"hidden": self.hidden, "dropout": self.dropout}
