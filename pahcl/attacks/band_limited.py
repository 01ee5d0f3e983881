"""Perturbations of chosen frequencies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pahcl.attacks.base import Attack, Found
from pahcl.attacks.constraints import Ball
from pahcl.attacks.oracle import Oracle
from pahcl.attacks.pgd import L1_SHARE
from pahcl.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class BandLimitedPGD(Attack):
    """Climb by PGD within a band of frequencies; `steps` gradient calls.

    Before each step the gradient loses what lies outside the band; after it the perturbation does,
    and is scaled, each lead by itself, until it fits the budget. A filter alone would overshoot it,
    and clipping would bring the other frequencies back. A padding mask is a sharp edge beyond which
    the perturbation is 0, so near it the band is kept only as far as that edge allows.

    Source: projected gradients (Madry et al., ICLR 2018) onto a band, as in Guo, Frank &
    Weinberger, "Low frequency adversarial perturbation", UAI 2019. Epsilon is in the unit of the
    signal.

    Args:
        fs: Sampling rate in Hz.
        low: Lower end of the band in Hz; 0 keeps the offset.
        high: Upper end of the band in Hz.
        steps: Gradient steps.
        step: Length of a step in epsilons; None = 2.5 / steps.
        clips: Times that the perturbation is clipped and filtered in turn before it is scaled, so
            that less of it is lost.
    """

    fs: float = 400.0
    low: float = 0.0
    high: float = 40.0
    steps: int = 20
    step: float | None = None
    clips: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.low < self.high <= self.fs / 2:
            raise UsageError(
                f"BandLimitedPGD: the band {self.low} to {self.high} Hz must lie between 0 and "
                f"half the sampling rate, {self.fs / 2} Hz."
            )
        if self.steps < 1 or self.clips < 0:
            raise UsageError(
                f"BandLimitedPGD needs `steps` of 1 and `clips` of 0 or more, got {self.steps}, "
                f"{self.clips}."
            )

    @property
    def starts_clean(self) -> bool:
        """Say whether the first gradient is taken at the clean signal: it is."""
        return True

    def search(self, oracle: Oracle) -> Found:
        """Climb from the clean signal."""
        ball, clean = oracle.ball, oracle.ball.clean
        band = self._band(clean)
        size = ball.radius * (2.5 / self.steps if self.step is None else self.step)
        share = clean.new_full((clean.shape[0],), L1_SHARE)
        delta = torch.zeros_like(clean)
        for _ in range(self.steps):
            gradient = oracle.ascend(clean + delta).gradient
            gradient = self._filter(ball.inside(gradient), band)
            delta = self._fit(delta + size * ball.steepest(gradient, share), ball, band)
        return Found(ball.project(clean + delta))  # the sum's rounding

    def _band(self, clean: Tensor) -> Tensor:
        bins = torch.fft.rfftfreq(clean.shape[-1], 1.0 / self.fs, device=clean.device)
        band: Tensor = (bins >= self.low) & (bins <= self.high)
        return band

    @staticmethod
    def _filter(values: Tensor, band: Tensor) -> Tensor:
        filtered: Tensor = torch.fft.irfft(torch.fft.rfft(values) * band, n=values.shape[-1])
        return filtered

    def _fit(self, delta: Tensor, ball: Ball, band: Tensor) -> Tensor:
        for _ in range(self.clips):
            delta = ball.fit(self._filter(delta, band))
        return ball.shrink(self._filter(delta, band))
