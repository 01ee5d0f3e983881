"""The contract of every attack."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor

from pahcl.attacks.constraints import Ball, LeadMap, amplitude, over_signal
from pahcl.attacks.losses import Criterion, Loss
from pahcl.attacks.norms import Norm, Randomness
from pahcl.attacks.oracle import Model, Oracle, held_still, takes_mask
from pahcl.errors import SpecError, UsageError

Amplitude = Literal["rms", "mad", "peak"]
CHOICES: dict[str, tuple[str | None, ...]] = {
    "norm": ("linf", "l2", "l1"),
    "loss": (None, "bce", "bce_sum", "ce", "soft_ce", "dlr", "margin", "mse"),
    "relative_to": (None, "rms", "mad", "peak"),
}


@dataclass(frozen=True)
class AttackResult:
    """What an attack found.

    Attributes:
        signal: `[B, ...]` float32, the perturbed signals.
        loss: `[B]` float32, the attack's loss at `signal`; NaN where `final_loss` is off and the
            attack does not know it.
        gradient_calls: Forward and backward passes over the batch.
        forward_calls: Forward passes without a backward one.
        budget_factor: The perturbation is at most this times epsilon long; 1 but for `NFGSM`.
    """

    signal: Tensor
    loss: Tensor
    gradient_calls: int
    forward_calls: int
    budget_factor: float = 1.0


@dataclass(frozen=True)
class Found:
    """What a search hands back: the signals `[B, ...]`, and their losses `[B]` if it knows them."""

    signal: Tensor
    loss: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """Look for a small perturbation that raises a model's loss.

    The model is held in evaluation mode and left as it was found; the search and its budget are
    float32, also where the model runs under autocast. Memory is that of one batch.

    Args:
        epsilon: Largest norm of the perturbation, in the unit of the signal (mV where it is not
            normalised), or as a share with `relative_to`.
        norm: `linf` bounds every sample, `l2` and `l1` a record's norm over all leads and samples.
        loss: What is raised: `bce` (mean over labels), `bce_sum`, `ce`, `soft_ce`, `dlr`, `margin`,
            `mse`.
            None: `ce` for class numbers, `bce` for labels.
        labels: Attack the loss of these outputs alone.
        targeted: The target is what the model shall say, not what is right.
        box: Least and greatest value of a perturbed signal, in its unit; None = no limits.
        relative_to: Epsilon is a share of each record's `rms`, `mad` or `peak` on its real signal.
        lead_epsilon: A factor of epsilon for each lead, which then has a ball of its own.
        leads: Names of the leads, in order; the perturbation then keeps III = II - I and the
            augmented leads. None: every lead is free.
        final_loss: Spend one forward pass on the loss at the result where the search does not know
            it. Off, that loss is NaN; training needs it not.

    Raises:
        UsageError: A value is not allowed, or a derived lead's sources are not among `leads`.
    """

    epsilon: float = 0.01
    norm: Norm = "linf"
    loss: Loss | None = None
    labels: tuple[int, ...] | None = None
    targeted: bool = False
    box: tuple[float, float] | None = None
    relative_to: Amplitude | None = None
    lead_epsilon: tuple[float, ...] | None = None
    leads: tuple[str, ...] | None = None
    final_loss: bool = True

    def __post_init__(self) -> None:
        name = type(self).__name__
        for key, choices in CHOICES.items():
            if getattr(self, key) not in choices:
                allowed = ", ".join(str(choice) for choice in choices)
                raise UsageError(
                    f"{name}: `{key}` is {getattr(self, key)!r}; use one of {allowed}."
                )
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise UsageError(f"{name}: `epsilon` must be 0 or more, got {self.epsilon}.")
        if self.box is not None and not self.box[0] < self.box[1]:
            raise UsageError(f"{name}: `box` must be (least, greatest), got {self.box}.")
        if self.lead_epsilon is not None and not all(f >= 0 for f in self.lead_epsilon):
            raise UsageError(f"{name}: `lead_epsilon` must be 0 or more, got {self.lead_epsilon}.")
        if self.labels is not None and (not self.labels or min(self.labels) < 0):
            raise UsageError(f"{name}: `labels` must name outputs from 0 on, got {self.labels}.")
        if self.leads is not None:
            LeadMap(self.leads)
        for key in ("step", "noise"):  # of the attacks that have them, in epsilons
            value = getattr(self, key, None)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name}: `{key}` must be above 0, got {value}.")

    @property
    def budget_factor(self) -> float:
        """How many epsilons long the perturbation may be."""
        return 1.0

    @property
    def starts_clean(self) -> bool:
        """Say whether the first gradient is taken at the clean signal."""
        return False

    @abstractmethod
    def search(self, oracle: Oracle) -> Found:
        """Look for the perturbed signals.

        Gradients are off here but inside the oracle. No step waits for the device: what differs
        between records is decided by `torch.where`.

        Args:
            oracle: The batch: its constraints, its losses and gradients.
        """

    def with_epsilon(self, value: float) -> Self:
        """Give the same attack with another epsilon."""
        return replace(self, epsilon=value)

    def at_rate(self, fs: float) -> Self:
        """Give the same attack for signals of another rate in Hz, where its settings have one."""
        has_rate = any(one.name == "fs" for one in fields(self))
        changes: dict[str, Any] = {"fs": fs} if has_rate else {}
        return replace(self, **changes)

    def with_settings_of(self, other: Attack) -> Self:
        """Give the same search with another attack's budget, loss, aim and constraints."""
        return replace(self, **{one.name: getattr(other, one.name) for one in fields(Attack)})

    def __call__(
        self,
        model: Model,
        signal: Tensor,
        target: Tensor,
        mask: Tensor | None = None,
        generator: Randomness = None,
        epsilon: Tensor | None = None,
    ) -> AttackResult:
        """Attack one batch.

        Args:
            model: Any module or function from signals to outputs `[B, K]`; the mask is passed on
                where its forward has a parameter named `mask`.
            signal: `[B, ...]`, clean.
            target: `[B]` int64 (-1 = not labelled), or `[B, K]` float (NaN = not labelled).
                A record without any label stays clean.
            mask: `[B, L]` bool, true = real signal; outside nothing is perturbed.
            generator: One, or one for each record (then the result does not depend on how records
                are batched), or None for the global one.
            epsilon: `[B]`, or `[B, C]` for a ball of each lead; in place of the field.

        Raises:
            UsageError: Loss and target, or loss and outputs, do not go together.
            SpecError: A shape does not fit the signal.
        """
        with self.opened(model, signal, target, mask, generator, epsilon) as oracle:
            found = self.search(oracle)
            loss = found.loss
            if loss is None and self.final_loss:
                loss = oracle.ask(found.signal).loss
            if loss is None:
                loss = found.signal.new_full((found.signal.shape[0],), float("nan"))
        calls = oracle.calls
        return AttackResult(found.signal, loss, calls.gradient, calls.forward, self.budget_factor)

    @contextmanager
    def opened(
        self,
        model: Model,
        signal: Tensor,
        target: Tensor,
        mask: Tensor | None = None,
        generator: Randomness = None,
        epsilon: Tensor | None = None,
    ) -> Iterator[Oracle]:
        """Hold the model still and make the batch an oracle for as long as the context lasts.

        Args and errors are those of a call.
        """
        device = signal.device.type
        enabled = torch.is_autocast_enabled(device)
        autocast = torch.get_autocast_dtype(device) if enabled else None
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast(device, enabled=False),
            held_still(model),
        ):
            clean, target = _ordinary(signal).float(), _ordinary(target)
            mask = None if mask is None else _ordinary(mask)
            criterion = Criterion(self.loss, target, self.targeted, self.labels)
            ball = self.ball(clean, over_signal(mask, clean), criterion.labelled, epsilon)
            seen = mask if mask is not None and takes_mask(model) else None
            yield Oracle(model, criterion, ball, generator, seen, autocast)

    def ball(
        self, clean: Tensor, real: Tensor | None, labelled: Tensor, epsilon: Tensor | None = None
    ) -> Ball:
        """Give the set in which the perturbed signals must lie.

        Args:
            clean: `[B, ...]` float32.
            real: Bool, broadcasts against `clean`; None = all of it.
            labelled: `[B]` bool; the others stay clean.
            epsilon: As for a call.

        Raises:
            SpecError: A shape does not fit the signal.
        """
        if clean.ndim < 2:
            raise SpecError(f"An attack needs signals [B, ...], got {list(clean.shape)}.")
        leads = None if self.leads is None else LeadMap(self.leads)
        channels = clean.shape[1]
        for key, names in (("leads", self.leads), ("lead_epsilon", self.lead_epsilon)):
            if names is not None and (clean.ndim < 3 or len(names) != channels):
                raise SpecError(
                    f"`{key}` has {len(names)} entries, the signal has the shape "
                    f"{list(clean.shape)}; it must be [B, {len(names)}, ...]."
                )
        radius = self._radius(clean, real, epsilon) * labelled.unsqueeze(1)
        radius = radius.reshape(*radius.shape, *(1,) * (clean.ndim - 2))
        return Ball(clean, self.norm, radius, real, self.box, leads)

    def _radius(self, clean: Tensor, real: Tensor | None, epsilon: Tensor | None) -> Tensor:
        """Give each ball's radius, `[B, 1]` or `[B, C]`."""
        batch = clean.shape[0]
        if epsilon is None:
            radius = clean.new_full((batch, 1), self.epsilon)
        else:
            per_lead = epsilon.ndim == 2 and clean.ndim > 2
            if epsilon.shape != ((batch, clean.shape[1]) if per_lead else (batch,)):
                raise SpecError(
                    f"`epsilon` must have the shape [{batch}] or [{batch}, leads] for a signal "
                    f"{list(clean.shape)}, got {list(epsilon.shape)}."
                )
            radius = epsilon.to(clean).reshape(batch, -1)
        if self.lead_epsilon is not None:
            radius = radius * clean.new_tensor(self.lead_epsilon)
        if self.relative_to is not None:
            radius = radius * amplitude(clean, real, self.relative_to).unsqueeze(1)
        return radius


def _ordinary(tensor: Tensor) -> Tensor:
    """Copy a tensor of inference mode, which autograd cannot keep."""
    return tensor.clone() if tensor.is_inference() else tensor.detach()
