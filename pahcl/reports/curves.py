"""Learning curves: loss and primary metric over epochs, of one run or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pahcl.reports.logs import TrainingLog
from pahcl.reports.names import metric_in_sentence, metric_title
from pahcl.reports.style import FULL_WIDTH, HALF_WIDTH, MUTED, PALETTE, panels, shorten, styled

APART = 1.07
"""Factor by which groups of one share of labels stand apart, so that their runs can be seen."""


@styled
def learning_curves(log: TrainingLog, metric: str | None) -> Figure:
    """Draw training and validation loss, and the validation metric with its best epoch.

    Args:
        log: The training log.
        metric: The primary metric without the split; None draws the losses alone.
    """
    series = log.epochs(f"val/{metric}") if metric else pd.Series(dtype=float)
    with_metric = not series.empty and metric is not None
    figure, axes = panels(2 if with_metric else 1, height=2.9)
    best = log.best_epoch(metric) if with_metric and metric else None
    for key, colour, label in (("train", 0, "training"), ("val", 1, "validation")):
        _line(axes[0], log.epochs(f"{key}/loss"), PALETTE[colour], label)
    axes[0].set_title("Loss")
    if with_metric and metric is not None:
        _line(axes[1], series, PALETTE[1], "validation")
        axes[1].set_title(f"{metric_title(metric)} on validation")
    for axis in axes:
        _epoch_axis(axis)
        if best is not None:
            axis.axvline(best, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend(loc="best")
    if best is not None:
        _mark_best(axes[1], best, float(series[best]))
    return figure


def _line(axis: Axes, values: pd.Series, colour: str, label: str) -> None:
    if values.empty:
        return
    marker = "o" if len(values) <= 30 else ""
    axis.plot(
        values.index.to_numpy(),
        values.to_numpy(),
        color=colour,
        label=label,
        marker=marker,
        markersize=3,
    )


def _epoch_axis(axis: Axes) -> None:
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set_xlabel("epoch")
    axis.margins(x=0.03, y=0.12)


def _mark_best(axis: Axes, best: int, value: float) -> None:
    """Ring the best epoch, and name it above the panel, where no curve runs."""
    axis.plot(
        best,
        value,
        "o",
        markersize=9,
        markerfacecolor="none",
        color=PALETTE[1],
        markeredgewidth=1.5,
    )
    axis.set_title(f"best: epoch {best}, {value:.3f}", loc="right", color=MUTED)


@styled
def overlaid_curves(
    logs: Sequence[tuple[str, TrainingLog]], metric: str, colours: Mapping[str, str]
) -> Figure:
    """Draw the validation loss and metric of several runs over each other.

    Args:
        logs: Group and log of each run; runs of one group share a colour.
        metric: The primary metric without the split.
        colours: A colour for each group.
    """
    figure, axes = panels(2, height=3.2, width=FULL_WIDTH)
    seen: set[str] = set()
    for group, log in logs:
        label = None if group in seen else shorten(group, 40)
        seen.add(group)
        for axis, key in zip(axes, ("val/loss", f"val/{metric}"), strict=True):
            values = log.epochs(key)
            axis.plot(
                values.index.to_numpy(),
                values.to_numpy(),
                color=colours[group],
                label=label,
                linewidth=1.3,
                marker="o" if len(values) <= 30 else "",
                markersize=2.5,
                alpha=0.8,
            )
    axes[0].set_title("Loss on validation")
    axes[1].set_title(f"{metric_title(metric)} on validation")
    for axis in axes:
        _epoch_axis(axis)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=3)
    return figure


@styled
def efficiency(
    points: pd.DataFrame, metric: str, colours: Mapping[str, str], unit: str | None = None
) -> Figure:
    """Draw a metric over the share of labels, one line an initialisation.

    Args:
        points: Rows with `initialisation`, `fraction`, `value` (one a run) and, for the mean of
            each group, `mean`, `low`, `high`.
        metric: The metric's name.
        colours: A colour for each initialisation.
        unit: Physical unit of the metric, if it has one.
    """
    figure, (axis,) = panels(1, height=3.8, width=HALF_WIDTH * 1.45)
    fractions = sorted(points["fraction"].unique())
    groups = [group for group in colours if group in set(points["initialisation"])]
    for i, group in enumerate(groups):
        rows = points[points["initialisation"] == group]
        # Groups stand side by side, so that their intervals can be told apart.
        shift = APART ** (i - (len(groups) - 1) / 2)
        means = rows.drop_duplicates("fraction").sort_values("fraction")
        x = means["fraction"].to_numpy() * 100 * shift
        middle = means["mean"].to_numpy()
        ends = [middle - means["low"].to_numpy(), means["high"].to_numpy() - middle]
        axis.errorbar(
            x, middle, yerr=ends, color=colours[group], marker="o", capsize=3, label=shorten(group)
        )
        axis.scatter(
            rows["fraction"] * 103 * shift, rows["value"], s=12, color=colours[group], alpha=0.45
        )
    _share_axis(axis, fractions)
    axis.set_ylabel(metric_title(metric) + (f" [{unit}]" if unit else ""))
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


@styled
def paired_efficiency(
    points: pd.DataFrame, metric: str, colours: Mapping[str, str], unit: str | None = None
) -> Figure:
    """Draw paired differences over the share of labels, one panel for each side compared with.

    Args:
        points: Rows with `against`, `initialisation`, `fraction`, `difference`, `low`, `high`.
        metric: The metric's name.
        colours: A colour for each initialisation.
        unit: Physical unit of the metric, if it has one.
    """
    sides = list(dict.fromkeys(points["against"]))
    width = FULL_WIDTH if len(sides) > 1 else HALF_WIDTH * 1.45
    figure, axes = panels(len(sides), min(len(sides), 3), height=3.4, width=width)
    for axis, side in zip(axes, sides, strict=True):
        found = points[points["against"] == side]
        groups = [group for group in colours if group in set(found["initialisation"])]
        for i, group in enumerate(groups):
            rows = found[found["initialisation"] == group].sort_values("fraction")
            shift = APART ** (i - (len(groups) - 1) / 2)
            middle = rows["difference"].to_numpy()
            ends = [middle - rows["low"].to_numpy(), rows["high"].to_numpy() - middle]
            axis.errorbar(
                rows["fraction"].to_numpy() * 100 * shift,
                middle,
                yerr=ends,
                color=colours[group],
                marker="o",
                capsize=3,
                label=shorten(group),
            )
        axis.axhline(0, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
        _share_axis(axis, sorted(points["fraction"].unique()))
        training = "training " if side.startswith("from scratch") else ""
        axis.set_title(f"against {training}{shorten(side)}")
    axes[0].set_ylabel(
        f"difference of the {metric_in_sentence(metric)}" + (f" [{unit}]" if unit else "")
    )
    lines = [axis.get_legend_handles_labels() for axis in axes]
    shown = {name: line for found in lines for line, name in zip(*found, strict=True)}
    figure.legend(list(shown.values()), list(shown), loc="outside upper left", ncols=3)
    return figure


def _share_axis(axis: Axes, fractions: Sequence[float]) -> None:
    """Lay the shares of labels out by their ratios."""
    axis.set_xscale("log")
    axis.set_xticks([f * 100 for f in fractions], [f"{f * 100:g} %" for f in fractions])
    axis.minorticks_off()
    axis.set_xlim(min(fractions) * 100 / 1.25, max(fractions) * 100 * 1.25)
    axis.set_xlabel("share of the training labels")
