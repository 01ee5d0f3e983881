"""Augmentations of the spectrum: a band that is missing, cut-offs that differ."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import scipy.fft
import torch
from torch import Tensor

from pahcl.errors import SpecError
from pahcl.signals.augment.base import (
    PCG_BAND,
    Range,
    Transform,
    View,
    require_at_least,
    require_range,
    require_share,
)
from pahcl.signals.augment.draws import Draws
from pahcl.signals.frequency import extend


def require_band(owner: object, band: Range, fs: float) -> None:
    """Refuse a rate that holds nothing of a band."""
    if band[0] >= fs / 2:
        raise SpecError(
            f"{type(owner).__name__}: `band` begins at {band[0]:g} Hz, but a rate of {fs:g} Hz "
            f"holds nothing from {fs / 2:g} Hz on. Lower the band or raise fs."
        )


def band_bins(band: Range, fs: float, size: int) -> tuple[int, int]:
    """Find the first and the last bin of a band in an rfft of `size` samples, at least one bin."""
    low, high = (min(frequency, fs / 2) * size / fs for frequency in band)
    first = min(math.ceil(low), size // 2)
    return first, max(first, math.floor(high))


@dataclass(frozen=True, kw_only=True)
class FrequencyMask(Transform):
    """Take some frequencies out of a record.

    Each mask lies within the signal's band, so that none falls where there is nothing to take.

    Args:
        p: Probability that a record is changed, drawn for each one.
        masks: Number of masks.
        max_width: Greatest width of a mask, as a share of the band.
        band: Where the signal lies, in Hz; it ends at half the sampling rate at the latest.
    """

    p: float = 0.3
    masks: int = 1
    max_width: float = 0.15
    band: Range = PCG_BAND

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "masks", self.masks, 1)
        require_share(self, "max_width", self.max_width)
        require_range(self, "band", self.band, 0.0)

    def require_rate(self, fs: float) -> None:
        """Refuse a rate that holds nothing of the band."""
        require_band(self, self.band, fs)

    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        size = scipy.fft.next_fast_len(signal.shape[-1], real=True)
        low, high = band_bins(self.band, fs, size)
        bins = torch.arange(size // 2 + 1, device=signal.device)
        there = torch.full((len(signal), self.masks), high - low + 1, device=signal.device)
        widest = (there * self.max_width).to(torch.int64).clamp_min(1)
        width = draws.below(1, widest) + 1
        start = low + draws.below(2, there - width + 1)
        taken = torch.zeros(len(signal), len(bins), dtype=torch.bool, device=signal.device)
        for one in range(self.masks):
            begin = start[:, one : one + 1]
            taken |= (bins >= begin) & (bins < begin + width[:, one : one + 1])
        spectrum = torch.fft.rfft(signal, n=size).masked_fill(taken.unsqueeze(1), 0.0)
        return torch.fft.irfft(spectrum, n=size)[..., : signal.shape[-1]], real


@dataclass(frozen=True, kw_only=True)
class _Cut(Transform):
    """Filter each record by a Butterworth filter of its own cut-off, forward and backward."""

    p: float = 0.3
    cutoff: Range
    order: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "cutoff", self.cutoff, 1e-3)
        require_at_least(self, "order", self.order, 1)

    def require_rate(self, fs: float) -> None:
        """Refuse a rate that holds nothing at the highest cut-off."""
        if self.cutoff[1] >= fs / 2:
            raise SpecError(
                f"{type(self).__name__}: `cutoff` reaches {self.cutoff[1]:g} Hz, which is not "
                f"below half the sampling rate (fs {fs:g} Hz / 2 = {fs / 2:g} Hz); lower it or "
                "raise fs."
            )

    @abstractmethod
    def _ratio(self, frequency: Tensor, cutoff: Tensor) -> Tensor:
        """Say how far frequencies are beyond the cut-off, both as tangents of half their angle."""

    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        low, high = self.cutoff
        cutoff = draws.uniform(1, 1, low=low, high=high)
        length = signal.shape[-1]
        # The slowest pole decays with 2 pi cut-off sin(pi / 2N): to a thousandth in this time.
        decay = 2 * math.pi * low * math.sin(math.pi / (2 * self.order))
        count = math.ceil(fs * math.log(1000) / decay)
        size = scipy.fft.next_fast_len(length + 2 * count, real=True)
        extended = extend(signal, real, count, size - length - count)
        frequency = torch.fft.rfftfreq(size, device=signal.device)  # half turns a sample
        ratio = self._ratio(torch.tan(math.pi * frequency), torch.tan(math.pi / fs * cutoff))
        response = 1.0 / (1.0 + ratio ** (2 * self.order))  # |H|², once forward, once backward
        spectrum = torch.fft.rfft(extended) * response.unsqueeze(1)
        return torch.fft.irfft(spectrum, n=size)[..., count : count + length], real


@dataclass(frozen=True, kw_only=True)
class LowPass(_Cut):
    """Take away what is high, as a soft membrane or thick clothes do.

    Args:
        p: Probability that a record is changed, drawn for each one.
        cutoff: Least and greatest cut-off in Hz, where half of the amplitude is left.
        order: Of the Butterworth filter, which runs forward and backward.
    """

    cutoff: Range = (200.0, 400.0)

    def _ratio(self, frequency: Tensor, cutoff: Tensor) -> Tensor:
        return frequency / cutoff


@dataclass(frozen=True, kw_only=True)
class HighPass(_Cut):
    """Take away what is low, as a stethoscope's diaphragm does.

    Args:
        p: Probability that a record is changed, drawn for each one.
        cutoff: Least and greatest cut-off in Hz, where half of the amplitude is left.
        order: Of the Butterworth filter, which runs forward and backward.
    """

    cutoff: Range = (20.0, 50.0)

    def _ratio(self, frequency: Tensor, cutoff: Tensor) -> Tensor:
        return cutoff / frequency
