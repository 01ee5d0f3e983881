"""Raise or lower the pitch of a record without changing when anything happens."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
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

    The spectrum of each frame is spread or pressed along frequency; the phase of every bin goes on
    with the frequency that was measured there between two frames, times the factor (Flanagan and
    Golden 1966). What happens within one window is blurred over it. A lead is as loud afterwards
    as before. For heart sounds; the waves of an electrocardiogram have no pitch.

    Args:
        p: Probability that a record is changed, drawn for each one.
        semitones: Least and greatest shift; 12 semitones are an octave.
        window: Length of a frame in seconds: a longer one tells low tones apart, a shorter one
            keeps times sharp.
    """

    p: float = 0.3
    semitones: Range = (-2.0, 2.0)
    window: float = 0.128

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
        result = torch.istft(shifted, size, hop, window=window, length=length).view_as(signal)
        result = result.where(real.unsqueeze(1), 0.0)
        before, after = size_of(signal, real), size_of(result, real)
        return result * (before / after.where(after > 0, 1.0)), real


def _shifted(spectrum: Tensor, factor: Tensor, hop: float) -> Tensor:
    """Multiply the frequencies of frames `[B, C, K, T]`.

    Args:
        spectrum: Complex frames.
        factor: `[B, 1, 1, 1]`.
        hop: From frame to frame, as a share of the window.
    """
    bins = spectrum.shape[2]
    bin_number = torch.arange(bins, device=spectrum.device).view(1, 1, -1, 1)
    size, phase = spectrum.abs(), spectrum.angle()
    expected = 2 * math.pi * hop * bin_number
    advance = torch.diff(phase, dim=3, prepend=phase[..., :1]) - expected
    advance[..., 0] = 0.0
    advance = expected + advance - 2 * math.pi * torch.round(advance / (2 * math.pi))
    source = bin_number / factor
    there = source <= bins - 1
    left = source.floor().clamp_max(bins - 2)
    share = source - left
    index = left.to(torch.int64).expand(-1, spectrum.shape[1], -1, spectrum.shape[3])
    height = size.gather(2, index) * (1 - share) + size.gather(2, index + 1) * share
    nearest = torch.where(share < 0.5, index, index + 1)
    turned = advance.gather(2, nearest) * factor
    turned[..., 0] = phase.gather(2, nearest)[..., 0]
    turned = torch.cumsum(turned - 2 * math.pi * torch.round(turned / (2 * math.pi)), dim=3)
    return torch.polar(height.where(there, 0.0), turned)
