"""How a number grows over training: an attack's epsilon, the weight of its loss."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from pahcl.errors import UsageError


def progress(step: int, steps: int) -> float:
    """Say how far step `step` of `steps` is: the first is at 0, the last (or an only one) at 1."""
    return 1.0 if steps <= 1 else min(max(step / (steps - 1), 0.0), 1.0)


@dataclass(frozen=True, kw_only=True)
class Schedule(ABC):
    """Lead a number from a start to its end value."""

    @abstractmethod
    def __call__(self, end: float, progress: float) -> float:
        """Give the number.

        Args:
            end: Its value at the end.
            progress: From 0 (first epoch that counts) to 1 (last one).
        """


@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """Keep the end value all along."""

    def __call__(self, end: float, progress: float) -> float:
        """Give the end value."""
        return end


@dataclass(frozen=True, kw_only=True)
class Linear(Schedule):
    """Grow by equal differences.

    Args:
        start: First value.
    """

    start: float = 0.0

    def __call__(self, end: float, progress: float) -> float:
        """Interpolate between start and end."""
        return self.start + (end - self.start) * progress


@dataclass(frozen=True, kw_only=True)
class Exponential(Schedule):
    """Grow by equal ratios, as epsilon does in Eriksson et al. (CinC 2024).

    Args:
        start: First value, positive.
    """

    start: float = 1e-3

    def __post_init__(self) -> None:
        if not self.start > 0:
            raise UsageError(f"An exponential schedule starts above 0, got start={self.start}.")

    def __call__(self, end: float, progress: float) -> float:
        """Interpolate between the logarithms of start and end.

        Raises:
            UsageError: The end is not positive.
        """
        if not end > 0:
            raise UsageError(f"An exponential schedule ends above 0, got {end}.")
        first, last = math.log(self.start), math.log(end)
        return math.exp(first + (last - first) * progress)


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Grow along half a cosine: slowly at both ends.

    Args:
        start: First value.
    """

    start: float = 0.0

    def __call__(self, end: float, progress: float) -> float:
        """Interpolate between start and end."""
        return end - (end - self.start) * (1 + math.cos(math.pi * progress)) / 2
