"""CirCor: every file accounted for, one side for a person, states as published, malformed named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_modules._circor_files import announced, read_states
from data_modules._circor_table import same_person
from data_modules.circor import CirCorDataModule
from pahcl.errors import DataError, RecordError, UsageError
from pahcl.store import Index, SignalStore

SAMPLES = 4000
COLUMNS = (
    "Patient ID", "Recording locations:", "Age", "Sex", "Height", "Weight", "Pregnancy status",
    "Murmur", "Murmur locations", "Most audible location", "Systolic murmur timing",
    "Systolic murmur grading", "Diastolic murmur timing", "Outcome", "Campaign", "Additional ID",
)  # fmt: skip
PATIENTS = {
    "2530": "AV+MV,Child,Female,98.0,15.9,False,Absent,nan,nan,nan,nan,nan,Abnormal,CC2015,nan",
    "9979": "MV+MV,Infant,Male,nan,7.1,False,Present,MV,MV,Holosystolic,III/VI,nan,Abnormal,"
    "CC2014,50379",
    "50379": "TV,Child,Male,90.0,nan,False,Absent,nan,nan,nan,nan,nan,Normal,CC2015,9979",
    "60000": "AV+Phc,nan,Female,160.0,60.0,True,Unknown,nan,nan,nan,nan,nan,Normal,CC2015,nan",
}
NAMES = ["2530_AV", "2530_MV", "50379_TV", "60000_AV", "60000_Phc", "9979_MV_1", "9979_MV_2"]


def counts(name: str) -> np.ndarray:
    rng = np.random.default_rng(sum(map(ord, name)))
    return rng.integers(-9000, 9000, SAMPLES).astype(np.int16)


def write_recording(root: Path, name: str) -> Path:
    folder = root / "training_data"
    folder.mkdir(parents=True, exist_ok=True)
    site = name.split("_")[1]
    soundfile.write(folder / f"{name}.wav", counts(name), 4000, subtype="PCM_16")
    text = f"{name} 1 4000 {SAMPLES}\n{name}.wav 16+44 1 16 0 0 0 0 {site}\n"
    (folder / f"{name}.hea").write_text(text)
    (folder / f"{name}.tsv").write_text("0\t0.2\t0\n0.2\t0.3\t1\n0.3028\t0.5\t2\n0.499\t0.6\t3\n")
    return folder / name


def write_table(root: Path, rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> None:
    root.mkdir(parents=True, exist_ok=True)
    lines = [",".join(columns), *(f"{name},{row}" for name, row in rows.items())]
    (root / "training_data.csv").write_text("\n".join([*lines, ""]))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    write_table(place, PATIENTS)
    for name in NAMES:
        write_recording(place, name)
    return place


def index(root: Path) -> Index:
    return CirCorDataModule.index(root, 4000.0)


def reasons(root: Path) -> dict[str, str]:
    return {item.record_id: item.reason for item in index(root).rejected}


def test_recordings_have_what_the_table_says_of_the_patient(root: Path) -> None:
    found = index(root)
    assert found.rejected == []
    table = found.table.set_index("record_id")
    assert list(table.index) == NAMES
    loud = table.loc["9979_MV_2"]
    assert loud["murmur"] == "Present"
    assert loud["outcome"] == "Abnormal"
    assert (loud["age_group"], loud["sex"], loud["campaign"]) == ("Infant", "male", "CC2014")
    assert (loud["systolic_timing"], loud["systolic_grading"]) == ("Holosystolic", "III/VI")
    assert loud["murmur_locations"] == loud["most_audible"] == loud["location"] == "MV"
    assert loud["weight"] == pytest.approx(7.1)
    assert np.isnan(loud["height"])
    assert table["pregnant"].tolist() == [0, 0, 0, 1, 1, 0, 0]
    assert pd.isna(table.loc["2530_AV", "murmur_locations"])
    assert pd.isna(table.loc["60000_AV", "age_group"])
    assert found.notes == {
        "persons with two numbers": 1,
        "persons whose two examinations differ in murmur or outcome": 1,
        "patients without age group": 1,
        "patients without height": 1,
        "patients without weight": 1,
    }


def test_a_person_with_two_numbers_is_one_subject(root: Path) -> None:
    table = index(root).table.set_index("record_id")
    assert table.loc["50379_TV", "subject_id"] == table.loc["9979_MV_1", "subject_id"] == "9979"
    assert table.loc["50379_TV", "patient_id"] == "50379"
    assert table["subject_id"].nunique() == 3


def test_links_join_whole_chains() -> None:
    links = {"5": "7", "7": "5", "9": None, "12": "9", "30": "12", "40": "99", "50": "50"}
    assert same_person(links) == {
        "5": "5", "7": "5", "9": "9", "12": "9", "30": "9", "40": "40", "50": "50",
    }  # fmt: skip


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=20))
def test_linked_numbers_have_one_person_whatever_the_order(pairs: list[tuple[int, int]]) -> None:
    links = {str(a): str(b) for a, b in pairs}
    persons = same_person({**dict.fromkeys(map(str, range(16))), **links})
    assert all(persons[a] == persons[b] for a, b in links.items())
    backwards = same_person({**dict.fromkeys(map(str, range(16))), **dict(reversed(links.items()))})
    assert persons == backwards
    assert all(int(person) <= int(name) for name, person in persons.items())


def test_a_site_that_is_named_twice_has_two_recordings() -> None:
    locations = {"1": "AV+TV+TV+MV", "2": "Phc", "3": None, "4": ""}
    assert announced(locations) == {"1_AV", "1_TV_1", "1_TV_2", "1_MV", "2_Phc"}


def test_a_store_holds_the_samples_exactly(root: Path, tmp_path: Path) -> None:
    CirCorDataModule.prepare(root, tmp_path / "s", progress=False)
    store = SignalStore(tmp_path / "s")
    assert store.spec.modality == "pcg"
    assert store.spec.unit == "full scale"
    assert store.spec.leads == ("PCG",)
    for row, name in enumerate(store.table["record_id"]):
        expected = (counts(name) / 32768).astype(np.float32)
        np.testing.assert_array_equal(store.read(row).signal[0], expected)


def test_tasks_ask_for_the_patient_or_for_what_is_heard_here(root: Path, tmp_path: Path) -> None:
    write_table(root, {**PATIENTS, "2530": PATIENTS["2530"].replace("Absent,nan", "Present,MV")})
    CirCorDataModule.prepare(root, tmp_path / "s", progress=False)
    table = SignalStore(tmp_path / "s").table
    tasks = CirCorDataModule.tasks
    assert tasks["murmur"].targets(table).tolist() == [0, 0, 2, 1, 1, 0, 0]
    assert tasks["outcome"].targets(table).tolist() == [0, 0, 1, 1, 1, 0, 0]
    np.testing.assert_array_equal(
        tasks["murmur_here"].targets(table)[:, 0], [0, 1, 0, np.nan, np.nan, 1, 1]
    )
    assert [tasks[name].scorer for name in tasks] == ["cinc2022_murmur", "cinc2022_outcome", None]
    assert [tasks[name].level for name in tasks] == ["subject", "subject", "record"]


def test_states_are_kept_with_their_gaps_and_overlaps(root: Path) -> None:
    row = index(root).table.iloc[0].to_dict()
    states = CirCorDataModule.states(root, row)
    assert states is not None
    assert states.state.tolist() == [0, 1, 2, 3]
    assert states.start.tolist() == [0, 0.2, 0.3028, 0.499]
    assert states.end.tolist() == [0.2, 0.3, 0.5, 0.6]
    assert row["annotated"] == pytest.approx(0.3982)
    (root / "training_data/2530_AV.tsv").unlink()
    assert CirCorDataModule.states(root, row) is None
    assert index(root).notes["recordings without states"] == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("0 0.5\n", "a begin, an end and a state in every line"),
        ("0 0.5 1\n0.5 0.6\n", "a begin, an end and a state in every line"),
        ("0\tx\t1\n", "a begin, an end and a state in every line"),
        ("0 0.5 7\n", "interval 1 of the states has the state 7"),
        ("0 0.5 1.5\n", "has the state -1"),
        ("0 0.5 257\n", "has the state 9"),
        ("0.6 0.5 1\n", "ends at 0.5 s, before it begins"),
        ("nan 0.5 1\n", "begins at nan s"),
        ("<html>\n", "a begin, an end and a state in every line"),
    ],
)
def test_states_that_cannot_be_are_refused_and_the_sound_stays(
    root: Path, text: str, said: str
) -> None:
    path = root / "training_data/2530_AV.tsv"
    path.write_text(text)
    with pytest.raises(RecordError, match=said):
        read_states(path)
    found = index(root)
    assert found.rejected == []
    assert found.notes["recordings whose states cannot be read"] == 1
    assert np.isnan(found.table["annotated"][0])


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def sound(path: Path, samples: np.ndarray, rate: int = 4000) -> None:
    soundfile.write(path, samples, rate, subtype="PCM_16")


DAMAGE: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "no sound": (lambda w, h: w.unlink(), "the .wav file is missing"),
    "empty": (lambda w, h: cut(w, 0), "is empty"),
    "cut off": (lambda w, h: cut(w, 5000), "ends 3044 bytes before its sound does"),
    "a web page": (lambda w, h: w.write_text("<html>Not found</html>"), "not a readable sound"),
    "other rate": (lambda w, h: sound(w, counts("x"), 8000), "the sound has 8000 Hz"),
    "stereo": (lambda w, h: sound(w, np.stack([counts("x")] * 2, axis=1)), "has 2 channels"),
    "silent": (lambda w, h: sound(w, np.zeros(SAMPLES, np.int16)), "near silence"),
    "short": (lambda w, h: sound(w, counts("x")[:100]), "less than a heart cycle"),
    "shorter than said": (
        lambda w, h: sound(w, counts("x")[:3000]),
        "the header states samples 4000, but the sound has 3000",
    ),
    "header of another rate": (
        lambda w, h: edit(h, " 1 4000 ", " 1 2000 "),
        "the header states rate 2000, but the sound has 4000",
    ),
    "header of another record": (
        lambda w, h: edit(h, "2530_MV 1", "2530_AV 1"),
        "the header states record 2530_AV",
    ),
    "header of another site": (lambda w, h: edit(h, "0 MV", "0 AV"), "at the site AV, not"),
    "empty header": (lambda w, h: cut(h, 0), "is empty"),
    "header of two signals": (
        lambda w, h: h.write_text(h.read_text() + "2530_MV.wav 16 1 16 0 0 0 0 MV\n"),
        "does not describe one signal",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_malformed_recordings_are_named(root: Path, tmp_path: Path, case: str) -> None:
    damage, reason = DAMAGE[case]
    path = root / "training_data" / "2530_MV"
    damage(path.with_suffix(".wav"), path.with_suffix(".hea"))
    manifest = CirCorDataModule.prepare(root, tmp_path / "s", progress=False)
    assert manifest is not None
    assert manifest.counts == {"found": 7, "kept": 6, "rejected": 1}
    assert manifest.rejected[0].record_id == "2530_MV"
    assert reason in manifest.rejected[0].reason


def test_files_that_nobody_announces_are_named_or_counted(root: Path) -> None:
    for name in ("50379_MV", "77777_AV", "2530_XY", "._2530_AV"):
        write_recording(root, name)
    (root / "training_data/88888.txt").write_text("88888 1 4000\n")
    (root / "training_data/2530.txt").write_text("2530 2 4000\n")
    (root / "training_data/2530_TV.tsv").write_text("0\t1\t0\n")
    (root / "training_data/2530_MV.hea").unlink()
    found = index(root)
    assert reasons(root) == {
        "._2530_AV": "it is not named like a recording of CirCor (2530_AV, 50216_Phc_1)",
        "2530_TV": "the .wav file is missing",
        "2530_XY": "it is not named like a recording of CirCor (2530_AV, 50216_Phc_1)",
        "77777_AV": "training_data.csv does not list this patient",
        "88888": "training_data.csv does not list this patient",
    }
    assert found.notes["recordings that training_data.csv does not announce"] == 1
    assert found.notes["recordings without a header"] == 1
    assert "50379_MV" in set(found.table["record_id"])


def test_patients_without_sound_are_counted_and_their_recordings_named(root: Path) -> None:
    write_table(root, {**PATIENTS, "70000": PATIENTS["50379"].replace("9979", "nan")})
    found = index(root)
    assert reasons(root) == {"70000_TV": "the .wav file is missing"}
    note = "patients of training_data.csv without a recording that can be used"
    assert found.notes[note] == 1


def test_odd_rows_of_the_table(root: Path) -> None:
    path = root / "training_data.csv"
    rows = path.read_text().splitlines()
    other = rows[1].replace("Absent", "Unknown")
    path.write_text("\n".join([*rows, rows[4], other, rows[3].replace("50379", "x", 1), ""]))
    found = index(root)
    assert reasons(root) == {
        "2530_AV": "training_data.csv has several rows of this patient that differ",
        "2530_MV": "training_data.csv has several rows of this patient that differ",
        "(row 6)": "the patient's number is missing or no whole number",
    }
    assert found.notes["rows of the table that stand there twice"] == 1


def test_words_that_nobody_knows_are_counted_and_not_labelled(root: Path) -> None:
    edit(root / "training_data.csv", "Unknown,nan", "Perhaps,nan")
    edit(root / "training_data.csv", "Child,Female", "child,FEMALE")
    found = index(root)
    assert found.notes["Murmur is none of Present, Unknown, Absent"] == 1
    assert found.notes["patients without murmur"] == 1
    table = found.table.set_index("record_id")
    assert table.loc["2530_AV", ["age_group", "sex"]].tolist() == ["Child", "female"]
    assert CirCorDataModule.tasks["murmur"].targets(found.table)[3] == -1


def test_earlier_versions_of_the_table_are_read(root: Path) -> None:
    before = index(root).table
    write_table(root, PATIENTS, ("Patient ID", "Locations", *COLUMNS[2:]))
    pd.testing.assert_frame_equal(index(root).table, before)


def test_another_table_or_folder_says_what_is_missing(root: Path, tmp_path: Path) -> None:
    write_table(root, PATIENTS, ("Patient ID", "Places", *COLUMNS[2:]))
    with pytest.raises(DataError, match="lacks the column Recording locations"):
        index(root)
    write_table(tmp_path / "empty", PATIENTS)
    with pytest.raises(DataError, match=r"no training_data/2530_AV\.wav or others"):
        index(tmp_path / "empty")
    with pytest.raises(DataError, match=r"training_data\.csv is missing"):
        index(tmp_path)


def test_recordings_of_some_places_alone(corpora: Path, tmp_path: Path) -> None:
    CirCorDataModule.prepare(corpora / "circor", tmp_path / "s", progress=False)
    module = CirCorDataModule(store=str(tmp_path / "s"), locations=["AV", "MV"])
    module.setup()
    used = np.concatenate(list(module.rows.values()))
    assert set(module.store.table["location"].iloc[used]) == {"AV", "MV"}
    assert module.data_receipt()["options"]["locations"] == ["AV", "MV"]
    for wrong in ([], ["XY"]):
        with pytest.raises(UsageError, match=r"locations holds some of AV, PV, TV, MV, Phc"):
            CirCorDataModule(locations=wrong)


def test_the_split_is_by_person_and_balanced(corpora: Path) -> None:
    table = index(corpora / "circor").table
    module = CirCorDataModule(val_fraction=0.25, test_fraction=0.25)
    sides = module.split(table)
    assert sides.groupby(table["subject_id"]).nunique().max() == 1
    people = table.assign(side=sides).drop_duplicates("subject_id")
    share = people.groupby("side")["murmur"].value_counts(normalize=True).unstack()
    assert share["Present"].between(0.1, 0.5).all()
    assert sides.equals(
        CirCorDataModule(task="outcome", val_fraction=0.25, test_fraction=0.25).split(table)
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(max_size=80))
def test_any_text_as_states_or_header_is_answered(tmp_path: Path, text: str) -> None:
    root = tmp_path / "root"
    path = root / "training_data" / "2530_AV"
    if not path.with_suffix(".wav").exists():
        write_table(root, {"2530": PATIENTS["2530"]})
        write_recording(root, "2530_AV")
    path.with_suffix(".tsv").write_bytes(text.encode())
    path.with_suffix(".hea").write_bytes(text.encode())
    found = index(root)
    assert len(found.table) == 1
    with pytest.raises(RecordError):
        CirCorDataModule.read(root, found.table.iloc[0].to_dict())


def test_the_simulated_corpus_is_accounted_for(corpora: Path, tmp_path: Path) -> None:
    manifest = CirCorDataModule.prepare(corpora / "circor", tmp_path / "s", progress=False)
    assert manifest is not None
    simulated: dict[str, Any] = json.loads((corpora / "circor/simulation.json").read_text())
    wanted = simulated["counts"]
    assert manifest.counts["kept"] == wanted["readable"]
    assert manifest.counts["rejected"] == wanted["unreadable"]
    table = SignalStore(tmp_path / "s").table.set_index("record_id")
    for name in table.index:
        true = simulated["records"][name]
        assert table.loc[name, "subject_id"] == true["person"]
        assert table.loc[name, "patient_id"] == true["patient"]
        if table.loc[name, "murmur"] != "Unknown":
            assert (table.loc[name, "murmur"] == "Present") == true["murmur"]
            assert table.loc[name, "murmur_here"] == true["murmur_here"] or true["murmur"]
