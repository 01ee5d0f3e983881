"""CirCor as it is published: every file in the store or named, states, headers of all patients."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.io import wavfile

from data_modules._circor_files import announced, check_header
from data_modules._circor_table import read_patients
from data_modules.circor import CirCorDataModule
from pahcl.store import SignalStore

PATIENTS = {"85343", "85345", "9983"}


@pytest.fixture(scope="module")
def root(samples: Path) -> Path:
    return samples / "circor"


@pytest.fixture(scope="module")
def store(root: Path, tmp_path_factory: pytest.TempPathFactory) -> SignalStore:
    out = tmp_path_factory.mktemp("real") / "circor"
    CirCorDataModule.prepare(root, out, progress=False)
    return SignalStore(out)


def test_every_file_is_in_the_store_or_named(root: Path, store: SignalStore) -> None:
    manifest = store.manifest
    names = {path.stem for path in (root / "training_data").glob("*.*") if path.suffix != ".txt"}
    assert set(store.table["record_id"]) == names
    assert len(names) == 10
    assert {path.stem for path in (root / "training_data").glob("*.txt")} == PATIENTS
    # RECORDS lists what the whole data set has.
    whole = {line.split("/")[1] for line in (root / "RECORDS").read_text().split()}
    assert names | {item.record_id for item in manifest.rejected} == whole
    assert manifest.counts == {"found": 3163, "kept": 10, "rejected": 3153}
    assert {item.reason for item in manifest.rejected} == {"the .wav file is missing"}
    note = "patients of training_data.csv without a recording that can be used"
    assert manifest.notes == {note: 939}


def test_samples_are_those_of_the_files(root: Path, store: SignalStore) -> None:
    for row, file in enumerate(store.table["file"]):
        rate, counts = wavfile.read(root / file)
        assert rate == 4000
        expected = (counts / 32768).astype(np.float32)
        np.testing.assert_array_equal(store.read(row).signal[0], expected)


def test_the_table_announces_every_recording_there_is(root: Path) -> None:
    patients = read_patients(root)
    whole = {line.split("/")[1] for line in (root / "RECORDS").read_text().split()}
    assert announced(patients.locations) == whole
    table = patients.table
    assert len(table) == 942
    assert table["murmur"].value_counts().to_dict() == {
        "Absent": 695, "Present": 179, "Unknown": 68,
    }  # fmt: skip
    assert table["outcome"].value_counts().to_dict() == {"Normal": 486, "Abnormal": 456}
    assert table["age_group"].isna().sum() == 74
    assert table["pregnant"].sum() == 70
    assert table.loc[table["murmur"] == "Present", "most_audible"].notna().all()
    assert not patients.conflicting
    assert not patients.rejected
    assert not any(patients.notes.values())


def test_70_persons_have_two_numbers_and_some_of_them_two_answers(root: Path) -> None:
    table = read_patients(root).table
    people = table.reset_index().groupby("subject_id")
    assert people["patient_id"].nunique().value_counts().to_dict() == {1: 802, 2: 70}
    assert (people["murmur"].nunique() > 1).sum() == 15
    assert (people["outcome"].nunique() > 1).sum() == 13


def test_labels_are_those_of_the_patients_texts(root: Path, store: SignalStore) -> None:
    table = store.table.set_index("patient_id")
    columns = {
        "murmur": "Murmur", "outcome": "Outcome", "age_group": "Age", "campaign": "Campaign",
        "murmur_locations": "Murmur locations", "systolic_grading": "Systolic murmur grading",
        "diastolic_timing": "Diastolic murmur timing",
    }  # fmt: skip
    for patient in sorted(PATIENTS):
        text = (root / f"training_data/{patient}.txt").read_text()
        for column, word in columns.items():
            (said,) = re.findall(rf"^#{word}: (.*)$", text, re.MULTILINE)
            for value in table.loc[[patient], column]:
                assert said == ("nan" if pd.isna(value) else value)
    here = store.table.set_index("record_id")["murmur_here"]
    assert here["85343_TV"] == here["85343_MV"] == 1
    assert here["85343_AV"] == here["85345_AV"] == 0
    assert np.isnan(here["9983_AV"])


def test_states_are_as_published(root: Path, store: SignalStore) -> None:
    for _, row in store.table.iterrows():
        table = np.loadtxt((root / row["file"]).with_suffix(".tsv"))
        states = CirCorDataModule.states(root, row.to_dict())
        assert states is not None
        np.testing.assert_array_equal(states.start, table[:, 0])
        np.testing.assert_array_equal(states.end, table[:, 1])
        np.testing.assert_array_equal(states.state, table[:, 2])
        assert np.abs(states.start[1:] - states.end[:-1]).max() <= 0.003
        assert row["annotated"] == pytest.approx(states.annotated, abs=1e-4)
    by_name = store.table.set_index("record_id").loc["9983_AV"]
    early = CirCorDataModule.states(root, by_name.to_dict())
    assert early is not None
    assert early.end[-1] == pytest.approx(5.257955)
    assert by_name["length"] / 4000 == pytest.approx(23.06, abs=0.01)


def test_headers_of_all_other_recordings_are_understood(root: Path, tmp_path: Path) -> None:
    seen = 0
    with tarfile.open(root / "metadata_only/training_data_txt_hea_without_audio.tar.gz") as archive:
        for member in archive:
            if not member.name.endswith(".hea"):
                continue
            stream = archive.extractfile(member)
            assert stream is not None
            text = stream.read()
            path = tmp_path / Path(member.name).name
            path.write_bytes(text)
            check_header(path.with_suffix(".wav"), int(text.split()[3]))
            seen += 1
    assert seen == 3149


@pytest.mark.parametrize("task", list(CirCorDataModule.tasks))
def test_three_patients_make_splits_and_batches(store: SignalStore, task: str) -> None:
    module = CirCorDataModule(
        store=str(store.path), task=task, batch_size=4, val_fraction=0.3, test_fraction=0.3
    )
    targets = module.task.targets(module.labels(store.table))
    assert len(targets) == 10
    if task == "murmur_here":  # the third patient's murmur is unknown, so one split has no label
        assert np.isnan(targets).sum() == 4
        return
    module.prepare_data()
    module.setup()
    assert {len(module.rows[name]) for name in ("train", "val", "test")} == {2, 4}
    for shipped in module.train_dataloader():
        batch = module.on_after_batch_transfer(shipped, 0)
        assert torch.isfinite(batch["signal"]).all()
        assert batch["signal"].shape[1:] == (1, 20000)
