"""How good each heart cycle is: measures and named flags, by which nothing is dropped here.

A murmur lies between 200 and 400 Hz as often as not, so no band counts as noise. What tells noise
from a murmur is time: a murmur leaves some part of the cycle quiet, and comes back in every beat.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import scipy.signal

from pahcl.signals.heart_cycles.cycles import HeartCycles
from pahcl.signals.heart_cycles.preparation import prepare

Samples = npt.NDArray[np.floating]
Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

_LONGEST = 2.0
"""Seconds of a cycle that are compared with others: a whole beat at 30 a minute."""


@dataclass(frozen=True, eq=False)
class CycleQuality:
    """Hold what was measured in the cycles of one recording.

    Args:
        measures: By name, `[N]` float32; NaN where a cycle does not tell.
        flags: By name, `[N]` bool: what is wrong with a cycle.
    """

    measures: dict[str, npt.NDArray[np.float32]]
    flags: dict[str, Flags]


@dataclass(frozen=True, kw_only=True)
class QualityCheck(ABC):
    """Measure cycles and flag some of them; the fields are the thresholds."""

    measures: ClassVar[tuple[str, ...]]
    flags: ClassVar[tuple[str, ...]]

    @abstractmethod
    def __call__(self, signal: Samples, fs: float, cycles: HeartCycles) -> CycleQuality:
        """Measure the cycles of one recording.

        Args:
            signal: `[L]` as it was recorded, in any scale; NaN where samples are missing.
            fs: Its rate in Hz.
            cycles: N cycles in it.

        Returns:
            All of `measures` and `flags`.
        """


@dataclass(frozen=True, kw_only=True)
class Quality(QualityCheck):
    """Judge cycles without calling a murmur noise.

    Args:
        frame: Seconds over which loudness is averaged: an S1 or S2 holds several of them.
        least_contrast: dB. `noisy`: the loudest twentieth of a cycle's frames is less than this
            above its quietest tenth. Steady noise has about 5 dB, whatever its loudness; a murmur
            that fills systole or diastole leaves the other one quiet.
        least_repeatability: `unrepeated`: the mean correlation of a cycle's loudness, counted from
            its begin, with that of the two cycles before and the two behind it is less than this.
            Speech, friction and wrong boundaries do not come again with the beat; a murmur does.
        clipped_share: `clipped`: this share of the samples is held at the largest or smallest value
            of the recording. A wave that just reaches its maximum holds it for one sample in some
            thousand.
        rail: Share of the recording's range by which such a value must lie off its median.
        hold: Seconds for which a constant value counts as lost signal: a gap in which an S1 could
            be missed. The quiet parts of 16 bit sounds hold a value for a few ms.
        dropout_share: `dropout`: this share of the samples is lost or missing.
        highest: `knock`: the cycle's loudest sample is so many times the usual height of the
            recording's loud parts (the median over its seconds). Heart sounds vary by a factor of 2
            to 3 with breath and rhythm.
        shortest: `atypical_length`: the cycle is shorter than this share of the median of its
            neighbours. A cycle that is cut in two has a half; a premature beat comes after two
            thirds or later.
        longest: `atypical_length`: the same for cycles that are too long; two beats that are taken
            for one have 2, the pause behind a premature beat at most one and a half.
        neighbours: Cycles before and behind with which a length is compared.
        least_confidence: `low_confidence`: the segmenter's confidence is less than this.
    """

    measures: ClassVar = (
        "contrast_db", "repeatability", "clipped_share", "dropout_share", "height", "length_ratio",
    )  # fmt: skip
    flags: ClassVar = (
        "noisy", "unrepeated", "clipped", "dropout", "knock", "atypical_length", "low_confidence",
    )  # fmt: skip

    frame: float = 0.02
    least_contrast: float = 8.0
    least_repeatability: float = 0.2
    clipped_share: float = 0.005
    rail: float = 0.25
    hold: float = 0.05
    dropout_share: float = 0.05
    highest: float = 4.0
    shortest: float = 0.6
    longest: float = 1.6
    neighbours: int = 4
    least_confidence: float = 0.3

    def __call__(self, signal: Samples, fs: float, cycles: HeartCycles) -> CycleQuality:
        """Measure the cycles of one recording, as `QualityCheck` says."""
        if not len(cycles):
            return _empty(self)
        heard = np.isfinite(signal)
        repaired = np.where(heard, signal, 0.0)
        lost = ~heard | _held(repaired, self.hold * fs)
        prepared = prepare(repaired, fs)
        raw = _Parts.of(cycles, fs, len(repaired))
        parts = _Parts.of(cycles, prepared.fs, len(prepared.signal))
        power, there = _frames(prepared.signal, prepared.fs, cycles, self.frame)
        size = np.abs(prepared.signal[parts.inside])
        measured = {
            "contrast_db": _contrast(power, there),
            "repeatability": _repeatability(np.sqrt(power), there),
            "clipped_share": raw.share(self._at_rail(repaired)),
            "dropout_share": raw.share(lost),
            "height": np.maximum.reduceat(size, parts.begin).astype(np.float64),
            "length_ratio": _length_ratio(cycles.end - cycles.start, self.neighbours),
        }
        return CycleQuality(
            {name: values.astype(np.float32) for name, values in measured.items()},
            self._flags(measured, cycles.confidence),
        )

    def _flags(
        self, measured: dict[str, Values], confidence: npt.NDArray[np.float32]
    ) -> dict[str, Flags]:
        """Compare with the thresholds; what does not tell is not flagged."""
        ratio = measured["length_ratio"]
        return {
            "noisy": measured["contrast_db"] < self.least_contrast,
            "unrepeated": measured["repeatability"] < self.least_repeatability,
            "clipped": measured["clipped_share"] >= self.clipped_share,
            "dropout": measured["dropout_share"] >= self.dropout_share,
            "knock": measured["height"] > self.highest,
            "atypical_length": (ratio < self.shortest) | (ratio > self.longest),
            "low_confidence": confidence < self.least_confidence,
        }

    def _at_rail(self, signal: Samples) -> Flags:
        """Say which samples are held at the largest or the smallest value of the recording."""
        low, high = float(signal.min()), float(signal.max())
        held = np.zeros(len(signal), dtype=np.bool_)
        for rail in {low, high}:
            there = signal == rail
            pairs = there[1:] & there[:-1]
            # Most recordings touch their extremes for one sample: only then is the median asked.
            if pairs.any() and abs(rail - float(np.median(signal))) >= self.rail * (high - low) > 0:
                held[1:] |= pairs
                held[:-1] |= pairs
        return held


@dataclass(frozen=True, kw_only=True)
class UpstreamQuality(QualityCheck):
    """Judge cycles as PA-HCL did, for comparison: its band of noise, 200 to 400 Hz, holds murmurs.

    A cycle was kept where all three held. They are taken on the band-passed z-score of the whole
    recording at 5 kHz, before any padding.

    Args:
        least_snr: dB. `upstream_snr`: the power from 25 to 150 Hz is less than this above that from
            200 to 400 Hz.
        highest_peak: `upstream_peak`: the largest magnitude is so many times the mean one or more.
        most_zeros: `upstream_zeros`: this share of the samples or more is within 1 % of the
            largest magnitude around zero.
    """

    measures: ClassVar = ("upstream_snr_db", "upstream_peak_ratio", "upstream_zero_share")
    flags: ClassVar = ("upstream_snr", "upstream_peak", "upstream_zeros")

    least_snr: float = 10.0
    highest_peak: float = 50.0
    most_zeros: float = 0.3

    def __call__(self, signal: Samples, fs: float, cycles: HeartCycles) -> CycleQuality:
        """Measure the cycles of one recording, as `QualityCheck` says."""
        if not len(cycles):
            return _empty(self)
        found = prepare(np.where(np.isfinite(signal), signal, 0.0), fs, to=5000.0)
        samples = found.signal.astype(np.float64)
        spread = samples.std()
        samples = (samples - samples.mean()) / spread if spread >= 1e-8 else np.zeros_like(samples)
        parts = _Parts.of(cycles, found.fs, len(samples))
        size = np.abs(samples[parts.inside])
        peak = np.maximum.reduceat(size, parts.begin)
        measured = {
            "upstream_snr_db": _band_ratio(samples, found.fs, parts),
            "upstream_peak_ratio": peak / (parts.mean(size) + 1e-8),
            "upstream_zero_share": parts.mean(size < 0.01 * np.repeat(peak, parts.count)),
        }
        flags = {
            "upstream_snr": measured["upstream_snr_db"] < self.least_snr,
            "upstream_peak": measured["upstream_peak_ratio"] >= self.highest_peak,
            "upstream_zeros": measured["upstream_zero_share"] >= self.most_zeros,
        }
        return CycleQuality(
            {name: values.astype(np.float32) for name, values in measured.items()}, flags
        )


@dataclass(frozen=True, eq=False)
class _Parts:
    """Hold which samples belong to each of N cycles.

    Args:
        first: `[N]` first sample of each cycle.
        count: `[N]` its samples, at least 1.
        inside: `[M]` the samples of all cycles, one cycle after the other.
        begin: `[N]` where each cycle begins in `inside`.
    """

    first: Indices
    count: Indices
    inside: Indices
    begin: Indices

    @classmethod
    def of(cls, cycles: HeartCycles, fs: float, length: int) -> _Parts:
        """Find them in a signal `[length]`; what lies beyond it is left out."""
        first = np.clip(np.round(cycles.start * fs).astype(np.int64), 0, length - 1)
        stop = np.clip(np.round(cycles.end * fs).astype(np.int64), first + 1, length)
        count = stop - first
        begin = np.cumsum(count) - count
        inside = np.arange(count.sum()) + np.repeat(first - begin, count)
        return cls(first, count, inside, begin)

    def share(self, marked: Flags) -> Values:
        """Give the share of marked samples `[length]` in each cycle, `[N]`."""
        if not marked.any():
            return np.zeros(len(self.first))
        return self.mean(marked[self.inside])

    def mean(self, values: npt.NDArray[np.generic]) -> Values:
        """Average `[M]` values over each cycle, `[N]`."""
        return np.asarray(np.add.reduceat(values, self.begin, dtype=np.float64) / self.count)


def _empty(check: QualityCheck) -> CycleQuality:
    return CycleQuality(
        {name: np.zeros(0, dtype=np.float32) for name in check.measures},
        {name: np.zeros(0, dtype=np.bool_) for name in check.flags},
    )


def _held(signal: Samples, shortest: float) -> Flags:
    """Say which samples belong to a run of `shortest` or more equal ones."""
    edges = np.flatnonzero(np.diff(signal, prepend=np.nan, append=np.nan) != 0)
    length = np.diff(edges)
    return np.repeat(length >= max(shortest, 2), length)


def _frames(signal: Samples, fs: float, cycles: HeartCycles, frame: float) -> tuple[Values, Flags]:
    """Average the power of frames that are counted from the begin of each cycle.

    Returns:
        `[N, F]` power, and whether the frame lies within its cycle.
    """
    seconds = np.minimum(cycles.end - cycles.start, _LONGEST)
    # A rounding error takes no frame away.
    count = np.maximum(np.floor(seconds / frame + 1e-6).astype(np.int64), 1)
    edges = cycles.start[:, None] + frame * np.arange(count.max() + 1)
    places = np.clip(np.round(edges * fs).astype(np.int64), 0, len(signal))
    sums = np.concatenate([[0.0], np.cumsum(np.square(signal, dtype=np.float64))])
    width = np.diff(places, axis=1)
    power = np.diff(sums[places], axis=1) / np.maximum(width, 1)
    there = (np.arange(count.max()) < count[:, None]) & (width > 0)
    return np.maximum(power, 0.0), there


def _contrast(power: Values, there: Flags) -> Values:
    """Compare the loudest twentieth of each cycle with its quietest tenth, in dB, `[N]`."""
    rows = np.arange(len(power))
    ordered = np.sort(np.where(there, power, np.inf), axis=1)
    last = there.sum(axis=1) - 1
    quiet, loud = (
        ordered[rows, np.maximum(np.floor(share * last).astype(np.int64), 0)]
        for share in (0.1, 0.95)
    )
    heard = (last >= 0) & (loud > 0)
    loud, quiet = np.where(heard, loud, 1.0), np.where(heard, quiet, 1.0)
    # 120 dB stand for a part of a cycle that is silent.
    return np.asarray(10 * np.log10(loud / np.maximum(quiet, 1e-12 * loud)))


def _repeatability(height: Values, there: Flags) -> Values:
    """Correlate each cycle's loudness with that of its neighbours, `[N]`; NaN for a lone one."""
    found = np.full((4, len(height)), np.nan)
    for place, distance in enumerate((1, 2)):
        if len(height) <= distance:
            continue
        together = there[distance:] & there[:-distance]
        alike = _correlation(height[distance:], height[:-distance], together)
        found[place, distance:] = alike
        found[place + 2, :-distance] = alike
    known = np.isfinite(found)
    total = np.where(known, found, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def _correlation(one: Values, other: Values, there: Flags) -> Values:
    """Give Pearson's correlation of rows where both are there; 0 where one is constant."""
    count = np.maximum(there.sum(axis=1), 1)[:, None]
    first, second = (
        np.where(there, values - np.where(there, values, 0).sum(axis=1)[:, None] / count, 0.0)
        for values in (one, other)
    )
    size = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return np.asarray((first * second).sum(axis=1) / np.where(size > 0, size, 1.0))


def _length_ratio(length: Values, neighbours: int) -> Values:
    """Divide each length by the median of its neighbours', `[N]`; NaN with fewer than three."""
    padded = np.pad(length, neighbours, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * neighbours + 1)
    others = np.sort(np.delete(windows, neighbours, axis=1), axis=1)  # NaN come last
    known = np.isfinite(others).sum(axis=1)
    rows, last = np.arange(len(length)), np.maximum(known - 1, 0)
    median = (others[rows, last // 2] + others[rows, (last + 1) // 2]) / 2
    return np.where(known >= 3, length / np.where(known >= 3, median, 1.0), np.nan)


def _band_ratio(signal: Values, fs: float, parts: _Parts) -> Values:
    """Compare the power of 25 to 150 Hz with that of 200 to 400 Hz in dB, `[N]`, by Welch.

    Segments of 1024 samples overlap by half; 60 dB where there is nothing from 200 to 400 Hz.
    """
    size = 1024
    power = np.zeros((len(parts.first), 2))
    long = np.flatnonzero(parts.count >= size)
    if len(long):
        number = 1 + (parts.count[long] - size) // (size // 2)
        begin = np.cumsum(number) - number
        owner = np.repeat(np.arange(len(long)), number)
        at = parts.first[long][owner] + (np.arange(number.sum()) - begin[owner]) * (size // 2)
        windows = np.lib.stride_tricks.sliding_window_view(signal, size)[at]
        frequency, density = scipy.signal.periodogram(windows, fs, "hann", axis=-1)
        power[long] = np.add.reduceat(_of_bands(frequency, density), begin) / number[:, None]
    for cycle in np.flatnonzero(parts.count < size):  # shorter than 0.2 s
        piece = signal[parts.first[cycle] : parts.first[cycle] + parts.count[cycle]]
        power[cycle] = _of_bands(*scipy.signal.welch(piece, fs, nperseg=len(piece)))
    heart, noise = power.T
    decibel = 10 * np.log10(np.maximum(heart, 1e-300) / np.where(noise < 1e-10, 1.0, noise))
    return np.where(noise < 1e-10, 60.0, decibel)


def _of_bands(frequency: Values, density: Values) -> Values:
    """Sum the density over both bands, on a last axis of two."""
    bands = ((25.0, 150.0), (200.0, 400.0))
    sums = [
        density[..., (frequency >= low) & (frequency <= high)].sum(axis=-1) for low, high in bands
    ]
    return np.stack(sums, axis=-1)
