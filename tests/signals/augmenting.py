"""What the tests of augmentations share: one of each kind, signals, and ways to measure them."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from pahcl.signals import augment
from pahcl.signals.augment import Augmentation, Transform

FS = 1000.0
MADE_OF_OTHERS: dict[type[Augmentation], Augmentation] = {
    augment.Compose: augment.preset("pretrain"),
    augment.RandomApply: augment.RandomApply(augmentation=augment.Reverse(p=1.0)),
    augment.RandomChoice: augment.RandomChoice(
        augmentations=(augment.Reverse(p=1.0), augment.GaussianNoise(p=1.0))
    ),
    augment.PartWise: augment.PartWise(augmentation=augment.preset("pretrain"), parts=3),
}


def kinds(base: type[Augmentation] = Augmentation) -> list[type[Augmentation]]:
    """List every augmentation that a config may name; a new one cannot escape."""
    found = []
    for kind in base.__subclasses__():
        found += kinds(kind)
        if kind.__module__.startswith("pahcl.") and not kind.__name__.startswith("_"):
            found += [kind] if kind is not Transform else []
    return sorted(found, key=lambda kind: kind.__name__)


def one(kind: type[Augmentation]) -> Augmentation:
    """Make one that changes every record."""
    made = MADE_OF_OTHERS[kind] if kind in MADE_OF_OTHERS else kind()
    return replace(made, p=1.0) if isinstance(made, Transform) else made


def seeds(count: int, first: int = 0) -> Tensor:
    return torch.arange(first, first + count)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tone(frequency: float, seconds: float = 2.0, batch: int = 1, fs: float = FS) -> Tensor:
    time = torch.arange(round(seconds * fs), dtype=torch.float64) / fs
    return torch.sin(2 * math.pi * frequency * time).float().expand(batch, 1, -1).clone()


def stretches(batch: int, length: int) -> Tensor:
    """Give masks of one real stretch a record, another in each; the first is full, one is empty."""
    start = torch.arange(batch) * 7 % max(1, length // 3)
    stop = length - torch.arange(batch) * 5 % max(1, length // 3)
    if batch > 3:
        start[3] = stop[3]
    time = torch.arange(length)
    return (time >= start[:, None]) & (time < stop[:, None])


def peak(signal: Tensor, fs: float = FS) -> Tensor:
    """Find the loudest frequency of records `[B, 1, L]` in Hz, to 1/50 Hz."""
    size = int(50 * fs)
    window = torch.hann_window(signal.shape[-1])
    spectrum = torch.fft.rfft(signal[:, 0] * window, n=size).abs()
    return spectrum.argmax(dim=1) * fs / size


def power(signal: Tensor) -> Tensor:
    """Measure the mean square of records `[B, C, L]`."""
    return signal.double().square().mean(dim=(1, 2))


def changed(augmentation: Augmentation, batch: int = 2000, length: int = 64) -> float:
    """Give the share of records that are changed."""
    signal = noise(batch, 1, length)
    got, mask = augmentation(signal, FS, generator=seeds(batch))
    return float(((got != signal).any(dim=2)[:, 0] | ~mask.all(dim=1)).float().mean())
