"""Add up how well heart cycles were found in many recordings, with intervals over subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.evaluation.calibration import reliability_curve
from pahcl.evaluation.heart_cycles import BOUNDARIES, SOUNDS, RecordingScore, key
from pahcl.evaluation.intervals import Interval, check_bootstrap, percentile_interval
from pahcl.evaluation.official.base import ratio
from pahcl.evaluation.predictions import as_arrays, predictions_table
from pahcl.evaluation.resampling import Ranking, subject_counts
from pahcl.files import plain
from pahcl.task import Task

Floats = npt.NDArray[np.float64]

CYCLE = Task("whole_beat", "binary", ("whole_beat",), ("whole_beat",), "auroc")
"""The question that a cycle's confidence answers."""


@dataclass(frozen=True, eq=False)
class PooledScore:
    """Hold the score of a set of recordings.

    Args:
        metrics: For each tolerance `f1_60`, `sensitivity_60`, `precision_60` of first and second
            sounds together, and `S1_f1_60`, `S2_f1_60` of each; `whole_beats`, share of the
            counted cycles; `beats_found`, share of the annotated beats; `rate_error`, mean error
            of the median heart rate in beats a minute where there was an answer, `rate_close`,
            share within 5 a minute of all recordings; `confidence_auroc`, of whole beats against
            other cycles; `quiet_answered` and `false_beats` (a minute) of recordings without a
            heart. Not defined: NaN.
        boundaries: For each boundary that was compared `median` (of the signed error), `absolute`
            (median of the size), `p95` (95 % of the sizes are smaller), in ms, and `n`.
        reliability: Rows of confidence against the share of whole beats, as `reliability_curve`
            gives them.
        counts: Sums of the recordings' counts, and `subjects`.
        samples: Number of resamples.
        level: Nominal coverage of the intervals.
        seed: Seed of the draws.
    """

    metrics: dict[str, Interval]
    boundaries: dict[str, dict[str, float]]
    reliability: list[dict[str, float]]
    counts: dict[str, float]
    samples: int
    level: float
    seed: int

    def __getitem__(self, metric: str) -> float:
        """Give the value of one metric."""
        return self.metrics[metric].value

    def facts(self) -> dict[str, Any]:
        """Lay everything out in plain types, NaN as null."""
        facts = {
            "metrics": {name: vars(value) for name, value in self.metrics.items()},
            "boundaries_ms": self.boundaries,
            "reliability": self.reliability,
            "counts": self.counts,
        }
        return dict(plain(facts, finite=True))


def pool(
    scores: Sequence[RecordingScore],
    subjects: Sequence[str] | None = None,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> PooledScore:
    """Score a set of recordings.

    Every sound, cycle and heart rate counts the same, whichever recording it is of; intervals draw
    whole subjects.

    Args:
        scores: One a recording, all of the same tolerances.
        subjects: The subject of each; None takes each recording for one of its own.
        samples: Number of resamples of the subjects; 0 leaves the intervals out.
        seed: Seed of the draws.
        level: Nominal coverage.
    """
    check_bootstrap(max(samples, 1), level)
    names = [str(k) for k in range(len(scores))] if subjects is None else list(map(str, subjects))
    codes, known = pd.factorize(np.asarray(names, dtype=object), sort=True)
    table = pd.DataFrame([dict(one.counts) for one in scores]).fillna(0.0)
    columns = [str(name) for name in table.columns]
    sums = np.asarray(table.groupby(np.asarray(codes)).sum(), dtype=np.float64)
    tolerances = scores[0].tolerances if scores else ()
    ranking, reliability = _confidence(scores, codes, known.tolist())
    weights = np.ones((1, len(known)))
    drawn = _metrics(weights, sums, columns, tolerances, ranking)
    values = {name: float(found[0]) for name, found in drawn.items()}
    metrics = {name: Interval(value) for name, value in values.items()}
    if samples and len(known) > 1:
        rows = max(1, (1 << 20) // len(known))
        parts = [
            _metrics(counts, sums, columns, tolerances, ranking)
            for counts in subject_counts(len(known), samples, seed, rows)
        ]
        for name, value in values.items():
            resampled = np.concatenate([part[name] for part in parts])
            metrics[name] = percentile_interval(value, resampled, level)
    total = dict(zip(columns, sums.sum(axis=0).tolist(), strict=False))
    return PooledScore(
        metrics=metrics,
        boundaries=_boundaries(scores),
        reliability=reliability,
        counts={**total, "subjects": len(known)},
        samples=samples,
        level=level,
        seed=seed,
    )


def _metrics(
    weights: Floats,
    sums: Floats,
    columns: Sequence[str],
    tolerances: Sequence[float],
    ranking: Ranking | None,
) -> dict[str, Floats]:
    """Compute the metrics `[S]` under weightings of the subjects `[S, subjects]`."""
    totals = weights @ sums
    none = np.zeros(len(weights))
    found = {name: totals[:, k] for k, name in enumerate(columns) if k < totals.shape[1]}

    def total(name: str) -> Floats:
        return found.get(name, none)

    metrics: dict[str, Floats] = {}
    for tolerance in tolerances:
        by_kind = {
            name: [total(key(f"{name}_{what}", tolerance)) for what in ("right", "false", "missed")]
            for name in SOUNDS
        }
        both = [sum(part, start=none) for part in zip(*by_kind.values(), strict=True)]
        right, false, missed = both
        metrics[key("f1", tolerance)] = _f1(right, false, missed)
        metrics[key("sensitivity", tolerance)] = ratio(right, right + missed)
        metrics[key("precision", tolerance)] = ratio(right, right + false)
        for name, (one, two, three) in by_kind.items():
            metrics[key(f"{name}_f1", tolerance)] = _f1(one, two, three)
    metrics["whole_beats"] = ratio(total("cycles_right"), total("cycles"))
    metrics["beats_found"] = ratio(total("beats_found"), total("beats"))
    metrics["rate_error"] = ratio(total("rate_error"), total("rate_found"))
    metrics["rate_close"] = ratio(total("rate_close"), total("rated"))
    with np.errstate(divide="ignore", invalid="ignore"):
        metrics["confidence_auroc"] = (
            np.full(len(weights), np.nan) if ranking is None else ranking.score(weights)[0]
        )
    metrics["quiet_answered"] = ratio(total("quiet_answered"), total("quiet"))
    metrics["false_beats"] = ratio(60 * total("false_beats"), total("quiet_seconds"))
    return metrics


def _f1(right: Floats, false: Floats, missed: Floats) -> Floats:
    """Give F1; 0 where nothing of what is there was found, NaN where nothing was there."""
    there = np.where(right + missed > 0, 2 * right + false + missed, 0)
    return ratio(2 * right, there)


def _confidence(
    scores: Sequence[RecordingScore], codes: npt.NDArray[np.int64], known: Sequence[str]
) -> tuple[Ranking | None, list[dict[str, float]]]:
    """Lay out the cycles for ranking by confidence, and compare it with the share of beats."""
    counts = [len(one.right) for one in scores]
    if not sum(counts):
        return None, []
    owner = np.repeat(np.asarray(codes), counts)
    # Single precision may leave a mean of ones a little above 1.
    confidence = np.clip(np.concatenate([one.confidence for one in scores]), 0, 1)
    right = np.concatenate([one.right for one in scores]).astype(np.float32)
    names = [known[place] for place in owner.tolist()]
    table = predictions_table(CYCLE, [str(k) for k in range(len(names))], names, right, confidence)
    curve = reliability_curve(CYCLE, table, bins=10).drop(columns="class")
    scored = as_arrays(CYCLE, table)
    # Subjects without a cycle have a weight as well.
    ranking = Ranking(replace(scored, subject=owner), 0)
    return ranking, [
        {str(name): float(value) for name, value in row.items()} for row in curve.to_dict("records")
    ]


def _boundaries(scores: Sequence[RecordingScore]) -> dict[str, dict[str, float]]:
    found = {}
    for name in BOUNDARIES:
        errors = [one.errors[name] for one in scores if name in one.errors]
        all_errors = 1000 * np.concatenate(errors) if errors else np.zeros(0)
        if len(all_errors):
            size = np.abs(all_errors)
            found[name] = {
                "median": float(np.median(all_errors)),
                "absolute": float(np.median(size)),
                "p95": float(np.quantile(size, 0.95)),
                "n": len(size),
            }
    return found


def by_group(
    scores: Sequence[RecordingScore],
    groups: Sequence[str],
    subjects: Sequence[str] | None = None,
    **settings: Any,
) -> Mapping[str, PooledScore]:
    """Score each group of recordings for itself, in the order of their names.

    Args:
        scores: One a recording.
        groups: The group of each.
        subjects: As for `pool`.
        settings: As for `pool`.
    """
    found = {}
    for name in sorted(set(groups)):
        mine = [k for k, group in enumerate(groups) if group == name]
        found[name] = pool(
            [scores[k] for k in mine],
            None if subjects is None else [subjects[k] for k in mine],
            **settings,
        )
    return found
