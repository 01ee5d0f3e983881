"""Norms, projections and steepest directions, per record or per lead, and the random numbers.

A perturbation `[B, ...]` is measured in `B` balls (`rows=1`), or in one ball for each lead of each
record (`rows=2`, `B x C` balls). What a function returns per ball keeps singleton axes, so that it
broadcasts against the perturbation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from pahcl.errors import UsageError

Norm = Literal["linf", "l2", "l1"]
Randomness = torch.Generator | Sequence[torch.Generator] | None
"""One generator for a batch, one for each record, or None for the global one."""

TINY = 1e-12
"""Keeps a zero vector zero where it is divided by its norm."""


def ball_norm(values: Tensor, norm: Norm, rows: int = 1) -> Tensor:
    """Measure each ball's vector: `[B, ...]` to `[B, 1, ...]`, or `[B, C, 1, ...]` for two rows."""
    axes = tuple(range(rows, values.ndim))
    if norm == "linf":
        return values.abs().amax(axes, keepdim=True)
    if norm == "l2":
        return values.square().sum(axes, keepdim=True).sqrt()
    return values.abs().sum(axes, keepdim=True)


def unit(values: Tensor, norm: Norm, rows: int = 1) -> Tensor:
    """Scale each ball's vector to norm 1; a zero vector stays zero."""
    return values / (ball_norm(values, norm, rows) + TINY)


def sparse_sign(gradient: Tensor, share: Tensor, rows: int = 1) -> Tensor:
    """Give the L1 direction of sparse ascent: the signs of the largest entries, of L1 norm 1.

    Source: Croce & Hein, "Mind the box: l1-APGD", ICML 2021, section 4.1.

    Args:
        gradient: `[B, ...]`.
        share: `[B]` share of the entries to keep, 0 to 1; at least one is kept.
        rows: 1 for a ball per record, 2 for a ball per lead.
    """
    flat = gradient.abs().flatten(rows)
    count = flat.shape[-1]
    position = ((1.0 - share) * count).clamp(0, count - 1).long()
    position = position.reshape(-1, *(1,) * rows).expand(*flat.shape[:-1], 1)
    threshold = flat.sort(-1).values.gather(-1, position)
    keep = (flat >= threshold).reshape(gradient.shape)
    signs = torch.where(keep, gradient.sign(), 0.0)
    return signs / (ball_norm(signs, "l1", rows) + 1e-10)


def largest(gradient: Tensor, rows: int = 1) -> Tensor:
    """Give the steepest direction of the L1 ball: one corner, at the largest entry."""
    flat = gradient.flatten(rows)
    position = flat.abs().argmax(-1, keepdim=True)
    corner = torch.zeros_like(flat).scatter_(-1, position, flat.gather(-1, position).sign())
    return corner.reshape(gradient.shape)


def project_l2(delta: Tensor, radius: Tensor, rows: int = 1) -> Tensor:
    """Scale each ball's vector down to its radius where it is longer."""
    length = ball_norm(delta, "l2", rows)
    return delta * (torch.minimum(radius, length) / (length + TINY))


def project_l1(
    delta: Tensor,
    radius: Tensor,
    low: Tensor | None = None,
    high: Tensor | None = None,
    rows: int = 1,
) -> Tensor:
    """Project onto the L1 ball, or onto its intersection with a box around zero, exactly.

    The nearest point has the absolute values `min(max(|delta| - t, 0), cap)`, where the cap is the
    box's side in the direction of `delta`. Their sum falls piecewise linearly in t, so the t at
    which it is the radius follows from sorting the breakpoints `|delta|` and `|delta| - cap`.

    Source: Duchi et al., ICML 2008 (the ball); Croce & Hein, ICML 2021, proposition 3.1 (with a
    box, there [0, 1]).

    Args:
        delta: `[B, ...]`.
        radius: Broadcasts against `delta`, one for each ball.
        low: Lower bounds of the perturbation, <= 0; None = no box.
        high: Upper bounds, >= 0; None = no box.
        rows: 1 for a ball per record, 2 for a ball per lead.
    """
    size = delta.abs()
    cap = None
    if low is not None and high is not None:
        cap = torch.where(delta > 0, high, -low).clamp(min=0.0)
    # Sums over a whole recording lose digits in float32.
    points = size.flatten(rows).double()
    slopes = torch.ones_like(points)
    if cap is not None:
        full = (points - cap.expand_as(size).flatten(rows)).clamp(min=0.0)
        points, slopes = torch.cat([points, full], -1), torch.cat([slopes, -slopes], -1)
    points, order = points.sort(-1, descending=True)
    slopes = slopes.gather(-1, order).cumsum(-1)
    ends = torch.cat([points[..., 1:], torch.zeros_like(points[..., :1])], -1)
    sums = (slopes * (points - ends)).cumsum(-1)
    goal = radius.reshape(*radius.shape[:rows], -1)[..., :1].double().expand_as(points[..., :1])
    where = torch.searchsorted(sums, goal.contiguous()).clamp(max=points.shape[-1] - 1)
    level = ends.gather(-1, where)
    excess = sums.gather(-1, where) - goal
    shift = level + (excess / slopes.gather(-1, where).clamp(min=1.0)).clamp(min=0.0)
    shift = torch.where(sums[..., -1:] > goal, shift, 0.0).to(delta.dtype)
    size = (size - shift.reshape(*shift.shape[:rows], *(1,) * (delta.ndim - rows))).clamp(min=0.0)
    if cap is not None:
        size = torch.minimum(size, cap)
    total = ball_norm(size, "l1", rows)
    scale = torch.where(total > radius, radius / (total + TINY), 1.0)  # the last rounding
    return delta.sign() * (size * scale)


def draw(
    kind: Literal["uniform", "normal"],
    shape: Sequence[int],
    generator: Randomness,
    device: torch.device,
) -> Tensor:
    """Draw random numbers, uniform in [0, 1) or standard normal, float32.

    With one generator for each record, a record's numbers do not depend on its batch.

    Args:
        kind: The distribution.
        shape: `[B, ...]`.
        generator: The source.
        device: Where the result is needed; a generator of another device draws on its own.

    Raises:
        UsageError: The number of generators is not B.
    """
    source = torch.rand if kind == "uniform" else torch.randn
    if generator is None:
        return source(tuple(shape), device=device)
    if isinstance(generator, torch.Generator):
        return source(tuple(shape), generator=generator, device=generator.device).to(device)
    if len(generator) != shape[0]:
        raise UsageError(
            f"An attack got {len(generator)} generators for {shape[0]} records; give one for each "
            "record, one for all, or None."
        )
    rows = [source(tuple(shape[1:]), generator=one, device=one.device) for one in generator]
    return torch.stack(rows).to(device)
