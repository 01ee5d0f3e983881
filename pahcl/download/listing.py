"""What a publisher lists: files by path and checksum, read from a list without holding it whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import quote

from pahcl.errors import DownloadError

SUMS = "SHA256SUMS.txt"
"""PhysioNet's list of checksums, in the folder of each version of a data set."""

_ODD_BYTES = "surrogateescape"
_LENGTHS = {"md5": 32, "sha256": 64}
_LINE = re.compile(r"(?P<digest>[0-9A-Fa-f]{64})[ \t]+\*?(?P<path>.+)")
_PLAIN = re.compile(r"(?:\w[\w.+-]*/)*\w[\w.+-]*", re.ASCII)
"""Paths that need no second look: a list of MIMIC-IV-ECG has 1.6 million lines."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Digest:
    """Hold a publisher's checksum.

    Args:
        algorithm: `sha256` or `md5`.
        value: Hexadecimal digits in lower case.
    """

    algorithm: str
    value: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"


def read_digest(text: str, where: str) -> Digest:
    """Read `md5:<digits>`, or bare digits, which are md5.

    Raises:
        DownloadError: It is no checksum that can be verified.
    """
    algorithm, _, value = text.strip().lower().rpartition(":")
    algorithm = algorithm or "md5"
    if len(value) != _LENGTHS.get(algorithm, -1) or not re.fullmatch("[0-9a-f]+", value):
        raise DownloadError(
            f"{where}: the checksum `{text[:80]}` is neither md5 nor sha256, so the file could not "
            "be verified; nothing was fetched."
        )
    return Digest(algorithm, value)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """Say where a file is and what it must be.

    Args:
        path: Where it belongs below the data set's folder, with `/`.
        url: Where it is fetched from.
        digest: The publisher's checksum; None where there is none.
        size: Bytes, where the publisher lists them.
        unpack: Folder below the data set's into which its members go ("" is the data set's own);
            None keeps the file as it is.
        checked_inside: It has no checksum itself, but each of its members has one; they lie in one
            folder around the whole.
    """

    path: str
    url: str
    digest: Digest | None = None
    size: int | None = None
    unpack: str | None = None
    checked_inside: bool = False

    @property
    def is_checked(self) -> bool:
        """Say whether a checksum would show that another file came."""
        return self.digest is not None or self.checked_inside


class Listing(Protocol):
    """Give a publisher's files, from the start as often as asked."""

    @property
    def checked_by(self) -> str:
        """What the files are checked against, in words."""

    @property
    def origin(self) -> str:
        """The address below which the files lie."""

    def __iter__(self) -> Iterator[RemoteFile]:
        """Give the files in the publisher's order."""


def safe_path(path: str, where: str) -> str:
    """Give a relative path with `/` that stays below its folder on every system.

    Args:
        path: As a list or an archive writes it.
        where: Which list or archive, for the error.

    Raises:
        DownloadError: It is absolute, climbs, is empty, or holds what no file name may.
    """
    if len(path) < 256 and _PLAIN.fullmatch(path):
        return path
    parts = PurePosixPath(path).parts
    bad = (
        not parts
        or path.startswith("/")
        or ".." in parts
        or "\\" in path
        or _CONTROL.search(path) is not None
        or re.match(r"[A-Za-z]:", path) is not None
        or any(len(part.encode(errors="surrogatepass")) > 255 for part in parts)
    )
    if bad:
        raise DownloadError(
            f"{where} names {path[:120]!r}, which is no path below the data set's folder. Nothing "
            "of it was written; tell its publisher, or leave that mirror."
        )
    return "/".join(parts)


@dataclass(frozen=True)
class SumsListing:
    """Read a list of lines `<sha256> <path>`, one at a time.

    Args:
        sums: The list, on this machine.
        origin: Address of the folder that it lies in.
        checked_by: What the files are checked against, in words.
        below: Take only paths that begin so, and cut that off.
        leave_out: Patterns of paths that are not wanted.
    """

    sums: Path
    origin: str
    checked_by: str
    below: str = ""
    leave_out: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[RemoteFile]:
        """Give the files in the order of the list."""
        with self.sums.open(encoding="utf-8", errors=_ODD_BYTES) as lines:
            for number, line in enumerate(lines, start=1):
                if text := line.strip():
                    yield from self._file(text, number)

    def _file(self, line: str, number: int) -> Iterator[RemoteFile]:
        where = f"{self.origin}{SUMS}, line {number},"
        found = _LINE.fullmatch(line)
        if found is None:
            raise DownloadError(
                f"{where} is not a checksum and a path: {line[:80]!r}. The address perhaps "
                "answers with a page instead of the list; look at it in a browser."
            )
        path = safe_path(found["path"].removeprefix("./"), where)
        if self.leave_out and any(fnmatchcase(path, pattern) for pattern in self.leave_out):
            return
        if not path.startswith(self.below):
            return
        url = self.origin + (path if _PLAIN.fullmatch(path) else quote(path, errors=_ODD_BYTES))
        mine = safe_path(path[len(self.below) :], where) if self.below else path
        yield RemoteFile(mine, url, Digest("sha256", found["digest"].lower()))


@dataclass(frozen=True)
class FixedListing:
    """Hold files that are known.

    Args:
        files: The files.
        origin: Address below which they lie.
        checked_by: What they are checked against, in words.
    """

    files: tuple[RemoteFile, ...]
    origin: str
    checked_by: str

    def __iter__(self) -> Iterator[RemoteFile]:
        """Give the files in order."""
        return iter(self.files)


def zenodo_files(
    record: Mapping[str, object], origin: str | None, unpack: bool, where: str
) -> Iterator[RemoteFile]:
    """Read the files of a record of Zenodo.

    The record API has named its fields in two ways: `key`, `size`, `checksum: md5:…`, and
    `filename`, `filesize`, `checksum: …`. Both are read. Of the links only the documented address
    `records/<id>/files/<name>` is used; those in the answer have not always worked.

    Args:
        record: The API's answer.
        origin: Address of the folder with the files; None is Zenodo's own.
        unpack: Unpack zip archives.
        where: Where the answer came from.

    Raises:
        DownloadError: The answer is no record with files, each with size and checksum.
    """
    files = record.get("files")
    if not isinstance(files, list) or not files:
        raise DownloadError(
            f"{where} lists no files: they are restricted, or the address is not that of a record. "
            "Look at it in a browser."
        )
    base = origin or f"https://zenodo.org/records/{record.get('id')}/files/"
    for entry in files:
        facts = entry if isinstance(entry, dict) else {}
        name = facts.get("key", facts.get("filename"))
        size = facts.get("size", facts.get("filesize"))
        if not isinstance(name, str) or not isinstance(size, int) or size < 0:
            raise DownloadError(f"{where} lists a file without a name or a size: {entry!r:.120}.")
        path = safe_path(name, where)
        digest = read_digest(str(facts.get("checksum", "")), f"{where}, {path}")
        url = base + quote(path) + ("" if origin else "?download=1")
        yield RemoteFile(path, url, digest, size, "" if unpack and is_zip(path) else None)


def is_zip(path: str) -> bool:
    """Say whether a file is to be unpacked, by its name."""
    return path.lower().endswith(".zip")
