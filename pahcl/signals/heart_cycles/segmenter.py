"""What every segmenter takes and gives, and what it does with a recording that is not perfect."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pahcl.errors import SpecError
from pahcl.signals.heart_cycles.cycles import HeartCycles
from pahcl.signals.heart_cycles.hearing import LOWEST_RATE, SHORTEST_SECONDS, Heard, hear
from pahcl.signals.heart_cycles.stitching import NOTHING, Found, joined, pieces, stitched
from pahcl.signals.repair import repair
from pahcl.signals.resample import Reader
from pahcl.signals.states import HeartStates

Samples = npt.NDArray[np.floating]

_NO_CYCLE = "no whole heart cycle was found"


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
        samples = _one_channel(signal, "heart sound")
        aid = None if ecg is None else _one_channel(ecg, "ECG")

        def read_ecg(begin: int, stop: int) -> Samples:
            return samples[:0] if aid is None else aid[begin:stop]

        return self.in_pieces(
            lambda begin, stop: samples[begin:stop],
            len(samples),
            fs,
            None if aid is None else read_ecg,
        )

    def in_pieces(
        self,
        read: Reader,
        length: int,
        fs: float,
        read_ecg: Reader | None = None,
        step: float | None = None,
    ) -> Segmentation:
        """Segment a recording that is read piece by piece, in bounded memory.

        What is found does not depend on where the pieces are cut: they overlap, and are joined at
        the begin of a cycle that both see.

        Args:
            read: Gives the samples from a begin to a stop, NaN where samples are missing.
            length: Number of samples of the recording.
            fs: Their rate in Hz.
            read_ecg: Gives those of an ECG that was recorded with it.
            step: Step of the converter, where it is known; else it is estimated.

        Raises:
            SpecError: The rate is no rate.
        """
        if not 0 < fs < np.inf:
            raise SpecError(f"The sampling rate of a heart sound is a positive number, got {fs}.")
        refusal = _too_little(length, fs)
        if refusal is not None:
            return self._answer(NOTHING, length / fs, refusal, ())
        refusals: Counter[str | None] = Counter()
        notes: Counter[str] = Counter()

        def one(begin: int, stop: int) -> tuple[float, float, Found]:
            ecg = None if read_ecg is None else _aid(read_ecg(begin, stop), stop - begin, notes)
            heard = hear(read(begin, stop), fs, step or 0.0)
            notes[_MISSING] += heard.missing
            found, refusal = self._between_dropouts(heard, ecg, notes)
            refusals[refusal] += stop - begin
            return begin / fs, stop / fs, found.moved(begin / fs) if begin else found

        found = stitched(one(begin, stop) for begin, stop in pieces(length, fs))
        del refusals[None]
        why = refusals.most_common(1)[0][0] if refusals else None
        return self._answer(found, length / fs, why, _told(notes, length))

    def _between_dropouts(
        self, heard: Heard, ecg: Samples | None, notes: Counter[str]
    ) -> tuple[Found, str | None]:
        """Segment what lies between the dropouts of a piece; say why where nothing is found."""
        parts, refusal = [], heard.refusal
        for begin, stop in [] if refusal else heard.stretches():
            aid = None if ecg is None else ecg[begin:stop]
            one = self.find(heard.signal[begin:stop], heard.fs, aid)
            refusal = refusal or one.refusal
            notes.update(one.notes)
            found = Found(one.states, one.cycles)
            parts.append(found.moved(begin / heard.fs) if begin else found)
        return joined(parts).without(heard.pauses()), refusal

    def _answer(
        self, found: Found, duration: float, refusal: str | None, notes: tuple[str, ...]
    ) -> Segmentation:
        why = None if len(found.cycles) else refusal or _NO_CYCLE
        return Segmentation(found.states, found.cycles, duration, self.name, why, notes)

    @abstractmethod
    def find(self, signal: Samples, fs: float, ecg: Samples | None) -> Segmentation:
        """Segment `[L]` float32 without missing samples in which something can be heard.

        It is at least `SHORTEST_SECONDS` and at most `PIECE_SECONDS` long; the ECG has as many
        samples, none missing.
        """


_MISSING = "\0missing"


def _one_channel(signal: Samples, what: str) -> Samples:
    samples = np.asarray(signal)
    if samples.dtype.kind not in "fiub":
        raise SpecError(f"The {what} holds {samples.dtype}, where real numbers are expected.")
    if samples.ndim == 2 and samples.shape[0] == 1:
        samples = samples[0]
    if samples.ndim != 1:
        raise SpecError(
            f"The {what} has the shape {list(samples.shape)}, where [L] or [1, L] is expected: "
            "give one channel at a time."
        )
    return samples


def _too_little(length: int, fs: float) -> str | None:
    if not length:
        return "the recording is empty"
    if length < SHORTEST_SECONDS * fs:
        return (
            f"the recording lasts {length / fs:.3g} s, less than a heart cycle "
            f"({SHORTEST_SECONDS:g} s)"
        )
    if fs < LOWEST_RATE:
        return f"at {fs:g} Hz the sound of a heart is not in the recording"
    return None


def _aid(ecg: Samples, length: int, notes: Counter[str]) -> Samples | None:
    """Bring a piece of an ECG to `length` samples, none missing; None where it says nothing."""
    samples = np.full(length, np.nan, dtype=np.float32)
    samples[: len(ecg)] = ecg[:length]
    repaired, missing = repair(samples[None])
    if missing[0] > 0.5 * length or not np.ptp(repaired[0]):
        notes["the ECG is missing or constant and is not made use of"] += 1
        return None
    aid: Samples = repaired[0]
    return aid


def _told(notes: Counter[str], length: int) -> tuple[str, ...]:
    missing = notes.pop(_MISSING, 0)
    told = tuple(note for note, count in notes.items() if count)
    if not missing:
        return told
    share = 100 * min(missing / length, 1)
    return (f"{share:.3g} % of the samples are missing", *told)
