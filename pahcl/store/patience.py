"""Reading from folders that fail now and then: network mounts, worn disks, full tables of files."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pahcl.errors import DataError, RecordError
from pahcl.signals import Recording

Reader = Callable[[Mapping[str, Any]], Recording]

PAUSES = (0.5, 2.0)
"""Seconds to wait before a record is tried again."""

_OF_THE_FILE = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EINVAL,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    }
)


def is_machines_fault(error: OSError) -> bool:
    """Say whether the machine could not read, so that another time it may.

    A file that is not there, and what a library raises (without an error number) on bytes that it
    does not understand, are the publisher's; whatever else the system reports is not.
    """
    return error.errno is not None and error.errno not in _OF_THE_FILE


def read_patiently(read: Reader, row: Mapping[str, Any], root: Path | None) -> Recording:
    """Read a record, and try again where the machine is at fault.

    Args:
        read: Reads one row.
        row: A row of the index.
        root: The publisher's folder, where it is known: a record that cannot be read while the
            folder is gone, or empty, is no fault of the publisher's either.

    Raises:
        DataError: The machine still cannot read; no record is rejected for that.
    """
    pauses = iter(PAUSES)
    while True:
        try:
            return read(row)
        except (OSError, RecordError) as error:
            trouble = _trouble(error, root)
            if trouble is None:
                raise
            pause = next(pauses, None)
            if pause is None:
                raise DataError(
                    f"{row['file']} (record {row['record_id']}) cannot be read now, tried "
                    f"{len(PAUSES) + 1} times: {trouble}. What is done is kept: look after the "
                    "disk or the mount, then run the same command again. A file that is damaged "
                    "for good has to be fetched again."
                ) from error
        time.sleep(pause)


def _trouble(error: Exception, root: Path | None) -> str | None:
    """Say what is wrong with the machine; None where the record is to blame."""
    if isinstance(error, OSError) and error.errno is not None and is_machines_fault(error):
        return os.strerror(error.errno)
    return None if root is None or _holds_files(root) else f"the folder {root} is gone or empty"


def _holds_files(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False
