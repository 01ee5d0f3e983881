"""PASCAL as it is published: every file accounted for under its own name, marks read, no leak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from data_modules.pascal import PASCALDataModule
from pahcl.signals.states import S1, S2
from pahcl.store import SignalStore


@pytest.fixture(scope="module")
def root(samples: Path) -> Path:
    return samples / "pascal"


@pytest.fixture(scope="module")
def store(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("real") / "pascal"
    PASCALDataModule.prepare(root, out, progress=False)
    return out


def test_every_file_is_in_the_store_or_named(root: Path, store: Path) -> None:
    packed = SignalStore(store)
    files = {path.relative_to(root).as_posix() for path in root.rglob("*.wav")}
    assert len(files) == 703
    rejected = {item.file: item.reason for item in packed.manifest.rejected}
    (silent,) = files - set(packed.table["file"])
    assert silent == "set_a/Aunlabelledtest__201106120928.wav"
    assert "near silence" in rejected.pop(silent)
    assert all("is missing" in reason for reason in rejected.values())
    assert packed.manifest.counts == {"found": 176 + 656, "kept": 702, "rejected": 1 + 129}
    assert packed.manifest.notes == {"unlabelled": 200}


def test_labels_are_those_that_the_publisher_counts(store: Path) -> None:
    table = SignalStore(store).table
    found = table.groupby("domain")["label"].value_counts().to_dict()
    assert found == {
        ("a", "normal"): 18, ("a", "murmur"): 10, ("a", "extrahls"): 9, ("a", "artifact"): 5,
        ("b", "normal"): 320, ("b", "murmur"): 95, ("b", "extrastole"): 46,
    }  # fmt: skip
    labelled = table[(table["domain"] == "b") & table["label"].notna()]
    classes = labelled.groupby("subject_id")["label"].nunique()
    assert (len(classes), int((classes > 1).sum())) == (165, 35)
    assert int(table["noisy"].sum()) == 149
    assert table["subject_id"].str.fullmatch(r"a-\d{10,12}|b-\d{3}").all()


def test_set_b_is_kept_exactly_and_set_a_at_its_own_rate(
    root: Path, store: Path, tmp_path: Path
) -> None:
    packed = SignalStore(store)
    for row in np.flatnonzero((packed.table["domain"] == "b").to_numpy())[::20]:
        counts, fs = soundfile.read(root / packed.table["file"][row], dtype="int16")
        assert fs == packed.spec.fs
        np.testing.assert_array_equal(packed.read(row).signal[0] * 32768, counts)
    PASCALDataModule.prepare(root, tmp_path / "a", fs=44_100, which="a", progress=False)
    own = SignalStore(tmp_path / "a")
    for row in range(0, len(own), 9):
        counts, fs = soundfile.read(root / own.table["file"][row], dtype="int16")
        assert fs == own.spec.fs
        np.testing.assert_array_equal(own.read(row).signal[0] * 32768, counts)


def test_all_marks_are_read_and_sounds_are_loud_there(root: Path) -> None:
    marked, loud = 0, []
    for row in PASCALDataModule.index(root, 4000.0).table.to_dict("records"):
        states = PASCALDataModule.states(root, row)
        if states is None:
            continue
        marked += 1
        assert row["file"].startswith("set_a/normal__")
        assert set(states.state) == {S1, S2}
        samples, fs = soundfile.read(root / row["file"])
        places = np.round(states.start * fs).astype(int)
        near = [np.abs(samples[max(p - 2000, 0) : p + 2000]).max() for p in places]
        loud.append(np.median(near) / np.median(np.abs(samples)))
    assert marked == 16
    assert np.median(loud) > 8


@pytest.mark.parametrize("task", list(PASCALDataModule.tasks))
def test_persons_are_on_one_side_and_batches_come(store: Path, task: str) -> None:
    module = PASCALDataModule(store=str(store), task=task, batch_size=16)
    module.prepare_data()
    module.setup()
    table = module.store.table.assign(side=module.splits)
    assert (table.groupby("subject_id")["side"].nunique() == 1).all()
    batch = module.on_after_batch_transfer(next(iter(module.train_dataloader())), 0)
    assert torch.isfinite(batch["signal"]).all()
    assert batch["signal"].shape[1:] == (1, 20_000)
