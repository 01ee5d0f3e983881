"""Auto-PGD: momentum, and step sizes that each record finds by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from pahcl.attacks.base import Attack, Found
from pahcl.attacks.best import Best
from pahcl.attacks.constraints import Ball
from pahcl.attacks.oracle import Answer, Oracle
from pahcl.errors import UsageError

MOMENTUM = 0.75
"""Weight of the new step against the last move; the first step has no last move."""
L1_GROWTH, L1_LEAST_STEP, L1_KEPT, L1_START_SHARE = 1.5, 0.1, 0.95, 0.2


def checkpoints(steps: int, norm: str = "linf") -> list[int]:
    """List after which steps (from 1) the step sizes are looked at.

    The first interval is 22 % of the steps, each further one 3 % shorter down to 6 %; rounded down,
    at least 1. With L1 every interval is 4 %. Source: Croce & Hein, ICML 2020, section 3.1.1, and
    ICML 2021, section 4.2, rounded as in the authors' code.
    """

    def part(share: float) -> int:
        return max(int(share * steps), 1)

    interval, shorter, shortest = part(0.22), part(0.03), part(0.06)
    if norm == "l1":
        interval = shortest = part(0.04)
    found, at = [], interval
    while at <= steps:
        found.append(at)
        interval = max(interval - shorter, shortest)
        at += interval
    return found


class Climb:
    """The state of one restart: where each record is, and its best so far.

    Attributes:
        point: `[B, ...]`, as `best`, `gradient` and `best_gradient`.
        best_loss: `[B]`.
        step: Broadcasts against `point`; unit of the signal.
    """

    def __init__(self, ball: Ball, start: Tensor, answer: Answer) -> None:
        self.ball = ball
        self.point = self.last = self.best = start
        self.gradient = self.best_gradient = answer.gradient
        self.loss = self.best_loss = self.checked_loss = answer.loss
        self.rises = torch.zeros_like(answer.loss)
        self.reduced = torch.ones_like(answer.loss, dtype=torch.bool)
        self.step = ball.radius * (1.0 if ball.norm == "l1" else 2.0)
        self.share = torch.full_like(answer.loss, L1_START_SHARE)
        self.used = torch.full_like(answer.loss, float(start[0].numel()))

    def spread(self, values: Tensor) -> Tensor:
        """Bring `[B]` over the axes of the points."""
        return values.reshape(-1, *(1,) * (self.point.ndim - 1))

    def move(self, first: bool) -> Tensor:
        """Step along the steepest direction and the last move; give the new points."""
        point, ball = self.point, self.ball
        moved = ball.project(point + self.step * ball.steepest(self.gradient, self.share))
        if ball.norm != "l1":
            weight = 1.0 if first else MOMENTUM
            moved = moved.sub_(point).mul_(weight).add_(point)
            if not first:
                moved.add_((point - self.last).mul_(1.0 - weight))
            moved = ball.project(moved)
        self.last, self.point = point, moved
        return moved

    def learn(self, answer: Answer) -> None:
        """Take in the losses and gradients at the new points."""
        self.gradient = answer.gradient
        self.rises = self.rises + (answer.loss > self.loss)
        self.loss = answer.loss
        better = answer.loss > self.best_loss
        self.best_loss = torch.where(better, answer.loss, self.best_loss)
        better = self.spread(better)
        self.best = torch.where(better, self.point, self.best)
        self.best_gradient = torch.where(better, self.gradient, self.best_gradient)

    def check(self, interval: int, rho: float) -> None:
        """Halve the steps of records that oscillate or stand still, and set them to their best."""
        stuck = ~self.reduced & (self.checked_loss >= self.best_loss)
        halve = (self.rises <= rho * interval) | stuck
        self.reduced, self.checked_loss = halve, self.best_loss
        self.rises = torch.zeros_like(self.rises)
        self.step = torch.where(self.spread(halve), self.step / 2, self.step)
        self._go_back(halve)

    def check_sparsity(self) -> None:
        """Adapt the L1 step and its share of entries to how many entries the best point uses."""
        used = (self.best != self.ball.clean).flatten(1).sum(1).to(self.used)
        fewer = used / self.used.clamp(min=1.0) < L1_KEPT
        self.share = used / self.best[0].numel() / L1_GROWTH
        radius = self.ball.radius
        step = torch.where(self.spread(fewer), radius, self.step / L1_GROWTH)
        self.step = torch.maximum(step, radius * L1_LEAST_STEP)
        self.used = used
        self._go_back(fewer)

    def _go_back(self, records: Tensor) -> None:
        chosen = self.spread(records)
        self.point = torch.where(chosen, self.best, self.point)
        self.gradient = torch.where(chosen, self.best_gradient, self.gradient)


@dataclass(frozen=True, kw_only=True)
class APGD(Attack):
    """Climb with momentum and a step size for each record; `steps + 1` gradient calls a restart.

    Source: Croce & Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", ICML 2020, algorithm 1; for L1 "Mind the box: l1-APGD", ICML 2021,
    algorithm 1. Rounding of the checkpoints and the non-strict comparison with `rho` are those of
    the authors' code. The first step is compared with the loss at the start, as in the paper; their
    code compares it with 0, which counts every first step as a rise where losses are positive and
    as none where they are negative. With L1 the best loss is kept over one run at the full epsilon
    (no larger ones first). Epsilon is in the unit of the signal.

    Args:
        steps: Gradient steps.
        restarts: Random starts, of which each record keeps the best.
        rho: A step size is halved where the loss rose in at most this share of the steps since the
            last checkpoint.
        mode: `best_loss` returns the point of the highest loss, as training needs it;
            `best_adversarial` returns, of the points that fool the model, the one of the highest
            loss, and the clean signal where there is none or it is wrong already.
    """

    steps: int = 10
    restarts: int = 1
    rho: float = 0.75
    mode: Literal["best_loss", "best_adversarial"] = "best_loss"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1 or self.restarts < 1:
            raise UsageError(
                f"APGD needs `steps` and `restarts` of 1 or more, got {self.steps}, "
                f"{self.restarts}."
            )
        if not 0 < self.rho <= 1:
            raise UsageError(f"APGD: `rho` must be above 0 and at most 1, got {self.rho}.")
        if self.mode not in ("best_loss", "best_adversarial"):
            raise UsageError(
                f"APGD: `mode` is {self.mode!r}; use one of best_loss, best_adversarial."
            )

    def search(self, oracle: Oracle) -> Found:
        """Climb, once for each restart."""
        clean = oracle.ball.clean
        if self.mode == "best_loss":
            climb = self._climb(oracle, None)
            best = Best(climb.best, climb.best_loss)
            for _ in range(1, self.restarts):
                climb = self._climb(oracle, None)
                best.take(climb.best, climb.best_loss)
            return Found(best.signal, best.loss)
        answer = oracle.ask(clean)
        wrong = oracle.criterion.fooled(answer.outputs)
        best = Best(clean, answer.loss.masked_fill(~wrong, float("-inf")))

        def watch(point: Tensor, answer: Answer) -> None:
            fooled = oracle.criterion.fooled(answer.outputs) & ~wrong
            best.take(point, answer.loss.masked_fill(~fooled, float("-inf")))

        for _ in range(self.restarts):
            self._climb(oracle, watch)
        return Found(best.signal, torch.where(best.loss.isneginf(), answer.loss, best.loss))

    def _climb(self, oracle: Oracle, watch: Callable[[Tensor, Answer], None] | None) -> Climb:
        ball = oracle.ball
        start = ball.random(oracle.generator, fill=True)
        answer = oracle.ascend(start)
        climb = Climb(ball, start, answer)
        if watch is not None:
            watch(start, answer)
        checks = checkpoints(self.steps, ball.norm)
        intervals = {end: end - begin for begin, end in pairwise([0, *checks])}
        for step in range(1, self.steps + 1):
            point = climb.move(first=step == 1)
            answer = oracle.ascend(point)
            climb.learn(answer)
            if watch is not None:
                watch(point, answer)
            if step in intervals and step < self.steps:
                if ball.norm == "l1":
                    climb.check_sparsity()
                else:
                    climb.check(intervals[step], self.rho)
        return climb
