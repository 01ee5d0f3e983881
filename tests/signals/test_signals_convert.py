from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pahcl.errors import SpecError
from pahcl.signals import (
    STANDARD_12,
    Filter,
    Recording,
    SignalSpec,
    convert,
    convert_record,
    filter_signal,
)

CODE_LEADS = ("DI", "DII", "DIII", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
SPEC = SignalSpec("ecg", 100.0, 1000, STANDARD_12)


def recording(
    leads: tuple[str, ...] = STANDARD_12, fs: float = 100.0, length: int = 1000, unit: str = "mV"
) -> Recording:
    rng = np.random.default_rng(0)
    steps = rng.integers(-2000, 2000, size=(len(leads), length))
    return Recording(
        (steps * 0.001).astype(np.float32),
        fs,
        leads,
        unit,
        "r1",
        "s1",
        resolution=np.full(len(leads), 0.001),
        source_sha256="ab",
    )


def test_a_fitting_record_is_passed_on() -> None:
    source = recording()
    converted = convert_record(source, SPEC)
    assert converted.signal is source.signal
    assert converted.resolution is not None
    np.testing.assert_array_equal(converted.resolution, source.resolution)
    assert (converted.record_id, converted.subject_id) == ("r1", "s1")
    assert converted.source_sha256 == "ab"


def test_every_item_is_converted() -> None:
    source = recording(CODE_LEADS, 400.0, 4096, "1e-4 V")
    spec = replace(SPEC, leads=("V6", "aVL"), filter=Filter(highpass=0.5))
    converted = convert_record(source, spec)
    assert converted.leads == ("V6", "aVL")
    assert (converted.fs, converted.unit) == (100.0, "mV")
    assert converted.signal.shape == (2, 1024)
    assert converted.signal.dtype == np.float32
    assert converted.resolution is None
    plain = convert_record(source, replace(spec, filter=Filter()))
    np.testing.assert_array_equal(converted.signal, filter_signal(plain.signal, 100.0, spec.filter))


def test_window_and_mask() -> None:
    source = recording(length=600)
    signal, mask = convert(source, SPEC)
    assert signal.shape == (12, 1000)
    np.testing.assert_array_equal(np.flatnonzero(mask), np.arange(200, 800))
    np.testing.assert_array_equal(signal[:, mask], source.signal)
    assert convert(source, SPEC, "end")[1][:600].all()
    whole, mask = convert(source, replace(SPEC, length=None))
    assert whole.shape == (12, 600)
    assert mask.all()


def test_converting_twice_changes_nothing() -> None:
    once = convert_record(recording(CODE_LEADS, 400.0, 4096, "uV"), SPEC)
    twice = convert_record(once, SPEC)
    assert twice.signal is once.signal


def test_steps_of_the_converter_follow_selection_units_and_derivation() -> None:
    source = recording(("I", "II", "V1"))
    spec = replace(SPEC, leads=("V1", "III", "aVR", "I"), unit="uV")
    converted = convert_record(source, spec)
    assert converted.resolution is not None
    np.testing.assert_allclose(converted.resolution, [1.0, 1.0, 0.5, 1.0])
    steps = converted.signal / converted.resolution[:, None]
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_steps_end_where_they_do_not_hold() -> None:
    source = recording(("aVR", "aVL"))
    assert convert_record(source, replace(SPEC, leads=("I",))).resolution is None  # thirds
    source = recording(("I", "II"))
    source.resolution = np.array([0.001, 0.005])
    assert convert_record(source, replace(SPEC, leads=("III",))).resolution is None
    kept = convert_record(source, replace(SPEC, leads=("II",))).resolution
    assert kept is not None
    np.testing.assert_array_equal(kept, [0.005])
    assert convert_record(source, replace(SPEC, leads=("II",), fs=50.0)).resolution is None


def test_missing_samples_are_repaired_before_they_spread() -> None:
    source = recording(fs=500.0, length=5000)
    source.signal[3, 1000:1050] = np.nan
    source.signal[5] = np.nan
    converted = convert_record(source, replace(SPEC, filter=Filter(highpass=0.5)))
    assert np.isfinite(converted.signal).all()
    assert (converted.signal[5] == 0).all()
    assert np.isnan(source.signal[5]).all()


def test_a_lead_derived_from_nothing_is_nothing() -> None:
    source = recording(("I", "II"))
    source.signal[0] = np.nan
    converted = convert_record(source, replace(SPEC, leads=("II", "III")))
    assert (converted.signal[1] == 0).all()  # not lead II in disguise
    np.testing.assert_array_equal(converted.signal[0], source.signal[1])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"leads": ("V7",)}, "Lead V7"),
        ({"unit": "mmHg"}, "mmHg"),
        ({"modality": "pcg", "leads": ("PCG",)}, "modality: it records ecg"),
        ({"filter": Filter(lowpass=50.0)}, "fs 100 Hz"),
    ],
)
def test_what_does_not_fit_is_refused_by_item_and_record(
    change: dict[str, object], text: str
) -> None:
    with pytest.raises(SpecError, match=f"Record r1 does not fit the contract: .*{text}"):
        convert(recording(), replace(SPEC, **change))  # type: ignore[arg-type]


def test_heart_sounds_beside_an_ecg_fit_either_contract() -> None:
    source = replace(recording(("PCG", "II")), unit="mV")
    assert convert_record(source, replace(SPEC, modality="pcg", leads=("PCG",))).leads == ("PCG",)
    assert convert_record(source, replace(SPEC, leads=("II",))).leads == ("II",)


def test_packing_records_needs_no_torch() -> None:
    code = "import sys, pahcl.signals; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
