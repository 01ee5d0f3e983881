"""Normalisation of batches on the device, over real samples alone."""

from __future__ import annotations

from typing import get_args

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


def _shift(signal: Tensor, by: Tensor) -> Tensor:
    """Subtract in place, unless a gradient needs what was there."""
    return signal - by if signal.requires_grad else signal.sub_(by)


def _scale(signal: Tensor, by: Tensor) -> Tensor:
    """Multiply in place, unless a gradient needs what was there."""
    return signal * by if signal.requires_grad else signal.mul_(by)


def _centre(signal: Tensor, by: Tensor, weight: Tensor | None) -> Tensor:
    centred = _shift(signal, by)
    return centred if weight is None else _scale(centred, weight)


def _deviation(centred: Tensor, weight: Tensor | None, dims: tuple[int, ...]) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(centred, dim=dims, keepdim=True)
    return norm / _count(centred, weight, dims).sqrt()


def _count(signal: Tensor, weight: Tensor | None, dims: tuple[int, ...]) -> Tensor:
    """Count the real samples that a statistic is made of, at least 1: scalar or `[B, 1, 1]`."""
    leads = signal.shape[1] if 1 in dims else 1
    if weight is None:
        return signal.new_tensor(leads * signal.shape[-1])
    return weight.sum(dim=-1, keepdim=True).clamp_min(1.0) * leads


def _zscore(signal: Tensor, weight: Tensor | None, dims: tuple[int, ...]) -> Tensor:
    mean = signal.sum(dim=dims, keepdim=True) / _count(signal, weight, dims)
    centred = _centre(signal, mean, weight)
    return _scale(centred, _inverse(_deviation(centred, weight, dims), mean))


def _robust(signal: Tensor, mask: Tensor | None, weight: Tensor | None) -> Tensor:
    shares = signal.new_tensor([0.25, 0.5, 0.75])
    if mask is None:
        quantiles = torch.quantile(signal, shares, dim=-1, keepdim=True)
    else:
        real = signal.masked_fill(~mask, torch.nan)
        quantiles = torch.nanquantile(real, shares, dim=-1, keepdim=True)
        quantiles = quantiles.where(mask.any(dim=-1, keepdim=True), 0.0)
    lower, median, upper = quantiles.unbind()
    centred = _centre(signal, median, weight)
    size = torch.maximum(lower.abs(), upper.abs())
    spread = upper - lower
    # A lead that holds one value for most of the time has no interquartile range to speak of.
    spread = spread.where(spread > _CONSTANT * size, _deviation(centred, weight, (2,)))
    return _scale(centred, _inverse(spread, size))


def _minmax(signal: Tensor, mask: Tensor | None, weight: Tensor | None) -> Tensor:
    if mask is None:
        low = signal.amin(dim=-1, keepdim=True)
        high = signal.amax(dim=-1, keepdim=True)
    else:
        real = mask.any(dim=-1, keepdim=True)
        low = signal.masked_fill(~mask, torch.inf).amin(dim=-1, keepdim=True).where(real, 0.0)
        high = signal.masked_fill(~mask, -torch.inf).amax(dim=-1, keepdim=True).where(real, 0.0)
    inverse = _inverse(high - low, torch.maximum(low.abs(), high.abs()))
    return _scale(_centre(signal, low, weight), inverse)


def normalise_(signal: Tensor, mask: Tensor | None, kind: Normalisation) -> Tensor:
    """Normalise as `normalise` does, overwriting the samples where no gradient needs them.

    Args:
        signal: `[B, C, L]` float32, already 0 outside the mask.
        mask: `[B, L]` bool, or None if all samples are real.
        kind: What to do.

    Returns:
        `[B, C, L]`; it may or may not be the input's memory.

    Raises:
        UsageError: There is no such normalisation.
    """
    if kind not in get_args(Normalisation):
        raise UsageError(
            f"There is no normalisation {kind!r}; use one of {get_args(Normalisation)}."
        )
    if kind == "none" or signal.numel() == 0:
        return signal
    mask = None if mask is None else mask.unsqueeze(1)
    weight = None if mask is None else mask.to(torch.float32)
    if kind == "zscore_lead":
        return _zscore(signal, weight, (2,))
    if kind == "zscore_record":
        return _zscore(signal, weight, (1, 2))
    if kind == "robust":
        return _robust(signal, mask, weight)
    return _minmax(signal, mask, weight)


def normalise(signal: Tensor, mask: Tensor | None, kind: Normalisation) -> Tensor:
    """Normalise each record of a batch over its real samples.

    - `zscore_lead`: mean 0 and population standard deviation 1, lead by lead;
    - `zscore_record`: the same over all leads together, which keeps their relative size;
    - `robust`: (x - median) / (75 % - 25 % quantile), lead by lead; the root mean square deviation
      from the median takes the place of an interquartile range that is 0;
    - `minmax`: each lead from 0 to 1.

    A constant lead becomes 0. The work is done in float32, also under autocast.

    Args:
        signal: `[B, C, L]` of any floating type, without NaN in real samples.
        mask: `[B, L]` bool (true = real signal), or None if all samples are real.
        kind: What to do.

    Returns:
        float32 `[B, C, L]`, 0 outside the mask; the input is left as it is.

    Raises:
        SpecError: The shapes do not fit.
        UsageError: There is no such normalisation.
    """
    if signal.ndim != 3 or (mask is not None and mask.shape != signal[:, 0].shape):
        raise SpecError(
            f"normalise needs a signal [B, C, L] and a mask [B, L], got {tuple(signal.shape)} and "
            f"{None if mask is None else tuple(mask.shape)}."
        )
    signal = signal.to(torch.float32, copy=True)
    if mask is not None:
        signal = signal.masked_fill_(~mask.unsqueeze(1), 0.0)
    return normalise_(signal, mask, kind)
