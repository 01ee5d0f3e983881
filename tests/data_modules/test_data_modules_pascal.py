"""PASCAL: files found under the names that tables and archives give them, marks, two rates."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_modules._pascal_names import CLASSES, class_of, file_name, parse_name
from data_modules.pascal import PASCALDataModule
from pahcl.errors import DataError, RecordError, UsageError
from pahcl.signals.states import S1, S2
from pahcl.simulation.sound_files import wav, with_list_chunk
from pahcl.store import SignalStore

RATES = {"a": 44_100, "b": 4000}

RENAMED = {
    "set_a/normal__201102081321.wav": "normal__201102081321.wav",
    "set_a/__201103200518.wav": "Aunlabelledtest__201103200518.wav",
    "set_b/Btraining_extrastole_127_1306764300147_C2.wav": "extrastole__127_1306764300147_C2.wav",
    "set_b/Btraining_murmur_Btraining_noisymurmur_135_1306428972976_A.wav": (
        "murmur_noisymurmur_135_1306428972976_A.wav"
    ),
    "set_b/Btraining_normal_Btraining_noisynormal_101_1305030823364_B.wav": (
        "normal_noisynormal_101_1305030823364_B.wav"
    ),
    "set_b/Bunlabelledtest_101_1305030823364_A.wav": "Bunlabelledtest__101_1305030823364_A.wav",
}


def counts(which: str, number: int, seconds: float = 1.2) -> np.ndarray:
    size = round(RATES[which] * seconds)
    return np.random.default_rng(number).integers(-9000, 9000, size).astype(np.int16)


def write_sound(path: Path, which: str, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(with_list_chunk(wav(counts(which, number), RATES[which]), path.stem))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    rows: dict[str, list[str]] = {"a": [], "b": []}
    for number, (fname, file) in enumerate(RENAMED.items()):
        which = fname[4]
        write_sound(place / f"set_{which}" / file, which, number)
        word = file.split("_")[0]
        label = "" if word.endswith("test") else word
        more = file.split("_")[1] if which == "b" else ""
        rows[which].append(f"{which},{fname},{label},{more}")
    for which, lines in rows.items():
        text = "\r\n".join(["dataset,fname,label,sublabel", *lines, ""])
        (place / f"set_{which}.csv").write_bytes(text.encode())
    return place


def index_of(root: Path, **options: Any) -> Any:
    return PASCALDataModule.index(root, 4000.0, **options)


def reasons(root: Path, **options: Any) -> dict[str, str]:
    return {item.file: item.reason for item in index_of(root, **options).rejected}


def test_files_are_found_under_the_names_of_the_tables(root: Path) -> None:
    for fname, file in RENAMED.items():
        assert file_name(fname, fname[4], {file}) == file
    index = index_of(root)
    assert index.rejected == []
    table = index.table.set_index("record_id")
    assert set(table["file"]) == {f"{fname[:5]}/{file}" for fname, file in RENAMED.items()}
    assert table["subject_id"].tolist() == [
        "a-201102081321", "a-201103200518", "b-127", "b-135", "b-101", "b-101",
    ]  # fmt: skip
    assert table["label"].tolist()[:1] + table["label"].tolist()[2:5] == [
        "normal", "extrastole", "murmur", "normal",
    ]  # fmt: skip
    assert table["label"].isna().tolist() == [False, True, False, False, False, True]
    assert table["noisy"].tolist()[2:] == [0, 1, 1, 0]
    assert table["noisy"].isna().tolist()[:2] == [True, True]
    assert table["place"].tolist()[2:] == ["C", "A", "B", "A"]
    assert index.notes == {"unlabelled": 2}


def test_the_archives_as_they_unpack_say_the_same(root: Path, tmp_path: Path) -> None:
    """Their folders are named; files of the same patient and minute keep their identifiers."""
    folders = {
        "normal__": "Atraining_normal", "Aunlabelledtest__": "Aunlabelledtest",
        "extrastole__": "Btraining_extrasystole/Btraining_extrastole",
        "murmur_noisymurmur_": "Btraining_murmur/Btraining_noisymurmur",
        "normal_noisynormal_": "Training B Normal/Btraining_noisynormal",
        "Bunlabelledtest__": "Bunlabelledtest",
    }  # fmt: skip
    other = tmp_path / "archives"
    for fname, file in RENAMED.items():
        prefix = next(one for one in folders if file.startswith(one))
        target = other / f"set_{fname[4]}" / folders[prefix] / file.removeprefix(prefix)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((root / f"set_{fname[4]}" / file).read_bytes())
    (other / "set_a" / "__MACOSX" / "Atraining_normal").mkdir(parents=True)
    (other / "set_a" / "__MACOSX" / "Atraining_normal" / "._201102081321.wav").write_bytes(b"x")
    assert reasons(other) == {
        "set_a/__MACOSX/Atraining_normal/._201102081321.wav": (
            "it is not named like a sound of set A"
        )
    }
    columns = ["record_id", "subject_id", "domain", "label", "noisy", "place"]
    first, second = (
        index_of(place).table[columns].sort_values("record_id", ignore_index=True)
        for place in (root, other)
    )
    assert first.equals(second)


def test_a_store_of_both_sets_has_the_rate_of_set_b(root: Path, tmp_path: Path) -> None:
    PASCALDataModule.prepare(root, tmp_path / "s", progress=False)
    store = SignalStore(tmp_path / "s")
    assert (store.spec.fs, store.spec.unit, store.spec.modality) == (4000, "full scale", "pcg")
    assert store.lengths.tolist() == [4800] * 6
    for row in range(2, 6):  # of set B, kept exactly
        np.testing.assert_array_equal(store.read(row).signal[0] * 32768, counts("b", row))


def test_set_a_alone_is_served_at_its_own_rate(root: Path, tmp_path: Path) -> None:
    PASCALDataModule.prepare(root, tmp_path / "s", fs=44_100, progress=False, which="a")
    store = SignalStore(tmp_path / "s")
    np.testing.assert_array_equal(store.read(0).signal[0] * 32768, counts("a", 0))
    for arguments in ({"fs": 44_100}, {"fs": 44_100, "which": "b"}):
        with pytest.raises(UsageError, match=r"fits to set A alone: take that one \(`which: a`\)"):
            PASCALDataModule(**arguments)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="asks for the other set"):
        PASCALDataModule(which="a", task="set_b")


def test_each_task_asks_its_own_set_and_classes(root: Path, tmp_path: Path) -> None:
    module = PASCALDataModule(store=str(tmp_path))
    labels = module.labels(index_of(root).table)
    answers = {name: task.targets(labels).tolist() for name, task in module.tasks.items()}
    assert answers == {
        "three": [0, -1, 2, 1, 0, -1],
        "set_a": [0, -1, -1, -1, -1, -1],
        "set_b": [-1, -1, 2, 1, 0, -1],
    }


def test_classes_are_known_in_the_spellings_that_occur() -> None:
    assert class_of("Extrasystole", "b") == "extrastole"
    assert class_of("extrahls", "a") == "extrahls"
    assert class_of("extrahls", "b") is None
    assert class_of("artefact", "a") == "artifact"
    assert all(class_of(word, which) == word for which in CLASSES for word in CLASSES[which])


def test_names_that_are_none_are_refused() -> None:
    for stem in ("normal_2011", "x", "normal__20110101_A", "normal__٢٠١١"):
        assert parse_name(stem, "a") is None
    assert parse_name("normal__12_130_A", "b") is None
    named = parse_name("murmur__293_1311680805936_B_1", "b")
    assert named is not None
    assert (named.who, named.place) == ("293", "B")


def test_labels_rows_and_files_that_do_not_fit_are_named(root: Path) -> None:
    write_sound(root / "set_a" / "murmur__201101010101.wav", "a", 9)
    with (root / "set_a.csv").open("a", newline="") as stream:
        stream.write("a,set_a/artifact__201101010202.wav,artifact,\r\n")
        stream.write("a,set_a/photo.wav,normal,\r\na,,normal,\r\n")
        stream.write("a,set_a/normal__201102081321.wav,murmur,\r\n")
    text = (root / "set_b.csv").read_text().replace(",extrastole,", ",gallop,")
    (root / "set_b.csv").write_text(text)
    index = index_of(root)
    found = {(item.file, item.record_id): item.reason for item in index.rejected}
    assert found == {
        ("set_a/artifact__201101010202.wav", "artifact__201101010202"): "its sound is missing",
        ("set_a/photo.wav", "photo"): "it is not named like a sound of set A",
        ("the table of its set", "(row 4)"): "the record's number is missing or no whole number",
        ("set_a/normal__201102081321.wav", "normal__201102081321"): (
            "the table names this record twice"
        ),
        ("set_a/murmur__201101010101.wav", "murmur__201101010101"): (
            "set_a.csv does not list this file"
        ),
    }
    assert index.notes == {"label of no class": 1, "unlabelled": 2}


def test_a_set_that_is_not_there_is_said_with_what_to_do(root: Path, tmp_path: Path) -> None:
    (root / "set_a.csv").unlink()
    with pytest.raises(DataError, match=r"no set A.*or take the other set alone \(which: b\)"):
        index_of(root)
    assert len(index_of(root, which="b").table) == 4
    with pytest.raises(DataError, match="nor folders like Btraining_normal"):
        index_of(tmp_path, which="b")
    (root / "set_b.csv").write_text("name\nx\n")
    with pytest.raises(DataError, match=r"set_b\.csv lacks the column\(s\) fname, label"):
        index_of(root, which="b")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:999]), "before its sound does"),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "a web page": (lambda p: p.write_text("<html>" * 20), "not a readable sound file"),
    "another set's rate": (
        lambda p: p.write_bytes(wav(counts("b", 3), 44_100)),
        "the sound has 44100 Hz, but the data set gives 4000 Hz",
    ),
    "near silence": (
        lambda p: p.write_bytes(wav((counts("b", 3) // 4096).astype(np.int16), 4000)),
        "the sound is near silence",
    ),
    "near empty": (
        lambda p: p.write_bytes(wav(counts("b", 3, 0.4), 4000)),
        "the sound lasts 0.4 s, less than a heart cycle",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_sounds_are_named(root: Path, tmp_path: Path, case: str) -> None:
    damage, reason = DAMAGE[case]
    damage(root / "set_b" / "extrastole__127_1306764300147_C2.wav")
    manifest = PASCALDataModule.prepare(root, tmp_path / "s", progress=False)
    assert manifest is not None
    assert manifest.counts == {"found": 6, "kept": 5, "rejected": 1}
    assert reason in manifest.rejected[0].reason


def states_of(root: Path, rows: str, name: str = "normal__201102081321") -> Any:
    (root / "set_a_timing.csv").write_text(f"fname,cycle,sound,location\n{rows}")
    row = index_of(root).table.set_index("record_id").loc[name].to_dict()
    return PASCALDataModule.states(root, row)


def test_marks_are_instants_in_seconds(root: Path) -> None:
    file = "set_a/normal__201102081321.wav"
    marks = f"{file},1,S1,4410\n{file},2,S1,44100\n{file},1,S2,17640\nset_a/x.wav,1,S1,5\n"
    found = states_of(root, marks)
    assert found.start.tolist() == found.end.tolist() == [0.1, 0.4, 1.0]
    assert found.state.tolist() == [S1, S2, S1]
    assert found.annotated == 0
    assert states_of(root, marks, "murmur_noisymurmur_135_1306428972976_A") is None
    (root / "set_a_timing.csv").unlink()
    assert PASCALDataModule.states(root, {"file": file}) is None


@pytest.mark.parametrize("bad", ["1,S1,999999", "1,S3,5", "1,S1,-4", "1,S1,soon", "1,,5"])
def test_marks_that_cannot_be_are_named(root: Path, bad: str) -> None:
    with pytest.raises(RecordError, match="marks something else than S1 and S2 within the 52920"):
        states_of(root, f"set_a/normal__201102081321.wav,{bad}\n")


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(fname=st.text(max_size=60), label=st.text(max_size=12))
def test_any_row_is_kept_or_named(tmp_path: Path, fname: str, label: str) -> None:
    write_sound(tmp_path / "set_a" / "normal__201102081321.wav", "a", 1)
    cells = [cell.replace('"', '""') for cell in (fname, label)]
    text = f'fname,label\n"{cells[0]}","{cells[1]}"\n'
    (tmp_path / "set_a.csv").write_text(text, "utf-8", "replace")
    with suppress(DataError):
        index = index_of(tmp_path, which="a")
        assert len(index.table) + len(index.rejected) >= 1


def test_the_simulated_corpus_is_accounted_for(corpora: Path, tmp_path: Path) -> None:
    wanted = json.loads((corpora / "pascal" / "simulation.json").read_text())
    manifest = PASCALDataModule.prepare(corpora / "pascal", tmp_path / "s", progress=False)
    assert manifest is not None
    assert manifest.counts["kept"] == wanted["counts"]["readable"]
    assert manifest.counts["rejected"] == wanted["counts"]["unreadable"]
    table = SignalStore(tmp_path / "s").table.set_index("file")
    for file, facts in wanted["records"].items():
        if file in table.index:
            said = table.loc[file, "label"]
            known = facts["label"] if facts["case"] != "unknown_label" else ""
            assert (said or "") == known if isinstance(said, str) else known == ""
            assert table.loc[file, "subject_id"] == f"{file[4]}-{facts['subject']}"
    module = PASCALDataModule(store=str(tmp_path / "s"), val_fraction=0.2, test_fraction=0.2)
    module.prepare_data()
    module.setup()
    sides = module.store.table.assign(side=module.splits).groupby("subject_id")["side"].nunique()
    assert (sides == 1).all()
