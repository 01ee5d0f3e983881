"""NumPy's own files, without pickles."""

from __future__ import annotations

import hashlib
import tokenize
from pathlib import Path

import numpy as np

from data_modules._own.raw import Raw, pick, require_size
from pahcl.errors import RecordError, told_by

_LARGEST_ARRAY = 2**50


def read(path: Path, key: str | None, row: int | None) -> Raw:
    """Read an array, or a row of it, in the values that it holds.

    Args:
        path: The file.
        key: Must be None: such a file holds one array.
        row: The record's place in an array of many.

    Raises:
        RecordError: It is no array of numbers, cut off, or has no such row.
        OSError: The machine cannot read it now.
    """
    if key is not None:
        raise RecordError("an npy file holds one array, no data sets")
    require_size(path, _LARGEST_ARRAY)
    try:
        with np.errstate(over="raise"):  # a shape beyond 64 bits would come round to a small one
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise RecordError("it holds several arrays, not one")
        values = pick(array, row, "the array")
    except (
        ValueError,
        TypeError,
        SyntaxError,
        EOFError,
        ArithmeticError,
        MemoryError,
        RecursionError,
        tokenize.TokenError,
    ) as error:
        raise RecordError(f"not a readable npy file ({told_by(error)})") from error
    digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
    return Raw(values, None, None, None, digest, oriented=False)
