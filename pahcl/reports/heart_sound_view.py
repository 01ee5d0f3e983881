"""What the pictures of heart sounds show, and how its parts look: states, cycles, texts.

Sounds are saturated and what follows each is its tint, so that the order of the cycle is seen
without its colours; kept and rejected cycles differ by height, filling and hatch besides colour.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font
from matplotlib.patches import Patch, Rectangle

from pahcl.reports.style import INK, PALETTE
from pahcl.signals.heart_cycles import HeartCycles, Prepared, Segmentation, prepare
from pahcl.signals.heart_cycles.measures import CycleMeasures, find_ectopic, measure
from pahcl.signals.repair import repair
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, HeartStates
from pahcl.signals.states_text import sure_states

Flags = npt.NDArray[np.bool_]

STATE_COLOURS = {S1: PALETTE[0], SYSTOLE: "#b5d4e9", S2: PALETTE[1], DIASTOLE: "#f7d9bf"}
STATE_LABELS = {S1: "S1", SYSTOLE: "systole", S2: "S2", DIASTOLE: "diastole"}
KEPT, REJECTED = PALETTE[2], "#a8447e"
HATCH = "/////"
LEAST_CONFIDENCE = 0.3
"""Confidence below which a cycle counts as rejected where nothing else is said."""

_SHOWN_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class HeartSoundView:
    """Hold a recording, or an excerpt of it, with all that was found in the whole.

    Args:
        name: Of the recording.
        signal: `[L]` of the excerpt, as it was recorded; NaN where samples are missing.
        fs: Its rate in Hz.
        found: What was found in the whole recording.
        begin: Where the excerpt begins, in seconds of the recording.
        kept: `[N]`, the cycles that count; None takes those of enough confidence.
    """

    name: str
    signal: npt.NDArray[np.floating]
    fs: float
    found: Segmentation
    begin: float = 0.0
    kept: Flags | None = None
    _kept: Flags = field(init=False, repr=False)

    def __post_init__(self) -> None:
        confident = self.found.cycles.confidence >= LEAST_CONFIDENCE
        object.__setattr__(self, "_kept", confident if self.kept is None else self.kept)

    @property
    def end(self) -> float:
        """Give where the excerpt ends, in seconds of the recording."""
        return self.begin + len(self.signal) / self.fs

    @property
    def is_whole(self) -> bool:
        """Say whether the excerpt is the whole recording."""
        return self.end - self.begin >= self.found.duration - 0.01

    @property
    def is_kept(self) -> Flags:
        """Say which cycles count, `[N]`."""
        return self._kept

    @property
    def kept_cycles(self) -> HeartCycles:
        """Give the cycles that count."""
        return self.found.cycles.take(self._kept)

    @property
    def ectopic(self) -> Flags:
        """Say which of the kept cycles are no normal beats, `[N]` over all cycles."""
        found = np.zeros(len(self._kept), dtype=np.bool_)
        found[self._kept] = find_ectopic(self.kept_cycles)
        return found

    @property
    def measures(self) -> CycleMeasures:
        """Measure the cycles that count."""
        return measure(self.kept_cycles)

    @property
    def states(self) -> HeartStates:
        """Give the states that are sure, which are those of the `.tsv`."""
        return sure_states(self.found.states, self.found.cycles, self._kept)

    def prepared(self) -> Prepared:
        """Give the excerpt as a segmenter hears it: 25 to 400 Hz, 1 is the usual height."""
        samples, _ = repair(np.asarray(self.signal, dtype=np.float32)[None])
        return prepare(samples[0], self.fs)


def excerpt_of(duration: float, wanted: tuple[float, float] | None = None) -> tuple[float, float]:
    """Choose what of a recording is drawn.

    Args:
        duration: Of the recording in seconds.
        wanted: Begin and end in seconds that somebody asks for; what lies beyond is left out.

    Returns:
        Begin and end in seconds: of a recording longer than a minute the minute in its middle.
    """
    if wanted is not None and wanted[0] < duration:
        return wanted[0], min(wanted[1], duration, wanted[0] + _SHOWN_SECONDS)
    if duration <= _SHOWN_SECONDS:
        return 0.0, duration
    begin = float(np.floor((duration - _SHOWN_SECONDS) / 2))
    return begin, begin + _SHOWN_SECONDS


def draw_states(axes: Axes, view: HeartSoundView, bottom: float, height: float) -> None:
    """Draw the states as a strip, and shade the two sounds over the whole panel.

    Args:
        axes: Whose x axis is seconds of the recording.
        view: What is shown.
        bottom: Lower edge of the strip on the y axis.
        height: Of the strip.
    """
    states = view.states
    left, right = axes.get_xlim()
    for state, colour in STATE_COLOURS.items():
        here = (states.state == state) & (states.end > left) & (states.start < right)
        spans = [
            (start, end - start)
            for start, end in zip(
                states.start[here].tolist(), states.end[here].tolist(), strict=True
            )
        ]
        if spans:
            axes.broken_barh(spans, (bottom, height), facecolors=colour, linewidth=0, zorder=3)
        if spans and state in (S1, S2):
            axes.broken_barh(
                spans, (0, 1), facecolors=colour, alpha=0.17, linewidth=0, zorder=0.5,
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip


def draw_cycles(axes: Axes, view: HeartSoundView, bottom: float, height: float) -> None:
    """Draw each cycle as a bar: kept ones high and filled, rejected ones low and hatched.

    The confidence stands in the bar where there is room.
    """
    cycles, left, right = view.found.cycles, *axes.get_xlim()
    inches = axes.get_window_extent().width / axes.figure.dpi
    per_inch = (right - left) / inches
    for k in np.flatnonzero((cycles.end > left) & (cycles.start < right)).tolist():
        start, end = float(cycles.start[k]), float(cycles.end[k])
        kept, gap = bool(view.is_kept[k]), 0.012 * per_inch
        place = bottom + (0.45 * height if kept else 0.0)
        bar = Rectangle(
            (start + gap, place),
            max(end - start - 2 * gap, gap),
            0.55 * height,
            facecolor=KEPT if kept else "white",
            edgecolor=KEPT if kept else REJECTED,
            hatch="" if kept else HATCH,
            linewidth=0.7,
            zorder=4,
            clip_on=True,
        )
        axes.add_patch(bar)
        shown_from, shown_to = max(start, left), min(end, right)
        if (shown_to - shown_from) / per_inch > 0.34:
            axes.text(
                (shown_from + shown_to) / 2,
                place + 0.26 * height,
                f"{cycles.confidence[k]:.2f}",
                ha="center",
                va="center",
                fontsize=6.5,
                color="white" if kept else INK,
                zorder=5,
                bbox=None if kept else {"boxstyle": "square,pad=0.1", "fc": "white", "lw": 0},
            )


def legend_patches() -> list[Patch]:
    """Give what a legend of states and cycles holds."""
    states = [
        Patch(facecolor=colour, label=STATE_LABELS[state])
        for state, colour in STATE_COLOURS.items()
    ]
    return [
        *states,
        Patch(facecolor=KEPT, label="cycle kept (confidence)"),
        Patch(facecolor="white", edgecolor=REJECTED, hatch=HATCH, label="cycle rejected"),
    ]


def heading(view: HeartSoundView) -> str:
    """Write heart rate, confidence and number of cycles, or why there are none."""
    found, kept = view.found, int(view.is_kept.sum())
    if found.refusal is not None:
        return f"refused: {found.refusal}"
    if not kept:
        return f"no heart rate: all {len(found.cycles)} cycles are rejected"
    return (
        f"{view.measures.heart_rate:.0f}/min · confidence {found.confidence:.2f} · {kept} of "
        f"{len(found.cycles)} cycles kept"
    )


def printable(text: str, most: int = 90) -> str:
    """Write a name with the signs that the font has, without its middle where it is long."""
    font = _font()
    signs = [sign if font.get_char_index(ord(sign)) else "□" for sign in text]
    if len(signs) > most:
        head = (most - 1) // 3
        signs = [*signs[:head], "…", *signs[-(most - 1 - head) :]]
    return "".join(signs)


@functools.cache
def _font() -> FT2Font:
    return get_font(findfont(FontProperties(family="DejaVu Sans")))
