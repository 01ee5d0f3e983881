"""Where a perturbation may lie: ball, box, padding mask and the leads' own equations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pahcl.attacks.norms import (
    Norm,
    Randomness,
    ball_norm,
    draw,
    largest,
    project_l1,
    project_l2,
    sparse_sign,
    unit,
)
from pahcl.errors import SpecError, UsageError
from pahcl.signals.leads import LIMB_LEADS, canonical_lead, lead_plan

Box = tuple[float, float]


class LeadMap:
    """Limb leads as what they are: two recorded ones, I and II, and up to four made of them.

    Args:
        leads: Names of the signal's leads, in order.

    Raises:
        UsageError: A lead is derived from I and II, which are not both there.
    """

    def __init__(self, leads: Sequence[str]) -> None:
        names = [canonical_lead(lead) for lead in leads]
        derived = [name for name in names if name in LIMB_LEADS[2:]]
        missing = [name for name in ("I", "II") if name not in names]
        if derived and missing:
            raise UsageError(
                f"`leads` has {derived[0]}, which is made of I and II, but lacks "
                f"{' and '.join(missing)}; without both the leads cannot be kept consistent."
            )
        self.channels = len(names)
        limbs = ["I", "II", *derived] if derived else []
        self.rows = [names.index(name) for name in limbs]
        self.third = names.index("III") if "III" in names else None
        table = np.zeros((len(limbs), 2))
        for row, parts in zip(table, lead_plan(("I", "II"), limbs), strict=True):
            for source, weight in parts:
                row[source] = weight
        self.weights: list[list[float]] = table.tolist()
        self.dual: list[list[float]] = np.linalg.pinv(table).T.tolist()

    def __bool__(self) -> bool:
        return bool(self.rows)

    # Sums of products with plain numbers: a matmul may run in TF32 on a GPU, a table there waits.
    def _combine(self, table: list[list[float]], values: Tensor) -> tuple[Tensor, Tensor]:
        first, second = torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0])
        for row, (a, b) in zip(self.rows, table, strict=True):
            first.add_(values[:, row], alpha=a)
            second.add_(values[:, row], alpha=b)
        return first, second

    def derive_(self, values: Tensor) -> Tensor:
        """Overwrite the derived leads by what the I and II of `values` `[B, C, ...]` make them."""
        first, second = values[:, self.rows[0]], values[:, self.rows[1]]
        for row, (a, b) in zip(self.rows[2:], self.weights[2:], strict=True):
            torch.mul(first, a, out=values[:, row]).add_(second, alpha=b)
        return values

    def nearest(self, values: Tensor) -> Tensor:
        """Project orthogonally onto the consistent signals."""
        first, second = self._combine(self.dual, values)
        values = values.clone()
        values[:, self.rows[0]], values[:, self.rows[1]] = first, second
        return self.derive_(values)

    def pull(self, gradient: Tensor) -> Tensor:
        """Turn a gradient by leads into one by I and II, 0 at the derived leads (chain rule)."""
        first, second = self._combine(self.weights, gradient)
        pulled = gradient.clone()
        for row in self.rows[2:]:
            pulled[:, row] = 0.0
        pulled[:, self.rows[0]], pulled[:, self.rows[1]] = first, second
        return pulled

    def steepest(self, pulled: Tensor) -> Tensor:
        """Give the Linf direction of a gradient by I and II, `[B, C, ...]`.

        Signs, but where III forbids I and II to part: there their ratio is kept, by which the
        projection slides along III's bound to the better of its ends.
        """
        direction = pulled.sign()
        if self.third is None:
            return direction
        first, second = pulled[:, self.rows[0]], pulled[:, self.rows[1]]
        larger = torch.maximum(first.abs(), second.abs())
        part = direction[:, self.rows[0]] * direction[:, self.rows[1]] < 0
        for row, values in ((self.rows[0], first), (self.rows[1], second)):
            direction[:, row] = torch.where(part, values / larger, direction[:, row])
        return direction


class Ball:
    """The set in which one batch's perturbed signals must lie.

    Args:
        clean: `[B, ...]` float32.
        norm: Of the perturbation.
        radius: `[B, 1, ...]`, or `[B, C, 1, ...]`: one ball for each lead; unit of the signal.
        free: Bool, broadcasts against `clean`: where a perturbation is allowed; None = everywhere.
        box: Least and greatest value of the perturbed signal. A clean value outside stays allowed,
            but is not carried further out.
        leads: The limb leads' equations, which the perturbation must keep.
    """

    def __init__(
        self,
        clean: Tensor,
        norm: Norm,
        radius: Tensor,
        free: Tensor | None = None,
        box: Box | None = None,
        leads: LeadMap | None = None,
    ) -> None:
        self.clean, self.norm, self.radius = clean, norm, radius
        self.free, self.box, self.leads = free, box, leads or None
        self.rows = 2 if radius.ndim > 1 and radius.shape[1] > 1 else 1
        self.low, self.high = self._bounds()

    def _bounds(self) -> tuple[Tensor | None, Tensor | None]:
        low = high = None
        if self.norm == "linf":
            low, high = self.clean - self.radius, self.clean + self.radius
        if self.box is not None:
            least, greatest = self.clean.clamp(max=self.box[0]), self.clean.clamp(min=self.box[1])
            low = least if low is None else torch.maximum(low, least)
            high = greatest if high is None else torch.minimum(high, greatest)
        if self.free is not None and low is not None and high is not None:
            low = torch.where(self.free, low, self.clean)
            high = torch.where(self.free, high, self.clean)
        return low, high

    def scaled(self, factor: float) -> Ball:
        """Give the ball of a multiple of the radius, under the same constraints."""
        radius = self.radius * factor
        return Ball(self.clean, self.norm, radius, self.free, self.box, self.leads)

    def project(self, point: Tensor) -> Tensor:
        """Bring points `[B, ...]` into the set; what lies in it stays. May overwrite `point`."""
        if self.norm == "linf" and self.leads is None:
            return point.clamp_(self.low, self.high)
        return self.fit(point.sub_(self.clean)).add_(self.clean)

    def fit(self, delta: Tensor) -> Tensor:
        """Bring a perturbation `[B, ...]` into the set. May overwrite `delta`.

        Without leads this is the nearest point of each constraint in turn. With leads and Linf, I
        and II are moved toward each other until III fits, then clipped, which keeps III, and the
        others follow; what still does not fit (leads with other budgets, a box) is scaled at its
        instant. With L2 it is the orthogonal projection onto the consistent signals, scaled; with
        L1 it is scaled alone.
        """
        if self.norm == "linf":
            return self._fit_linf(delta)
        delta = self.inside(delta)
        if self.norm == "l2":
            delta = self._within(delta if self.leads is None else self.leads.nearest(delta))
        elif self.leads is not None:
            delta = self._within(self.leads.derive_(delta))
        else:
            low, high = (None, None) if self.low is None else (self.floor, self.ceiling)
            return project_l1(delta, self.radius, low, high, self.rows)
        if self.low is None:
            return delta
        if self.leads is not None:
            delta = self._shrink_instants(delta)
        return delta.clamp_(self.floor, self.ceiling)

    def _fit_linf(self, delta: Tensor) -> Tensor:
        leads = self.leads
        if leads is None:
            return delta.clamp_(self.floor, self.ceiling)
        limit = self.radius[:, 0]
        if leads.third is not None:
            limit = self.radius[:, leads.third if self.rows == 2 else 0]
            first, second = delta[:, leads.rows[0]], delta[:, leads.rows[1]]
            gap = second - first
            over = gap.sub_(gap.clamp(-limit, limit)).mul_(0.5)
            first.add_(over)
            second.sub_(over)
        delta = leads.derive_(delta.clamp_(self.floor, self.ceiling))
        if leads.third is not None and self.rows == 1 and self.box is None:
            # Every lead fits then: half the sum or difference of two that do; but for III's digit.
            delta[:, leads.third].clamp_(-limit, limit)
            return delta
        return self._shrink_instants(delta).clamp_(self.floor, self.ceiling)

    def shrink(self, delta: Tensor) -> Tensor:
        """Scale a perturbation down until it fits, a factor for each lead or, with leads, record.

        Unlike `fit` this keeps what is linear in time, such as a band of frequencies.
        """
        delta = self.inside(delta)
        if self.leads is not None:
            delta = self.leads.nearest(delta)
        if self.norm != "linf":
            delta = self._within(delta)
        if self.low is None:
            return delta
        rows = 2 if self.leads is None and delta.ndim > 2 else 1
        ratio = self._allowed(delta).amin(tuple(range(rows, delta.ndim)), keepdim=True)
        return delta * ratio

    def inside(self, values: Tensor) -> Tensor:
        """Set to 0 what stands outside the mask."""
        return values if self.free is None else values.masked_fill(~self.free, 0.0)

    @cached_property
    def floor(self) -> Tensor:
        """Give the least perturbation, as `clean`; where there is no bound it is not to be used."""
        return torch.zeros_like(self.clean) if self.low is None else self.low - self.clean

    @cached_property
    def ceiling(self) -> Tensor:
        """Give the greatest perturbation, as `clean`."""
        return torch.zeros_like(self.clean) if self.high is None else self.high - self.clean

    def _within(self, delta: Tensor) -> Tensor:
        """Scale into the ball: by lead, or by record where leads must stay in step."""
        if self.leads is None and self.norm == "l2":
            return project_l2(delta, self.radius, self.rows)
        length = ball_norm(delta, self.norm, self.rows)
        ratio = torch.where(length > self.radius, self.radius / length, 1.0)
        return delta * ratio.amin(1, keepdim=True)

    def _allowed(self, delta: Tensor, digits: float = 0.0) -> Tensor:
        """Give the factor, at most 1, by which each entry must shrink to fit its bounds.

        With `digits` an excess of so many last digits of the perturbed signal counts as none.
        """
        bound = torch.where(delta > 0, self.ceiling, -self.floor).clamp(min=0.0)
        size = delta.abs()
        slack = digits * torch.finfo(size.dtype).eps * (self.clean.abs() + size) if digits else 0.0
        return torch.where(size > bound + slack, bound / size, 1.0)

    def _shrink_instants(self, delta: Tensor) -> Tensor:
        """Scale the limb leads together, at each instant, until all of them fit."""
        if self.leads is None:
            return delta
        rows = self.leads.rows
        # Where a clean value lies at the box, a rounding error would shrink all leads to nothing;
        # what it is too long, the caller clips.
        allowed = self._allowed(delta, digits=2.0)
        factor = torch.stack([allowed[:, row] for row in rows]).amin(0)
        for row in rows:
            delta[:, row] *= factor
        return delta

    def ascent(self, gradient: Tensor) -> Tensor:
        """Give a gradient as the free entries see it: masked, and by I and II alone for Linf, L1.

        With L2 the direction is taken in the space of the consistent signals.
        """
        gradient = self.inside(gradient)
        if self.leads is None:
            return gradient
        return self.leads.nearest(gradient) if self.norm == "l2" else self.leads.pull(gradient)

    def steepest(self, gradient: Tensor, share: Tensor | None = None) -> Tensor:
        """Give the direction of norm 1 in which the loss grows fastest.

        Args:
            gradient: `[B, ...]`.
            share: For L1, `[B]`: the share of entries that step together (0: the one largest).
        """
        if self.norm == "linf":
            # The projection drops what the mask forbids: no copy is needed here.
            if self.leads is None:
                return gradient.sign()
            return self.leads.steepest(self.leads.pull(gradient))
        gradient = self.ascent(gradient)
        if self.norm == "l2":
            return unit(gradient, "l2", self.rows)
        if share is None:
            return largest(gradient, self.rows)
        return sparse_sign(gradient, share, self.rows)

    def random(self, generator: Randomness, fill: bool = False) -> Tensor:
        """Draw points `[B, ...]` of the set.

        Args:
            generator: Source of the random numbers.
            fill: Stretch Linf noise so that its largest entry is the radius, as APGD starts; else
                it is uniform. L2 noise lies on the sphere, L1 noise is a projected normal one.
        """
        clean = self.clean
        if self.norm == "linf":
            noise = self.inside(2 * draw("uniform", clean.shape, generator, clean.device) - 1)
            noise = unit(noise, "linf") if fill else noise
            return self.project(clean + self.radius * noise)
        noise = self.inside(draw("normal", clean.shape, generator, clean.device))
        if self.norm == "l1":
            return self.project(clean + noise)
        noise = noise if self.leads is None else self.leads.nearest(noise)
        return self.project(clean + self.radius * unit(noise, "l2", self.rows))


def amplitude(signal: Tensor, real: Tensor | None, kind: str) -> Tensor:
    """Measure each record's amplitude `[B]` on its real signal, over all leads.

    Args:
        signal: `[B, ...]`.
        real: Bool, broadcasts against `signal`; None = all of it.
        kind: `rms` (root mean square about 0), `mad` (median absolute deviation from the median) or
            `peak` (largest absolute value).
    """
    flat = signal.flatten(1)
    if real is not None:
        flat = flat.masked_fill(~real.expand_as(signal).flatten(1), float("nan"))
    if kind == "mad":
        middle = flat.nanmedian(1, keepdim=True).values
        return (flat - middle).abs().nanmedian(1).values.nan_to_num(0.0)
    flat = flat.abs()
    if kind == "peak":
        return flat.nan_to_num(0.0).amax(1)
    return flat.square().nanmean(1).sqrt().nan_to_num(0.0)


def over_signal(mask: Tensor | None, signal: Tensor) -> Tensor | None:
    """Bring a mask `[B, L]` over the last axis of a signal `[B, ..., L]`; None stays None.

    Raises:
        SpecError: The mask has another number of records or samples.
    """
    if mask is None:
        return None
    if signal.ndim < 2 or mask.shape != (signal.shape[0], signal.shape[-1]):
        raise SpecError(
            f"The attack's mask must have the shape [{signal.shape[0]}, {signal.shape[-1]}], got "
            f"{list(mask.shape)}."
        )
    return mask.bool().reshape(signal.shape[0], *(1,) * (signal.ndim - 2), signal.shape[-1])
