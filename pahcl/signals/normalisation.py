"""Normalisation of batches on the device, over real samples alone."""

from __future__ import annotations

import torch
from torch import Tensor

from pahcl.errors import SpecError, UsageError
from pahcl.signals.spec import Normalisation

# A spread below this share of the mean is rounding, not signal: float32 sums are exact to about
# 1e-7, and one step of int16 is 3e-5 of its largest value.
_CONSTANT = 1e-6


def _inverse(spread: Tensor, size: Tensor) -> Tensor:
    """Give 1 / spread, or 0 where the spread is but the rounding of values of that size."""
    constant = spread <= _CONSTANT * size.abs()
    return spread.masked_fill(constant, 1.0).reciprocal().masked_fill(constant, 0.0)


def _zscore(signal: Tensor, weight: Tensor | None, dims: tuple[int, ...]) -> Tensor:
    if weight is None:
        variance, mean = torch.var_mean(signal, dim=dims, correction=0, keepdim=True)
        return signal.sub(mean).mul_(_inverse(variance.sqrt(), mean))
    count = weight.sum(dim=-1, keepdim=True)
    if len(dims) == 2:
        count = count * signal.shape[1]
    count = count.clamp_min(1.0)
    mean = signal.sum(dim=dims, keepdim=True) / count
    centred = signal.sub(mean).mul_(weight)
    deviation = torch.linalg.vector_norm(centred, dim=dims, keepdim=True) / count.sqrt()
    return centred.mul_(_inverse(deviation, mean))


def _quantiles(signal: Tensor, mask: Tensor | None, shares: tuple[float, ...]) -> list[Tensor]:
    """Interpolate quantiles over the last axis; torch.quantile refuses more than 16 M elements."""
    if mask is not None:
        signal = signal.masked_fill(~mask, torch.inf)  # sorts behind the real samples
    ordered = signal.sort(dim=-1).values
    full = torch.full_like(ordered[:, :1, :1], signal.shape[-1])
    count = full if mask is None else mask.sum(dim=-1, keepdim=True).to(torch.float32)
    last = (count - 1).clamp_min(0.0).expand(*ordered.shape[:2], 1)
    found = []
    for share in shares:
        place = last * share
        below = place.floor()
        low = ordered.gather(-1, below.long())
        high = ordered.gather(-1, place.ceil().long())
        found.append(torch.lerp(low, high, place - below))
    return found


def _robust(signal: Tensor, mask: Tensor | None, weight: Tensor | None) -> Tensor:
    lower, median, upper = _quantiles(signal, mask, (0.25, 0.5, 0.75))
    centred = signal - median
    if weight is not None:
        centred = centred.where(weight > 0, 0.0)  # a record without any sample has an Inf median
    spread = upper - lower
    # A lead that holds one value for most of the time has no interquartile range to speak of.
    size = torch.maximum(lower.abs(), upper.abs())
    narrow = ~(spread > _CONSTANT * size)
    count = (
        torch.full_like(median, signal.shape[-1])
        if weight is None
        else weight.sum(dim=-1, keepdim=True).clamp_min(1.0)
    )
    deviation = torch.linalg.vector_norm(centred, dim=-1, keepdim=True) / count.sqrt()
    inverse = _inverse(
        torch.where(narrow, deviation, spread), torch.where(size.isfinite(), size, 0)
    )
    return centred.mul_(inverse)


def _minmax(signal: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        low, high = torch.aminmax(signal, dim=-1, keepdim=True)
    else:
        low = signal.masked_fill(~mask, torch.inf).amin(dim=-1, keepdim=True)
        high = signal.masked_fill(~mask, -torch.inf).amax(dim=-1, keepdim=True)
        low = low.where(low.isfinite(), 0.0)
        high = high.where(high.isfinite(), 0.0)
    size = torch.maximum(low.abs(), high.abs())
    return signal.sub(low).mul_(_inverse(high - low, size))


def normalise(signal: Tensor, mask: Tensor | None, kind: Normalisation) -> Tensor:
    """Normalise each record of a batch over its real samples.

    - `zscore_lead`: mean 0 and population standard deviation 1, lead by lead;
    - `zscore_record`: the same over all leads together, which keeps their relative size;
    - `robust`: (x - median) / (75 % - 25 % quantile), lead by lead; the deviation from the median
      takes the place of an interquartile range that is 0;
    - `minmax`: each lead from 0 to 1.

    A constant lead becomes 0. The work is done in float32, also under autocast.

    Args:
        signal: `[B, C, L]` of any floating type, without NaN in real samples.
        mask: `[B, L]` bool (true = real signal), or None if all samples are real.
        kind: What to do.

    Returns:
        float32 `[B, C, L]`, 0 outside the mask; the input itself for `none` of float32 without
        a mask.

    Raises:
        SpecError: The shapes do not fit.
        UsageError: There is no such normalisation.
    """
    if signal.ndim != 3 or (mask is not None and mask.shape != signal[:, 0].shape):
        raise SpecError(
            f"normalise needs a signal [B, C, L] and a mask [B, L], got {tuple(signal.shape)} and "
            f"{None if mask is None else tuple(mask.shape)}."
        )
    signal = signal.to(torch.float32)
    weight = None
    if mask is not None:
        mask = mask.unsqueeze(1)
        weight = mask.to(torch.float32)
        signal = signal.where(mask, 0.0)
    if kind == "none" or signal.numel() == 0:
        return signal
    if kind == "zscore_lead":
        return _zscore(signal, weight, (2,))
    if kind == "zscore_record":
        return _zscore(signal, weight, (1, 2))
    if kind == "robust":
        return _robust(signal, mask, weight)
    if kind == "minmax":
        scaled = _minmax(signal, mask)
        return scaled if weight is None else scaled.mul_(weight)
    raise UsageError(f"There is no normalisation {kind!r}; see `pahcl.signals.Normalisation`.")
