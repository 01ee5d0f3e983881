"""CODE-15%: parts and table held against each other, padding, and every exam accounted for."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from data_modules.code15 import ABNORMALITIES, CODE15DataModule
from pahcl.errors import DataError, RecordError, StoreError
from pahcl.store import SignalStore

SAMPLES = 200


def tracing(seed: int, padding: int = 0) -> np.ndarray:
    signal = np.random.default_rng(seed).normal(size=(SAMPLES, 12)).astype(np.float32)
    signal[:padding] = 0
    signal[SAMPLES - padding :] = 0
    return signal


def write_part(path: Path, exams: list[int], tracings: list[np.ndarray]) -> None:
    with h5py.File(path, "w") as part:
        part["exam_id"] = np.array(exams, dtype=np.int64)
        part["tracings"] = np.stack(tracings)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two parts in the publisher's form, with a dummy last row each, and their table."""
    write_part(
        tmp_path / "exams_part0.hdf5",
        [11, 12, 13, 0],
        [tracing(11), tracing(12, padding=20), tracing(13) * 0, tracing(0) * 0],
    )
    write_part(tmp_path / "exams_part1.hdf5", [21, 22, 0], [tracing(21), tracing(22), tracing(0)])
    exams = [11, 12, 13, 21, 22]
    rows = {
        "exam_id": exams,
        "age": [40, 50, 60, 70, 80],
        "is_male": [True, False, True, False, True],
        "nn_predicted_age": 50.0,
        **dict.fromkeys(ABNORMALITIES, False),
        "patient_id": [1, 1, 2, 3, 4],
        "death": [None, True, False, None, None],
        "timey": 1.0,
        "normal_ecg": False,
        "trace_file": [f"exams_part{exam // 10 - 1}.hdf5" for exam in exams],
    }
    table = pd.DataFrame(rows)
    table.loc[0, "AF"] = True
    table.sample(frac=1, random_state=0).to_csv(tmp_path / "exams.csv", index=False)
    return tmp_path


def test_tracings_of_another_file_are_not_followed(root: Path) -> None:
    with h5py.File(root / "exams_part1.hdf5", "a") as part:
        del part["tracings"]
        part["tracings"] = h5py.ExternalLink("exams_part0.hdf5", "/tracings")
    index = CODE15DataModule.index(root, 400)
    assert set(index.table["file"]) == {"exams_part0.hdf5"}
    assert any("keeps its tracings in another file" in one.reason for one in index.rejected)


def edit(root: Path, exam: int, **cells: Any) -> None:
    path = root / "exams.csv"
    table = pd.read_csv(path).astype(object)
    for name, value in cells.items():
        table.loc[table["exam_id"] == exam, name] = value
    table.to_csv(path, index=False)


def reasons(root: Path) -> dict[str, str]:
    index = CODE15DataModule.index(root, 400.0)
    return {item.record_id: item.reason for item in index.rejected}


def row_of(table: pd.DataFrame, place: int) -> dict[str, Any]:
    return {str(name): value for name, value in table.iloc[place].items()}


def test_exams_come_in_the_order_of_the_parts(root: Path) -> None:
    index = CODE15DataModule.index(root, 400.0)
    assert index.table["record_id"].tolist() == ["11", "12", "13", "21", "22"]
    assert index.table["subject_id"].tolist() == ["1", "1", "2", "3", "4"]
    assert index.table["sex"].tolist() == ["male", "female", "male", "female", "male"]
    assert index.table["AF"].tolist() == [1, 0, 0, 0, 0]
    assert index.table["death"].isna().tolist() == [True, False, False, True, True]
    assert reasons(root) == {
        "0 (row 3)": "a dummy row without an exam",
        "0 (row 2)": "a dummy row without an exam",
    }


def test_parts_beyond_nine_are_in_the_order_of_numbers(root: Path) -> None:
    write_part(root / "exams_part10.hdf5", [31], [tracing(31)])
    table = pd.read_csv(root / "exams.csv")
    extra = table[table["exam_id"] == 11].assign(exam_id=31, trace_file="exams_part10.hdf5")
    pd.concat([extra, table]).to_csv(root / "exams.csv", index=False)
    index = CODE15DataModule.index(root, 400.0)
    assert index.table["record_id"].tolist()[-1] == "31"


def test_padding_is_left_out_unless_it_is_asked_for(root: Path) -> None:
    row = row_of(CODE15DataModule.index(root, 400.0).table, 1)
    recording = CODE15DataModule.read(root, row)
    assert recording.signal.shape == (12, SAMPLES - 40)
    np.testing.assert_array_equal(recording.signal, tracing(12, padding=20)[20:-20].T)
    kept = CODE15DataModule.read(root, {**row, "_keep_padding": True})
    assert kept.signal.shape == (12, SAMPLES)
    assert recording.leads[3] == "aVR"
    assert recording.unit == "0.5 mV"


def test_an_exam_of_zeros_is_rejected(root: Path) -> None:
    row = row_of(CODE15DataModule.index(root, 400.0).table, 2)
    with pytest.raises(RecordError, match="all samples are zero"):
        CODE15DataModule.read(root, row)


def test_found_is_kept_and_rejected(root: Path, tmp_path: Path) -> None:
    manifest = CODE15DataModule.prepare(root, tmp_path / "store", progress=False)
    assert manifest is not None
    assert manifest.counts == {"found": 7, "kept": 4, "rejected": 3}


def test_a_missing_part_is_named_for_each_of_its_exams(root: Path) -> None:
    (root / "exams_part1.hdf5").unlink()
    found = reasons(root)
    assert found["21"] == found["22"] == "the part that exams.csv names is not in the folder"


def test_a_truncated_part_is_named_for_each_of_its_exams_and_noted(root: Path) -> None:
    path = root / "exams_part1.hdf5"
    path.write_bytes(path.read_bytes()[:3000])
    found = reasons(root)
    assert "exams_part1.hdf5 cannot be read" in found["21"]
    assert found["21"] == found["22"]
    notes = CODE15DataModule.index(root, 400.0).notes
    assert any("exams_part1.hdf5 cannot be read" in note for note in notes)


def test_a_part_that_ends_early_keeps_what_it_has_and_counts_each_exam_once(
    root: Path, tmp_path: Path
) -> None:
    write_part(root / "exams_part1.hdf5", [21, 22], [tracing(21)])
    rejected = CODE15DataModule.index(root, 400.0).rejected
    assert [(item.file, item.record_id, item.reason) for item in rejected] == [
        ("exams_part0.hdf5", "0 (row 3)", "a dummy row without an exam"),
        ("exams_part1.hdf5", "22", "its part ends after 1 tracings, before row 1"),
    ]
    manifest = CODE15DataModule.prepare(root, tmp_path / "store", progress=False)
    assert manifest is not None  # five exams in the table, and a dummy row
    assert manifest.counts == {"found": 6, "kept": 3, "rejected": 3}


def test_an_exam_cut_from_one_part_is_taken_from_another(root: Path) -> None:
    write_part(root / "exams_part0.hdf5", [11, 12, 13, 21], [tracing(seed) for seed in (1, 2, 3)])
    index = CODE15DataModule.index(root, 400.0)
    table = index.table.set_index("record_id")
    assert table.loc["21", "file"] == "exams_part1.hdf5"
    assert reasons(root)["21 (row 3)"] == "another row holds the same exam; that one is taken"


def test_tracings_that_are_no_numbers_are_named(root: Path) -> None:
    with h5py.File(root / "exams_part1.hdf5", "w") as part:
        part["exam_id"] = np.array([21, 22])
        part["tracings"] = np.full((2, SAMPLES, 12), b"0.1")
    reason = "exams_part1.hdf5 holds tracings of the type |S3, not numbers"
    assert reasons(root)["21"] == reasons(root)["22"] == reason


def test_a_table_that_names_no_part_contradicts_nothing(root: Path) -> None:
    path = root / "exams.csv"
    pd.read_csv(path).drop(columns="trace_file").to_csv(path, index=False)
    (root / "exams_part1.hdf5").unlink()
    index = CODE15DataModule.index(root, 400.0)
    assert index.table["record_id"].tolist() == ["11", "12", "13"]
    assert index.notes == {}
    lost = [item for item in index.rejected if item.record_id in {"21", "22"}]
    assert {item.file for item in lost} == {"exams.csv"}
    assert {item.reason for item in lost} == {
        "exams.csv names no part for this exam, and no part here lists it"
    }


def test_the_store_names_the_source_and_its_checksum(root: Path, tmp_path: Path) -> None:
    CODE15DataModule.prepare(root, tmp_path / "store", progress=False)
    table = SignalStore(tmp_path / "store").table.set_index("record_id")
    for exam, padding in ((11, 0), (12, 20)):
        digest = hashlib.sha256(tracing(exam, padding).tobytes()).hexdigest()
        assert table.loc[str(exam), "source_sha256"] == digest
    size = (root / "exams_part0.hdf5").stat().st_size
    assert (table["file"]["11"], table["file_bytes"]["11"]) == ("exams_part0.hdf5", size)


def test_a_part_that_the_machine_cannot_read_stops_the_work(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> None:
        raise OSError(errno.EIO, "Unable to synchronously open file (errno = 5)")

    monkeypatch.setattr(h5py, "File", failing)
    with pytest.raises(DataError, match=r"exams_part0\.hdf5 cannot be read now \(Input/output"):
        CODE15DataModule.index(root, 400.0)


@pytest.mark.parametrize("value", [None, "x7", 12.5, 1e300])
def test_an_exam_without_a_number_is_rejected_by_its_row(root: Path, value: Any) -> None:
    edit(root, 22, exam_id=value)
    row = int((pd.read_csv(root / "exams.csv")["age"] == 80).to_numpy().argmax())
    reason = "the record's number is missing or no whole number"
    assert reasons(root)[f"(row {row})"] == reason


def test_tracings_without_an_exam_id_are_named_and_counted(root: Path, tmp_path: Path) -> None:
    write_part(root / "exams_part1.hdf5", [21, 22], [tracing(seed) for seed in (21, 22, 1, 2)])
    found = reasons(root)
    for row in (2, 3):
        assert found[f"(row {row})"] == "the part lists 2 exam ids, none for this tracing"
    manifest = CODE15DataModule.prepare(root, tmp_path / "store", progress=False)
    assert manifest is not None
    assert manifest.counts == {"found": 8, "kept": 4, "rejected": 4}


def test_rows_without_a_table_row_and_repeated_rows_are_named(root: Path) -> None:
    write_part(
        root / "exams_part1.hdf5", [21, 22, 99, 21], [tracing(seed) for seed in (21, 22, 99, 1)]
    )
    found = reasons(root)
    assert found["99 (row 2)"] == "exams.csv does not list this exam"
    assert found["21 (row 3)"] == "another row holds the same exam; that one is taken"


def test_an_exam_without_a_patient_is_rejected(root: Path) -> None:
    edit(root, 22, patient_id=None)
    assert "patient's id is missing" in reasons(root)["22"]


def test_odd_ages_and_sexes_are_counted(root: Path) -> None:
    edit(root, 21, age=None, is_male=None)
    edit(root, 22, age=-3)
    index = CODE15DataModule.index(root, 400.0)
    assert index.notes == {"age missing": 1, "age outside 0 to 120": 1, "sex missing": 1}
    assert index.table["age"].isna().sum() == 2


def test_an_exam_in_another_part_than_named_is_found(root: Path) -> None:
    edit(root, 22, trace_file="exams_part0.hdf5")
    index = CODE15DataModule.index(root, 400.0)
    assert "22" in index.table["record_id"].tolist()
    assert index.notes == {"part other than exams.csv names": 1}


def test_a_folder_without_parts_says_what_to_fetch(root: Path) -> None:
    for path in root.glob("*.hdf5"):
        path.unlink()
    with pytest.raises(DataError, match=r"exams_part0\.zip"):
        CODE15DataModule.index(root, 400.0)


def test_a_store_packed_with_other_options_is_refused(root: Path, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"root": str(root), "store": str(tmp_path / "store")}
    CODE15DataModule(**arguments).prepare_data()
    with pytest.raises(StoreError, match="keep_padding"):
        CODE15DataModule(keep_padding=True, **arguments).prepare_data()


def test_the_simulated_corpus_is_accounted_for(corpora: Path, tmp_path: Path) -> None:
    manifest = CODE15DataModule.prepare(corpora / "code15", tmp_path / "s", progress=False)
    assert manifest is not None
    counts = manifest.counts
    assert counts["found"] == counts["kept"] + counts["rejected"]
    found = {item.reason for item in manifest.rejected}
    assert "a dummy row without an exam" in found
    assert "all samples are zero" in found
    assert "exams.csv does not list this exam" in found
    assert manifest.notes["age missing"] == 3


def test_a_heading_that_lost_a_name_is_refused(root: Path) -> None:
    path = root / "exams.csv"
    head, _, rows = path.read_text(encoding="utf-8").partition("\n")
    path.write_text(head.rsplit(",", 1)[0] + "\n" + rows, encoding="utf-8")
    with pytest.raises(DataError, match="more cells than its heading has names"):
        CODE15DataModule.index(root, 400.0)
