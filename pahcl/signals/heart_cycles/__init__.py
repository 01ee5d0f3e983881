"""From a heart sound to its cycles: preparation, envelopes, and three segmenters.

    from pahcl.signals.heart_cycles import segment
    print(segment("recording.wav").cycles.table())

What a segmenter needs (torch for `Learned`) is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pahcl.errors import SpecError, UsageError
from pahcl.signals.heart_cycles.cycles import BOUNDARIES, HeartCycles, whole_cycles
from pahcl.signals.heart_cycles.envelopes import hilbert_envelope, rms_envelope, shannon_envelope
from pahcl.signals.heart_cycles.preparation import Prepared, prepare
from pahcl.signals.heart_cycles.segmenter import Segmentation, Segmenter

if TYPE_CHECKING:
    from pahcl.signals.heart_cycles.learned import Learned
    from pahcl.signals.heart_cycles.rhythm import Rhythm
    from pahcl.signals.heart_cycles.upstream import Upstream

__all__ = [
    "BOUNDARIES",
    "SEGMENTERS",
    "HeartCycles",
    "Learned",
    "Prepared",
    "Rhythm",
    "Segmentation",
    "Segmenter",
    "Upstream",
    "hilbert_envelope",
    "prepare",
    "rms_envelope",
    "segment",
    "segmenter_named",
    "shannon_envelope",
    "whole_cycles",
]

SEGMENTERS = ("upstream", "rhythm", "learned")
"""Names of the segmenters, from the plainest to the best."""

_CLASSES = {name.capitalize(): name for name in SEGMENTERS}


def segmenter_named(name: str) -> Segmenter:
    """Give a segmenter with the settings it comes with.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in SEGMENTERS:
        raise UsageError(f"There is no segmenter {name!r}; there are {', '.join(SEGMENTERS)}.")
    module = import_module(f"{__name__}.{name}")
    segmenter: Segmenter = getattr(module, name.capitalize())()
    return segmenter


def segment(
    what: Path | str | npt.NDArray[np.floating],
    fs: float | None = None,
    segmenter: str | Segmenter = "learned",
    ecg: npt.NDArray[np.floating] | None = None,
) -> Segmentation:
    """Find the heart cycles of a sound file or of an array.

    A long file is read piece by piece: an hour takes no more memory than some minutes.

    Args:
        what: A sound file, or samples `[L]` in any scale.
        fs: Sampling rate of an array in Hz; a file gives its own.
        segmenter: One of `SEGMENTERS`, or a segmenter with settings of one's own.
        ecg: `[L]` of an ECG that was recorded with it, at the same rate.

    Raises:
        RecordError: The file is no sound, empty or cut off.
        SpecError: An array without a rate, or of another shape.
        UsageError: There is no segmenter of that name.
    """
    chosen = segmenter_named(segmenter) if isinstance(segmenter, str) else segmenter
    if isinstance(what, (str, Path)):
        from pahcl.signals.heart_cycles.files import segment_file

        return segment_file(Path(what), chosen, fs, ecg)
    if fs is None:
        raise SpecError("An array does not say its sampling rate: give `fs` in Hz.")
    return chosen(what, fs, ecg)


def __getattr__(name: str) -> object:
    if name not in _CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_CLASSES[name]}"), name)
