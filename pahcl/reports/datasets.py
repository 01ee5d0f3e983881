"""The figure of a data set: its classes by split, and how its records are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pahcl.files import write_atomically
from pahcl.reports.names import rounded_percent
from pahcl.reports.style import FULL_WIDTH, MUTED, PALETTE, shorten, styled

MOST_BARS = 30
"""Classes that one figure shows, the most frequent ones; the table has them all."""

FEWEST_ROWS = 4
"""Rows that bars have room for: a single class is no wall."""

MOST_BINS = 60
"""Bins of a histogram."""

DOTS = 150
"""Dots per inch of a PNG."""


@dataclass(frozen=True)
class Bars:
    """Hold the counts of classes.

    Args:
        names: The classes.
        counts: Positives of each class, `[K]`, by split.
        labelled: How many of these splits are labelled for each class, `[K]`.
        unit: What is counted: records or subjects.
    """

    names: Sequence[str]
    counts: Mapping[str, npt.NDArray[np.int64]]
    labelled: npt.NDArray[np.int64]
    unit: str = "records"


@dataclass(frozen=True)
class Histogram:
    """Hold numbers whose spread is drawn.

    Args:
        title: What they are.
        unit: Name of the axis.
        values: The numbers by group, in any order; what is not finite is left out.
        colours: Of the groups, in their order.
    """

    title: str
    unit: str
    values: Mapping[str, npt.NDArray[np.floating]]
    colours: Sequence[str] = PALETTE


@styled
def dataset_figure(
    title: str, labels: Bars | Sequence[Histogram], around: Sequence[Histogram]
) -> Figure:
    """Draw classes (or targets) at the left, and further histograms beside them.

    Args:
        title: Stands above all.
        labels: Counts of classes; for regression one histogram an output.
        around: Durations, ages and so on.
    """
    left = 1 if isinstance(labels, Bars) else len(labels)
    bars = len(_chosen(labels)) if isinstance(labels, Bars) else 0
    height = max(2.6 * max(left, len(around), 1), 1.3 + 0.24 * bars)
    figure = Figure(figsize=(FULL_WIDTH, min(height, 9.0)), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    columns = 2 if around else 1
    grid = figure.add_gridspec(1, columns, width_ratios=[1.35, 1][:columns])
    places = grid[0].subgridspec(left, 1)
    if isinstance(labels, Bars):
        _bars(figure.add_subplot(places[0]), labels)
    else:
        for place, one in enumerate(labels):
            _histogram(figure.add_subplot(places[place]), one)
    if around:
        places = grid[1].subgridspec(len(around), 1)
        for place, one in enumerate(around):
            _histogram(figure.add_subplot(places[place]), one)
    return figure


def _chosen(bars: Bars) -> npt.NDArray[np.int64]:
    """Choose the classes that are drawn, in their order: of very many those that occur most."""
    totals = np.sum(list(bars.counts.values()), axis=0)
    if len(totals) <= MOST_BARS:
        return np.arange(len(totals))
    most = np.argsort(-totals, kind="stable")[:MOST_BARS]
    return np.sort(most[totals[most] > 0] if totals.any() else most)


def _bars(axes: Axes, bars: Bars) -> None:
    """Draw classes from the top down in their order, splits end to end."""
    chosen = _chosen(bars)
    places = np.arange(len(chosen))
    reached = np.zeros(len(chosen))
    for number, (split, counts) in enumerate(bars.counts.items()):
        here = counts[chosen]
        axes.barh(places, here, left=reached, height=0.72, color=PALETTE[number], label=split)
        reached += here
    labelled = bars.labelled[chosen]
    for place, (total, known) in enumerate(zip(reached, labelled, strict=True)):
        share = f"  {rounded_percent(total / known)}" if total else ""
        text = f" {total:,.0f}{share}" if known else " not labelled"
        axes.text(total, place, text, va="center", fontsize=8, color=MUTED)
    axes.set_yticks(places, [shorten(bars.names[int(k)]) for k in chosen])
    axes.set_ylim(max(len(chosen), FEWEST_ROWS) + 0.5, -0.6)  # a row for the legend
    axes.set_xlim(0, 1.22 * max(reached.max(initial=0), 1))
    axes.set_xlabel(f"positive {bars.unit}")
    axes.grid(visible=False, axis="y")
    rest = len(bars.names) - len(chosen)
    more = f" (the {len(chosen)} most frequent of {len(bars.names)})" if rest else ""
    axes.set_title(f"Positive {bars.unit} by class and split, and share of the labelled{more}")
    axes.legend(loc="lower right", ncols=len(bars.counts))


def _histogram(axes: Axes, found: Histogram) -> None:
    """Draw groups stacked, on shared bins."""
    groups = {name: values[np.isfinite(values)] for name, values in found.values.items()}
    groups = {name: values for name, values in groups.items() if len(values)}
    axes.set_title(found.title)
    axes.set_xlabel(found.unit)
    axes.set_ylabel("records")
    colours = dict(zip(found.values, found.colours, strict=False))
    if not groups:
        axes.text(0.5, 0.5, "not known", transform=axes.transAxes, ha="center", color=MUTED)
        return
    everything = np.concatenate(list(groups.values())).astype(np.float64)
    low, middle, high = np.quantile(everything, (0, 0.5, 1))
    ends = f"{low:.4g} to {high:.4g}, median {middle:.4g}" if low < high else f"all {low:.4g}"
    axes.set_title(f"{found.title}: {ends}")
    axes.hist(
        list(groups.values()),
        bins=_edges(everything).tolist(),
        stacked=True,
        color=[colours[name] for name in groups],
        label=list(groups),
    )
    axes.grid(visible=False, axis="x")
    if len(groups) > 1:
        axes.legend(loc="best")


def _edges(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Choose bins of a round width; one value gets a bin of its own, with room beside it."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        room = 0.05 * max(abs(low), 1.0)
        return np.linspace(low - 5 * room, low + 5 * room, 12)
    # Freedman and Diaconis (1981): a long tail does not widen the bins of the bulk.
    quarters = np.quantile(values, (0.25, 0.75))
    wanted = 2 * float(quarters[1] - quarters[0]) / len(values) ** (1 / 3)
    rough = max(min(wanted or (high - low), (high - low) / 15), (high - low) / MOST_BINS)
    power = 10.0 ** np.floor(np.log10(rough))
    width = power * min((1, 2, 2.5, 5, 10), key=lambda step: abs(np.log(step * power / rough)))
    first, last = int(np.floor(low / width)), int(np.floor(high / width))
    edges: npt.NDArray[np.float64] = np.arange(first, last + 2, dtype=np.float64) * width
    return edges


@styled
def save(figure: Figure, path: Path) -> None:
    """Write a figure that stands alone, on white; texts of an SVG are drawn as shapes.

    Args:
        figure: The figure.
        path: A file that ends in .svg or .png.
    """
    form = path.suffix.lower().removeprefix(".")
    # Nothing that changes from call to call: the same records give the same bytes.
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    with mpl.rc_context({"svg.fonttype": "path"}):
        write_atomically(
            path,
            lambda stream: figure.savefig(
                stream, format=form, dpi=DOTS, facecolor="white", metadata=metadata
            ),
        )
