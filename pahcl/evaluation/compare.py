"""Paired comparison of runs: the same records, the same resamples of their subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.errors import UsageError
from pahcl.evaluation.intervals import Interval, check_bootstrap, percentile_interval
from pahcl.evaluation.metric_names import metric_names
from pahcl.evaluation.metrics import evaluate
from pahcl.evaluation.predictions import as_arrays, columns_of
from pahcl.evaluation.resampling import NOT_RESAMPLED, overall, resample
from pahcl.task import Task

UNBOUNDED = frozenset({"mae", "rmse", "r2", "pearson"})
"""Metrics that do not lie in 0..1."""

Tables = pd.DataFrame | Sequence[pd.DataFrame]


@dataclass(frozen=True)
class Comparison:
    """Say how much two runs, or two groups of runs over seeds, differ.

    Args:
        metric: What was compared.
        value_a: Mean over the runs of a, on the records that all have.
        value_b: The same of b.
        difference: `value_a - value_b`.
        low: Lower end of the interval of the difference.
        high: Upper end.
        p_value: Two-sided bootstrap p-value of no difference; at least 2 / (samples + 1).
        n_subjects: Subjects behind the records compared.
        n_records: Records compared.
        runs_a: Number of runs of a.
        runs_b: Number of runs of b.
        left_out: Records that some table has and another lacks.
        sources: What the interval covers: `subjects` or `subjects and seeds`.
    """

    metric: str
    value_a: float
    value_b: float
    difference: float
    low: float
    high: float
    p_value: float
    n_subjects: int
    n_records: int
    runs_a: int
    runs_b: int
    left_out: int
    sources: str

    @property
    def interval(self) -> Interval:
        """Give the difference with its ends."""
        return Interval(self.difference, self.low, self.high)


def paired_comparison(
    task: Task,
    a: Tables,
    b: Tables,
    metric: str | None = None,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Compare two predictions tables, or two groups of them over seeds, record by record.

    Both sides are scored on the same resamples of the subjects. A side of several runs is the mean
    over them; its runs are resampled too, each side by itself, so that the interval covers
    training again with other seeds.

    Args:
        task: What is asked.
        a: One table, or one a seed.
        b: The same of the other side.
        metric: Metric of the whole task; None is the task's primary metric.
        samples: Number of resamples.
        seed: Seed of the draws.
        level: Nominal coverage.

    Raises:
        UsageError: No common records, targets that differ, or a metric that is not resampled.
    """
    check_bootstrap(samples, level)
    name = check_metric(task, metric)
    sides = [[side] if isinstance(side, pd.DataFrame) else list(side) for side in (a, b)]
    if not all(sides):
        raise UsageError("A comparison needs at least one predictions table on either side.")
    count = len(sides[0])
    tables, left_out = align(task, [*sides[0], *sides[1]])
    values = [evaluate(task, table).macro[name] for table in tables]
    drawn = draw_metrics(task, tables, {name}, samples, seed)[name]
    return compare_draws(name, (values, drawn), count, tables[0], left_out, seed, level)


def compare_draws(
    metric: str,
    measured: tuple[Sequence[float] | npt.NDArray[np.float64], npt.NDArray[np.float64]],
    count: int,
    table: pd.DataFrame,
    left_out: int = 0,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Compare what was measured of runs on the same resamples.

    Args:
        metric: What was measured.
        measured: The values `[T]` of the runs of a, then of b, and their resamples `[T, S]`.
        count: Number of runs of a.
        table: The records, as one run predicted them.
        left_out: Records that some run has and another lacks.
        seed: Seed of the draws of runs.
        level: Nominal coverage.
    """
    values, drawn = measured
    value_a, value_b = float(np.mean(values[:count])), float(np.mean(values[count:]))
    rng = np.random.default_rng([seed, 2])
    gaps = over_seeds(drawn[:count], rng) - over_seeds(drawn[count:], rng)
    interval = percentile_interval(value_a - value_b, gaps, level)
    runs_b = len(drawn) - count
    return Comparison(
        metric=metric,
        value_a=value_a,
        value_b=value_b,
        difference=interval.value,
        low=interval.low,
        high=interval.high,
        p_value=two_sided_p(gaps) if np.isfinite(interval.value) else float("nan"),
        n_subjects=table["subject_id"].nunique(),
        n_records=len(table),
        runs_a=count,
        runs_b=runs_b,
        left_out=left_out,
        sources=sources(max(count, runs_b)),
    )


@dataclass(frozen=True)
class GroupValue(Interval):
    """Hold a metric of a group of runs that differ in their seed.

    Args:
        value: Mean over the runs.
        low: Lower end of the interval over subjects, and over seeds where there are several runs.
        high: Upper end.
        runs: The value of each run.
    """

    runs: tuple[float, ...] = ()


def group_values(
    task: Task,
    tables: Sequence[pd.DataFrame],
    metrics: Sequence[str],
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, GroupValue]:
    """Give the means over runs that differ in their seed, with intervals.

    Args:
        task: What is asked.
        tables: One predictions table a run, on the same records.
        metrics: Metrics of the whole task.
        samples: Number of resamples, of the subjects and of the runs.
        seed: Seed of the draws.
        level: Nominal coverage.

    Raises:
        UsageError: No common records, targets that differ, or another task's metric.
    """
    check_bootstrap(samples, level)
    known = metric_names(task.kind)
    for name in metrics:
        if name not in known:
            raise UsageError(
                f"Task `{task.name}` has no metric `{name}`; it has {', '.join(known)}."
            )
    common, _ = align(task, tables)
    points = [evaluate(task, table).macro for table in common]
    drawn = draw_metrics(task, common, set(metrics), samples, seed)
    found = {}
    for name in metrics:
        runs = tuple(point[name] for point in points)
        value = float(np.mean(runs))
        interval = Interval(value)
        if name in drawn:
            means = over_seeds(drawn[name], np.random.default_rng([seed, 2]))
            means = means if name in UNBOUNDED else means.clip(0.0, 1.0)
            interval = percentile_interval(value, means, level)
        found[name] = GroupValue(value, interval.low, interval.high, runs)
    return found


def sources(runs: int) -> str:
    """Say in words what an interval over so many runs covers."""
    return "subjects and seeds" if runs > 1 else "subjects"


def check_metric(task: Task, metric: str | None) -> str:
    """Name the metric that is compared, the primary one if none is given."""
    name = metric or task.primary_metric
    known = [m for m in metric_names(task.kind) if m.removeprefix("macro_") not in NOT_RESAMPLED]
    if name not in known:
        raise UsageError(
            f"Runs of `{task.name}` cannot be compared by `{name}`; use one of {', '.join(known)}."
        )
    return name


def align(task: Task, tables: Sequence[pd.DataFrame]) -> tuple[list[pd.DataFrame], int]:
    """Bring tables to the records that all of them have, in one order.

    Returns:
        The tables, and how many records some of them have and others lack.

    Raises:
        UsageError: No common records, a record twice, or records that differ in subject or target.
    """
    by_record = []
    for table in tables:
        twice = table["record_id"].duplicated()
        if twice.any():
            raise UsageError(
                f"Record {table['record_id'][twice].iloc[0]!r} is twice in a predictions table; "
                "runs are compared record by record."
            )
        by_record.append(table.set_index("record_id").sort_index())
    common = by_record[0].index
    every = common
    for table in by_record[1:]:
        common, every = common.intersection(table.index), every.union(table.index)
    if not len(common):
        raise UsageError("The runs have no test record in common, so they cannot be compared.")
    shared = [table.loc[common] for table in by_record]
    facts = ["subject_id", *columns_of(task, "target")]
    for table in shared:
        missing = [column for column in facts if column not in table.columns]
        if missing:
            raise UsageError(f"A predictions table lacks {missing[:4]}: it is of another task.")
        if not table[facts].equals(shared[0][facts]):
            raise UsageError(
                "The runs have different subjects or labels for the same records; compare runs "
                "that were tested on the same data with the same task."
            )
    return [table.reset_index() for table in shared], len(every) - len(common)


def over_seeds(
    values: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Average `[T, S]` over runs; where there are several, draw the runs of each resample too.

    The mean of T draws out of T varies by (T - 1) / T too little for the mean of T new runs, so
    its deviation is scaled by the root of T / (T - 1) (Davison and Hinkley 1997).
    """
    runs, samples = values.shape
    centre = values.mean(axis=0)
    if runs == 1:
        return np.asarray(centre)
    picked = rng.integers(runs, size=(runs, samples))
    drawn = np.take_along_axis(values, picked, axis=0).mean(axis=0)
    return np.asarray(centre + (drawn - centre) * np.sqrt(runs / (runs - 1)))


def two_sided_p(gaps: npt.NDArray[np.float64]) -> float:
    """Give the two-sided bootstrap p-value of a difference of zero.

    Twice the smaller share of resamples on either side of zero, the observation counted in
    (Davison and Hinkley 1997), so it is never 0.
    """
    drawn = gaps[np.isfinite(gaps)]
    if not len(drawn):
        return float("nan")
    fewer = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2.0 * (fewer + 1) / (len(drawn) + 1))


def draw_metrics(
    task: Task, tables: Sequence[pd.DataFrame], metrics: set[str], samples: int, seed: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Score aligned tables on the same resamples: `[T, S]` for each metric that is resampled."""
    scored = [as_arrays(task, table) for table in tables]
    wanted = {name for name in metrics if name.removeprefix("macro_") not in NOT_RESAMPLED}
    if len(scored[0].subjects) < 2:
        return {name: np.full((len(scored), samples), np.nan) for name in wanted}
    drawn = resample(task, scored, samples, seed, wanted)
    return {name: overall(task, drawn, name, seed) for name in wanted}
