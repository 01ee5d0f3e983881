"""Robustness: what is left of a metric under attacks of growing size, noise, and corruptions.

docs/robustness.md tells what each number means and what may be concluded from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import Tensor

from pahcl.errors import UsageError
from pahcl.evaluation.intervals import bootstrap_intervals
from pahcl.evaluation.masking import check_attacks
from pahcl.evaluation.metrics import evaluate
from pahcl.evaluation.perturbed import (
    Batches,
    Condition,
    Examined,
    Outcome,
    Shelf,
    disturb,
    examine,
    pick,
)
from pahcl.evaluation.predictions import columns_of, write_predictions
from pahcl.evaluation.protocol import Plan, RobustnessProtocol
from pahcl.evaluation.robust_curves import draw_curves
from pahcl.evaluation.robustness_file import REPORTED, WORST
from pahcl.signals.spec import SignalSpec
from pahcl.task import Task

FORMAT = 1
PER_CLASS = ("auroc", "auprc", "mae", "rmse")
"""Metrics that are kept for each class at each point of the curve."""


def measure(
    examined: Examined,
    batches: Batches,
    wanted: Plan,
    seed: int,
    shelf: Shelf | None = None,
    advance: Callable[[str, int], None] | None = None,
) -> dict[str, Outcome]:
    """Compute every condition of a plan, or take it from the shelf.

    Args:
        examined: The network.
        batches: Starts a pass over the records.
        wanted: The conditions.
        seed: Of all draws.
        shelf: Where outcomes are kept.
        advance: Is told the condition at work and the number of records that are done; -1 for a
            condition that was on the shelf.

    Returns:
        Outcomes by the key of the condition.
    """
    outcomes = {}
    for condition in wanted.conditions:
        found = shelf.find(condition) if shelf is not None else None
        if found is not None and advance is not None:
            advance(condition.key, -1)
        if found is None:
            say = None if advance is None else _tell(advance, condition.key)
            found = examine(examined, condition, batches, seed, say)
            if shelf is not None:
                shelf.keep(condition, found)
        outcomes[condition.key] = found
    return outcomes


def _tell(advance: Callable[[str, int], None], key: str) -> Callable[[int], None]:
    return lambda count: advance(key, count)


def robustness_facts(
    task: Task,
    spec: SignalSpec,
    protocol: RobustnessProtocol,
    wanted: Plan,
    outcomes: dict[str, Outcome],
) -> dict[str, Any]:
    """Lay out what was measured as `robustness.json` holds it (docs/robustness.md)."""
    clean, tables = outcomes[wanted.clean.key].predictions, _tables(wanted, outcomes)
    worst = worst_tables(task, clean, tables) if protocol.worst_case else {}
    curve = []
    for size, at in wanted.attacks.items():
        point: dict[str, Any] = {"epsilon": size, "attacks": {}}
        for name, one in at.items():
            found = outcomes[one.key]
            point["attacks"][name] = {**found.facts, **_scores(task, found.predictions, protocol)}
        if worst:
            point["attacks"][WORST] = _scores(task, worst[size], protocol)
        curve.append(point)
    check = check_attacks(task, clean, tables, worst, protocol)
    reported = {0.0: clean, **{size: at[REPORTED] for size, at in tables.items()}}
    return {
        "format": FORMAT,
        "task": task.to_dict(),
        "metric": task.primary_metric,
        "unit": unit_of(spec),
        "n_records": len(clean),
        "n_subjects": int(clean["subject_id"].nunique()),
        "protocol": asdict(protocol),
        "clean": _scores(task, clean, protocol),
        "bounds": bounds(task, clean),
        "curve": curve,
        "area": areas(task, reported, protocol),
        "corruptions": _corruption_facts(task, protocol, wanted, outcomes),
        "left_out": wanted.left_out,
        "checks": check.facts,
        "warnings": [*_of_records(task), *check.warnings],
    }


def _of_records(task: Task) -> list[str]:
    """Say what is scored where the test scores something else."""
    if task.level == "record":
        return []
    return [
        f"The task {task.name} has one answer a subject, but each recording is disturbed and "
        "scored by itself here, at the thresholds for subjects: compare these numbers with each "
        "other, never with those of `pahcl test`."
    ]


def _tables(wanted: Plan, outcomes: dict[str, Outcome]) -> dict[float, dict[str, pd.DataFrame]]:
    return {
        size: {name: outcomes[one.key].predictions for name, one in at.items()}
        for size, at in wanted.attacks.items()
    }


def keep_evidence(
    shelf: Shelf,
    task: Task,
    protocol: RobustnessProtocol,
    wanted: Plan,
    outcomes: dict[str, Outcome],
) -> list[Path]:
    """Write the worst case of each size beside the outcomes, and list all tables."""
    kept = [shelf.table(one.key) for one in wanted.conditions]
    if protocol.worst_case and wanted.attacks:
        clean, tables = outcomes[wanted.clean.key].predictions, _tables(wanted, outcomes)
        for size, table in worst_tables(task, clean, tables).items():
            kept.append(shelf.table(protocol.key(WORST, size)))
            write_predictions(kept[-1], table)
    return kept


def unit_of(spec: SignalSpec) -> str:
    """Name the unit of the signal that the network reads, which is that of epsilon."""
    named = {
        "none": spec.unit,
        "zscore_lead": "standard deviations of the lead",
        "zscore_record": "standard deviations of the record",
        "robust": "interquartile ranges of the lead",
        "minmax": "ranges of the lead",
    }
    return named[spec.normalisation]


def _scores(task: Task, table: pd.DataFrame, protocol: RobustnessProtocol) -> dict[str, Any]:
    """Score one condition with intervals."""
    found = bootstrap_intervals(task, table, protocol.samples, protocol.seed, protocol.level)
    return {
        "metrics": {name: asdict(interval) for name, interval in found.metrics.items()},
        "per_class": {
            name: {metric: asdict(scores[metric]) for metric in PER_CLASS if metric in scores}
            for name, scores in found.per_class.items()
        },
        "loss": float(np.nanmean(table["loss"])) if table["loss"].notna().any() else math.nan,
        "largest": float(table["largest"].max()),
        "length": float(table["length"].mean()),
    }


def _corruption_facts(
    task: Task, protocol: RobustnessProtocol, wanted: Plan, outcomes: dict[str, Outcome]
) -> list[dict[str, Any]]:
    rows = []
    for title, conditions in wanted.corruptions.items():
        severities = []
        for one in conditions:
            level = one.corruption.level(one.severity) if one.corruption is not None else ""
            scores = _scores(task, outcomes[one.key].predictions, protocol)
            severities.append({"severity": one.severity, "level": level, **scores})
        rows.append({"title": title, "severities": severities})
    return rows


def worst_tables(
    task: Task, clean: pd.DataFrame, tables: dict[float, dict[str, pd.DataFrame]]
) -> dict[float, pd.DataFrame]:
    """Take for each record the most harmful of all that its size allows.

    A smaller perturbation, and none at all, are allowed at every larger size, so what is taken
    never gets better as the size grows. Multiclass takes the record's prediction of the highest
    loss. Elsewhere each class is judged by itself: it takes the estimate furthest from its truth,
    as an attacker of that finding would, and no attack alone does more harm to a ranking.
    """
    best, found = clean, {}
    for size in sorted(tables):
        for table in tables[size].values():
            best = _worse(task, best, table)
        found[size] = best
    return found


def _worse(task: Task, one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Take what is more harmful, record by record; both hold the same records in order."""
    if not one["record_id"].equals(other["record_id"]):
        raise UsageError("The conditions were computed on different records; compute them again.")
    if task.kind == "multiclass":
        rows = np.arange(len(one)) + len(one) * (other["loss"] > one["loss"]).to_numpy()
        return pd.concat([one, other], ignore_index=True).iloc[rows].reset_index(drop=True)
    taken = one.copy()
    for name in task.classes:
        truth = one[f"target/{name}"]
        columns = [f"probability/{name}", f"prediction/{name}"]
        further = (other[columns[0]] - truth).abs() > (one[columns[0]] - truth).abs()
        for column in columns:
            taken[column] = one[column].where(~further, other[column])
    for column in ("loss", "largest", "length"):
        taken[column] = np.fmax(one[column], other[column])
    return taken


def bounds(task: Task, clean: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Give what chance and the worst of rankings would score on these labels.

    Returns:
        For AUROC and AUPRC `chance`: of scores that know nothing; `floor`: of all positives ranked
        last, none like another. Empty for a regression; None where the labels define neither.
    """
    if task.kind == "regression":
        return {}
    turned = clean.copy()
    targets, probabilities = columns_of(task, "target"), columns_of(task, "probability")
    for target, probability in zip(targets, probabilities, strict=True):
        apart = np.arange(len(clean)) / max(len(clean), 1)  # ties would count as found together
        turned[probability] = ((1 - clean[target]).fillna(0.0) + apart) / 2
    lowest = evaluate(task, turned).macro
    shares = clean[targets].mean().to_numpy()
    prevalence = float(shares[shares > 0].mean()) if (shares > 0).any() else math.nan
    found: dict[str, dict[str, float | None]] = {}
    for name, chance in (("auroc", 0.5), ("auprc", prevalence)):
        metric = name if task.kind == "binary" else f"macro_{name}"
        known = math.isfinite(lowest[metric]) and math.isfinite(chance)
        found[metric] = {
            "chance": chance if known else None,
            "floor": lowest[metric] if known else None,
        }
    return found


def areas(
    task: Task, tables: dict[float, pd.DataFrame], protocol: RobustnessProtocol
) -> dict[str, dict[str, float]] | None:
    """Average the primary metric over the curve, from clean to the largest size.

    Every size is scored on the same resamples, so the intervals are those of the mean.

    Returns:
        `logarithmic` and `linear`, each with value and ends; None without a size above 0.
    """
    if len(tables) < 2:
        return None
    curves = draw_curves(task, [tables], protocol.samples, protocol.seed, protocol.level)
    return {
        "logarithmic": asdict(curves.mean_height([0])),
        "linear": asdict(curves.mean_height([0], logarithmic=False)),
    }


def telling_size(task: Task, facts: dict[str, Any]) -> float | None:
    """Choose the size whose perturbations are shown: the first that takes half of the metric.

    Half of the way from clean to the worst point of the curve, so that there is always one; the
    largest size where the metric is not defined.
    """

    def height(scores: dict[str, Any]) -> float:
        value = float(scores["metrics"][task.primary_metric]["value"])
        return value if task.mode == "max" else -value

    curve = [(float(p["epsilon"]), height(p["attacks"][REPORTED])) for p in facts["curve"]]
    if not curve:
        return None
    clean = height(facts["clean"])
    half = (clean + min(value for _, value in curve)) / 2
    return next((size for size, value in curve if value <= half < clean), curve[-1][0])


def telling_records(clean: pd.DataFrame, attacked: pd.DataFrame, count: int = 3) -> list[str]:
    """Choose the records whose perturbation is shown: by the rise of their loss, most to median."""
    rise = (attacked["loss"] - clean["loss"]).to_numpy()
    order = np.argsort(-np.nan_to_num(rise, nan=-np.inf), kind="stable")
    places = np.unique(np.linspace(0, max(len(order) // 2, 1), count).round().astype(int))
    return [str(clean["record_id"].iloc[order[p]]) for p in places if p < len(order)]


def examples(
    examined: Examined, condition: Condition, batches: Batches, record_ids: Sequence[str], seed: int
) -> dict[str, npt.NDArray[Any]]:
    """Attack a few records again, to show them.

    Returns:
        `record_id` `[N]`, `clean` and `perturbation` `[N, C, L]` float32 in physical units (a
        perturbation of a normalised signal is scaled back lead by lead), `mask` `[N, L]`.
    """
    kept: dict[str, list[Any]] = {"record_id": [], "clean": [], "perturbation": [], "mask": []}
    for batch in pick(batches, record_ids):
        done = disturb(examined, condition, batch, seed)
        physical = batch["signal"]
        # A normalisation is affine in each lead, so spreads stand in one ratio everywhere.
        spread = _spread(done.clean, batch["mask"])
        ratio = (_spread(physical, batch["mask"]) / spread).where(spread > 0, 0.0)
        if examined.spec.normalisation == "none":
            ratio = ratio.new_ones(ratio.shape)
        kept["record_id"] += list(batch["record_id"])
        kept["clean"].append(physical.cpu().numpy())
        kept["perturbation"].append(((done.signal - done.clean) * ratio).cpu().numpy())
        kept["mask"].append(batch["mask"].cpu().numpy())
    names = np.array(kept.pop("record_id"), dtype=np.str_)
    return {"record_id": names, **{name: np.concatenate(parts) for name, parts in kept.items()}}


def _spread(signal: Tensor, mask: Tensor) -> Tensor:
    """Give each lead's standard deviation over the real signal `[B, C, 1]`."""
    real = mask.unsqueeze(1).to(signal.dtype)
    count = real.sum(dim=2, keepdim=True).clamp_min(1)
    mean = (signal * real).sum(dim=2, keepdim=True) / count
    return (((signal - mean) * real).square().sum(dim=2, keepdim=True) / count).sqrt()
