"""Steps of one size, each projected back."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pahcl.attacks.base import Attack, Found
from pahcl.attacks.best import Best
from pahcl.attacks.oracle import Oracle
from pahcl.errors import UsageError

L1_SHARE = 0.005
"""Share of the entries that step together with L1 (sparse descent of Tramèr & Boneh, 2019)."""
L1_START = 0.1
"""Radius of the L1 ball, in epsilons, in which a start is drawn: noise that fills the whole ball
lies on all entries, and the few that a step moves cannot win its budget back."""


@dataclass(frozen=True, kw_only=True)
class PGD(Attack):
    """Climb by steps of one size and return the last point; `steps` gradient calls a restart.

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR
    2018, section 2.1. Epsilon is in the unit of the signal.

    Args:
        steps: Gradient steps.
        step: Length of a step in epsilons; None = 2.5 / steps, as in the source.
        restarts: Random starts, of which each record keeps the one of the highest last loss.
        random_start: Begin at a random point of the ball, not at the clean signal.
    """

    steps: int = 10
    step: float | None = None
    restarts: int = 1
    random_start: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1 or self.restarts < 1:
            raise UsageError(
                f"PGD needs `steps` and `restarts` of 1 or more, got {self.steps}, {self.restarts}."
            )

    @property
    def starts_clean(self) -> bool:
        """Say whether the first gradient is taken at the clean signal: without a random start."""
        return not self.random_start

    def search(self, oracle: Oracle) -> Found:
        """Climb, once for each restart."""
        first = self._climb(oracle)
        if self.restarts == 1:
            return Found(first)
        best = Best(first, oracle.ask(first).loss)
        for _ in range(1, self.restarts):
            other = self._climb(oracle)
            best.take(other, oracle.ask(other).loss)
        return Found(best.signal, best.loss)

    def _climb(self, oracle: Oracle) -> Tensor:
        ball = oracle.ball
        size = ball.radius * (2.5 / self.steps if self.step is None else self.step)
        share = ball.clean.new_full((ball.clean.shape[0],), L1_SHARE)
        point = ball.clean
        if self.random_start:
            around = ball.scaled(L1_START) if ball.norm == "l1" else ball
            point = around.random(oracle.generator)
        for _ in range(self.steps):
            gradient = oracle.ascend(point).gradient
            point = ball.project(point + size * ball.steepest(gradient, share))
        return point
