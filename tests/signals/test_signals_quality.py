from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pahcl.signals import quality_flags
from pahcl.signals.quality import (
    CLIPPED_DISTANCE,
    CLIPPED_PLATEAUS,
    CLIPPED_SHARE,
    FLAGS,
    FLAT_SECONDS,
    FLAT_SHARE,
    RAIL_SHARE,
)

FS = 500.0
_FEW_VALUES = st.sampled_from([-3, 0, 1, 2, 3])


def clean(leads: int = 3, length: int = 5000, noise: float = 0.02) -> np.ndarray:
    """Beats on noise, quantised as a converter of 1 uV does."""
    rng = np.random.default_rng(0)
    time = np.arange(length) / FS
    beats = np.exp(-(((time * 1.2) % 1 - 0.5) ** 2) / 0.0005)
    signal = beats + noise * rng.normal(size=(leads, length))
    return (np.round(signal * 1000) / 1000).astype(np.float32)


def flags(signal: np.ndarray, unit: str = "mV") -> dict[str, int]:
    return {name: count for name, count in quality_flags(signal, FS, unit).items() if count}


def test_a_clean_record_has_no_flag() -> None:
    assert flags(clean()) == {}
    assert tuple(quality_flags(clean(), FS, "mV")) == FLAGS


def test_flat_leads_are_counted_once() -> None:
    signal = clean()
    signal[0] = 0.0
    signal[2, 100:2700] = 0.31  # more than 5 s
    assert flags(signal) == {"flat": 2}


def test_zero_padding_around_a_short_tracing_is_not_flat() -> None:
    signal = clean(length=5120)
    signal[:, :800] = 0.0
    signal[:, -800:] = 0.0
    assert flags(signal) == {}


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_rail_reached_at_each_beat_is_clipping(share: float) -> None:
    signal = clean()
    signal[1] = np.clip(signal[1], None, share)
    assert flags(signal) == {"clipped": 1}
    signal[1] = -signal[1]
    assert flags(signal) == {"clipped": 1}


def test_one_long_stay_at_the_rail_is_clipping_and_a_held_start_is_not() -> None:
    signal = clean()
    signal[0, 1000:1500] = 5.0
    assert flags(signal) == {"clipped": 1}
    signal = clean()
    signal[0, :55] = -2.0
    assert flags(signal) == {}


def test_a_coarse_quiet_baseline_is_not_clipping() -> None:
    signal = np.round(clean(noise=0.0) / 0.005) * np.float32(0.005)  # 200 steps per mV
    assert np.mean(signal[0] == signal[0].min()) > 0.005
    assert flags(signal.astype(np.float32)) == {}


def test_missing_samples_are_counted_by_lead_and_judged_repaired() -> None:
    signal = clean()
    signal[0, 10:20] = np.nan
    signal[1] = np.inf
    assert flags(signal) == {"nan": 2, "flat": 1}


@pytest.mark.parametrize(("unit", "factor"), [("mV", 1.0), ("uV", 1000.0), ("1e-4 V", 10.0)])
def test_size_is_judged_in_millivolt_after_the_offset(unit: str, factor: float) -> None:
    signal = clean()
    assert flags(signal * np.float32(factor), unit) == {}
    assert flags((signal + 500.0) * np.float32(factor), unit) == {}
    signal[1, 2500] = -12.0
    assert flags(signal * np.float32(factor), unit) == {"implausible": 1}


def test_a_wrong_unit_shows() -> None:
    assert flags(clean() * 1000) == {"implausible": 3}


def test_heart_sounds_have_no_implausible_size() -> None:
    assert flags(clean() * 30000, "full scale") == {}


def test_the_order_in_memory_does_not_matter() -> None:
    signal = clean(leads=4)
    signal[0] = 0.0
    signal[1] = np.clip(signal[1], None, 0.5)
    signal[2, 2500] = -12.0
    signal[3, 10:20] = np.nan
    found = quality_flags(signal, FS, "mV")
    assert found == {"flat": 1, "clipped": 1, "nan": 1, "implausible": 1}
    assert quality_flags(np.asfortranarray(signal), FS, "mV") == found


@given(
    hnp.arrays(np.int8, st.tuples(st.integers(1, 3), st.integers(2, 60)), elements=_FEW_VALUES),
    st.sampled_from([1.0, 4.0, 500.0]),
)
@settings(max_examples=300, deadline=None)
def test_flat_and_clipped_as_a_walk_along_each_lead_finds_them(
    steps: np.ndarray, fs: float
) -> None:
    signal = steps.astype(np.float32)
    expected = {"flat": 0, "clipped": 0}
    shortest = max(int(np.ceil(min(FLAT_SHARE * signal.shape[1], FLAT_SECONDS * fs))), 2)
    for lead in signal.tolist():
        runs = [(value, len(list(same))) for value, same in itertools.groupby(lead)]
        if max(length for _, length in runs) >= shortest:
            expected["flat"] += 1
        else:
            rails = (min(lead), max(lead))
            expected["clipped"] += any(_is_clipped(lead, runs, rail) for rail in rails)
    found = quality_flags(signal, fs, "mV")
    assert {name: found[name] for name in expected} == expected


def _is_clipped(lead: list[float], runs: list[tuple[float, int]], rail: float) -> bool:
    plateaus = [length for value, length in runs if value == rail and length >= 2]
    share = sum(plateaus) / len(lead)
    many = share >= RAIL_SHARE or (share >= CLIPPED_SHARE and len(plateaus) >= CLIPPED_PLATEAUS)
    far = abs(rail - np.median(lead)) >= CLIPPED_DISTANCE * (max(lead) - min(lead))
    return bool(many and far and sum(length - 1 for length in plateaus) > 0)


@pytest.mark.parametrize("length", [0, 1, 2])
def test_very_short_records(length: int) -> None:
    counts = quality_flags(np.zeros((2, length), np.float32), FS, "mV")
    assert counts["flat"] == (2 if length == 2 else 0)
