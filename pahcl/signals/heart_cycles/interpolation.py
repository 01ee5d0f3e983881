"""Read a signal between its samples, batched on the device and without aliasing."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

Kernel = Literal["sinc", "linear"]

HALF_WIDTHS = {"sinc": 8, "linear": 1}
"""Samples on each side that make one: lobes of the windowed sinc, or the next neighbour."""


def interpolate(
    signal: Tensor,
    real: Tensor,
    positions: Tensor,
    step: Tensor,
    kernel: Kernel = "sinc",
    widest: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Give the signal at any positions.

    Where positions lie further apart than samples the kernel is as much wider, so that what the new
    rate cannot hold is left out instead of folded. Weights add up to 1 over real samples, so that a
    constant stays itself up to the last sample.

    Args:
        signal: `[B, C, L]` float32.
        real: `[B, L]` bool, samples that count.
        positions: `[B, T]` float32 in samples; outside the signal too.
        step: `[B, T]` samples from one position to the next there.
        kernel: `sinc` (band-limited, windowed by (1 - u²)² over its 16 lobes), or `linear` (a
            triangle).
        widest: A step that none exceeds, where the program knows one. Otherwise the device is
            asked, and on a GPU the program waits for all that was given to it before.

    Returns:
        `[B, C, T]` float32, 0 where the nearest sample is not real, and `[B, T]` bool where it is.
    """
    batch, leads, length = signal.shape
    width = step.clamp_min(1.0)
    half = HALF_WIDTHS[kernel]
    if widest is None:
        widest = float(width.max()) if width.numel() else 1.0
    reach = math.ceil(half * max(widest, 1.0))
    middle = positions.floor()
    taps = torch.arange(1 - reach, reach + 1, device=signal.device)
    distance = (taps - (positions - middle).unsqueeze(2)) / width.unsqueeze(2)
    # Room on both sides for every tap of a position that is known, so that none has to be checked.
    room = reach + 1
    first = middle.clamp(-1, length).long() + room
    place = (first.unsqueeze(2) + taps).reshape(batch, -1)
    counts = pad(real.to(torch.float32), (room, room)).gather(1, place)
    weight = _weights(distance, half, kernel) * counts.view_as(distance)
    total = weight.sum(dim=2)
    nearest = (positions + 0.5).floor().long()
    inside = (nearest >= 0) & (nearest < length)
    known = inside & real.gather(1, nearest.clamp(0, length - 1))
    # A real sample at less than half a sample's distance has more weight than all others together.
    share = known / total.where(known, 1.0)
    taken = pad(signal, (room, room)).gather(2, place.unsqueeze(1).expand(-1, leads, -1))
    values = torch.einsum("bctw,btw->bct", taken.view(batch, leads, *distance.shape[1:]), weight)
    return values * share.unsqueeze(1), known


def _weights(distance: Tensor, half: int, kernel: Kernel) -> Tensor:
    if kernel == "linear":
        return (1 - distance.abs()).clamp_min(0.0)
    # torch.sinc is five times slower; at 1e-6 the quotient is 1 to float32's precision.
    angle = distance.abs().clamp_min_(1e-6).mul_(math.pi)
    root = distance.square().mul_(-1 / half**2).add_(1.0).clamp_min_(0.0)
    return angle.sin().div_(angle).mul_(root.square_())
