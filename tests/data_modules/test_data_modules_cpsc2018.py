"""CPSC2018: both forms, every malformed file named, nothing in an invented unit."""

from __future__ import annotations

import errno
import hashlib
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_modules._challenge import people, read_challenge, read_header
from data_modules._cpsc2018_parts import CLASSES, CODES
from data_modules._matlab import first_fields, read_array, read_struct
from data_modules.cpsc2018 import CPSC2018DataModule
from pahcl.errors import DataError, RecordError
from pahcl.signals import STANDARD_12
from pahcl.store import SignalStore

SAMPLES = 700
RBBB, AF, PAC = "59118001", "164889003", "284470004"


def counts(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-900, 900, (12, SAMPLES)).astype(np.int16)


def header(
    name: str, steps: np.ndarray, codes: str, rate: str = " 500", gain: str = "1000/mV"
) -> str:
    lines = [f"{name} 12{rate} {steps.shape[1]} 12-May-2020 12:33:59"]
    for lead, row in zip(STANDARD_12, steps.astype(int), strict=True):
        total = row.sum() % 65536
        lines.append(f"{name}.mat 16+24 {gain} 16 0 {row[0]} {total} 0 {lead}")
    return "\n".join([*lines, "#Age: 74", "#Sex: Male", f"#Dx: {codes}", "#Rx: Unknown"]) + "\n"


def write_challenge(folder: Path, name: str, codes: str = RBBB, **how: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    steps = counts(int(name[1:]))
    (folder / f"{name}.hea").write_text(header(name, steps, codes, **how))
    scipy.io.savemat(folder / f"{name}.mat", {"val": steps}, format="4")
    return folder / name


def write_original(
    folder: Path, name: str, sex: Any = "Female", age: Any = 48, **more: Any
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    data = more.pop("data", counts(int(name[1:])) / 1000)
    ecg = {"sex": sex, "age": age, "data": data}
    scipy.io.savemat(folder / f"{name}.mat", {"ECG": ecg}, do_compression=more.pop("packed", True))
    return folder / f"{name}.mat"


def write_reference(root: Path, *rows: str) -> None:
    text = "\r\n".join(["Recording,First_label,Second_label,Third_label", *rows])
    (root / "REFERENCE.csv").write_text(text + "\r\n", newline="")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two records in either form, and a row whose file is elsewhere."""
    place = tmp_path / "root"
    write_challenge(place / "WFDB_CPSC2018", "A0001", f"{RBBB}")
    write_challenge(place / "WFDB_CPSC2018", "A0002", f"{AF},{PAC}")
    write_original(place / "TrainingSet", "A0003")
    write_original(place / "TrainingSet", "A0004", sex="Male", age=np.nan)
    write_reference(place, "A0001,5,,", "A0002,6,2,", "A0003,1,,", "A0004,8,9,3", "A0005,7,,")
    return place


def reasons(root: Path) -> dict[str, str]:
    rejected = CPSC2018DataModule.index(root, 500.0).rejected
    return {item.record_id: item.reason for item in rejected}


def packed(root: Path, out: Path) -> dict[str, str]:
    """Pack the corpus; give the reason of every record that is not in the store."""
    manifest = CPSC2018DataModule.prepare(root, out, progress=False)
    assert manifest is not None
    found = manifest.counts
    assert found["found"] == found["kept"] + found["rejected"]
    return {item.record_id: item.reason for item in manifest.rejected}


def test_both_forms_are_listed_with_labels_age_and_sex(root: Path) -> None:
    index = CPSC2018DataModule.index(root, 500.0)
    table = index.table.set_index("record_id")
    assert table.index.tolist() == ["A0001", "A0002", "A0003", "A0004"]
    assert table["form"].tolist() == ["challenge"] * 2 + ["original"] * 2
    named = {name: [c for c in CLASSES if table.loc[name, c]] for name in table.index}
    assert named == {
        "A0001": ["RBBB"],
        "A0002": ["AF", "PAC"],
        "A0003": ["Normal"],
        "A0004": ["I-AVB", "STD", "STE"],
    }
    assert table["first_label"].tolist() == ["RBBB", "PAC", "Normal", "STD"]
    assert table["sex"].tolist() == ["male", "male", "female", "male"]
    assert table["age"].tolist()[:3] == [74, 74, 48]
    assert index.notes == {"age missing": 1}
    assert reasons(root) == {"A0005": "no file of this record is in the folder"}


def test_a_header_alone_does_not_say_which_of_its_labels_is_the_first(root: Path) -> None:
    (root / "REFERENCE.csv").unlink()
    index = CPSC2018DataModule.index(root, 500.0)
    table = index.table.set_index("record_id")
    assert table["first_label"].tolist() == ["RBBB", None]
    assert index.notes == {"first of several labels unknown": 1}
    assert "REFERENCE.csv is not in the folder" in reasons(root)["A0003"]


def test_labels_that_contradict_the_reference_are_counted(root: Path) -> None:
    write_reference(root, "A0001,4,,", "A0003,1,,", "A0004,1,,")
    index = CPSC2018DataModule.index(root, 500.0)
    assert index.notes["labels other than REFERENCE.csv gives"] == 1
    assert index.table.set_index("record_id").loc["A0001", "RBBB"] == 1


def test_the_store_holds_counts_exactly_and_the_struct_within_half_a_step(
    root: Path, tmp_path: Path
) -> None:
    assert set(packed(root, tmp_path / "s")) == {"A0005"}
    store = SignalStore(tmp_path / "s")
    for row, name in enumerate(["A0001", "A0002"]):
        expected = counts(int(name[1:])) / 1000
        np.testing.assert_array_equal(store.read(row).signal, expected.astype(np.float32))
        assert (store.scales[row] == np.float32(0.001)).all()
    for row, number in ((2, 3), (3, 4)):
        error = np.abs(store.read(row).signal - counts(number) / 1000)
        assert (error <= 0.51 * store.scales[row][:, None]).all()
    source = (root / "TrainingSet" / "A0003.mat").read_bytes()
    assert store.table["source_sha256"][2] == hashlib.sha256(source).hexdigest()


def test_the_reader_agrees_with_wfdb(root: Path) -> None:
    path = root / "WFDB_CPSC2018" / "A0002"
    signal, fields = wfdb.rdsamp(str(path))
    recording = read_challenge(path, "A0002", "A0002", 500.0)
    np.testing.assert_array_equal(recording.signal, signal.T.astype(np.float32))
    assert recording.leads == tuple(fields["sig_name"])
    assert recording.unit == fields["units"][0] == "mV"


@pytest.mark.parametrize(
    ("gain", "factor", "zero"),
    [
        ("1000/mV", 1e-3, 0),
        ("1000.0(0)/mV", 1e-3, 0),
        ("4880/mV", 1 / 4880, 0),
        ("200(7)", 5e-3, 7),
    ],
)
def test_gain_and_baseline_are_those_of_the_header(
    tmp_path: Path, gain: str, factor: float, zero: int
) -> None:
    path = write_challenge(tmp_path, "A0007", gain=gain)
    recording = read_challenge(path, "A0007", "A0007", 500.0)
    np.testing.assert_allclose(recording.signal, (counts(7) - zero) * factor, rtol=1e-6, atol=1e-9)
    assert recording.resolution is not None
    np.testing.assert_allclose(recording.resolution, factor)


def edit(path: Path, old: str, new: str, count: int = -1) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(bytes(data))


CHALLENGE: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "truncated mat": (lambda h, m: cut(m, 9000), "not a readable MATLAB file"),
    "empty mat": (lambda h, m: m.write_bytes(b""), "the file A0001.mat is empty"),
    "text as mat": (lambda h, m: m.write_text("<html>404</html>" * 40), "not a readable MATLAB"),
    "one bit wrong": (lambda h, m: flip(m), "do not match the header's checksum in lead"),
    "mat missing": (lambda h, m: m.unlink(), "the file A0001.mat is missing"),
    "other variable": (
        lambda h, m: scipy.io.savemat(m, {"x": counts(1)}, format="4"),
        "holds no variable `val`",
    ),
    "floats": (lambda h, m: scipy.io.savemat(m, {"val": counts(1) / 2}), "array of float64"),
    "transposed": (
        lambda h, m: scipy.io.savemat(m, {"val": counts(1).T}, format="4"),
        r"`val` has the shape \(700, 12\), but the header states \(12, 700\)",
    ),
    "fewer samples": (
        lambda h, m: scipy.io.savemat(m, {"val": counts(1)[:, :500]}, format="4"),
        r"shape \(12, 500\), but the header states \(12, 700\)",
    ),
    "complex numbers": (
        lambda h, m: scipy.io.savemat(m, {"val": counts(1) * 1j}),
        "is not an array of real numbers",
    ),
    "empty header": (lambda h, m: h.write_text(""), "the file A0001.hea is empty"),
    "binary header": (lambda h, m: h.write_bytes(bytes(range(256))), "the header"),
    "no gain": (lambda h, m: edit(h, "1000/mV ", "", 1), "without gain, checksum or name"),
    "gain without number": (lambda h, m: edit(h, "1000/mV", "/mV", 1), "no gain for lead I,"),
    "gain 0": (lambda h, m: edit(h, "1000/mV", "0/mV", 1), "states no gain for lead I,"),
    "gain 1e999": (lambda h, m: edit(h, "1000/mV", "1e999/mV", 1), "states no gain for lead I,"),
    "gain of signs": (lambda h, m: edit(h, "1000/mV", "..-/mV", 1), "no numbers where they belong"),
    "other rate": (lambda h, m: edit(h, "12 500", "12 250"), "states 250 Hz, but the data set"),
    "no rate": (lambda h, m: edit(h, " 500 700 12-May-2020 12:33:59", ""), "states no rate"),
    "rate in words": (lambda h, m: edit(h, "12 500", "12 fast"), "no numbers where they belong"),
    "eleven leads": (lambda h, m: edit(h, "A0001 12", "A0001 11"), "announces 11 leads and"),
    "lead twice": (lambda h, m: edit(h, "0 V1", "0 V2"), "names a lead twice"),
    "unknown lead": (lambda h, m: edit(h, "0 V1", "0 X"), "V1"),
    "units mixed": (lambda h, m: edit(h, "1000/mV", "1000/uV", 1), "different units: mV, uV"),
    "unknown unit": (lambda h, m: edit(h, "1000/mV", "1000/furlong"), "furlong"),
    "other format": (lambda h, m: edit(h, "16+24", "212", 1), "states the format 212, not 16"),
    "other file": (lambda h, m: edit(h, "A0001.mat 16", "../A0002.mat 16"), "as the file of its"),
    "other record": (lambda h, m: edit(h, "A0001 12", "A0009 12"), "is that of record A0009"),
    "no diagnosis": (lambda h, m: edit(h, f"#Dx: {RBBB}", "#Dx: Unknown"), "names 0 diagnoses"),
    "no comments": (lambda h, m: edit(h, "#", "; "), "the header announces 12 leads"),
    "unknown diagnosis": (lambda h, m: edit(h, RBBB, f"{RBBB},4242"), "diagnosis 4242 is none of"),
    "four diagnoses": (lambda h, m: edit(h, RBBB, ",".join([*CODES][:4])), "names 4 diagnoses"),
}


@pytest.mark.parametrize("case", CHALLENGE)
def test_malformed_challenge_records_are_named(root: Path, tmp_path: Path, case: str) -> None:
    damage, reason = CHALLENGE[case]
    path = root / "WFDB_CPSC2018" / "A0001"
    damage(path.with_suffix(".hea"), path.with_suffix(".mat"))
    rejected = packed(root, tmp_path / "s")
    assert set(rejected) == {"A0001", "A0005"}
    with pytest.raises(RecordError, match=reason):
        raise RecordError(rejected["A0001"])


def ecg(path: Path, **fields: Any) -> None:
    scipy.io.savemat(path, {"ECG": fields})


ORIGINAL: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda m: cut(m, 3000), "not a readable MATLAB file"),
    "header alone": (lambda m: cut(m, 128), "the MATLAB file holds no variable `ECG`"),
    "empty": (lambda m: m.write_bytes(b""), "the file A0003.mat is empty"),
    "damaged inside": (lambda m: flip(m), "not a readable MATLAB file"),
    "version 7.3": (
        lambda m: m.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400)),
        "not a readable MATLAB file",
    ),
    "no struct": (
        lambda m: scipy.io.savemat(m, {"ECG": counts(3)}),
        "its variable is not one struct",
    ),
    "no data": (lambda m: ecg(m, sex="Male", age=3), "no field `data` that holds numbers"),
    "no signal": (lambda m: ecg(m, data=np.zeros((12, 0))), "the record holds no sample"),
    "nothing but NaN": (lambda m: ecg(m, data=np.full((12, 900), np.nan)), "is a finite number"),
    "transposed": (lambda m: ecg(m, data=counts(3).T / 1000), r"shape \(700, 12\), not that of"),
    "eleven leads": (
        lambda m: ecg(m, data=counts(3)[:11] / 1e3),
        r"shape \(11, 700\), not that of",
    ),
    "three axes": (lambda m: ecg(m, data=np.zeros((12, 7, 7))), r"shape \(12, 7, 7\), not that of"),
    "text": (lambda m: ecg(m, data="none"), "no field `data` that holds numbers"),
    "cells": (
        lambda m: ecg(m, data=np.array([[1], "x"], dtype=object)),
        "no field `data` that holds numbers",
    ),
}


@pytest.mark.parametrize("case", ORIGINAL)
def test_malformed_original_records_are_named(root: Path, tmp_path: Path, case: str) -> None:
    damage, reason = ORIGINAL[case]
    damage(root / "TrainingSet" / "A0003.mat")
    rejected = packed(root, tmp_path / "s")
    assert set(rejected) == {"A0003", "A0005"}
    with pytest.raises(RecordError, match=reason):
        raise RecordError(rejected["A0003"])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("A0003,10,,", "gives the label 10; labels are 1 to 9"),
        ("A0003,1,x,", "gives the label x; labels are 1 to 9"),
        ("A0003,1.5,,", "gives the label 1.5; labels are 1 to 9"),
        ("A0003,,,", "gives this record no first label"),
        ("A0003,,4,", "gives this record no first label"),
        ("A0003,1,,\r\nA0003,2,,", "gives this record twice, with different labels"),
        ("A0099,1,,", "REFERENCE.csv does not list this record, and there is no header A0003.hea"),
    ],
)
def test_labels_that_cannot_be_used_are_named(root: Path, row: str, reason: str) -> None:
    write_reference(root, "A0001,5,,", "A0002,2,6,", row, "A0004,8,,")
    assert reason in reasons(root)["A0003"]


def test_rows_without_a_name_and_repeated_rows(root: Path) -> None:
    write_reference(root, "A0001,5,,", "A0003,1,,", "A0003,1,,", ",4,,", "A0004,8,,")
    assert reasons(root) == {"(row 3)": "REFERENCE.csv names no record in this row"}


def test_a_record_in_both_forms_is_taken_from_the_challenges(root: Path) -> None:
    write_original(root / "TrainingSet", "A0001")
    index = CPSC2018DataModule.index(root, 500.0)
    again = next(item for item in index.rejected if item.record_id == "A0001")
    assert again.file == "TrainingSet/A0001"
    assert again.reason == "the same record is taken from WFDB_CPSC2018/A0001"
    (root / "WFDB_CPSC2018" / "A0001.hea").write_text("")
    table = CPSC2018DataModule.index(root, 500.0).table.set_index("record_id")
    assert table.loc["A0001", "file"] == "TrainingSet/A0001"


@pytest.mark.parametrize("name", ["._A0001", "Q0001", "A0001 (1)", "A00011"])
def test_files_of_other_names_are_named(root: Path, name: str) -> None:
    for file in ("A0001.hea", "A0001.mat"):
        source = root / "WFDB_CPSC2018" / file
        (source.parent / f"{name}{source.suffix}").write_bytes(source.read_bytes())
    assert "not named like a record of CPSC2018" in reasons(root)[name]


def test_a_folder_of_something_else_says_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no record of CPSC2018: neither headers"):
        CPSC2018DataModule.index(tmp_path, 500.0)


def test_a_disk_that_fails_rejects_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", failing)
    with pytest.raises(DataError, match="cannot be read"):
        CPSC2018DataModule.prepare(root, root.parent / "s", progress=False)


def test_a_file_larger_than_any_record_is_not_read(root: Path, tmp_path: Path) -> None:
    with (root / "TrainingSet" / "A0003.mat").open("r+b") as stream:
        stream.truncate(65 * 2**20)
    assert "a record's file has at most" in packed(root, tmp_path / "s")["A0003"]


@pytest.mark.parametrize("packed_struct", [True, False])
@pytest.mark.parametrize("age", [48, 3.5, 300, -1])
def test_age_and_sex_are_read_without_the_signal(
    tmp_path: Path, age: float, packed_struct: bool
) -> None:
    path = write_original(tmp_path, "A0001", age=age, packed=packed_struct)
    assert first_fields(path) == {"sex": "Female", "age": age}
    scipys = scipy.io.loadmat(path)["ECG"][0, 0]
    fields = read_struct(path.read_bytes(), "ECG")
    assert fields["sex"] == scipys["sex"][0]
    np.testing.assert_array_equal(fields["age"], scipys["age"])
    np.testing.assert_array_equal(fields["data"], scipys["data"])


def test_the_publishers_spellings_of_age_and_sex() -> None:
    ages: list[object] = ["74", 20.0, "NaN", -1, 301, "old", None]
    sexes = ["Male", "FEMALE", " m ", "F", "Unknown", "", None]
    said = [{"age": age, "sex": sex} for age, sex in zip(ages, sexes, strict=True)]
    table, notes = people(said)
    assert table["age"].tolist()[:2] == [74, 20]
    assert table["age"].isna().sum() == 5
    assert table["sex"].tolist() == ["male", "female", "male", "female", None, None, None]
    assert notes == {"age missing": 3, "age outside 0 to 120": 2, "sex missing": 3}


def struct_bytes(folder: Path, packed_struct: bool) -> bytes:
    data = counts(1)[:, :40] / 1000
    return write_original(folder, "A0002", data=data, packed=packed_struct).read_bytes()


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), packed_struct=st.booleans())
def test_damaged_structs_are_refused_or_read_but_never_crash(
    tmp_path: Path, data: st.DataObject, packed_struct: bool
) -> None:
    source = bytearray(struct_bytes(tmp_path, packed_struct))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(source) - 1))
        source[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "A0001.mat"
    path.write_bytes(bytes(source[: data.draw(st.integers(0, len(source)))]))
    assert all(isinstance(name, str) for name in first_fields(path))
    refused = None
    try:
        read_struct(path.read_bytes(), "ECG")
    except RecordError as error:
        refused = str(error)
    assert refused is None or "MATLAB" in refused


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_headers_are_refused_or_read_but_never_crash(
    tmp_path: Path, data: st.DataObject
) -> None:
    text = header("A0001", counts(1), RBBB)
    start = data.draw(st.integers(0, len(text) - 1))
    stop = data.draw(st.integers(start, min(len(text), start + 40)))
    path = tmp_path / "A0001"
    path.with_suffix(".hea").write_text(
        text[:start] + data.draw(st.text(max_size=12)) + text[stop:], "utf-8"
    )
    found, refused = None, "the header"
    try:
        found = read_header(path, 500.0)
    except RecordError as error:
        refused = str(error)
    assert refused.startswith("the header")
    if found is not None:
        assert len(found.adc_gain) == len(found.sig_name) > 0
        assert all(0 < gain < np.inf for gain in found.adc_gain)


@pytest.mark.parametrize("version", ["4", "5"])
@pytest.mark.parametrize("kind", ["int16", "uint16", "int32", "uint8", "float32", "float64"])
def test_arrays_agree_with_scipy(tmp_path: Path, kind: str, version: str) -> None:
    values = np.random.default_rng(3).integers(0, 200, (5, 9)).astype(kind)
    for packed_array in (False, version == "5"):
        path = tmp_path / "a.mat"
        how: dict[str, Any] = {"format": version, "do_compression": packed_array}
        scipy.io.savemat(path, {"other": np.eye(3), "val": values}, **how)
        read = read_array(path.read_bytes(), "val")
        np.testing.assert_array_equal(read, scipy.io.loadmat(path)["val"])
        assert read.dtype == values.dtype


def test_a_compressed_element_that_is_no_array_has_no_fields(tmp_path: Path) -> None:
    inner = zlib.compress(struct.pack("<II", 9, 8) + bytes(8))
    path = tmp_path / "A0001.mat"
    path.write_bytes(bytes(128) + struct.pack("<II", 15, len(inner)) + inner)
    assert first_fields(path) == {}
