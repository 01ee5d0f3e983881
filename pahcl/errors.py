"""Errors that people read: what was wrong, where, and what to do next.

The door (`pahcl.cli`) prints a `PahclError` as a few lines without a traceback and ends with its
`exit_status`; every other exception is a fault of ours and keeps its traceback.
"""

from __future__ import annotations

import re

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class PahclError(Exception):
    """Base of every error that a person can act on.

    The text names the value, what was expected and the next action; for a path also the config key
    or option that sets it.
    """

    exit_status = 1


class UsageError(PahclError):
    """Refuse a question that was asked wrongly (unknown name, impossible combination)."""

    exit_status = 2


class DataError(PahclError):
    """Report a data set that cannot be used: a missing root, a table of another version."""


class RecordError(DataError):
    """Report one record that cannot be used; the writer lists it as rejected and goes on.

    Args:
        reason: What is wrong with the record, in a few words, without the file's name.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SpecError(PahclError):
    """Refuse a signal that does not fit what an encoder or a store expects."""


class StoreError(PahclError):
    """Refuse a store: incomplete, damaged, or of an unknown format version."""


class CheckpointError(PahclError):
    """Refuse a checkpoint: unreadable, of another task, or of another input contract."""


class DownloadError(DataError):
    """Report that a file could not be fetched; what has arrived is kept and gone on from."""


class AccessError(DownloadError):
    """Report that a publisher gives a file to nobody who has not signed in or agreed."""


class MissingFileError(DownloadError):
    """Report a file that a publisher lists and does not have."""


class ChecksumError(DownloadError):
    """Report a file that is not the publisher's: its size or checksum is another one."""


class ArchiveError(DownloadError):
    """Refuse an archive that is damaged, or that would write where it must not."""


def told_by(error: BaseException, most: int = 160) -> str:
    """Give what a library says, in one line that is the same in every process.

    Texts of Python objects name addresses in memory, which are others every time; manifests would
    differ by them.
    """
    lines = _ADDRESS.sub("", str(error)).split("\n", 1)
    return lines[0].strip()[:most] or type(error).__name__
