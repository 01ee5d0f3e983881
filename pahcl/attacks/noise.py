"""Noise of the same norm: the control that every attack must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pahcl.attacks.base import Attack, Found
from pahcl.attacks.best import Best
from pahcl.attacks.norms import draw, unit
from pahcl.attacks.oracle import Oracle
from pahcl.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class NoiseControl(Attack):
    """Add noise whose norm is epsilon; no gradient call.

    What a model loses under it is what any disturbance of that size costs; only the rest is the
    attack's. Source: the control of Goodfellow et al., ICLR 2015, section 4. Epsilon is in the unit
    of the signal.

    Args:
        kind: `sign` draws every free sample as plus or minus one size, `gaussian` from a normal
            distribution; both are then scaled to the norm.
        draws: Tries, of which each record keeps the worst; 1 is the plain control.
    """

    kind: Literal["sign", "gaussian"] = "sign"
    draws: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in ("sign", "gaussian") or self.draws < 1:
            raise UsageError(
                "NoiseControl: `kind` is sign or gaussian and `draws` 1 or more, got "
                f"{self.kind!r} and {self.draws}."
            )

    def search(self, oracle: Oracle) -> Found:
        """Draw the noise."""
        first = self._noisy(oracle)
        if self.draws == 1:
            return Found(first)
        best = Best(first, oracle.ask(first).loss)
        for _ in range(1, self.draws):
            other = self._noisy(oracle)
            best.take(other, oracle.ask(other).loss)
        return Found(best.signal, best.loss)

    def _noisy(self, oracle: Oracle) -> Tensor:
        ball, clean = oracle.ball, oracle.ball.clean
        if self.kind == "sign":
            noise = draw("uniform", clean.shape, oracle.generator, clean.device)
            noise = torch.where(noise < 0.5, -1.0, 1.0)
        else:
            noise = draw("normal", clean.shape, oracle.generator, clean.device)
        noise = ball.inside(noise)
        if ball.leads is not None:
            # Linf keeps I and II as drawn: the projection moves them only where III asks for it.
            consistent = ball.leads.derive_ if ball.norm == "linf" else ball.leads.nearest
            noise = consistent(noise)
        rows = 1 if ball.norm == "linf" and ball.leads is None else ball.rows
        return ball.project(clean + ball.radius * unit(noise, ball.norm, rows))
