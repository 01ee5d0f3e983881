"""Values between the samples of a batch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pahcl.signals.augment.base import pick

TAPS = 8
_BITS, _PHASE_BITS = 30, 10
UNIT = 2**_BITS
"""Parts of a sample: places are whole numbers of them, the same on every device."""
_KAISER = 5.0


@lru_cache(maxsize=8)
def _weights(device: torch.device) -> Tensor:
    """Give the weights of the neighbours by phase: `[TAPS, phases]`."""
    phase = (np.arange(2**_PHASE_BITS) + 0.5) / 2**_PHASE_BITS
    offset = np.arange(TAPS)[:, None] - (TAPS // 2 - 1) - phase
    window = np.i0(_KAISER * np.sqrt(np.clip(1 - (offset / (TAPS / 2)) ** 2, 0, 1)))
    weights = np.sinc(offset) * window
    weights /= weights.sum(axis=0)  # a constant stays one
    return torch.from_numpy(weights).to(device, torch.float32)


def interpolate(signal: Tensor, source: Tensor, first: Tensor, count: Tensor) -> Tensor:
    """Read a batch between its samples, with a sinc under a Kaiser window.

    A tone of up to 0.3 of the rate keeps its height to 0.5 %, one of 0.35 to 7 %.

    Args:
        signal: `[B, C, L]`.
        source: int64 `[B, T]`, where to read, in samples times `UNIT`.
        first: `[B, 1]`, first real sample.
        count: `[B, 1]`, real samples; beyond the ends the last value is held.

    Returns:
        `[B, C, T]`.
    """
    length, reach = signal.shape[-1], TAPS // 2
    last = (first + count - 1).clamp_min(0)
    near = torch.arange(reach, device=signal.device)
    ends = torch.cat([first + near, last + 1 + reach + near], dim=1).unsqueeze(1)
    values = torch.cat([first.expand(-1, reach), last.expand(-1, reach)], dim=1)
    held = F.pad(signal, (reach, reach))
    held = held.scatter(2, ends.expand(-1, signal.shape[1], -1), pick(signal, values))
    place = (source >> _BITS).clamp_(-1, length - 1).add_(1)
    place = place.unsqueeze(1).expand(-1, signal.shape[1], -1)
    phase = (source >> (_BITS - _PHASE_BITS)).bitwise_and_(2**_PHASE_BITS - 1).flatten()
    result = torch.zeros(place.shape, device=signal.device)
    for tap, weights in enumerate(_weights(signal.device)):
        weight = weights.index_select(0, phase).view(len(signal), 1, -1)
        result.addcmul_(held[..., tap : length + tap + 1].gather(2, place), weight)
    return result


def rounded(source: Tensor) -> Tensor:
    """Give the sample nearest to a place in parts of a sample."""
    nearest: Tensor = (source + UNIT // 2) >> _BITS
    return nearest
