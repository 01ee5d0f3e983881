"""PhysioNet 2016: labels, quality, states, the ECG, copies named, whole sets left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_modules._matlab import read_cells
from data_modules.physionet2016 import PhysioNet2016DataModule
from pahcl.errors import DataError, RecordError, StoreError, UsageError
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, UNANNOTATED
from pahcl.simulation.sound_files import matlab_cells, wav, with_list_chunk
from pahcl.store import SignalStore

FS = 2000
SAMPLES = 6000
ROWS = [(1, "diastole"), (401, "S1"), (641, "systole"), (1041, "S2"), (1241, "diastole")]


def counts(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(-900, 900, SAMPLES).astype(np.int16)


def write_recording(root: Path, name: str, ecg: bool = False) -> Path:
    folder = root / f"training-{name[0]}"
    folder.mkdir(parents=True, exist_ok=True)
    number = int(name[1:])
    (folder / f"{name}.wav").write_bytes(wav(counts(number), FS))
    lines = [f"{name} {1 + ecg} {FS} {SAMPLES}", f"{name}.wav 16+44 1 16 0 0 0 0 PCG"]
    if ecg:
        second = counts(number + 1000)
        total = int(second.astype(int).sum()) % 65536
        total -= 65536 * (total > 32767)
        lines.append(f"{name}.dat 16 1000 16 0 {second[0]} {total} 0 ECG")
        (folder / f"{name}.dat").write_bytes(second.astype("<i2").tobytes())
    text = "\r\n".join([*lines, "# Normal", ""])
    (folder / f"{name}.hea").write_bytes(text.encode())
    return folder / name


def write_tables(root: Path, letter: str, labels: dict[str, tuple[int, int]]) -> None:
    folder = root / f"training-{letter}"
    reference = "".join(f"{name},{label}\n" for name, (label, _) in labels.items())
    quality = "".join(f"{name},{label},{good}\n" for name, (label, good) in labels.items())
    (folder / "REFERENCE.csv").write_text(reference)
    (folder / "REFERENCE-SQI.csv").write_text(quality)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    for name, ecg in (("a0001", True), ("a0002", False), ("e00001", False), ("e00002", False)):
        write_recording(place, name, ecg)
    write_tables(place, "a", {"a0001": (1, 1), "a0002": (-1, 0)})
    write_tables(place, "e", {"e00001": (-1, 1), "e00002": (-1, 1)})
    return place


def index_of(root: Path, **options: Any) -> Any:
    return PhysioNet2016DataModule.index(root, 2000.0, **options)


def reasons(root: Path) -> dict[str, str]:
    return {item.file: item.reason for item in index_of(root).rejected}


def test_labels_quality_and_set_of_each_recording(root: Path, tmp_path: Path) -> None:
    index = index_of(root)
    table = index.table
    assert table["record_id"].tolist() == ["a0001", "a0002", "e00001", "e00002"]
    assert table["subject_id"].tolist() == table["record_id"].tolist()
    assert table["domain"].tolist() == ["a", "a", "e", "e"]
    assert table["abnormal"].tolist() == [1, 0, 0, 0]
    assert table["quality"].tolist() == [1, 0, 1, 1]
    assert (index.rejected, index.notes) == ([], {})
    PhysioNet2016DataModule.prepare(root, tmp_path / "s", progress=False)
    store = SignalStore(tmp_path / "s")
    spec = store.spec
    assert (spec.modality, spec.leads, spec.unit) == ("pcg", ("PCG",), "full scale")
    for row, name in enumerate(table["record_id"]):
        expected = (counts(int(name[1:])) / 32768).astype(np.float32)
        np.testing.assert_array_equal(store.read(row).signal[0], expected)


def test_a_folder_above_the_sets_is_found_too(root: Path) -> None:
    inside = root / "training"
    inside.mkdir()
    for folder in root.glob("training-?"):
        folder.rename(inside / folder.name)
    assert index_of(root).table["file"][0] == "training/training-a/a0001"


def test_labels_that_say_nothing_are_counted(root: Path) -> None:
    (root / "training-a" / "REFERENCE.csv").write_text("a0001,2\na0002,-1\na0002,1\n")
    (root / "training-a" / "REFERENCE-SQI.csv").unlink()
    (root / "training-e" / "REFERENCE-SQI.csv").write_text("e00001,1,0\ne00002,-1,9\n")
    index = index_of(root)
    assert index.table["abnormal"].isna().tolist() == [True, True, False, False]
    assert index.notes == {
        "label neither 1 nor -1, or two labels": 2,
        "quality neither 1 nor 0, or two qualities": 1,
        "another label in REFERENCE-SQI.csv than in REFERENCE.csv, which is taken": 1,
        "label missing": 2,
        "quality missing": 3,
    }
    assert index.table["abnormal"][2] == 0


def test_the_qualities_of_the_annotations_folder_are_read(root: Path) -> None:
    place = root / "annotations" / "updated" / "training-a"
    place.mkdir(parents=True)
    (root / "training-a" / "REFERENCE-SQI.csv").rename(place / "REFERENCE_withSQI.csv")
    assert index_of(root).table["quality"].tolist() == [1, 0, 1, 1]


def test_copies_in_the_validation_set_are_named_and_others_kept(root: Path) -> None:
    folder = root / "validation"
    folder.mkdir()
    (folder / "a0001.wav").write_bytes(wav(counts(1), FS))
    (folder / "a0009.wav").write_bytes(with_list_chunk(wav(counts(2), FS), "renamed"))
    (folder / "e00001.wav").write_bytes(wav(counts(77), FS))
    (folder / "notes.wav").write_bytes(b"")
    (folder / "REFERENCE.csv").write_text("a0001,1\na0009,-1\ne00001,1\n")
    index = index_of(root)
    assert reasons(root) == {
        "validation/a0001": "the same samples are taken from training-a/a0001.wav",
        "validation/a0009": "the same samples are taken from training-a/a0002.wav",
        "validation/notes": "it is not named like a recording (a0001 and on)",
    }
    kept = index.table.set_index("record_id").loc["validation-e00001"]
    # The version in the training set is of the same person, so both fall to one side.
    assert (kept["subject_id"], kept["domain"], kept["abnormal"]) == ("e00001", "e", 1)


def test_rows_and_files_without_the_other_are_named(root: Path) -> None:
    folder = root / "training-a"
    with (folder / "REFERENCE.csv").open("a") as stream:
        stream.write("a0003,1\n../../x,1\nb0001,1\n")
    (folder / "a0004.hea").write_text("a0004 1 2000 5\n")
    (folder / "._a0001.wav").write_bytes(b"x")
    (folder / "a0002.wav").unlink()
    assert reasons(root) == {
        **dict.fromkeys(
            ("training-a/a0002", "training-a/a0003", "training-a/a0004"),
            "its sound (.wav) is missing",
        ),
        **dict.fromkeys(
            ("training-a/../../x", "training-a/b0001", "training-a/._a0001"),
            "it is not named like a recording of set a (a0001 and on)",
        ),
    }


def test_what_lacks_is_said_with_what_to_do(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the folders training-a to training-f"):
        index_of(tmp_path)
    (root / "training-e" / "REFERENCE.csv").unlink()
    with pytest.raises(DataError, match=r"training-e/REFERENCE\.csv is missing"):
        index_of(root)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new).encode())


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "other length": (lambda p: edit(p, "2000 6000", "2000 6001"), "states 6001 samples, but the"),
    "other rate": (lambda p: edit(p, "2000 6000", "1000 6000"), "the header states 1000 Hz"),
    "other record": (lambda p: edit(p, "a0001 2", "a0009 2"), "is that of record a0009"),
    "empty": (lambda p: p.write_bytes(b""), "the file a0001.hea is empty"),
    "comments alone": (lambda p: p.write_text("# Normal\n"), "the header is empty"),
    "no numbers": (lambda p: edit(p, "2000 6000", "2000 many"), "no numbers where they belong"),
    "no length": (lambda p: edit(p, "2000 6000", "2000"), "no numbers where they belong"),
    "too many": (lambda p: edit(p, "a0001 2", "a0001 3"), "announces 3 signals and describes 2"),
    "no gain": (lambda p: edit(p, "16 1000 16", "16 0 16"), "states no gain of the ECG"),
    "format 212": (lambda p: edit(p, "16 1000 16", "212 1000 16"), "does not describe the ECG"),
    "gain in words": (lambda p: edit(p, "16 1000 16", "16 1e 16"), "no numbers where they belong"),
    "other samples": (
        lambda p: p.with_suffix(".dat").write_bytes(counts(3).tobytes()),
        "does not match the checksum",
    ),
    "fewer samples": (
        lambda p: p.with_suffix(".dat").write_bytes(counts(3)[:9].tobytes()),
        "the ECG has 9 samples, but the header states 6000",
    ),
    "ecg missing": (lambda p: p.with_suffix(".dat").unlink(), "the file a0001.dat is missing"),
    "other ecg": (lambda p: edit(p, "a0001.dat", "a0002.dat"), "names a0002.dat as the file"),
    "header missing": (lambda p: p.unlink(), "no header describes the signal of a0001.dat"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_headers_and_ecgs_that_do_not_fit_are_named(root: Path, tmp_path: Path, case: str) -> None:
    damage, reason = DAMAGE[case]
    damage(root / "training-a" / "a0001.hea")
    manifest = PhysioNet2016DataModule.prepare(root, tmp_path / "s", progress=False, ecg=True)
    assert manifest is not None
    assert manifest.counts == {"found": 4, "kept": 3, "rejected": 1}
    assert manifest.rejected[0].record_id == "a0001"
    assert reason in manifest.rejected[0].reason


def test_the_ecg_is_a_second_lead_if_that_is_asked_for(root: Path, tmp_path: Path) -> None:
    settings = {"root": str(root), "store": str(tmp_path / "s"), "val_fraction": 0.25}
    module = PhysioNet2016DataModule(ecg=True, test_fraction=0.25, **settings)  # type: ignore[arg-type]
    module.prepare_data()
    store = SignalStore(tmp_path / "s")
    assert store.spec.leads == module.spec.leads == ("PCG", "ECG")
    first, second = store.read(0), store.read(1)
    np.testing.assert_array_equal(np.round(first.signal[0] * 32768), counts(1))
    np.testing.assert_array_equal(np.round(first.signal[1] * 32768), counts(1001))
    assert not second.signal[1].any()
    assert store.table["quality/nan"].tolist() == [0, 1, 1, 1]
    sound = PhysioNet2016DataModule(ecg=False, **settings)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="was packed with"):
        sound.prepare_data()


def write_states(root: Path, name: str, rows: list[tuple[int, str]], kind: str = "hand") -> Path:
    folder, suffix, variable = {
        "hand": ("hand_corrected/training-a_StateAns", "StateAns", "state_ans"),
        "algorithm": ("springer_alg/training-a-Aut", "StateAns0", "state_ans0"),
    }[kind]
    place = root / "annotations" / folder
    place.mkdir(parents=True, exist_ok=True)
    cells = np.empty((len(rows), 2), dtype=object)
    for place_of, (start, word) in enumerate(rows):
        inner = np.empty((1, 1), dtype=object)
        inner[0, 0] = word
        cells[place_of, 0] = np.array([[start]])
        cells[place_of, 1] = inner if place_of % 3 else word
    path = place / f"{name}_{suffix}.mat"
    scipy.io.savemat(path, {variable: cells}, do_compression=True)
    return path


def states_of(root: Path, name: str = "a0001", **options: Any) -> Any:
    row = index_of(root).table.set_index("record_id").loc[name].to_dict()
    return PhysioNet2016DataModule.states(root, row, **options)


def test_states_are_read_in_seconds(root: Path) -> None:
    write_states(root, "a0001", ROWS)
    write_states(root, "a0001", ROWS[1:], "algorithm")
    found = states_of(root)
    assert found.start.tolist() == [0, 0.2, 0.32, 0.52, 0.62]
    assert found.end.tolist() == [0.2, 0.32, 0.52, 0.62, 3.0]
    assert found.state.tolist() == [DIASTOLE, S1, SYSTOLE, S2, DIASTOLE]
    assert states_of(root, kind="algorithm").start.tolist() == [0.2, 0.32, 0.52, 0.62]
    assert states_of(root, "a0002") is None
    with pytest.raises(UsageError, match="hand or algorithm, not 'best'"):
        states_of(root, kind="best")


def test_noise_is_not_annotated(root: Path) -> None:
    rows = [*ROWS[:3], (801, "(N"), (2000, "N)"), (2401, "S1"), (2601, "systole")]
    write_states(root, "a0001", rows)
    found = states_of(root)
    assert found.state.tolist() == [DIASTOLE, S1, SYSTOLE, UNANNOTATED, S1, SYSTOLE]
    assert (found.start[3], found.end[3], found.start[4]) == (0.4, 1.0, 1.2)
    assert found.sampled(FS, SAMPLES)[2000:2400].tolist() == [UNANNOTATED] * 400
    write_states(root, "a0001", [(1, "(N"), (SAMPLES, "N)")])
    assert states_of(root).end.tolist() == [3.0]
    assert states_of(root).annotated == 0


BAD_STATES: dict[str, tuple[list[tuple[Any, Any]], str]] = {
    "another word": ([(1, "S3")], "row 1 of the states is called 'S3'"),
    "before the record": ([(0, "S1")], "row 1 of the states begins at the sample 0"),
    "half a sample": ([(1.5, "S1")], "begins at the sample 1.5"),
    "backwards": ([(900, "S1"), (500, "systole")], "ends at 0.2495 s, before it begins"),
    "behind the record": ([(1, "S1"), (9000, "systole")], "ends at 3.0 s, before it begins"),
    "no words": ([(1, 2.0)], "row 1 of the states is no sample and name"),
}


@pytest.mark.parametrize("case", BAD_STATES)
def test_states_that_cannot_be_are_named(root: Path, case: str) -> None:
    rows, reason = BAD_STATES[case]
    write_states(root, "a0001", rows)
    with pytest.raises(RecordError, match=reason):
        states_of(root)


def test_cells_agree_with_scipy_and_any_damage_is_named(root: Path) -> None:
    path = write_states(root, "a0001", ROWS)
    for data in (path.read_bytes(), matlab_cells("state_ans", ROWS, True)):
        rows = read_cells(data, "state_ans")
        assert [(int(np.ravel(start)[0]), word) for start, word in rows] == ROWS
    path.write_bytes(matlab_cells("state_ans", ROWS, False))
    loaded = scipy.io.loadmat(path)["state_ans"]
    assert [(int(start[0, 0]), str(word[0])) for start, word in loaded] == ROWS
    with pytest.raises(RecordError, match="holds no variable `other`"):
        read_cells(data, "other")
    scipy.io.savemat(path, {"state_ans": np.zeros((3, 2))})
    with pytest.raises(RecordError, match="no array of cells"):
        states_of(root)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(128, 900), value=st.binary(min_size=1, max_size=8), packed=st.booleans())
def test_damaged_states_never_crash(at: int, value: bytes, packed: bool, tmp_path: Path) -> None:
    cells = np.empty((2, 2), dtype=object)
    cells[0, :] = np.array([[1]]), "S1"
    cells[1, :] = np.array([[5]]), np.array([["systole"]], dtype=object)
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"state_ans": cells}, do_compression=packed)
    data = bytearray(path.read_bytes())
    data[at : at + len(value)] = value
    with suppress(RecordError):
        read_cells(bytes(data), "state_ans")


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(max_size=80))
def test_any_text_as_a_table_is_read_or_refused(tmp_path: Path, text: str) -> None:
    write_recording(tmp_path, "a0001")
    (tmp_path / "training-a" / "REFERENCE.csv").write_text(text, "utf-8", "replace")
    with suppress(DataError):
        index = index_of(tmp_path)
        assert index.table["record_id"].tolist() == ["a0001"]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pahcl.simulation import physionet2016

    folder = tmp_path_factory.mktemp("simulated") / "physionet2016"
    physionet2016.write(folder, records=110, seed=5)
    return folder


def served(store: Path, **options: Any) -> PhysioNet2016DataModule:
    module = PhysioNet2016DataModule(store=str(store), fs=500, **options)
    module.prepare_data()
    module.setup()
    return module


@pytest.fixture(scope="module")
def store(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stores") / "physionet2016"
    PhysioNet2016DataModule.prepare(simulated, out, fs=2000, progress=False)
    return out


def test_the_simulated_corpus_is_accounted_for(simulated: Path, store: Path) -> None:
    counts = json.loads((simulated / "simulation.json").read_text())["counts"]
    manifest = SignalStore(store).manifest
    assert manifest.counts["kept"] == counts["readable"]
    assert manifest.counts["rejected"] == counts["unreadable"]


def test_a_drawn_split_is_balanced_over_sets_and_labels(store: Path) -> None:
    module = served(store, val_fraction=0.2, test_fraction=0.2)
    table = module.store.table.assign(side=module.splits)
    assert (table.groupby("domain")["side"].nunique() == 3).all()
    rate = table.groupby("side")["abnormal"].mean()
    assert rate.max() - rate.min() < 0.12


def test_a_set_that_is_left_out_tests_as_a_whole(store: Path) -> None:
    module = served(store, leave_out="e")
    domains = module.store.table["domain"]
    assert set(domains[module.splits == "test"]) == {"e"}
    assert "e" not in set(domains[module.splits != "test"])
    assert set(module.splits) == {"train", "val", "test"}
    share = (module.splits == "val").sum() / (domains != "e").sum()
    assert share == pytest.approx(0.1, abs=0.02)
    assert module.data_receipt()["options"] == {"ecg": False, "leave_out": "e"}


def test_leaving_out_what_is_not_there_is_refused(store: Path) -> None:
    with pytest.raises(UsageError, match=r"names a set \(a, b, c, d, e, f\).*got g"):
        PhysioNet2016DataModule(leave_out="g")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"data\.init_args\.folds chooses who does"):
        PhysioNet2016DataModule(leave_out="a", folds=5)
    module = served(store)
    module.leave_out = "a"
    alone = module.store.table[lambda table: table["domain"] == "a"]
    with pytest.raises(DataError, match=r"the store holds the set\(s\) a\. Name another set"):
        module.split(pd.DataFrame(alone))
