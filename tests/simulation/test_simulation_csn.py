"""The layout is that of CSN, and every ugly case is counted."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import wfdb

from data_modules.csn import CSNDataModule
from pahcl.errors import UsageError
from pahcl.simulation import csn
from pahcl.simulation.csn import UGLY, UNKNOWN_CODE
from pahcl.store import SignalStore


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "csn"
    csn.write(folder, records=140, seed=3)
    return folder


def mark(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / "simulation.json").read_text()))


def test_records_lie_in_the_publishers_folders(root: Path) -> None:
    for path in (root / "WFDBRecords").rglob("*.hea"):
        assert re.fullmatch(
            r"WFDBRecords/01/01[01]/JS\d{5}\.hea", path.relative_to(root).as_posix()
        )
    names = {path.stem for path in root.rglob("JS*.*")}
    assert len(names) == mark(root)["counts"]["table_rows"] == 140 + sum(UGLY.values())


def test_the_table_of_conditions_is_the_publishers(root: Path) -> None:
    data = (root / "ConditionNames_SNOMED-CT.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfAcronymName,FullName,Snomed_CT\n")
    rows = {row["Snomed_CT"] for row in csv.DictReader(data.decode("utf-8-sig").splitlines())}
    used = {code for facts in mark(root)["records"].values() for code in facts["codes"]}
    assert {"713427006", UNKNOWN_CODE} <= used - rows
    assert {"426177001", "426783006"} <= used & rows


def test_two_styles_of_headers_are_mixed_and_wfdb_reads_both(root: Path) -> None:
    styles = set()
    for name, facts in list(mark(root)["records"].items())[:12]:
        (path,) = root.rglob(f"{name}.hea")
        text = path.read_text()
        styles.add(" 16x1+24 1000.0(0)/mV " in text and "# Dx: " in text)
        record = wfdb.rdrecord(str(path.with_suffix("")), physical=False)
        counts = record.d_signal.T.astype(int)
        np.testing.assert_array_equal(counts, scipy.io.loadmat(path.with_suffix(".mat"))["val"])
        assert (record.fs, counts.shape) == (500, (12, 5000))
        assert not ((counts.sum(axis=1) - np.array(record.checksum)) % 65536).any()
        assert [line for line in record.comments if line.startswith("Dx")] == [
            f"Dx: {','.join(facts['codes'])}"
        ]
    assert styles == {True, False}


def test_every_record_is_packed_or_rejected_as_the_counts_say(root: Path, tmp_path: Path) -> None:
    counts = mark(root)["counts"]
    manifest = CSNDataModule.prepare(root, tmp_path / "s", progress=False)
    assert manifest is not None
    assert manifest.counts == {
        "found": counts["table_rows"],
        "kept": counts["readable"],
        "rejected": counts["unreadable"],
    }
    assert manifest.notes == {
        "age missing": counts["nan_age"],
        "no diagnosis": counts["no_diagnosis"],
        f"code {UNKNOWN_CODE} is not in the map": counts["unknown_code"],
    }
    table = SignalStore(tmp_path / "s").table
    assert (table["quality/flat"] == 6).sum() == counts["flat_chest"]
    assert (table["quality/nan"] > 0).sum() == counts["invalid_samples"]
    assert table["digest"].duplicated().sum() == counts["duplicate_record"]
    assert all(counts[kind] == count for kind, count in UGLY.items())


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for name in "ab":
        csn.write(tmp_path / name, records=4, seed=9)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        found.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert found[0] == found[1]


def test_a_corpus_without_ugly_cases_is_kept_whole(tmp_path: Path) -> None:
    counts = csn.write(tmp_path, records=5, ugly=False)
    assert counts["readable"] == counts["table_rows"] == 5
    assert CSNDataModule.index(tmp_path, 500.0).rejected == []


def test_more_records_than_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most 98000"):
        csn.write(tmp_path / "c", records=98_001)
