"""Augmentations of height: louder or softer, and noise whose size is told against the record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import scipy.fft
import torch
import torch.nn.functional as F
from torch import Tensor

from pahcl.errors import UsageError
from pahcl.signals.augment.base import (
    PCG_BAND,
    Range,
    Transform,
    View,
    clock,
    require_at_least,
    require_range,
    size_of,
)
from pahcl.signals.augment.draws import Draws
from pahcl.signals.augment.spectrum import band_bins, require_band

Colour = Literal["white", "pink", "brown"]
_SLOPES: dict[str, float] = {"white": 0.0, "pink": 1.0, "brown": 2.0}
"""Power falls with frequency to this power."""


@dataclass(frozen=True, kw_only=True)
class AmplitudeScale(Transform):
    """Make a record louder or softer, all leads alike.

    Args:
        factor: Least and greatest factor.
    """

    p: float = 0.8
    factor: Range = (0.8, 1.2)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "factor", self.factor, 0.0)

    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        low, high = self.factor
        return signal * draws.uniform(1, 1, 1, low=low, high=high), real


def _noise_size(signal: Tensor, real: Tensor, draws: Draws, slot: int, snr: Range) -> Tensor:
    """Draw how large noise is for each lead, `[B, C, 1]`: the ratio is one for the record."""
    ratio = draws.uniform(slot, 1, 1, low=snr[0], high=snr[1])
    return size_of(signal, real) * torch.pow(10.0, ratio / -20.0)


@dataclass(frozen=True, kw_only=True)
class GaussianNoise(Transform):
    """Add white noise, of its own in every lead.

    It reaches up to half the sampling rate. What lies outside the signal's band is easily told
    apart; `ColouredNoise` with `colours: [white]` stays within the band.

    Args:
        snr: Least and greatest ratio of the power of the lead to that of the noise, in dB; a silent
            lead stays silent.
    """

    snr: Range = (20.0, 40.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "snr", self.snr, -100.0, 200.0)

    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        noise = draws.normal(2, *signal.shape[1:])
        return noise.mul_(_noise_size(signal, real, draws, 1, self.snr)).add_(signal), real


@dataclass(frozen=True, kw_only=True)
class ColouredNoise(Transform):
    """Add noise whose power falls with frequency, of its own in every lead.

    It is as loud as its ratio says within the signal's band and nothing outside of it: brown noise
    from 0 Hz on would be a slow wander and hardly any noise where the heart sounds lie.

    Args:
        p: Probability that a record is changed, drawn for each one.
        colours: Kinds of which each record draws one: `white` (equal power in every Hz), `pink`
            (power falls as 1/f) or `brown` (as 1/f²).
        snr: Least and greatest ratio of the power of the lead to that of the noise, in dB.
        band: Where the noise lies, in Hz; what is above half the sampling rate is left out.
    """

    p: float = 0.3
    colours: tuple[Colour, ...] = ("pink", "brown", "white")
    snr: Range = (15.0, 30.0)
    band: Range = PCG_BAND

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "snr", self.snr, -100.0, 200.0)
        require_range(self, "band", self.band, 0.0)
        if not self.colours or not set(self.colours) <= set(_SLOPES):
            raise UsageError(
                f"ColouredNoise: `colours` must name some of {', '.join(_SLOPES)}, got "
                f"{list(self.colours)}."
            )

    def require_rate(self, fs: float) -> None:
        """Refuse a rate that holds nothing of the band."""
        require_band(self, self.band, fs)

    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        leads, length = signal.shape[1:]
        size = scipy.fft.next_fast_len(length, real=True)
        low, high = band_bins(self.band, fs, size)
        bins = torch.arange(max(low, 1), max(high, low, 1) + 1, device=signal.device)
        chosen = (draws.uniform(3, 1) * len(self.colours)).to(torch.int64)
        slope = torch.zeros_like(chosen, dtype=torch.float32)
        for number, colour in enumerate(self.colours):
            slope = slope.masked_fill(chosen == number, _SLOPES[colour])
        shape = (bins / bins[0]) ** (slope / -2.0)
        # Each bin stands for two frequencies of variance 2 shape²; the noise shall have 1.
        shape = shape * (size / (2.0 * torch.linalg.vector_norm(shape, dim=1, keepdim=True)))
        drawn = draws.normal(2, leads, len(bins), 2) * shape.view(-1, 1, len(bins), 1)
        bounds = int(max(low, 1)), size // 2 - int(max(high, low, 1))
        spectrum = F.pad(torch.view_as_complex(drawn), bounds)
        noise = torch.fft.irfft(spectrum, n=size)[..., :length]
        return signal + noise * _noise_size(signal, real, draws, 1, self.snr), real


@dataclass(frozen=True, kw_only=True)
class RespiratoryNoise(Transform):
    """Add what breathing leaves: a slow wave with two harmonics, and a smooth friction noise.

    The wave is 0.6, 0.3 and 0.1 of sines at once, twice and three times the rate of breathing, at a
    random phase. The friction is white noise, averaged over 100 ms and brought to its size
    afterwards (in PA-HCL before, so that it shrank as the sampling rate grew).

    Args:
        p: Probability that a record is changed, drawn for each one.
        intensity: Least and greatest size, as a share of the lead's standard deviation.
        rate: Least and greatest number of breaths a minute.
        friction: Standard deviation of the friction noise, as a share of the wave's height.
    """

    p: float = 0.3
    intensity: Range = (0.05, 0.2)
    rate: Range = (12.0, 20.0)
    friction: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "intensity", self.intensity, 0.0)
        require_range(self, "rate", self.rate, 0.0)
        require_at_least(self, "friction", self.friction, 0.0)

    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        leads, length = signal.shape[1:]
        breaths = draws.uniform(1, 1, low=self.rate[0], high=self.rate[1]) / 60.0
        phase = draws.uniform(2, 1)
        turns = breaths * (clock(signal) / fs) + phase
        wave = torch.zeros_like(turns)
        for harmonic, share in enumerate((0.6, 0.3, 0.1), start=1):
            wave += share * torch.sin(2 * math.pi * harmonic * turns)
        reach = max(1, round(0.1 * fs))
        white = draws.normal(3, leads, length + reach - 1)
        summed = F.pad(white.cumsum(dim=2, dtype=torch.float64), (1, 0))
        friction = (summed[..., reach:] - summed[..., :-reach]).to(torch.float32)
        friction *= self.friction / math.sqrt(reach)
        low, high = self.intensity
        size = draws.uniform(4, 1, 1, low=low, high=high) * _deviation(signal, real)
        return signal + size * (wave.unsqueeze(1) + friction), real


def _deviation(signal: Tensor, real: Tensor) -> Tensor:
    """Measure the standard deviation of each lead over its real samples: `[B, C, 1]`."""
    count = real.sum(dim=1).clamp_min(1).view(-1, 1, 1)
    centred = signal - signal.sum(dim=2, keepdim=True) / count
    return size_of(centred.where(real.unsqueeze(1), 0.0), real)
