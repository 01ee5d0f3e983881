"""What a page is made of: sections with figures, tables, notes and records on paper."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from pahcl.reports.attacked import Attacked
from pahcl.reports.paper import Gallery
from pahcl.reports.style import Picture, to_svg
from pahcl.reports.tables import Table


@dataclass(frozen=True)
class Section:
    """Hold one section of the page.

    Args:
        name: Its anchor.
        title: Its heading.
        pictures: Figures, in order.
        tables: Tables, in order.
        note: A sentence at its beginning; where it holds nothing, the reason.
        warnings: What to be careful about in this section.
        remarks: What the evaluation had to say, in small print.
        gallery: Records on paper.
        attacked: Attacked records on paper.
    """

    name: str
    title: str
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    note: str = ""
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    gallery: Gallery | None = None
    attacked: Attacked | None = None


def picture(figure: Figure, name: str, alt: str, caption: str) -> Picture:
    """Make a drawn figure part of a page; a narrow one may stand beside another."""
    wide = bool(figure.get_size_inches()[0] > 6)
    return Picture(to_svg(figure, name), alt, caption, wide)
