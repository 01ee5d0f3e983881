"""What `pahcl segment` has done already: one line a recording, kept as soon as it is done.

A call that was killed loses the recordings that it was at, and nothing else; a line that was cut
off is as none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any

from filelock import FileLock, Timeout

from pahcl import files
from pahcl.commands._segment_one import Job
from pahcl.errors import UsageError

NAME = "segment.jsonl"
_FORMAT = 1


@dataclass(frozen=True)
class _Known:
    """Hold what decides whether a recording has to be segmented again.

    Args:
        place: Where its line begins in the journal.
        key: Of file and settings; None where another time may give another result.
        target: Where its results went.
        files: Names of the results below the folder.
        picture: Whether a picture was drawn.
        excerpt: What it shows.
    """

    place: int
    key: str | None
    target: str
    files: tuple[str, ...]
    picture: bool
    excerpt: tuple[float, ...] | None

    @classmethod
    def of(cls, entry: dict[str, Any], place: int) -> _Known:
        if not (isinstance(entry["row"], dict) and isinstance(entry["cycles"], list)):
            raise TypeError("a line without a row and cycles")
        excerpt = entry["excerpt"] and tuple(entry["excerpt"])
        written = tuple(entry["files"])
        return cls(place, entry["key"], entry["target"], written, entry["picture"], excerpt)

    @property
    def is_below(self) -> bool:
        """Say whether all files lie below the folder, as those do that the verb writes."""
        paths = [PurePath(name) for name in self.files]
        return not any(path.is_absolute() or ".." in path.parts for path in paths)


class Journal:
    """Read and write the lines of one folder of results.

    Args:
        out: The folder.
        path: What is segmented; a folder of results belongs to one path.

    Raises:
        UsageError: The folder holds what was found at another path.
        OSError: It cannot be read or written.
    """

    def __init__(self, out: Path, path: Path) -> None:
        self._file = out / NAME
        self._known: dict[str, _Known] = {}
        self._stream: IO[bytes] | None = None
        self.is_new = not self._file.exists()
        header = {"format": _FORMAT, "path": str(path.resolve())}
        if self.is_new:
            files.write_text(self._file, files.canonical_json(header) + "\n")
        self._end = self._read(header, path)

    def _read(self, header: dict[str, Any], path: Path) -> int:
        """Find the lines; give where the last whole one ends."""
        end = 0
        with self._file.open("rb") as stream:
            for number, line in enumerate(stream):
                found = _parsed(line)
                if found is None:
                    break
                if not number and found != header:
                    raise UsageError(
                        f"{self._file.parent} holds what was found in {found.get('path')}, not in "
                        f"{path}: give another `--out`, or delete that folder."
                    )
                if number:
                    try:
                        name, known = str(found["name"]), _Known.of(found, end)
                    except (KeyError, TypeError):
                        break  # it and what follows is found again
                    if not known.is_below:  # it is read, and deleted, by what stands here
                        raise UsageError(
                            f"{self._file} names files outside of its folder, which this verb "
                            "never writes: give another `--out`, or delete that folder."
                        )
                    self._known[name] = known
                end += len(line)
        return end

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Open it for further lines."""
        with self._file.open("rb+") as stream:
            stream.truncate(self._end)
            stream.seek(self._end)
            self._stream = stream
            try:
                yield
            finally:
                self._stream = None

    def add(self, entry: dict[str, Any]) -> None:
        """Keep what came out of one recording; an earlier line of its name no longer counts."""
        if self._stream is None:
            raise RuntimeError("the journal is not open")
        line = files.canonical_json(files.plain(entry, finite=True)).encode() + b"\n"
        self._stream.write(line)
        self._stream.flush()
        self._known[entry["name"]] = _Known.of(entry, self._end)
        self._end += len(line)

    def is_done(self, job: Job) -> bool:
        """Say whether all that is asked of a recording is there, made with the same settings."""
        known = self._known.get(job.listed.name)
        if known is None or known.key is None or known.target != job.listed.target:
            return False
        drawn = known.picture and known.excerpt == job.excerpt
        if job.pictures and known.files and not drawn:
            return False
        try:
            same = job.settings.key(job.listed.path) == known.key
        except OSError:
            return False
        return same and all((job.out / name).is_file() for name in known.files)

    def clear(self, job: Job) -> None:
        """Delete what was written about a recording under a name that it no longer has."""
        known = self._known.get(job.listed.name)
        if known is not None and known.target != job.listed.target:
            for name in known.files:
                (job.out / name).unlink(missing_ok=True)

    def forget(self) -> None:
        """Delete a journal that has no line."""
        self._file.unlink(missing_ok=True)

    def entries(self, names: list[str]) -> Iterator[dict[str, Any]]:
        """Give what is known of these recordings, one at a time, in this order."""
        with self._file.open("rb") as stream:
            for name in names:
                stream.seek(self._known[name].place)
                yield json.loads(stream.readline())

    def names(self) -> list[str]:
        """Name the recordings of which something is known."""
        return list(self._known)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Read a line; None where it was cut off."""
    if not line.endswith(b"\n"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


@contextmanager
def one_writer(out: Path) -> Iterator[None]:
    """Keep two processes from writing into one folder.

    Raises:
        UsageError: Another process is at it.
        OSError: The folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"Another process is writing to {out}. Wait for it, or give another `--out`."
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            (out / ".lock").unlink()
        lock.release()
