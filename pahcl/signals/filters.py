"""Zero-phase filters: on arrays by second-order sections, on batches in the frequency domain.

Butterworth high-pass and low-pass of order 2, run forward and backward: the phase is zero and the
response is the squared magnitude, 1 / (1 + (f / cut-off)^4) in frequency for the low-pass: half the
amplitude (-6 dB) at the cut-off, 24 dB an octave beyond it. The notch is a second-order one of
quality 30 (1.7 Hz wide at 50 Hz), twice. Both versions continue the signal oddly at its ends, for
as long as the slowest section rings.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.signal

from pahcl.errors import SpecError
from pahcl.signals.spec import Filter

ORDER = 2
NOTCH_QUALITY = 30.0
# The extension lasts until the slowest pole has decayed to this share.
_DECAY = 1e-3


@lru_cache(maxsize=64)
def sections(fs: float, filter: Filter) -> npt.NDArray[np.float64]:
    """Design the filter as second-order sections `[S, 6]` for one direction.

    Raises:
        SpecError: A frequency is not below half the sampling rate.
    """
    for name, frequency in asdict(filter).items():
        if frequency is not None and frequency >= fs / 2:
            raise SpecError(
                f"Filter.{name} {frequency:g} Hz is not below half the sampling rate "
                f"(fs {fs:g} Hz / 2 = {fs / 2:g} Hz); lower it, leave it out, or raise fs."
            )
    parts = []
    if filter.highpass is not None:
        parts.append(scipy.signal.butter(ORDER, filter.highpass, "highpass", fs=fs, output="sos"))
    if filter.lowpass is not None:
        parts.append(scipy.signal.butter(ORDER, filter.lowpass, "lowpass", fs=fs, output="sos"))
    if filter.notch is not None:
        b, a = scipy.signal.iirnotch(filter.notch, NOTCH_QUALITY, fs=fs)
        parts.append(scipy.signal.tf2sos(b, a))
    return np.concatenate(parts) if parts else np.empty((0, 6))


@lru_cache(maxsize=64)
def extension_length(fs: float, filter: Filter) -> int:
    """Count the samples by which a signal is continued at each end before it is filtered."""
    poles = np.concatenate([np.roots(section[3:]) for section in sections(fs, filter)])
    slowest = float(np.abs(poles).max())
    return int(np.ceil(np.log(_DECAY) / np.log(slowest)))


def _extend(signal: npt.NDArray[np.floating], count: int) -> npt.NDArray[np.float64]:
    """Continue `[..., L]` oddly by `count` samples at each end; hold the value beyond that."""
    length = signal.shape[-1]
    distance = np.minimum(np.arange(1, count + 1), length - 1)
    head = 2.0 * signal[..., :1] - signal[..., distance[::-1]]
    tail = 2.0 * signal[..., -1:] - signal[..., length - 1 - distance]
    return np.concatenate([head, signal, tail], axis=-1, dtype=np.float64)


def filter_signal(
    signal: npt.NDArray[np.floating], fs: float, filter: Filter
) -> npt.NDArray[np.float32]:
    """Filter along the last axis without shifting phase.

    Args:
        signal: `[..., L]` of any length, without NaN.
        fs: Sampling rate in Hz.
        filter: What to filter.

    Returns:
        float32 `[..., L]`; the input itself (as float32) where there is nothing to filter.

    Raises:
        SpecError: A cut-off is not below half the sampling rate.
    """
    sos = sections(fs, filter)
    if len(sos) == 0 or signal.shape[-1] == 0:
        return np.asarray(signal, dtype=np.float32)
    count = extension_length(fs, filter)
    extended = _extend(signal, count)
    filtered = scipy.signal.sosfiltfilt(sos, extended, axis=-1, padtype=None, padlen=0)
    return np.ascontiguousarray(filtered[..., count:-count], dtype=np.float32)
