"""Sound files: wav, FLAC."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from data_modules._own.raw import Raw, require_size
from pahcl.errors import RecordError
from pahcl.signals.sound import FULL_SCALE, decode


def read(path: Path, key: str | None, row: int | None) -> Raw:
    """Read a sound file as fractions of its full scale.

    Args:
        path: The file.
        key: Not used: a sound file holds one sound.
        row: Must be None.

    Raises:
        RecordError: It is no sound file, cut off, or holds nothing.
        OSError: The machine cannot read it now.
    """
    if row is not None or key is not None:
        raise RecordError("a sound file holds one record, no rows and no data sets")
    require_size(path)
    data = path.read_bytes()
    sound = decode(data)
    steps = None if sound.step is None else np.full(len(sound.samples), sound.step)
    digest = hashlib.sha256(data).hexdigest()
    return Raw(sound.samples, sound.fs, FULL_SCALE, None, digest, steps)
