"""The publishers' own records: every one accounted for, walked up to a batch."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import wfdb

from data_modules._ptbxl_statements import DIAGNOSES, FORM, GROUPS, RHYTHM, STATEMENTS
from data_modules.code15 import CODE15DataModule
from data_modules.ptbxl import PTBXLDataModule
from pahcl.signals import Filter
from pahcl.store import SignalStore


@pytest.fixture(scope="module")
def stores(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    PTBXLDataModule.prepare(samples / "ptb-xl", folder / "ptbxl", 100, progress=False)
    CODE15DataModule.prepare(samples / "code15", folder / "code15", progress=False)
    return folder


def test_ptbxl_keeps_every_record_without_an_error(samples: Path, stores: Path) -> None:
    store = SignalStore(stores / "ptbxl")
    assert store.manifest.counts == {"found": 400, "kept": 400, "rejected": 0}
    assert store.manifest.notes["age over 89, not masked (version 1.0.1)"] == 3
    for row in (0, 137, 399):
        path = samples / "ptb-xl" / store.table["file"][row]
        signal, fields = wfdb.rdsamp(str(path))
        np.testing.assert_array_equal(store.read(row).signal, signal.T.astype(np.float32))
        assert fields["fs"] == store.spec.fs


def test_ptbxl_reads_the_original_rate_and_verifies_its_checksums(samples: Path) -> None:
    index = PTBXLDataModule.index(samples / "ptb-xl", 500.0)
    assert len(index.table) == 400
    for _, row in index.table.iloc[::40].iterrows():
        recording = PTBXLDataModule.read(
            samples / "ptb-xl", {str(name): value for name, value in row.items()}
        )
        assert recording.signal.shape == (12, 5000)
        assert recording.fs == 500


def test_ptbxl_classes_are_those_of_the_publishers_table(samples: Path) -> None:
    table = pd.read_csv(samples / "ptb-xl" / "scp_statements.csv", index_col=0)
    assert set(STATEMENTS) == set(table.index)
    assert set(DIAGNOSES) == set(table.index[table["diagnostic"] == 1])
    assert set(FORM) == set(table.index[table["form"] == 1])
    assert set(RHYTHM) == set(table.index[table["rhythm"] == 1])
    for group, column in (("superclass", "diagnostic_class"), ("subclass", "diagnostic_subclass")):
        for name, codes in GROUPS[group].items():
            assert set(table[column][list(codes)]) == {name}


def test_ptbxl_labels_agree_with_the_publishers_cells(samples: Path, stores: Path) -> None:
    module = PTBXLDataModule(store=str(stores / "ptbxl"), fs=100, task="all")
    module.setup()
    raw = pd.read_csv(samples / "ptb-xl" / "ptbxl_database.csv")
    for column, code in enumerate(module.task.classes):
        expected = raw["scp_codes"].str.contains(f"'{code}'", regex=False)
        assert (module.targets[:, column] == 1).tolist() == expected.tolist()
    assert {name: len(rows) for name, rows in module.rows.items()} == {
        "train": 283,
        "val": 66,
        "test": 51,
    }


def test_ptbxl_copies_are_of_one_patient_and_stay_on_one_side(stores: Path) -> None:
    table = SignalStore(stores / "ptbxl").table
    copies = table[table["digest"].duplicated(keep=False)]
    assert copies["record_id"].tolist() == ["456", "457"]
    assert copies["subject_id"].nunique() == copies["fold"].nunique() == 1


def test_code15_keeps_every_exam_without_its_padding(samples: Path, stores: Path) -> None:
    store = SignalStore(stores / "code15")
    assert store.manifest.counts == {"found": 10, "kept": 10, "rejected": 0}
    assert sorted(set(store.lengths)) == [2934, 4096]
    with h5py.File(samples / "code15" / "exams_part_sample.hdf5") as part:
        for row in range(10):
            tracing = part["tracings"][row].T / 2  # 1 in the file is 0.5 mV
            recording = store.read(row)
            length = int(store.lengths[row])
            start = (4096 - length) // 2
            inside = tracing[:, start : start + length]
            assert not np.delete(tracing, np.s_[start : start + length], axis=1).any()
            half_a_step = 0.51 * store.scales[row][:, None]  # and a little, for float32
            assert (np.abs(recording.signal - inside) <= half_a_step).all()


@pytest.mark.parametrize("task", list(CODE15DataModule.tasks))
def test_ten_exams_still_make_three_splits_and_batches(stores: Path, task: str) -> None:
    module = CODE15DataModule(store=str(stores / "code15"), task=task, batch_size=4)
    module.prepare_data()
    module.setup()
    assert {name: len(rows) for name, rows in module.rows.items()} == {
        "train": 8,
        "val": 1,
        "test": 1,
    }
    for shipped in module.train_dataloader():
        batch = module.on_after_batch_transfer(shipped, 0)
        assert torch.isfinite(batch["signal"]).all()
        assert batch["signal"].shape[1:] == (12, 4096)


def test_the_contract_of_the_transfer_paper_is_met_by_both(
    samples: Path, tmp_path: Path, stores: Path
) -> None:
    """400 Hz, 4,096 samples, high-passed alike (the smaller corpus of each kind is enough)."""
    module = CODE15DataModule(store=str(stores / "code15"), filter=Filter(highpass=0.8))
    module.prepare_data()
    module.setup()
    baseline = [abs(module.store.read(row).signal.mean()) for row in range(10)]
    assert max(baseline) < 0.05
