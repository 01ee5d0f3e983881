"""Guess the unit of a voltage from its size: hearts are much alike, units are powers of ten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pahcl.signals.units import unit_factor

CANDIDATES = ("V", "mV", "1e-4 V", "uV")
"""Units in which electrocardiograms come; CODE's tracings are told in 1e-4 V."""

TYPICAL_MILLIVOLT = 1.1
"""Median over the leads of a 12-lead ECG of the range between the percentiles 0.5 and 99.5,
median over records: 1.1 mV in PTB-XL, CPSC2018 and Chapman-Shaoxing-Ningbo, 1.0 mV in CODE-15%."""

MANY = 20
PLAUSIBLE, PLAUSIBLE_OF_FEW = 3.7, 7.5
"""Factors around `TYPICAL_MILLIVOLT` within which the median of `MANY` records, and of fewer, may
lie. Single records lie within a factor of 2 of their data set's median (97 % of 486), those in
1e-4 V are off by 10."""


@dataclass(frozen=True)
class UnitGuess:
    """Say whether sizes fit a stated unit.

    Args:
        stated: The unit that the file or its reader names.
        amplitude: Median size of a record in that unit.
        records: How many records that is the median of.
        plausible: Whether hearts are of that size.
        likely: The unit in which the size would be plausible; None if there is none.
    """

    stated: str
    amplitude: float
    records: int
    plausible: bool
    likely: str | None


def typical_amplitude(signal: npt.NDArray[np.floating]) -> float:
    """Measure the size of a record so that neither offset, spikes nor silent leads count.

    Args:
        signal: `[C, L]`, NaN where samples are missing.

    Returns:
        The median over all leads that are not constant of the range between the percentiles 0.5
        and 99.5, in the unit of the signal; NaN where nothing moves.
    """
    ranges = []
    for lead in signal:
        real = lead[np.isfinite(lead)]
        if len(real) > 1:
            low, high = np.percentile(real, [0.5, 99.5])
            ranges.append(float(high - low))
    moving = [value for value in ranges if value > 0]
    return float(np.median(moving)) if moving else float("nan")


def guess_unit(amplitudes: npt.ArrayLike, stated: str) -> UnitGuess | None:
    """Hold the sizes of records against the unit that is stated for them.

    Args:
        amplitudes: `[N]` sizes by `typical_amplitude`; NaN counts nothing.
        stated: A unit of voltage.

    Returns:
        The guess; None without any size.

    Raises:
        SpecError: The unit is not one of voltage.
    """
    sizes = np.asarray(amplitudes, dtype=np.float64)
    sizes = sizes[np.isfinite(sizes)]
    factor = unit_factor(stated, "mV")
    if not len(sizes):
        return None
    size = float(np.median(sizes))
    room = PLAUSIBLE if len(sizes) >= MANY else PLAUSIBLE_OF_FEW
    plausible = bool(_distance(size * factor) <= np.log(room))
    nearest = min(CANDIDATES, key=lambda unit: _distance(size * unit_factor(unit, "mV")))
    fits = _distance(size * unit_factor(nearest, "mV")) <= np.log(room)
    likely = stated if plausible else nearest if fits else None
    return UnitGuess(stated, size, len(sizes), plausible, likely)


def _distance(millivolt: float) -> float:
    return abs(float(np.log(millivolt / TYPICAL_MILLIVOLT)))
