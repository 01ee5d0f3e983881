"""Which files a folder holds, and which of them a table means."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data_modules._own import wfdb_record
from data_modules._own.kinds import READERS, SOUNDS, suffix_of
from pahcl.errors import RecordError
from pahcl.store import Rejection

_SAMPLES = frozenset({".mat", ".dat"})
_PART_OF_CYCLE = re.compile(r"_sub_\d+\.npy$")
_HIDDEN = frozenset({"__MACOSX"})
_ROW = re.compile(r"::(\d{1,12})$")


@dataclass(frozen=True)
class Files:
    """Hold what lies below a folder, by path relative to it.

    Args:
        records: Files of the known kinds, sorted.
        rejected: Files that are part of a record which is not there, or cannot be named.
        notes: Counts of the others.
    """

    records: tuple[str, ...]
    rejected: tuple[Rejection, ...]
    notes: dict[str, int]


def list_files(root: Path) -> Files:
    """List the files below a folder; links to folders are rejected, hidden files left out."""
    links: list[str] = []
    paths = sorted(_walk(root, links))
    there = set(paths)
    rejected = [_unnamed(path) for path in paths if not _is_text(path)]
    paths = [path for path in paths if _is_text(path)]
    records: list[str] = []
    loose: list[str] = []
    parts, beside, samples, others = 0, 0, 0, 0
    for path in paths:
        suffix, stem = suffix_of(path), path[: -len(suffix_of(path)) or None]
        if suffix == ".hea" and any(f"{stem}{sound}" in there for sound in SOUNDS):
            beside += 1
        elif _PART_OF_CYCLE.search(path):
            parts += 1
        elif suffix in READERS:
            records.append(path)
        elif suffix in _SAMPLES and f"{stem}.hea" not in there:
            loose.append(path)
        elif suffix and f"{stem}.hea" in there:
            samples += 1
        else:
            others += 1
    orphans = _orphans(root, loose, records)
    notes = {
        "files of other kinds": others,
        "files of samples that a header tells of": samples + len(loose) - len(orphans),
        "headers beside a sound file": beside,
        "parts of cycles, which hold the same samples again": parts,
    }
    rejected += [Rejection(link, link, "it is a link to a folder; copy it") for link in links]
    return Files(tuple(records), (*rejected, *orphans), notes)


def _walk(root: Path, links: list[str]) -> Iterator[str]:
    """Give the files below a folder, and collect links to folders, which may run in circles."""
    for folder, inside, names in os.walk(root, onerror=_refuse):
        inside[:] = sorted(n for n in inside if not n.startswith(".") and n not in _HIDDEN)
        below = Path(folder).relative_to(root).as_posix()
        start = "" if below == "." else f"{below}/"
        links += [f"{start}{name}" for name in inside if Path(folder, name).is_symlink()]
        for name in names:
            if not name.startswith("."):
                yield f"{start}{name}"


def _refuse(error: OSError) -> None:
    raise error


def _is_text(path: str) -> bool:
    return (
        path.isprintable()
        and "\ufffd" not in path
        and path.encode("utf-8", "ignore") == (path.encode("utf-8", "surrogateescape"))
    )


def _unnamed(path: str) -> Rejection:
    name = ascii(path)
    return Rejection(name, name, "the file's name is no UTF-8 text, so no table can name it")


def _orphans(root: Path, loose: list[str], records: list[str]) -> list[Rejection]:
    """Name the files of samples that no header means."""
    if not loose:
        return []
    meant = set()
    for file in records:
        if suffix_of(file) == ".hea":
            try:
                names = wfdb_record.read_header(root / file).files
            except RecordError:
                continue
            meant |= {(PurePosixPath(file).parent / name).as_posix() for name in names}
    return [
        Rejection(file, record_name(file), "no header (.hea) tells what these samples are")
        for file in loose
        if file not in meant
    ]


def record_name(file: str, row: int | None = None) -> str:
    """Name a record: its path without the suffix, and its row."""
    folder, slash, name = file.rpartition("/")
    name = f"{folder}{slash}{name.rpartition('.')[0] or name}"
    return name if row is None else f"{name}#{row}"


class Resolver:
    """Find the file that a table means.

    Args:
        files: Paths below the folder.
    """

    def __init__(self, files: Iterable[str]) -> None:
        # Some systems write é as e and an accent, and tables are written on others.
        self.files = {composed(file): file for file in files}
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        self.by_name: dict[str, list[str]] = defaultdict(list)
        for file in self.files:
            stem = record_name(file)
            self.by_stem[stem].append(file)
            self.by_name[file.rpartition("/")[2]].append(file)
            self.by_name[stem.rpartition("/")[2]].append(file)

    def find(self, text: str) -> tuple[str | None, int | None, str | None]:
        """Find a file by its path, or by one that ends in it or in which it ends, if just one does.

        Tables are moved with their folders, or written before: `wavs/a.wav` and `data/wavs/a.wav`
        may mean one file. `p2/a.wav` never means `p1/a.wav`.

        Args:
            text: What the table says, with or without the suffix; `path::3` means row 3 of a file.

        Returns:
            The file, its row if the text names one, and what is wrong if there is no file.
        """
        row = _ROW.search(text)
        number = int(row[1]) if row else None
        path = composed(text[: row.start()] if row else text).strip().replace("\\", "/")
        path = path.removeprefix("./")
        if path in self.files:
            return self.files[path], number, None
        if path.startswith("/") or ".." in path.split("/") or re.match(r"[A-Za-z]:", path):
            return None, number, "the path leads out of the folder: name files below it"
        last = path.rpartition("/")[2]
        for named in (self.by_stem.get(path, []), self.by_name.get(last, [])):
            found = [file for file in named if _ends_alike(path, file)]
            if len(found) == 1:
                return self.files[found[0]], number, None
            if found:
                return None, number, f"the folder has {len(found)} files of that name"
        return None, number, "the table names this file, which the folder does not hold"


def composed(text: str) -> str:
    """Write letters with accents as one sign each."""
    return unicodedata.normalize("NFC", text)


def _ends_alike(path: str, file: str) -> bool:
    """Say whether one of two paths is the end of the other, with or without the file's suffix."""
    return any(
        f"/{path}".endswith(f"/{name}") or f"/{name}".endswith(f"/{path}")
        for name in (file, record_name(file))
    )
