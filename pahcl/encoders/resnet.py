"""Residual networks for the ECG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from pahcl.encoders.base import Encoder
from pahcl.errors import UsageError

Activation = Literal["gelu", "relu"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU}


class ResidualBlock(nn.Module):
    """Carry two streams: x, normalised and activated, and y, the bare sum of residuals.

    x runs through two convolutions, of which the second subsamples; y is subsampled by max pooling
    and, where the width changes, mapped by a 1x1 convolution; their sum is the next y, and its
    normalised, activated copy the next x.

    Args:
        in_channels: Width of both streams before the block.
        out_channels: Width after it.
        kernel_size: Samples under a convolution, odd.
        stride: Subsampling factor.
        dropout: Share of activations that training drops, after each convolution.
        activation: The non-linearity.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        dropout: float,
        activation: Activation,
    ) -> None:
        super().__init__()
        # With these paddings a convolution gives L // stride samples or one more, never fewer.
        half, strided = kernel_size // 2, (kernel_size - stride + 1) // 2
        self.conv1 = nn.Conv1d(in_channels, out_channels, kernel_size, padding=half, bias=False)
        self.norm1 = nn.BatchNorm1d(out_channels)
        self.conv2 = nn.Conv1d(
            out_channels, out_channels, kernel_size, stride=stride, padding=strided, bias=False
        )
        self.norm2 = nn.BatchNorm1d(out_channels)
        self.activation = ACTIVATIONS[activation]()
        self.dropout1, self.dropout2 = nn.Dropout(dropout), nn.Dropout(dropout)
        self.skip = nn.Sequential()
        if stride > 1:
            self.skip.append(nn.MaxPool1d(stride, stride))
        if in_channels != out_channels:
            self.skip.append(nn.Conv1d(in_channels, out_channels, 1, bias=False))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Advance both streams, `[B, C, L]` to `[B, C', L // stride]`."""
        y = self.skip(y)
        x = self.dropout1(self.activation(self.norm1(self.conv1(x))))
        # Where L is no multiple of the stride the convolution may see one step more than pooling.
        y = y + self.conv2(x)[..., : y.shape[-1]]
        return self.dropout2(self.activation(self.norm2(y))), y


class ResNet1d(Encoder):
    """The residual network of Ribeiro et al. for the 12-lead ECG.

    Automatic diagnosis of the 12-lead ECG using a deep neural network, Nature Communications 11,
    1760 (2020), doi 10.1038/s41467-020-15432-4. A stem (convolution and batch normalisation) and
    five residual blocks; 4096 samples at 400 Hz become 4096, 1024, 256, 64 and 16 steps. With the
    flattening pooling and one logit it has 6,924,705 parameters. Weights start as PyTorch makes
    them, as in the authors' PyTorch version.

    Args:
        in_channels: Number of leads.
        widths: Channels after each block; the stem has those of the first.
        strides: Subsampling factor of each block.
        stem_stride: Subsampling factor of the stem.
        kernel_size: Samples under a convolution, odd.
        dropout: Share of activations that training drops, twice a block.
        activation: `gelu` as in the adversarial pretraining of Eriksson et al. (Computing in
            Cardiology 2024), `relu` as in the original.

    Raises:
        UsageError: Widths and strides do not match, or the kernel does not fit.
    """

    def __init__(
        self,
        in_channels: int = 12,
        widths: Sequence[int] = (64, 128, 196, 256, 320),
        strides: Sequence[int] = (1, 4, 4, 4, 4),
        stem_stride: int = 1,
        kernel_size: int = 17,
        dropout: float = 0.8,
        activation: Activation = "gelu",
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not widths or len(widths) != len(strides):
            raise UsageError(
                f"{name} takes one stride a block: got {len(widths)} widths and {len(strides)} "
                "strides."
            )
        if min(in_channels, stem_stride, *widths, *strides) < 1:
            raise UsageError(f"{name}: in_channels, widths and strides must be positive.")
        if kernel_size % 2 == 0 or kernel_size < max(stem_stride, *strides):
            raise UsageError(
                f"{name}.kernel_size must be odd and no smaller than any stride, got {kernel_size}."
            )
        if activation not in ACTIVATIONS:
            raise UsageError(
                f"{name}.activation must be one of {sorted(ACTIVATIONS)}, got {activation!r}."
            )
        self._config: dict[str, Any] = {
            "in_channels": in_channels,
            "widths": list(widths),
            "strides": list(strides),
            "stem_stride": stem_stride,
            "kernel_size": kernel_size,
            "dropout": dropout,
            "activation": activation,
        }
        self.in_channels, self.out_channels = in_channels, widths[-1]
        self.stride = stem_stride * math.prod(strides)
        padding = (kernel_size - stem_stride + 1) // 2
        self.stem = nn.Sequential(
            nn.Conv1d(
                in_channels, widths[0], kernel_size, stem_stride, padding=padding, bias=False
            ),
            nn.BatchNorm1d(widths[0]),
        )
        self.blocks = nn.ModuleList(
            ResidualBlock(before, after, kernel_size, stride, dropout, activation)
            for before, after, stride in zip(
                [widths[0], *widths[:-1]], widths, strides, strict=True
            )
        )
        self._stem_stride = stem_stride

    def encode(self, signal: Tensor, mask: Tensor | None) -> Tensor:
        """Run the stem and the blocks; the padding was zeroed and is not needed again."""
        del mask
        x: Tensor = self.stem(signal)[..., : signal.shape[-1] // self._stem_stride]
        y = x
        for block in self.blocks:
            x, y = block(x, y)
        return x

    def stages(self) -> list[nn.Module]:
        """List the stem and the blocks."""
        return [self.stem, *self.blocks]

    def config(self) -> dict[str, Any]:
        """Give the keyword arguments that make this encoder again, in plain types."""
        return {
            key: list(value) if isinstance(value, list) else value
            for key, value in self._config.items()
        }


class SmallResNet1d(ResNet1d):
    """The same blocks, narrow, for 100 Hz and for machines without a GPU.

    10 s at 100 Hz (1000 samples) become 15 steps.

    Args:
        in_channels: Number of leads.
        widths: Channels after each block; the stem has those of the first.
        strides: Subsampling factor of each block.
        stem_stride: Subsampling factor of the stem.
        kernel_size: Samples under a convolution, odd.
        dropout: Share of activations that training drops, twice a block.
        activation: `gelu` or `relu`.

    Raises:
        UsageError: Widths and strides do not match, or the kernel does not fit.
    """

    def __init__(
        self,
        in_channels: int = 12,
        widths: Sequence[int] = (16, 32, 64, 96),
        strides: Sequence[int] = (2, 2, 2, 2),
        stem_stride: int = 4,
        kernel_size: int = 7,
        dropout: float = 0.2,
        activation: Activation = "gelu",
    ) -> None:
        super().__init__(
            in_channels, widths, strides, stem_stride, kernel_size, dropout, activation
        )
