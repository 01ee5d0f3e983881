from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from pahcl.errors import SpecError
from pahcl.signals import STANDARD_12, canonical_lead, lead_modality, select_leads
from pahcl.signals.leads import LIMB_LEADS

PTBXL = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
CODE = ("DI", "DII", "DIII", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
PTBDB = tuple(name.lower() for name in STANDARD_12)
MIMIC = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")


def twelve(length: int = 50, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    one, two, *chest = rng.normal(size=(8, length))
    limbs = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.array([*limbs, *chest], dtype=np.float32)


@pytest.mark.parametrize("names", [PTBXL, CODE, PTBDB, STANDARD_12])
def test_publishers_spellings_are_one(names: tuple[str, ...]) -> None:
    assert tuple(canonical_lead(name) for name in names) == STANDARD_12


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Lead II", "II"), ("MDC_ECG_LEAD_AVL", "aVL"), (" v3r ", "V3R"), ("D2", "II"), ("av", "AV")],
)
def test_aliases(name: str, expected: str) -> None:
    assert canonical_lead(name) == expected


@pytest.mark.parametrize("name", ["", "IV", "-aVR", "MLII", "V10", "D"])
def test_unknown_lead_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="No lead is known as"):
        canonical_lead(name)


def test_modality_follows_the_lead() -> None:
    assert lead_modality("DII") == "ecg"
    assert lead_modality("TV") == "pcg"
    assert lead_modality("resp") is None


def test_order_follows_the_name_not_the_position() -> None:
    signal = twelve()
    mimic = select_leads(signal, STANDARD_12, MIMIC)
    assert not np.array_equal(mimic, signal)
    np.testing.assert_array_equal(select_leads(mimic, MIMIC, STANDARD_12), signal)


def test_nothing_is_copied_when_nothing_changes() -> None:
    signal = twelve()
    assert select_leads(signal, CODE, STANDARD_12) is signal


@pytest.mark.parametrize("have", list(combinations(LIMB_LEADS, 2)))
def test_any_two_limb_leads_give_all_six(have: tuple[str, str]) -> None:
    signal = twelve()
    rows = [STANDARD_12.index(name) for name in have]
    derived = select_leads(signal[rows], have, LIMB_LEADS)
    np.testing.assert_allclose(derived, signal[:6], atol=1e-5)


def test_missing_samples_stay_missing_in_derived_leads_alone() -> None:
    signal = twelve()
    signal[0, 7] = np.nan
    derived = select_leads(signal[[0, 1, 6]], ("I", "II", "V1"), ("III", "V1", "aVF"))
    assert np.isnan(derived[[0, 2], 7]).all()
    assert np.isfinite(derived[1]).all()
    assert np.count_nonzero(np.isnan(derived)) == 2


@pytest.mark.parametrize(
    ("have", "want", "named"),
    [(("I", "II"), "V1", "V1"), (("I", "V1"), "aVF", "aVF"), (("V1",), "resp", "resp")],
)
def test_lead_neither_there_nor_derivable_is_named(
    have: tuple[str, ...], want: str, named: str
) -> None:
    with pytest.raises(SpecError, match=f"Lead {named} is needed"):
        select_leads(np.zeros((len(have), 5), np.float32), have, (want,))


def test_a_name_that_occurs_twice_is_refused() -> None:
    with pytest.raises(SpecError, match=r"lead I twice \('I' and 'DI'\)"):
        select_leads(np.zeros((2, 5), np.float32), ("I", "DI"), ("I",))


def test_unusual_channels_match_letter_by_letter() -> None:
    signal = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(select_leads(signal, ("ECG", "Resp"), ("Resp",)), signal[1:])
