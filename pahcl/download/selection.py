"""A part of a data set: files by pattern, records by number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice

from pahcl.download.listing import Listing, RemoteFile
from pahcl.errors import DownloadError, UsageError

HEADER = ".hea"
"""Suffix of the file that each record of PhysioNet has one of."""


@dataclass(frozen=True)
class Selection:
    """Say which files are wanted.

    Args:
        only: Patterns of paths, as the shell writes them, of which one must fit; `*` goes over
            `/`, and none means all.
        records: First and last of the records that are wanted, counted from 1 in the publisher's
            order among those that the patterns leave. Files that belong to no record come along.
    """

    only: tuple[str, ...] = ()
    records: tuple[int, int] | None = None

    @property
    def is_all(self) -> bool:
        """Say whether nothing is left out."""
        return not self.only and self.records is None

    def fits(self, file: RemoteFile) -> bool:
        """Say whether a pattern fits."""
        return not self.only or any(fnmatchcase(file.path, pattern) for pattern in self.only)


def parse_records(text: str | None) -> tuple[int, int] | None:
    """Read `a-b`, or one number.

    Raises:
        UsageError: It is neither.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last:
        raise UsageError(
            f"`--records {text}`: give the first and the last one, counted from 1, as in 1-100."
        )
    return first, last


@dataclass(frozen=True)
class Selected:
    """Give the files of a listing that are wanted; nothing is held but the wanted records' names.

    Args:
        listing: The publisher's files.
        selection: Which of them are wanted.
        records: Names of the wanted records, and of the others; None where all are.
    """

    listing: Listing
    selection: Selection
    records: tuple[frozenset[str], frozenset[str]] | None

    def __iter__(self) -> Iterator[RemoteFile]:
        """Give the files in the publisher's order."""
        for file in self.listing:
            if self.selection.fits(file) and not self._is_of_another_record(file.path):
                yield file

    def _is_of_another_record(self, path: str) -> bool:
        return self.records is not None and path.rpartition(".")[0] in self.records[1]


def select(listing: Listing, selection: Selection) -> Selected:
    """Find the wanted files.

    Raises:
        UsageError: There are none, or fewer records than were asked for.
        DownloadError: The list is empty.
    """
    chosen = Selected(listing, selection, _records(listing, selection))
    if next(iter(listing), None) is None:
        raise DownloadError(f"The list of files at {listing.origin} is empty; try a mirror.")
    if next(iter(chosen), None) is None:
        some = ", ".join(file.path for file in islice(listing, 3))
        raise UsageError(
            f"`--only {' '.join(selection.only)}` fits none of the files at {listing.origin}. The "
            f"first ones are {some}; quote the pattern, so that the "
            "shell leaves it alone."
        )
    return chosen


def _records(
    listing: Listing, selection: Selection
) -> tuple[frozenset[str], frozenset[str]] | None:
    """Tell the wanted records from the others."""
    if selection.records is None:
        return None
    first, last = selection.records
    headers = (file.path for file in listing if file.path.endswith(HEADER))
    names = dict.fromkeys(path.removesuffix(HEADER) for path in headers)
    paths = (file.path for file in listing if selection.fits(file))
    kept = {path.rpartition(".")[0] for path in paths} & names.keys()
    if last > len(kept):
        raise UsageError(
            f"`--records {first}-{last}`: there are {len(kept)} records at {listing.origin}"
            f"{' that fit --only' if selection.only else ''}, each with a header *.hea."
            f"{' Choose files with --only instead.' if not kept else ''}"
        )
    order = [name for name in names if name in kept]
    wanted = frozenset(order[first - 1 : last])
    return wanted, frozenset(names) - wanted
