"""Objectives of adversarial training: what is minimised on clean and attacked signals.

An objective gives its loss in parts. A part that stands alone can be differentiated and its graph
freed before the next one is computed, so that training on both kinds of signal needs the memory of
one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pahcl.attacks.losses import Loss
from pahcl.errors import UsageError
from pahcl.objectives.supervised import probabilities
from pahcl.task import UNLABELLED_CLASS, Kind

EVERY = slice(None)
"""All rows of a batch."""

Terms = tuple[Tensor, Tensor]
"""Sums and weights of a loss, both `[B]`: the loss of any records is sum over sum."""


@dataclass(frozen=True)
class Views:
    """Offer what an objective is made of; outputs are computed when they are asked for.

    Args:
        clean: Gives the outputs `[B, K]` for some rows of the signals as they are.
        adversarial: Gives the outputs `[B, K]` for some rows of the signals, attacked.
        losses: Outputs and their target -> sums and weights of the task's loss.
        target: `[B]` int64 or `[B, K]` float with NaN, as in a batch.
        kind: Of the task.
    """

    clean: Callable[[slice], Tensor]
    adversarial: Callable[[slice], Tensor]
    losses: Callable[[Tensor, Tensor], Terms]
    target: Tensor
    kind: Kind


@dataclass(frozen=True)
class Part:
    """Hold one summand of an objective.

    Args:
        sums: `[B]`, weighted already: the summand is their sum over that of `weights`.
        weights: `[B]` labelled entries of each record.
        shares: What to log: name -> `[B]` sums, without their weight in the objective.
        rows: The records of the batch that these are.
    """

    sums: Tensor
    weights: Tensor
    shares: dict[str, Tensor] = field(default_factory=dict)
    rows: slice = field(default_factory=lambda: EVERY)


@dataclass(frozen=True, kw_only=True)
class RobustObjective(ABC):
    """Weigh what a network does on clean and on attacked signals.

    Attributes:
        raises: What the attack is to raise: the loss on the `labels`, or the divergence from the
            network's own `outputs` on the clean signals.
    """

    raises: ClassVar[Literal["labels", "outputs"]] = "labels"

    @property
    def learns_clean(self) -> bool:
        """Say whether the clean signals are learned from too."""
        return True

    @abstractmethod
    def parts(self, views: Views, scale: float) -> Iterator[Part]:
        """Give the summands one by one.

        Args:
            views: What they are made of.
            scale: Between 0 and 1: how much of the attacked signals' weight counts by now.
        """


@dataclass(frozen=True, kw_only=True)
class Mixed(RobustObjective):
    """Average the losses on clean and on attacked signals.

    Args:
        weight: Share of the attacked signals: 0.5 gives (clean + adversarial) / 2 as in Eriksson et
            al. (CinC 2024), 1 adversarial training as in Madry et al. (ICLR 2018), which leaves the
            clean pass out.
        split: Attack the first half of each batch alone and take the clean loss on the other half.
            Both halves together cost what one clean batch does, and the attack half of what it
            otherwise would, at the price of a noisier gradient.

    Raises:
        UsageError: The weight is no share.
    """

    weight: float = 0.5
    split: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.weight <= 1:
            raise UsageError(f"Mixed: `weight` must be above 0 and at most 1, got {self.weight}.")

    @property
    def learns_clean(self) -> bool:
        """Say whether the clean signals are learned from too: unless the weight is 1."""
        return self.weight < 1

    def parts(self, views: Views, scale: float) -> Iterator[Part]:
        """Give the clean part, then the adversarial one."""
        weight, records = self.weight * scale, len(views.target)
        half = records // 2 if self.split and 0 < weight < 1 else 0
        for name, share, outputs, rows in (
            ("clean", 1 - weight, views.clean, slice(half, records)),
            ("adversarial", weight, views.adversarial, slice(0, half or records)),
        ):
            if share > 0:
                sums, weights = views.losses(outputs(rows), views.target[rows])
                yield Part(share * sums, weights, {name: sums}, rows)


@dataclass(frozen=True, kw_only=True)
class TRADES(RobustObjective):
    """Trade the clean loss against how far an attack moves the outputs (Zhang et al., ICML 2019).

    clean loss + beta x divergence(clean outputs, attacked outputs), eq. 5. With several labels the
    divergence is the sum of their Bernoulli divergences. Both passes are held at once: this takes
    the memory of two.

    Args:
        beta: Weight of the divergence, times the schedule.
    """

    raises: ClassVar[Literal["labels", "outputs"]] = "outputs"

    beta: float = 6.0

    def __post_init__(self) -> None:
        require_positive("TRADES", self.beta)

    def parts(self, views: Views, scale: float) -> Iterator[Part]:
        """Give the one summand."""
        clean, attacked = views.clean(EVERY), views.adversarial(EVERY)
        sums, weights = views.losses(clean, views.target)
        moved = labelled_divergence(views, clean, attacked)
        shares = {"clean": sums, "divergence": moved}
        yield Part(sums + self.beta * scale * moved, weights, shares)


@dataclass(frozen=True, kw_only=True)
class MART(RobustObjective):
    """Push harder where a clean record is misjudged (Wang et al., ICLR 2020, eq. 11).

    Boosted cross-entropy on attacked outputs + beta x divergence x (1 - probability of the truth).
    For binary labels the boost -log(1 - p(other)) equals -log p(truth), so it doubles the loss, and
    the weight is each label's own: our extension to several labels. Takes the memory of two passes.

    Args:
        beta: Weight of the divergence, times the schedule.
    """

    beta: float = 5.0

    def __post_init__(self) -> None:
        require_positive("MART", self.beta)

    def parts(self, views: Views, scale: float) -> Iterator[Part]:
        """Give the one summand.

        Raises:
            UsageError: The task is a regression.
        """
        if views.kind == "regression":
            raise UsageError("MART needs classes: take Mixed or TRADES for a regression.")
        clean, attacked = views.clean(EVERY), views.adversarial(EVERY)
        sums, weights = views.losses(attacked, views.target)
        boosted = sums + margin_boost(views, attacked, sums, weights)
        truth = probability_of_truth(views.kind, clean, views.target)
        moved = labelled_divergence(views, clean, attacked, 1 - truth)
        shares = {"adversarial": sums, "divergence": moved}
        yield Part(boosted + self.beta * scale * moved, weights, shares)


def require_positive(name: str, beta: float) -> None:
    """Refuse a weight that would reward being fooled."""
    if not beta > 0:
        raise UsageError(f"{name}: `beta` must be above 0, got {beta}.")


def divergence(kind: Kind, outputs: Tensor, other: Tensor) -> Tensor:
    """Compute the Kullback-Leibler divergence of predictions, from `outputs` to `other`.

    Args:
        kind: `multiclass` compares categorical distributions, `binary` and `multilabel` Bernoulli
            distributions label by label; a `regression` compares normal distributions of variance
            1/2, which is the squared difference.
        outputs: `[B, K]` logits or estimates.
        other: `[B, K]`.

    Returns:
        `[B, 1]` for multiclass, else `[B, K]`; never negative but for rounding.
    """
    outputs, other = outputs.float(), other.float()
    if kind == "regression":
        return (outputs - other).square()
    if kind == "multiclass":
        mine, theirs = outputs.log_softmax(1), other.log_softmax(1)
        return (mine.exp() * (mine - theirs)).sum(1, keepdim=True)
    there = outputs.sigmoid() * (F.logsigmoid(outputs) - F.logsigmoid(other))
    absent = (-outputs).sigmoid() * (F.logsigmoid(-outputs) - F.logsigmoid(-other))
    return there + absent


def own_answer(kind: Kind, outputs: Tensor, target: Tensor) -> tuple[Tensor, Loss]:
    """Make of clean outputs the target of an attack that is to raise the divergence from them.

    Args:
        kind: Of the task.
        outputs: `[B, K]` for the clean signals.
        target: `[B]` int64 or `[B, K]` float: says what is labelled.

    Returns:
        `[B, K]` float, NaN where nothing is labelled, and the loss which differs from the
        divergence by a constant alone: from its mean over the labelled entries, or with classes
        from itself.
    """
    known = labelled(kind, target)
    losses: dict[Kind, Loss] = {"regression": "mse", "multiclass": "soft_ce"}
    return probabilities(kind, outputs).masked_fill(~known, float("nan")), losses.get(kind, "bce")


def labelled(kind: Kind, target: Tensor) -> Tensor:
    """Say which entries are labelled: `[B, 1]` for multiclass, else `[B, K]`."""
    if kind == "multiclass":
        return (target != UNLABELLED_CLASS).unsqueeze(1)
    return ~target.isnan()


def labelled_divergence(
    views: Views, outputs: Tensor, other: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Sum the divergence of each record over its labelled entries, `[B]`."""
    terms = divergence(views.kind, outputs, other)
    terms = terms if weight is None else terms * weight
    return terms.masked_fill(~labelled(views.kind, views.target), 0.0).sum(1)


def probability_of_truth(kind: Kind, outputs: Tensor, target: Tensor) -> Tensor:
    """Compute the probability of what is true: `[B, 1]` for multiclass, else `[B, K]` by label."""
    if kind == "multiclass":
        known = target.clamp(min=0).unsqueeze(1)
        return outputs.float().softmax(1).gather(1, known)
    positive = outputs.float().sigmoid()
    return torch.where(target > 0.5, positive, 1 - positive)


def margin_boost(views: Views, attacked: Tensor, sums: Tensor, weights: Tensor) -> Tensor:
    """Compute -log(1 - probability of the best wrong class), `[B]`; `sums` where labels are binary.

    The wrong answer of a binary label has the probability 1 - p(truth). A class weighs here what
    it does in `sums`, which of a multiclass loss stands in `weights`.
    """
    if views.kind != "multiclass":
        return sums
    known = views.target.clamp(min=0).unsqueeze(1)
    wrong = attacked.float().softmax(1).scatter(1, known, 0.0).amax(1)
    boost = -torch.log1p(-wrong.clamp(max=1 - 1e-6)) * weights
    return boost.masked_fill(views.target == UNLABELLED_CLASS, 0.0)
