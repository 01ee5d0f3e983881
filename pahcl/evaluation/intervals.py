"""Bootstrap intervals that resample subjects.

Records of one person are alike, so they are no independent evidence: whole subjects are drawn. The
intervals are percentile intervals (Efron 1979); how they are made is told in docs/evidence.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.errors import UsageError
from pahcl.evaluation.metrics import Metrics, evaluate
from pahcl.evaluation.predictions import Scored, as_arrays
from pahcl.evaluation.resampling import NOT_RESAMPLED, Resampled, overall, resample
from pahcl.task import Task

FEW_SUBJECTS = 10
"""Positive subjects below which a class's interval is said to be too narrow: with n of them a
resample sees only their own few scores, and percentile intervals fall short of their level."""

ROUNDING = 1e-6
"""Point values come in float32 from torchmetrics, resamples in float64."""


@dataclass(frozen=True)
class Interval:
    """Hold a value and its interval, NaN where it has none.

    Args:
        value: The value.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def read(cls, found: object) -> Interval:
        """Read what `metrics.json` holds: value, low and high, a bare number, or null."""
        if isinstance(found, Mapping):
            return Interval(*(_number(found.get(key)) for key in ("value", "low", "high")))
        return Interval(_number(found))

    @property
    def known(self) -> bool:
        """Say whether there is a value."""
        return not math.isnan(self.value)

    @property
    def has_ends(self) -> bool:
        """Say whether both ends are known."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    @property
    def width(self) -> float:
        """Give the distance between the ends."""
        return self.high - self.low


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


@dataclass(frozen=True)
class Bootstrap:
    """Hold the intervals of a predictions table.

    Args:
        metrics: Intervals of the whole task by metric.
        per_class: Intervals by class and metric.
        undefined_samples: For each class in how many resamples some metric, defined for the whole
            table, was not.
        notes: What to know about these intervals, in words.
        samples: Number of resamples.
        level: Nominal coverage.
        seed: Seed of the draws.
    """

    metrics: dict[str, Interval]
    per_class: dict[str, dict[str, Interval]]
    undefined_samples: dict[str, int]
    notes: tuple[str, ...]
    samples: int
    level: float
    seed: int


def check_bootstrap(samples: int, level: float) -> None:
    """Refuse a number of resamples or a level that mean nothing."""
    if samples < 1:
        raise UsageError(f"A bootstrap needs at least one resample, got {samples}.")
    if not 0 < level < 1:
        raise UsageError(f"The level of an interval lies between 0 and 1, got {level}.")


def percentile_interval(value: float, samples: npt.ArrayLike, level: float) -> Interval:
    """Take the percentiles of the defined resamples; the value itself is always inside.

    Where the percentiles leave the value out, as they do for a metric that resampling biases, the
    interval is widened up to it.
    """
    drawn = np.asarray(samples, np.float64)
    drawn = drawn[np.isfinite(drawn)]
    if np.isnan(value) or not len(drawn):
        return Interval(value)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, min(float(low), value), max(float(high), value))


def bootstrap_intervals(
    task: Task,
    predictions: pd.DataFrame,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    metrics: Metrics | None = None,
) -> Bootstrap:
    """Give every metric of a predictions table its interval.

    Args:
        task: What is asked.
        predictions: Table of `predictions_table`.
        samples: Number of resamples of the subjects.
        seed: Seed of the draws.
        level: Nominal coverage.
        metrics: `evaluate(task, predictions)`, if it is at hand.

    Returns:
        Intervals around exactly the values of `evaluate`. The calibration error, and everything
        where there are fewer than two subjects, has no interval (NaN).

    Raises:
        UsageError: The table is not of this task, or the settings mean nothing.
    """
    check_bootstrap(samples, level)
    points = evaluate(task, predictions) if metrics is None else metrics
    scored = as_arrays(task, predictions)
    if len(scored.subjects) < 2:
        return _without_intervals(points, samples, level, seed)
    drawn = resample(task, [scored], samples, seed)[0]
    whole = {}
    notes = []
    for name, value in points.macro.items():
        if name.removeprefix("macro_") in NOT_RESAMPLED:
            whole[name] = Interval(value)
            continue
        values = overall(task, [drawn], name, seed)[0]
        whole[name] = percentile_interval(value, values, level)
        if widened(whole[name], values, level):
            notes.append(
                f"{name}: the percentiles of the resamples left the value out; the interval was "
                "widened up to it (too few subjects in some class)"
            )
    per_class, undefined = _class_intervals(task, points, drawn, level)
    return Bootstrap(
        metrics=whole,
        per_class=per_class,
        undefined_samples=undefined,
        notes=(*notes, *_rare(task, scored, undefined, samples)),
        samples=samples,
        level=level,
        seed=seed,
    )


def subject_bootstrap(
    task: Task,
    predictions: pd.DataFrame,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Give the metrics of the whole task with intervals (see `bootstrap_intervals`)."""
    return bootstrap_intervals(task, predictions, samples, seed, level).metrics


def _class_intervals(
    task: Task, points: Metrics, drawn: Resampled, level: float
) -> tuple[dict[str, dict[str, Interval]], dict[str, int]]:
    """Give each class its intervals, and count the resamples that do not define it."""
    intervals: dict[str, dict[str, Interval]] = {}
    undefined = {}
    for k, name in enumerate(task.classes):
        values = {metric: column[:, k] for metric, column in drawn.classes.items()}
        intervals[name] = {
            metric: percentile_interval(points.per_class[name][metric], column, level)
            for metric, column in values.items()
        }
        defined = [c for m, c in values.items() if not np.isnan(points.per_class[name][m])]
        undefined[name] = int(np.isnan(np.stack(defined)).any(axis=0).sum()) if defined else 0
    return intervals, undefined


def widened(interval: Interval, samples: npt.NDArray[np.float64], level: float) -> bool:
    """Say whether the value lies beyond the percentiles by more than rounding."""
    finite = samples[np.isfinite(samples)]
    if np.isnan(interval.value) or not len(finite):
        return False
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    slack = ROUNDING * max(1.0, abs(interval.value))
    return bool(interval.value < low - slack or interval.value > high + slack)


def _rare(task: Task, scored: Scored, undefined: dict[str, int], samples: int) -> tuple[str, ...]:
    """Name the classes whose intervals rest on very few subjects."""
    if task.kind == "regression":
        return ()
    few, lost = [], []
    for k, name in enumerate(task.classes):
        positive = len(np.unique(scored.subject[scored.target[:, k] == 1]))
        if 0 < positive < FEW_SUBJECTS:
            few.append(f"{name} ({positive})")
        if undefined[name]:
            lost.append(f"{name} ({undefined[name]} of {samples})")
    notes = []
    if few:
        notes.append(
            f"fewer than {FEW_SUBJECTS} positive subjects, so the interval is narrower than the "
            f"doubt: {', '.join(few)}"
        )
    if lost:
        notes.append(f"resamples that lost the class, drawn again for it: {', '.join(lost)}")
    return tuple(notes)


def _without_intervals(points: Metrics, samples: int, level: float, seed: int) -> Bootstrap:
    return Bootstrap(
        metrics={name: Interval(value) for name, value in points.macro.items()},
        per_class={name: {} for name in points.per_class},
        undefined_samples=dict.fromkeys(points.per_class, 0),
        notes=(f"no intervals: {points.n_subjects} subject(s), of which at least 2 are needed",),
        samples=samples,
        level=level,
        seed=seed,
    )
