"""What all corruptions of a signal share: a severity, a mask, draws record by record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pahcl.errors import SpecError, UsageError
from pahcl.signals.leads import STANDARD_12
from pahcl.signals.units import unit_factor

SEVERITIES = (1, 2, 3, 4, 5)

Randomness = Generator | Sequence[Generator] | None
"""One generator for the batch, one for each record (then a record's corruption does not depend on
the batch it is in), or None for PyTorch's global one."""


@dataclass(frozen=True, kw_only=True)
class Corruption(ABC):
    """Corrupt signals as something in a clinic would.

    Args:
        leads: Names of the signal's leads, in order.
        unit: Physical unit of the signal; amplitudes are converted to it from mV.
    """

    title: ClassVar[str]
    sizes: ClassVar[tuple[float, ...]]
    """The five severities in `size_unit`."""
    size_unit: ClassVar[str]
    additive: ClassVar[bool] = False
    """Whether something is added that does not depend on the signal."""

    leads: tuple[str, ...] = STANDARD_12
    unit: str = "mV"

    def __call__(
        self,
        signal: Tensor,
        fs: float,
        severity: int,
        mask: Tensor | None = None,
        generator: Randomness = None,
    ) -> Tensor:
        """Corrupt a batch.

        Args:
            signal: `[B, C, L]` in `unit`; it is left as it is.
            fs: Sampling rate in Hz.
            severity: 1 to 5.
            mask: `[B, L]` bool, true = real signal; None = all of it is.
            generator: Source of the draws, on the CPU, so that every device sees the same.

        Returns:
            `[B, C, L]` float32, unchanged outside the mask.

        Raises:
            SpecError: The signal does not fit the leads, or the corruption cannot occur here.
            UsageError: There is no such severity.
        """
        if severity not in SEVERITIES:
            raise UsageError(f"Severities of a corruption are 1 to 5, got {severity!r}.")
        if signal.ndim != 3 or signal.shape[1] != len(self.leads):
            raise SpecError(
                f"{type(self).__name__} expects a signal [B, {len(self.leads)}, L] of the leads "
                f"{', '.join(self.leads)}, got {tuple(signal.shape)}."
            )
        reason = self.cannot_occur(fs)
        if reason:
            raise SpecError(f"{type(self).__name__} cannot occur: {reason}.")
        if isinstance(generator, Sequence) and len(generator) != len(signal):
            raise UsageError(
                f"A corruption needs a generator for each of the {len(signal)} records, got "
                f"{len(generator)}."
            )
        clean = signal.to(torch.float32)
        if not clean.numel():
            return clean
        real = mask if mask is not None else clean.new_ones(clean.shape[::2], dtype=torch.bool)
        corrupted = self._corrupt(clean, fs, severity, real, generator)
        return torch.where(real.unsqueeze(1), corrupted, clean)

    def cannot_occur(self, fs: float) -> str:
        """Say why this corruption cannot occur at this rate, in this unit or to these leads.

        Returns:
            The reason; "" where it can occur.
        """
        try:
            unit_factor("mV", self.unit)
        except SpecError:
            return f"the signal is in {self.unit or 'no unit'}, not in one of voltage"
        return ""

    def size(self, severity: int) -> float:
        """Give a severity in `size_unit`."""
        return self.sizes[severity - 1]

    def level(self, severity: int) -> str:
        """Say a severity in words, for tables."""
        return f"{self.size(severity):g} {self.size_unit}".strip()

    def _volts(self, severity: int) -> float:
        """Give a severity's amplitude in the signal's unit."""
        return self.size(severity) * unit_factor("mV", self.unit)

    @abstractmethod
    def _corrupt(
        self, signal: Tensor, fs: float, severity: int, real: Tensor, generator: Randomness
    ) -> Tensor:
        """Corrupt `[B, C, L]` float32 at a known severity; what is outside `real` is ignored."""


def draw(signal: Tensor, generator: Randomness, *shape: int, normal: bool = False) -> Tensor:
    """Draw `[B, *shape]` numbers, uniform in [0, 1) or standard normal, record by record."""
    make = torch.randn if normal else torch.rand
    if isinstance(generator, Sequence):
        drawn = [make(shape, generator=one, device=one.device).cpu() for one in generator]
        return torch.stack(drawn).to(signal.device) if drawn else signal.new_empty((0, *shape))
    device = "cpu" if generator is None else generator.device
    return make((len(signal), *shape), generator=generator, device=device).to(signal.device)
