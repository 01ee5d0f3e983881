"""Raise or lower the pitch of a record without changing when anything happens."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pahcl.signals.augment.base import (
    Range,
    Transform,
    View,
    require_at_least,
    require_range,
    size_of,
)
from pahcl.signals.augment.draws import Draws

_OVERLAP = 8
"""Frames that cover each sample."""


@dataclass(frozen=True, kw_only=True)
class PitchShift(Transform):
    """Shift the pitch by a phase vocoder: frequencies are multiplied, times stay.

    In the spectrum of each frame every peak moves to its multiple, along with the bins around it;
    the phase of a peak goes on from frame to frame as its new frequency wants it, and the phases
    around it keep their differences, in which lies when something happens (Laroche and Dolson
    1999). A lead is as loud afterwards as before. For heart sounds; the waves of an
    electrocardiogram have no pitch.

    Args:
        p: Probability that a record is changed, drawn for each one.
        semitones: Least and greatest shift; 12 semitones are an octave.
        window: Length of a frame in seconds: a longer one tells low tones apart, a shorter one
            keeps times sharp. Heart sounds are as short as a frame: with 0.04 s a shift by 2 either
            way moved the energy of recordings of PhysioNet 2016 by 1.8 (median), with 0.064 s by
            2.3 downwards and 1.5 upwards.
    """

    p: float = 0.3
    semitones: Range = (-2.0, 2.0)
    window: float = 0.04

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "semitones", self.semitones, -48.0, 48.0)
        require_at_least(self, "window", self.window, 1e-3)

    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        low, high = self.semitones
        factor = torch.pow(2.0, draws.uniform(1, 1, 1, 1, low=low, high=high) / 12.0)
        length = signal.shape[-1]
        hop = max(2, round(self.window * fs / _OVERLAP))
        size = hop * _OVERLAP
        window = torch.hann_window(size, device=signal.device)
        flat = signal.reshape(-1, length)
        spectrum = torch.stft(
            flat, size, hop, window=window, pad_mode="constant", return_complex=True
        )
        spectrum = spectrum.view(*signal.shape[:2], *spectrum.shape[-2:])
        shifted = _shifted(spectrum, factor, hop / size).flatten(0, 1)
        result = _overlapped(shifted, window, hop, length).view_as(signal)
        result = result.where(real.unsqueeze(1), 0.0)
        before, after = size_of(signal, real), size_of(result, real)
        return result * (before / after.where(after > 0, 1.0)), real


def _overlapped(spectrum: Tensor, window: Tensor, hop: int, length: int) -> Tensor:
    """Add frames `[N, K, T]` up to signals `[N, length]`.

    PyTorch's own inverse looks at the sum of the windows, for which a GPU's host has to wait.
    """
    size = len(window)
    frames = torch.fft.irfft(spectrum, n=size, dim=1) * window.unsqueeze(1)
    squares = window.square().view(1, size, 1).expand(1, size, frames.shape[2])
    whole = {"output_size": (1, size + hop * (frames.shape[2] - 1)), "kernel_size": (1, size)}
    added, weight = (F.fold(one, **whole, stride=(1, hop)) for one in (frames, squares))
    inside = slice(size // 2, size // 2 + length)
    return (added / weight.clamp_min(1e-6))[:, 0, 0, inside]


def _shifted(spectrum: Tensor, factor: Tensor, hop: float) -> Tensor:
    """Multiply the frequencies of frames `[B, C, K, T]`.

    Args:
        spectrum: Complex frames.
        factor: `[B, 1, 1, 1]`.
        hop: From frame to frame, as a share of the window.
    """
    bins = spectrum.shape[2]
    number = torch.arange(bins, device=spectrum.device).view(1, 1, -1, 1)
    sign = 1 - 2 * (number % 2)  # brings the origin of phases from a frame's begin to its centre
    centred = spectrum * sign
    peak = _nearest_peaks(centred.abs(), number)
    # By how many bins the frequency that is measured at a peak moves, and each bin around it.
    shift = (factor - 1.0) * _frequencies(centred.angle(), number, hop).gather(2, peak)
    turns = shift * hop
    turns = torch.cumsum(turns - turns.round(), dim=3).gather(2, peak)
    turned = centred * torch.polar(torch.ones_like(turns), 2 * math.pi * turns)
    target = (number + shift).clamp(-1, bins)
    left = target.floor()
    share = target - left
    moved = torch.zeros(*spectrum.shape[:2], bins + 3, spectrum.shape[3], 2, device=spectrum.device)
    place = (left.to(torch.int64) + 1).unsqueeze(-1).expand(-1, -1, -1, -1, 2)
    moved.scatter_add_(2, place, torch.view_as_real(turned * (1 - share)))
    moved.scatter_add_(2, place + 1, torch.view_as_real(turned * share))
    return torch.view_as_complex(moved[:, :, 1 : bins + 1].contiguous()) * sign


def _frequencies(phase: Tensor, number: Tensor, hop: float) -> Tensor:
    """Measure the frequency in each bin, in bins, from how far its phase goes between frames."""
    expected = number * hop
    advance = torch.diff(phase, dim=3, prepend=phase[..., :1]) / (2 * math.pi) - expected
    advance[..., 0] = 0.0
    return (expected + advance - advance.round()) / hop


def _nearest_peaks(size: Tensor, number: Tensor) -> Tensor:
    """Find for each bin the nearest one that is higher than its neighbours: int64, as `size`."""
    bins = size.shape[2]
    beside = F.pad(size, (0, 0, 1, 1))
    is_peak = (size >= beside[:, :, :-2]) & (size > beside[:, :, 2:])
    below = torch.where(is_peak, number, -2 * bins).cummax(dim=2).values
    above = torch.where(is_peak, number, 3 * bins).flip(2).cummin(dim=2).values.flip(2)
    nearest = torch.where(number - below <= above - number, below, above)
    return torch.where((nearest >= 0) & (nearest < bins), nearest, number)
