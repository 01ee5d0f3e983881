"""Figures of what a classifier decides: ROC, precision and recall, confusion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pahcl.evaluation.predictions import as_arrays
from pahcl.reports.names import number, rounded_percent
from pahcl.reports.style import (
    CHANCE,
    FULL_WIDTH,
    INK,
    MOST_PANELS,
    MUTED,
    PALETTE,
    panels,
    shorten,
    squares,
    styled,
)
from pahcl.task import Task

Array = npt.NDArray[np.float64]

MOST_WRITTEN = 24
"""Classes of a confusion matrix beyond which its cells are too small to write into."""

GRAIN = 1000
"""Steps of an axis that a curve can be told apart in; finer points are dropped."""


@dataclass(frozen=True)
class ClassScores:
    """Hold one class's labelled records.

    Args:
        name: The class.
        target: `[N]` 0 or 1.
        probability: `[N]` in 0..1.
        prediction: `[N]` 0 or 1, after the threshold.
        threshold: The decision threshold, where there is one.
        auroc: Its area under the ROC curve as the metrics have it, NaN where undefined.
        auprc: Its area under the precision-recall curve likewise.
    """

    name: str
    target: Array
    probability: Array
    prediction: Array
    threshold: float | None = None
    auroc: float = float("nan")
    auprc: float = float("nan")

    @property
    def positives(self) -> int:
        """Count the positive records."""
        return int(self.target.sum())

    @property
    def negatives(self) -> int:
        """Count the negative records."""
        return len(self.target) - self.positives

    @property
    def has_both(self) -> bool:
        """Say whether there are positives and negatives: without them there is no curve."""
        return self.positives > 0 and self.negatives > 0


def class_scores(
    task: Task,
    predictions: pd.DataFrame,
    thresholds: Mapping[str, float] | None = None,
    areas: Mapping[str, tuple[float, float]] | None = None,
) -> list[ClassScores]:
    """Read the classes of a predictions table.

    Args:
        task: The task; not a regression.
        predictions: The predictions table.
        thresholds: Decision threshold a class.
        areas: AUROC and AUPRC a class.
    """
    scored = as_arrays(task, predictions)
    found = []
    for k, name in enumerate(task.classes):
        rows = ~np.isnan(scored.target[:, k]) & np.isfinite(scored.probability[:, k])
        auroc, auprc = (areas or {}).get(name, (float("nan"), float("nan")))
        found.append(
            ClassScores(
                name,
                scored.target[rows, k],
                scored.probability[rows, k],
                scored.prediction[rows, k],
                (thresholds or {}).get(name),
                auroc,
                auprc,
            )
        )
    return found


def main_classes(scores: Sequence[ClassScores], most: int = MOST_PANELS) -> list[ClassScores]:
    """Choose the classes with most positives, in the task's order."""
    if len(scores) <= most:
        return list(scores)
    chosen = sorted(scores, key=lambda s: -s.positives)[:most]
    return [s for s in scores if s in chosen]


def operating_points(target: Array, probability: Array) -> tuple[Array, Array]:
    """Count true and false positives at every threshold, from the strictest on.

    Args:
        target: `[N]` 0 or 1.
        probability: `[N]` scores.

    Returns:
        `[M + 1]` true positives and false positives, beginning with none; M distinct scores.
    """
    order = np.argsort(-probability, kind="stable")
    ordered = probability[order]
    last_of_score = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    hits = np.cumsum(target[order])[last_of_score]
    return np.append(0.0, hits), np.append(0.0, last_of_score + 1 - hits)


def roc_points(scores: ClassScores) -> tuple[Array, Array]:
    """Give false positive rate and sensitivity at every threshold."""
    hits, alarms = operating_points(scores.target, scores.probability)
    return thin(alarms / scores.negatives, hits / scores.positives)


def precision_recall_points(scores: ClassScores) -> tuple[Array, Array]:
    """Give recall and precision at every threshold, from the strictest on.

    The first precision is held back to a recall of 0, as the average precision counts it.
    """
    hits, alarms = operating_points(scores.target, scores.probability)
    recall, precision = hits[1:] / scores.positives, hits[1:] / (hits[1:] + alarms[1:])
    return thin(np.append(0.0, recall), np.append(precision[0], precision))


def thin(x: Array, y: Array) -> tuple[Array, Array]:
    """Drop the points of a curve that lie on the one before to within a thousandth."""
    grid = np.round(np.stack([x, y]) * GRAIN)
    keep = np.append(True, np.any(np.diff(grid, axis=1) != 0, axis=0))
    keep[-1] = True
    return x[keep], y[keep]


def _operating_point(scores: ClassScores) -> tuple[float, float, float]:
    """Give false positive rate, sensitivity and precision of the decisions that were taken."""
    hits = float(scores.target @ scores.prediction)
    alarms = float(scores.prediction.sum()) - hits
    precision = hits / (hits + alarms) if hits + alarms else float("nan")
    return alarms / scores.negatives, hits / scores.positives, precision


def _undefined(axis: Axes, scores: ClassScores) -> None:
    """Say in the panel why there is no curve."""
    what = "positive" if not scores.positives else "negative"
    axis.text(
        0.5,
        0.5,
        f"not defined:\nno {what} record",
        ha="center",
        va="center",
        color=MUTED,
        transform=axis.transAxes,
    )


def unit_square(axis: Axes, x: str, y: str) -> None:
    """Make a panel's axes run from 0 to 1 with the same ticks everywhere."""
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), xlabel=x, ylabel=y)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axis.set_xticks(ticks, ["0", "", "0.5", "", "1"])
    axis.set_yticks(ticks, ["0", "", "0.5", "", "1"])
    axis.set_aspect("equal", adjustable="box")


def roc_panel(axis: Axes) -> None:
    """Lay out a panel for ROC curves, with the diagonal of chance."""
    unit_square(axis, "1 − specificity", "sensitivity")
    axis.plot([0, 1], [0, 1], **CHANCE)


def recall_panel(axis: Axes, scores: ClassScores) -> float:
    """Lay out a panel for precision over recall; draw and give chance, the share of positives."""
    unit_square(axis, "recall (sensitivity)", "precision")
    prevalence = scores.positives / len(scores.target)
    axis.axhline(prevalence, **CHANCE)
    return prevalence


def _drawable(
    figure_axes: Sequence[Axes], scores: Sequence[ClassScores], title: str, metric: str
) -> Iterator[tuple[Axes, ClassScores]]:
    """Head each class's panel; give those that have both positives and negatives."""
    for axis, one in zip(figure_axes, scores, strict=True):
        _heading(axis, one, f"{title} {number(getattr(one, metric))}", len(scores) == 1)
        if one.has_both:
            yield axis, one
        else:
            unit_square(axis, "", "")
            _undefined(axis, one)


def _heading(axis: Axes, scores: ClassScores, fact: str, alone: bool) -> None:
    axis.set_title(fact if alone else f"{shorten(scores.name, 18)}: {fact}")


@styled
def roc_curves(scores: Sequence[ClassScores]) -> Figure:
    """Draw each class's ROC curve with the point of the chosen threshold."""
    figure, axes = squares(len(scores))
    for axis, one in _drawable(axes, scores, "AUROC", "auroc"):
        roc_panel(axis)
        axis.plot(*roc_points(one), color=PALETTE[0])
        rate, sensitivity, _ = _operating_point(one)
        axis.plot(rate, sensitivity, "o", color=PALETTE[1], markersize=6, zorder=4)
    return figure


@styled
def precision_recall_curves(scores: Sequence[ClassScores]) -> Figure:
    """Draw each class's precision over recall, with its prevalence as the line of chance."""
    figure, axes = squares(len(scores))
    for axis, one in _drawable(axes, scores, "AUPRC", "auprc"):
        prevalence = recall_panel(axis, one)
        high = prevalence > 0.85
        axis.annotate(
            f"prevalence {rounded_percent(prevalence)}",
            (0, prevalence),
            xytext=(2, -3 if high else 3),
            textcoords="offset points",
            va="top" if high else "bottom",
            color=MUTED,
            fontsize=7.5,
        )
        axis.step(*precision_recall_points(one), where="pre", color=PALETTE[0])
        _, sensitivity, precision = _operating_point(one)
        axis.plot(sensitivity, precision, "o", color=PALETTE[1], markersize=6, zorder=4)
    return figure


@styled
def confusion_tables(scores: Sequence[ClassScores]) -> Figure:
    """Draw each class's four cells with their counts and their share of the row."""
    figure, axes = squares(len(scores), 3.0)
    for axis, one in zip(axes, scores, strict=True):
        cells = np.zeros((2, 2), dtype=np.int64)
        np.add.at(cells, (one.target.astype(int), one.prediction.astype(int)), 1)
        _matrix(axis, cells, ["no", "yes"])
        axis.set_title(shorten(one.name))
    return figure


@styled
def confusion_matrix(task: Task, predictions: pd.DataFrame) -> Figure:
    """Draw a multiclass confusion matrix with counts and shares of the row."""
    scored = as_arrays(task, predictions)
    rows = ~np.isnan(scored.target).any(axis=1) & np.isfinite(scored.probability).all(axis=1)
    truth = scored.target[rows].argmax(axis=1)
    said = scored.prediction[rows].argmax(axis=1)
    size = task.num_outputs
    cells = np.zeros((size, size), dtype=np.int64)
    np.add.at(cells, (truth, said), 1)
    inches = min(2.0 + 0.75 * size, FULL_WIDTH)
    figure, (axis,) = panels(1, width=inches + 0.8, height=inches * 0.85)
    _matrix(axis, cells, [shorten(name, 20) for name in task.classes])
    return figure


def _matrix(axis: Axes, cells: npt.NDArray[np.int64], names: Sequence[str]) -> None:
    """Shade cells by their share of the row, and write count and share into them."""
    totals = cells.sum(axis=1, keepdims=True)
    shares = np.divide(cells, totals, out=np.zeros(cells.shape), where=totals > 0)
    size = len(names)
    small = size > 8
    for i in range(size):
        for j in range(size):
            # One colour with the share as its opacity reads alike on light and dark pages.
            axis.add_patch(_cell(j, i, float(shares[i, j])))
            if size > MOST_WRITTEN:
                continue
            share = f"{shares[i, j] * 100:.0f} %" if totals[i, 0] else "–"
            axis.text(
                j, i, f"{cells[i, j]:,}", ha="center", va="bottom", fontsize=7 if small else 9
            )
            axis.text(
                j, i + 0.06, share, ha="center", va="top", fontsize=6 if small else 7.5, color=INK
            )
    axis.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), xlabel="predicted", ylabel="true")
    turned = size > 4
    axis.set_xticks(
        range(size), names, rotation=40 if turned else 0, ha="right" if turned else "center"
    )
    axis.set_yticks(range(size), names)
    axis.grid(visible=False)
    axis.tick_params(length=0)
    axis.set_aspect("equal")
    for side in ("left", "bottom"):
        axis.spines[side].set_visible(False)


def _cell(x: int, y: int, share: float) -> Rectangle:
    return Rectangle(
        (x - 0.48, y - 0.48),
        0.96,
        0.96,
        facecolor=PALETTE[5],
        alpha=0.08 + 0.72 * share,
        edgecolor="none",
    )
