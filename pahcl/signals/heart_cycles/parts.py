"""Sub-structures of a cycle: K parts of it, equal, overlapping, or by the states of the heart."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from pahcl.errors import SpecError, UsageError
from pahcl.signals.heart_cycles.interpolation import Kernel, interpolate
from pahcl.signals.heart_cycles.lengths import has_phases

PartKind = Literal["equal", "overlapping", "state"]

OVERLAP = 0.25
"""Share of a part that an overlapping one has more of on each side."""

STATE_PARTS: dict[int, tuple[float, ...]] = {
    2: (0, 2, 4),
    4: (0, 1, 2, 3, 4),
    6: (0, 1, 1 + 1 / 2, 2, 3, 3 + 1 / 2, 4),
    8: (0, 1, 1 + 1 / 3, 1 + 2 / 3, 2, 3, 3 + 1 / 3, 3 + 2 / 3, 4),
}
"""Edges of the parts by state: 0, 1, 2, 3 and 4 are begin of S1, systole, S2 and diastole and the
end, 1 + 1/2 the middle of systole. Two parts are the systolic and the diastolic half of the cycle;
four its states; six have an early and a late systole and diastole; eight an early, middle and late
one each, the words in which murmurs are described."""


class Parts(NamedTuple):
    """Hold K parts of each cycle.

    Args:
        signal: `[B, K, C, P]` float32, 0 outside the mask.
        mask: `[B, K, P]` bool, true = real signal.
        fallback: `[B]` bool: parts by state were asked for, but the states are not known, so the
            cycle was cut into K equal ones.
    """

    signal: Tensor
    mask: Tensor
    fallback: Tensor


def split_parts(
    signal: Tensor,
    mask: Tensor | None,
    bounds: Tensor | None,
    count: int,
    kind: PartKind = "equal",
    overlap: float = OVERLAP,
    kernel: Kernel = "sinc",
) -> Parts:
    """Cut cycles of one length into parts of one length.

    - `equal`: samples `i L // K` to `(i + 1) L // K` of the whole length; P is the longest of
      them, and shorter ones end with a masked sample where K does not divide L.
    - `overlapping`: the same, longer by `overlap` of a part on each side, masked beyond the ends;
      P = L / K + 2 overlap L / K.
    - `state`: by `STATE_PARTS`, each stretched to P = L // K samples.

    Args:
        signal: `[B, C, L]`.
        mask: `[B, L]` bool, true = real signal; None: all of it.
        bounds: `[B, 5]` boundaries of the states in samples of `signal`, as `fit_length` gives
            them; for `state` alone. A state that is cropped away is masked.
        count: K; for `state` 2, 4, 6 or 8.
        kind: Where the edges lie.
        overlap: For `overlapping`.
        kernel: For `state`: how it is read between samples.

    Raises:
        SpecError: Shapes do not fit, or there are fewer samples than parts.
        UsageError: There is no such kind, or no such number of parts by state.
    """
    require_parts(count, kind, overlap)
    wrong = signal.ndim != 3 or (kind == "state" and bounds is None)
    if wrong or (bounds is not None and bounds.shape != (len(signal), 5)):
        shape = None if bounds is None else tuple(bounds.shape)
        raise SpecError(
            f"Parts need a signal [B, C, L], and by state the boundaries [B, 5], got "
            f"{tuple(signal.shape)} and {shape}."
        )
    if signal.shape[2] < count:
        raise SpecError(f"{signal.shape[2]} samples cannot be cut into {count} parts.")
    signal = signal.to(torch.float32)
    real = signal.new_ones((len(signal), signal.shape[2]), dtype=torch.bool)
    real = real if mask is None else mask
    if kind == "state" and bounds is not None:
        return _by_state(signal, real, bounds, count, kernel)
    return _cut(signal, real, count, overlap if kind == "overlapping" else 0.0)


def require_parts(count: int, kind: PartKind, overlap: float = OVERLAP) -> None:
    """Refuse parts that there cannot be.

    Raises:
        UsageError: With what there is instead.
    """
    if kind not in get_args(PartKind):
        raise UsageError(f"There are no parts {kind!r}; use one of {get_args(PartKind)}.")
    if count < 1 or (kind == "state" and count not in STATE_PARTS):
        raise UsageError(
            f"A cycle has {', '.join(map(str, STATE_PARTS))} parts by state, and 1 or more of the "
            f"other kinds, not {count} by `{kind}`."
        )
    if not 0 <= overlap <= 1:
        raise UsageError(f"Parts overlap by a share from 0 to 1 of a part, not {overlap}.")


def _cut(signal: Tensor, real: Tensor, count: int, overlap: float) -> Parts:
    batch, leads, length = signal.shape
    edges = [part * length // count for part in range(count + 1)]
    more = [int((stop - first) * overlap) for first, stop in pairwise(edges)]
    first = torch.tensor(edges[:-1]) - torch.tensor(more)
    stop = torch.tensor(edges[1:]) + torch.tensor(more)
    index = first.unsqueeze(1) + torch.arange(int((stop - first).max()))
    inside = (index < stop.unsqueeze(1)) & (index >= 0) & (index < length)
    place = index.clamp(0, length - 1).reshape(-1).to(signal.device)
    mask = real[:, place].view(batch, *index.shape) & inside.to(signal.device)
    parts = signal[:, :, place].view(batch, leads, *index.shape).transpose(1, 2)
    none = torch.zeros(batch, dtype=torch.bool, device=signal.device)
    return Parts(parts * mask.unsqueeze(2), mask, none)


def _by_state(signal: Tensor, real: Tensor, bounds: Tensor, count: int, kernel: Kernel) -> Parts:
    batch, leads, length = signal.shape
    size = length // count
    bounds = bounds.to(signal.device, torch.float32)
    marks = torch.tensor(STATE_PARTS[count], device=signal.device)
    state = marks.floor().long()
    duration = bounds.diff(dim=1, append=bounds[:, 4:])
    edges = bounds[:, state] + (marks - state) * duration[:, state]
    fallback = ~has_phases(bounds)
    share = torch.linspace(0, 1, count + 1, device=signal.device)
    equal = bounds[:, :1] + share * (bounds[:, 4:] - bounds[:, :1])
    edges = equal.where(fallback.unsqueeze(1), edges).clamp(0, length)
    step = edges.diff(dim=1).unsqueeze(2) / size
    time = torch.arange(size, device=signal.device)
    positions = (edges[:, :-1].unsqueeze(2) + time * step).reshape(batch, -1)
    there = (step * size >= 1).expand(-1, -1, size).reshape(batch, -1)
    every = step.expand(-1, -1, size).reshape(batch, -1)
    # No part is longer than the cycle; a GPU is not asked which one is the longest.
    widest = None if signal.device.type == "cpu" else length / size
    values, known = interpolate(signal, real, positions, every, kernel, widest)
    mask = (known & there).view(batch, count, size)
    parts = (values * there.unsqueeze(1)).view(batch, leads, count, size).transpose(1, 2)
    return Parts(parts, mask, fallback)
