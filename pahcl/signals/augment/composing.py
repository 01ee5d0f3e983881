"""Augmentations made of others: one after the other, one of them, part by part, two views."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pahcl.errors import SpecError, UsageError
from pahcl.signals.augment.base import (
    Augmentation,
    Transform,
    View,
    clock,
    pick,
    require_at_least,
    stretch,
    to_some,
    within,
)
from pahcl.signals.augment.draws import Draws, Seeds


@dataclass(frozen=True, kw_only=True)
class Compose(Augmentation):
    """Augment by one after the other.

    Args:
        augmentations: In their order; none leaves the records as they are.
    """

    augmentations: tuple[Augmentation, ...] = ()

    def require_rate(self, fs: float) -> None:
        """Refuse a rate that one of them refuses."""
        for augmentation in self.augmentations:
            augmentation.require_rate(fs)

    def movers(self) -> tuple[str, ...]:
        """Name those of all of them."""
        return tuple(name for one in self.augmentations for name in one.movers())

    def apply(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        """Apply each to what the one before it gave."""
        for number, augmentation in enumerate(self.augmentations):
            signal, real = augmentation.apply(signal, fs, real, draws.child(number))
        return signal, real


@dataclass(frozen=True, kw_only=True)
class RandomApply(Transform):
    """Augment some records by another augmentation, on top of its own probabilities.

    Args:
        augmentation: What is done to the records that are hit.
        p: Probability that a record is changed, drawn for each one.
    """

    augmentation: Augmentation

    def require_rate(self, fs: float) -> None:
        """Refuse a rate that it refuses."""
        self.augmentation.require_rate(fs)

    def movers(self) -> tuple[str, ...]:
        """Name those of what is done to the records that are hit."""
        return self.augmentation.movers() if self.p > 0 else ()

    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        return self.augmentation.apply(signal, fs, real, draws.child(0))


@dataclass(frozen=True, kw_only=True)
class RandomChoice(Transform):
    """Augment each record by one of several augmentations.

    Args:
        augmentations: Of which each record draws one.
        weights: How likely each is, in any unit; None makes all of them equally likely.
        p: Probability that a record is changed at all, drawn for each one.
    """

    p: float = 1.0
    augmentations: tuple[Augmentation, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = self._weights()
        fits = len(weights) == len(self.augmentations) and all(
            math.isfinite(weight) and weight >= 0 for weight in weights
        )
        if not fits or not sum(weights) > 0:
            raise UsageError(
                "RandomChoice: `weights` must give each of the "
                f"{len(self.augmentations)} augmentations a share of 0 or more, and one of them "
                f"more; got {list(weights)}."
            )

    def _weights(self) -> tuple[float, ...]:
        return (1.0,) * len(self.augmentations) if self.weights is None else self.weights

    def require_rate(self, fs: float) -> None:
        """Refuse a rate that one of them refuses."""
        for augmentation in self.augmentations:
            augmentation.require_rate(fs)

    def movers(self) -> tuple[str, ...]:
        """Name those of all that may be drawn."""
        drawn = zip(self.augmentations, self._weights(), strict=True)
        return tuple(name for one, weight in drawn if weight * self.p for name in one.movers())

    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        drawn = draws.uniform(1) * sum(self._weights())
        chosen, moved, passed = signal, real, 0.0
        for number, (one, weight) in enumerate(
            zip(self.augmentations, self._weights(), strict=True)
        ):
            hit = (drawn >= passed) & (drawn < passed + weight)
            passed += weight
            chosen, moved = to_some(one.apply, (chosen, moved), fs, hit, draws.child(number))
        return chosen, moved


@dataclass(frozen=True, kw_only=True)
class PartWise(Augmentation):
    """Augment each part of a record by itself, as PA-HCL's sub-structures can be.

    Args:
        augmentation: What is done to each part.
        parts: Number of equal parts that the real samples of a record are cut into.
        same: Every part of a record is given the same draws (the same factor, the same noise);
            otherwise each its own.
    """

    augmentation: Augmentation
    parts: int = 4
    same: bool = False

    def __post_init__(self) -> None:
        require_at_least(self, "parts", self.parts, 1)

    def require_rate(self, fs: float) -> None:
        """Refuse a rate that the augmentation refuses."""
        self.augmentation.require_rate(fs)

    def movers(self) -> tuple[str, ...]:
        """Name those of what is done to each part."""
        return self.augmentation.movers()

    def apply(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        """Cut, augment, and put together again."""
        batch, leads, length = signal.shape
        longest = math.ceil(length / self.parts)
        first, count = stretch(real)
        number = torch.arange(self.parts + 1, device=signal.device)
        edge = first + number * count // self.parts
        place = edge[:, :-1, None] + torch.arange(longest, device=signal.device)
        inside = place < edge[:, 1:, None]
        place = place.clamp_max(length - 1).flatten(1)
        cut = pick(signal, place).view(batch, leads, self.parts, longest).transpose(1, 2)
        there = real.gather(1, place).view_as(inside) & inside
        cut = cut.where(there.unsqueeze(2), 0.0).flatten(0, 1)
        parted = draws.parted(self.parts, self.same)
        changed, moved = self.augmentation.apply(cut, fs, there.flatten(0, 1), parted)
        changed = changed.view(batch, self.parts, leads, longest).transpose(1, 2).flatten(2)
        part = (clock(signal).unsqueeze(1) >= edge[:, None, 1:-1]).sum(dim=2)
        source = part * longest + clock(signal) - edge.gather(1, part)
        inside = within(signal, first, count)
        source = source.where(inside, 0)
        left = moved.view(batch, -1).gather(1, source) & inside
        return pick(changed, source).where(left.unsqueeze(1), 0.0), left


def augment_parts(
    augmentation: Augmentation,
    parts: Tensor,
    fs: float,
    mask: Tensor | None = None,
    generator: Seeds = None,
    same: bool = False,
) -> View:
    """Augment parts that are cut already, each by itself.

    Args:
        augmentation: What is done to each part.
        parts: `[B, K, C, L]`.
        fs: Sampling rate in Hz.
        mask: `[B, K, L]` bool, true = real signal; None = all of it is.
        generator: int64 `[B]`, a seed for each record; or where to draw them from.
        same: Every part of a record is given the same draws, otherwise each its own.

    Returns:
        float32 `[B, K, C, L]`, and its mask, bool `[B, K, L]`.

    Raises:
        SpecError: The shapes do not fit.
    """
    if parts.ndim != 4 or (mask is not None and mask.shape != (*parts.shape[:2], parts.shape[3])):
        raise SpecError(
            f"Parts must be [B, K, C, L] and their mask [B, K, L], got {tuple(parts.shape)} and "
            f"{None if mask is None else tuple(mask.shape)}."
        )
    seeds = Draws.of(parts, generator).parted(parts.shape[1], same).state
    flat = None if mask is None else mask.flatten(0, 1)
    signal, moved = augmentation(parts.flatten(0, 1), fs, flat, seeds)
    return signal.view(parts.shape), moved.view(*parts.shape[:2], parts.shape[3])


def two_views(
    augmentation: Augmentation,
    signal: Tensor,
    fs: float,
    mask: Tensor | None = None,
    generator: Seeds = None,
) -> tuple[View, View]:
    """Augment a batch twice by independent draws, as contrastive objectives compare it.

    Args:
        augmentation: What makes a view.
        signal: `[B, C, L]`.
        fs: Sampling rate in Hz.
        mask: `[B, L]` bool, true = real signal; None = all of it is.
        generator: int64 `[B]`, a seed for each record; or where to draw them from.

    Returns:
        Two signals with their masks.
    """
    draws = Draws.of(signal, generator)
    one, other = (augmentation(signal, fs, mask, draws.child(view).state) for view in (0, 1))
    return one, other
