"""What was received, written beside it: `download.json`."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pahcl.download.archive import Unpacked
from pahcl.download.fetch import Arrived, weigh
from pahcl.download.listing import RemoteFile
from pahcl.files import write_json

RECEIPT = "download.json"


class Receipt:
    """Remember what a later call could not find out from the files themselves.

    That is: archives, of which only the members are kept, and files for which the publisher gives
    no checksum. For these it says what came the first time, so that a later change is noticed.

    Args:
        folder: The data set's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        try:
            facts = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            facts = {}
        self.facts: dict[str, Any] = facts if isinstance(facts, dict) else {}
        if not isinstance(self.facts.get("received", {}), dict):
            del self.facts["received"]

    def say(self, facts: Mapping[str, Any]) -> None:
        """Set what holds for the data set as a whole, and write."""
        self._write({**self.facts, **facts})

    def add(self, file: RemoteFile, arrived: Arrived, members: list[Unpacked] | None) -> None:
        """Remember a file, and the members that are kept in its place; write."""
        entry: dict[str, Any] = {
            "url": file.url,
            "size": arrived.size,
            "sha256": arrived.sha256,
            "publisher": None if file.digest is None else str(file.digest),
        }
        if members is not None:
            entry["members"] = {one.path: [one.size, one.sha256] for one in members}
        with self._lock:
            received = {**self.facts.get("received", {}), file.path: entry}
            self._write({**self.facts, "received": dict(sorted(received.items()))})

    def is_there(self, file: RemoteFile) -> bool:
        """Say whether a file, or all members of an archive, are as they came.

        An entry that somebody has edited says nothing.
        """
        try:
            return self._agrees(file)
        except (KeyError, TypeError, AttributeError):
            return False

    def _agrees(self, file: RemoteFile) -> bool:
        entry = self.facts.get("received", {}).get(file.path)
        said = None if file.digest is None else str(file.digest)
        if not isinstance(entry, dict) or entry.get("publisher") != said:
            return False
        if file.unpack is None:
            return _is_as_it_came(self.folder / file.path, entry["size"], entry["sha256"])
        below = self.folder / file.unpack
        members = entry.get("members", {})
        return bool(members) and all(
            _is_as_it_came(below / path, *known) for path, known in members.items()
        )

    def _write(self, facts: dict[str, Any]) -> None:
        if facts == self.facts and (self.folder / RECEIPT).is_file():
            return
        self.facts = facts
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / RECEIPT, facts)


def _is_as_it_came(path: Path, size: int, sha256: str) -> bool:
    return path.is_file() and path.stat().st_size == size and weigh(path).sha256 == sha256
