"""Augmentations along time: what moves, lasts longer, is silent, is cut off or runs backwards.

Ranges and probabilities are those of PA-HCL's pipelines where they have the transform. Its shifts
wrapped the padding into the signal; here whatever moves stays within the real samples of a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pahcl.signals.augment.base import (
    Range,
    Transform,
    View,
    clock,
    require_at_least,
    require_range,
    require_share,
    shifted,
    stretch,
    within,
)
from pahcl.signals.augment.draws import Draws
from pahcl.signals.augment.interpolation import UNIT, interpolate, rounded


@dataclass(frozen=True, kw_only=True)
class TimeShift(Transform):
    """Move a record earlier or later by a random number of samples.

    Args:
        max_share: Largest shift either way, as a share of the record's real length.
        wrap: What leaves the real stretch at one end comes in again at the other, as suits a heart
            cycle. Otherwise the stretch moves within the window: what leaves the window is lost,
            what is left behind is padding.
    """

    moves_times: ClassVar = True

    p: float = 0.8
    max_share: float = 0.1
    wrap: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share(self, "max_share", self.max_share)

    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        first, count = stretch(real)
        most = (count * self.max_share).to(torch.int64)
        shift = draws.below(1, 2 * most + 1) - most
        changed, moved = shifted(signal, shift), shifted(real, shift)
        if self.wrap:  # padding is 0, so that the two pieces add up
            back = shift - count * torch.where(shift < 0, -1, 1)
            changed = changed + shifted(signal, back)
            moved = (moved | shifted(real, back)) & within(signal, first, count)
        return changed, moved


@dataclass(frozen=True, kw_only=True)
class TimeStretch(Transform):
    """Play a record slower or faster; its pitch changes along with it.

    A shorter record keeps its begin and is padded behind; of one that becomes longer than the
    window the centre is shown. Values in between are those of a windowed sinc, where the original
    joins samples by lines, which at 1000 Hz takes a fifth off a tone of 200 Hz.

    Args:
        speed: Least and greatest speed, as a factor.
    """

    moves_times: ClassVar = True

    speed: Range = (0.9, 1.1)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "speed", self.speed, 0.1, 10.0)

    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        length = signal.shape[-1]
        first, count = stretch(real)
        low, high = self.speed
        speed = draws.uniform(1, 1, low=low, high=high).to(torch.float64)
        wanted = ((count - 1).clamp_min(0) / speed).to(torch.int64) + 1
        begin = torch.minimum(first, (length - wanted).clamp_min(0))
        begin = begin - (wanted - length).clamp_min(0) // 2
        source = (clock(signal) - begin) * (speed * UNIT).to(torch.int64)
        source += first * UNIT
        nearest = rounded(source).clamp_(0, length - 1)
        moved = real.gather(1, nearest) & within(signal, begin, wanted * (count > 0))
        return interpolate(signal, source, first, count), moved


@dataclass(frozen=True, kw_only=True)
class TimeMask(Transform):
    """Silence short pieces of a record; they remain part of it.

    Each piece is at least a sample long and lies within the real samples.

    Args:
        masks: Number of pieces.
        max_width: Greatest length of a piece in seconds.
        max_share: Greatest length of a piece as a share of the record's real length; the smaller
            of both counts.
    """

    masks: int = 2
    max_width: float = 0.03
    max_share: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "masks", self.masks, 1)
        require_at_least(self, "max_width", self.max_width, 0)
        require_share(self, "max_share", self.max_share)

    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        first, count = stretch(real)
        widest = (count * self.max_share).to(torch.int64).clamp(1, max(1, int(self.max_width * fs)))
        width = draws.below(1, widest.expand(-1, self.masks)) + 1
        start = first + draws.below(2, count - width + 1)
        longest = max(1, min(int(self.max_width * fs), int(signal.shape[-1] * self.max_share)))
        piece = torch.arange(longest, device=signal.device).expand(len(signal), 1, -1)
        piece = torch.minimum(piece, width.unsqueeze(2) - 1) + start.unsqueeze(2)
        silent = piece.flatten(1).unsqueeze(1).expand(-1, signal.shape[1], -1)
        return signal.scatter(2, silent, 0.0), real


@dataclass(frozen=True, kw_only=True)
class RandomCrop(Transform):
    """Keep a piece of a record where it lies; the rest becomes padding.

    Args:
        keep: Least and greatest share of the real length that is kept.
    """

    keep: Range = (0.8, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "keep", self.keep, 0.0, 1.0)

    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        first, count = stretch(real)
        low, high = self.keep
        kept = (count * draws.uniform(1, 1, low=low, high=high)).round().to(torch.int64)
        kept = kept.clamp_min(1)
        begin = first + draws.below(2, count - kept + 1)
        return signal, real & within(signal, begin, kept)


@dataclass(frozen=True, kw_only=True)
class Reverse(Transform):
    """Play a record backwards, in its place."""

    moves_times: ClassVar = True

    p: float = 0.1

    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        first, count = stretch(real)
        shift = 2 * first + count - signal.shape[-1]
        return shifted(signal.flip(2), shift), shifted(real.flip(1), shift)
