"""From the loader's integers to the encoder's signal, batched on the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pahcl.errors import SpecError
from pahcl.signals.normalisation import normalise_
from pahcl.signals.spec import SignalSpec


class ToSignal(nn.Module):
    """Cast, scale, mask and normalise a batch where it lies.

    Args:
        spec: The input contract: its leads and length are required of each batch, its
            normalisation is applied. Rate, unit and filter are the store's work.
    """

    def __init__(self, spec: SignalSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(
        self, samples: Tensor, scale: Tensor, start: Tensor, stop: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Make the signal that an encoder sees; float32 also under autocast.

        Args:
            samples: `[B, C, L]` int16.
            scale: `[B, C]`, physical units per step.
            start: `[B]`, first sample of real signal.
            stop: `[B]`, end of real signal.

        Returns:
            `signal` float32 `[B, C, L]`, 0 outside `start:stop`, and `mask` bool `[B, L]`.

        Raises:
            SpecError: The batch has other leads or another length than the contract.
        """
        self._require_shape(samples)
        time = torch.arange(samples.shape[-1], device=samples.device)
        mask = (time >= start.unsqueeze(1)) & (time < stop.unsqueeze(1))
        signal = samples.to(torch.float32).mul_(scale.to(torch.float32).unsqueeze(2))
        # On the CPU it is cheap to see that nothing is padded; on a GPU asking would make the host
        # wait for the device, which costs more than masking.
        full = mask.device.type == "cpu" and bool(mask.all())
        if not full:
            signal.mul_(mask.to(torch.float32).unsqueeze(1))
        return normalise_(signal, None if full else mask, self.spec.normalisation), mask

    def _require_shape(self, samples: Tensor) -> None:
        leads, length = len(self.spec.leads), self.spec.length
        fits = samples.ndim == 3 and samples.shape[1] == leads
        if not fits or (length is not None and samples.shape[2] != length):
            raise SpecError(
                f"The contract expects batches [B, {leads}, {length or 'L'}] "
                f"({', '.join(self.spec.leads)}), got {tuple(samples.shape)}."
            )
