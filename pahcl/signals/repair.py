"""Repair of missing samples along time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def repair(
    signal: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Fill missing samples (NaN, Inf) by linear interpolation within their own lead.

    Before the first and after the last real sample the nearest one is held; a lead without any
    becomes 0.

    Args:
        signal: `[C, L]`.

    Returns:
        The repaired signal `[C, L]` float32 (the input itself where nothing is missing) and the
        number of samples that were missing, int64 `[C]`.
    """
    finite = np.isfinite(signal)
    if finite.all():
        return signal, np.zeros(signal.shape[0], dtype=np.int64)
    missing = signal.shape[1] - np.count_nonzero(finite, axis=1).astype(np.int64)
    repaired = signal.astype(np.float32, copy=True)
    time = np.arange(signal.shape[1])
    for lead in np.flatnonzero(missing):
        real = finite[lead]
        if real.any():
            repaired[lead, ~real] = np.interp(time[~real], time[real], signal[lead, real])
        else:
            repaired[lead] = 0.0
    return repaired, missing
