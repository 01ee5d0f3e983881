"""Real folders that have no module of their own become stores as one's own recordings."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import wfdb
from scipy.io import loadmat

from data_modules.folder import FolderDataModule
from pahcl.signals import STANDARD_12
from pahcl.store import SignalStore


def pack(root: Path, out: Path, **options: Any) -> SignalStore:
    FolderDataModule.prepare(root, out / "store", progress=False, **options)
    return SignalStore(out / "store")


def physical(header: Path) -> np.ndarray:
    """Read a Challenge record by its header's own words, with wfdb's counts."""
    lines = [line.split() for line in header.read_text().splitlines() if line[0] != "#"][1:]
    gains = [float(words[2].split("/")[0].split("(")[0]) for words in lines]
    zeros = [int(words[4]) for words in lines]
    counts = loadmat(header.with_suffix(".mat"))["val"].astype(np.float64)
    return ((counts - np.array(zeros)[:, None]) / np.array(gains)[:, None]).astype(np.float32)


@pytest.mark.parametrize("part", ["WFDB_Ga", "WFDB_CPSC2018_2", "WFDB_PTBXL", "WFDB_PTB"])
def test_every_record_of_the_challenges_is_kept_in_mv(
    samples: Path, tmp_path: Path, part: str
) -> None:
    root = samples / "challenge2021" / part
    store = pack(root, tmp_path)
    headers = sorted(root.glob("*.hea"))
    assert store.manifest.counts == {"found": len(headers), "kept": len(headers), "rejected": 0}
    assert store.manifest.notes == {"files of samples that a header tells of": len(headers)}
    assert (store.spec.leads, store.spec.unit) == (STANDARD_12, "mV")
    for row, name in enumerate(store.table["record_id"]):
        expected = physical(root / f"{name}.hea")
        rate = float((root / f"{name}.hea").read_text().split()[2].split("/")[0])
        if rate == store.spec.fs:
            step = np.maximum(store.scales[row][:, None], 1e-6)
            assert (np.abs(store.read(row).signal - expected) <= 0.51 * step).all(), name


def test_headers_that_wfdb_refuses_are_among_them(samples: Path) -> None:
    texts = [path.read_text() for path in (samples / "challenge2021" / "WFDB_Ga").glob("*.hea")]
    assert any(text.split()[0].endswith(".mat") for text in texts)
    assert any("4880" in text for text in texts)
    assert any("/mv " in path.read_text() for path in (samples / "challenge2021").rglob("*.hea"))


def test_the_whole_challenge_folder_has_its_parts_as_classes(samples: Path, tmp_path: Path) -> None:
    root = samples / "challenge2021"
    store = pack(root, tmp_path)
    files = {path.relative_to(root).as_posix() for path in root.rglob("*.hea")}
    rejected = {one.file for one in store.manifest.rejected}
    assert set(store.table["file"]) | rejected == files
    parts = Counter(file.split("/")[0] for file in store.table["file"])
    assert Counter(store.table["label/class"]) == parts
    assert store.spec.fs == 500


def test_ptbdb_has_fifteen_signals_in_two_files(samples: Path, tmp_path: Path) -> None:
    store = pack(samples / "ptbdb", tmp_path)
    assert store.spec.leads == (*STANDARD_12, "VX", "VY", "VZ")
    assert (store.spec.fs, store.spec.unit) == (1000, "mV")
    expected, _ = wfdb.rdsamp(str(samples / "ptbdb" / "s0010_re"))
    np.testing.assert_allclose(store.read(0).signal, expected.T, atol=1e-6)
    np.testing.assert_allclose(store.scales, 1 / 2000, rtol=1e-6)


def test_sph_with_its_table_that_lacks_a_record(samples: Path, tmp_path: Path) -> None:
    root = samples / "sph"
    store = pack(
        root,
        tmp_path,
        unit="mV",
        recorded_fs=500.0,
        channels=list(STANDARD_12),
        subject="Patient_ID",
        labels=["AHA_Code"],
        kind="multilabel",
    )
    there = {path.relative_to(root).as_posix() for path in root.rglob("*.h5")}
    rejected = {one.file: one.reason for one in store.manifest.rejected}
    assert set(store.table["file"]) | set(rejected) == there
    assert len(store) == 9
    assert list(rejected.values()) == ["metadata.csv does not list this file"]
    for row, file in enumerate(store.table["file"]):
        with h5py.File(root / file) as stored:
            expected = stored["ecg"][()].astype(np.float32)
        difference = np.abs(store.read(row).signal - expected)
        assert (difference <= 0.51 * store.scales[row][:, None]).all()
    first = store.table.set_index("record_id").loc["records/SPH00001"]
    assert first["label/AHA_Code=22"] == first["label/AHA_Code=23"] == 1
    assert first["label/AHA_Code=1"] == 0


@pytest.mark.parametrize("folder", ["physionet2016", "pascal"])
def test_heart_sounds_of_other_publishers_are_own_sounds(
    samples: Path, tmp_path: Path, folder: str
) -> None:
    root = samples / folder
    first = sorted(path for path in root.iterdir() if any(path.glob("*.wav")))[0]
    store = pack(first, tmp_path, table="none")
    files = {path.relative_to(first).as_posix() for path in first.rglob("*.wav")}
    rejected = {one.file for one in store.manifest.rejected if one.file.endswith(".wav")}
    assert set(store.table["file"]) | rejected == files
    assert store.spec.modality == "pcg"
