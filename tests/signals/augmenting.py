"""What the tests of augmentations share: one of each kind, signals, and ways to measure them."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from pahcl.signals import augment
from pahcl.signals.augment import Augmentation, Transform

FS = 1000.0
BATCH = 400
LONG = 1000
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


def run(augmentation: Augmentation, signal: Tensor) -> tuple[Tensor, Tensor]:
    return augmentation(signal, FS, None, seeds(len(signal)))


def moved_by(augmentation: Augmentation) -> Tensor:
    """Give the samples by which a click is moved in each record."""
    click = torch.zeros(BATCH, 1, LONG)
    click[..., LONG // 2] = 1.0
    return run(augmentation, click)[0][:, 0].argmax(dim=1) - LONG // 2


def left(augmentation: Augmentation) -> Tensor:
    """Give the share of each record that is still real."""
    return run(augmentation, noise(BATCH, 1, LONG))[1].float().mean(dim=1)


def silent(augmentation: Augmentation) -> Tensor:
    """Mark what is silenced of a constant: `[B, L]`."""
    return run(augmentation, torch.ones(BATCH, 1, LONG))[0][:, 0] == 0


def pieces(marked: Tensor) -> Tensor:
    """Count the runs of true in each row."""
    before = torch.nn.functional.pad(marked[:, :-1], (1, 0))
    return (marked & ~before).sum(dim=1)


def widest(marked: Tensor) -> float:
    """Give the greatest number of true in a row; it is a run's where there is but one."""
    return float(marked.sum(dim=1).max())


def taken(augmentation: Augmentation) -> Tensor:
    """Mark the frequencies of white noise that are taken: `[B, L / 2 + 1]`, 1 Hz apart."""
    got, _ = run(augmentation, noise(BATCH, 1, LONG))
    return torch.fft.rfft(got[:, 0]).abs() < 1e-3


def added(augmentation: Augmentation, signal: Tensor | None = None) -> Tensor:
    """Give what is added to each record."""
    signal = noise(BATCH, 1, LONG) if signal is None else signal
    return run(augmentation, signal)[0] - signal


def ratios(augmentation: Augmentation) -> Tensor:
    """Give the ratio of each record's power to that of what is added, in dB."""
    signal = noise(BATCH, 1, 4 * LONG)
    return 10 * torch.log10(power(signal) / power(added(augmentation, signal)))


def factors(augmentation: Augmentation) -> Tensor:
    signal = noise(BATCH, 1, 8)
    return (run(augmentation, signal)[0] / signal).mean(dim=(1, 2))


def slope(augmentation: Augmentation) -> float:
    """Give by how many dB an octave what is added falls from 50 Hz to 200 Hz."""
    spectrum = torch.fft.rfft(added(augmentation)[:, 0]).abs().square()
    low, high = spectrum[:, 48:53].mean(), spectrum[:, 190:211].mean()
    return float(10 * torch.log10(low / high) / 2)


def gain(augmentation: Augmentation, frequency: float) -> float:
    """Give what is left of the height of a tone."""
    signal = tone(frequency, batch=2)
    got = run(augmentation, signal)[0]
    return float((power(got[..., 300:-300]) / power(signal[..., 300:-300])).sqrt().mean())


def blur(augmentation: Augmentation) -> float:
    """Give over how many seconds a click is spread: the standard deviation of its energy."""
    click = torch.zeros(20, 1, LONG)
    click[..., LONG // 2] = 1.0
    energy = run(augmentation, click)[0][:, 0].square()
    time = (torch.arange(LONG) - LONG // 2) / FS
    return float(((energy * time**2).sum(1) / energy.sum(1)).sqrt().mean())


def breaths(augmentation: Augmentation) -> float:
    """Give the rate of breathing a minute that is seen in what is added."""
    return float(60 * peak(added(augmentation, noise(4, 1, 60_000))).median())


def friction(augmentation: Augmentation) -> float:
    """Give the size of what is added above the third harmonic of breathing, 1 = the record's."""
    long = noise(8, 1, 20_000)
    spectrum = torch.fft.rfft(added(augmentation, long))
    spectrum[..., :40] = 0  # 2 Hz
    return float(power(torch.fft.irfft(spectrum)).mean().sqrt())


def reversed_share(augmentation: Augmentation) -> float:
    signal = noise(BATCH, 1, 16)
    return float((run(augmentation, signal)[0] == signal.flip(2)).all(dim=2).float().mean())


def part_factors(augmentation: Augmentation) -> Tensor:
    """Give the factors of 12 pieces of each record."""
    signal = noise(BATCH, 1, 1200)
    return (run(augmentation, signal)[0] / signal).view(BATCH, 12, 100).median(dim=2).values


def different(augmentation: Augmentation) -> float:
    """Give the greatest number of different factors within a record."""
    rounded = (part_factors(augmentation) * 1e4).round()
    return max(len(row.unique()) for row in rounded)
