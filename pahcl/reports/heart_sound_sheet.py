"""Contact sheets: many heart sounds at a glance, a few seconds of each."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pahcl.reports.heart_sound_view import (
    REJECTED,
    HeartSoundView,
    draw_cycles,
    draw_states,
    legend_patches,
    printable,
)
from pahcl.reports.style import FAINT, INK, MUTED, styled

THUMBNAIL_SECONDS = 5.0
"""Seconds of a recording that a thumbnail shows: those in its middle."""

COLUMNS, ROWS = 3, 8
PER_SHEET = COLUMNS * ROWS

_LOUDEST = 1.4
_WIDTH, _MARGIN, _GAP = 12.0, 0.35, 0.28
_HEAD, _FOOT, _TEXT, _PANEL, _BELOW = 0.62, 0.5, 0.42, 0.95, 0.3


@dataclass(frozen=True)
class Missing:
    """Stand for a recording of which nothing can be shown.

    Args:
        name: Of the recording.
        reason: Why.
    """

    name: str
    reason: str


@styled
def contact_sheet(views: Sequence[HeartSoundView | Missing], title: str) -> Figure:
    """Draw the thumbnails of recordings in their order, row by row.

    Args:
        views: At most `PER_SHEET` recordings, of each the excerpt that is shown.
        title: Stands above them.
    """
    rows = max(-(-len(views) // COLUMNS), 1)
    pitch = _TEXT + _PANEL + _BELOW
    height = _HEAD + rows * pitch + _FOOT
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    left = _MARGIN / _WIDTH
    figure.text(
        left, 1 - 0.16 / height, printable(title, 150), fontsize=12, fontweight="bold", va="top"
    )
    width = (_WIDTH - 2 * _MARGIN - (COLUMNS - 1) * _GAP) / COLUMNS
    for place, view in enumerate(views):
        row, column = divmod(place, COLUMNS)
        x = _MARGIN + column * (width + _GAP)
        bottom = height - _HEAD - row * pitch - _TEXT - _PANEL
        axes = figure.add_axes((x / _WIDTH, bottom / height, width / _WIDTH, _PANEL / height))
        _thumbnail(axes, view)
    handles = [Line2D([], [], color=MUTED, linewidth=0.8, label="sound, 25–400 Hz")]
    figure.legend(
        handles=[*handles, *legend_patches()],
        loc="lower left",
        bbox_to_anchor=(left - 0.006, 0.1 / height),
        ncols=7,
        columnspacing=1.4,
        handlelength=1.6,
        borderaxespad=0,
    )
    return figure


def thumbnail_span(duration: float) -> tuple[float, float]:
    """Choose the seconds of a recording that its thumbnail shows."""
    begin = max((duration - THUMBNAIL_SECONDS) / 2, 0.0)
    return begin, min(begin + THUMBNAIL_SECONDS, duration)


def _thumbnail(axes: Axes, view: HeartSoundView | Missing) -> None:
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    if isinstance(view, Missing):
        _caption(axes, view.name, "unreadable", refused=True)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        _say(axes, view.reason)
        return
    found = view.found
    axes.set_xlim(view.begin, view.begin + THUMBNAIL_SECONDS)
    sound = view.prepared()
    time = view.begin + np.arange(len(sound.signal)) / sound.fs
    shown = np.clip(sound.signal, -_LOUDEST, _LOUDEST)
    axes.set_ylim(-_LOUDEST * 1.28, _LOUDEST * 1.62)
    refused = found.refusal is not None
    axes.plot(time, shown, color=FAINT if refused else MUTED, linewidth=0.5, zorder=2)
    draw_states(axes, view, -_LOUDEST * 1.26, 0.2 * _LOUDEST)
    draw_cycles(axes, view, 1.04 * _LOUDEST, 0.56 * _LOUDEST)
    ticks = np.arange(np.ceil(view.begin), view.begin + THUMBNAIL_SECONDS + 1e-6)
    axes.set_xticks(ticks, [f"{tick:g} s" if tick == ticks[0] else f"{tick:g}" for tick in ticks])
    axes.tick_params(labelsize=7, pad=1.5, length=2)
    _caption(axes, view.name, _says(view), refused or not view.is_kept.any())
    if refused:
        _say(axes, f"refused: {found.refusal}")


def _says(view: HeartSoundView) -> str:
    found, kept = view.found, int(view.is_kept.sum())
    length = f"{found.duration:.0f} s" if found.duration >= 10 else f"{found.duration:.1f} s"
    if found.refusal is not None:
        return f"refused · {length}"
    cycles = f"{kept} of {len(found.cycles)} cycles · {length}"
    if not kept:
        return f"no heart rate · {cycles}"
    return f"{view.measures.heart_rate:.0f}/min · confidence {found.confidence:.2f} · {cycles}"


def _caption(axes: Axes, name: str, text: str, refused: bool) -> None:
    colour = REJECTED if refused else INK
    for height, said, weight, shade in (
        (15, printable(name, 46), "bold", INK),
        (4, text, "normal", colour),
    ):
        shown = axes.annotate(
            said, (0, 1), xytext=(0, height), xycoords="axes fraction", textcoords="offset points",
            fontsize=8, color=shade,
        )  # fmt: skip
        shown.set_fontweight(weight)


def _say(axes: Axes, reason: str) -> None:
    axes.text(
        0.5, 0.5, "\n".join(textwrap.wrap(printable(reason, 150), 50)), transform=axes.transAxes,
        ha="center", va="center", fontsize=8, color=REJECTED, zorder=6,
        bbox={"boxstyle": "round,pad=0.4", "fc": "white", "ec": REJECTED, "lw": 0.7},
    )  # fmt: skip
