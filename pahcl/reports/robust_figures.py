"""Figures of robustness: curves under attack, spectra, corruptions by severity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from pahcl.evaluation.intervals import Interval
from pahcl.evaluation.robustness_file import CONTROL, REPORTED, WORST
from pahcl.evaluation.robustness_tables import TITLES, primary
from pahcl.reports.names import UNITS_OF_TARGET, metric_title, split_average
from pahcl.reports.style import CHANCE, FULL_WIDTH, MUTED, PALETTE, panels, shorten, styled

DRAWN = {REPORTED: PALETTE[1], WORST: PALETTE[3], CONTROL: PALETTE[0]}
SPECTRA = {"signal": PALETTE[0], "perturbation": PALETTE[1]}
DASHES = (0, (3, 3))
DOTS = (0, (1, 2))

ROOM = 0.1
"""Share of the axis that the name of a size needs."""

RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")

RANKINGS = {"auroc": "auprc", "auprc": "auroc"}
"""The two metrics of a ranking; beside one stands the other."""


def shown_metrics(facts: Mapping[str, Any]) -> list[str]:
    """Name the metrics that are drawn: the primary one, and beside a ranking's the other."""
    metric = facts["metric"]
    average, base = split_average(metric)
    other = "_".join(filter(None, (average, RANKINGS.get(base, ""))))
    known = Interval.read(facts["clean"]["metrics"].get(other)).known
    return [metric, other] if base in RANKINGS and known else [metric]


def axis_title(facts: Mapping[str, Any], metric: str) -> str:
    """Name a metric with its unit."""
    unit = facts["task"].get("unit")
    title = metric_title(metric)
    return f"{title} [{unit}]" if unit and metric in UNITS_OF_TARGET else title


@dataclass(frozen=True)
class Curve:
    """Hold a metric over the size of an attack, the clean point first.

    Args:
        sizes: Ascending, from 0.
        points: The metric at each.
    """

    sizes: tuple[float, ...]
    points: tuple[Interval, ...]

    @classmethod
    def read(cls, facts: Mapping[str, Any], attack: str, metric: str) -> Curve | None:
        """Read a curve of `robustness.json`; None where the attack was not made."""
        found = [(0.0, facts["clean"])]
        found += [
            (float(point["epsilon"]), point["attacks"][attack])
            for point in facts["curve"]
            if attack in point["attacks"]
        ]
        if len(found) < 2:
            return None
        points = tuple(Interval.read(scores["metrics"].get(metric)) for _, scores in found)
        return cls(tuple(size for size, _ in found), points)

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Give the heights."""
        return np.array([one.value for one in self.points])

    def draw(
        self, axis: Axes, x: npt.NDArray[np.float64], *, band: bool = True, **look: Any
    ) -> None:
        """Draw the line and, where its ends are known, the band of its interval."""
        low, high = (np.array([getattr(p, end) for p in self.points]) for end in ("low", "high"))
        if band and not np.isnan(low).all():
            axis.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
        axis.plot(x, self.values, marker="o", markersize=3.5, **look)


def place_sizes(axis: Axes, sizes: Sequence[float], unit: str) -> npt.NDArray[np.float64]:
    """Make the axis of sizes: log(1 + size / smallest), on which 0 has a place.

    Sizes that stand too near to their neighbours keep their tick and lose its name.

    Returns:
        Where the sizes lie.
    """
    smallest = min((size for size in sizes if size > 0), default=1.0)
    places = np.log1p(np.asarray(sizes) / smallest)
    least, last = ROOM * (places[-1] - places[0]), places[-1]
    names, free = [], -np.inf
    for size, place in zip(sizes, places, strict=True):
        fits = place >= free and (place == last or last - place >= least)
        free = place + least if fits else free
        names.append(("clean" if size == 0 else f"{size:g}") if fits else "")
    axis.set_xticks(places, names)
    axis.minorticks_off()
    axis.margins(x=0.03)
    axis.set_xlabel(f"epsilon [{unit}]")
    return np.asarray(places)


@styled
def robust_curve(facts: Mapping[str, Any], metric: str) -> Figure:
    """Draw a metric over the size of the attack, beside noise and the worst case."""
    figure, (axis,) = panels(1, height=3.6)
    for name, colour in DRAWN.items():
        curve = Curve.read(facts, name, metric)
        if curve is None:
            continue
        curve.draw(
            axis,
            place_sizes(axis, curve.sizes, facts["unit"]),
            band=name != WORST,
            color=colour,
            linestyle=DASHES if name == WORST else "-",
            label=TITLES[name],
        )
    _bounds(axis, facts["bounds"].get(metric, {}))
    axis.set_ylabel(axis_title(facts, metric))
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def power_of_ten(value: float) -> str:
    """Write a tick of a logarithmic axis; nothing for what is no power of ten."""
    exponent = round(math.log10(value)) if value > 0 else 0
    if value <= 0 or not math.isclose(value, 10.0**exponent, rel_tol=1e-6):
        return ""
    return "10" + str(exponent).translate(RAISED)


def _bounds(axis: Axes, bounds: Mapping[str, Any]) -> None:
    """Draw what chance scores and what no ranking can fall below."""
    for name, style in (("chance", DASHES), ("floor", DOTS)):
        if bounds.get(name) is not None:
            axis.axhline(
                bounds[name], color=MUTED, linewidth=1, linestyle=style, label=name, zorder=1
            )


@styled
def power_densities(spectrum: Mapping[str, Any], unit: str) -> Figure:
    """Draw the mean power density of signal and perturbation."""
    figure, (axis,) = panels(1, height=3.2)
    least = math.inf
    for name, (frequency, power) in _powers(spectrum).items():
        least = min(least, float(power[power > 0].min(initial=math.inf)))
        drawn = np.where(power > 0, power, np.nan)
        axis.plot(frequency, drawn, color=SPECTRA[name], label=name)
    if math.isfinite(least):
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(numticks=7))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
        axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_ylabel(f"power density [{unit if len(unit) < 5 else 'unit'}²/Hz]")
    return _over_frequency(figure, axis)


@styled
def power_below(spectrum: Mapping[str, Any]) -> Figure:
    """Draw the share of the power of signal and perturbation below each frequency."""
    figure, (axis,) = panels(1, height=3.2)
    for name, (frequency, power) in _powers(spectrum).items():
        if power.sum() > 0:
            share = 100 * np.cumsum(power) / power.sum()
            axis.plot(frequency, share, color=SPECTRA[name], label=name)
    axis.axhline(50, **CHANCE)
    axis.set_ylim(0, 102)
    axis.set_ylabel("power below the frequency [%]")
    return _over_frequency(figure, axis)


def _powers(
    spectrum: Mapping[str, Any],
) -> dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    frequency = np.asarray(spectrum["frequency"], np.float64)
    return {name: (frequency, np.asarray(spectrum[name], np.float64)) for name in SPECTRA}


def _over_frequency(figure: Figure, axis: Axes) -> Figure:
    axis.set_xlabel("frequency [Hz]")
    axis.set_xlim(0, None)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


@styled
def corruption_panels(facts: Mapping[str, Any]) -> Figure:
    """Draw the primary metric over severity, one panel a corruption, the clean value beside."""
    kinds = facts["corruptions"]
    figure, axes = panels(len(kinds), min(3, len(kinds)), height=2.0, width=FULL_WIDTH)
    clean = primary(facts, facts["clean"])
    found = [[primary(facts, scores) for scores in kind["severities"]] for kind in kinds]
    known = [
        value
        for one in (clean, *(one for row in found for one in row))
        for value in (one.value, one.low, one.high)
        if not np.isnan(value)
    ]
    for axis, kind, row in zip(axes, kinds, found, strict=True):
        severity = [scores["severity"] for scores in kind["severities"]]
        axis.axhline(clean.value, color=MUTED, linewidth=1, linestyle=DASHES, zorder=1)
        Curve(tuple(severity), tuple(row)).draw(axis, np.array(severity), color=PALETTE[1])
        axis.set_title(kind["title"])
        axis.set_xticks(severity)
        if known:
            room = 0.06 * (max(known) - min(known) or 1.0)
            axis.set_ylim(min(known) - room, max(known) + room)
    figure.supxlabel("severity", fontsize=9)
    figure.supylabel(axis_title(facts, facts["metric"]), fontsize=9)
    return figure


@dataclass(frozen=True)
class Overlay:
    """Hold a panel of curves of several starts.

    Args:
        title: What the panel shows.
        lines: Start and curve; the starts of one panel differ.
        chance: What chance scores; None where it scores nothing.
    """

    title: str
    lines: tuple[tuple[str, Curve], ...]
    chance: float | None


@styled
def overlaid_robustness(
    shown: Sequence[Overlay], columns: int, colours: Mapping[str, str], titles: tuple[str, str]
) -> Figure:
    """Draw the curves of several starts over each other.

    Args:
        shown: Panels, row by row.
        columns: Panels in a row.
        colours: A colour for each start.
        titles: Of the axis of the metric, and the unit of the sizes.
    """
    figure, axes = panels(len(shown), columns, height=3.1, width=columns * FULL_WIDTH / 2)
    labels: dict[str, Any] = {}
    for axis, panel in zip(axes, shown, strict=True):
        for start, curve in panel.lines:
            x = place_sizes(axis, curve.sizes, titles[1])
            curve.draw(axis, x, color=colours[start], label=shorten(start, 40))
        if panel.chance is not None:
            axis.axhline(panel.chance, **CHANCE)
        axis.set_title(panel.title)
        axis.set_ylabel(titles[0])
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            labels.setdefault(label, handle)
    figure.legend(labels.values(), labels.keys(), loc="outside upper left", ncols=3)
    return figure
