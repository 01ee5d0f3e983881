"""The layout is that of the PASCAL challenge, truth is kept, and every ugly case is counted."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from data_modules.pascal import PASCALDataModule
from pahcl.errors import RecordError, UsageError
from pahcl.simulation import pascal
from pahcl.simulation.pascal import UGLY
from pahcl.simulation.pascal_people import RATES, draw_person, record
from pahcl.store import SignalStore


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "pascal"
    pascal.write(folder, records=90, seed=3)
    return folder


def mark(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / "simulation.json").read_text()))


def rows(root: Path, which: str) -> list[dict[str, str]]:
    with (root / f"set_{which}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_tables_name_files_as_the_publisher_does(root: Path) -> None:
    assert b"\r" not in (root / "set_a.csv").read_bytes()
    assert b"\r\n" in (root / "set_b.csv").read_bytes()
    assert set(rows(root, "a")[0]) == {"dataset", "fname", "label", "sublabel"}
    unlabelled = [row["fname"] for row in rows(root, "a") if not row["label"]]
    assert unlabelled
    assert all(name.startswith("set_a/__") for name in unlabelled)
    names = {row["fname"].split("/")[1] for row in rows(root, "b")}
    there = {path.name for path in (root / "set_b").iterdir()}
    assert len(names & there) == mark(root)["counts"]["name_as_the_file"]
    for start in ("Btraining_normal_1", "Btraining_normal_Btraining_noisynormal_1",
                  "Bunlabelledtest_1", "Btraining_extrastole_1"):  # fmt: skip
        assert any(name.startswith(start) for name in names), start


def test_sounds_have_the_rate_of_their_set_behind_a_chunk(root: Path) -> None:
    for file, facts in mark(root)["records"].items():
        if facts["case"] != "good":
            continue
        info = soundfile.info(root / file)
        assert (info.samplerate, info.channels) == (RATES[file[4]], 1)
        assert (root / file).read_bytes()[36:40] == b"LIST"
        assert info.frames / info.samplerate >= 1


def test_patients_come_again_and_some_with_two_classes(root: Path) -> None:
    found: dict[str, set[str]] = {}
    for file, facts in mark(root)["records"].items():
        if file.startswith("set_b"):
            found.setdefault(facts["subject"], set()).add(facts["label"])
            assert file.split("_")[3].isdigit() or "noisy" in file
    assert any(len(labels - {""}) > 1 for labels in found.values())
    assert mark(root)["counts"]["subjects"] < mark(root)["counts"]["records"]


def test_one_minute_of_set_a_has_two_labels_and_one_sound(root: Path) -> None:
    pair = [
        file
        for file, facts in mark(root)["records"].items()
        if facts["case"] == "two_labels_of_a_minute"
    ]
    assert len({file.split("__")[1] for file in pair}) == 1
    assert {file.split("/")[1].split("_")[0] for file in pair} == {"murmur", "extrahls"}
    first, second = (soundfile.read(root / file)[0] for file in pair)
    np.testing.assert_array_equal(first, second)
    table = PASCALDataModule.index(root, 4000.0).table.set_index("file")
    assert len(set(table.loc[pair, "subject_id"])) == 1


def test_marks_are_the_middle_of_true_sounds(root: Path) -> None:
    truth, marked = mark(root)["records"], 0
    for row in PASCALDataModule.index(root, 4000.0).table.to_dict("records"):
        facts = truth[row["file"]]
        if facts["case"] == "marks_behind_the_end":
            with pytest.raises(RecordError, match="marks something else"):
                PASCALDataModule.states(root, row)
            continue
        states = PASCALDataModule.states(root, row)
        if states is None:
            continue
        marked += 1
        assert facts["label"] == "normal"
        middles = np.array(facts["first_sounds"] + facts["second_sounds"]).mean(axis=1)
        near = np.abs(states.start[:, None] - middles).min(axis=1)
        assert near.max() < 0.001
    assert marked >= 3


def test_an_artifact_holds_no_heart_and_says_what_it_is(root: Path) -> None:
    words = {facts["truth"] for facts in mark(root)["records"].values()}
    assert words == {"normal", "murmur", "extrahls", "artifact", "extrastole"}
    for facts in mark(root)["records"].values():
        if facts["truth"] == "artifact":
            assert facts["disturbances"]["speech"]
            assert facts["first_sounds"] == facts["second_sounds"] == facts["murmurs"] == []
        if facts["truth"] == "murmur" and facts["case"] == "good":
            assert "systolic murmur" in facts["findings"][0]
            assert facts["murmurs"][0]["phase"] == "systolic"
            assert len(facts["murmurs"][0]["spans"]) >= 1


def test_the_length_says_nothing_of_the_class() -> None:
    lengths = set()
    for word in ("normal", "murmur", "extrastole"):
        heart = draw_person(np.random.default_rng(1), word)
        takes = [record(np.random.default_rng(seed), "b", heart, word, (seed,)) for seed in (3, 4)]
        lengths.add(tuple(len(take.sound.signal) for take in takes))
    assert len(lengths) == 1


def test_every_record_is_packed_or_rejected_as_the_counts_say(root: Path, tmp_path: Path) -> None:
    counts = mark(root)["counts"]
    manifest = PASCALDataModule.prepare(root, tmp_path / "s", progress=False)
    assert manifest is not None
    assert manifest.counts == {
        "found": counts["table_rows"],
        "kept": counts["readable"],
        "rejected": counts["unreadable"],
    }
    assert manifest.notes["label of no class"] == counts["unknown_label"]
    assert all(counts[kind] == count for kind, count in UGLY.items())
    store = SignalStore(tmp_path / "s")
    assert store.table["digest"].duplicated().sum() == counts["two_labels_of_a_minute"] - 1
    said = "; ".join(item.reason for item in manifest.rejected)
    for reason in (
        "is missing", "does not list", "before its sound does", "is empty", "has 8000 Hz",
        "2 channels", "near silence", "less than a heart cycle",
    ):  # fmt: skip
        assert reason in said


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for name in "ab":
        pascal.write(tmp_path / name, records=5, seed=9, ugly=False)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        found.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert found[0] == found[1]


def test_a_corpus_without_ugly_cases_is_kept_whole(tmp_path: Path) -> None:
    counts = pascal.write(tmp_path, records=6, ugly=False)
    assert counts["readable"] == counts["table_rows"] == 6
    assert PASCALDataModule.index(tmp_path, 4000.0).rejected == []


def test_more_records_than_patients_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most 3000"):
        pascal.write(tmp_path / "c", records=3001)
