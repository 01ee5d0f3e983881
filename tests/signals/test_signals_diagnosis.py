"""Units by size, leads by their identities, rates by heart rates: closed forms and simulation."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from pahcl.errors import SpecError
from pahcl.signals.amplitude import guess_unit, typical_amplitude
from pahcl.signals.beats import beats_per_minute, guess_rate
from pahcl.signals.electrodes import swap_matrix
from pahcl.signals.lead_check import (
    arms_look_exchanged,
    check_limb_leads,
    chest_likeness,
    guess_chest_order,
)
from pahcl.signals.leads import LIMB_LEADS, STANDARD_12
from pahcl.signals.units import unit_factor
from pahcl.simulation.ecg import simulate, twelve_leads
from pahcl.simulation.population import draw_cases
from pahcl.simulation.ptbxl import SITE

FS = 500.0
Signals = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def records() -> list[Signals]:
    """Twelve-lead records in mV at 500 Hz."""
    cases = draw_cases(SITE.population, 24, (3, SITE.number))
    return [twelve_leads(one.signal) for one in simulate(SITE, cases, 10.0)]


def beating(rate: float, fs: float, seconds: float = 10.0) -> Signals:
    """One lead with a narrow wave `rate` times a minute and a broad one behind each."""
    time = np.arange(round(seconds * fs)) / fs
    phase = (time * rate / 60) % 1 * 60 / rate
    wave = np.exp(-0.5 * ((phase - 0.2) / 0.015) ** 2)
    return (wave + 0.3 * np.exp(-0.5 * ((phase - 0.45) / 0.05) ** 2))[None]


def test_size_of_a_known_signal() -> None:
    ramp = np.linspace(0, 1, 1001)
    assert typical_amplitude(np.stack([ramp, 3 * ramp, 0 * ramp])) == pytest.approx(0.99 * 2)
    assert typical_amplitude(np.stack([ramp, np.full(1001, np.nan)])) == pytest.approx(0.99)
    assert np.isnan(typical_amplitude(np.zeros((2, 10))))


@pytest.mark.parametrize("unit", ["V", "mV", "1e-4 V", "uV"])
@pytest.mark.parametrize("stated", ["V", "mV", "1e-4 V", "uV"])
def test_the_unit_is_told_from_the_size(records: list[Signals], unit: str, stated: str) -> None:
    sizes = [typical_amplitude(record) * unit_factor("mV", unit) for record in records]
    guess = guess_unit(sizes, stated)
    assert guess is not None
    assert guess.likely == unit
    assert guess.plausible is (unit == stated)
    assert guess.records == len(records)


def test_a_size_that_no_unit_explains_has_no_guess() -> None:
    guess = guess_unit([1e9] * 30, "mV")
    assert guess is not None
    assert (guess.plausible, guess.likely) == (False, None)
    assert guess_unit([np.nan], "mV") is None
    with pytest.raises(SpecError):
        guess_unit([1.0], "full scale")


def test_few_records_are_given_the_benefit_of_the_doubt() -> None:
    few, many = guess_unit([5.2], "mV"), guess_unit([5.2] * 30, "mV")
    assert few is not None
    assert many is not None
    assert few.plausible
    assert not many.plausible


@pytest.mark.parametrize("rate", [40.0, 75.0, 180.0])
@pytest.mark.parametrize("fs", [100.0, 500.0, 4000.0])
def test_the_beat_rate_of_a_regular_heart(rate: float, fs: float) -> None:
    assert beats_per_minute(beating(rate, fs), fs) == pytest.approx(rate, rel=0.03)
    assert beats_per_minute(beating(rate, fs), 2 * fs) == pytest.approx(2 * rate, rel=0.06)


def test_no_rhythm_gives_no_rate() -> None:
    assert np.isnan(beats_per_minute(np.zeros((1, 5000)), FS))
    assert np.isnan(beats_per_minute(np.full((1, 5000), np.nan), FS))
    assert np.isnan(beats_per_minute(np.zeros((1, 3)), FS))
    step = np.zeros((1, 5000))
    step[:, 2500:] = 1
    assert np.isnan(beats_per_minute(step, FS))


def test_missing_samples_and_an_artefact_leave_the_rate() -> None:
    signal = beating(75, FS)
    signal[0, 1000:1030] = 50.0
    signal[0, 3000:3040] = np.nan
    assert beats_per_minute(signal, FS) == pytest.approx(75, rel=0.03)


def test_simulated_hearts_have_the_rate_of_their_beats() -> None:
    cases = draw_cases(SITE.population, 24, (5, SITE.number))
    off = []
    for one in simulate(SITE, cases, 10.0):
        true = 60 / np.median(np.diff(one.times))
        off.append(abs(beats_per_minute(twelve_leads(one.signal), FS) / true - 1))
    assert np.median(off) < 0.05


@pytest.mark.parametrize(("true", "stated"), [(500, 100), (100, 500), (500, 1000), (500, 250)])
def test_a_misstated_rate_is_told(records: list[Signals], true: float, stated: float) -> None:
    found = [beats_per_minute(one[:, :: round(FS / true)], true) for one in records]
    guess = guess_rate(np.array(found) * stated / true, stated)
    assert guess is not None
    assert not guess.plausible
    assert true in guess.likely
    right = guess_rate(found, true)
    assert right is not None
    assert right.plausible
    assert true in right.likely
    assert guess_rate(found[:4], true) is None


def test_right_names_keep_the_identities(records: list[Signals]) -> None:
    for record in records:
        verdict = check_limb_leads(record, STANDARD_12, FS)
        assert verdict is not None
        assert verdict.contradiction < 1e-6
        assert not verdict.exchanges
        assert verdict.broken == 0


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(LIMB_LEADS, 2)))
def test_exchanged_names_are_found(records: list[Signals], one: str, other: str) -> None:
    names = list(STANDARD_12)
    first, second = names.index(one), names.index(other)
    names[first], names[second] = names[second], names[first]
    told = [check_limb_leads(record, names, FS) for record in records]
    found = [verdict.exchanges for verdict in told if verdict is not None and verdict.exchanges]
    assert len(found) > 0.8 * len(records)
    assert set(found) == {(f"{one} and {other} exchanged",)}


@pytest.mark.parametrize("lead", LIMB_LEADS)
def test_an_inverted_lead_is_found(records: list[Signals], lead: str) -> None:
    signal = records[0].copy()
    signal[STANDARD_12.index(lead)] *= -1
    verdict = check_limb_leads(signal, STANDARD_12, FS)
    assert verdict is not None
    assert verdict.exchanges == (f"{lead} inverted",)


def test_three_names_in_a_circle_are_told_in_turn(records: list[Signals]) -> None:
    names = ["aVL", "II", "III", "aVR", "aVF", "I"]
    verdict = check_limb_leads(records[1][:6], names, FS)
    assert verdict is not None
    assert len(verdict.exchanges) == 1
    for text in ("aVL stands", "aVF stands", "I stands"):
        assert text in verdict.exchanges[0]


def test_three_leads_alone_have_several_explanations(records: list[Signals]) -> None:
    verdict = check_limb_leads(records[0][:3], ["II", "I", "III"], FS)
    assert verdict is not None
    assert verdict.is_broken
    assert set(verdict.exchanges) == {"I and II exchanged", "III inverted"}


def test_noise_has_no_explanation() -> None:
    noise = np.random.default_rng(0).normal(size=(6, 5000))
    verdict = check_limb_leads(noise, LIMB_LEADS, FS)
    assert verdict is not None
    assert verdict.is_broken
    assert verdict.exchanges == ()


def test_a_short_break_is_told_with_place_and_equation(records: list[Signals]) -> None:
    signal = records[0].copy()
    signal[2, 700:702] += 3.0
    verdict = check_limb_leads(signal, STANDARD_12, FS)
    assert verdict is not None
    assert (verdict.broken, verdict.equations) == (2, ("III = II - I",))
    assert verdict.worst == pytest.approx(3.0, abs=0.01)
    assert verdict.at in (700, 701)


def test_limb_leads_that_say_nothing_are_passed_over(records: list[Signals]) -> None:
    assert check_limb_leads(records[0][:2], ["I", "II"], FS) is None
    assert check_limb_leads(np.zeros((6, 100)), LIMB_LEADS, FS) is None
    assert check_limb_leads(np.full((6, 100), np.nan), LIMB_LEADS, FS) is None
    flat = records[0].copy()
    flat[3] = 0
    verdict = check_limb_leads(flat, STANDARD_12, FS)
    assert verdict is not None
    assert "aVR" not in verdict.leads
    assert verdict.contradiction < 1e-6


def test_exchanged_arms_keep_the_identities_and_are_seen_against_v6(
    records: list[Signals],
) -> None:
    cables = swap_matrix(STANDARD_12, "LA/RA")
    before = [arms_look_exchanged(record, STANDARD_12, FS) for record in records]
    after = [arms_look_exchanged(cables @ record, STANDARD_12, FS) for record in records]
    assert np.mean([bool(one) for one in before]) < 0.1
    assert np.mean([bool(one) for one in after]) > 0.5
    verdict = check_limb_leads(cables @ records[0], STANDARD_12, FS)
    assert verdict is not None
    assert not verdict.is_broken
    assert arms_look_exchanged(records[0][:6], LIMB_LEADS, FS) is None


def test_the_order_of_the_chest_leads_is_told_by_their_likeness(records: list[Signals]) -> None:
    likeness = [chest_likeness(record, STANDARD_12, FS) for record in records]
    mean = np.mean([one for one in likeness if one is not None], axis=0)
    assert guess_chest_order(mean) == ()
    order = [5, 1, 2, 3, 4, 0]
    assert guess_chest_order(mean[np.ix_(order, order)])[::5] == ("V6", "V1")
    assert chest_likeness(records[0][:6], LIMB_LEADS, FS) is None


def test_the_order_of_a_known_likeness() -> None:
    place = np.arange(6)
    line = 0.8 ** np.abs(place[:, None] - place[None])
    assert guess_chest_order(line) == ()
    order = np.array([0, 4, 2, 3, 1, 5])
    assert guess_chest_order(line[np.ix_(order, order)]) == ("V1", "V5", "V3", "V4", "V2", "V6")
    assert guess_chest_order(line[::-1, ::-1]) == ()
