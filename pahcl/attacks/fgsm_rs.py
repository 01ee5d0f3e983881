"""One step from a random point of the ball."""

from __future__ import annotations

from dataclasses import dataclass

from pahcl.attacks.base import Attack, Found
from pahcl.attacks.oracle import Oracle


@dataclass(frozen=True, kw_only=True)
class FGSMRS(Attack):
    """Start at random in the ball, step once, project; one gradient call.

    Source: Wong, Rice & Kolter, "Fast is better than free", ICLR 2020, algorithm 3. Epsilon is in
    the unit of the signal.

    Args:
        step: Length of the step in epsilons.
    """

    step: float = 1.25

    def search(self, oracle: Oracle) -> Found:
        """Take the step."""
        ball = oracle.ball
        start = ball.random(oracle.generator)
        gradient = oracle.ascend(start).gradient
        return Found(ball.project(start + self.step * ball.radius * ball.steepest(gradient)))
