"""PhysioNet 2016 as it is published: every file accounted for, states read, copies named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import soundfile
import torch
import wfdb

from data_modules.physionet2016 import PhysioNet2016DataModule
from pahcl.signals.states import UNANNOTATED
from pahcl.store import SignalStore


@pytest.fixture(scope="module")
def root(samples: Path) -> Path:
    return samples / "physionet2016"


@pytest.fixture(scope="module")
def store(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("real") / "physionet2016"
    PhysioNet2016DataModule.prepare(root, out, progress=False)
    return out


def test_every_file_is_in_the_store_or_named(root: Path, store: Path) -> None:
    packed = SignalStore(store)
    rejected = {item.file: item.reason for item in packed.manifest.rejected}
    for suffix in (".wav", ".hea", ".dat"):
        files = {p.relative_to(root).with_suffix("").as_posix() for p in root.rglob(f"*{suffix}")}
        assert files <= set(packed.table["file"]) | set(rejected)
    assert packed.manifest.counts == {"found": 3249, "kept": 588, "rejected": 2661}
    assert packed.manifest.notes == {}
    copies = {file: reason for file, reason in rejected.items() if file.startswith("validation/")}
    assert set(copies) == {
        path.relative_to(root).with_suffix("").as_posix() for path in root.glob("validation/*.wav")
    }
    for file, reason in copies.items():
        name = Path(file).name
        assert reason == f"the same samples are taken from training-{name[0]}/{name}.wav"
    others = set(rejected.values()) - set(copies.values())
    assert all("is missing" in reason for reason in others)


def test_sounds_are_kept_exactly(root: Path, store: Path) -> None:
    packed = SignalStore(store)
    for row in range(0, len(packed), 7):
        counts, fs = soundfile.read(root / f"{packed.table['file'][row]}.wav", dtype="int16")
        np.testing.assert_array_equal(packed.read(row).signal[0] * 32768, counts)
        assert fs == packed.spec.fs


def test_labels_and_qualities_are_those_of_the_tables(root: Path, store: Path) -> None:
    table = SignalStore(store).table.set_index("record_id")
    assert table["domain"].value_counts().to_dict() == {
        "b": 240, "e": 159, "d": 55, "a": 52, "f": 51, "c": 31,
    }  # fmt: skip
    assert table["abnormal"].value_counts().to_dict() == {0: 304, 1: 284}
    for name, row in table.iloc[::9].iterrows():
        text = (root / f"{row['file']}.hea").read_text()
        assert ("# Abnormal" in text) == (row["abnormal"] == 1)
        said = (root / f"training-{row['domain']}" / "REFERENCE-SQI.csv").read_text().splitlines()
        (line,) = [line for line in said if line.startswith(f"{name},")]
        assert float(line.split(",")[2]) == row["quality"]


def test_the_ecg_of_set_a_is_read_where_there_is_one(root: Path) -> None:
    table = PhysioNet2016DataModule.index(root, 2000.0, ecg=True).table
    without = []
    for row in table[table["domain"] == "a"].to_dict("records"):
        signal = PhysioNet2016DataModule.read(root, row).signal
        if np.isnan(signal[1]).all():
            without.append(row["record_id"])
            continue
        expected = wfdb.rdrecord(str(root / row["file"]), channels=[1]).p_signal[:, 0]
        np.testing.assert_allclose(signal[1] * 32.768, expected, rtol=0, atol=1e-5)
    assert without == ["a0041", "a0117", "a0220", "a0233"]


@pytest.mark.parametrize(("kind", "suffix"), [("hand", ""), ("algorithm", "0")])
def test_all_states_are_read_as_scipy_reads_them(root: Path, kind: str, suffix: str) -> None:
    read, noise = 0, 0
    for row in PhysioNet2016DataModule.index(root, 2000.0).table.to_dict("records"):
        states = PhysioNet2016DataModule.states(root, row, kind)  # type: ignore[arg-type]
        if states is None:
            assert row["domain"] == "e"
            continue
        read += 1
        noise += bool((states.state == UNANNOTATED).any())
        assert states.start[0] == 0
        assert (states.start[1:] >= states.end[:-1]).all()
        if read % 40 == 0:
            (path,) = root.rglob(f"{row['record_id']}_StateAns{suffix}.mat")
            rows = scipy.io.loadmat(path)[f"state_ans{suffix}"]
            said = [np.ravel(one[1])[0] for one in rows]
            words = [str(np.ravel(one)[0]) for one in said]
            starts = [int(one[0][0, 0]) for one, word in zip(rows, words, strict=True)
                      if word != "N)"]  # fmt: skip
            np.testing.assert_allclose(states.start, (np.array(starts) - 1) / 2000)
    assert read == 570
    assert noise == (154 if kind == "hand" else 0)


@pytest.mark.parametrize("options", [{}, {"leave_out": "b"}, {"task": "quality"}])
def test_a_few_records_make_splits_and_batches(store: Path, options: dict[str, str]) -> None:
    module = PhysioNet2016DataModule(store=str(store), batch_size=64, **options)  # type: ignore[arg-type]
    module.prepare_data()
    module.setup()
    if "leave_out" in options:
        assert len(module.rows["test"]) == 240
    batch = module.on_after_batch_transfer(next(iter(module.train_dataloader())), 0)
    assert torch.isfinite(batch["signal"]).all()
    assert batch["signal"].shape[1:] == (1, 10_000)
