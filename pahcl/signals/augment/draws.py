"""Random numbers of each record's own, drawn on the device, whatever batch it stands in."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from pahcl.errors import UsageError

Seeds = Tensor | Generator | None
"""int64 `[B]`, one seed a record; or a generator, or None for PyTorch's global one, from which a
seed for each record is drawn."""


def _signed(number: int) -> int:
    """Write an unsigned number of 64 bits as the int64 of the same bits."""
    return number - 2**64 if number >= 2**63 else number


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_CHILD = _signed(0xD1B54A32D192ED03)
# Shift, mask of the bits that a logical shift leaves, factor: the finaliser of SplitMix64.
_ROUNDS = (
    (30, 2**34 - 1, _signed(0xBF58476D1CE4E5B9)),
    (27, 2**37 - 1, _signed(0x94D049BB133111EB)),
)
_LAST = (31, 2**33 - 1)
_BITS = 24  # of a float32's mantissa: numbers in [0, 1) are exact


def _mix_(state: Tensor) -> Tensor:
    """Mix the bits of int64 numbers in place; products wrap around as they shall."""
    for shift, left, factor in _ROUNDS:
        state ^= (state >> shift).bitwise_and_(left)
        state *= factor
    state ^= (state >> _LAST[0]).bitwise_and_(_LAST[1])
    return state


def record_seeds(*keys: Tensor | int) -> Tensor:
    """Make a seed for each record from what names it: a run's seed, the epoch, the record.

    Args:
        keys: int64 `[B]`, or a number for all; one of them at least is a tensor.

    Returns:
        int64 `[B]`.
    """
    state = torch.zeros((), dtype=torch.int64)
    for key in keys:
        number = key + 1 if isinstance(key, Tensor) else torch.tensor(_signed((key + 1) % 2**64))
        state = _mix_((state ^ _CHILD) + number * _GOLDEN)
    return state


class Draws:
    """Give numbers by their place, not by the order in which they are asked for.

    A number is the hash of the record's seed, the place in the tree of augmentations, the slot and
    a count (SplitMix64, Steele et al. 2014). So it is the same on every device and in every batch,
    and none of them waits for another.

    Args:
        state: int64 `[B]`.
    """

    def __init__(self, state: Tensor) -> None:
        self.state = state

    def __len__(self) -> int:
        return len(self.state)

    @classmethod
    def of(cls, signal: Tensor, generator: Seeds) -> Draws:
        """Begin with the seeds of a batch `[B, ...]`, on its device.

        Raises:
            UsageError: The seeds are not int64 `[B]`.
        """
        if not isinstance(generator, Tensor):
            device = "cpu" if generator is None else generator.device
            low, high = -(2**63), 2**63 - 1
            seeds = torch.randint(low, high, (len(signal),), generator=generator, device=device)
            return cls(seeds.to(signal.device))
        if generator.shape != (len(signal),) or generator.dtype != torch.int64:
            raise UsageError(
                f"An augmentation needs one int64 seed for each of the {len(signal)} records, got "
                f"{generator.dtype} {tuple(generator.shape)}."
            )
        return cls(generator.to(signal.device))

    def child(self, number: int) -> Draws:
        """Give the draws of a part, which have nothing to do with those of other parts."""
        return Draws(_mix_((self.state ^ _CHILD) + _signed((number + 1) * _GOLDEN % 2**64)))

    def take(self, rows: Tensor) -> Draws:
        """Choose records."""
        return Draws(self.state[rows])

    def parted(self, count: int, same: bool) -> Draws:
        """Give draws `[B * count]` to the parts of each record, the same ones or others."""
        if same:
            return Draws(self.state.repeat_interleave(count))
        parts = [self.child(number).state for number in range(count)]
        return Draws(torch.stack(parts, dim=1).flatten())

    def _bits(self, slot: int, count: int) -> Tensor:
        start = _mix_(self.state + _signed((slot + 1) * _GOLDEN % 2**64)).unsqueeze(1)
        counter = torch.arange(1, count + 1, device=start.device)
        return _mix_(start + counter.mul_(_GOLDEN))

    def uniform(self, slot: int, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw float32 `[B, *shape]`, uniform from `low` up to `high`."""
        bits = self._bits(slot, math.prod(shape))
        share = (bits >> (64 - _BITS)).bitwise_and_(2**_BITS - 1).to(torch.float32)
        return share.mul_(2.0**-_BITS * (high - low)).add_(low).view(len(self), *shape)

    def below(self, slot: int, count: Tensor) -> Tensor:
        """Draw int64 of the shape of `count` `[B, n]`, uniform from 0 up to below `count`."""
        share = self.uniform(slot, count.shape[1]).to(torch.float64)
        drawn = (share * count).to(torch.int64)
        return torch.minimum(drawn, count - 1).clamp_min_(0)

    def normal(self, slot: int, *shape: int) -> Tensor:
        """Draw float32 `[B, *shape]`, standard normal (Box and Muller 1958)."""
        count = math.prod(shape)
        bits = self._bits(slot, (count + 1) // 2)
        radius = (bits >> (64 - _BITS)).bitwise_and_(2**_BITS - 1).to(torch.float32)
        radius = radius.add_(1.0).mul_(2.0**-_BITS).log_().mul_(-2.0).sqrt_()
        angle = bits.bitwise_and_(2**_BITS - 1).to(torch.float32).mul_(2 * math.pi * 2.0**-_BITS)
        pairs = torch.cat([radius * angle.cos(), radius.mul_(angle.sin_())], dim=1)
        return pairs[:, :count].reshape(len(self), *shape)
