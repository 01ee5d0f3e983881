"""Figures of what a classifier's scores are worth: calibration and distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pahcl.evaluation.calibration import reliability_curve
from pahcl.reports.classification import ClassScores, unit_square
from pahcl.reports.names import number
from pahcl.reports.style import (
    CHANCE,
    FAINT,
    INK,
    MUTED,
    NEGATIVE,
    PALETTE,
    POSITIVE,
    panels,
    shorten,
    squares,
    styled,
)
from pahcl.task import Task

SCORE_BINS = 25


@styled
def reliability_diagrams(
    task: Task,
    predictions: pd.DataFrame,
    scores: Sequence[ClassScores],
    errors: Mapping[str, float],
) -> Figure:
    """Draw each class's share of positives over the predicted probability, with counts.

    Args:
        task: The task; not a regression.
        predictions: The predictions table.
        scores: The classes to draw.
        errors: Expected calibration error a class.
    """
    figure, axes = squares(len(scores))
    table = reliability_curve(task, predictions)
    for axis, one in zip(axes, scores, strict=True):
        unit_square(axis, "predicted probability", "observed share")
        fact = f"ECE {number(errors.get(one.name, float('nan')))}"
        axis.set_title(fact if len(scores) == 1 else f"{shorten(one.name, 18)}: {fact}")
        axis.plot([0, 1], [0, 1], **CHANCE)
        bins = table[table["class"] == one.name]
        if bins.empty:
            axis.text(0.5, 0.5, "no labelled record", ha="center", color=MUTED)
            continue
        # Bars at the foot show how many records each bin holds, the fullest one a quarter high.
        count = bins["n"].to_numpy()
        lower, upper = bins["lower"].to_numpy(), bins["upper"].to_numpy()
        width = 0.85 * (upper - lower)
        axis.bar(
            (lower + upper) / 2, 0.25 * count / count.max(), width=width, color=FAINT, alpha=0.5
        )
        x, y = bins["mean_probability"].to_numpy(), bins["observed"].to_numpy()
        ends = [y - bins["low"].to_numpy(), bins["high"].to_numpy() - y]
        axis.errorbar(
            x,
            y,
            yerr=np.maximum(ends, 0),
            color=PALETTE[0],
            marker="o",
            markersize=4,
            linewidth=1.2,
            elinewidth=0.9,
        )
        axis.annotate(
            f"n = {count.sum():,}",
            (0.02, 0.98),
            xycoords="axes fraction",
            va="top",
            color=MUTED,
            fontsize=7.5,
        )
    return figure


@styled
def score_histograms(scores: Sequence[ClassScores]) -> Figure:
    """Draw how each class's scores are spread over its positives and its negatives."""
    figure, axes = panels(len(scores), height=3.6 if len(scores) == 1 else 2.3)
    edges = np.linspace(0, 1, SCORE_BINS + 1)
    for axis, one in zip(axes, scores, strict=True):
        for label, colour, rows in (
            ("negative", NEGATIVE, one.target == 0),
            ("positive", POSITIVE, one.target == 1),
        ):
            if not rows.any():
                continue
            counts, _ = np.histogram(one.probability[rows], edges)
            axis.stairs(
                counts / counts.sum(), edges, fill=True, color=colour, alpha=0.28, linewidth=0
            )
            axis.stairs(
                counts / counts.sum(),
                edges,
                color=colour,
                linewidth=1.3,
                label=label,
            )
        axis.set_ylim(bottom=0)
        axis.set(xlim=(-0.01, 1.01), xlabel="probability", ylabel="share of group")
        axis.set_title(
            f"{shorten(one.name, 18)}: {one.positives:,} of {len(one.target):,} positive"
        )
        if one.threshold is not None:
            line = (0, (4, 2))
            axis.axvline(one.threshold, color=INK, linewidth=1, linestyle=line, label="threshold")
    named = {
        label: handle
        for axis in axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    if named:
        figure.legend(named.values(), named.keys(), loc="outside upper left", ncols=3)
    return figure
