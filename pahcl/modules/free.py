"""Free adversarial training: one backward pass serves the weights and the attack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pahcl.attacks.constraints import Ball
from pahcl.attacks.fgsm_rs import FGSMRS
from pahcl.encoders.base import Encoder
from pahcl.errors import UsageError
from pahcl.modules._averages import global_mean
from pahcl.modules.adversarial import AdversarialPretraining
from pahcl.modules.guard import Guard


class FreeAdversarialPretraining(AdversarialPretraining):
    """Learn from each batch several times, moving the perturbation by the gradient of each pass.

    Shafahi et al., "Adversarial training for free!", NeurIPS 2019, algorithm 1, but for the start:
    each batch begins at a random point of the ball, where theirs takes over the perturbation of the
    batch before, so that a step depends on nothing but itself and a resumed run ends with the same
    weights. A batch costs as many passes as it has replays and no others: divide trainer.max_epochs
    by the replays to keep the passes of a run. The loss is the adversarial one alone, and its
    gradient is taken in training mode. Schedules of the learning rate advance once a batch.

    Args:
        replays: How often each batch is learned from once the warm-up is over.
        step: Length of a move of the perturbation in epsilons.
        guard: As in `AdversarialPretraining`, with one step from a random point for the training's
            attack; there is no other attack to go on with, so it may `warn` or `stop`.
        kwargs: As `AdversarialPretraining`; of the attack, epsilon, norm and constraints count, its
            search does not.

    Raises:
        UsageError: An objective or norms for attacked signals are asked for, or too few replays.
    """

    def __init__(
        self,
        encoder: Encoder,
        replays: int = 4,
        step: float = 1.0,
        guard: Guard | None = Guard(action="warn"),  # noqa: B008 (frozen)
        **kwargs: Any,
    ) -> None:
        given = kwargs.pop("attack", None) or FGSMRS()
        attack = FGSMRS(step=step).with_settings_of(given)
        super().__init__(encoder, attack=attack, guard=guard, **kwargs)
        if guard is not None and guard.action == "strengthen":
            raise UsageError(
                "Free adversarial training has one way to attack: set `guard.action` to warn or "
                "stop."
            )
        if kwargs.get("objective") is not None or self.adversarial_norm:
            raise UsageError(
                "Free adversarial training has no clean pass: leave `objective` and "
                "`separate_norm` away (`--model.objective null` where a config has one)."
            )
        if replays < 2 or not step > 0:
            raise UsageError(
                f"Free adversarial training needs `replays` of 2 or more and a positive `step`, "
                f"got {replays} and {step}: the first replay sees noise alone."
            )
        self.replays, self.step = replays, step
        self._ball: Ball | None = None
        self._point: Tensor | None = None

    def on_fit_start(self) -> None:
        """Refuse accumulation: each replay is a step of the optimiser."""
        super().on_fit_start()
        if self.trainer.accumulate_grad_batches > 1:
            raise UsageError(
                "Free adversarial training steps at every replay: set "
                "trainer.accumulate_grad_batches to 1."
            )

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Step once for each replay; every step computes loss and gradients anew."""
        self._ball = self._point = None
        for _ in range(self.replays if self.attacking else 1):
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Compute the adversarial loss of one replay, and move the perturbation."""
        if not self.attacking:
            return super().training_step(batch, batch_idx)
        ball, point = self._start(batch)
        point = point.detach().requires_grad_()
        outputs = self(point, batch.get("mask"))
        sums, weights = self.losses(outputs, batch["target"])
        summand, value = global_mean(sums, weights)
        total = self.in_parts()
        (gradient,) = total.add(summand, also=(point,))
        with torch.no_grad():
            moved = point + self.step * ball.radius * ball.steepest(gradient.float())
            self._point = ball.project(moved)
        tally = self.tally
        tally.forward, tally.backward = tally.forward + 1, tally.backward + 1
        self.report_attack(batch, {"adversarial": value}, self._epsilon(), 1.0)
        self.report_step(batch, value, sums)
        return total.total()

    def _epsilon(self) -> float:
        return self.present_attack().epsilon

    def _start(self, batch: dict[str, Any]) -> tuple[Ball, Tensor]:
        """Give the ball of the batch and the point that this replay attacks with."""
        if self._ball is None or self._point is None:
            self.tally.steps += 1
            attack = replace(self.attack, loss=None).with_epsilon(self._epsilon())
            with attack.opened(self, batch["signal"], batch["target"], batch.get("mask")) as oracle:
                self._ball = oracle.ball
                self._point = oracle.ball.random(None)
        return self._ball, self._point
