"""Perturbations that look like signal: noise smoothed by Gaussian kernels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pahcl.attacks.base import Attack, Found
from pahcl.attacks.oracle import Oracle
from pahcl.attacks.pgd import L1_SHARE
from pahcl.errors import SpecError, UsageError

PAPER_FS = 300.0
"""Hz of the recordings for which the source gives its kernels (PhysioNet/CinC 2017)."""


def smoothing_kernel(
    fs: float,
    sizes: tuple[int, ...] = (5, 7, 11, 15, 19),
    sigmas: tuple[float, ...] = (1.0, 3.0, 5.0, 7.0, 10.0),
) -> Tensor:
    """Average the Gaussian kernels of every size and width into one, by linearity.

    Args:
        fs: Sampling rate of the signal in Hz; the kernels keep their length in time.
        sizes: Lengths in samples at 300 Hz, odd.
        sigmas: Standard deviations in samples at 300 Hz.

    Returns:
        `[K]` float32, symmetric, K odd, of sum 1.
    """
    ratio = fs / PAPER_FS
    halves = [max(round((size - 1) / 2 * ratio), 1) for size in sizes]
    longest = max(halves)
    time = torch.arange(-longest, longest + 1, dtype=torch.float64)
    total = torch.zeros_like(time)
    for half in halves:
        for sigma in sigmas:
            kernel = torch.exp(-0.5 * (time / (sigma * ratio)) ** 2) * (time.abs() <= half)
            total += kernel / kernel.sum()
    return (total / (len(sizes) * len(sigmas))).float()


@dataclass(frozen=True, kw_only=True)
class SmoothAttack(Attack):
    """Climb in `theta`, of which the perturbation is a smoothed copy (SAP).

    `start_steps + steps` gradient calls: steps of plain PGD, whose result is the first theta, then
    steps in theta. Smoothing is an average, so theta and its copy lie in the same ball. Source: Han
    et al., "Deep learning models for electrocardiograms are susceptible to adversarial attack",
    Nature Medicine 26 (2020), methods; the 25 convolutions are folded into one. Epsilon is in the
    unit of the signal.

    Args:
        fs: Sampling rate in Hz; the kernels of the source (17 to 63 ms long) are scaled to it.
        start_steps: Steps of plain PGD.
        steps: Steps in theta.
        step: Length of a step in epsilons (the source: 1 of 10 converter units).
        sizes: Kernel lengths in samples at 300 Hz, odd.
        sigmas: Their standard deviations in samples at 300 Hz.
    """

    fs: float = 400.0
    start_steps: int = 20
    steps: int = 40
    step: float = 0.1
    sizes: tuple[int, ...] = (5, 7, 11, 15, 19)
    sigmas: tuple[float, ...] = (1.0, 3.0, 5.0, 7.0, 10.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1 or self.start_steps < 0:
            raise UsageError(
                "SmoothAttack needs `steps` of 1 and `start_steps` of 0 or more, got "
                f"{self.steps}, {self.start_steps}."
            )
        if self.fs <= 0 or any(size % 2 == 0 for size in self.sizes) or min(self.sigmas) <= 0:
            raise UsageError(
                "SmoothAttack: `fs` and `sigmas` must be above 0 and `sizes` odd, got "
                f"{self.fs}, {self.sigmas}, {self.sizes}."
            )

    @property
    def starts_clean(self) -> bool:
        """Say whether the first gradient is taken at the clean signal: it is."""
        return True

    def search(self, oracle: Oracle) -> Found:
        """Climb, first in the signal, then in theta."""
        ball, clean = oracle.ball, oracle.ball.clean
        kernel = smoothing_kernel(self.fs, self.sizes, self.sigmas).to(clean.device)
        if kernel.numel() // 2 >= clean.shape[-1]:
            raise SpecError(
                f"SmoothAttack's kernels are {kernel.numel()} samples long at {self.fs} Hz, the "
                f"signal {clean.shape[-1]}; give the signal's own `fs`."
            )
        size = self.step * ball.radius
        share = clean.new_full((clean.shape[0],), L1_SHARE)
        point = clean
        for _ in range(self.start_steps):
            gradient = oracle.ascend(point).gradient
            point = ball.project(point + size * ball.steepest(gradient, share))
        theta = point - clean
        for _ in range(self.steps):
            point = ball.project(clean + self._smooth(theta, kernel))
            # The kernel is symmetric: smoothing is its own adjoint.
            gradient = self._smooth(ball.inside(oracle.ascend(point).gradient), kernel)
            theta = ball.fit(theta + size * ball.steepest(gradient, share))
        return Found(ball.project(clean + self._smooth(theta, kernel)))

    @staticmethod
    def _smooth(values: Tensor, kernel: Tensor) -> Tensor:
        """Convolve along the last axis, zero beyond its ends."""
        series = values.reshape(-1, 1, values.shape[-1])
        smoothed = F.conv1d(series, kernel.reshape(1, 1, -1), padding=kernel.numel() // 2)
        return smoothed.reshape(values.shape)
