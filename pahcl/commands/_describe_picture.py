"""The picture of `pahcl describe`: which numbers of the tables it shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from pahcl.commands._describe_contents import Contents
from pahcl.commands._describe_task import Flags, answers, parts_of
from pahcl.reports.datasets import Bars, Histogram, dataset_figure
from pahcl.reports.style import FAINT, PALETTE
from pahcl.task import Task

SEXES = (PALETTE[4], PALETTE[5], FAINT)
"""Colours of female, male and not known: others than those of the splits."""


def draw(task: Task, contents: Contents) -> Figure:
    """Draw a task's classes by split, and durations and ages of the records.

    Args:
        task: The task.
        contents: The records that are there.
    """
    targets = contents.targets(task)
    parts = {name: here for name, here in parts_of(contents).items() if name != "all"}
    parts = parts or {"all": np.ones(len(contents.table), dtype=bool)}
    labels: Bars | list[Histogram]
    if task.kind == "regression":
        unit = f" in {task.unit}" if task.unit else ""
        labels = [
            Histogram(
                f"{output.capitalize()} by split",
                f"{output}{unit}",
                {name: targets[here, k] for name, here in parts.items()},
            )
            for k, output in enumerate(task.classes)
        ]
    else:
        labels = _bars(task, contents, parts)
    around = [_durations(contents), _ages(contents)]
    module = contents.module
    kind = ", SIMULATED records" if contents.simulated else ""
    subjects = contents.table["subject_id"].nunique()
    title = (
        f"{module.title}, task {task.name}: {len(contents.table):,} records of {subjects:,} "
        f"subjects{kind}"
    )
    return dataset_figure(title, labels, [one for one in around if one is not None])


def _bars(task: Task, contents: Contents, parts: dict[str, Flags]) -> Bars:
    """Count what the task scores: records, or subjects, who have what any of their records has."""
    true, known = answers(task, contents.targets(task))
    unit = "records"
    if task.level == "subject":
        unit = "subjects"
        codes, names = pd.factorize(contents.table["subject_id"])
        true, known = _any_of(true, codes, len(names)), _any_of(known, codes, len(names))
        parts = {name: _any_of(here, codes, len(names)) for name, here in parts.items()}
    counts = {name: true[here].sum(axis=0) for name, here in parts.items()}
    inside = np.logical_or.reduce(list(parts.values()))
    return Bars(task.classes, counts, known[inside].sum(axis=0), unit)


def _any_of(flags: Flags, codes: npt.NDArray[np.int64], number: int) -> Flags:
    found = np.zeros((number, *flags.shape[1:]), dtype=bool)
    np.logical_or.at(found, codes, flags)
    return found


def _durations(contents: Contents) -> Histogram | None:
    if contents.seconds is None:
        return None
    return Histogram("Durations", "seconds", {"records": contents.seconds}, PALETTE[6:])


def _ages(contents: Contents) -> Histogram | None:
    if "age" not in contents.table:
        return None
    ages = contents.table["age"].to_numpy(np.float64)
    if "sex" not in contents.table:
        return Histogram("Ages", "years", {"records": ages}, PALETTE[6:])
    sex = contents.table["sex"]
    groups = {name: ages[(sex == name).to_numpy()] for name in ("female", "male")}
    groups["sex not known"] = ages[~sex.isin(list(groups)).to_numpy()]
    return Histogram("Ages", "years", groups, SEXES)
