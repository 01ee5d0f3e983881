"""A small network that says, frame by frame, in which state of its cycle a heart is.

Log-energies of ten bands, 100 times a second, each relative to its mean and spread over the
recording, so that neither volume nor the colour of a device counts; then a U-Net (Ronneberger et
al. 2015; for heart sounds Renna et al. 2019) that sees some seconds around each frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FS = 1000
"""Rate in Hz of the signals that the network reads."""

FRAME_RATE = 100
"""Frames a second of what it says."""

HOP = FS // FRAME_RATE
WINDOW = 64
"""Samples of which a spectrum is taken."""

BAND_EDGES = (25.0, 45.0, 65.0, 90.0, 120.0, 155.0, 200.0, 260.0, 330.0, 400.0)
"""Edges of the bands in Hz."""

CLASSES = ("S1", "systole", "S2", "diastole", "nothing")
"""What a frame may be; the last one where no heart is heard."""

_SHORT = 20  # samples of the envelope that places the edges of a sound
_FLOOR = 1e-7
_LEAST_SPREAD = 0.3
_HIGHEST = 4.0


class SoundFeatures(nn.Module):
    """Compute the log-energies of a sound's bands, and that of a short window.

    Attributes:
        channels: How many there are.
    """

    channels = len(BAND_EDGES)
    basis: Tensor
    bands: Tensor

    def __init__(self) -> None:
        super().__init__()
        bins = torch.arange(1, WINDOW // 2, dtype=torch.float64)
        angle = 2 * math.pi * torch.outer(torch.arange(WINDOW, dtype=torch.float64), bins) / WINDOW
        window = torch.hann_window(WINDOW, periodic=False, dtype=torch.float64)[:, None]
        basis = torch.cat([angle.cos(), angle.sin()], dim=1) * window
        edges = torch.tensor(BAND_EDGES, dtype=torch.float64)
        centre = (edges[1:] + edges[:-1]) / 2
        width = (edges[1:] - edges[:-1]).clamp(min=FS / WINDOW)
        frequency = bins * FS / WINDOW
        bands = (1 - (frequency[:, None] - centre).abs() / width).clamp(min=0)
        self.register_buffer("basis", basis.float(), persistent=False)
        self.register_buffer("bands", bands.float(), persistent=False)

    def forward(self, signal: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the features of `[B, L]` at 1000 Hz.

        Args:
            signal: `[B, L]`, band-passed, in any scale.
            mask: `[B, T]` bool, true = the frame is real signal; None = all of them are.

        Returns:
            `[B, channels, T]` with T = L // 10: frame t stands for samples 10 t to 10 t + 9. Mean 0
            and spread 1 over the real frames, at most 4 from there; 0 in padding.
        """
        side = (WINDOW - HOP) // 2
        frames = F.pad(signal, (side, side)).unfold(-1, WINDOW, HOP)
        spectrum = frames @ self.basis
        real, imaginary = spectrum.chunk(2, dim=-1)
        energy = (real.square() + imaginary.square()) @ self.bands
        middle = slice((WINDOW - _SHORT) // 2, (WINDOW + _SHORT) // 2)
        short = frames[..., middle].square().sum(-1, keepdim=True)
        features = torch.log(torch.cat([energy, short], dim=-1) + _FLOOR).transpose(1, 2)
        return _standardised(features, mask)


def _standardised(features: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        mean = features.mean(-1, keepdim=True)
        spread = features.std(-1, keepdim=True, correction=0)
        return ((features - mean) / spread.clamp(min=_LEAST_SPREAD)).clamp(-_HIGHEST, _HIGHEST)
    real = mask.unsqueeze(1).to(features.dtype)
    count = real.sum(-1, keepdim=True).clamp(min=1)
    centred = (features - (features * real).sum(-1, keepdim=True) / count) * real
    spread = (centred.square().sum(-1, keepdim=True) / count).sqrt()
    return (centred / spread.clamp(min=_LEAST_SPREAD)).clamp(-_HIGHEST, _HIGHEST)


class StateNetwork(nn.Module):
    """Give the logits of each frame's class.

    Args:
        channels: Width of each level of the U-Net, at 50, 25, 12.5 … frames a second.
        dropout: Share of the channels of the lowest level that are left out in training.
    """

    def __init__(
        self, channels: Sequence[int] = (24, 32, 40, 48, 64), dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.channels, self.dropout = tuple(channels), dropout
        widths = self.channels
        self.features = SoundFeatures()
        self.stem = _layer(self.features.channels, widths[0], kernel=6, stride=2)
        self.down = nn.ModuleList(
            _layer(narrow, wide) for narrow, wide in zip(widths[:1] + widths, widths, strict=False)
        )
        lowest = widths[-1]
        self.middle = nn.Sequential(
            _layer(lowest, lowest, kernel=3, dilation=2),
            nn.Dropout1d(dropout),
            _layer(lowest, lowest, kernel=3, dilation=4),
        )
        self.up = nn.ModuleList(_layer(fine + coarse, fine) for fine, coarse in pairwise(widths))
        self.out = nn.Conv1d(widths[0], 2 * len(CLASSES), 3, padding=1)

    def config(self) -> dict[str, Any]:
        """Give the arguments that make this network again, in plain types."""
        return {"channels": list(self.channels), "dropout": self.dropout}

    def forward(self, signal: Tensor, mask: Tensor | None = None) -> Tensor:
        """Say of each frame what it is.

        Args:
            signal: `[B, L]` at 1000 Hz, band-passed, in any scale.
            mask: `[B, L]` bool, true = real signal; None = all of it is.

        Returns:
            Logits `[B, 5, L // 10]` of `CLASSES`.
        """
        return self.classify(self.features(signal, self.frames(mask)))

    def frames(self, mask: Tensor | None) -> Tensor | None:
        """Say which frames are real signal as a whole: `[B, L]` bool to `[B, L // 10]`."""
        if mask is None:
            return None
        count = mask.shape[-1] // HOP
        return mask[..., : count * HOP].reshape(len(mask), count, HOP).all(-1)

    def classify(self, features: Tensor) -> Tensor:
        """Turn features `[B, channels, T]` into logits `[B, 5, T]`."""
        length = features.shape[-1]
        whole = 2 ** len(self.channels)
        x = self.stem(F.pad(features, (0, -length % whole)))
        finer = []
        for level, layer in enumerate(self.down):
            x = layer(F.max_pool1d(x, 2) if level else x)
            finer.append(x)
        x = self.middle(x)
        for skipped, layer in zip(finer[-2::-1], reversed(self.up), strict=True):
            x = layer(torch.cat([x.repeat_interleave(2, dim=-1), skipped], dim=1))
        pairs: Tensor = self.out(x)  # two frames a step
        pairs = pairs.reshape(len(x), 2, len(CLASSES), -1).permute(0, 2, 3, 1)
        return pairs.reshape(len(x), len(CLASSES), -1)[..., :length]


def _layer(
    inputs: int, outputs: int, kernel: int = 5, dilation: int = 1, stride: int = 1
) -> nn.Sequential:
    padding = dilation * ((kernel - 1) // 2)
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, stride, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm1d(outputs),
        nn.ReLU(),
    )
