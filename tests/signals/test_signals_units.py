from __future__ import annotations

import pytest

from pahcl.errors import SpecError
from pahcl.signals import is_voltage, unit_factor


@pytest.mark.parametrize(
    ("source", "factor"),
    [
        ("mV", 1.0),
        ("mv", 1.0),
        (" millivolts ", 1.0),
        ("V", 1000.0),
        ("uV", 0.001),
        ("\N{MICRO SIGN}V", 0.001),
        ("\N{GREEK SMALL LETTER MU}V", 0.001),
        ("nV", 1e-6),
        ("1e-4 V", 0.1),
        ("1E-4V", 0.1),
        ("100 uV", 0.1),
        ("0.1 mV", 0.1),
    ],
)
def test_factor_to_millivolt_is_exact(source: str, factor: float) -> None:
    assert unit_factor(source, "mV") == factor
    assert is_voltage(source)


def test_there_and_back_is_one() -> None:
    assert unit_factor("uV", "1e-4 V") * unit_factor("1e-4 V", "uV") == pytest.approx(
        1.0, rel=1e-15
    )


def test_a_unit_of_its_own_converts_to_itself() -> None:
    assert unit_factor("full scale", "full scale") == 1.0
    assert not is_voltage("full scale")


@pytest.mark.parametrize("unit", ["", "mmHg", "0 mV", "kV", "mVV", "NU"])
def test_unknown_unit_is_named(unit: str) -> None:
    with pytest.raises(SpecError, match=f"'{unit}' is not a known unit"):
        unit_factor(unit, "mV")
    with pytest.raises(SpecError, match=f"'{unit}' is not a known unit"):
        unit_factor("mV", unit)
