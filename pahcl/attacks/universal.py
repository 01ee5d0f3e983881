"""One perturbation for all records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from pahcl.attacks.base import Attack, Found
from pahcl.attacks.constraints import Ball, over_signal
from pahcl.attacks.norms import Randomness
from pahcl.attacks.oracle import Model, Oracle
from pahcl.attacks.pgd import L1_SHARE
from pahcl.errors import UsageError

Batch = tuple[Tensor, Tensor, Tensor | None]
"""Signal, target and mask (or None)."""


@dataclass(frozen=True, kw_only=True)
class UniversalPerturbation(Attack):
    """Climb on the mean loss of all records by one pattern; `steps` gradient calls a batch.

    The pattern `[1, ...]` lies in the ball of radius 1; a record gets it times its epsilon, without
    what its mask forbids. A call finds the pattern of its own batch, so here, and in no other
    attack, the records of a batch depend on each other. `fit` finds the pattern of many batches and
    `apply` adds it to signals.

    Source: Moosavi-Dezfooli et al., "Universal adversarial perturbations", CVPR 2017; the climb on
    the mean loss is that of Shafahi et al., "Universal adversarial training", AAAI 2020,
    algorithm 2. Epsilon is in the unit of the signal.

    Args:
        steps: Gradient steps on a batch.
        step: Length of a step in epsilons; None = 2.5 / steps.
    """

    steps: int = 20
    step: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1:
            raise UsageError(f"UniversalPerturbation needs `steps` of 1 or more, got {self.steps}.")

    @property
    def starts_clean(self) -> bool:
        """Say whether the first gradient is taken at the clean signal: it is."""
        return True

    def search(self, oracle: Oracle) -> Found:
        """Climb from no pattern."""
        ball = oracle.ball
        pattern = self._climb(oracle, torch.zeros_like(ball.clean[:1]))
        return Found(ball.project(ball.clean + ball.radius * pattern))

    def fit(
        self,
        model: Model,
        batches: Iterable[Batch],
        generator: Randomness = None,
        epsilon: Tensor | None = None,
    ) -> Tensor:
        """Find the pattern of many batches of signals of one shape, `steps` steps on each.

        Args:
            model: As for a call, like the others.
            batches: Gone through once.
            generator: Source of random numbers.
            epsilon: As for a call.

        Returns:
            `[1, ...]` float32, of norm 1 at most.

        Raises:
            UsageError: There is no batch.
        """
        pattern: Tensor | None = None
        for signal, target, mask in batches:
            with self.opened(model, signal, target, mask, generator, epsilon) as oracle:
                start = torch.zeros_like(oracle.ball.clean[:1]) if pattern is None else pattern
                pattern = self._climb(oracle, start)
        if pattern is None:
            raise UsageError("A universal perturbation needs at least one batch to be fitted to.")
        return pattern

    def apply(self, signal: Tensor, pattern: Tensor, mask: Tensor | None = None) -> Tensor:
        """Add a fitted pattern `[1, ...]` to signals `[B, ...]`, under the same constraints."""
        labelled = torch.ones_like(signal.flatten(1)[:, 0], dtype=torch.bool)
        clean = signal.detach().float()
        ball = self.ball(clean, over_signal(mask, clean), labelled)
        return ball.project(clean + ball.radius * pattern)

    def _climb(self, oracle: Oracle, pattern: Tensor) -> Tensor:
        ball = oracle.ball
        one = torch.ones_like(ball.radius[:1])
        whole = Ball(torch.zeros_like(ball.clean[:1]), self.norm, one, leads=ball.leads)
        size = 2.5 / self.steps if self.step is None else self.step
        share = ball.clean.new_full((1,), L1_SHARE)
        for _ in range(self.steps):
            point = ball.project(ball.clean + ball.radius * pattern)
            gradient = oracle.ascend(point).gradient
            total = (ball.inside(gradient) * ball.radius).sum(0, keepdim=True)
            pattern = whole.project(pattern + size * whole.steepest(total, share))
        return pattern
