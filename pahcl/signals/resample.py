"""Resampling by a polyphase filter."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import cast

import numpy as np
import numpy.typing as npt
import scipy.signal

from pahcl.errors import SpecError

# The ratio of two rates is rounded to the shortest fraction within this share of it (1 ms in three
# hours): the filter is as long as the fraction's terms, and rates such as 999.97 Hz make them huge.
_TOLERANCE = Fraction(1, 10**7)
_LARGEST_CHANGE = 1000
_FILTER_PERIODS = 10

Reader = Callable[[int, int], npt.NDArray[np.floating]]
"""Gives the samples `[stop - begin]` of a recording from `begin` to `stop`."""


@lru_cache(maxsize=256)
def rate_ratio(source_fs: float, target_fs: float) -> Fraction:
    """Give target / source as a fraction of small terms.

    Raises:
        SpecError: A rate is not positive, or their ratio is absurd.
    """
    if not (0 < source_fs < np.inf and 0 < target_fs < np.inf):
        raise SpecError(
            f"Sampling rates must be positive numbers in Hz, got {source_fs} and {target_fs}."
        )
    exact = Fraction(target_fs) / Fraction(source_fs)
    if max(exact, 1 / exact) > _LARGEST_CHANGE:
        raise SpecError(
            f"Resampling from {source_fs} Hz to {target_fs} Hz is beyond 1:{_LARGEST_CHANGE}; "
            f"one of the rates is wrong."
        )
    for digits in range(3, 12):
        ratio = exact.limit_denominator(10**digits)
        if abs(ratio - exact) <= _TOLERANCE * exact:
            return ratio
    return exact


@lru_cache(maxsize=64)
def _low_pass(ratio: Fraction) -> npt.NDArray[np.float32]:
    """Design the filter that `scipy.signal.resample_poly` has by default, once for every ratio."""
    widest = max(ratio.numerator, ratio.denominator)
    taps = scipy.signal.firwin(2 * _FILTER_PERIODS * widest + 1, 1 / widest, window=("kaiser", 5.0))
    return np.asarray(taps, dtype=np.float32)


def _poly(signal: npt.NDArray[np.float32], ratio: Fraction) -> npt.NDArray[np.float32]:
    """Resample along the last axis."""
    up, down = ratio.numerator, ratio.denominator
    window = cast("float", _low_pass(ratio))  # the stubs lack filters that are given
    return np.asarray(scipy.signal.resample_poly(signal, up, down, axis=-1, window=window))


def resampled_length(length: int, source_fs: float, target_fs: float) -> int:
    """Count the samples that `length` samples become: round(length * target / source), at least 1.

    Halves go to the even number, as Python rounds.
    """
    return max(round(length * rate_ratio(source_fs, target_fs)), 1) if length else 0


def resample(
    signal: npt.NDArray[np.floating], source_fs: float, target_fs: float
) -> npt.NDArray[np.float32]:
    """Resample along the last axis with an anti-aliasing polyphase filter.

    The filter is linear-phase (no delay): a Kaiser-windowed sinc, -6 dB at the lower of the two
    Nyquist frequencies. The line between the first and the last sample is taken away before and
    added after: an offset neither rings at the ends nor leaves the filter's ripple (6e-4 of it).

    Args:
        signal: `[..., L]`, without NaN: one missing sample would spread over the filter's length.
        source_fs: Its sampling rate in Hz.
        target_fs: Wanted sampling rate in Hz.

    Returns:
        float32 `[..., resampled_length(L, source_fs, target_fs)]`; the input itself (as float32)
        where the rates are the same.

    Raises:
        SpecError: A rate is not positive, or their ratio is absurd.
    """
    ratio = rate_ratio(source_fs, target_fs)
    samples = np.asarray(signal, dtype=np.float32)
    if ratio == 1 or samples.shape[-1] == 0:
        return samples
    length = resampled_length(samples.shape[-1], source_fs, target_fs)
    first = samples[..., :1]
    slope = (samples[..., -1:] - first) / max(samples.shape[-1] - 1, 1)
    level = samples - (first + slope * np.arange(samples.shape[-1], dtype=np.float32))
    resampled = _poly(level, ratio)
    time = (np.arange(length) / float(ratio)).astype(np.float32)
    return np.asarray(resampled[..., :length] + (first + slope * time), dtype=np.float32)


def resampled_reader(
    read: Reader, length: int, source_fs: float, target_fs: float, at_once: int = 2**19
) -> Reader:
    """Resample a recording while it is read, in memory that does not grow with it.

    What is read equals the same samples of `resample` on the whole recording, to float rounding;
    a missing sample (NaN) makes those within the filter's length missing.

    Args:
        read: Gives the samples of the recording from a begin to a stop.
        length: Number of its samples.
        source_fs: Its sampling rate in Hz.
        target_fs: Wanted sampling rate in Hz.
        at_once: About how many samples of the recording are held at a time.

    Returns:
        Gives the resampled samples from a begin to a stop, of `resampled_length(length, …)`.

    Raises:
        SpecError: A rate is not positive, or their ratio is absurd.
    """
    ratio = rate_ratio(source_fs, target_fs)
    if ratio == 1 or not length:
        return read
    up, down = ratio.numerator, ratio.denominator
    # Samples that the filter reaches to either side, in whole periods of the ratio.
    margin = -(-(_FILTER_PERIODS * max(up, down) // up + 2) // down) * down
    last = float(read(length - 1, length)[0])
    first = float(read(0, 1)[0])
    straight = np.isfinite([first, last]).all()
    slope = (last - first) / max(length - 1, 1) if straight else 0.0
    offset = first if straight else 0.0

    def piece(begin: int, stop: int) -> npt.NDArray[np.float32]:
        start = max(begin * down // up // down * down - margin, 0)
        end = min(-(-stop * down // up) + margin, length)
        samples = np.asarray(read(start, end), dtype=np.float32)
        line = offset + slope * np.arange(start, end)
        level = (samples - line).astype(np.float32)
        skipped = begin - start // down * up
        resampled = _poly(level, ratio)[skipped : skipped + stop - begin]
        return np.asarray(
            resampled + (offset + slope / float(ratio) * np.arange(begin, stop)), dtype=np.float32
        )

    def resampled(begin: int, stop: int) -> npt.NDArray[np.float32]:
        count = max(at_once * up // down, 1)
        edges = [*range(begin, stop, count), stop]
        pieces = [piece(first, end) for first, end in pairwise(edges)]
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)

    return resampled
