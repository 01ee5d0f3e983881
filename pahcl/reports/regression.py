"""Figures of a regression: prediction over truth, Bland and Altman's plot, error by group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pahcl.evaluation.predictions import as_arrays
from pahcl.reports.names import number
from pahcl.reports.style import FAINT, INK, MUTED, PALETTE, panels, shorten, styled
from pahcl.task import Task

Array = npt.NDArray[np.float64]

MOST_POINTS = 3000
"""Points of a scatter; more would only make the page heavy. They are drawn by a fixed seed."""

LIMITS_OF_AGREEMENT = 1.96
"""Standard deviations that hold 95 % of normal differences (Bland and Altman 1986)."""

FEWEST_IN_GROUP = 5


@dataclass(frozen=True)
class Estimates:
    """Hold one output's labelled records.

    Args:
        name: The output.
        truth: `[N]` in the task's unit.
        estimate: `[N]` in the task's unit.
        unit: That unit, if it has one.
    """

    name: str
    truth: Array
    estimate: Array
    unit: str | None

    @property
    def axis_unit(self) -> str:
        """Write the unit for the end of an axis' name."""
        return f" [{self.unit}]" if self.unit else ""


def estimates(task: Task, predictions: pd.DataFrame) -> list[Estimates]:
    """Read the outputs of a regression's predictions table that have a labelled record."""
    scored = as_arrays(task, predictions)
    found = []
    for k, name in enumerate(task.classes):
        rows = ~np.isnan(scored.target[:, k]) & np.isfinite(scored.prediction[:, k])
        if rows.any():
            found.append(
                Estimates(name, scored.target[rows, k], scored.prediction[rows, k], task.unit)
            )
    return found


@styled
def agreement(one: Estimates) -> Figure:
    """Draw prediction over truth, and the difference over the mean of both."""
    figure, (left, right) = panels(2, height=4.4)
    rows = np.arange(len(one.truth))
    if len(rows) > MOST_POINTS:
        rows = np.sort(np.random.default_rng(0).choice(len(rows), MOST_POINTS, replace=False))
    dots = {
        "s": 10 if len(rows) > 300 else 18,
        "color": PALETTE[0],
        "alpha": 0.35 if len(rows) > 300 else 0.6,
        "linewidths": 0,
    }
    ends = [float(f(np.append(one.truth, one.estimate))) for f in (np.min, np.max)]
    left.plot(ends, ends, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    left.scatter(one.truth[rows], one.estimate[rows], **dots)  # type: ignore[arg-type]
    left.set(xlabel=f"true{one.axis_unit}", ylabel=f"predicted{one.axis_unit}", aspect="equal")
    left.set_title(f"{shorten(one.name)}: predicted over true")
    difference = one.estimate - one.truth
    middle = (one.estimate + one.truth) / 2
    right.scatter(middle[rows], difference[rows], **dots)  # type: ignore[arg-type]
    right.set(xlabel=f"mean of both{one.axis_unit}", ylabel=f"predicted − true{one.axis_unit}")
    right.set_title(f"{shorten(one.name)}: Bland–Altman")
    _limits(right, difference)
    return figure


def _limits(axis: Axes, difference: Array) -> None:
    """Draw bias and limits of agreement, named at the right edge outside of the cloud."""
    bias = float(difference.mean())
    reach = LIMITS_OF_AGREEMENT * float(difference.std(ddof=1)) if len(difference) > 1 else 0.0
    axis.axhline(0, color=FAINT, linewidth=0.8)
    for value, name, style in (
        (bias + reach, "+1.96 SD", (0, (4, 3))),
        (bias, "bias", "solid"),
        (bias - reach, "−1.96 SD", (0, (4, 3))),
    ):
        axis.axhline(value, color=PALETTE[1], linewidth=1.2, linestyle=style)
        axis.annotate(
            f"{name}\n{number(value, 2)}",
            (1, value),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=8,
        )


def group_edges(truth: Array, most: int = 8) -> Array:
    """Choose round edges that cut the true values into up to `most` groups of equal width."""
    low, high = float(truth.min()), float(truth.max())
    if high <= low:
        return np.array([low, low + 1.0])
    raw = (high - low) / most
    size = 10.0 ** np.floor(np.log10(raw))
    step = next(size * k for k in (1, 2, 2.5, 5, 10) if size * k >= raw * (1 - 1e-9))
    edges: Array = np.arange(np.floor(low / step), np.floor(high / step) + 2) * step
    return edges


@styled
def error_by_group(one: Estimates) -> Figure:
    """Draw the error over groups of the true value: quartiles, and whiskers from 5 to 95 %."""
    figure, (axis,) = panels(1, height=3.4, width=8.0)
    edges = group_edges(one.truth)
    place = np.digitize(one.truth, edges[1:-1])
    difference = one.estimate - one.truth
    names = []
    for i in range(len(edges) - 1):
        values = difference[place == i]
        names.append(f"{edges[i]:g}–{edges[i + 1]:g}\nn = {len(values):,}")
        if len(values) < FEWEST_IN_GROUP:
            axis.plot(np.full(len(values), i), values, "o", color=PALETTE[0], markersize=4)
            continue
        p5, p25, p50, p75, p95 = np.percentile(values, [5, 25, 50, 75, 95])
        axis.vlines(i, p5, p95, color=PALETTE[0], linewidth=1.2, zorder=1)
        axis.bar(
            i, p75 - p25, 0.55, bottom=p25, color=PALETTE[5], edgecolor=PALETTE[0], linewidth=1
        )
        axis.hlines(p50, i - 0.275, i + 0.275, color=PALETTE[1], linewidth=2.2, zorder=3)
    axis.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
    axis.set_xticks(range(len(names)), names)
    axis.grid(visible=False, axis="x")
    axis.set(xlabel=f"true value{one.axis_unit}", ylabel=f"predicted − true{one.axis_unit}")
    axis.set_title(f"{shorten(one.name)}: error by true value")
    return figure
