"""Names and numbers as people write them."""

from __future__ import annotations

import math

from pahcl.evaluation.intervals import Interval
from pahcl.task import Task

METRIC_TITLES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "accuracy": "Accuracy",
    "calibration_error": "Calibration error",
    "brier": "Brier score",
    "exact_match": "Exact match",
    "mae": "Mean absolute error",
    "rmse": "Root mean square error",
    "r2": "R²",
    "pearson": "Pearson correlation",
    "loss": "Loss",
    "uar": "Unweighted average recall",
    "macc": "MAcc",
}

CAPITAL = frozenset({"auroc", "auprc", "f1", "brier", "r2", "pearson", "macc"})
"""Metrics whose title begins with a capital letter everywhere."""

METRIC_MEANINGS = {
    "auroc": "how often a positive gets a higher score than a negative; 0.5 = chance",
    "auprc": "precision averaged over recall; chance = the share of positives",
    "f1": "harmonic mean of precision and sensitivity at the threshold",
    "sensitivity": "share of the positives that were found",
    "specificity": "share of the negatives that were left alone",
    "accuracy": "share of right decisions; misleading where positives are rare",
    "calibration_error": "mean gap between probability and observed share; 0 = honest",
    "brier": "mean squared error of the probability; lower is better",
    "exact_match": "share of records with every label right",
    "mae": "mean distance between prediction and truth; lower is better",
    "rmse": "as the mean absolute error, but large errors weigh more; lower is better",
    "r2": "share of the variance that is explained; 0 = no better than the mean",
    "pearson": "how well prediction and truth lie on a line; blind to a constant offset",
}

AVERAGES = {"macro": "mean over classes", "micro": "all decisions pooled", "weighted": "by support"}
UNITS_OF_TARGET = frozenset({"mae", "rmse"})


def scored_units(task: Task) -> tuple[str, str]:
    """Name what a task scores, one and many: records, or the people whom they are of."""
    return ("person", "people") if task.level == "subject" else ("record", "records")


def split_average(metric: str) -> tuple[str, str]:
    """Split `macro_auroc` into `macro` and `auroc`; a metric without average gives ""."""
    for average in AVERAGES:
        if metric.startswith(f"{average}_"):
            return average, metric.removeprefix(f"{average}_")
    return "", metric


def metric_title(metric: str) -> str:
    """Write a metric's name for a heading."""
    average, base = split_average(metric)
    title = METRIC_TITLES.get(base, base.replace("_", " "))
    return f"{average.capitalize()} {_lowered(base, title)}" if average else title


def official_title(metric: str) -> str:
    """Write the name of an official score for a heading, also of one that no other run has."""
    title = metric_title(metric)
    return f"{title[0].upper()}{title[1:]}"


def metric_in_sentence(metric: str) -> str:
    """Write a metric's name inside a sentence: `macro AUROC`, `mean absolute error`."""
    average, base = split_average(metric)
    title = metric_title(metric)
    return title[0].lower() + title[1:] if average else _lowered(base, title)


def _lowered(base: str, title: str) -> str:
    """Write a title small, unless it is an acronym or begins with a person's name."""
    return title if base in CAPITAL else title[0].lower() + title[1:]


def metric_meaning(metric: str) -> str:
    """Say in a few words what a metric measures; "" for one that is not known."""
    average, base = split_average(metric)
    meaning = METRIC_MEANINGS.get(base, "")
    return f"{meaning} ({AVERAGES[average]})" if average and meaning else meaning


def number(value: float, digits: int = 3) -> str:
    """Write a number with a true minus sign; – where there is none."""
    if math.isnan(value):
        return "–"
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def digits_for(metric: str) -> int:
    """Say how many decimals a metric deserves."""
    return 2 if split_average(metric)[1] in UNITS_OF_TARGET else 3


def span(interval: Interval, digits: int = 3) -> str:
    """Write the ends of an interval."""
    if not interval.has_ends:
        return "–"
    return f"{number(interval.low, digits)} to {number(interval.high, digits)}"


def narrow_span(interval: Interval, digits: int = 3) -> str:
    """Write the ends of an interval for a narrow place: a dash where no minus sign is near."""
    if not interval.has_ends:
        return ""
    if interval.low < 0:
        return span(interval, digits)
    return f"{number(interval.low, digits)}–{number(interval.high, digits)}"


def with_interval(interval: Interval, digits: int = 3) -> str:
    """Write a number and the ends of its interval."""
    ends = f" ({span(interval, digits)})" if interval.has_ends else ""
    return number(interval.value, digits) + ends


def count(value: int, one: str, many: str | None = None) -> str:
    """Write a number of things: `1 record`, `2,345 records`."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def percent(share: float) -> str:
    """Write a share that was chosen, as it was chosen: `2.5 %`, `100 %`."""
    return "–" if math.isnan(share) else f"{share * 100:g} %"


def rounded_percent(share: float) -> str:
    """Write a share that was measured, with two digits: `0.13 %`, `5.8 %`, `42 %`."""
    if math.isnan(share):
        return "–"
    return f"{share * 100:.0f} %" if share >= 0.1 else f"{share * 100:.2g} %"


def listing(names: list[str], most: int = 8) -> str:
    """Write names in a row, and how many more there are."""
    rest = len(names) - most
    shown = ", ".join(names[:most])
    return f"{shown} and {rest} more" if rest > 0 else shown
