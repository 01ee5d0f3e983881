"""How loud a heart sound is from moment to moment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.ndimage
import scipy.signal

Samples = npt.NDArray[np.floating]
Envelope = npt.NDArray[np.float64]


def shannon_envelope(
    signal: Samples, fs: float, frame: float = 0.02, hop: float = 0.01
) -> Envelope:
    """Average the Shannon energy -x² ln x² over frames (Liang et al. 1997), x within -1 and 1.

    It weighs what is of middle height most: a knock counts less than in the energy itself.

    Args:
        signal: `[L]`; what is beyond -1 and 1 counts as that.
        fs: Rate in Hz.
        frame: Length of the moving average in seconds.
        hop: Time from one value to the next in seconds.

    Returns:
        `[ceil(L / (hop fs))]`.
    """
    square = np.clip(np.asarray(signal, dtype=np.float64), -1, 1) ** 2 + 1e-10
    return _frames(-square * np.log(square), fs, frame, hop)


def rms_envelope(signal: Samples, fs: float, frame: float = 0.02, hop: float = 0.01) -> Envelope:
    """Take the root of the mean square over frames; arguments are those of `shannon_envelope`."""
    square = np.asarray(signal, dtype=np.float64) ** 2
    return np.sqrt(np.maximum(_frames(square, fs, frame, hop), 0.0))


def hilbert_envelope(
    signal: Samples, fs: float, frame: float = 0.02, hop: float = 0.01
) -> Envelope:
    """Average the magnitude of the analytic signal; arguments are those of `shannon_envelope`."""
    length = len(signal)
    padded = scipy.fft.next_fast_len(length)
    return _frames(np.abs(scipy.signal.hilbert(signal, padded)[:length]), fs, frame, hop)


def _frames(values: Samples, fs: float, frame: float, hop: float) -> Envelope:
    size, step = max(round(frame * fs), 1), max(round(hop * fs), 1)
    return np.asarray(
        scipy.ndimage.uniform_filter1d(values, size, mode="constant")[::step], dtype=np.float64
    )
