"""A table over runs: groups that differ only in their seed, and what sets groups apart."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pahcl.errors import PahclError, UsageError
from pahcl.evaluation.compare import (
    Comparison,
    GroupValue,
    align,
    group_values,
    paired_comparison,
    sources,
)
from pahcl.evaluation.evidence import verify_evidence
from pahcl.evaluation.metrics import metric_names
from pahcl.evaluation.run import RunFolder, lookup
from pahcl.task import Kind, Task

SEED_KEYS = ("seed_everything", "data.init_args.seed")
NOT_EXPERIMENT = ("run", "ckpt_path", "config", "verbose", "weights_only", "return_predictions")
NOT_TRAINING = ("default_root_dir", "logger", "enable_progress_bar", "enable_model_summary")

DEFAULT_METRICS: Mapping[Kind, tuple[str, ...]] = {
    "binary": ("auroc", "auprc", "f1"),
    "multilabel": ("macro_auroc", "macro_auprc", "macro_f1"),
    "multiclass": ("macro_auroc", "macro_f1", "accuracy"),
    "regression": ("mae", "r2"),
}


@dataclass(frozen=True)
class TestedRun:
    """Hold a run whose evidence is whole."""

    folder: RunFolder
    config: dict[str, Any] = field(repr=False)
    task: Task
    predictions: pd.DataFrame = field(repr=False)


@dataclass(frozen=True)
class Group:
    """Hold runs that differ only in their seed.

    Args:
        name: Unique name, from the folders of the runs.
        task: What was asked.
        dataset: Class of the data module.
        initialisation: `scratch`, or the run or file that the weights came from.
        strategy: How the weights were adapted, empty if the config does not say.
        fraction: Share of the training labels, None if the config does not say.
        runs: The runs, by path.
        n_records: Test records that all runs have.
        n_subjects: Subjects behind them.
        values: The metrics: mean over the runs, interval, and each run's value.
    """

    name: str
    task: Task
    dataset: str
    initialisation: str
    strategy: str
    fraction: float | None
    runs: tuple[TestedRun, ...]
    n_records: int
    n_subjects: int
    values: dict[str, GroupValue]

    @property
    def tables(self) -> list[pd.DataFrame]:
        """Give the predictions of every run."""
        return [run.predictions for run in self.runs]

    @property
    def covers(self) -> str:
        """Say what the intervals cover."""
        return sources(len(self.runs))


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
) -> Summary:
    """Group runs, score the groups and compare them.

    Args:
        runs: Run folders; those without whole evidence are listed, not dropped.
        metrics: Metrics of the whole task; None is the primary one and the task kind's usual ones.
        group_by: Config keys (`data.init_args.fraction`) or `experiment` that tell groups apart;
            nothing means every key but the seeds.
        compare: Two groups by name, or by a run in them; None compares, within the same data, task
            and fraction, every group with the one from scratch, or each with each.
        samples: Number of resamples.
        seed: Seed of the resamples.
        level: Nominal coverage of the intervals.

    Raises:
        UsageError: An unknown metric or group, or runs of one group with different test records.
    """
    tested, unfinished = _load(runs)
    wanted = _choose_metrics(tested, metrics)
    settings = (samples, seed, level)
    members: dict[str, list[TestedRun]] = {}
    for run in tested:
        members.setdefault(_group_key(run, group_by), []).append(run)
    names = _names(list(members.values()))
    groups = tuple(
        _build_group(name, found, wanted, settings)
        for name, found in zip(names, members.values(), strict=True)
    )
    comparisons, notes = _compare(groups, compare, metrics, settings)
    return Summary(groups, comparisons, unfinished, notes, wanted, samples, level, seed)


def _load(
    runs: Sequence[RunFolder],
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
                    folder, folder.load_config(), folder.load_task(), folder.load_predictions()
                )
            )
        except PahclError as error:
            unfinished.append((folder, str(error)))
    return tested, tuple(unfinished)


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


def _group_key(run: TestedRun, group_by: Sequence[str]) -> str:
    """Write what tells a run's group from others; the task always does."""
    facts: dict[str, Any] = {"task": run.task.to_dict()}
    if group_by:
        for key in group_by:
            chosen = run.folder.experiment if key == "experiment" else lookup(run.config, key)
            facts[key] = chosen
    elif not run.config:
        facts["path"] = str(run.folder.path.resolve())
    else:
        facts["experiment"] = run.folder.experiment
        facts["config"] = _without_seed(run.config)
    return json.dumps(facts, sort_keys=True, default=str)


def _without_seed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a config its seeds, and where and under which name it ran."""
    kept: dict[str, Any] = json.loads(json.dumps(config, default=str))
    for name in NOT_EXPERIMENT:
        kept.pop(name, None)
    if isinstance(kept.get("trainer"), dict):
        for name in NOT_TRAINING:
            kept["trainer"].pop(name, None)
    for key in SEED_KEYS:
        *way, last = key.split(".")
        place = lookup(kept, ".".join(way)) if way else kept
        if isinstance(place, dict):
            place.pop(last, None)
    return kept


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
    fraction = lookup(first.config, "data.init_args.fraction")
    return Group(
        name=name,
        task=first.task,
        dataset=_class_name(lookup(first.config, "data.class_path")),
        initialisation=_joined(_initialisation(run.config) for run in runs),
        strategy=_joined(_strategy(run.config) for run in runs),
        fraction=float(fraction) if isinstance(fraction, (int, float)) else None,
        runs=tuple(runs),
        n_records=len(common[0]),
        n_subjects=common[0]["subject_id"].nunique(),
        values=group_values(first.task, common, known, *settings),
    )


def _joined(texts: Any) -> str:
    return ", ".join(dict.fromkeys(texts))


def _class_name(path: object) -> str:
    return str(path).rsplit(".", 1)[-1] if path else ""


def _initialisation(config: Mapping[str, Any]) -> str:
    """Name where the weights came from: a run by experiment and name, else a file."""
    path = lookup(config, "model.init_args.pretrained")
    if path is None:
        return "scratch" if config else ""
    source = Path(str(path))
    if source.parent.name == "checkpoints" and len(source.parts) > 3:
        return "/".join(source.parts[-4:-2])
    return source.name


def _strategy(config: Mapping[str, Any]) -> str:
    found = lookup(config, "model.init_args.strategy")
    return _class_name(found.get("class_path") if isinstance(found, Mapping) else found)


Compared = tuple[tuple[str, str, Comparison], ...]


def _compare(
    groups: Sequence[Group],
    asked: Sequence[str] | None,
    metrics: Sequence[str] | None,
    settings: tuple[int, int, float],
) -> tuple[Compared, tuple[str, ...]]:
    """Compare the pairs that were asked for, or all that answer the same question."""
    if asked is None:
        pairs = _pairs(groups)
    elif len(asked) == 2:
        pairs = [(find_group(groups, asked[0]), find_group(groups, asked[1]))]
    else:
        raise UsageError(f"Two groups are compared, got {len(asked)}.")
    done, notes = [], []
    for a, b in pairs:
        if a is b or a.task != b.task:
            raise UsageError(
                f"`{a.name}` and `{b.name}` cannot be compared: choose two groups of one task."
            )
        known = metric_names(a.task.kind)
        metric = next((name for name in metrics or () if name in known), a.task.primary_metric)
        try:
            found = paired_comparison(a.task, a.tables, b.tables, metric, *settings)
        except UsageError as error:
            if asked is not None:
                raise
            notes.append(f"{a.name} and {b.name} were not compared: {error}")
            continue
        done.append((a.name, b.name, found))
    return tuple(done), tuple(notes)


def _pairs(groups: Sequence[Group]) -> list[tuple[Group, Group]]:
    """Pair groups of the same data, task and fraction: each with scratch, or each with each."""
    cells: dict[tuple[object, ...], list[Group]] = {}
    for group in groups:
        cells.setdefault((group.dataset, group.task, group.fraction), []).append(group)
    pairs = []
    for cell in cells.values():
        scratch = [group for group in cell if group.initialisation == "scratch"]
        if len(scratch) == 1:
            pairs += [(group, scratch[0]) for group in cell if group is not scratch[0]]
        else:
            pairs += list(itertools.combinations(cell, 2))
    return pairs


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
