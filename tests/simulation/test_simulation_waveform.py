"""The conditions change the waveform as medicine says, and overlap as they do in clinics."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pahcl.simulation import code15, ptbxl
from pahcl.simulation.ecg import LEADS, simulate, twelve_leads
from pahcl.simulation.morphology import EVENTS, draw_template
from pahcl.simulation.population import draw_cases
from pahcl.simulation.site import ELECTRODES, LEADS_FROM_ELECTRODES

SITE = ptbxl.SITE
RATES = {"SBRAD": 50.0, "STACH": 115.0, "AFIB": 90.0}


def cases_with(*codes, count=24, seed=3):
    drawn = draw_cases(SITE.population, count, (seed, 1))
    rate = next((RATES[code] for code in codes if code in RATES), 70.0)
    return [replace(case, truth=frozenset(codes), rate=rate, severity=1.0) for case in drawn]


def records_with(*codes, count=24, site=SITE):
    return list(simulate(site, cases_with(*codes, count=count), 10.0))


def clean_beats(*codes, count=24):
    """Draw clean beats [count, 12, 1100] in mV at 1 kHz; the R wave is at sample 450."""
    cases = cases_with(*codes, count=count)
    return np.stack([twelve_leads(draw_template(c.stream(0), c).beat()) for c in cases])


def lead(name):
    return LEADS.index(name)


def qrs_width(beat):
    """Measure QRS in ms: where the slope of all leads together exceeds a tenth of its peak."""
    slope = np.sqrt((np.diff(beat, axis=1) ** 2).sum(axis=0))[370:620]
    steep = np.flatnonzero(slope > 0.1 * slope.max())
    return steep[-1] - steep[0]


def variation(record):
    rr = np.diff(record.times)
    return rr.std() / rr.mean()


def test_limb_leads_obey_einthoven_and_goldberger():
    full = twelve_leads(records_with(count=2)[0].signal)
    one, two, three, avr, avl, avf = full[:6]
    np.testing.assert_allclose(three, two - one, atol=1e-12)
    np.testing.assert_allclose(avr + avl + avf, 0, atol=1e-12)
    np.testing.assert_allclose(avf, (two + three) / 2, atol=1e-12)


def test_chest_leads_are_measured_against_the_mean_of_the_limbs():
    same_on_all = LEADS_FROM_ELECTRODES @ np.ones(len(ELECTRODES))
    np.testing.assert_allclose(same_on_all, 0, atol=1e-12)
    on_the_left_arm = LEADS_FROM_ELECTRODES @ np.eye(len(ELECTRODES))[1]
    np.testing.assert_allclose(on_the_left_arm, [1, 0] + [-1 / 3] * 6)


def test_fibrillation_is_irregular_and_has_no_p_wave():
    sinus, fibrillating = records_with(), records_with("AFIB")
    assert np.median([variation(r) for r in fibrillating]) > 3 * np.median(
        [variation(r) for r in sinus]
    )
    atrial = [EVENTS.index("P1"), EVENTS.index("P2")]
    assert all(not r.template.amplitude[0, atrial].any() for r in fibrillating)
    assert np.median([np.abs(r.template.amplitude[0, atrial, 1]).max() for r in sinus]) > 0.05


def test_fibrillatory_waves_fill_the_band_from_4_to_9_hz_in_v1():
    def band(records):
        power = np.abs(np.fft.rfft(np.stack([r.signal[2] for r in records]), axis=1)) ** 2
        between = np.fft.rfftfreq(5000, 1 / 500)
        near = power[:, (between > 4) & (between < 9)].sum(axis=1)
        return np.median(near / power[:, (between > 15) & (between < 25)].sum(axis=1))

    assert band(records_with("AFIB")) > band(records_with())


@pytest.mark.parametrize(("code", "low", "high"), [("SBRAD", 30, 60), ("STACH", 100, 170)])
def test_sinus_rates_belong_to_their_names(code, low, high):
    drawn = [c for c in draw_cases(SITE.population, 3000, (1, 1)) if code in c.truth]
    assert len(drawn) > 30
    rates = [60 / np.diff(r.times).mean() for r in simulate(SITE, drawn[:40], 10.0)]
    assert np.mean([low < rate < high for rate in rates]) > 0.9


@pytest.mark.parametrize("site", [ptbxl.SITE, code15.SITE])
def test_a_slow_or_fast_sinus_rhythm_always_has_its_name(site):
    for case in draw_cases(site.population, 3000, (1, 1)):
        if "AFIB" not in case.truth:
            assert (case.rate < 60) == ("SBRAD" in case.truth)
            assert (case.rate > 100) == ("STACH" in case.truth)


def test_rates_without_a_name_do_not_pile_up_and_stay_near_the_bounds():
    unnamed = {"AFIB", "SBRAD", "STACH"}
    drawn = [c for c in draw_cases(SITE.population, 1000, (1, 1)) if not c.truth & unnamed]
    assert len({case.rate for case in drawn}) == len(drawn)
    # The beats of ten seconds have not exactly the mean that they are drawn from.
    rates = np.array([60 / np.diff(r.times).mean() for r in simulate(SITE, drawn[:200], 10.0)])
    assert ((rates > 58) & (rates < 102)).all()
    assert np.mean((rates < 60) | (rates > 100)) < 0.02


@pytest.mark.parametrize("site", [ptbxl.SITE, code15.SITE])
def test_a_label_is_missing_as_often_as_the_site_says(site):
    cases = list(draw_cases(site.population, 6000, (2, 1)))
    true = sum(len(case.truth) for case in cases)
    missing = sum(len(case.truth - case.labels) for case in cases) / true
    invented = sum(len(case.labels - case.truth) for case in cases) / true
    assert missing == pytest.approx(site.population.missed, abs=0.015)
    assert invented == pytest.approx(site.population.invented, abs=0.015)


def test_sinus_arrhythmia_overlaps_with_fibrillation():
    arrhythmia = [variation(r) for r in records_with("SARRH")]
    fibrillating = [variation(r) for r in records_with("AFIB")]
    assert max(arrhythmia) > min(fibrillating)


def test_blocks_widen_qrs():
    normal = np.median([qrs_width(beat) for beat in clean_beats()])
    assert 70 <= normal <= 110
    for code, least in (("CRBBB", 115), ("CLBBB", 115)):
        assert np.median([qrs_width(beat) for beat in clean_beats(code)]) >= least
    between = np.median([qrs_width(beat) for beat in clean_beats("IRBBB")])
    assert normal < between < 120


def test_right_block_ends_in_front_and_left_block_behind():
    late = slice(500, 525)
    right, left = clean_beats("CRBBB"), clean_beats("CLBBB")
    assert (right[:, lead("V1"), late].mean(axis=1) > 0.1).all()
    assert (right[:, lead("V6"), late].mean(axis=1) < -0.05).all()
    qrs = slice(420, 530)
    assert (left[:, lead("V1"), qrs].mean(axis=1) < -0.2).all()
    assert (left[:, lead("V6"), qrs].mean(axis=1) > 0.1).all()
    # T points against QRS.
    t_wave = slice(680, 800)
    assert np.median(left[:, lead("V6"), t_wave].mean(axis=1)) < 0
    assert np.median(left[:, lead("V1"), t_wave].mean(axis=1)) > 0


def test_first_degree_block_prolongs_pr():
    place = EVENTS.index("P1")

    def interval(*codes):
        return [-draw_template(c.stream(0), c).centre[0, place] for c in cases_with(*codes)]

    assert min(interval("1AVB")) > np.median(interval())
    assert np.median(interval("1AVB")) - np.median(interval()) > 0.05


def test_hypertrophy_raises_the_voltage_and_overlaps():
    def sokolow_lyon(*codes):
        beats = clean_beats(*codes, count=60)[:, :, 400:520]
        return -beats[:, lead("V1")].min(axis=1) + beats[:, lead("V5")].max(axis=1)

    plain, high = sokolow_lyon(), sokolow_lyon("LVH")
    assert np.median(high) > 1.3 * np.median(plain)
    assert plain.max() > high.min()


def test_infarction_shows_in_the_leads_of_its_territory():
    q_wave = slice(420, 445)
    normal, front, below = clean_beats(), clean_beats("ASMI"), clean_beats("IMI")

    def depth(beats, name):
        return np.median(beats[:, lead(name), q_wave].min(axis=1))

    for name in ("V1", "V2", "V3"):
        assert depth(front, name) < depth(normal, name) - 0.1
        assert abs(depth(below, name) - depth(normal, name)) < 0.1
    for name in ("II", "III", "aVF"):
        assert depth(below, name) < depth(normal, name) - 0.1
    assert abs(depth(front, "aVF") - depth(normal, "aVF")) < 0.1


def test_a_part_of_the_anterior_infarctions_is_fresh():
    # ST elevation of 0.2 mV in V2 is the usual criterion (Thygesen et al., 2018, for men over 40).
    st_segment = slice(530, 580)
    normal = clean_beats(count=80)[:, lead("V2"), st_segment].mean(axis=1)
    front = clean_beats("ASMI", count=80)[:, lead("V2"), st_segment].mean(axis=1)
    assert np.mean(normal > 0.2) < 0.05
    assert 0.1 < np.mean(front > 0.2) < 0.4


def test_extra_beats_come_early_and_ventricular_ones_are_wide():
    for code, kind in (("PVC", 1), ("PAC", 2)):
        for record in records_with(code, count=8):
            early = np.flatnonzero(record.kinds == kind)
            assert len(early)
            inner = early[early > 0]
            rr = np.diff(record.times)
            assert (rr[inner - 1] < np.median(rr)).all()


def test_sites_differ_in_mains_baseline_and_size():
    def spectrum(site, at):
        cases = list(draw_cases(site.population, 40, (5, site.number)))
        records = [r for r in simulate(site, cases, 10.0) if not r.noise.notched]
        power = np.mean([np.abs(np.fft.rfft(r.signal, axis=1)) ** 2 for r in records], axis=(0, 1))
        frequency = np.fft.rfftfreq(records[0].signal.shape[1], 1 / site.fs)
        return np.interp(at, frequency, power) / np.interp(at + 4, frequency, power)

    assert spectrum(ptbxl.SITE, 50.0) > 5
    assert spectrum(ptbxl.SITE, 60.0) < 2
    assert spectrum(code15.SITE, 60.0) > 5
    assert spectrum(code15.SITE, 50.0) < 2


def test_prevalences_come_out_as_stated():
    for site in (ptbxl.SITE, code15.SITE):
        cases = list(draw_cases(site.population, 8000, (2, site.number)))
        for code in ("AFIB", "CRBBB", "STACH", "LVH"):
            share = np.mean([code in case.truth for case in cases])
            assert share == pytest.approx(site.population.prevalence[code], rel=0.35)
        assert 1 < len(cases) / len({case.subject.index for case in cases}) < 2


def test_labels_are_wrong_now_and_then():
    cases = list(draw_cases(SITE.population, 4000, (4, 1)))
    missed = sum(len(case.truth - case.labels) for case in cases)
    invented = sum(len(case.labels - case.truth) for case in cases)
    true = sum(len(case.truth) for case in cases)
    assert 0.01 < missed / true < 0.1
    assert 0.005 < invented / true < 0.1


def test_age_and_sex_leave_weak_traces():
    cases = list(draw_cases(SITE.population, 600, (6, 1)))
    plain = [case for case in cases if not case.truth]
    ages = np.array([case.age for case in plain])
    axis = np.array([case.subject.axis for case in plain])
    voltage = np.array([case.subject.voltage for case in plain])
    female = np.array([case.subject.female for case in plain])
    assert -0.75 < np.corrcoef(ages, axis)[0, 1] < -0.15
    assert voltage[female].mean() < voltage[~female].mean()
    assert voltage[female].max() > voltage[~female].mean()


def test_a_record_does_not_depend_on_its_batch():
    cases = list(draw_cases(SITE.population, 7, (8, 1)))
    together = list(simulate(SITE, cases, 10.0, batch=64))
    apart = list(simulate(SITE, reversed(cases), 10.0, batch=2))[::-1]
    for a, b in zip(together, apart, strict=True):
        np.testing.assert_allclose(a.signal, b.signal, atol=2e-6)
        np.testing.assert_array_equal(a.times, b.times)


def test_records_of_a_subject_resemble_each_other():
    cases = list(draw_cases(SITE.population, 400, (9, 1)))
    beats = {}
    for case in cases:
        beats.setdefault(case.subject.index, []).append(
            draw_template(case.stream(0), case).beat()[:, 400:520].ravel()
        )
    several = [found for found in beats.values() if len(found) > 1]
    others = [found[0] for found in beats.values()]
    same = np.median([np.corrcoef(found[0], found[1])[0, 1] for found in several])
    different = np.median([np.corrcoef(a, b)[0, 1] for a, b in pairwise(others)])
    assert same > different
