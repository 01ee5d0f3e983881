"""What all augmentations share: a signal with its mask, draws record by record, a probability."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pahcl.errors import SpecError, UsageError
from pahcl.signals.augment.draws import Draws, Seeds

View = tuple[Tensor, Tensor]
"""A signal float32 `[B, C, L]` and its mask bool `[B, L]`."""
Range = tuple[float, float]
Change = Callable[[Tensor, float, Tensor, Draws], View]

PCG_BAND: Range = (25.0, 400.0)
"""Hz; where heart sounds lie, and what the original filters to."""


@dataclass(frozen=True, kw_only=True)
class Augmentation(ABC):
    """Change signals at random so that what they show stays the same.

    A batch is changed as a whole where it lies, each record by its own draws: what happens to a
    record does not depend on those beside it. Padding stays 0, silence stays silence, what is
    finite stays finite.
    """

    def __call__(
        self, signal: Tensor, fs: float, mask: Tensor | None = None, generator: Seeds = None
    ) -> View:
        """Augment a batch.

        Args:
            signal: `[B, C, L]` of any float type; it is left as it is.
            fs: Sampling rate in Hz.
            mask: `[B, L]` bool, true = real signal; None = all of it is.
            generator: int64 `[B]`, a seed for each record; or where to draw them from.

        Returns:
            The signal, float32 `[B, C, L]`, 0 outside the mask; and the mask, bool `[B, L]`, which
            moves with the signal.

        Raises:
            SpecError: The shapes do not fit, or it cannot be done at this rate.
            UsageError: There is not one seed for each record.
        """
        if signal.ndim != 3 or (mask is not None and mask.shape != signal.shape[::2]):
            raise SpecError(
                f"{type(self).__name__} needs a signal [B, C, L] and a mask [B, L], got "
                f"{tuple(signal.shape)} and {None if mask is None else tuple(mask.shape)}."
            )
        self.require_rate(fs)
        clean = signal.to(torch.float32)
        draws = Draws.of(signal, generator)
        if mask is None:
            real = torch.ones(signal.shape[::2], dtype=torch.bool, device=signal.device)
        else:
            real = mask.to(signal.device, torch.bool)
            clean = clean.where(real.unsqueeze(1), 0.0)
        return self.apply(clean, fs, real, draws) if clean.numel() else (clean, real)

    def require_rate(self, fs: float) -> None:  # noqa: B027  # most can be done at every rate
        """Refuse a rate at which it cannot be done; here none.

        Raises:
            SpecError: What does not fit, and what to do.
        """

    def movers(self) -> tuple[str, ...]:
        """Name the transforms in it after which a moment of the record stands elsewhere.

        Places that were known before, such as the states of a heart cycle, no longer hold then.
        """
        return ()

    @abstractmethod
    def apply(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        """Augment float32 `[B, C, L]`, 0 outside of `real` `[B, L]`, which is one stretch a record.

        Neither may be changed in place. Returns the same kinds.
        """


@dataclass(frozen=True, kw_only=True)
class Transform(Augmentation):
    """Do one thing to a record, or leave it.

    Args:
        p: Probability that a record is changed, drawn for each one.
    """

    p: float = 0.5

    moves_times: ClassVar[bool] = False
    """Whether moments of a record stand elsewhere afterwards."""

    def __post_init__(self) -> None:
        require_share(self, "p", self.p)

    def movers(self) -> tuple[str, ...]:
        """Name itself where it moves times and is ever done."""
        return (type(self).__name__,) if self.moves_times and self.p > 0 else ()

    def apply(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        """Change the records that are hit."""
        hit = draws.uniform(0) < self.p
        return to_some(self._changed, (signal, real), fs, hit, draws)

    def _changed(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        changed, moved = self._change(signal, fs, real, draws)
        return changed if _is_full(moved) else changed.where(moved.unsqueeze(1), 0.0), moved

    @abstractmethod
    def _change(self, signal: Tensor, fs: float, real: Tensor, draws: Draws) -> View:
        """Change every record; slot 0 of the draws is taken, what is outside the mask is zeroed."""


def to_some(change: Change, view: View, fs: float, hit: Tensor, draws: Draws) -> View:
    """Change the records that are hit `[B]`; where asking is cheap only these are worked on."""
    signal, real = view
    if not _may_ask(signal):
        changed, moved = change(signal, fs, real, draws)
        return changed.where(hit.view(-1, 1, 1), signal), moved.where(hit.unsqueeze(1), real)
    rows = hit.nonzero().squeeze(1)
    if not len(rows):
        return view
    part, moved = change(signal[rows], fs, real[rows], draws.take(rows))
    return signal.index_copy(0, rows, part), real.index_copy(0, rows, moved)


def stretch(real: Tensor) -> tuple[Tensor, Tensor]:
    """Find each record's first real sample and how many there are up to its last, int64 `[B, 1]`.

    Without a real sample both are 0.
    """
    length = real.shape[1]
    if _is_full(real):
        first = torch.zeros(len(real), 1, dtype=torch.int64)
        return first, first + length
    flags = real.to(torch.uint8)
    first = flags.argmax(dim=1, keepdim=True)
    behind = flags.flip(1).argmax(dim=1, keepdim=True)
    return first, (length - behind - first) * real.gather(1, first)


def _is_full(real: Tensor) -> bool:
    """See whether nothing is padded, where asking is cheap."""
    return _may_ask(real) and bool(real.all())


def _may_ask(values: Tensor) -> bool:
    """Say whether the program may look at values: on a GPU the host would wait for the device."""
    return values.device.type == "cpu"


def clock(signal: Tensor) -> Tensor:
    """Number the samples: int64 `[L]`."""
    return torch.arange(signal.shape[-1], device=signal.device)


def pick(signal: Tensor, source: Tensor) -> Tensor:
    """Take from `[B, C, L]` the samples `[B, T]`, the same ones of every lead: `[B, C, T]`."""
    return signal.gather(2, source.unsqueeze(1).expand(-1, signal.shape[1], -1))


def within(signal: Tensor, first: Tensor, count: Tensor) -> Tensor:
    """Mark the samples of a stretch: bool `[B, L]`."""
    time = clock(signal)
    return (time >= first) & (time < first + count)


def shifted(signal: Tensor, shift: Tensor) -> Tensor:
    """Move `[B, ..., L]` later by `[B, 1]` samples, at most L either way; 0 moves in."""
    length = signal.shape[-1]
    wide = F.pad(signal, (length, length))
    row = torch.arange(math.prod(signal.shape[:-1]), device=signal.device)
    begin = row.view(len(signal), -1) * (3 * length) + length - shift
    # Windows at every sample, of which whole rows are copied.
    return wide.flatten().unfold(0, length, 1)[begin.flatten()].view_as(signal)


def size_of(signal: Tensor, real: Tensor) -> Tensor:
    """Measure the root mean square of each lead over its real samples: `[B, C, 1]`."""
    norm: Tensor = torch.linalg.vector_norm(signal, dim=2, keepdim=True)
    return norm / real.sum(dim=1).clamp_min(1).sqrt().view(-1, 1, 1)


def require_share(owner: object, key: str, value: float) -> None:
    """Refuse what is not a share from 0 to 1."""
    if not 0.0 <= value <= 1.0:
        raise UsageError(f"{type(owner).__name__}: `{key}` must be from 0 to 1, got {value}.")


def require_range(
    owner: object, key: str, value: Range, low: float, high: float = math.inf
) -> None:
    """Refuse what is not a least and a greatest finite value between two limits."""
    fits = len(value) == 2 and all(math.isfinite(one) for one in value)
    if not fits or not low <= value[0] <= value[1] <= high:
        limits = f"from {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise UsageError(
            f"{type(owner).__name__}: `{key}` must be a least and a greatest value {limits}, got "
            f"{list(value)}."
        )


def require_at_least(owner: object, key: str, value: float, least: float) -> None:
    """Refuse what is too small or not finite."""
    if not (math.isfinite(value) and value >= least):
        raise UsageError(f"{type(owner).__name__}: `{key}` must be {least:g} or more, got {value}.")
