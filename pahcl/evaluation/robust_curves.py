"""Robust curves of several runs, scored on the same resamples of the same people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.evaluation.compare import (
    UNBOUNDED,
    Comparison,
    align,
    compare_draws,
    draw_metrics,
    over_seeds,
)
from pahcl.evaluation.intervals import Interval, percentile_interval
from pahcl.evaluation.metrics import evaluate
from pahcl.task import Task

Floats = npt.NDArray[np.float64]


def weights_of(sizes: Sequence[float], logarithmic: bool = True) -> Floats:
    """Give the weight of each point in the mean height of a curve, by the trapezoidal rule.

    Args:
        sizes: Ascending, the first one 0.
        logarithmic: Whether the axis is log(1 + size / first) with the first size above 0, which
            holds the clean point and gives each decade above the first size nearly equal room.
    """
    x = np.asarray(sizes, np.float64)
    if logarithmic:
        x = np.log1p(x / x[1])
    steps = np.diff(x) / (x[-1] - x[0])
    return np.asarray(np.append(steps / 2, 0.0) + np.insert(steps / 2, 0, 0.0))


@dataclass(frozen=True)
class Curves:
    """Hold the primary metric of R runs at P sizes, and its S resamples, the same for all.

    Args:
        metric: The primary metric.
        sizes: Ascending, the first one 0: the clean records.
        heights: `[R, P]`.
        drawn: `[R, P, S]`; NaN where people cannot be resampled.
        table: The records, as one run predicted them.
        seed: Of the draws.
        level: Nominal coverage of the intervals.
    """

    metric: str
    sizes: tuple[float, ...]
    heights: Floats
    drawn: Floats
    table: pd.DataFrame = field(repr=False)
    seed: int
    level: float

    def points(self, rows: Sequence[int]) -> list[Interval]:
        """Give the mean curve of some runs; several runs are resampled too (`over_seeds`)."""
        return [
            self._interval(self.heights[list(rows), p], self.drawn[list(rows), p])
            for p in range(len(self.sizes))
        ]

    def mean_height(self, rows: Sequence[int], logarithmic: bool = True) -> Interval:
        """Give the area under the mean curve of some runs over its width."""
        values, drawn = self._areas(rows, logarithmic)
        return self._interval(values, drawn)

    def difference(
        self, a: Sequence[int], b: Sequence[int], logarithmic: bool = True
    ) -> Comparison:
        """Compare the mean heights of two groups of runs, paired."""
        measured = self._areas([*a, *b], logarithmic)
        return compare_draws(
            self.metric, measured, len(a), self.table, seed=self.seed, level=self.level
        )

    def _areas(self, rows: Sequence[int], logarithmic: bool) -> tuple[Floats, Floats]:
        weights = weights_of(self.sizes, logarithmic)
        drawn = np.einsum("rps,p->rs", self.drawn[list(rows)], weights)
        return self.heights[list(rows)] @ weights, drawn

    def _interval(self, values: Floats, drawn: Floats) -> Interval:
        found = over_seeds(drawn, np.random.default_rng([self.seed, 2]))
        found = found if self.metric in UNBOUNDED else found.clip(0.0, 1.0)
        return percentile_interval(float(values.mean()), found, self.level)


def draw_curves(
    task: Task,
    runs: Sequence[Mapping[float, pd.DataFrame]],
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Curves:
    """Score the curves of runs, every point of them on the same records and resamples.

    Args:
        task: What was asked.
        runs: For each run its predictions by size, 0 for the clean records; the same sizes.
        samples: Number of resamples.
        seed: Of the draws.
        level: Nominal coverage of the intervals.

    Raises:
        UsageError: No common records, or records that differ in subject or target.
    """
    sizes, metric = tuple(sorted(runs[0])), task.primary_metric
    tables, _ = align(task, [run[size] for run in runs for size in sizes])
    heights = np.array([evaluate(task, table).macro[metric] for table in tables])
    drawn = draw_metrics(task, tables, {metric}, samples, seed)[metric]
    shape = len(runs), len(sizes)
    return Curves(
        metric, sizes, heights.reshape(shape), drawn.reshape(*shape, -1), tables[0], seed, level
    )
