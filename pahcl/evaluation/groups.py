"""Groups of tested runs that differ in their seed alone."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pahcl.errors import UsageError
from pahcl.evaluation.compare import GroupValue, align, group_values, sources
from pahcl.evaluation.metric_names import metric_names
from pahcl.evaluation.receipt import is_simulated
from pahcl.evaluation.run import RunFolder, lookup
from pahcl.evaluation.settings import Configured, dotted_keys, without_seed
from pahcl.task import Task


@dataclass(frozen=True)
class TestedRun(Configured):
    """Hold a run whose evidence is whole."""

    folder: RunFolder
    config: dict[str, Any] = field(repr=False)
    task: Task
    predictions: pd.DataFrame = field(repr=False)
    receipt: dict[str, Any] = field(repr=False)
    start: str = ""

    @property
    def simulated(self) -> bool:
        """Say whether the recordings were simulated."""
        return is_simulated(self.receipt)

    @property
    def subjects(self) -> frozenset[str]:
        """Give the subjects that were tested."""
        return frozenset(self.predictions["subject_id"])


@dataclass(frozen=True)
class Group(Configured):
    """Hold runs that differ only in their seed.

    Facts of the config are those of the first run, which the others share unless they were grouped
    by keys of one's own choice.

    Args:
        name: Unique name, from the folders of the runs.
        runs: The runs, by path.
        n_records: Test records that all runs have.
        n_subjects: Subjects behind them.
        values: The metrics: mean over the runs, interval, and each run's value.
    """

    name: str
    runs: tuple[TestedRun, ...]
    n_records: int
    n_subjects: int
    values: dict[str, GroupValue]

    @property
    def config(self) -> dict[str, Any]:  # type: ignore[override]  # read, never set
        """Give the config of the first run."""
        return self.runs[0].config

    @property
    def task(self) -> Task:
        """Say what was asked."""
        return self.runs[0].task

    @property
    def simulated(self) -> bool:
        """Say whether the recordings were simulated."""
        return self.runs[0].simulated

    @property
    def data(self) -> str:
        """Name the data set, and say whether it was simulated."""
        return f"{self.dataset} (simulated)".strip() if self.simulated else self.dataset

    @property
    def initialisation(self) -> str:
        """Name the start of all runs; of checkpoints that differ in their seed, what they share."""
        found = list(dict.fromkeys(run.initialisation for run in self.runs))
        starts = {lookup(run.receipt, "pretrained.recipe") for run in self.runs}
        shared = _shared(found) if len(starts) == 1 and starts != {None} else ""
        return shared if shared and not shared.endswith("/") else ", ".join(found)

    @property
    def strategy(self) -> str:
        """Name how the weights of all runs were learned."""
        return ", ".join(dict.fromkeys(run.strategy for run in self.runs))

    @property
    def seeds(self) -> frozenset[int | None]:
        """Give the seeds of the runs."""
        return frozenset(run.seed for run in self.runs)

    @property
    def tables(self) -> list[pd.DataFrame]:
        """Give the predictions of every run."""
        return [run.predictions for run in self.runs]

    @property
    def subjects(self) -> frozenset[str]:
        """Give the subjects that all runs were tested on."""
        return frozenset.intersection(*(run.subjects for run in self.runs))

    def tables_of(self, seeds: Collection[int | None]) -> list[pd.DataFrame]:
        """Give the predictions of the runs that have one of these seeds."""
        return [run.predictions for run in self.runs if run.seed in seeds]

    def differences(self, other: Group) -> list[str]:
        """Name what keeps another group from answering the same question on the same people."""
        mine, theirs = (
            {
                "data": group.data,
                "task": group.task,
                "fraction": group.fraction,
                "fraction_of": group.fraction_of,
                "shots": group.shots,
                "fold": group.fold,
                "split_seed": group.split_seed,
                "test subjects": group.subjects,
            }
            for group in (self, other)
        )
        return [name for name, value in mine.items() if value != theirs[name]]

    @property
    def covers(self) -> str:
        """Say what the intervals cover."""
        return sources(len(self.runs))


def group_runs(
    runs: Sequence[TestedRun],
    metrics: Sequence[str],
    group_by: Sequence[str],
    settings: tuple[int, int, float],
) -> tuple[Group, ...]:
    """Group runs and score the groups.

    Args:
        runs: Tested runs, by path.
        metrics: Metrics of the whole task; each group takes those that its task has.
        group_by: Config keys or `experiment`; nothing means every key but the seeds.
        settings: Number and seed of the resamples, level of the intervals.

    Raises:
        UsageError: An unknown key, or runs of one group with other test records or labels.
    """
    _require_keys(runs, group_by)
    members: dict[str, list[TestedRun]] = {}
    for run in runs:
        members.setdefault(_group_key(run, group_by), []).append(run)
    names = _names(list(members.values()))
    return tuple(
        _build_group(name, found, metrics, settings)
        for name, found in zip(names, members.values(), strict=True)
    )


def _build_group(
    name: str,
    runs: Sequence[TestedRun],
    metrics: Sequence[str],
    settings: tuple[int, int, float],
) -> Group:
    first = runs[0]
    tables = [run.predictions for run in runs]
    try:
        common, _ = align(first.task, tables)
    except UsageError as error:
        listed = ", ".join(run.folder.name for run in runs)
        raise UsageError(f"Group `{name}` ({listed}) is no group: {error}") from error
    known = [metric for metric in metrics if metric in metric_names(first.task.kind)]
    return Group(
        name=name,
        runs=tuple(runs),
        n_records=len(common[0]),
        n_subjects=common[0]["subject_id"].nunique(),
        values=group_values(first.task, common, known, *settings),
    )


def _require_keys(runs: Sequence[TestedRun], asked: Sequence[str]) -> None:
    """Refuse to group by a key that no run has; name those that tell the runs apart."""
    found: dict[str, set[str]] = {}
    for run in runs:
        for key, value in dotted_keys(run.config):
            found.setdefault(key, set()).add(json.dumps(value, sort_keys=True, default=str))
    for key in asked if runs else ():
        if key == "experiment" or key in found:
            continue
        last = key.rsplit(".", 1)[-1]
        meant = [name for name in found if name.rsplit(".", 1)[-1] == last]
        told = [name for name, values in found.items() if len(values) > 1]
        leaves = [name for name in told if not any(other.startswith(f"{name}.") for other in told)]
        hint = f" Is {' or '.join(f'`{name}`' for name in meant)} meant?" if meant else ""
        raise UsageError(
            f"--group-by: no run has a config key `{key}`.{hint} These differ between the runs: "
            f"{', '.join(['experiment', *leaves])}."
        )


def _group_key(run: TestedRun, group_by: Sequence[str]) -> str:
    """Write what tells a run's group from others; task and simulation always do."""
    facts: dict[str, Any] = {"task": run.task.to_dict(), "simulated": run.simulated}
    if group_by:
        for key in group_by:
            chosen = run.folder.experiment if key == "experiment" else run.setting(key)
            facts[key] = chosen
    elif not run.config:
        facts["path"] = str(run.folder.path.resolve())
    else:
        start = lookup(run.receipt, "pretrained.recipe")
        facts["start"] = run.start
        facts["experiment"] = run.folder.experiment
        facts["config"] = without_seed(run.config, str(start) if start else None)
        # The same config on another corpus is another question.
        facts["tested"] = lookup(run.receipt, "data.splits.test.digest")
    return json.dumps(facts, sort_keys=True, default=str)


def _names(members: Sequence[Sequence[TestedRun]]) -> list[str]:
    """Name groups by their experiment, and by what their runs' names share where that is needed."""
    experiments = [{run.folder.experiment for run in runs} for runs in members]
    counts: dict[str, int] = {}
    for experiment in itertools.chain.from_iterable(experiments):
        counts[experiment] = counts.get(experiment, 0) + 1
    names: list[str] = []
    for runs, of_group in zip(members, experiments, strict=True):
        name = "+".join(sorted(of_group))
        if len(of_group) > 1 or counts[name] > 1:
            shared = _shared([run.folder.name for run in runs])
            name = f"{name}/{shared}" if shared else name
        unique, number = name, 2
        while unique in names:
            unique, number = f"{name} ({number})", number + 1
        names.append(unique)
    return names


def _shared(names: Sequence[str]) -> str:
    """Give the common beginning of names, without a trailing `seed`, digits and separators."""
    if len(names) == 1:
        return names[0]
    first, last = min(names), max(names)
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    text = "".join(letter for letter, _ in same)
    return re.sub(r"[-_.]*(seed|s)?[-_.=]*\d*$", "", text)


def find_group(groups: Sequence[Group], asked: str) -> Group:
    """Find a group by its name, or by the path of one of its runs.

    Raises:
        UsageError: There is no such group.
    """
    for group in groups:
        if asked == group.name:
            return group
    wanted = Path(asked).resolve()
    for group in groups:
        if any(wanted == run.folder.path.resolve() for run in group.runs):
            return group
    known = ", ".join(f"`{group.name}`" for group in groups)
    raise UsageError(f"There is no group `{asked}`; there are {known or 'none'}.")


def spread(value: GroupValue) -> tuple[float, float]:
    """Give the smallest and largest value over the runs of a group."""
    return float(np.min(value.runs)), float(np.max(value.runs))
