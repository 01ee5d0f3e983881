"""The layout is that of CPSC2018 in both forms, and every ugly case is counted."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import wfdb

from data_modules.cpsc2018 import CPSC2018DataModule
from pahcl.cli import main
from pahcl.errors import UsageError
from pahcl.simulation import cpsc2018
from pahcl.simulation.cpsc2018 import FORMS, UGLY
from pahcl.store import SignalStore

RECORDS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every form of one corpus."""
    folder = tmp_path_factory.mktemp("simulated")
    for form in FORMS:
        cpsc2018.write(folder / form, records=RECORDS, seed=3, form=form)
    return folder


def mark(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / "simulation.json").read_text()))


def named(root: Path, kind: str) -> list[str]:
    return [name for name, facts in mark(root)["records"].items() if facts["case"] == kind]


def reference(root: Path) -> dict[str, list[str]]:
    text = (root / "REFERENCE.csv").read_bytes()
    assert text.startswith(b"Recording,First_label,Second_label,Third_label\r\n")
    rows = list(csv.reader(text.decode().splitlines()))[1:]
    return {row[0]: [cell for cell in row[1:] if cell] for row in rows}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_holds_what_the_publisher_has(folder: Path, form: str) -> None:
    root = folder / form
    there = {path.name for path in root.iterdir()}
    parts = {
        "challenge": {"WFDB_CPSC2018"},
        "original": {"TrainingSet", "REFERENCE.csv"},
    }
    assert there - {"simulation.json"} == parts.get(form, set.union(*parts.values()))


@pytest.mark.parametrize("form", FORMS)
def test_every_record_is_packed_or_rejected_as_the_counts_say(
    folder: Path, tmp_path: Path, form: str
) -> None:
    counts = mark(folder / form)["counts"]
    assert counts["records"] == RECORDS
    for kind, (count, only) in UGLY.items():
        has = only in ("either", form) or (form == "both" and only in FORMS)
        assert counts[kind] == count * has
    manifest = CPSC2018DataModule.prepare(folder / form, tmp_path / "s", progress=False)
    assert manifest is not None
    assert manifest.counts == {
        "found": counts["table_rows"],
        "kept": counts["readable"],
        "rejected": counts["unreadable"],
    }
    store = SignalStore(tmp_path / "s")
    assert manifest.dataset_version == "simulated"
    assert manifest.notes["age missing"] == counts["nan_age"]
    assert manifest.notes.get("sex missing", 0) == counts["unknown_sex"]
    assert int((store.table["quality/flat"] > 0).sum()) == counts["flat_lead"]
    missing = counts["nan_samples"] + counts["invalid_samples"]
    assert int((store.table["quality/nan"] > 0).sum()) == missing
    assert int(store.table["digest"].duplicated().sum()) == counts["duplicate_record"]
    assert int((store.lengths == 144 * 500).sum()) == 1
    assert (store.lengths >= 6 * 500).all()


def test_the_truth_of_labels_is_what_readers_find(folder: Path) -> None:
    root = folder / "both"
    table = CPSC2018DataModule.index(root, 500.0).table.set_index("record_id")
    names = {code: number for code, (number, _) in cpsc2018.CLASSES.items()}
    classes = CPSC2018DataModule.tasks["nine"].classes
    for key, facts in mark(root)["records"].items():
        form, name = key.split("/")
        if name in table.index and table.loc[name, "form"] == form:
            expected = [classes[names[code] - 1] for code in facts["labels"]]
            assert {c for c in classes if table.loc[name, c]} == set(expected)
            assert table.loc[name, "first_label"] == expected[0]


def test_the_challenge_form_is_what_wfdb_reads(folder: Path) -> None:
    root = folder / "challenge"
    for key in named(root, "good")[:8]:
        path = root / "WFDB_CPSC2018" / key.split("/")[1]
        record = wfdb.rdrecord(str(path), physical=False)
        assert record.fs == 500
        assert record.adc_gain == [1000.0] * 12
        counts = record.d_signal.T.astype(int)
        np.testing.assert_array_equal(counts, scipy.io.loadmat(f"{path}.mat")["val"])
        assert np.abs(counts[2] - (counts[1] - counts[0])).max() <= 1
        sums = (counts.sum(axis=1) - np.array(record.checksum)) % 65536
        assert not sums.any()
        assert record.comments[2].startswith("Dx: ")
    assert len(list((root / "WFDB_CPSC2018").glob("*.hea"))) == RECORDS + sum(
        count for kind, (count, only) in UGLY.items() if only in ("either", "challenge")
    )


def test_the_original_form_is_a_struct_and_rows_of_labels(folder: Path) -> None:
    root = folder / "original"
    labels = reference(root)
    assert len(labels) == mark(root)["counts"]["table_rows"] - UGLY["file_without_row"][0]
    for key in named(root, "good")[:8]:
        name = key.split("/")[1]
        ecg = scipy.io.loadmat(root / "TrainingSet" / f"{name}.mat")["ECG"][0, 0]
        assert ecg.dtype.names == ("sex", "age", "data")
        assert ecg["sex"][0] in {"Male", "Female"}
        assert ecg["data"].shape[0] == 12
        data = ecg["data"]
        np.testing.assert_allclose(data[2], data[1] - data[0], atol=1e-12)
        np.testing.assert_allclose(data.mean(axis=1), 0, atol=1e-12)
        assert 1 <= len(labels[name]) <= 3
    assert any(len(numbers) > 1 for numbers in labels.values())


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for name in "ab":
        cpsc2018.write(tmp_path / name, records=4, seed=9)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        found.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert found[0] == found[1]


def test_a_corpus_without_ugly_cases_is_kept_whole(tmp_path: Path) -> None:
    counts = cpsc2018.write(tmp_path, records=5, ugly=False)
    assert counts["readable"] == counts["table_rows"] == 5
    assert CPSC2018DataModule.index(tmp_path, 500.0).rejected == []


def test_the_verb_takes_the_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["simulate", "cpsc2018", "--out", str(tmp_path / "c"), "--records", "2"]
    assert main([*words, "--form", "original"]) == 0
    assert (tmp_path / "c" / "REFERENCE.csv").is_file()
    assert main([*words, "--form", "challenge"]) == 2
    refused = " ".join(capsys.readouterr().err.split())
    assert "form original, not of 2 records, seed 0, form challenge" in refused


def test_more_records_than_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most 9900"):
        cpsc2018.write(tmp_path / "c", records=9901)
