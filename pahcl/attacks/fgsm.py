"""One step of the whole budget along the steepest direction."""

from __future__ import annotations

from dataclasses import dataclass

from pahcl.attacks.base import Attack, Found
from pahcl.attacks.oracle import Oracle


@dataclass(frozen=True, kw_only=True)
class FGSM(Attack):
    """Step once, by epsilon, from the clean signal; one gradient call.

    Exact on a linear model. Source: Goodfellow et al., "Explaining and harnessing adversarial
    examples", ICLR 2015 (Linf); with L2 along the gradient, with L1 at its largest entry. Epsilon
    is in the unit of the signal.
    """

    @property
    def starts_clean(self) -> bool:
        """Say whether the first gradient is taken at the clean signal: it is."""
        return True

    def search(self, oracle: Oracle) -> Found:
        """Take the step."""
        ball = oracle.ball
        gradient = oracle.ascend(ball.clean).gradient
        return Found(ball.project(ball.clean + ball.radius * ball.steepest(gradient)))
