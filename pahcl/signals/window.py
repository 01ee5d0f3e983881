"""Windows of a fixed length out of records of any length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pahcl.signals.spec import Pad


def window_bounds(
    lengths: npt.ArrayLike, length: int, pad: Pad = "center"
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Place records in windows: the middle of a longer one, padding around or after a shorter one.

    Args:
        lengths: Samples of each record `[B]`, or one number.
        length: Samples of the window.
        pad: `center` puts a shorter record in the middle (the odd sample of padding behind it),
            `end` at the start.

    Returns:
        int64 arrays shaped like `lengths`: `begin` (first sample taken from the record), `start`
        and `stop` (where real signal starts and stops in the window).
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    begin = np.maximum(lengths - length, 0) // 2
    missing = np.maximum(length - lengths, 0)
    start = missing // 2 if pad == "center" else np.zeros_like(missing)
    return begin, start, start + np.minimum(lengths, length)


def crop_or_pad(
    signal: npt.NDArray[np.float32], length: int, pad: Pad = "center"
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Cut the middle `length` samples, or pad with zeros.

    Args:
        signal: `[C, L0]`.
        length: Samples of the window.
        pad: Where padding goes, as in `window_bounds`.

    Returns:
        `[C, length]` float32 (a view of the input where nothing is padded) and the mask `[length]`
        (true = real signal).
    """
    begin, start, stop = (int(bound) for bound in window_bounds(signal.shape[1], length, pad))
    mask = np.zeros(length, dtype=np.bool_)
    mask[start:stop] = True
    taken = signal[:, begin : begin + stop - start]
    if taken.shape[1] == length:
        return taken, mask
    window = np.zeros((signal.shape[0], length), dtype=np.float32)
    window[:, start:stop] = taken
    return window, mask
