"""The section on robustness of a page that compares runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pahcl.errors import PahclError
from pahcl.evaluation.groups import Group
from pahcl.evaluation.predictions import read_predictions
from pahcl.evaluation.robust_curves import Curves, draw_curves
from pahcl.evaluation.robustness_file import REPORTED, WORST
from pahcl.evaluation.robustness_tables import TITLES, protocol_line
from pahcl.reports.comparison import Compared
from pahcl.reports.names import (
    count,
    digits_for,
    listing,
    metric_in_sentence,
    metric_title,
    number,
    percent,
)
from pahcl.reports.robust import warnings_of
from pahcl.reports.robust_figures import Curve, Overlay, axis_title, overlaid_robustness
from pahcl.reports.runs import Run
from pahcl.reports.section import Section, picture
from pahcl.reports.style import Picture
from pahcl.reports.tables import Cell, Table, metric_cell
from pahcl.task import Task

MOST_ROWS = 6
"""Shares of labels that are drawn."""

MOST_WARNINGS = 6

ASKED = ("norm", "steps", "restarts", "queries", "consistent_leads", "epsilons", "worst_case")
"""What of two protocols must agree."""


@dataclass(frozen=True)
class Measured:
    """Hold the runs whose curves can be laid over each other.

    Args:
        runs: Those runs.
        curves: For each attack their curves, in the order of the runs.
        left: Why other runs are left out, one sentence each.
    """

    runs: tuple[Run, ...]
    curves: dict[str, Curves]
    left: tuple[str, ...]

    def rows(self, group: Group, seeds: frozenset[int | None] | None = None) -> list[int]:
        """Give the rows of a group's runs, or of those with one of these seeds."""
        wanted = {run.folder.path for run in group.runs if seeds is None or run.seed in seeds}
        return [k for k, run in enumerate(self.runs) if run.folder.path in wanted]

    def seeds(self, group: Group) -> frozenset[int | None]:
        """Give the seeds of a group's runs."""
        return frozenset(self.runs[k].seed for k in self.rows(group))


def robustness_comparison(compared: Compared) -> Section | None:
    """Overlay the curves of the runs whose robustness was measured; None where none was."""
    task = compared.task
    runs = [compared.run_of(run.folder) for group in compared.groups for run in group.runs]
    if task is None or not any(run.robustness.facts.get("curve") for run in runs):
        return None
    name, title = "robustness", "What is left of them under attack?"
    found = _measure(compared, task, runs)
    remarks = found.left
    if not found.runs:
        return Section(name, title, note="No curve can be drawn.", remarks=remarks)
    tables = [_group_table(compared, found)]
    differences = _difference_table(compared, found)
    tables = [differences, *tables] if differences is not None else tables
    facts = found.runs[0].robustness.facts
    people = count(facts["n_subjects"], "person", "people")
    note = (
        f"{count(len(found.runs), 'run')} on the same {count(facts['n_records'], 'record')} of "
        f"{people}, {facts['split']} split, with {protocol_line(facts)}."
    )
    said = [
        f"{run.name}: {text}" for run in found.runs for text in warnings_of(run.robustness.facts)
    ]
    said.sort(key=lambda text: "masked" not in text)  # the others spoil no comparison
    if len(said) > MOST_WARNINGS:
        more = count(len(said) - MOST_WARNINGS, "warning")
        said = [*said[:MOST_WARNINGS], f"{more} more on the runs' own pages."]
    drawn = _picture(compared, found, task)
    return Section(name, title, (drawn,), tuple(tables), note, tuple(said), remarks)


def _measure(compared: Compared, task: Task, runs: Sequence[Run]) -> Measured:
    """Read the tables of all runs that were attacked alike, on the same records."""
    left: list[str] = []
    able = [run for run in runs if run.robustness.facts.get("curve")]
    _say(left, [run for run in runs if run not in able], "without a curve")
    able = _most(able, _asked, left, "attacked in another way than most")
    lost = [run for run in able if run.robustness.lost]
    _say(left, lost, "whose tables beside robustness.json are gone or were changed since")
    tables: dict[str, dict[str, dict[float, pd.DataFrame]]] = {}
    for run in [run for run in able if run not in lost]:
        try:
            tables[run.name] = {
                attack: _tables(run, attack)
                for attack in (REPORTED, WORST)
                if attack in run.robustness.facts["curve"][0]["attacks"]
            }
        except (PahclError, OSError) as error:
            left.append(f"Left out is {run.name}: {error}")
    able = [run for run in able if run.name in tables]
    able = _most(
        able,
        lambda run: tuple(sorted(tables[run.name][REPORTED][0.0]["record_id"])),
        left,
        "attacked on other records than most",
    )
    settings = compared.summary.samples, compared.summary.seed, compared.summary.level
    try:
        curves = {
            attack: draw_curves(task, [tables[run.name][attack] for run in able], *settings)
            for attack in (REPORTED, WORST)
            if able and attack in tables[able[0].name]
        }
    except PahclError as error:
        return Measured((), {}, (*left, f"The curves cannot be compared: {error}"))
    return Measured(tuple(able), curves, tuple(left))


def _most(runs: list[Run], key: Callable[[Run], object], left: list[str], why: str) -> list[Run]:
    """Keep the runs that agree with most of the others."""
    keys = {run.name: key(run) for run in runs}
    if not keys:
        return []
    common = Counter(keys.values()).most_common(1)[0][0]
    _say(left, [run for run in runs if keys[run.name] != common], why)
    return [run for run in runs if keys[run.name] == common]


def _say(left: list[str], runs: Sequence[Run], why: str) -> None:
    if runs:
        left.append(f"Left out, {why}: {listing([run.name for run in runs])}.")


def _asked(run: Run) -> tuple[Any, ...]:
    """Give what must agree for two curves to be compared."""
    facts = run.robustness.facts
    sizes = [point["epsilon"] for point in facts["curve"]]
    told = [facts["protocol"].get(name) for name in ASKED]
    return (facts["metric"], facts["unit"], facts["split"], repr(told), *sizes)


def _tables(run: Run, attack: str) -> dict[float, pd.DataFrame]:
    """Read a run's predictions under one attack, by size."""
    facts = run.robustness.facts
    folder = run.folder.path / f"robustness{'' if facts['split'] == 'test' else '_val'}"
    norm = facts["protocol"]["norm"]
    sizes = {
        float(point["epsilon"]): f"{attack}-{norm}-{point['epsilon']:.12g}"
        for point in facts["curve"]
    }
    found = {0.0: "clean", **sizes}
    return {size: read_predictions(folder / f"{name}.parquet") for size, name in found.items()}


def _picture(compared: Compared, found: Measured, task: Task) -> Picture:
    shares = dict.fromkeys(group.fraction for group in compared.groups if found.rows(group))
    shown = []
    for share in list(shares)[:MOST_ROWS]:
        of_labels = f", {percent(share)} of the labels" if len(shares) > 1 and share else ""
        for attack, curves in found.curves.items():
            lines = tuple(
                (compared.label(group), Curve(curves.sizes, tuple(curves.points(rows))))
                for group in compared.groups
                if group.fraction == share and (rows := found.rows(group))
            )
            facts = found.runs[0].robustness.facts
            chance = facts["bounds"].get(task.primary_metric, {}).get("chance")
            shown.append(Overlay(f"{TITLES[attack]}{of_labels}", lines, chance))
    facts = found.runs[0].robustness.facts
    figure = overlaid_robustness(
        shown,
        len(found.curves),
        compared.colours,
        (axis_title(facts, task.primary_metric), facts["unit"]),
    )
    caption = (
        "Each line is the mean of a group, shaded its interval over test people and, with several "
        "runs, over training again. Compare the height at clean first: robustness that is bought "
        "with it shows as a lower start and a flatter fall. Where the two panels of a start differ "
        "much, the reported attack was too weak for it: believe the worst case."
    )
    if len(shares) > MOST_ROWS:
        caption += f" Drawn are the first {MOST_ROWS} of {len(shares)} shares of labels."
    title = metric_title(task.primary_metric)
    alt = f"{title} under attack, of {count(len(found.runs), 'run')}, one line a start."
    return picture(figure, "robust-curves", alt, caption)


def _difference_table(compared: Compared, found: Measured) -> Table | None:
    """List the paired differences of the mean heights, of the groups that are compared at all."""
    rows = []
    metric = found.runs[0].robustness.facts["metric"]
    digits = digits_for(metric)
    for a, b, _ in compared.differences:
        seeds = found.seeds(a) & found.seeds(b)
        mine, theirs = found.rows(a, seeds), found.rows(b, seeds)
        for attack, curves in found.curves.items() if mine and theirs else ():
            one = curves.difference(mine, theirs)
            clear = one.low > 0 or one.high < 0
            rows.append(
                (
                    Cell(a.labels or "–", strong=True),
                    Cell(compared.label(a)),
                    Cell(compared.label(b)),
                    Cell(TITLES[attack]),
                    Cell(number(one.value_a, digits)),
                    Cell(number(one.value_b, digits)),
                    metric_cell(one.interval, metric, strong=clear),
                    Cell(number(one.p_value)),
                    Cell(f"{len(mine)} and {len(theirs)}"),
                )
            )
    if not rows:
        return None
    headers = ("Labels", "A", "B", "Attack", "A reaches", "B reaches", "A − B", "p", "Runs")
    caption = (
        f"Paired differences of the mean height: the area under the curve of the "
        f"{metric_in_sentence(metric)} over its width, on the axis of the figure, "
        "log(1 + epsilon / smallest). Both sides are scored on the same records and the same "
        "resamples of people. Bold: the interval leaves 0 out. p is two-sided and not corrected "
        "for the number of rows."
    )
    return Table(headers, tuple(rows), caption, frozenset({0, 1, 2, 3}))


def _group_table(compared: Compared, found: Measured) -> Table:
    """List the groups with what they reach clean, on the whole curve, and at its end."""
    metric = found.runs[0].robustness.facts["metric"]
    last = next(iter(found.curves.values())).sizes[-1]
    rows = []
    for group in compared.groups:
        of_group = found.rows(group)
        if not of_group:
            continue
        cells = [metric_cell(found.curves[REPORTED].points(of_group)[0], metric)]
        for curves in found.curves.values():
            cells.append(metric_cell(curves.mean_height(of_group), metric, strong=True))
            cells.append(metric_cell(curves.points(of_group)[-1], metric))
        warned = sum(len(found.runs[k].robustness.facts["warnings"]) for k in of_group)
        rows.append(
            (
                Cell(compared.label(group), strong=True),
                Cell(group.labels or "–"),
                Cell(str(len(of_group))),
                *cells,
                Cell(str(warned) if warned else "–"),
            )
        )
    headers = ["Start", "Labels", "Runs", "Clean"]
    for attack in found.curves:
        headers += [f"{TITLES[attack]}: mean height", f"at {last:g}"]
    caption = (
        "Means over the runs of a group, with intervals below them. The warnings of the attack's "
        "checks stand on each run's own page."
    )
    return Table((*headers, "Warnings"), tuple(rows), caption, frozenset({0, 1}))
