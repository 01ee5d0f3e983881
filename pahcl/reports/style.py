"""One look for every figure: colours, sizes, and how a figure becomes part of a page.

Figures are `matplotlib.figure.Figure` objects drawn without pyplot, so that nothing lives on in
the process and several pages can be drawn in threads. Colours are written into the page as CSS
variables, with the printed colour as their fallback: a figure follows the page into dark mode.
"""

from __future__ import annotations

import functools
import io
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import matplotlib.style as mpl_style
from cycler import cycler
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#1b1f24"
MUTED = "#69707a"
GRID = "#dfe2e6"
FAINT = "#b4bac2"

# Okabe and Ito's palette for colour-blind readers, without its black and its yellow, which vanish
# on a dark and on a light page; brown-grey closes the series.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a6a53")

POSITIVE, NEGATIVE = PALETTE[1], PALETTE[0]

CHANCE: Mapping[str, Any] = {"color": FAINT, "linewidth": 1, "linestyle": (0, (3, 3))}
"""How the line of chance is drawn."""

FULL_WIDTH = 11.0
"""Width of a figure over the whole page, in inches."""

HALF_WIDTH = 5.4
"""Width of one of two figures side by side, in inches."""

SQUARE = 4.0
"""Height of a single square panel, in inches."""

MOST_PANELS = 12
"""Panels that one figure may hold; the classes beyond are in the tables."""

_STYLE = {
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.7,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titlepad": 6,
    "axes.titlecolor": INK,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "svg.hashsalt": "pahcl",
    "text.color": INK,
    "text.parse_math": False,  # a class may be called `$T$`
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
}

_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    FAINT: "--faint",
    **{colour: f"--series-{i}" for i, colour in enumerate(PALETTE)},
}

# matplotlib keeps its settings in one global table: whoever draws holds this lock.
_LOCK = threading.RLock()

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Picture:
    """Hold one drawn figure, ready for a page.

    Args:
        svg: The drawing, self-contained.
        alt: What it shows, in a sentence, for those who do not see it.
        caption: How to read it.
        wide: Whether it wants the whole width of the page.
    """

    svg: Markup
    alt: str
    caption: str
    wide: bool = True


def styled(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a drawing function under the house style, whatever the user's matplotlibrc says."""

    @functools.wraps(draw)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with _LOCK, mpl_style.context(_STYLE, after_reset=True):
            return draw(*args, **kwargs)

    return wrapper


def panels(
    count: int, columns: int | None = None, *, height: float = 2.7, width: float | None = None
) -> tuple[Figure, list[Axes]]:
    """Make a figure of equal panels, as many as asked for.

    Args:
        count: Number of panels.
        columns: Panels side by side; None chooses.
        height: Height of a row, in inches.
        width: Width of the figure, in inches; None takes half a page for one panel.

    Returns:
        The figure and its `count` axes, in reading order.
    """
    columns = columns or (count if count <= 3 else 3 if count in (5, 6, 9) else 4)
    rows = -(-count // columns)
    width = width or (HALF_WIDTH if count == 1 else FULL_WIDTH)
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.09, h_pad=0.09)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def squares(count: int, single: float = SQUARE) -> tuple[Figure, list[Axes]]:
    """Make a figure of square panels without empty space between them.

    Args:
        count: Number of panels.
        single: Height of a panel that stands alone, in inches.
    """
    columns = 3 if count in (3, 5, 6, 9) else min(count, 4)
    height = {1: single, 2: 3.4, 3: 3.2}.get(columns, 2.6)
    return panels(count, columns, height=height, width=columns * (height + 0.25))


def shorten(text: str, most: int = 26) -> str:
    """Cut a long name so that it fits above a panel."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


@styled
def to_svg(figure: Figure, name: str) -> Markup:
    """Write a figure as SVG that can stand in a page beside others.

    The same figure gives the same bytes: no date, salted identifiers, and `name` before each of
    them, so that two figures of a page never share one.

    Args:
        figure: The figure.
        name: Identifier of the figure within its page: letters, digits, hyphens.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    # A rule for `*` inside an inline drawing would hold for the whole page.
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "inherit", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable}, {colour})")
    width = figure.get_size_inches()[0] * 72
    opening = f'<svg style="width: 100%; max-width: {width:.0f}pt; height: auto"'
    text = re.sub(r'<svg (.*?)\bheight="[^"]*" ', r"<svg \1", text, count=1, flags=re.DOTALL)
    text = re.sub(r'<svg (.*?)\bwidth="[^"]*" ', r"<svg \1", text, count=1, flags=re.DOTALL)
    return Markup(text.replace("<svg", opening, 1).strip())
