"""Own recordings: every kind of file, every layout, and what is asked rather than guessed."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from own_files import (
    noise,
    people,
    write_edf,
    write_hdf5,
    write_npy,
    write_sound,
    write_table,
    write_wfdb,
)

from data_modules._own.table import read_any_table
from data_modules._wfdb import read_wfdb
from data_modules.folder import FolderDataModule
from pahcl.cli import main
from pahcl.errors import DataError, RecordError, StoreError, UsageError
from pahcl.simulation import folder as simulated
from pahcl.store import Manifest, SignalStore

ARRAYS = {"modality": "ecg", "recorded_fs": 250.0, "unit": "mV", "channels": ["I", "II"]}


def pack(root: Path, **options: Any) -> SignalStore:
    out = root.parent / f"{root.name}-store"
    manifest = FolderDataModule.prepare(root, out, progress=False, **options)
    assert isinstance(manifest, Manifest)
    counts = manifest.counts
    assert counts["found"] == counts["kept"] + counts["rejected"]
    return SignalStore(out)


def reasons(store: SignalStore) -> dict[str, str]:
    return {one.file: one.reason for one in store.manifest.rejected}


def signals(store: SignalStore) -> dict[str, np.ndarray]:
    return {name: store.read(row).signal for row, name in enumerate(store.table["record_id"])}


# Kinds of files


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_sounds_are_kept_exactly(tmp_path: Path, suffix: str) -> None:
    root = tmp_path / "sounds"
    given = {f"r{n}": write_sound(root / f"r{n}.{suffix}", seed=n) for n in range(3)}
    store = pack(root)
    assert store.spec.modality == "pcg"
    assert (store.spec.fs, store.spec.leads, store.spec.unit) == (2000, ("PCG",), "full scale")
    for name, signal in signals(store).items():
        np.testing.assert_array_equal(signal, given[name])


def test_wfdb_is_read_by_its_header_and_its_leads_by_name(tmp_path: Path) -> None:
    root = tmp_path / "wfdb"
    first = write_wfdb(root / "a", ("i", "ii", "MLII"))
    second = write_wfdb(root / "b", ("II", "I"), unit="uV", seed=1)
    store = pack(root)
    assert (store.spec.fs, store.spec.leads, store.spec.unit) == (250, ("I", "II"), "mV")
    found = signals(store)
    np.testing.assert_array_equal(found["a"], first[:2])
    np.testing.assert_allclose(found["b"], second[::-1] / 1000, rtol=1e-6)
    assert store.manifest.notes == {"files of samples that a header tells of": 2}


def test_a_channel_of_another_name_is_told(tmp_path: Path) -> None:
    root = tmp_path / "holter"
    given = write_wfdb(root / "100", ("MLII", "V5"))
    store = pack(root, channels=["MLII=II", "V5"])
    assert store.spec.leads == ("II", "V5")
    np.testing.assert_array_equal(signals(store)["100"], given)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("a 2 250 500\na.dat 16 200 16 0 0 0 0 I\na.dat 16 200 16 0 0 0 0 II\n", "checksum"),
        ("a 1 250 500\n../../etc/x.dat 16 200 16 0 0 0 0 I\n", "as the file of its samples"),
        ("a 1 250 500\na.dat 16 0 16 0 0 0 0 I\n", "without a gain"),
        ("a 1 250 500\na.dat 16 I\n", "without a gain"),
        ("a 1\na.dat 16 200 16 0 0 0 0 I\n", "no rate"),
        ("a/2 1 250 500\nb 250\nc 250\n", "several segments"),
        ("a 1 250 500\na.dat 16x4 200 16 0 0 0 0 I\n", "several samples a frame"),
        ("", "empty"),
        ("# only words\n", "empty"),
        ("a 1 fast\na.dat 16 200 16 0 0 0 0 I\n", "as its rate"),
    ],
)
def test_wfdb_headers_that_mean_nothing_are_refused(
    tmp_path: Path, header: str, reason: str
) -> None:
    root = tmp_path / "wfdb"
    write_wfdb(root / "good")
    write_wfdb(root / "a")
    (root / "a.hea").write_text(header)
    assert reason in reasons(pack(root))["a.hea"]


def test_edf_is_exact_and_only_ecg_signals_count(tmp_path: Path) -> None:
    root = tmp_path / "edf"
    given = write_edf(root / "night.edf", ("ECG I", "EKG V1", "SaO2"), (250, 250, 1), ("uV",) * 3)
    store = pack(root)
    assert (store.spec.fs, store.spec.leads, store.spec.unit) == (250, ("I", "V1"), "mV")
    assert given.size
    step = store.scales[0]
    np.testing.assert_allclose(step, 1e-4, rtol=1e-6)
    expected = write_edf(tmp_path / "again.edf", ("I", "V1"))
    np.testing.assert_allclose(signals(store)["night"], expected / 1000, atol=2e-7)


def test_hdf5_says_its_rate_or_is_told(tmp_path: Path) -> None:
    root = tmp_path / "h5"
    values = np.random.default_rng(0).normal(size=(2, 700)).astype(np.float16)
    write_hdf5(root / "a.h5", values, fs=500, unit="uV")
    write_hdf5(root / "b.hdf5", values.T.astype(np.float32), "signal")
    store = pack(root, **{**ARRAYS, "recorded_fs": 500.0})
    found = signals(store)
    np.testing.assert_allclose(found["a"], values.astype(np.float32) / 1000, atol=1e-7)
    np.testing.assert_allclose(found["b"], values.astype(np.float32), atol=1e-4)


def test_rows_of_a_big_array_are_records(tmp_path: Path) -> None:
    root = tmp_path / "big"
    values = write_npy(root / "all.npy", 6, 2, 500)
    table = [["row", "patient", "label"], *([row, f"p{row}", row % 2] for row in range(7))]
    write_table(root / "labels.csv", table)
    store = pack(root, **ARRAYS)
    assert list(store.table["record_id"]) == [f"all#{row}" for row in range(6)]
    for row, signal in enumerate(signals(store).values()):
        np.testing.assert_allclose(signal, values[row], atol=2e-4)
    assert "no row 6" in reasons(store)["all.npy"]


def test_rows_that_are_none_are_named(tmp_path: Path) -> None:
    root = tmp_path / "own"
    write_npy(root / "x.npy", 6, 2, 500)
    cells = (0, 1, 1, 9, -1, "x", "", "1.5")
    rows = [(cell, f"p{place}", place % 2) for place, cell in enumerate(cells)]
    write_table(root / "t.csv", [("row", "subject", "label"), *rows])
    store = pack(root, row="row", **ARRAYS)
    assert list(store.table["record_id"]) == ["x#0", "x#1"]
    found = [one.reason for one in store.manifest.rejected]
    assert sum("row number is missing or no whole number" in reason for reason in found) == 4
    assert any("no row 9" in reason for reason in found)
    assert store.manifest.counts == {"found": 8, "kept": 2, "rejected": 6}


@pytest.mark.parametrize("column", ["record_id", "subject_id", "row"])
def test_subjects_are_read_whatever_their_column_is_called(tmp_path: Path, column: str) -> None:
    root = tmp_path / "own"
    for number in range(3):
        write_sound(root / f"r{number}.wav", seed=number)
    rows = [("r0.wav", "7", 0), ("r1.wav", "7.0", 0), ("r2.wav", "08", 1)]
    write_table(root / "t.csv", [("path", column, "label"), *rows])
    assert list(pack(root, subject=column).table["subject_id"]) == ["7", "7", "08"]


def test_a_row_may_stand_behind_the_path(tmp_path: Path) -> None:
    root = tmp_path / "big"
    write_hdf5(root / "all.h5", np.ones((3, 2, 500), np.float32) * np.arange(3)[:, None, None])
    write_table(root / "t.csv", [["file", "label"], ["all.h5::2", 1], ["all.h5::1", 0]])
    store = pack(root, **ARRAYS)
    assert [signal[0, 0] for signal in signals(store).values()] == [2, 1]


def test_arrays_of_pickles_and_links_to_other_files_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "bad"
    write_npy(root / "good.npy", 2, 500)
    np.save(root / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(root / "texts.npy", np.array(["a", "b"]))
    np.save(root / "many.npy", np.zeros((3, 2, 50)))
    np.save(root / "square.npy", np.zeros((2, 2)))
    np.save(root / "three.npy", np.zeros((3, 50)))
    (root / "cut.npy").write_bytes((root / "good.npy").read_bytes()[:400])
    write_hdf5(tmp_path / "secret.h5", np.ones((2, 500), np.float32))
    with h5py.File(root / "link.h5", "w") as file:
        file["ecg"] = h5py.ExternalLink("../secret.h5", "/ecg")
    with h5py.File(root / "external.h5", "w") as file:
        outside = [(str(tmp_path / "secret.h5"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("ecg", (2, 500), dtype="f4", external=outside)
    found = reasons(pack(root, **ARRAYS))
    assert "good.npy" not in found
    for file, reason in {
        "pickle.npy": "Python objects", "texts.npy": "not integers or real", "many.npy": "with row",
        "square.npy": "does not fit", "three.npy": "does not fit", "cut.npy": "not a readable",
        "link.h5": "which data set", "external.h5": "in another file",
    }.items():  # fmt: skip
        assert reason in found[file], file


# Layouts


def test_folders_named_like_classes_are_classes(tmp_path: Path) -> None:
    root = tmp_path / "by-class"
    for name, person, answer in people(24):
        write_sound(root / ("Abnormal" if answer else "Normal") / f"{person}_{name}.wav", seed=1)
    module = FolderDataModule(root=str(root), store=str(tmp_path / "s"), subject_from=r"(p\d+)_")
    assert module.task.kind == "binary"
    assert module.task.classes == ("Abnormal",)
    module.prepare_data()
    module.setup()
    table = module.store.table
    assert table["subject_id"].nunique() == 12
    assert (table["label/class"] == table["file"].str.startswith("Abnormal")).all()


def test_pa_hcl_cycles_of_both_forms(tmp_path: Path) -> None:
    root = tmp_path / "processed"
    for number in range(3):
        write_npy(root / f"subject_{number}/rec_1/cycle_0000.npy", 400, seed=number)
        write_npy(root / f"subject_{number}/rec_1/cycle_0000_sub_0.npy", 100)
    rows = np.random.default_rng(0).normal(size=(2, 400)).astype(np.float32)
    write_hdf5(root / "subject_7/rec_2/rec_2.h5", rows, "cycles", sample_rate=2500)
    (root / "processing_stats.json").write_text(json.dumps({"global_stats": {"sample_rate": 2500}}))
    store = pack(root)
    assert set(store.table["subject_id"]) == {"0", "1", "2", "7"}
    assert "subject_7/rec_2/rec_2#1" in set(store.table["record_id"])
    assert (store.spec.fs, store.spec.modality, len(store)) == (2500, "pcg", 5)
    assert store.manifest.notes["parts of cycles, which hold the same samples again"] == 3
    np.testing.assert_allclose(signals(store)["subject_7/rec_2/rec_2#1"][0], rows[1], atol=1e-4)


def test_a_file_that_promises_more_cycles_than_anybody_has_is_rejected(tmp_path: Path) -> None:
    root = tmp_path / "own"
    write_hdf5(root / "subject_1.h5", noise(3, 500), "cycles", fs=2000)
    with h5py.File(root / "subject_2.h5", "w") as file:
        file.create_dataset("cycles", shape=(10**12, 500), dtype="f4", chunks=(1, 500))
    store = pack(root, modality="pcg", unit="z-score")
    assert len(store) == 3
    assert "more than any record" in reasons(store)["subject_2.h5"]


def test_pa_hcl_downstream_tables_are_read_together(tmp_path: Path) -> None:
    root = tmp_path / "circor_murmur"
    head = ("subject_id", "file_path", "label", "label_name", "location", "split")
    for number, side in enumerate(("train", "train", "val", "test")):
        folder = f"subject_{number}/rec_AV"
        write_npy(root / side / folder / "cycle_0000.npy", 400, seed=number)
        rows = np.random.default_rng(number).normal(size=(2, 400)).astype(np.float32)
        write_hdf5(root / side / folder / "rec_AV.h5", rows, "cycles", sample_rate=5000)
        with (root / f"{side}.csv").open("a") as stream:
            if number != 1:
                stream.write(f"# class_weights: [1.0, 2.0]\n{','.join(head)}\n")
            for file in ("cycle_0000.npy", "rec_AV.h5::1"):
                answer = ("0,Present", "1,Absent")[number % 2]
                stream.write(f"subject_{number},{folder}/{file},{answer},AV,{side}\n")
    module = FolderDataModule(root=str(root), store=str(tmp_path / "s"), recorded_fs=5000.0)
    module.prepare_data()
    module.setup()
    assert (module.task.name, module.task.classes) == ("label_name", ("Present",))
    assert {name: len(rows) for name, rows in module.rows.items()} == {
        "train": 4,
        "val": 2,
        "test": 2,
    }
    assert module.store.manifest.counts == {"found": 8, "kept": 8, "rejected": 0}
    assert FolderDataModule(root=str(root), store=str(tmp_path / "s")).task == module.task


def test_a_table_of_persons_labels_all_their_recordings(tmp_path: Path) -> None:
    root, raw = tmp_path / "organised", tmp_path / "raw"
    for person in range(4):
        for site in ("AV", "MV"):
            sound = raw / f"{person}_{site}.wav"
            write_sound(sound, seed=person)
            link = root / f"subject_{person}" / f"rec_{site}.wav"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(sound.resolve())
    rows = [["Patient ID", "Murmur", "Age"], *([n, "PA"[n % 2], 7] for n in (1, 2, 3, 9))]
    write_table(root / "circor_metadata.csv", rows)
    store = pack(root, labels=["Murmur"], kind="multiclass")
    assert len(store) == 6
    assert set(store.table["subject_id"]) == {"1", "2", "3"}
    found = reasons(store)
    assert "no file of this subject" in found["circor_metadata.csv"]
    assert "does not list this file's subject" in found["subject_0/rec_AV.wav"]


def test_every_file_and_every_row_is_accounted_for(tmp_path: Path) -> None:
    root = tmp_path / "own"
    for name in ("a", "b", "c", "sub/d", "unlisted"):
        write_sound(root / f"{name}.wav")
    write_sound(root / "one/same.wav")
    write_sound(root / "two/same.wav")
    write_sound(tmp_path / "outside.wav")
    (root / "lonely.dat").write_bytes(b"1234")
    (root / "notes.txt").write_text("x")
    rows = [
        ("a.wav", "1", 1), ("b", "2", 0), ("d.wav", "3", 1), ("c.wav", "", 0), ("a.wav", "1", 1),
        ("../outside.wav", "4", 0), (str(tmp_path / "outside.wav"), "4", 0), ("same.wav", "5", 0),
        ("nowhere.wav", "6", 1), ("", "7", 1),
    ]  # fmt: skip
    write_table(root / "labels.csv", [("file", "subject", "label"), *rows])
    store = pack(root)
    assert set(store.table["record_id"]) == {"a", "b", "sub/d"}
    found = sorted((one.file, one.reason) for one in store.manifest.rejected)
    texts = [reason for _, reason in found]
    for text, times in {
        "leads out of the folder": 2, "2 files of that name": 1, "which the folder does not": 1,
        "names no file here": 1, "the subject is missing": 1, "twice": 1, "does not list": 3,
        "no header (.hea)": 1,
    }.items():  # fmt: skip
        assert sum(text in reason for reason in texts) == times, (text, found)
    assert store.manifest.counts["found"] == len(rows) + 4


def test_the_index_of_a_table_is_one_of_its_columns(tmp_path: Path) -> None:
    root = tmp_path / "own"
    rows = {"path": ["r0.wav", "r1.wav"], "subject": ["a", "b"], "label": [0, 1]}
    for number, name in enumerate(rows["path"]):
        write_sound(root / str(name), seed=number)
    pd.DataFrame(rows).set_index("path").to_parquet(root / "t.parquet")
    assert set(pack(root).table["subject_id"]) == {"a", "b"}
    pd.DataFrame(rows, index=[7, 7]).to_parquet(root / "t.parquet")
    assert list(read_any_table(root / "t.parquet")) == list(rows)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_headers_that_promise_everything_and_pipes_end_nothing(tmp_path: Path) -> None:
    root = tmp_path / "own"
    write_wfdb(root / "good")
    (root / "big.hea").write_text("big 1 250 1000000000000\nbig.dat 16 200/mV 16 0 0 0 0 I\n")
    (root / "big.dat").write_bytes(bytes(1000))
    os.mkfifo(root / "pipe.hea")
    store = pack(root)
    assert list(store.table["record_id"]) == ["good"]
    found = reasons(store)
    assert "more than any record" in found["big.hea"]
    assert "is no file" in found["pipe.hea"]
    with pytest.raises(RecordError, match="more samples than any record"):
        read_wfdb(root / "big", "big", "big", 250.0)


@pytest.mark.parametrize("first", ["subject_1/rec.wav", "subject_2/rec.wav"])
def test_a_missing_file_is_never_that_of_somebody_else(tmp_path: Path, first: str) -> None:
    root = tmp_path / "own"
    write_sound(root / "subject_1/rec.wav")
    write_sound(root / "subject_3/b.wav")
    second = "subject_2/rec.wav" if "1" in first else "subject_1/rec.wav"
    answers = {"subject_1/rec.wav": ("p1", 0), "subject_2/rec.wav": ("p2", 1)}
    rows = [(name, *answers[name]) for name in (first, second)]
    write_table(root / "t.csv", [("path", "subject", "label"), *rows, ("raw/subject_3/b", "p3", 1)])
    store = pack(root)
    found = store.table.set_index("record_id")
    assert dict(found["subject_id"]) == {"subject_1/rec": "p1", "subject_3/b": "p3"}
    assert dict(found["label/label"]) == {"subject_1/rec": 0, "subject_3/b": 1}
    assert "does not hold" in reasons(store)["subject_2/rec.wav"]


def test_names_with_accents_are_found_however_they_are_written(tmp_path: Path) -> None:
    root = tmp_path / "own"
    names = [unicodedata.normalize(form, "Jos\u00e9") for form in ("NFC", "NFD")]
    write_sound(root / "a" / f"{names[1]}.wav")
    write_sound(root / "b.wav")
    rows = [(f"{names[0]}.wav", "1", 0), ("b.wav", "2", 1)]
    write_table(root / "t.csv", [("path", "subject", "label"), *rows])
    assert len(pack(root)) == 2


def test_links_to_folders_are_named(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "own", tmp_path / "elsewhere"
    write_sound(elsewhere / "b.wav")
    root.mkdir()
    (root / "more").symlink_to(elsewhere)
    with pytest.raises(DataError, match="more: it is a link to a folder"):
        pack(root)
    write_sound(root / "a.wav")
    assert "a link to a folder" in reasons(pack(root))["more"]


def test_tables_of_the_splits_are_read_whatever_their_suffix(tmp_path: Path) -> None:
    root = tmp_path / "own"
    for number, name in enumerate(("train.csv", "val.CSV", "test.parquet")):
        write_sound(root / f"r{number}.wav", seed=number)
        rows = [(f"r{number}.wav", f"p{number}", number % 2)]
        write_table(root / name, [("path", "subject", "label"), *rows])
    table = pd.read_csv(root / "test.parquet")
    table.to_parquet(root / "test.parquet")
    (root / "._train.csv").write_bytes(b"\x00\x05\x16\x07\xff")  # macOS writes such beside
    store = pack(root)
    assert dict(store.table.set_index("record_id")["split"]) == {
        "r0": "train", "r1": "val", "r2": "test",
    }  # fmt: skip


@pytest.mark.skipif(os.sep != "/", reason="names of files are bytes on POSIX alone")
def test_a_name_that_is_no_text_is_rejected(tmp_path: Path) -> None:
    root = tmp_path / "own"
    write_sound(root / "a.wav")
    try:
        os.link(root / "a.wav", os.fsencode(root) + b"/caf\xe9.wav")
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    assert "no UTF-8" in next(iter(reasons(pack(root)).values()))


# Labels


def sounds_with(tmp_path: Path, cells: list[Any], **columns: list[Any]) -> Path:
    root = tmp_path / "own"
    rows: list[list[Any]] = [["file", "patient", "label", *columns]]
    for number, cell in enumerate(cells):
        write_sound(root / f"r{number}.wav", seconds=0.6, seed=number)
        more = [values[number] for values in columns.values()]
        rows.append([f"r{number}.wav", f"p{number}", cell, *more])
    write_table(root / "t.csv", rows)
    return root


@pytest.mark.parametrize(
    ("cells", "options", "kind", "classes"),
    [
        ([1, 0, 1, ""], {}, "binary", ("label",)),
        (["present", "Absent", ""], {}, "binary", ("present",)),
        (["AF", "SR", ""], {}, "multiclass", ("AF", "SR")),
        (["AF", "SR", ""], {"kind": "binary", "classes": ["AF"]}, "binary", ("AF",)),
        (["c10", "c2", "c1"], {}, "multiclass", ("c1", "c2", "c10")),
        (["b", "a", "x"], {"classes": ["b", "a"]}, "multiclass", ("b", "a")),
        ([1.5, 2.25, ""], {}, "regression", ("label",)),
        ([1, 2, 3], {"kind": "regression"}, "regression", ("label",)),
        ([1, 2, 3], {"kind": "multiclass"}, "multiclass", ("1", "2", "3")),
        (["a;b", "b", ""], {"kind": "multilabel"}, "multilabel", ("a", "b")),
    ],
)
def test_the_task_follows_from_the_cells(
    tmp_path: Path, cells: list[Any], options: dict[str, Any], kind: str, classes: tuple[str, ...]
) -> None:
    root = sounds_with(tmp_path, cells)
    module = FolderDataModule(root=str(root), store=str(tmp_path / "s"), **options)
    assert (module.task.kind, module.task.classes) == (kind, classes)
    index = FolderDataModule.index(root, 2000, **options)
    targets = module.task.targets(index.table)
    known = targets >= 0 if kind == "multiclass" else np.isfinite(targets).all(axis=1)
    expected = [cell not in ("", "x") for cell in cells]
    assert list(known) == expected


def test_several_columns_are_one_multilabel_task_or_several_tasks(tmp_path: Path) -> None:
    root = sounds_with(tmp_path, [1, 0, 1], other=[0, 0, 1], site=["x", "y", "z"])
    both = FolderDataModule(root=str(root), store=str(tmp_path / "s"), labels=["label", "other"])
    assert (both.task.kind, both.task.classes) == ("multilabel", ("label", "other"))
    two = FolderDataModule(root=str(root), store=str(tmp_path / "s"), labels=["label", "site"])
    assert {name: task.kind for name, task in two.tasks.items()} == {
        "label": "binary",
        "site": "multiclass",
    }


@pytest.mark.parametrize(
    ("cells", "options", "says"),
    [
        ([1, 2, 3], {}, "whether they are classes"),
        (["a", "b"], {"kind": "regression"}, "no number"),
        (["a", "b", "c"], {"kind": "binary"}, "the one that is asked for"),
        (["a", "b"], {"kind": "binary", "classes": ["z"]}, "of a, b"),
        (["a", "a"], {}, "1 different values"),
        ([1, 0], {"labels": ["nope"]}, "no column 'nope'"),
        ([1, 0], {"path": "nope"}, "no column 'nope'"),
        ([1, 0], {"kind": "guess"}, "must be one of"),
        ([1, 0], {"recorded_fs": -3.0}, "rate in Hz"),
        ([1, 0], {"subject_from": "("}, "no regular expression"),
        ([1, 0], {"subject": "patient", "subject_from": "(r)"}, "not both"),
        ([1, 0], {"channels": ["nose"]}, "NAME=LEAD|=LEAD"),
        ([1, 0], {"table": "../t.csv"}, "below|no file"),
        ([1, 0], {"table": "other.csv"}, "no file"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    tmp_path: Path, cells: list[Any], options: dict[str, Any], says: str
) -> None:
    root = sounds_with(tmp_path, cells)
    with pytest.raises(UsageError, match=says):
        FolderDataModule(root=str(root), store=str(tmp_path / "s"), **options)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "ECGs or heart sounds"),
        ({"modality": "ecg"}, "unit of their samples"),
        ({"modality": "ecg", "unit": "mV"}, "do not name their channels"),
        ({"unit": "mV", "channels": ["I", "II"]}, "sampling rate"),
        (ARRAYS | {"unit": "km"}, r"`--unit`.* is a voltage .* not 'km'"),
    ],
)
def test_arrays_need_what_they_do_not_say(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    root = tmp_path / "own"
    write_npy(root / "a.npy", 2, 500)
    with pytest.raises(UsageError, match=says):
        FolderDataModule(root=str(root), store=str(tmp_path / "s"), **given)


def test_several_candidates_are_asked_about(tmp_path: Path) -> None:
    root = sounds_with(tmp_path, [1, 0])
    (root / "t.csv").rename(root / "u.csv")
    text = (root / "u.csv").read_text().replace("label", "one").replace("patient", "pid,two")
    (root / "u.csv").write_text(text.replace(",p", ",x,p"))
    with pytest.raises(UsageError, match=r"Which column is the label.*one"):
        FolderDataModule(root=str(root), store=str(tmp_path / "s"))
    (root / "v.csv").write_text("a\n1\n")
    with pytest.raises(UsageError, match="several tables"):
        FolderDataModule(root=str(root), store=str(tmp_path / "s"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "table"), (b"file,label\n", "holds no row"), (b"\xff\xfea\x00", "UTF-8"),
        (b"file,label\na.wav,1\nb,2,3,4,5\n", "line 3: it has 5 cells"), (b"caf\xe9,1\n", "UTF-8"),
        (b"x,y\n1,2\n", "Which column|No column"), (b'"a\n', "table"),
    ],
)  # fmt: skip
def test_tables_that_are_none_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    root = tmp_path / "own"
    write_sound(root / "a.wav")
    (root / "t.csv").write_bytes(content)
    with pytest.raises((DataError, UsageError), match=says):
        FolderDataModule.index(root, 2000)


@pytest.mark.parametrize("form", ["semicolon", "tab", "comment", "bom", "parquet"])
def test_tables_of_every_form(tmp_path: Path, form: str) -> None:
    root = sounds_with(tmp_path, [1, 0, 1])
    table = pd.read_csv(root / "t.csv")
    path = root / "t.csv"
    if form == "parquet":
        path.unlink()
        table.to_parquet(root / "t.parquet")
    elif form in ("semicolon", "tab"):
        table.to_csv(path, sep=";" if form == "semicolon" else "\t", index=False)
    elif form == "comment":
        path.write_text("# class_weights: [1, 2]\n" + path.read_text())
    else:
        path.write_text(path.read_text(), encoding="utf-8-sig")
    index = FolderDataModule.index(root, 2000)
    assert list(index.table["label/label"]) == [1, 0, 1]


def test_the_table_may_split(tmp_path: Path) -> None:
    split = ["train", "train", "Val", "test", "held out"]
    root = sounds_with(tmp_path, [1, 0, 1, 0, 1], split=split)
    module = FolderDataModule(root=str(root), store=str(tmp_path / "s"))
    module.prepare_data()
    module.setup()
    assert {name: len(rows) for name, rows in module.rows.items()} == {
        "train": 2,
        "val": 1,
        "test": 1,
    }
    assert module.store.manifest.notes["split: neither train, val nor test, left out"] == 1


# As a data module


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("newcomer") / "sounds"
    simulated.write(root, records=40, seed=3)
    return root


def test_batches_keep_the_contract(corpus: Path, tmp_path: Path) -> None:
    module = FolderDataModule(root=str(corpus), store=str(tmp_path / "s"), batch_size=8)
    module.prepare_data()
    module.setup()
    batch = module.on_after_batch_transfer(next(iter(module.train_dataloader())), 0)
    assert batch["signal"].shape == (8, 1, 20_000)
    assert batch["target"].shape == (8, 1)
    assert torch.isfinite(batch["signal"]).all()
    json.dumps(module.data_receipt())


def test_the_store_alone_is_enough_and_other_questions_are_refused(
    corpus: Path, tmp_path: Path
) -> None:
    store = str(tmp_path / "s")
    FolderDataModule.prepare(corpus, store, progress=False)
    module = FolderDataModule(store=store)
    module.setup()
    assert module.task.name == "murmur"
    with pytest.raises(StoreError, match="packed with"):
        FolderDataModule(store=store, kind="multiclass").setup()
    with pytest.raises(StoreError, match="packed with"):
        FolderDataModule(store=store, classes=["absent"]).setup()


def test_a_table_that_has_changed_is_noticed(tmp_path: Path) -> None:
    root = sounds_with(tmp_path, [1, 0, 1])
    FolderDataModule.prepare(root, tmp_path / "s", progress=False)
    FolderDataModule(root=str(root), store=str(tmp_path / "s"))
    (root / "t.csv").write_text((root / "t.csv").read_text().replace("r0.wav,p0,1", "r0.wav,p0,0"))
    with pytest.raises(StoreError, match=r"another .*t\.csv"):
        FolderDataModule(root=str(root), store=str(tmp_path / "s"))


@pytest.mark.parametrize("name", ["t.csv", "own/t.csv", "{root}/t.csv"])
def test_saying_the_same_again_finds_the_same_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    root = sounds_with(tmp_path, ["x", "y", "x", "y", "x", "y"], row=[3, 4, 5, 6, 7, 8])
    said = {"table": name.format(root=root), "path": "File", "labels": ["Label"]}
    for _ in range(2):
        module = FolderDataModule(root=str(root), store="s", **said)
        module.prepare_data()
        module.setup()
    assert module.store.manifest.counts["kept"] == 6
    text = json.dumps([module.data_receipt(), module.store.manifest.config])
    assert str(tmp_path) not in text


def test_the_store_is_called_like_the_folder(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAHCL_STORES", str(tmp_path))
    assert FolderDataModule(root=str(corpus)).store_path == tmp_path / "sounds"


def test_prepare_takes_the_options_and_describe_shows_what_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = sounds_with(tmp_path, ["AF", "SR", "SR", "AF"], note=["x", "y", "z", "w"])
    words = ["prepare", "folder", "--root", str(root), "--out", "s", "--workers", "1"]
    options = ["--labels", "label", "--kind", "binary", "--classes", "AF", "--json", "f.json"]
    assert main([*words, *options]) == 0
    config = json.loads(Path("f.json").read_text())["config"]
    assert config["kind"] == "binary"
    assert config["subject"] == "patient"
    assert "subjects: column 'patient'" in capsys.readouterr().err
    for more in ([], ["label"]):
        assert main(["describe", "folder", *more, "--store", "s"]) == 0
        assert "AF" in capsys.readouterr().out
    assert main(["describe", "folder", "--root", str(root)]) == 0
    assert "multiclass, classes AF, SR" in capsys.readouterr().out
    assert main(["describe", "folder"]) == 0
    assert "--recorded-fs" in capsys.readouterr().out
    assert main(["describe"]) == 0


def test_options_of_one_data_set_are_refused_for_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--root", str(tmp_path), "--out", str(tmp_path / "s")]
    assert main(["prepare", "ptbxl", *words, "--table", "x.csv"]) == 2
    assert "--table is no option of ptbxl" in capsys.readouterr().err
    assert main(["prepare", "folder", *words, "--recorded-fs", "fast"]) == 2
    assert "--recorded-fs must be a number" in capsys.readouterr().err
    assert main(["prepare", "--help"]) == 0
    helped = capsys.readouterr().out
    for name in ("--table", "--subject-from", "--keep-padding"):
        assert name in helped


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no recording"):
        FolderDataModule.index(tmp_path / "empty", 2000)
    write = tmp_path / "broken"
    write.mkdir()
    (write / "a.wav").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"None of 1 recordings.*a\.wav"):
        FolderDataModule.index(write, 2000)
