"""One step from noise that is larger than the budget, without clipping."""

from __future__ import annotations

from dataclasses import dataclass

from pahcl.attacks.base import Attack, Found
from pahcl.attacks.oracle import Oracle


@dataclass(frozen=True, kw_only=True)
class NFGSM(Attack):
    """Add noise of `noise` epsilons, step once by `step` epsilons, clip nothing; one gradient call.

    For training: the perturbation is up to `noise + step` = 3 epsilons long (`budget_factor`), so
    its losses do not compare with those of other attacks at the same epsilon. Mask, box and leads
    are kept. Source: de Jorge et al., "Make some noise: reliable and efficient single-step
    adversarial training", NeurIPS 2022, algorithm 1. Epsilon is in the unit of the signal.

    Args:
        noise: Length of the noise in epsilons (k of the paper).
        step: Length of the step in epsilons (alpha of the paper).
    """

    noise: float = 2.0
    step: float = 1.0

    @property
    def budget_factor(self) -> float:
        """How many epsilons long the perturbation may be: noise and step together."""
        return self.noise + self.step

    def search(self, oracle: Oracle) -> Found:
        """Take the step."""
        ball = oracle.ball
        start = ball.scaled(self.noise).random(oracle.generator)
        gradient = oracle.ascend(start).gradient
        stepped = start + self.step * ball.radius * ball.steepest(gradient)
        return Found(ball.scaled(self.budget_factor).project(stepped))
