"""Resampling by a polyphase filter."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.signal

from pahcl.errors import SpecError

# The ratio of two rates is rounded to a fraction of this size: a time error under 1e-8, which over
# a day-long record is less than a millisecond, and keeps the filter of odd rates short.
_LARGEST_TERM = 10_000


@lru_cache(maxsize=256)
def _ratio(source_fs: float, target_fs: float) -> Fraction:
    if not (0 < source_fs < np.inf and 0 < target_fs < np.inf):
        raise SpecError(
            f"Sampling rates must be positive numbers in Hz, got {source_fs} and {target_fs}."
        )
    ratio = Fraction(target_fs) / Fraction(source_fs)
    ratio = ratio.limit_denominator(_LARGEST_TERM)
    if not 1 / _LARGEST_TERM <= ratio <= _LARGEST_TERM:
        raise SpecError(
            f"Resampling from {source_fs} Hz to {target_fs} Hz is beyond 1:{_LARGEST_TERM}; "
            f"one of the rates is wrong."
        )
    return ratio


def resampled_length(length: int, source_fs: float, target_fs: float) -> int:
    """Count the samples that `length` samples become: round(length * target / source), at least 1.

    Halves go to the even number, as Python rounds.
    """
    return max(round(length * _ratio(source_fs, target_fs)), 1) if length else 0


def resample(
    signal: npt.NDArray[np.floating], source_fs: float, target_fs: float
) -> npt.NDArray[np.float32]:
    """Resample along the last axis with an anti-aliasing polyphase filter.

    The filter is linear-phase (no delay): a Kaiser-windowed sinc, -6 dB at the lower of the two
    Nyquist frequencies. The line between the first and the last sample is taken away before and
    added after, so that an offset does not ring at the ends.

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
    ratio = _ratio(source_fs, target_fs)
    samples = np.asarray(signal, dtype=np.float32)
    if ratio == 1 or samples.shape[-1] == 0:
        return samples
    length = resampled_length(samples.shape[-1], source_fs, target_fs)
    resampled = scipy.signal.resample_poly(
        samples, ratio.numerator, ratio.denominator, axis=-1, padtype="line"
    )
    return np.ascontiguousarray(resampled[..., :length], dtype=np.float32)
