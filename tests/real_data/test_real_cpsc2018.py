"""CPSC2018 as it is published: both forms, every file and every row accounted for."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
import wfdb

from data_modules._matlab import read_array, read_struct
from data_modules.cpsc2018 import CPSC2018DataModule
from pahcl.store import SignalStore


@pytest.fixture(scope="module")
def store(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("real") / "cpsc2018"
    CPSC2018DataModule.prepare(samples / "cpsc2018", out, progress=False)
    return out


def test_every_file_is_in_the_store_and_every_row_accounted_for(samples: Path, store: Path) -> None:
    root = samples / "cpsc2018"
    packed = SignalStore(store)
    files = {path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.mat")}
    assert set(packed.table["file"]) == files
    assert len(files) == 18
    with (root / "REFERENCE.csv").open(newline="") as stream:
        rows = [row[0] for row in csv.reader(stream)][1:]
    assert packed.manifest.counts == {
        "found": len(rows),
        "kept": 18,
        "rejected": len(rows) - 18,
    }
    assert {item.record_id for item in packed.manifest.rejected} == set(rows) - {
        Path(file).name for file in files
    }
    assert {item.reason for item in packed.manifest.rejected} == {
        "no file of this record is in the folder"
    }
    assert packed.manifest.notes == {}


def test_the_store_holds_what_the_publisher_gives(samples: Path, store: Path) -> None:
    packed = SignalStore(store)
    for row in range(len(packed)):
        path = samples / "cpsc2018" / packed.table["file"][row]
        signal = packed.read(row).signal
        if packed.table["form"][row] == "challenge":
            expected, fields = wfdb.rdsamp(str(path))
            assert fields["fs"] == 500
            np.testing.assert_array_equal(signal, expected.T.astype(np.float32))
        else:
            data = scipy.io.loadmat(f"{path}.mat")["ECG"][0, 0]["data"]
            assert (np.abs(signal - data) <= 0.51 * packed.scales[row][:, None]).all()


def test_labels_are_those_of_the_reference(samples: Path, store: Path) -> None:
    classes = CPSC2018DataModule.tasks["nine"].classes
    table = SignalStore(store).table.set_index("record_id")
    with (samples / "cpsc2018" / "REFERENCE.csv").open(newline="") as stream:
        rows = {
            row[0]: [int(cell) for cell in row[1:] if cell] for row in list(csv.reader(stream))[1:]
        }
    for name in table.index:
        expected = [classes[number - 1] for number in rows[name]]
        assert [c for c in classes if table.loc[name, c]] == sorted(expected, key=classes.index)
        assert table.loc[name, "first_label"] == expected[0]
    assert table["age"].between(20, 90).all()
    assert set(table["sex"]) == {"male", "female"}


def test_matlab_files_are_read_as_scipy_reads_them(samples: Path) -> None:
    for path in sorted((samples / "cpsc2018").rglob("*.mat")):
        theirs = scipy.io.loadmat(path)
        if "val" in theirs:
            np.testing.assert_array_equal(read_array(path.read_bytes(), "val"), theirs["val"])
        else:
            mine, struct = read_struct(path.read_bytes(), "ECG"), theirs["ECG"][0, 0]
            assert mine["sex"] == struct["sex"][0]
            np.testing.assert_array_equal(mine["age"], struct["age"])
            np.testing.assert_array_equal(mine["data"], struct["data"])


@pytest.mark.parametrize("task", list(CPSC2018DataModule.tasks))
def test_eighteen_records_make_splits_and_batches(store: Path, task: str) -> None:
    module = CPSC2018DataModule(store=str(store), task=task, batch_size=4)
    module.prepare_data()
    module.setup()
    assert {name: len(rows) for name, rows in module.rows.items()} == {
        "train": 14,
        "val": 2,
        "test": 2,
    }
    for shipped in module.train_dataloader():
        batch = module.on_after_batch_transfer(shipped, 0)
        assert torch.isfinite(batch["signal"]).all()
        assert batch["signal"].shape[1:] == (12, 5000)
