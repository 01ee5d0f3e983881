"""Quality flags: leads that record nothing, a rail, gaps, or what no heart makes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pahcl.signals.repair import repair
from pahcl.signals.units import is_voltage, unit_factor

FLAGS = ("flat", "clipped", "nan", "implausible")

FLAT_SHARE, FLAT_SECONDS = 0.5, 5.0
"""A lead is flat when one value is held for half the record, or for 5 s: a lead that was off.
Zeros around a 7 s tracing in a 10 s window are held for less."""

CLIPPED_SHARE, CLIPPED_PLATEAUS, RAIL_SHARE = 0.005, 3, 0.05
"""A lead is clipped when at least 0.5 % of its samples lie on 3 or more plateaus (2 or more equal
samples) at its very maximum or minimum, or 5 % on any number: an amplifier at its rail reaches the
same value again and again. The held start of many a PTB-XL record (0.1 s, 1 %) is one plateau."""

CLIPPED_DISTANCE = 0.25
"""Only an extreme this share of the range away from the median is a rail: the quiet baseline of a
coarsely quantised lead without negative waves is not."""

IMPLAUSIBLE_MILLIVOLT = 8.0
"""Well beyond the 5 mV that IEC 60601-2-25 asks an electrocardiograph to record; what exceeds it,
offset removed, is an artefact, a pacing spike or a wrong unit."""


def _longest_run(true: npt.NDArray[np.bool_]) -> int:
    """Count the longest run of true values in `[L]`."""
    edges = np.flatnonzero(np.diff(true, prepend=False, append=False))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _with_at_least(count: float, true: npt.NDArray[np.bool_]) -> list[int]:
    """List the leads of `[C, L]` that hold so many true values."""
    if np.count_nonzero(true) < count:  # not even all leads together, as in most records
        return []
    return [lead for lead, row in enumerate(true) if np.count_nonzero(row) >= count]


def _which_are_flat(same: npt.NDArray[np.bool_], shortest: int) -> npt.NDArray[np.bool_]:
    """Say which leads hold one value for `shortest` samples; `same` `[C, L - 1]` compares pairs."""
    flat = np.zeros(len(same), dtype=np.bool_)
    for lead in _with_at_least(shortest - 1, same):  # necessary, and cheap to count
        flat[lead] = _longest_run(same[lead]) >= shortest - 1
    return flat


def _which_are_at_rail(
    signal: npt.NDArray[np.float32],
    same: npt.NDArray[np.bool_],
    rails: npt.NDArray[np.float32],
    spread: npt.NDArray[np.float32],
) -> set[int]:
    """Find the leads that are clipped at `rails` `[C]`, their maxima or their minima."""
    held = same & (signal[:, 1:] == rails[:, None])
    # A plateau of n samples has n - 1 >= n / 2 pairs.
    suspects = _with_at_least(CLIPPED_SHARE * signal.shape[1] / 2, held)
    return {
        lead
        for lead in suspects
        if _is_at_rail(signal[lead], held[lead], rails[lead], spread[lead])
    }


def _is_at_rail(
    lead: npt.NDArray[np.float32],
    held: npt.NDArray[np.bool_],
    rail: np.float32,
    spread: np.float32,
) -> bool:
    pairs = np.count_nonzero(held)
    plateaus = np.count_nonzero(np.diff(held, prepend=False) & held)
    share = (pairs + plateaus) / len(lead)
    if share < RAIL_SHARE and (share < CLIPPED_SHARE or plateaus < CLIPPED_PLATEAUS):
        return False
    return bool(abs(rail - np.median(lead)) >= CLIPPED_DISTANCE * spread)


def flagged_leads(
    signal: npt.NDArray[np.float32], fs: float, unit: str
) -> dict[str, npt.NDArray[np.int64]]:
    """Find the leads that are flat, clipped, hold missing samples, or are of implausible size.

    Missing samples are repaired before the other flags are judged; a flat lead is not also clipped.
    Sizes are judged in units of voltage alone: heart sounds have no agreed unit, and there nothing
    is `implausible`.

    Args:
        signal: `[C, L]` in `unit`, NaN where samples are missing.
        fs: Sampling rate in Hz.
        unit: Physical unit of the samples.

    Returns:
        The positions of the leads for each of `FLAGS`.
    """
    repaired, missing = repair(np.ascontiguousarray(signal))
    none = np.zeros(0, dtype=np.int64)
    found = {**dict.fromkeys(FLAGS, none), "nan": np.flatnonzero(missing)}
    if signal.shape[1] < 2:
        return found
    low, high = repaired.min(axis=1), repaired.max(axis=1)
    spread = high - low
    shortest = int(np.ceil(min(FLAT_SHARE * signal.shape[1], FLAT_SECONDS * fs)))
    same = repaired[:, 1:] == repaired[:, :-1]
    flat = _which_are_flat(same, max(shortest, 2))
    found["flat"] = np.flatnonzero(flat)
    clipped = {
        lead
        for rails in (low, high)
        for lead in _which_are_at_rail(repaired, same, rails, spread)
        if not flat[lead]
    }
    found["clipped"] = np.array(sorted(clipped), dtype=np.int64)
    if is_voltage(unit):
        limit = IMPLAUSIBLE_MILLIVOLT * unit_factor("mV", unit)
        large = np.flatnonzero(spread > limit)  # only these can be so far from their median
        if not large.size:
            return found
        if not large.size:
            return found
        centred = np.abs(repaired[large] - np.median(repaired[large], axis=1, keepdims=True))
        found["implausible"] = large[centred.max(axis=1, initial=0) > limit]
    return found


def quality_flags(signal: npt.NDArray[np.float32], fs: float, unit: str) -> dict[str, int]:
    """Count the leads that `flagged_leads` finds; nothing is dropped for a flag.

    Args:
        signal: `[C, L]` in `unit`, NaN where samples are missing.
        fs: Sampling rate in Hz.
        unit: Physical unit of the samples.

    Returns:
        Number of leads for each of `FLAGS`.
    """
    return {flag: len(leads) for flag, leads in flagged_leads(signal, fs, unit).items()}
