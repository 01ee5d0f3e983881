"""A search without gradients: a check that an attack's gradients are not masked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pahcl.attacks.base import Attack, Found
from pahcl.attacks.constraints import Ball
from pahcl.attacks.norms import draw, project_l2, unit
from pahcl.attacks.oracle import Oracle
from pahcl.errors import UsageError

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries, of 10000, after which the window's share of the signal is halved."""


def window_share(query: int, queries: int, start: float) -> float:
    """Give the share of the signal that a proposal changes (Square, section 4.1)."""
    place = int(query / queries * 10000)
    return float(start / 2 ** sum(place > limit for limit in HALVINGS))


@dataclass(frozen=True, kw_only=True)
class Square(Attack):
    """Try random windows and keep what raises the loss; `queries` forward passes, no gradient.

    A model that only hides its gradients is weaker under this attack than under APGD. A window is
    an interval of time in all leads (a square of a signal with two axes), of one sign in each lead.
    Source: Andriushchenko et al., "Square attack", ECCV 2020, algorithms 1 to 3, with intervals for
    squares; every sample of the first Linf perturbation has a random sign. With L2 the energy of a
    second window moves to the first, in the shape of one bump of each sign. Linf and L2. Epsilon is
    in the unit of the signal.

    Args:
        queries: Forward passes, the first perturbation's included.
        start_share: Share of the signal that the first windows change.
    """

    queries: int = 200
    start_share: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.queries < 1 or not 0 < self.start_share <= 1:
            raise UsageError(
                "Square needs `queries` of 1 or more and a `start_share` between 0 and 1, got "
                f"{self.queries} and {self.start_share}."
            )
        if self.norm == "l1":
            raise UsageError("Square knows the norms linf and l2; use APGD for l1.")

    def search(self, oracle: Oracle) -> Found:
        """Propose, ask, keep."""
        ball = oracle.ball
        windows = _Windows(ball.clean, oracle, self.queries)
        point = windows.first(ball)
        loss = oracle.ask(point).loss
        propose = windows.linf if ball.norm == "linf" else windows.l2
        for query in range(self.queries - 1):
            share = window_share(query, self.queries, self.start_share)
            other = propose(ball, point, query, share)
            gained = oracle.ask(other).loss
            better = gained > loss
            loss = torch.where(better, gained, loss)
            point = torch.where(better.reshape(-1, *(1,) * (point.ndim - 1)), other, point)
        return Found(point, loss)


class _Windows:
    """The random windows of one search, all drawn before it: two for each record and query."""

    def __init__(self, clean: Tensor, oracle: Oracle, queries: int) -> None:
        self.sizes: Sequence[int] = clean.shape[2:] if clean.ndim > 2 else clean.shape[1:]
        self.channels = clean.shape[1] if clean.ndim > 2 else 1
        batch, axes = clean.shape[0], len(self.sizes)
        width = 2 * axes + self.channels
        device, self.shape = clean.device, clean.shape
        self.noise = draw("uniform", clean.shape, oracle.generator, device) < 0.5
        self.draws = draw("uniform", (batch, queries, width), oracle.generator, device)
        self.lines = [torch.arange(size, device=device) for size in self.sizes]

    def first(self, ball: Ball) -> Tensor:
        """Give the first perturbed signals: random signs (Linf) or their smoothed bumps (L2)."""
        signs = ball.inside(torch.where(self.noise, 1.0, -1.0))
        return ball.project(ball.clean + ball.radius * unit(signs, ball.norm, ball.rows))

    def side(self, share: float, axis: int) -> int:
        """Give the window's length along an axis, for its share of the whole signal."""
        size = self.sizes[axis]
        return min(max(round(size * math.pow(share, 1 / len(self.sizes))), 1), size)

    def _begin(self, query: int, share: float, axis: int, which: int) -> Tensor:
        draws = self.draws[:, query, which * len(self.sizes) + axis]
        begin = (draws * (self.sizes[axis] - self.side(share, axis) + 1)).long()
        return begin.reshape(-1, *(1,) * (len(self.shape) - 1))

    def _line(self, axis: int) -> Tensor:
        behind = len(self.sizes) - axis - 1
        return self.lines[axis].reshape(-1, *(1,) * behind)

    def inside(self, query: int, share: float, which: int) -> Tensor:
        """Mark the samples of a window, bool `[B, 1, ...]` (`[B, F]` without leads)."""
        marks = None
        for axis in range(len(self.sizes)):
            begin, line = self._begin(query, share, axis, which), self._line(axis)
            inside = (line >= begin) & (line < begin + self.side(share, axis))
            marks = inside if marks is None else marks & inside
        return marks if marks is not None else torch.ones(self.shape, dtype=torch.bool)

    def signs(self, query: int) -> Tensor:
        """Give each record's and lead's sign, `[B, C, 1, ...]`, or `[B, 1]` without leads."""
        draws = self.draws[:, query, 2 * len(self.sizes) :]
        signs = torch.where(draws < 0.5, -1.0, 1.0)
        return signs.reshape(*signs.shape, *(1,) * (len(self.shape) - 2))

    def linf(self, ball: Ball, point: Tensor, query: int, share: float) -> Tensor:
        """Set a window to the edge of the ball, with one sign in each lead."""
        step = 2.0 * ball.radius * self.signs(query)
        return ball.project(point + torch.where(self.inside(query, share, 0), step, 0.0))

    def l2(self, ball: Ball, point: Tensor, query: int, share: float) -> Tensor:
        """Move the energy of one window into a bump in another."""
        into, out = self.inside(query, share, 0), self.inside(query, share, 1)
        delta = point - ball.clean
        rows = len(self.shape) - len(self.sizes)
        axes = tuple(range(rows, delta.ndim))
        freed = torch.where(into | out, delta, 0.0).square().sum(axes, keepdim=True).sqrt()
        old = unit(torch.where(into, delta, 0.0), "l2", rows)
        bump = unit(self._bump(query, share) * into, "l2", rows) * self.signs(query)
        bump = unit(ball.inside(bump + old), "l2", rows) * freed
        moved = torch.where(into, bump, torch.where(out, 0.0, delta))
        return ball.project(
            ball.clean + project_l2(unit(moved, "l2", ball.rows), moved.new_ones(1)) * ball.radius
        )

    def _bump(self, query: int, share: float) -> Tensor:
        """Give two bumps of opposite sign along the last axis of the first window."""
        axis = len(self.sizes) - 1
        side = self.side(share, axis)
        place = (self._line(axis) - self._begin(query, share, axis, 0)) / max(side, 2)
        return torch.sin(2 * math.pi * (place + 0.5 / max(side, 2)))
