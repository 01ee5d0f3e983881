"""One file: fetched in as many pieces as it takes, and put in place when it is the right one."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from pahcl.download.client import Client, Interruption, stream
from pahcl.download.listing import Digest, RemoteFile
from pahcl.errors import ChecksumError, DownloadError
from pahcl.files import appearing

PIECE = 256 * 1024
"""Bytes read at once."""

RESERVE = 64 * 2**20
"""Bytes of the disk that are left free."""

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True)
class Arrived:
    """Say what has come.

    Args:
        size: Bytes.
        sha256: Hexadecimal digits.
        md5: Hexadecimal digits.
    """

    size: int
    sha256: str
    md5: str

    def matches(self, digest: Digest) -> bool:
        """Say whether this is what a publisher's checksum is of."""
        return digest.value == (self.md5 if digest.algorithm == "md5" else self.sha256)


def weigh(path: Path) -> Arrived:
    """Measure a file and compute its checksums in one pass."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as source:
        while piece := source.read(4 * 2**20):
            sha256.update(piece)
            md5.update(piece)
            size += len(piece)
    return Arrived(size, sha256.hexdigest(), md5.hexdigest())


def is_right(path: Path, file: RemoteFile) -> bool:
    """Say whether a file in place is the publisher's; without a checksum nobody can."""
    if file.digest is None or not path.is_file():
        return False
    if file.size is not None and path.stat().st_size != file.size:
        return False
    return weigh(path).matches(file.digest)


class Partial:
    """Keep the bytes that have arrived of a file, and of which state of it they are.

    Args:
        folder: Where partial files are kept.
        file: The file.
    """

    def __init__(self, folder: Path, file: RemoteFile) -> None:
        name = hashlib.sha256(file.path.encode(errors="surrogateescape")).hexdigest()[:32]
        self.path = folder / f"{name}.part"
        self.about = folder / f"{name}.json"
        self.file = file

    @property
    def size(self) -> int:
        """Bytes that are there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def note(self) -> dict[str, Any]:
        """Give what the server said of these bytes; {} if that is not known or of other bytes."""
        try:
            note = json.loads(self.about.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        if not isinstance(note, dict) or note.get("of") != self._identity():
            return {}
        return note

    def start(self, response: requests.Response, total: int | None) -> None:
        """Begin anew with what a server sends now."""
        self.discard()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        said = {name: response.headers.get(name) for name in ("ETag", "Last-Modified")}
        note = {"of": self._identity(), "total": total, **said}
        self.about.write_text(json.dumps(note), encoding="utf-8")

    def discard(self) -> None:
        """Forget the bytes; the note goes first, for bytes without a note are no use."""
        self.about.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _identity(self) -> list[str]:
        return [self.file.url, str(self.file.digest)]


def validator(note: dict[str, Any]) -> str | None:
    """Give what names a state of a file for `If-Range`: a strong tag, else a date."""
    tag = note.get("ETag")
    if isinstance(tag, str) and tag and not tag.startswith("W/"):
        return tag
    date = note.get("Last-Modified")
    return date if isinstance(date, str) and date else None


def fetch(
    client: Client, file: RemoteFile, partial: Partial, count: Callable[[int], object]
) -> Arrived:
    """Fetch a file into its partial file, going on where that ends.

    A file that turns out to be the wrong one is fetched once more from its start: pieces of two
    states of it may have met.

    Args:
        client: Speaks to the server.
        file: What to fetch.
        partial: Where to.
        count: Is told the bytes of each piece.

    Raises:
        ChecksumError: The server's file is not the publisher's.
        DownloadError: The server does not give it; what has arrived is kept.
    """
    problem = ""
    for _ in range(2):
        client.patiently(
            file.url, lambda: _go_on(client, file, partial, count), lambda: partial.size
        )
        arrived = weigh(partial.path)
        problem = _problem(file, arrived)
        if not problem:
            return arrived
        partial.discard()
    raise ChecksumError(
        f"{file.path} from {file.url} {problem}, twice. It was not kept. The server's copy is "
        "damaged or another version: try a mirror (--mirror), or tell the publisher."
    )


def _problem(file: RemoteFile, arrived: Arrived) -> str:
    """Say in what a file differs from the publisher's; "" if in nothing that is known."""
    if file.size is not None and arrived.size != file.size:
        return f"has {arrived.size} bytes where the publisher lists {file.size}"
    if file.digest is not None and not arrived.matches(file.digest):
        got = arrived.md5 if file.digest.algorithm == "md5" else arrived.sha256
        return (
            f"has the {file.digest.algorithm} {got} ({arrived.size} bytes), where the publisher "
            f"lists {file.digest.value}"
        )
    return ""


def _go_on(
    client: Client, file: RemoteFile, partial: Partial, count: Callable[[int], object]
) -> None:
    """Ask once for what is missing, and append it."""
    note = partial.note()
    have = partial.size if note and (file.digest or validator(note)) else 0
    if have and have == note.get("total"):
        return  # stopped between the last byte and the checksum
    headers = {}
    if have:
        headers["Range"] = f"bytes={have}-"
        if (state := validator(note)) is not None:
            headers["If-Range"] = state
    with client.open(file.url, headers, same_site=not file.is_checked) as response:
        if response.status_code == 416 or (response.status_code == 206 and not have):
            partial.discard()
            raise Interruption("the server does not know the rest of the file any more")
        if response.status_code == 206:
            total = _continued(response, have, note, partial)
        else:  # the whole: the first time, or the file has changed, or ranges are unknown there
            total, have = _stated_length(response), 0
        _require_size(file, total)
        require_space(partial.path.parent, (total or file.size or 0) - have, file.path)
        if not have:
            partial.start(response, total)
        _append(client, response, partial, file, count)


def _continued(
    response: requests.Response, have: int, note: dict[str, Any], partial: Partial
) -> int | None:
    """Make sure that a piece follows on what is there; otherwise begin anew."""
    found = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    total = int(found[3]) if found and found[3] != "*" else None
    tag = response.headers.get("ETag")
    changed = (
        found is None
        or int(found[1]) != have
        or (note.get("total") is not None and total is not None and note["total"] != total)
        or (tag is not None and note.get("ETag") is not None and tag != note["ETag"])
    )
    if changed:
        partial.discard()
        raise Interruption("the file has changed on the server since its first part came")
    return total


def _append(
    client: Client,
    response: requests.Response,
    partial: Partial,
    file: RemoteFile,
    count: Callable[[int], object],
) -> None:
    with partial.path.open("ab") as target:
        for piece in stream(response, PIECE):
            target.write(piece)
            count(len(piece))
            client.require_going()
            if file.size is not None and target.tell() > file.size:
                partial.discard()
                raise ChecksumError(
                    f"{file.url} sends more than the {file.size} bytes that the publisher lists; "
                    "it was left. Try a mirror (--mirror)."
                )


def _stated_length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _require_size(file: RemoteFile, total: int | None) -> None:
    if file.size is not None and total is not None and total != file.size:
        raise ChecksumError(
            f"{file.url} announces {total} bytes, but the publisher lists {file.size}; it was not "
            "fetched. The server's copy is another version: try a mirror (--mirror)."
        )


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse what the disk cannot hold.

    Raises:
        DownloadError: With what is needed and what is free.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed + RESERVE > free:
        raise DownloadError(
            f"{what} needs {in_units(needed)}, but the disk of {existing} has {in_units(free)} "
            f"free, of which {in_units(RESERVE)} are left alone. Free space or choose another "
            "folder with --out, then run the same command again; what is done is kept."
        )


def in_units(size: int) -> str:
    """Write a number of bytes for people."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):  # the last one is the answer
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def put_in_place(partial: Path, target: Path) -> None:
    """Let a file appear under its name, whole, in place of an older one.

    Raises:
        DownloadError: A folder is where the file belongs, or a file where its folder belongs.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with appearing(target) as temporary:
            partial.replace(temporary)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise DownloadError(
            f"{target} cannot be written: a folder is where the file belongs, or a file where its "
            "folder belongs. Move that away, then run the same command again."
        ) from error
    partial.with_suffix(".json").unlink(missing_ok=True)
