"""Whether the reported attack can be believed, or a network only hides its gradients.

A network whose gradients say nothing (saturated, quantised, random) looks robust to attacks that
follow them. Three things must not happen then, and are looked for: an attack without gradients, or
mere noise, does more harm than the reported attack; another attack that follows gradients does; a
larger size does less harm than a smaller one (Athalye et al. 2018, Carlini et al. 2019).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from pahcl.evaluation.compare import paired_comparison
from pahcl.evaluation.intervals import Interval
from pahcl.evaluation.protocol import RobustnessProtocol
from pahcl.evaluation.resampling import NOT_RESAMPLED
from pahcl.evaluation.robustness_file import BLACK_BOX, CONTROL, REPORTED, WORST
from pahcl.task import Task

GRADIENT_FREE = frozenset({BLACK_BOX, CONTROL})


@dataclass(frozen=True)
class Check:
    """Hold what the comparison of the attacks found.

    Args:
        facts: For each size and attack: `harm`, by which its primary metric is worse than under the
            reported attack (value, low, high; above 0 = the other one is stronger), `stronger_on`,
            the share of records whose loss it raises higher, and `beats`.
        warnings: What that means, in words.
    """

    facts: list[dict[str, Any]]
    warnings: list[str]


def check_attacks(
    task: Task,
    clean: pd.DataFrame,
    tables: dict[float, dict[str, pd.DataFrame]],
    worst: dict[float, pd.DataFrame],
    protocol: RobustnessProtocol,
) -> Check:
    """Compare the reported attack with all others, and with itself at smaller sizes.

    Args:
        task: What was asked.
        clean: Predictions of the records as they are.
        tables: For each size the predictions by attack.
        worst: For each size those of the worst of all attacks.
        protocol: Resamples, and the tolerated difference.
    """
    facts = []
    for size, at in tables.items():
        others = {name: table for name, table in at.items() if name != REPORTED}
        if size in worst:
            others[WORST] = worst[size]
        for name, table in others.items():
            harm = _harm(task, at[REPORTED], table, protocol)
            stronger = (table["loss"] > at[REPORTED]["loss"] * (1 + 1e-4) + 1e-6).mean()
            facts.append(
                {
                    "epsilon": size,
                    "attack": name,
                    "harm": asdict(harm),
                    "stronger_on": float(stronger),
                    "beats": _beats(task, at[REPORTED], harm, protocol),
                }
            )
    return Check(facts, [*_other_attacks(task, facts), *_shape(task, clean, tables, protocol)])


def _harm(
    task: Task, reported: pd.DataFrame, other: pd.DataFrame, protocol: RobustnessProtocol
) -> Interval:
    """Say by how much the primary metric is worse under the other attack."""
    metric = task.primary_metric
    if metric.removeprefix("macro_") in NOT_RESAMPLED or reported["subject_id"].nunique() < 2:
        return Interval(math.nan)
    found = paired_comparison(
        task, reported, other, metric, protocol.samples, protocol.seed, protocol.level
    ).interval
    if task.mode == "max":
        return found
    return Interval(-found.value, -found.high, -found.low)


def _beats(
    task: Task, reported: pd.DataFrame, harm: Interval, protocol: RobustnessProtocol
) -> bool:
    """Say whether the harm exceeds what is tolerated, and is not chance."""
    limit = protocol.tolerance
    if task.kind == "regression" and task.primary_metric in ("mae", "rmse"):
        name = task.classes[0]
        error = (reported[f"probability/{name}"] - reported[f"target/{name}"]).abs().mean()
        limit *= float(error)
    return harm.known and harm.value > limit and (harm.low > 0 or not harm.has_ends)


def _other_attacks(task: Task, facts: list[dict[str, Any]]) -> list[str]:
    warnings = []
    for name in dict.fromkeys(fact["attack"] for fact in facts):
        found = [fact for fact in facts if fact["attack"] == name and fact["beats"]]
        if not found:
            continue
        most = max(found, key=lambda fact: fact["harm"]["value"])
        harm = most["harm"]
        says = (
            f"by {harm['value']:.3f} ({harm['low']:.3f} to {harm['high']:.3f}) of "
            f"{task.primary_metric} at epsilon {most['epsilon']:g}"
        )
        if name in GRADIENT_FREE:
            what = "Noise of equal size" if name == CONTROL else "Square, which needs no gradients,"
            warnings.append(
                f"{what} does more harm than the reported attack, {says}: the gradients are "
                "probably masked, and the curve of APGD says nothing about robustness. Quote the "
                "worst case."
            )
        elif name == WORST and task.kind == "multilabel":
            warnings.append(
                "An attacker of one finding need not strike the others: the worst of all attacks, "
                f"class by class, does more harm than the reported one, {says}. Quote the worst "
                "case."
            )
        elif name == WORST:
            warnings.append(
                f"The worst of all attacks does more harm than the reported one alone, {says}. "
                "Quote the worst case, or attack with more steps and restarts."
            )
        elif name == "apgd-margin":
            warnings.append(
                f"APGD on the margin does more harm than on the reported loss, {says}: that loss "
                "saturates, or is raised by few of the labels. Quote the worst case."
            )
        else:
            warnings.append(
                f"The attack {name} does more harm than the reported one, {says}. Attack with more "
                "steps and restarts (`--attack-steps`, `--restarts`), and quote the worst case."
            )
    return warnings


def _shape(
    task: Task,
    clean: pd.DataFrame,
    tables: dict[float, dict[str, pd.DataFrame]],
    protocol: RobustnessProtocol,
) -> list[str]:
    """Look for a size that does less harm than a smaller one, in the loss that is attacked."""
    sizes = sorted(tables)
    losses = [float(tables[size][REPORTED]["loss"].mean()) for size in sizes]
    warnings = []
    for i, (size, loss) in enumerate(zip(sizes, losses, strict=True)):
        best = max(losses[:i], default=-math.inf)
        if loss < best * (1 - protocol.tolerance):
            smaller = sizes[losses.index(best)]
            warnings.append(
                f"The reported attack raises the loss less at epsilon {size:g} ({loss:.3f}) than "
                f"at {smaller:g} ({best:.3f}), although more is allowed there: it gets lost in the "
                "larger ball. Attack with more steps and restarts."
            )
    if losses and losses[-1] <= float(clean["loss"].mean()) * (1 + 1e-4) + 1e-6:
        warnings.append(
            f"The reported attack does not raise the loss at all up to epsilon {sizes[-1]:g}: "
            "either the sizes are far too small for the signal's unit, or the gradients are masked."
        )
    return warnings
