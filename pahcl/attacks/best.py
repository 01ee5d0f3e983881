"""Each record's best over several tries."""

from __future__ import annotations

import torch
from torch import Tensor


class Best:
    """Keep signals `[B, ...]`, their losses `[B]` and whether they fool the model, by record."""

    def __init__(self, signal: Tensor, loss: Tensor, fooled: Tensor | None = None) -> None:
        self.signal, self.loss = signal, loss
        self.fooled = torch.zeros_like(loss, dtype=torch.bool) if fooled is None else fooled

    def take(self, signal: Tensor, loss: Tensor, fooled: Tensor | None = None) -> None:
        """Take over what fools the model where nothing did before, or else has a higher loss."""
        fooled = torch.zeros_like(self.fooled) if fooled is None else fooled
        better = torch.where(fooled == self.fooled, loss > self.loss, fooled)
        self.loss = torch.where(better, loss, self.loss)
        self.fooled = self.fooled | fooled
        chosen = better.reshape(-1, *(1,) * (signal.ndim - 1))
        self.signal = torch.where(chosen, signal, self.signal)
