"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

_TEMPORARY = re.compile(r"^\..+\.\d+\.[0-9a-f]{8}\.tmp$")

_BUFFER = 4 * 2**20
"""Bytes written at once. Large writes make the page cache use large, contiguous pieces: gathers
from a file written record by record (24 kB) were 20 % slower (measured: Linux 6.18, ext4, AMD)."""


def canonical_json(values: Any) -> str:
    """Write plain values as text that depends on the values alone.

    Raises:
        TypeError: The values are not plain JSON types.
    """
    return json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def sha256_text(text: str) -> str:
    """Give the SHA-256 of a text in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Give the SHA-256 of a file in hexadecimal digits, reading it as a stream."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def temporary_for(path: Path) -> Path:
    """Name a file beside `path` that no other process writes."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def is_temporary(path: Path) -> bool:
    """Say whether a name was made by `temporary_for`, in whatever process."""
    return _TEMPORARY.match(path.name) is not None


def write_atomically(path: Path, fill: Callable[[IO[bytes]], None]) -> None:
    """Write a file that appears under its name only when all its bytes are on the disk.

    Args:
        path: The file; an older one is replaced.
        fill: Writes the content into the open binary stream.

    Raises:
        OSError: The disk is full or the folder cannot be written; nothing is left behind.
    """
    temporary = temporary_for(path)
    try:
        with temporary.open("wb", buffering=_BUFFER) as stream:
            fill(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_json_atomically(path: Path, values: Any) -> None:
    """Write plain values as readable JSON, atomically and with a fixed order of keys."""
    text = json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    write_atomically(path, lambda stream: _write(stream, text.encode()))


def _write(stream: IO[bytes], content: bytes) -> None:
    stream.write(content)


def _sync_folder(folder: Path) -> None:
    """Bring a rename to the disk, where the system knows how."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
