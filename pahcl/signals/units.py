"""Physical units of voltage, in the spellings that files use."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from pahcl.errors import SpecError

_PREFIXES = {
    "": Fraction(1),
    "milli": Fraction(1, 10**3),
    "micro": Fraction(1, 10**6),
    "nano": Fraction(1, 10**9),
    "m": Fraction(1, 10**3),
    "u": Fraction(1, 10**6),
    "\N{GREEK SMALL LETTER MU}": Fraction(1, 10**6),  # both micro signs fold to this one
    "n": Fraction(1, 10**9),
}
_VOLTAGE = re.compile(
    r"(?P<number>\d+(?:\.\d*)?(?:e[+-]?\d+)?)?[\s*]*"
    r"(?:(?P<short>[mun\N{GREEK SMALL LETTER MU}]?)v|(?P<long>milli|micro|nano)?volts?)"
)


@lru_cache(maxsize=64)
def _in_volts(unit: str) -> Fraction | None:
    # Case is ignored: headers write `mv` and `MV` for millivolts, and no heart makes megavolts.
    match = _VOLTAGE.fullmatch(unit.strip().casefold())
    if match is None:
        return None
    factor = Fraction(match["number"] or 1) * _PREFIXES[match["short"] or match["long"] or ""]
    return factor or None


def is_voltage(unit: str) -> bool:
    """Say whether a unit is one of voltage, and amplitudes can be told in mV."""
    return _in_volts(unit) is not None


def unit_factor(source: str, target: str) -> float:
    """Give the number by which samples in `source` are multiplied to be in `target`.

    Known are V, mV, uV (or µV), nV in any case, the same in words, and multiples such as `1e-4 V`.
    Any other unit converts to itself alone.

    Raises:
        SpecError: The units do not measure the same, or are not known.
    """
    if source.strip() == target.strip():
        return 1.0
    volts, target_volts = _in_volts(source), _in_volts(target)
    if volts is None or target_volts is None:
        unknown = source if volts is None else target
        raise SpecError(
            f"Unit {source!r} cannot be converted to {target!r}: {unknown!r} is not a known unit "
            f"of voltage (V, mV, uV, nV, or a multiple such as '1e-4 V')."
        )
    return float(volts / target_volts)
