"""Sound files: wav, FLAC."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import soundfile

from data_modules._own.raw import MOST_VALUES, Raw, require_size
from data_modules._sound import FULL_SCALE, require_whole
from pahcl.errors import RecordError

STEPS = {"PCM_U8": 2.0**-7, "PCM_S8": 2.0**-7, "PCM_16": 2.0**-15}
"""Step of the converter by the kind of samples, where int16 holds its multiples."""


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
    require_whole(data)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            if sound.frames * sound.channels > MOST_VALUES:
                raise RecordError(f"it announces {sound.frames} samples, more than any record")
            fs, step = float(sound.samplerate), STEPS.get(sound.subtype)
            announced = sound.frames
            values = sound.read(dtype="float64" if step is None else "float32", always_2d=True).T
    except (soundfile.LibsndfileError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        # The library's whole text names an address in memory, which is another one every time.
        text = getattr(error, "error_string", error)
        raise RecordError(f"not a readable sound file ({text})") from error
    if values.shape[1] < announced:
        raise RecordError(f"the file ends after {values.shape[1]} of {announced} samples")
    steps = None if step is None else np.full(len(values), step)
    return Raw(values, fs, FULL_SCALE, None, hashlib.sha256(data).hexdigest(), steps)
