"""The contract of every encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pahcl.errors import SpecError
from pahcl.signals.spec import SignalSpec


def require_shape(name: str, tensor: Tensor, shape: Sequence[int | None]) -> None:
    """Refuse a tensor of another shape.

    Args:
        name: What the tensor is, for the error's text.
        tensor: The tensor.
        shape: Expected size of every axis; None takes any.

    Raises:
        SpecError: The number of axes or a size differs.
    """
    fits = tensor.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(tensor.shape, shape, strict=True)
    )
    if not fits:
        expected = ", ".join("any" if size is None else str(size) for size in shape)
        raise SpecError(f"{name} must have the shape [{expected}], got {list(tensor.shape)}.")


class Encoder(nn.Module, ABC):
    """Turn a signal into a sequence of features.

    A subclass sets `in_channels`, `out_channels` and `stride`, and writes `encode`, `stages` and
    `config`. One whose time axis is not `length // stride` also overrides `feature_length` and
    `feature_mask`.

    Attributes:
        in_channels: Number of leads C that it reads.
        out_channels: Number of features D that it puts out at every step.
        stride: Samples per feature step.
        spec: Its input contract, once it is known; a checkpoint brings it along.
    """

    in_channels: int
    out_channels: int
    stride: int
    spec: SignalSpec | None = None

    @abstractmethod
    def encode(self, signal: Tensor, mask: Tensor | None) -> Tensor:
        """Compute the features of a signal whose padding is zero already.

        Args:
            signal: `[B, C, L]`, zero outside the mask.
            mask: `[B, L]` bool, true = real signal; None = all of it is.

        Returns:
            `[B, D, T]`.
        """

    @abstractmethod
    def stages(self) -> list[nn.Module]:
        """List the parts from input to output; together they hold every parameter once."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Give the keyword arguments that make this encoder again, in plain types."""

    def forward(self, signal: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the features of a signal; what stands in its padding never matters.

        Args:
            signal: `[B, C, L]`.
            mask: `[B, L]` bool, true = real signal; None = all of it is.

        Returns:
            `[B, D, T]` with T = `feature_length(L)`.

        Raises:
            SpecError: The signal has another number of leads, or is shorter than one step.
        """
        require_shape("The encoder's signal", signal, (None, self.in_channels, None))
        self.feature_length(signal.shape[-1])
        if mask is not None:
            require_shape("The mask", mask, (signal.shape[0], signal.shape[-1]))
            # Filled, not multiplied: NaN times zero is NaN.
            signal = signal.masked_fill(~mask.unsqueeze(1), 0.0)
        return self.encode(signal, mask)

    def feature_length(self, length: int) -> int:
        """Count the feature steps T of a signal of `length` samples.

        Raises:
            SpecError: The signal is shorter than one step.
        """
        if length < self.stride:
            raise SpecError(
                f"{type(self).__name__} needs at least {self.stride} samples for one feature step, "
                f"got {length}; use a longer window or smaller strides."
            )
        return length // self.stride

    def feature_mask(self, mask: Tensor) -> Tensor:
        """Say which feature steps stand on real signal.

        Args:
            mask: `[B, L]` bool, true = real signal.

        Returns:
            `[B, T]` bool: true where at least one of the step's `stride` samples is real.
        """
        steps = F.max_pool1d(mask.unsqueeze(1).to(torch.float32), self.stride, self.stride)
        return steps.squeeze(1) > 0
