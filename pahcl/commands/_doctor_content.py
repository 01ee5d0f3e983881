"""What `pahcl doctor` finds twice: equal samples, within a data set and across data sets."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pahcl.commands._doctor_place import Place
from pahcl.commands._doctor_tables import SIGNALS
from pahcl.files import sha256_file
from pahcl.store import Finding
from pahcl.store.verify import equal_samples

_BLOCK = 4096
_NAMED = 5


def fingerprints(place: Place, step: Callable[[], object]) -> dict[str, list[int]]:
    """Find rows whose files have the same bytes, over the whole data set.

    Of each file three blocks are read, and the whole of those files alone that agree in them. A
    file that several rows share says nothing, nor does a record in several files of signals.

    Args:
        place: A folder with one file of samples a record.
        step: Called once a row.

    Returns:
        SHA-256 of a file -> the rows (two and more) that have it.
    """
    files = place.table["file"].astype(str).to_numpy()
    shared = place.table["file"].duplicated(keep=False).to_numpy()
    beside: dict[Path, dict[str, list[str]]] = {}
    marks = np.zeros(len(files), dtype=np.uint64)  # 0: nothing to compare
    for row, file in enumerate(files):
        step()
        path = None if shared[row] else _samples_file(place.path / file, beside)
        marks[row] = 0 if path is None else _blocks(path)
    _, which, counts = np.unique(marks, return_inverse=True, return_counts=True)
    whole: dict[str, list[int]] = defaultdict(list)
    for row in np.flatnonzero((counts[which] > 1) & (marks != 0)).tolist():
        path = _samples_file(place.path / files[row], beside)
        if path is not None:
            whole[sha256_file(path)].append(row)
    return {digest: rows for digest, rows in whole.items() if len(rows) > 1}


def _samples_file(path: Path, beside: dict[Path, dict[str, list[str]]]) -> Path | None:
    """Find the one file of samples of a record that is named with or without its suffix."""
    if path.suffix.lower() in SIGNALS:
        return path if path.is_file() else None
    if path.parent not in beside:
        beside.clear()  # rows of one folder follow each other: one listing at a time is enough
        beside[path.parent] = _listing(path.parent)
    names = beside[path.parent].get(path.stem if path.suffix == ".hea" else path.name, [])
    return path.parent / names[0] if len(names) == 1 else None


def _listing(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    if folder.is_dir():
        for path in folder.iterdir():
            if path.suffix.lower() in SIGNALS:
                found[path.stem].append(path.name)
    return found


def _blocks(path: Path) -> int:
    """Digest the size of a file and three of its blocks; 0 for one that is empty or unreadable."""
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            mark = hashlib.sha256(str(size).encode())
            for place in sorted({0, max(0, size // 2), max(0, size - _BLOCK)}):
                stream.seek(place)
                mark.update(stream.read(_BLOCK))
    except OSError:
        return 0
    return int.from_bytes(mark.digest()[:8], "little") if size else 0


def repeated(
    place: Place, digests: Mapping[int, bytes], files: Mapping[str, list[int]]
) -> Iterator[Finding]:
    """Report records of equal samples within one data set.

    Args:
        place: The data set.
        digests: Content of the records that were read, by row.
        files: What `fingerprints` gave.
    """
    groups: dict[bytes, list[int]] = defaultdict(list)
    for row, digest in digests.items():
        groups[digest].append(row)
    sets = {tuple(sorted(rows)) for rows in (*groups.values(), *files.values()) if len(rows) > 1}
    for rows in sorted(sets):
        if any(set(rows) < set(other) for other in sets):
            continue
        yield equal_samples(place.table.iloc[list(rows)])


def across(
    places: list[Place], digests: list[Mapping[int, bytes]], names: list[str]
) -> Iterator[Finding]:
    """Report records of equal samples in different data sets.

    Stores are compared by all their records' checksums, whatever else by the records read.

    Args:
        places: The data sets.
        digests: Content of the records that were read of each, by row.
        names: What each is called.
    """
    for second in range(len(places)):
        for first in range(second):
            one, other = places[first], places[second]
            pairs = set(_joined(digests[first], digests[second]))
            if one.store is not None and other.store is not None:
                pairs |= set(_joined_tables(one.table, other.table))
            if pairs:
                yield _common(one, other, sorted(pairs), f"{names[first]}, {names[second]}")


def _joined(first: Mapping[int, bytes], second: Mapping[int, bytes]) -> Iterator[tuple[int, int]]:
    rows: dict[bytes, int] = {}
    for row, digest in first.items():
        rows.setdefault(digest, row)
    yield from ((rows[digest], row) for row, digest in second.items() if digest in rows)


def _joined_tables(first: pd.DataFrame, second: pd.DataFrame) -> Iterator[tuple[int, int]]:
    there = pd.Series(np.arange(len(first)), index=first["digest"].to_numpy())
    there = there[~there.index.duplicated()]
    found = there.reindex(second["digest"].to_numpy())
    rows = np.flatnonzero(found.notna().to_numpy())
    yield from ((int(found.iloc[row]), int(row)) for row in rows)


def _common(one: Place, other: Place, pairs: list[tuple[int, int]], where: str) -> Finding:
    shown = ", ".join(
        f"{one.table['record_id'].iloc[a]} = {other.table['record_id'].iloc[b]}"
        for a, b in pairs[:_NAMED]
    ) + (", …" if len(pairs) > _NAMED else "")
    same = one.dataset == other.dataset
    text = f"{len(pairs)} record(s) of equal samples: {shown}"
    if same:
        return Finding("same records", where, f"{text}; both are {one.dataset}", "hint")
    return Finding("content in two data sets", where, text)
