"""ROC and precision-recall curves of several runs over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from pahcl.reports.classification import (
    ClassScores,
    precision_recall_points,
    recall_panel,
    roc_panel,
    roc_points,
)
from pahcl.reports.style import shorten, squares, styled


@dataclass(frozen=True)
class Panel:
    """Hold what one panel overlays.

    Args:
        title: Its heading.
        lines: Group and scores of each run; runs of one group share a colour.
    """

    title: str
    lines: tuple[tuple[str, ClassScores], ...]


@styled
def overlaid_roc(found: Sequence[Panel], colours: Mapping[str, str]) -> Figure:
    """Draw ROC curves of several runs, one panel a class or a share of labels."""
    figure, axes = squares(len(found), 4.6)
    for axis, panel in zip(axes, found, strict=True):
        roc_panel(axis)
        axis.set_title(shorten(panel.title, 30))
        for group, one in panel.lines:
            axis.plot(*roc_points(one), color=colours[group], linewidth=1.3, alpha=0.8)
    _legend(figure, colours)
    return figure


@styled
def overlaid_precision_recall(found: Sequence[Panel], colours: Mapping[str, str]) -> Figure:
    """Draw precision over recall of several runs, one panel a class or a share of labels."""
    figure, axes = squares(len(found), 4.6)
    for axis, panel in zip(axes, found, strict=True):
        recall_panel(axis, panel.lines[0][1])
        axis.set_title(shorten(panel.title, 30))
        for group, one in panel.lines:
            x, y = precision_recall_points(one)
            axis.step(x, y, where="pre", color=colours[group], linewidth=1.3, alpha=0.8)
    _legend(figure, colours)
    return figure


def _legend(figure: Figure, colours: Mapping[str, str]) -> None:
    """Name the colours once, above the panels."""
    axis = figure.axes[0]
    handles = [axis.plot([], [], color=colour)[0] for colour in colours.values()]
    names = [shorten(name, 44) for name in colours]
    columns = 1 if len(figure.axes) == 1 else min(len(names), 3)
    figure.legend(handles, names, loc="outside upper left", ncols=columns)
