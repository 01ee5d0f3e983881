"""What the tests of attacks share: small models, a trained one, and how budgets are measured."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn


class MaskedNet(nn.Module):
    """A convolution, BatchNorm and dropout on `[B, C, L]`, which reads a mask."""

    def __init__(self, channels: int = 12, outputs: int = 3, width: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, width, 7, padding=3)
        self.norm = nn.BatchNorm1d(width)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(width, outputs)
        self.masks = 0

    def forward(self, signal: Tensor, mask: Tensor | None = None) -> Tensor:
        features = torch.nn.functional.gelu(self.norm(self.conv(signal)))
        if mask is not None:
            self.masks += 1
            features = features * mask.unsqueeze(1)
        return self.head(self.drop(features.mean(-1)))


class Counted(nn.Module):
    """Count the forward passes of a model, and the backward ones that reach its input."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.forwards = self.backwards = 0

    def forward(self, signal: Tensor) -> Tensor:
        self.forwards += 1
        outputs = self.model(signal)
        if outputs.requires_grad:
            outputs.register_hook(self._count)
        return outputs

    def _count(self, gradient: Tensor) -> None:
        self.backwards += 1


def waves(records: int, seed: int, channels: int = 2, length: int = 96) -> tuple[Tensor, Tensor]:
    """Draw records of two labels: a bump somewhere, and a tremor of 12 periods."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(length) / length
    labels = (torch.rand(records, 2, generator=generator) < 0.5).float()
    place = torch.rand(records, 1, generator=generator) * 0.8 + 0.1
    bump = torch.exp(-0.5 * ((time - place) / 0.03) ** 2)
    tremor = torch.sin(2 * torch.pi * (12 * time + torch.rand(records, 1, generator=generator)))
    clean = labels[:, :1] * bump + 0.15 * labels[:, 1:] * tremor
    noise = torch.randn(records, channels, length, generator=generator)
    return clean.unsqueeze(1) + 0.1 * noise, labels


@lru_cache
def trained() -> nn.Module:
    """Train a small network on `waves` to two labels, once for all tests."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv1d(2, 12, 7, padding=3), nn.BatchNorm1d(12), nn.GELU(), nn.MaxPool1d(2),
            nn.Conv1d(12, 12, 7, padding=3), nn.BatchNorm1d(12), nn.GELU(),
            nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(12, 2),
        )  # fmt: skip
        signal, labels = waves(512, seed=1)
        optimiser = torch.optim.Adam(model.parameters(), 1e-2)
        for step in range(60):
            rows = torch.arange(64) + 64 * (step % 8)
            loss = nn.functional.binary_cross_entropy_with_logits(model(signal[rows]), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        optimiser.zero_grad()
    return model.eval()


def robust_share(model: nn.Module, signal: Tensor, labels: Tensor) -> float:
    """Give the share of records of which every label is decided rightly."""
    with torch.no_grad():
        return float(((model(signal) > 0) == (labels > 0.5)).all(1).float().mean())


def length_of(delta: Tensor, norm: str) -> Tensor:
    """Measure perturbations by record in float64."""
    flat = delta.double().flatten(1)
    order = {"linf": float("inf"), "l2": 2.0, "l1": 1.0}[norm]
    return torch.linalg.vector_norm(flat, order, dim=1)


def rounding(signal: Tensor, norm: str) -> float:
    """Bound what rounding the sum of a signal and a perturbation to float32 adds to a norm."""
    ulp = 2.0**-23 * float(signal.abs().max() + 1.0)
    size = signal[0].numel()
    return ulp * {"linf": 1.0, "l2": size**0.5, "l1": float(size)}[norm]
