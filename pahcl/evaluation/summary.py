"""A table over runs: groups that differ only in their seed, and what sets groups apart."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pahcl.errors import PahclError, UsageError
from pahcl.evaluation.compare import Comparison, check_metric, paired_comparison
from pahcl.evaluation.evidence import verify_evidence
from pahcl.evaluation.groups import Group, TestedRun, find_group, group_runs
from pahcl.evaluation.metric_names import metric_names
from pahcl.evaluation.receipt import NO_EVIDENCE
from pahcl.evaluation.run import RunFolder
from pahcl.evaluation.settings import SCRATCH
from pahcl.task import Kind, Task

DEFAULT_METRICS: Mapping[Kind, tuple[str, ...]] = {
    "binary": ("auroc", "auprc", "f1"),
    "multilabel": ("macro_auroc", "macro_auprc", "macro_f1"),
    "multiclass": ("macro_auroc", "macro_f1", "accuracy"),
    "regression": ("mae", "r2"),
}


@dataclass(frozen=True)
class Summary:
    """Hold a table over runs.

    Args:
        groups: One row each.
        comparisons: Names of two groups, and how they differ.
        unfinished: Runs without evidence, with the reason.
        notes: What to know, in words.
        metrics: Columns of the table.
        samples: Number of resamples.
        level: Nominal coverage of the intervals.
        seed: Seed of the resamples.
    """

    groups: tuple[Group, ...]
    comparisons: tuple[tuple[str, str, Comparison], ...]
    unfinished: tuple[tuple[RunFolder, str], ...]
    notes: tuple[str, ...]
    metrics: tuple[str, ...]
    samples: int
    level: float
    seed: int


def summarize(
    runs: Sequence[RunFolder],
    metrics: Sequence[str] | None = None,
    group_by: Sequence[str] = (),
    compare: Sequence[str] | None = None,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    starts: Mapping[Path, str] | None = None,
    against: Sequence[str] = (SCRATCH,),
    lead: str | None = None,
) -> Summary:
    """Group runs, score the groups and compare them.

    Args:
        runs: Run folders; those without whole evidence are listed, not dropped.
        metrics: Metrics of the whole task; None is the primary one and the task kind's usual ones.
        group_by: Config keys (`data.init_args.fraction`) or `experiment` that tell groups apart;
            nothing means every key but the seeds.
        compare: Two groups by name, or by a run in them; None compares, within the same data, task
            and fraction, every group with those of `against`, or each with each.
        samples: Number of resamples.
        seed: Seed of the resamples.
        level: Nominal coverage of the intervals.
        starts: Names for the starts of runs, by their folders; runs of two names are two groups.
        against: Initialisations with which the other groups are compared, in this order.
        lead: Metric to lead tables and comparisons in place of the task's primary one.

    Raises:
        UsageError: An unknown metric or group, or runs of one group with different test records.
    """
    tested, unfinished = _load(runs, starts or {}, lead)
    wanted = _choose_metrics(tested, metrics)
    settings = (samples, seed, level)
    groups = group_runs(tested, wanted, group_by, settings)
    comparisons, notes = _compare(groups, compare, metrics, settings, against)
    told = (*_simulated(groups), *notes)
    return Summary(groups, comparisons, unfinished, told, wanted, samples, level, seed)


def _simulated(groups: Sequence[Group]) -> Iterator[str]:
    """Warn of groups whose recordings are simulated."""
    found = [group.name for group in groups if group.simulated]
    if found and len(found) == len(groups):
        yield NO_EVIDENCE
    elif found:
        yield (
            f"The recordings of {', '.join(found)} are simulated: they are no evidence about "
            "patients, and not to be set beside rows of real recordings."
        )


def _load(
    runs: Sequence[RunFolder], starts: Mapping[Path, str], lead: str | None
) -> tuple[list[TestedRun], tuple[tuple[RunFolder, str], ...]]:
    """Read the evidence of runs; what cannot be read gets a reason."""
    tested, unfinished = [], []
    for folder in runs:
        try:
            missing = [
                path.name
                for path in (folder.metrics, folder.predictions, folder.receipt)
                if not path.is_file()
            ]
            problems = [f"no {', '.join(missing)}"] if missing else verify_evidence(folder)
            if problems:
                unfinished.append((folder, "; ".join(problems)))
                continue
            tested.append(
                TestedRun(
                    folder,
                    folder.load_config(),
                    _led(folder.load_task(), lead),
                    folder.load_predictions(),
                    folder.load_receipt(),
                    starts.get(folder.path, ""),
                )
            )
        except PahclError as error:
            unfinished.append((folder, str(error)))
    return tested, tuple(unfinished)


def _led(task: Task, metric: str | None) -> Task:
    """Give a task with another primary metric; a task of another kind keeps its own."""
    known = metric is not None and metric in metric_names(task.kind)
    return replace(task, primary_metric=check_metric(task, metric)) if known else task


def _choose_metrics(runs: Sequence[TestedRun], metrics: Sequence[str] | None) -> tuple[str, ...]:
    """Name the columns: what was asked for, if any task has it, or each task's usual ones."""
    if metrics is None:
        usual = [[run.task.primary_metric, *DEFAULT_METRICS[run.task.kind]] for run in runs]
        return tuple(dict.fromkeys(itertools.chain.from_iterable(usual)))
    known = dict.fromkeys(name for run in runs for name in metric_names(run.task.kind))
    for name in metrics if runs else ():
        if name not in known:
            raise UsageError(f"No run has a metric `{name}`; there are: {', '.join(known)}.")
    return tuple(metrics)


Compared = tuple[tuple[str, str, Comparison], ...]


def _compare(
    groups: Sequence[Group],
    asked: Sequence[str] | None,
    metrics: Sequence[str] | None,
    settings: tuple[int, int, float],
    against: Sequence[str],
) -> tuple[Compared, list[str]]:
    """Compare the pairs that were asked for, or all that answer the same question.

    What was asked for is compared whole; a pair that nobody named, over the seeds that both have.
    """
    if asked is None:
        pairs, notes = _pairs(groups, against)
    elif len(asked) == 2:
        a, b = (find_group(groups, name) for name in asked)
        pairs, notes = [(a, b)], []
        if other := a.differences(b):
            notes.append(f"{a.name} and {b.name} differ in {', '.join(other)}.")
    else:
        raise UsageError(f"Two groups are compared, got {len(asked)}.")
    done = []
    for a, b in pairs:
        if a is b or a.task != b.task:
            raise UsageError(
                f"`{a.name}` and `{b.name}` cannot be compared: choose two groups of one task."
            )
        known = metric_names(a.task.kind)
        metric = next((name for name in metrics or () if name in known), a.task.primary_metric)
        tables = [a.tables, b.tables]
        if asked is None and a.seeds != b.seeds:
            tables = [group.tables_of(a.seeds & b.seeds) for group in (a, b)]
            notes.append(_about_seeds(a, b))
        if not all(tables):
            continue
        try:
            found = paired_comparison(a.task, tables[0], tables[1], metric, *settings)
        except UsageError as error:
            if asked is not None:
                raise
            notes.append(f"{a.name} and {b.name} were not compared: {error}")
            continue
        done.append((a.name, b.name, found))
    return tuple(done), notes


def _about_seeds(a: Group, b: Group) -> str:
    shared = sorted(str(seed) for seed in a.seeds & b.seeds)
    if shared:
        return f"{a.name} and {b.name} were compared over the seeds of both: {', '.join(shared)}."
    return f"{a.name} and {b.name} were not compared: they have no seed in common."


def _pairs(
    groups: Sequence[Group], against: Sequence[str]
) -> tuple[list[tuple[Group, Group]], list[str]]:
    """Pair the groups that answer the same question: each with some starts, or each with each.

    Returns:
        The pairs, and which groups of the same data, task and fraction could not be paired.
    """
    cells: list[list[Group]] = []
    for group in groups:
        cell = next((cell for cell in cells if not cell[0].differences(group)), None)
        if cell is None:
            cells.append([group])
        else:
            cell.append(group)
    pairs = []
    for cell in cells:
        named = [[group for group in cell if group.initialisation == name] for name in against]
        bases = [found[0] for found in named if len(found) == 1]
        for i, base in enumerate(bases):
            done = bases[: i + 1]
            pairs += [(group, base) for group in cell if all(group is not one for one in done)]
        if not bases:
            pairs += list(itertools.combinations(cell, 2))
    notes = []
    for one, other in itertools.combinations(cells, 2):
        found = one[0].differences(other[0])
        if not {"data", "task", "fraction"} & set(found):
            mine, theirs = (", ".join(group.name for group in cell) for cell in (one, other))
            notes.append(f"Not compared: {mine} with {theirs}; they differ in {', '.join(found)}.")
    return pairs, notes
