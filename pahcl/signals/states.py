"""The phases of the heart cycle as an annotator marked them in a heart sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pahcl.errors import RecordError

UNANNOTATED, S1, SYSTOLE, S2, DIASTOLE = range(5)
"""Numbers of the states, which are those of the CirCor data set."""

STATE_NAMES = ("unannotated", "S1", "systole", "S2", "diastole")
"""Names of the states, by number."""


@dataclass(frozen=True, eq=False)
class HeartStates:
    """Hold the states of one recording, in order of time.

    Intervals are kept as they were published: they may leave gaps, overlap by some milliseconds and
    end before the recording does. Times between them count as not annotated.

    Args:
        start: `[N]` float64, begin of each interval in seconds from that of the recording.
        end: `[N]` float64, end of each interval in seconds.
        state: `[N]` int8, `UNANNOTATED`, `S1`, `SYSTOLE`, `S2` or `DIASTOLE`.

    Raises:
        RecordError: The arrays have different lengths, hold a time that is negative or no number,
            an interval that ends before it begins, intervals that do not follow each other, or an
            unknown state.
    """

    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    state: npt.NDArray[np.int8]

    def __post_init__(self) -> None:
        start = np.array(self.start, dtype=np.float64)
        end = np.array(self.end, dtype=np.float64)
        numbers = np.asarray(self.state)
        if start.ndim != 1 or not start.shape == end.shape == numbers.shape:
            raise RecordError(
                f"the states need one start, end and state each, got the shapes {start.shape}, "
                f"{end.shape} and {numbers.shape}"
            )
        known = np.isin(numbers, np.arange(len(STATE_NAMES)))
        _refuse(~known, "has the state {}, not one of 0 to 4", numbers)
        _refuse(~(np.isfinite(start) & (start >= 0)), "begins at {} s", start)
        _refuse(~(np.isfinite(end) & (end >= start)), "ends at {} s, before it begins", end)
        late = np.diff(start, prepend=start[:1]) < 0
        _refuse(late, "begins at {} s, before the one that stands ahead of it", start)
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "end", end)
        object.__setattr__(self, "state", numbers.astype(np.int8))

    def __len__(self) -> int:
        return len(self.state)

    def sampled(self, fs: float, length: int) -> npt.NDArray[np.int8]:
        """Give the state of every sample.

        Args:
            fs: Sampling rate in Hz.
            length: Number of samples; what lies beyond is left out.

        Returns:
            `[length]` int8. Samples outside every interval are `UNANNOTATED`; an interval gives
            way to the next one as soon as that begins.
        """
        first, stop = (
            np.clip(np.ceil(time * fs - 1e-6), 0, length).astype(np.int64)
            for time in (self.start, self.end)
        )
        samples = np.arange(length)
        latest = np.searchsorted(first, samples, side="right") - 1
        here = np.maximum(latest, 0)
        if not len(self):
            return np.zeros(length, dtype=np.int8)
        inside = (latest >= 0) & (samples < stop[here])
        return np.where(inside, self.state[here], UNANNOTATED).astype(np.int8)

    @property
    def annotated(self) -> float:
        """Sum the durations of all intervals that are annotated, in seconds."""
        return float((self.end - self.start)[self.state != UNANNOTATED].sum())


def _refuse(wrong: npt.NDArray[np.bool_], what: str, values: npt.NDArray[np.generic]) -> None:
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise RecordError(f"interval {place + 1} of the states {what.format(values[place])}")
