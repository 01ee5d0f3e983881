"""What every segmenter takes and gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pahcl.signals.heart_cycles.cycles import HeartCycles
from pahcl.signals.states import HeartStates

Samples = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Say what was found in one recording.

    Args:
        states: All states that were found, those of cycles that the recording cuts included.
        cycles: The whole cycles.
        duration: Length of the recording in seconds.
        segmenter: Name of the segmenter.
        refusal: Why nothing was looked for or found, as a sentence's end ("near silence: …"); None
            where there are cycles.
        notes: What else is to be told of the recording ("3 % of the samples are missing").
    """

    states: HeartStates
    cycles: HeartCycles
    duration: float
    segmenter: str
    refusal: str | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def heart_rate(self) -> float:
        """Give the median heart rate of the cycles in beats a minute; NaN without cycles."""
        return float(np.median(self.cycles.heart_rate)) if len(self.cycles) else float("nan")

    @property
    def confidence(self) -> float:
        """Give the median confidence of the cycles; 0 without cycles."""
        return float(np.median(self.cycles.confidence)) if len(self.cycles) else 0.0


@dataclass(frozen=True, kw_only=True)
class Segmenter(ABC):
    """Find the heart cycles of a heart sound.

    A segmenter is a frozen set of settings that is called on a signal; it keeps nothing from one
    recording to the next.
    """

    name: ClassVar[str]

    def __call__(self, signal: Samples, fs: float, ecg: Samples | None = None) -> Segmentation:
        """Segment one recording.

        Args:
            signal: `[L]` or `[1, L]` in any scale, NaN where samples are missing.
            fs: Its sampling rate in Hz.
            ecg: `[L]` of an ECG that was recorded with it, at the same rate: an aid where the
                segmenter can make use of it.

        Returns:
            What was found; a recording in which nothing can be found is refused by name and never
            raises.

        Raises:
            SpecError: The signal has another shape, or the rate is no rate.
        """
        return self.find(np.asarray(signal, dtype=np.float32).reshape(-1), fs, ecg)

    @abstractmethod
    def find(self, signal: Samples, fs: float, ecg: Samples | None) -> Segmentation:
        """Segment `[L]` without missing samples in which something can be heard."""
