"""MIMIC-IV-ECG's tables as they are published; the waveforms are not among the samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_modules._mimic_findings import finding_columns
from data_modules.mimic_iv_ecg import MIMICIVECGDataModule
from pahcl.errors import DataError


def test_the_published_row_is_read(samples: Path) -> None:
    index = MIMICIVECGDataModule.index(samples / "mimic-iv-ecg", 500.0)
    assert index.rejected == []
    assert index.notes == {}
    row = index.table.iloc[0]
    assert row["record_id"] == "40689238"
    assert row["subject_id"] == "10000032"
    assert row["file"] == "files/p1000/p10000032/s40689238/40689238"
    assert row["report"] == "sinus rhythm. possible right atrial abnormality. borderline ecg."
    assert row["report_words"] == 8
    assert row["ecg_time"] == "2180-07-23 08:44:00"
    assert row["note_id"] == "10000032-EK-4"
    assert row["bandwidth"] == "0.005-150 Hz"
    assert [row[f"interval/{name}"] for name in ("rr", "pr", "qrs", "qt")] == [659, 130, 88, 348]
    findings = finding_columns(index.table["report"]).iloc[0]
    assert findings["finding/SR"] == 1
    assert findings.sum() == 1


def test_a_record_without_its_waveform_is_named(samples: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"40689238.*is missing"):
        MIMICIVECGDataModule.prepare(samples / "mimic-iv-ecg", tmp_path / "s", progress=False)
