"""A guard against catastrophic overfitting: a network that only its own attack cannot fool."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, distributed

from pahcl.attacks.apgd import APGD
from pahcl.attacks.base import Attack
from pahcl.attacks.oracle import Model
from pahcl.attacks.pgd import PGD
from pahcl.errors import PahclError, UsageError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Compare the training's attack with a stronger one, after each epoch with attacks.

    Both attack the same first records of the validation split. With one-step attacks a network may
    learn to bend its loss so that the one step finds nothing, while several steps fool it on every
    record (Wong, Rice & Kolter, ICLR 2020). Then the training's attack raises the loss by a small
    share of what the stronger one does, and the guard acts.

    Args:
        reference: The stronger attack; budget, loss and constraints are the training's. None takes
            APGD with 10 steps.
        least_share: The guard acts below this share.
        least_gain: A reference that raises the loss by less than this says nothing.
        records: How many records are attacked, on each process.
        action: `strengthen` goes on with `fallback` in place of the training's attack, `stop` ends
            the run with an error, `warn` says it and goes on.
        fallback: The attack from then on; budget, loss and constraints are the training's. None
            takes PGD with 5 steps.
    """

    reference: Attack | None = None
    least_share: float = 0.3
    least_gain: float = 0.01
    records: int = 64
    action: Literal["strengthen", "stop", "warn"] = "strengthen"
    fallback: Attack | None = None

    def __post_init__(self) -> None:
        if self.records < 1 or not 0 < self.least_share < 1 or not self.least_gain >= 0:
            raise UsageError(
                "The guard needs `records` of 1 or more, `least_share` between 0 and 1 and "
                f"`least_gain` of 0 or more, got {self.records}, {self.least_share} and "
                f"{self.least_gain}."
            )


@dataclass(frozen=True)
class Verdict:
    """What the guard saw.

    Attributes:
        gain: By how much the training's attack raised the mean loss.
        reference_gain: By how much the stronger one did.
        forward: Forward passes that this took.
        backward: Backward passes.
    """

    gain: float
    reference_gain: float
    forward: int
    backward: int

    @property
    def share(self) -> float:
        """Give the share of the possible gain that the training's attack finds."""
        return self.gain / self.reference_gain if self.reference_gain > 0 else 1.0


class Watchman:
    """Carry out a guard's settings and keep what it decided.

    Args:
        guard: The settings; None looks at nothing.
    """

    def __init__(self, guard: Guard | None) -> None:
        self.guard = guard
        self.acted_in: int | None = None
        self._kept: list[tuple[Tensor, Tensor, Tensor | None]] = []

    def keep(self, signal: Tensor, target: Tensor, mask: Tensor | None) -> None:
        """Keep the first records of a validation, as they come in batches."""
        have = sum(len(one) for one, _, _ in self._kept)
        wanted = 0 if self.guard is None else self.guard.records - have
        if wanted > 0:
            rows = slice(0, wanted)
            self._kept.append((signal[rows], target[rows], None if mask is None else mask[rows]))

    def take(self) -> tuple[Tensor, Tensor, Tensor | None] | None:
        """Give what was kept, and forget it; None where that is nothing."""
        kept, self._kept = self._kept, []
        if not kept:
            return None
        masks = [mask for _, _, mask in kept if mask is not None]
        signal, target = (torch.cat(parts) for parts in list(zip(*kept, strict=True))[:2])
        return signal, target, torch.cat(masks) if masks else None

    def attack(self, attack: Attack) -> Attack:
        """Give the attack to train with: the given one, or its stronger replacement."""
        if self.guard is None or self.acted_in is None:
            return attack
        return self.fallback.with_settings_of(attack)

    @property
    def fallback(self) -> Attack:
        """Give what takes the place of the training's attack."""
        chosen = None if self.guard is None else self.guard.fallback
        return chosen or PGD(steps=5)

    def look(
        self, model: Model, attack: Attack, signal: Tensor, target: Tensor, mask: Tensor | None
    ) -> Verdict | None:
        """Attack some records both ways; the same on every process.

        Args:
            model: The network as the training attacks it.
            attack: The training's, at the epsilon of the epoch.
            signal: `[B, C, L]` of validation.
            target: As the training's attack takes it.
            mask: `[B, L]`, or None.
        """
        if self.guard is None:
            return None
        with attack.opened(model, signal, target, mask) as oracle:
            losses = [oracle.ask(oracle.ball.clean).loss.sum()]
            forward, backward = 0, 0
            for one in (attack, (self.guard.reference or APGD(steps=10)).with_settings_of(attack)):
                draw = torch.Generator(signal.device).manual_seed(0)  # the same start every time
                found = one(model, signal, target, mask, draw)
                # N-FGSM leaves the ball; both are compared within it.
                inside = oracle.ball.project(found.signal.clone())
                losses.append(oracle.ask(inside).loss.sum())
                forward += found.forward_calls + found.gradient_calls
                backward += found.gradient_calls
            forward += oracle.calls.forward
        totals = torch.stack([*losses, losses[0].new_tensor(len(signal))])
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(totals)
        clean, gained, reference = (totals[:3] / totals[3]).tolist()
        return Verdict(gained - clean, reference - clean, forward, backward)

    def act(self, verdict: Verdict, epoch: int) -> bool:
        """Say and do what the settings ask where a verdict is bad; true where it is.

        Raises:
            PahclError: The settings ask to stop.
        """
        guard = self.guard
        if guard is None or self.acted_in is not None:
            return False
        if verdict.reference_gain < guard.least_gain or verdict.share >= guard.least_share:
            return False
        found = (
            f"Catastrophic overfitting in epoch {epoch + 1}: on the same records the training's "
            f"attack raises the loss by {verdict.gain:.3g}, a stronger one by "
            f"{verdict.reference_gain:.3g} (share {verdict.share:.2f}, at least "
            f"{guard.least_share:g} is sound)."
        )
        if guard.action == "stop":
            raise PahclError(
                f"{found} Train with an attack of more steps, or a smaller epsilon; the last "
                "checkpoint, if there is one, is of the epoch before."
            )
        if guard.action == "strengthen":
            self.acted_in = epoch
            fallback = type(self.fallback).__name__
            log.warning("%s From now on %s takes its place.", found, fallback)
        else:
            log.warning("%s `guard.action` is `warn`: the training goes on as it is.", found)
        return True

    def state_dict(self) -> dict[str, Any]:
        """Give what a resumed run must know."""
        return {"acted_in": self.acted_in}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.acted_in = state.get("acted_in")
