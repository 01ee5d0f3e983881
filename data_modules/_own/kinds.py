"""Which files hold records, and who reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from data_modules._own import audio, edf, hdf5, npy, wfdb_record
from data_modules._own.raw import Raw
from pahcl.errors import RecordError

Read = Callable[[Path, str | None, int | None], Raw]

READERS: Mapping[str, Read] = MappingProxyType(
    {
        ".hea": wfdb_record.read,
        ".edf": edf.read,
        ".bdf": edf.read,
        ".h5": hdf5.read,
        ".hdf5": hdf5.read,
        ".npy": npy.read,
        ".wav": audio.read,
        ".flac": audio.read,
    }
)
"""Reader by suffix, in small letters."""

SOUNDS = frozenset({".wav", ".flac"})
HDF5 = frozenset({".h5", ".hdf5"})
ARRAYS = HDF5 | {".npy"}


def suffix_of(file: str) -> str:
    """Give the suffix of a path in small letters."""
    name = file.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if stem and dot else ""


def read_file(path: Path, key: str | None, row: int | None) -> Raw:
    """Read one record of a file of any kind.

    Raises:
        RecordError: The file is of no known kind, or its reader refuses it.
        OSError: The machine cannot read it now.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise RecordError(f"{path.name} is of no known kind ({', '.join(READERS)})")
    return reader(path, key if path.suffix.lower() in HDF5 else None, row)
