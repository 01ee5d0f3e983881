"""Score many resamples of the subjects at once.

A resample draws as many subjects as there are, with replacement; all records of a drawn subject
come along, as often as it was drawn. A record's weight is therefore the count of its subject, and
every metric is a function of weights: ranks are sorted once, threshold metrics are sums.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pahcl.evaluation.metric_names import averaged_metrics, metric_names, pooled_metrics
from pahcl.evaluation.predictions import Scored
from pahcl.task import Task

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NOT_RESAMPLED = frozenset({"calibration_error"})
"""Metrics whose resamples lie systematically above the estimate: a resample repeats records, which
widens the gaps within bins (Roelofs et al. 2022), so a percentile interval would be wrong."""

EXACT = 1 << 23
"""Records below which the weights of any resample sum to less than 2 ** 24, with a wide margin."""

CHUNK = 1 << 20
"""Weights held at a time (8 MB as float64), so that memory does not grow with the resamples."""


@dataclass(frozen=True)
class Resampled:
    """Hold the metrics of every resample, NaN where the drawn labels cannot define them.

    Args:
        classes: For each class metric `[S, K]`.
        pooled: For each metric that is no mean over classes `[S]`.
    """

    classes: dict[str, Floats]
    pooled: dict[str, Floats]


def subject_counts(subjects: int, samples: int, seed: int, rows: int) -> Iterator[Floats]:
    """Draw subjects with replacement, `rows` resamples at a time.

    The draws do not depend on `rows`.

    Yields:
        `[s, subjects]`: how often each subject was drawn in each of the next resamples.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, samples, rows):
        block = np.empty((min(rows, samples - start), subjects))
        for row in block:
            row[:] = np.bincount(rng.integers(subjects, size=subjects), minlength=subjects)
        yield block


def resample(
    task: Task,
    tables: Sequence[Scored],
    samples: int,
    seed: int,
    metrics: Collection[str] | None = None,
) -> list[Resampled]:
    """Score every table on the same resamples of their common subjects.

    Args:
        task: What is asked.
        tables: Tables over the same subjects.
        samples: Number of resamples S.
        seed: Seed of the draws.
        metrics: Metrics of the whole task that are wanted; None is all.

    Returns:
        One `Resampled` a table; metrics of `NOT_RESAMPLED` are left out.
    """
    wanted = set(metric_names(task.kind) if metrics is None else metrics)
    classes = {source for name, source in averaged_metrics(task.kind).items() if name in wanted}
    classes -= NOT_RESAMPLED
    pooled = wanted & set(pooled_metrics(task.kind))
    scorers = [_Scorer(task, table, classes, pooled) for table in tables]
    subjects = len(tables[0].subjects)
    rows = max(1, CHUNK // max(subjects, *(len(table.subject) for table in tables), 1))
    parts: list[list[dict[str, Floats]]] = [[] for _ in tables]
    for counts in subject_counts(subjects, samples, seed, rows):
        for part, scorer in zip(parts, scorers, strict=True):
            part.append(scorer.score(counts))
    joined = [{n: np.concatenate([c[n] for c in part]) for n in part[0]} for part in parts]
    return [Resampled({n: one[n] for n in classes}, {n: one[n] for n in pooled}) for one in joined]


def complete(values: Floats, seed: int) -> Floats:
    """Fill the resamples in which a class is undefined by other resamples of that class.

    A resample may lose all positives of a rare class. Leaving the class out of that resample's
    mean would change what the mean is over, and shift it to one side; leaving the resample out
    would keep none of them where classes are many and rare. So the class alone is drawn again: its
    value comes from a resample that defines it, the same one for every table.

    Args:
        values: `[T, S, K]`, tables by resamples by classes.
        seed: Seed of the redraws.

    Returns:
        `[T, S, K']`, all defined; classes that no resample defines are left out.
    """
    rng = np.random.default_rng([seed, 1])
    filled = values.copy()
    missing = np.asarray(np.isnan(values).any(axis=0))
    for k in np.flatnonzero(missing.any(axis=0)):
        holes, donors = np.flatnonzero(missing[:, k]), np.flatnonzero(~missing[:, k])
        if len(donors):
            filled[:, holes, k] = values[:, rng.choice(donors, len(holes)), k]
    return filled[:, :, np.flatnonzero(~missing.all(axis=0))]


def overall(task: Task, tables: Sequence[Resampled], metric: str, seed: int) -> Floats:
    """Give one metric of the whole task in every resample.

    Args:
        task: What is asked.
        tables: Resamples of one or more tables, drawn together.
        metric: Name of the metric; it must have been asked of `resample`.
        seed: Seed of the redraws of undefined classes (see `complete`).

    Returns:
        `[T, S]`; NaN only where nothing defines the metric.
    """
    if metric in pooled_metrics(task.kind):
        return np.stack([table.pooled[metric] for table in tables])
    source = averaged_metrics(task.kind)[metric]
    values = complete(np.stack([table.classes[source] for table in tables]), seed)
    if not values.shape[2]:
        return np.full(values.shape[:2], np.nan)
    return np.asarray(values.mean(axis=2))


class _Scorer:
    """Score one table under many weightings of its subjects."""

    def __init__(
        self, task: Task, scored: Scored, classes: Collection[str], pooled: Collection[str]
    ) -> None:
        self.kind = task.kind
        self.outputs = task.num_outputs
        self.classes = classes
        self.pooled = pooled
        self.finite = np.array(
            [np.isfinite(scored.probability[~np.isnan(scored.target[:, k]), k]).all()
             for k in range(task.num_outputs)]
        )  # fmt: skip
        self.rankings = (
            [Ranking(scored, k) for k in range(task.num_outputs)]
            if {"auroc", "auprc"} & set(classes)
            else []
        )
        columns = _regression_columns(scored) if self.kind == "regression" else _columns(scored)
        self.names = list(columns)
        n = len(scored.subjects)
        flat = np.concatenate([columns[name] for name in self.names], axis=1)
        self.sums = np.stack(
            [np.bincount(scored.subject, weights=column, minlength=n) for column in flat.T], axis=1
        )

    def score(self, counts: Floats) -> dict[str, Floats]:
        """Score the weightings `[s, subjects]`: `[s, K]` a class metric, `[s]` a pooled one."""
        totals = counts @ self.sums
        k, found, at = self.outputs, {}, 0
        for name in self.names:
            width = 1 if name in ("right", "whole") else k
            found[name] = totals[:, at : at + width]
            at += width
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.kind == "regression":
                scores = _regression_from_sums(found, self._reference())
            else:
                scores = _binary_from_sums(found)
            if self.rankings:
                both = [ranking.score(counts) for ranking in self.rankings]
                scores["auroc"] = np.stack([auroc for auroc, _ in both], axis=1)
                scores["auprc"] = np.stack([auprc for _, auprc in both], axis=1)
            pooled = _pooled_from_sums(found, scores) if self.pooled else {}
        classes = {n: np.where(self.finite, scores[n], np.nan) for n in self.classes}
        whole = bool(self.finite.all())
        kept = {
            n: pooled[_POOLED[n]] if whole else pooled[_POOLED[n]] * np.nan for n in self.pooled
        }
        return {**classes, **kept}

    def _reference(self) -> Floats:
        """Give the sums over all subjects once `[columns]`, against which rounding is judged."""
        return np.asarray(self.sums.sum(axis=0))


_POOLED = {
    "micro_f1": "micro_f1",
    "weighted_f1": "weighted_f1",
    "exact_match": "right",
    "accuracy": "right",
}


class Ranking:
    """Weighted AUROC and average precision of one class, ties as one step."""

    def __init__(self, scored: Scored, k: int) -> None:
        labelled = ~np.isnan(scored.target[:, k])
        score, target = scored.probability[labelled, k], scored.target[labelled, k]
        order = np.argsort(-score, kind="stable")
        ranked = score[order]
        self.subject = scored.subject[labelled][order]
        positive = np.flatnonzero(target[order] == 1)
        self.positive_subject = self.subject[positive]
        # Tie groups, of which only those that hold a positive are steps of either curve.
        starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else positive
        ends = np.r_[starts[1:], len(ranked)].astype(np.int64)
        group = np.searchsorted(starts, positive, side="right") - 1
        steps, first = np.unique(group, return_index=True)
        self.last = np.r_[first[1:], len(positive)].astype(np.int64) - 1
        # Weights are summed piece by piece between these steps, not record by record.
        edges = np.unique(np.concatenate([[0], starts[steps], ends[steps]]))
        self.start = np.searchsorted(edges, starts[steps])
        self.end = np.searchsorted(edges, ends[steps])
        self.pieces = edges[edges < len(ranked)]

    def score(self, counts: Floats) -> tuple[Floats, Floats]:
        """Score the weightings `[s, subjects]`: AUROC `[s]` and average precision `[s]`."""
        nothing = np.full(len(counts), np.nan)
        if not len(self.start):
            return nothing, nothing
        # Float32 holds counts exactly up to 2 ** 24 records, and is read twice as fast.
        small = counts.astype(np.float32 if len(self.subject) < EXACT else np.float64)
        pieces = np.add.reduceat(np.take(small, self.subject, axis=1), self.pieces, axis=1)
        seen = np.zeros((len(counts), len(self.pieces) + 1))
        np.cumsum(pieces, axis=1, out=seen[:, 1:])
        hits = np.cumsum(counts[:, self.positive_subject], axis=1)[:, self.last]
        gained = np.diff(hits, axis=1, prepend=0.0)
        positives, negatives = hits[:, -1], seen[:, -1] - hits[:, -1]
        above = seen[:, self.start] - (hits - gained)
        within = seen[:, self.end] - hits
        beaten = negatives[:, None] - 0.5 * (above + within)
        auroc = (gained * beaten).sum(axis=1) / (positives * negatives)
        precision = hits / np.maximum(seen[:, self.end], 1.0)
        auprc = (gained * precision).sum(axis=1) / positives
        return auroc, auprc


def _columns(scored: Scored) -> dict[str, Floats]:
    """Write the summands of the threshold metrics and the Brier score, each `[N, K]`."""
    present, absent = scored.target == 1, scored.target == 0
    said = scored.prediction == 1
    error = np.nan_to_num(scored.probability - scored.target) ** 2
    whole = np.asarray(~np.isnan(scored.target).any(axis=1))
    right = np.asarray(whole & (scored.prediction == scored.target).all(axis=1))
    columns = {"tp": present & said, "fp": absent & said, "fn": present & ~said}
    return {
        **{name: column.astype(np.float64) for name, column in columns.items()},
        "tn": (absent & ~said).astype(np.float64),
        "error": error,
        "right": right.astype(np.float64)[:, None],
        "whole": whole.astype(np.float64)[:, None],
    }


def _binary_from_sums(sums: dict[str, Floats]) -> dict[str, Floats]:
    """Compute class metrics `[s, K]` from weighted counts."""
    tp, fp, fn, tn = (sums[name] for name in ("tp", "fp", "fn", "tn"))
    positives, labelled = tp + fn, tp + fp + fn + tn
    f1 = np.where(positives > 0, 2 * tp / (2 * tp + fp + fn), np.nan)
    return {
        "f1": f1,
        "sensitivity": tp / positives,
        "specificity": tn / (tn + fp),
        "accuracy": (tp + tn) / labelled,
        "brier": sums["error"] / labelled,
    }


def _pooled_from_sums(sums: dict[str, Floats], scores: dict[str, Floats]) -> dict[str, Floats]:
    """Compute what is no mean over classes, each `[s]`."""
    tp, fp, fn = (sums[name].sum(axis=1) for name in ("tp", "fp", "fn"))
    positives = sums["tp"] + sums["fn"]
    weighted = np.nansum(scores["f1"] * positives, axis=1)
    return {
        "micro_f1": np.where(tp + fn > 0, 2 * tp / (2 * tp + fp + fn), np.nan),
        "weighted_f1": weighted / positives.sum(axis=1),
        "right": sums["right"][:, 0] / sums["whole"][:, 0],
    }


def _regression_columns(scored: Scored) -> dict[str, Floats]:
    """Write the summands of the regression metrics, each `[N, K]`, centred against rounding."""
    labelled = ~np.isnan(scored.target)
    count = np.maximum(labelled.sum(axis=0), 1)
    x = np.where(labelled, scored.probability, 0.0)
    y = np.where(labelled, scored.target, 0.0)
    error = np.nan_to_num(x - y)
    x = np.where(labelled, np.nan_to_num(x - x.sum(axis=0) / count), 0.0)
    y = np.where(labelled, y - y.sum(axis=0) / count, 0.0)
    return {
        "n": labelled.astype(np.float64),
        "absolute": np.abs(error),
        "squared": error**2,
        "x": x,
        "y": y,
        "xx": x * x,
        "yy": y * y,
        "xy": x * y,
    }


def _regression_from_sums(sums: dict[str, Floats], reference: Floats) -> dict[str, Floats]:
    """Compute class metrics `[s, K]` from weighted sums."""
    n = sums["n"]
    outputs = n.shape[1]
    # A resample of one value repeated has no variance, but for the rounding of its sums.
    least = 1e-9 * reference.reshape(-1, outputs)[-3:-1]
    vx = sums["xx"] - sums["x"] ** 2 / n
    vy = sums["yy"] - sums["y"] ** 2 / n
    vx = np.where(vx > least[0], vx, np.nan)
    vy = np.where(vy > least[1], vy, np.nan)
    return {
        "mae": sums["absolute"] / n,
        "rmse": np.sqrt(sums["squared"] / n),
        "r2": 1 - sums["squared"] / vy,
        "pearson": (sums["xy"] - sums["x"] * sums["y"] / n) / np.sqrt(vx * vy),
    }
