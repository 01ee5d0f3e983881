"""What training costs: passes over a batch, and time."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import torch


@dataclass
class Tally:
    """Count the steps of one kind.

    Attributes:
        steps: Batches that were learned from; replays of one batch count as one.
        forward: Forward passes over a batch, those of attacks included; one over half of it counts
            as half.
        backward: Backward passes over a batch, also those that reach the signal alone.
        seconds: Wall time from the first step of an epoch to its last, without validation.
    """

    steps: int = 0
    forward: float = 0
    backward: float = 0
    seconds: float = 0.0

    @property
    def seconds_per_step(self) -> float | None:
        """Give the wall time of a step; None before the first."""
        return self.seconds / self.steps if self.steps and self.seconds else None


@dataclass
class Cost:
    """Keep the account of one process's training.

    Attributes:
        clean: Steps on clean signals alone.
        adversarial: Steps with attacked signals.
        guard: Passes of the guard, which learns nothing.
    """

    clean: Tally = field(default_factory=Tally)
    adversarial: Tally = field(default_factory=Tally)
    guard: Tally = field(default_factory=Tally)
    _running: tuple[Tally, float] | None = field(default=None, repr=False, compare=False)

    def start(self, tally: Tally) -> None:
        """Start the clock for steps of a kind, unless it runs."""
        if self._running is None:
            self._running = (tally, time.perf_counter())

    def stop(self, device: torch.device) -> None:
        """Stop the clock when the device has done what it was given."""
        if self._running is None:
            return
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        tally, began = self._running
        tally.seconds += time.perf_counter() - began
        self._running = None

    @property
    def wall_time_ratio(self) -> float | None:
        """Give the wall time of an adversarial step in clean ones; None without both kinds."""
        clean, adversarial = self.clean.seconds_per_step, self.adversarial.seconds_per_step
        return adversarial / clean if clean and adversarial else None

    def to_dict(self) -> dict[str, Any]:
        """Write the account as plain types, for checkpoints and receipts."""
        tallies = {name: asdict(getattr(self, name)) for name in TALLIES}
        return {**tallies, "wall_time_ratio": self.wall_time_ratio}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        tallies: dict[str, Any] = {name: Tally(**values[name]) for name in TALLIES}
        return cls(**tallies)


TALLIES = ("clean", "adversarial", "guard")
