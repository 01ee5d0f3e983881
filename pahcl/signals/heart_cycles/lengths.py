"""From cycles of any duration to one length: padded, resampled, or phase by phase.

All functions work on a batch where it lies, on a CPU or a GPU, and pass gradients on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from pahcl.errors import SpecError, UsageError
from pahcl.signals.heart_cycles.interpolation import Kernel, interpolate

LengthMode = Literal["pad", "resample", "phase"]

SHARES = (0.15, 0.25, 0.12, 0.48)
"""Shares of S1, systole, S2 and diastole, those of a cycle of 0.8 s: the sounds last 122 and 92 ms
(Schmidt et al., Physiol. Meas. 31, 2010), and some 0.32 s pass from S1 to S2 (at 75 beats a minute
0.39 s from the Q wave, Weissler et al., Circulation 37, 1968, which S1 follows by some 0.06 s)."""


class Fitted(NamedTuple):
    """Hold cycles of one length.

    Args:
        signal: `[B, C, length]` float32, 0 outside the mask.
        mask: `[B, length]` bool, true = real signal of the cycle.
        bounds: `[B, 5]` float32, where the cycle's boundaries lie now, in samples: begins of S1,
            systole, S2 and diastole, and the end; NaN where they are not known. Those of a cropped
            cycle lie outside.
        fallback: `[B]` bool: `phase` was asked for, but the inner boundaries are not known (or a
            state is shorter than a sample), so the whole cycle was resampled.
    """

    signal: Tensor
    mask: Tensor
    bounds: Tensor
    fallback: Tensor


def fit_length(
    signal: Tensor,
    mask: Tensor | None,
    bounds: Tensor,
    length: int,
    mode: LengthMode = "pad",
    shares: Sequence[float] = SHARES,
    kernel: Kernel = "sinc",
) -> Fitted:
    """Bring cycles to one length.

    - `pad`: as they are, in the middle; zeros around shorter ones, the middle of longer ones.
    - `resample`: each stretched to the whole length. Sample i is the cycle at i / length of its
      duration, read between samples by `kernel`, low-passed where the cycle is shortened.
    - `phase`: each state stretched to its own share of the length, so that equal positions are
      equal phases of the heart, whatever its rate.

    Args:
        signal: `[B, C, L]`, blocks of recordings that hold a cycle each. What lies around a cycle
            is read by `resample` and `phase` within the kernel's reach, and never shown.
        mask: `[B, L]` bool, true = real signal; None: all of it.
        bounds: `[B, 5]` boundaries of each cycle in samples of its block, whole or not; the three
            inner ones NaN where they are not known. `pad` cuts at the nearest whole sample. Left on
            the CPU they spare a GPU's program a wait.
        length: Samples that are wanted.
        mode: How the cycle comes to that length.
        shares: For `phase`: of S1, systole, S2 and diastole; they are scaled to a sum of 1.
        kernel: For `resample` and `phase`.

    Raises:
        SpecError: Shapes do not fit.
        UsageError: There is no such mode, or a state's share of the length is no sample.
    """
    if mode not in get_args(LengthMode):
        raise UsageError(f"There is no length {mode!r}; use one of {get_args(LengthMode)}.")
    if signal.ndim != 3 or bounds.shape != (len(signal), 5) or length < 1:
        raise SpecError(
            f"Cycles need a signal [B, C, L], boundaries [B, 5] and a length of 1 or more, got "
            f"{tuple(signal.shape)}, {tuple(bounds.shape)} and {length}."
        )
    signal = signal.to(torch.float32)
    edges = phase_edges(length, shares) if mode == "phase" else (0, length)
    widest = _widest(bounds.to(torch.float32), edges) if bounds.device.type == "cpu" else None
    bounds = bounds.to(signal.device, torch.float32)
    real = signal.new_ones((len(signal), signal.shape[2]), dtype=torch.bool)
    real = real if mask is None else mask
    if mode == "pad":
        return _padded(signal, real, bounds, length)
    if mode == "phase":
        return _by_phase(signal, real, bounds, edges, kernel, widest)
    none = torch.zeros(len(signal), dtype=torch.bool, device=signal.device)
    moved, positions, step = _stretched(bounds, length)
    values, known = interpolate(signal, real, positions, step, kernel, widest)
    return Fitted(values, known, moved, none)


def phase_edges(length: int, shares: Sequence[float] = SHARES) -> tuple[int, ...]:
    """Say where the states begin in a length that `phase` fills: five samples from 0 to `length`.

    Raises:
        UsageError: The shares are no four positive numbers, or one of them is no sample.
    """
    if len(shares) != 4 or not all(0 < share < float("inf") for share in shares):
        raise UsageError(f"A cycle has four states: give four positive shares, not {shares}.")
    total = sum(shares)
    edges = [round(length * sum(shares[:state]) / total) for state in range(4)] + [length]
    if any(later <= earlier for earlier, later in pairwise(edges)):
        raise UsageError(f"{length} samples are too few for states with the shares {shares}.")
    return tuple(edges)


def has_phases(bounds: Tensor) -> Tensor:
    """Say which cycles `[B, 5]` have known states, each of one sample or more: `[B]` bool."""
    return (bounds.diff(dim=1) >= 1).all(dim=1)


def _padded(signal: Tensor, real: Tensor, bounds: Tensor, length: int) -> Fitted:
    begin, stop = (bounds[:, place].round().long().unsqueeze(1) for place in (0, 4))
    # Halves are left out before the middle of a longer cycle, and put behind that of a shorter one.
    first = begin + torch.div(stop - begin - length, 2, rounding_mode="trunc")
    index = first + torch.arange(length, device=signal.device)
    place = index.clamp(0, signal.shape[2] - 1)
    inside = (index >= begin) & (index < stop) & (index == place)
    mask = inside & real.gather(1, place)
    taken = signal.gather(2, place.unsqueeze(1).expand(-1, signal.shape[1], -1))
    none = torch.zeros(len(signal), dtype=torch.bool, device=signal.device)
    return Fitted(taken * mask.unsqueeze(1), mask, bounds - first, none)


def _stretched(bounds: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Give new boundaries, and each sample's position in the block and step, `[B, length]`."""
    start = bounds[:, :1]
    step = (bounds[:, 4:] - start) / length
    time = torch.arange(length, device=bounds.device, dtype=bounds.dtype)
    return (bounds - start) / step, start + time * step, step.expand(-1, length)


def _widest(bounds: Tensor, edges: tuple[int, ...]) -> float:
    """Give the largest step between the samples of cycles that are stretched, by state or whole."""
    whole = (bounds[:, 4] - bounds[:, 0]) / edges[-1]
    steps = [whole]
    if len(edges) == bounds.shape[1]:
        states = bounds.diff(dim=1) / torch.tensor(edges).diff()
        known = has_phases(bounds)
        steps = [whole[~known], states[known].flatten()]
    return max((float(step.max()) for step in steps if step.numel()), default=1.0)


def _by_phase(
    signal: Tensor,
    real: Tensor,
    bounds: Tensor,
    edges: tuple[int, ...],
    kernel: Kernel,
    widest: float | None,
) -> Fitted:
    target = torch.tensor(edges, device=signal.device)
    time = torch.arange(edges[-1], device=signal.device)
    state = torch.bucketize(time, target[1:], right=True)
    steps = bounds.diff(dim=1) / target.diff()
    step = steps[:, state]
    positions = bounds[:, state] + (time - target[state]) * step
    fallback = ~has_phases(bounds)
    moved, plain, plain_step = _stretched(bounds, edges[-1])
    lost = fallback.unsqueeze(1)
    values, known = interpolate(
        signal, real, plain.where(lost, positions), plain_step.where(lost, step), kernel, widest
    )
    return Fitted(values, known, moved.where(lost, target.to(moved.dtype)), fallback)
