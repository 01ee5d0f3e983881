"""What a page of several runs says in words and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pahcl.evaluation.compare import Comparison as Difference
from pahcl.evaluation.groups import Group, find_group, spread
from pahcl.evaluation.intervals import Interval
from pahcl.evaluation.run import RunFolder
from pahcl.evaluation.settings import SCRATCH
from pahcl.evaluation.summary import Summary, summarize
from pahcl.reports.names import (
    count,
    digits_for,
    listing,
    metric_title,
    number,
    percent,
    with_interval,
)
from pahcl.reports.runs import Run
from pahcl.reports.style import PALETTE
from pahcl.reports.tables import Cell, Table, metric_cell
from pahcl.reports.verdict import people_warnings, support_warnings
from pahcl.task import Task

MOST_METRICS = 4
MANY_DIFFERENCES = 3
MOST_SENTENCES = 6
"""Differences that are told in sentences; more of them are told by the table."""


@dataclass(frozen=True)
class Compared:
    """Hold runs laid side by side.

    Args:
        runs: Every run that was asked for.
        summary: Their groups and differences.
        task: The task that most groups share; the page is about it.
        groups: The groups of that task, by share of labels and start.
    """

    runs: tuple[Run, ...]
    summary: Summary
    task: Task | None
    groups: tuple[Group, ...]

    @property
    def differences(self) -> list[tuple[Group, Group, Difference]]:
        """Give the paired differences between groups of the task."""
        found = [
            (find_group(self.summary.groups, a), find_group(self.summary.groups, b), difference)
            for a, b, difference in self.summary.comparisons
        ]
        return [row for row in found if row[0] in self.groups]

    def run_of(self, folder: RunFolder) -> Run:
        """Give the run of a folder."""
        return next(run for run in self.runs if run.folder.path == folder.path)

    def label(self, group: Group) -> str:
        """Name a group by what tells it apart from others, but for its share of labels."""
        labels = self._labels()
        mine = labels[group.name]
        shares = [g.fraction for g in self.groups if labels[g.name] == mine]
        # Two groups of one start and one share differ in something else: then by their names.
        return mine if len(shares) == len(set(shares)) else group.name

    def _labels(self) -> dict[str, str]:
        strategies = {group.strategy for group in self.groups}
        datasets = {group.data for group in self.groups}
        labels = {}
        for group in self.groups:
            start = group.initialisation or group.name
            parts = ["from scratch" if start == SCRATCH else start]
            parts += [group.strategy] if len(strategies) > 1 and group.strategy else []
            parts += [group.data] if len(datasets) > 1 and group.data else []
            labels[group.name] = ", ".join(parts)
        return labels

    @property
    def colours(self) -> dict[str, str]:
        """Give each label a colour, the same in every figure; scratch always has the same."""
        labels = sorted({self.label(group) for group in self.groups})
        plain = [label for label in labels if label.startswith("from scratch")]
        others = [label for label in labels if label not in plain]
        order = [PALETTE[0], *PALETTE[2:]]
        colours = {label: order[i % len(order)] for i, label in enumerate(others)}
        return {
            **colours,
            **dict.fromkeys(plain[:1], PALETTE[1]),
            **dict.fromkeys(plain[1:], PALETTE[4]),
        }

    def title(self, group: Group) -> str:
        """Name a group with its share of labels."""
        share = "" if group.fraction is None else f", {percent(group.fraction)} of labels"
        return f"{self.label(group)}{share}"


def compare_runs(runs: Sequence[Run], summary: Summary | None = None) -> Compared:
    """Group runs that differ in their seed alone, and measure the differences that matter.

    Args:
        runs: The runs.
        summary: Their groups and differences, where they are known already.

    Raises:
        UsageError: Runs of one group were tested on different records.
    """
    summary = summarize([run.folder for run in runs]) if summary is None else summary
    if not summary.groups:
        return Compared(tuple(runs), summary, None, ())
    tasks = Counter(group.task for group in summary.groups for _ in group.runs)
    task = tasks.most_common(1)[0][0]
    groups = [group for group in summary.groups if group.task == task]
    groups.sort(key=lambda g: (g.fraction is None, g.fraction, g.initialisation == SCRATCH, g.name))
    return Compared(tuple(runs), summary, task, tuple(groups))


def primary_of(group: Group) -> Interval:
    """Give a group's mean of the primary metric with its interval."""
    return group.values[group.task.primary_metric]


def sentences(compared: Compared) -> list[str]:
    """Say in plain words what was compared and what came out."""
    task = compared.task
    if task is None:
        return [f"{count(len(compared.runs), 'run')}, none of which has been tested yet."]
    title, digits = metric_title(task.primary_metric), digits_for(task.primary_metric)
    told = sum(len(group.runs) for group in compared.groups)
    better = ", where lower is better" if task.mode == "min" else ""
    said = [
        f"{count(told, 'run')} in {count(len(compared.groups), 'group')} of the task {task.name}; "
        f"runs of a group differ in their seed alone. The measure is the {title} on the test "
        f"split{better}."
    ]
    differences = compared.differences
    if len(differences) > MOST_SENTENCES:
        clear = sum(_is_clear(found) for _, _, found in differences)
        said.append(
            f"{len(differences)} paired differences are in the table below; the intervals of "
            f"{clear} of them leave 0 out."
        )
        return said
    for a, b, found in differences:
        ends = with_interval(found.interval, digits)
        judged = "is unlikely to be chance" if _is_clear(found) else "may well be chance"
        share = f"With {percent(a.fraction)} of the labels: " if a.fraction is not None else ""
        said.append(
            f"{share}{number(found.value_a, digits)} ({compared.label(a)}) against "
            f"{number(found.value_b, digits)} ({compared.label(b)}); the difference of {ends} "
            f"{judged}."
        )
    return said


def _is_clear(found: Difference) -> bool:
    """Say whether the interval leaves zero out."""
    return found.low > 0 or found.high < 0


def comparison_warnings(compared: Compared) -> list[str]:
    """List what a careful reader should know before quoting a difference."""
    task, groups = compared.task, compared.groups
    found = list(compared.summary.notes)
    found += [
        f"Not compared: {folder.experiment}/{folder.name} ({reason})."
        for folder, reason in compared.summary.unfinished
    ]
    other = [group.name for group in compared.summary.groups if group.task != task]
    if other and task is not None:
        found.append(f"Not compared, because of another task than {task.name}: {listing(other)}.")
    if task is not None:
        tested = [compared.run_of(run.folder) for group in groups for run in group.runs]
        said = [
            text for run in tested for text in (*support_warnings(run, task), *people_warnings(run))
        ]
        found += dict.fromkeys(said)
    alone = [group for group in groups if len(group.runs) == 1]
    if alone and len(groups) > 1:
        found.append(
            f"{len(alone)} of {count(len(groups), 'group')} hold one run alone: how much another "
            "seed would change is not known for them."
        )
    if len(compared.differences) > MANY_DIFFERENCES:
        found.append(
            f"{len(compared.differences)} differences were looked at; by chance alone one in "
            "twenty would leave 0 out of its interval."
        )
    return found


def group_table(compared: Compared, task: Task) -> Table:
    """List the groups with their means over seeds."""
    metrics = [name for name in compared.summary.metrics if name in compared.groups[0].values]
    metrics.sort(key=lambda name: name != task.primary_metric)
    rows = []
    for group in compared.groups:
        digits = digits_for(task.primary_metric)
        ends = [number(x, digits) for x in spread(group.values[task.primary_metric])]
        cells = [
            metric_cell(group.values[name], name, strong=name == task.primary_metric)
            for name in metrics
        ]
        rows.append(
            (
                Cell(compared.label(group), strong=True),
                Cell(group.labels or "–"),
                Cell(f"{len(group.runs)}"),
                cells[0],
                Cell(" to ".join(ends) if len(group.runs) > 1 else "–"),
                *cells[1:],
                Cell(f"{group.n_records:,}", count(group.n_subjects, "person", "people")),
            )
        )
    titles = [metric_title(name) for name in metrics]
    headers = (
        "Start",
        "Labels",
        "Runs",
        titles[0],
        "Lowest to highest run",
        *titles[1:],
        "Records",
    )
    caption = (
        f"Means over the runs of a group, with {compared.summary.level * 100:g} % intervals below "
        "them: over other test people and, with several runs, over training again with other "
        "seeds. With one run the interval covers people alone and is too narrow for a claim about "
        "the method."
    )
    return Table(headers, tuple(rows), caption)


def difference_table(compared: Compared, task: Task) -> Table:
    """List the paired differences."""
    digits = digits_for(task.primary_metric)
    rows = []
    for a, b, found in compared.differences:
        rows.append(
            (
                Cell(a.labels or "–", strong=True),
                Cell(compared.label(a)),
                Cell(compared.label(b)),
                Cell(number(found.value_a, digits)),
                Cell(number(found.value_b, digits)),
                metric_cell(found.interval, task.primary_metric, strong=_is_clear(found)),
                Cell(number(found.p_value)),
                Cell(f"{found.n_records:,}", count(found.n_subjects, "person", "people")),
            )
        )
    headers = ("Labels", "A", "B", "A reaches", "B reaches", "A − B", "p", "Records")
    caption = (
        f"Paired differences of the {metric_title(task.primary_metric)}: both sides are scored on "
        "the same records and the same resamples of people. Bold: the interval leaves 0 out. p is "
        "two-sided and not corrected for the number of rows."
    )
    return Table(headers, tuple(rows), caption, frozenset({0, 1, 2}))


def _is_same(one: Task, other: Task) -> bool:
    """Say whether two tasks ask the same, whatever metric leads."""
    return replace(one, primary_metric=other.primary_metric) == other


def run_table(compared: Compared) -> Table:
    """List every run."""
    names = [compared.task.primary_metric] if compared.task else []
    for run in compared.runs:
        if compared.task is None or (run.task and _is_same(run.task, compared.task)):
            names += [name for name in run.metrics.get("metrics", {}) if name not in names]
    names = names[:MOST_METRICS]
    starts = {one.folder.path: one.initialisation for g in compared.groups for one in g.runs}
    rows = [
        (
            Cell(run.name, strong=True),
            Cell(run.task.name if run.task else "–"),
            Cell(starts.get(run.folder.path) or run.initialisation or "–"),
            Cell(run.strategy or "–"),
            Cell(run.labels or "–"),
            Cell("–" if run.seed is None else str(run.seed)),
            Cell(f"{run.metrics['n_records']:,}" if "n_records" in run.metrics else "–"),
            *(metric_cell(run.interval(name), name) for name in names),
        )
        for run in compared.runs
    ]
    titles = tuple(metric_title(name) for name in names)
    headers = ("Run", "Task", "Start", "Strategy", "Labels", "Seed", "Records", *titles)
    caption = "Every run by itself, with intervals over test people."
    return Table(headers, tuple(rows), caption, frozenset({0, 1, 2, 3}))
