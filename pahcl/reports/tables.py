"""Tables of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pahcl.evaluation.intervals import Interval
from pahcl.evaluation.metric_names import REGRESSION_METRICS
from pahcl.reports.classification import ClassScores
from pahcl.reports.names import (
    UNITS_OF_TARGET,
    digits_for,
    metric_meaning,
    metric_title,
    narrow_span,
    number,
    official_title,
    rounded_percent,
    split_average,
)
from pahcl.reports.runs import Run
from pahcl.task import Task

NO_BREAK = "\N{NO-BREAK SPACE}"

CLASS_METRICS = ("auroc", "auprc", "f1", "sensitivity", "specificity", "calibration_error")


@dataclass(frozen=True)
class Cell:
    """Hold one cell.

    Args:
        text: What stands in it.
        below: What stands below in small type, such as an interval.
        strong: Whether it stands out.
    """

    text: str
    below: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """Hold a table.

    Args:
        headers: One a column.
        rows: Cells, as many as headers; the first one names the row.
        caption: How to read it.
        words: Numbers of the columns that hold words, which are set flush left.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str
    words: frozenset[int] = frozenset({0})


def metric_cell(interval: Interval, metric: str, *, strong: bool = False) -> Cell:
    """Write a metric with its interval below."""
    digits = digits_for(metric)
    return Cell(number(interval.value, digits), narrow_span(interval, digits), strong)


def key_numbers(run: Run, task: Task) -> Table:
    """List the metrics of the whole task, the primary one first."""
    names = list(run.metrics.get("metrics") or {})
    names.sort(key=lambda name: name != task.primary_metric)
    defined = run.metrics.get("classes_defined") or {}
    rows = []
    for name in names:
        interval = run.interval(name)
        digits = digits_for(name)
        meaning = metric_meaning(name)
        if len(task.classes) > 1 and name in defined and defined[name] < len(task.classes):
            meaning += f"; over {defined[name]} of {len(task.classes)} classes"
        rows.append(
            (
                Cell(_with_unit(name, task), strong=name == task.primary_metric),
                Cell(number(interval.value, digits), strong=name == task.primary_metric),
                Cell(narrow_span(interval, digits) or "–"),
                Cell(meaning),
            )
        )
    level, samples = 100 * run.bootstrap("level", 0.95), run.bootstrap("samples", 0)
    drawn = f" {samples:,} times" if samples else ""
    caption = (
        f"Intervals ({level:g} %) come from drawing people with replacement{drawn}, not records, "
        "because records of one person are alike. They say how far the number could move with "
        "other test people; not how far with another training."
    )
    headers = ("Metric", "Value", f"{level:g} % interval".replace(" ", NO_BREAK), "What it says")
    return Table(headers, tuple(rows), caption, frozenset({0, 3}))


def official_table(official: Mapping[str, Any], level: float) -> Table:
    """List what the data set's official scorer says, its headline first."""
    rows = []
    lower = official["lower_is_better"]
    for name, found in official["metrics"].items():
        interval = Interval.read(found)
        digits = 0 if abs(interval.value) >= 100 else 3  # costs are whole numbers
        strong = name == official["headline"]
        rows.append(
            (
                Cell(official_title(name), strong=strong),
                Cell(number(interval.value, digits), strong=strong),
                Cell(narrow_span(interval, digits) or "–"),
                Cell("lower is better" if name in lower else "higher is better"),
            )
        )
    caption = f"{official['title']}, scored as its publisher does. Source: {official['source']}."
    headers = ("Official score", "Value", f"{100 * level:g} % interval".replace(" ", NO_BREAK), "")
    return Table(headers, tuple(rows), caption, frozenset({0, 3}))


def class_table(run: Run, task: Task) -> Table:
    """List every class with its support and its metrics."""
    if task.kind == "regression":
        return _output_table(run, task)
    rows = []
    for name in task.classes:
        support = run.support(name)
        positives, negatives = support.get("positives", 0), support.get("negatives", 0)
        total = positives + negatives
        share = rounded_percent(positives / total) if total else ""
        rows.append(
            (
                Cell(name, strong=True),
                Cell(f"{positives:,}", share),
                Cell(f"{negatives:,}"),
                Cell(f"{support.get('unlabelled', 0):,}"),
                *(
                    metric_cell(run.class_interval(name, metric), metric)
                    for metric in CLASS_METRICS
                ),
            )
        )
    titles = (*(metric_title(m) for m in CLASS_METRICS[:-1]), "ECE")
    caption = (
        "Read the support first: with few positives every number in the row is shaky, whatever it "
        "is. Small figures are the share of positives and the intervals; – is not defined. ECE is "
        "the expected calibration error."
    )
    headers = ("Class", "Positive", "Negative", "Unlabelled", *titles)
    return Table(headers, tuple(rows), caption)


def _output_table(run: Run, task: Task) -> Table:
    rows = []
    for name in task.classes:
        support = run.support(name)
        rows.append(
            (
                Cell(name, strong=True),
                Cell(f"{support.get('labelled', 0):,}"),
                Cell(f"{support.get('unlabelled', 0):,}"),
                *(metric_cell(run.class_interval(name, m), m) for m in REGRESSION_METRICS),
            )
        )
    titles = (_with_unit(metric, task) for metric in REGRESSION_METRICS)
    headers = ("Output", "Labelled", "Unlabelled", *titles)
    return Table(headers, tuple(rows), "Small figures are intervals; – is not defined.")


def _with_unit(metric: str, task: Task) -> str:
    has_unit = task.unit and split_average(metric)[1] in UNITS_OF_TARGET
    return f"{metric_title(metric)} [{task.unit}]" if has_unit else metric_title(metric)


def threshold_table(run: Run, scores: Sequence[ClassScores]) -> Table:
    """List what each class's threshold does on the records that were scored."""
    chosen_on = run.counted("val").get("by_class") or {}
    rows = []
    for one in scores:
        flagged = int(one.prediction.sum())
        hits = float(one.target @ one.prediction)
        cleared = len(one.target) - flagged
        rights = cleared - (one.positives - hits)
        rows.append(
            (
                Cell(one.name, strong=True),
                Cell(number(one.threshold if one.threshold is not None else float("nan"))),
                Cell(f"{int(chosen_on[one.name]):,}" if one.name in chosen_on else "–"),
                Cell(f"{flagged:,}", _percent_of(flagged, len(one.target))),
                Cell(number(_share(hits, one.positives))),
                Cell(number(_share(one.negatives - (flagged - hits), one.negatives))),
                Cell(number(_share(hits, flagged))),
                Cell(number(_share(rights, cleared))),
            )
        )
    caption = (
        "A record is called positive when its probability reaches the threshold. Thresholds come "
        "from validation. The predictive values hold for the share of positives in these records: "
        "where a finding is rarer, the positive predictive value is lower."
    )
    headers = (
        "Class",
        "Threshold",
        "Positives on validation",
        "Called positive",
        "Sensitivity",
        "Specificity",
        "Positive predictive value",
        "Negative predictive value",
    )
    return Table(headers, tuple(rows), caption)


def _percent_of(part: int, whole: int) -> str:
    return rounded_percent(part / whole) if whole else ""


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
