"""Segmenting a sound file of any length."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pahcl.errors import SpecError
from pahcl.signals.heart_cycles.segmenter import Segmentation, Segmenter
from pahcl.signals.heart_cycles.stitching import PIECE_SECONDS
from pahcl.signals.resample import Reader, resampled_length, resampled_reader
from pahcl.signals.sound import SoundFile

HIGHEST_RATE = 8000.0
"""Longer recordings of a higher rate in Hz are resampled as they are read."""

REDUCED_RATE = 4000.0
"""Rate in Hz to which they are: ten times the upper edge of the band of heart sounds."""


def segment_file(
    path: Path,
    segmenter: Segmenter,
    fs: float | None = None,
    ecg: npt.NDArray[np.floating] | None = None,
) -> Segmentation:
    """Segment a sound file, piece by piece where it is long.

    Args:
        path: The file.
        segmenter: What finds the cycles.
        fs: Rate in Hz that the file is expected to have; None takes any.
        ecg: `[L]` of an ECG that was recorded with it, at the rate of the file.

    Raises:
        RecordError: The file is no sound, empty or cut off.
        SpecError: It has another rate than `fs`.
        OSError: The machine cannot read it now.
    """
    with SoundFile(path) as sound:
        if fs is not None and fs != sound.fs:
            raise SpecError(f"{path} has {sound.fs:g} Hz, and fs={fs:g} was given: leave it out.")
        read: Reader = sound.read
        aid = None if ecg is None else _samples(ecg)
        length, rate = sound.length, sound.fs
        if sound.fs > HIGHEST_RATE and length > PIECE_SECONDS * sound.fs:
            rate = REDUCED_RATE
            length = resampled_length(sound.length, sound.fs, rate)
            read = resampled_reader(sound.read, sound.length, sound.fs, rate)
            if ecg is not None and aid is not None:
                aid = resampled_reader(aid, len(ecg), sound.fs, rate)
        found = segmenter.in_pieces(read, length, rate, aid, sound.step)
        return replace(found, notes=(*sound.notes, *found.notes))


def _samples(signal: npt.NDArray[np.floating]) -> Reader:
    return lambda begin, stop: signal[begin:stop]
