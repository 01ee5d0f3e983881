"""Physical units to int16 and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LARGEST = 32767
_OFF_GRID = 0.01
"""How far, in steps, a sample may lie from a multiple of the converter's step. float32 keeps
multiples up to 32767 to within 0.004 steps."""


def quantise(
    signal: npt.NDArray[np.float32],
    resolution: npt.NDArray[np.float64] | None = None,
    repaired: npt.NDArray[np.bool_] | None = None,
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float64]]:
    """Pack physical values into int16 with one scale a lead.

    A lead whose samples are integer multiples of `resolution` that fit int16 is kept exactly, with
    scale = resolution. Any other lead has scale = max|x| / 32767: nothing is clipped and no sample
    is off by more than half a step. A lead of zeros has scale 1.

    Args:
        signal: `[leads, samples]`, finite.
        resolution: `[leads]` step of the publisher's converter, in the signal's unit.
        repaired: `[leads, samples]`, true where a sample was interpolated and need not be a
            multiple of the step.

    Returns:
        `[leads, samples]` little-endian int16 and `[leads]` physical units per step.
    """
    values = signal.astype(np.float64)
    peak = np.maximum(signal.max(axis=1), -signal.min(axis=1)).astype(np.float64)
    # The smallest normal float32: below it a scale would vanish where batches hold it in float32.
    floor = float(np.finfo(np.float32).tiny)
    scale = np.where(peak > 0, np.maximum(peak / LARGEST, floor), 1.0)
    if resolution is not None:
        step = np.asarray(resolution, dtype=np.float64)
        usable = np.isfinite(step) & (step >= floor)
        steps = values / np.where(usable, step, 1.0)[:, None]
        off_grid = np.abs(steps - np.rint(steps)) > _OFF_GRID
        if repaired is not None:
            off_grid &= ~repaired
        fits = (np.rint(steps).max(axis=1) <= LARGEST) & (
            np.rint(steps).min(axis=1) >= -LARGEST - 1
        )
        scale = np.where(usable & fits & ~off_grid.any(axis=1), step, scale)
    values /= scale[:, None]
    return np.rint(values, out=values).astype("<i2"), scale


def exact_steps(
    signal: npt.NDArray[np.float32], resolution: npt.NDArray[np.float64]
) -> npt.NDArray[np.int16] | None:
    """Give the converter's own integers where every sample is one, as `quantise` would.

    A tenth of the work of `quantise`: in float32, which is exact enough to be sure. Where it cannot
    be sure it says None, which is no verdict.

    Args:
        signal: `[leads, samples]`, finite.
        resolution: `[leads]` step of the publisher's converter, in the signal's unit.

    Returns:
        `[leads, samples]` little-endian int16, or None.
    """
    floor = float(np.finfo(np.float32).tiny)
    if not (np.isfinite(resolution) & (resolution >= floor)).all():
        return None
    with np.errstate(over="ignore"):  # infinities do not fit, which is told below
        steps = signal * (1 / resolution).astype(np.float32)[:, None]
    whole = np.rint(steps)
    if whole.max() > LARGEST or whole.min() < -LARGEST - 1:
        return None
    steps -= whole
    # What is surely on the grid in float64 after two roundings of 2**-24, of the factor and of the
    # product, each of at most 32768 steps.
    if np.abs(steps, out=steps).max() > _OFF_GRID - 2.0**-8:
        return None
    integers: npt.NDArray[np.int16] = whole.astype("<i2")
    return integers


def dequantise(
    samples: npt.NDArray[np.int16], scale: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Bring packed samples `[leads, samples]` back to physical units, float32."""
    # The product in float64 rounds to the very float32 that the publisher's integer stands for.
    return (samples.astype(np.float64) * scale[:, None]).astype(np.float32)
