"""The sections of a page of several runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pahcl.evaluation.summary import Summary
from pahcl.reports.classification import ClassScores, class_scores, main_classes
from pahcl.reports.comparison import (
    Compared,
    compare_runs,
    comparison_warnings,
    difference_table,
    group_table,
    primary_of,
    run_table,
    sentences,
)
from pahcl.reports.curves import efficiency, overlaid_curves
from pahcl.reports.differences import paired_pictures
from pahcl.reports.names import UNITS_OF_TARGET, count, metric_title, percent
from pahcl.reports.overlays import Panel, overlaid_precision_recall, overlaid_roc
from pahcl.reports.robust_comparison import robustness_comparison
from pahcl.reports.runs import Run
from pahcl.reports.section import Section, picture
from pahcl.task import Task

MOST_CLASSES = 6


@dataclass(frozen=True)
class ComparisonPage:
    """Hold a page of several runs.

    Args:
        title: Its heading.
        sentences: What was compared and what came out.
        warnings: What to be careful about.
        sections: The rest.
    """

    title: str
    sentences: list[str]
    warnings: list[str]
    sections: list[Section]


def comparison_page(
    runs: Sequence[Run], summary: Summary | None = None, more: Sequence[Section] = ()
) -> ComparisonPage:
    """Make a page that lays several runs side by side.

    Args:
        runs: The runs.
        summary: Their groups and differences, where they are known already.
        more: Sections to show before the list of runs.
    """
    compared = compare_runs(runs, summary)
    made = [
        _groups(compared),
        _efficiency(compared),
        _curves(compared),
        _overlays(compared),
        robustness_comparison(compared),
        *more,
        Section("runs", "Every run", tables=(run_table(compared),)),
    ]
    experiments = sorted({run.folder.experiment for run in runs})
    title = f"{', '.join(experiments)}: {count(len(runs), 'run')}"
    found = [section for section in made if section is not None]
    return ComparisonPage(title, sentences(compared), comparison_warnings(compared), found)


def _groups(compared: Compared) -> Section | None:
    task = compared.task
    if task is None:
        return None
    tables = [difference_table(compared, task)] if compared.differences else []
    tables.append(group_table(compared, task))
    return Section("groups", "Differences and groups", tables=tuple(tables))


def _efficiency(compared: Compared) -> Section | None:
    """Draw the metric over the share of labels, where there is more than one share."""
    task = compared.task
    shares = {group.fraction for group in compared.groups} - {None}
    if task is None or len(shares) < 2:
        return None
    points = pd.DataFrame(
        [
            {
                "initialisation": compared.label(group),
                "fraction": group.fraction,
                "value": value,
                "mean": primary_of(group).value,
                "low": primary_of(group).low,
                "high": primary_of(group).high,
            }
            for group in compared.groups
            if group.fraction is not None
            for value in group.values[task.primary_metric].runs
        ]
    )
    title = metric_title(task.primary_metric)
    has_unit = task.primary_metric in UNITS_OF_TARGET
    figure = efficiency(
        points, task.primary_metric, compared.colours, task.unit if has_unit else None
    )
    drawn = picture(
        figure,
        "efficiency",
        f"{title} over the share of training labels, one line a start.",
        "Each faint dot is a run, each full dot the mean of a group, whiskers its 95 % interval "
        "over test people and seeds. Where one line lies to the left of the other at the same "
        "height, it needs fewer labels for the same result. Groups are moved sideways a little so "
        "that their whiskers can be told apart.",
    )
    pictures = (drawn, *paired_pictures(compared, task))
    return Section("efficiency", "How many labels does it take?", pictures)


def _curves(compared: Compared) -> Section | None:
    task = compared.task
    logs = [
        (compared.label(group), log)
        for group in compared.groups
        for run in group.runs
        if (log := compared.run_of(run.folder).log) is not None
    ]
    if task is None or not logs:
        return None
    title = metric_title(task.primary_metric)
    drawn = picture(
        overlaid_curves(logs, task.primary_metric, compared.colours),
        "training",
        f"Validation loss and {title} over epochs, of {count(len(logs), 'run')}.",
        "Each line is a run; runs of one start share a colour, whatever their share of labels. A "
        "line that is still rising at its end was stopped too early for a fair comparison.",
    )
    return Section("training", "Training", (drawn,))


def _overlays(compared: Compared) -> Section | None:
    """Overlay curves: one panel a share of labels for one class, else one panel a class."""
    task = compared.task
    if task is None or task.kind == "regression" or not compared.groups:
        return None
    shares = Counter(g.fraction for g in compared.groups for _ in g.runs)
    if len(task.classes) == 1:
        found = [
            panel
            for share in sorted(shares, key=lambda s: s or 0)
            for panel in _panels(compared, task, share, _share(share))
        ]
        note = ""
    else:
        share = max(shares, key=lambda s: (shares[s], s or 0))
        found = _panels(compared, task, share, "")
        note = f"Runs with {_share(share)}." if len(shares) > 1 else ""
    if not found:
        return None
    roc = picture(
        overlaid_roc(found, compared.colours),
        "roc",
        "ROC curves of all runs.",
        "ROC: the nearer to the upper left corner the better; the diagonal is chance. Lines of one "
        "colour are runs that differ in their seed.",
    )
    prc = picture(
        overlaid_precision_recall(found, compared.colours),
        "prc",
        "Precision-recall curves of all runs.",
        "Precision over recall: the higher the better; the dashed line is the share of positives.",
    )
    return Section("ranking", "Does it rank the right records first?", (roc, prc), note=note)


def _share(share: float | None) -> str:
    return "" if share is None else f"{percent(share)} of the labels"


def _panels(compared: Compared, task: Task, share: float | None, title: str) -> list[Panel]:
    lines: dict[str, list[tuple[str, ClassScores]]] = {}
    for group in compared.groups:
        if group.fraction != share:
            continue
        for table in group.tables:
            for one in main_classes(class_scores(task, table), MOST_CLASSES):
                if one.has_both:
                    lines.setdefault(one.name, []).append((compared.label(group), one))
    return [Panel(title or name, tuple(found)) for name, found in lines.items()]
