"""The simulated CirCor: the publisher's layout to the letter, words that agree, a truth."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pahcl.errors import UsageError
from pahcl.signals.states import DIASTOLE, SYSTOLE, HeartStates
from pahcl.simulation.circor import UGLY, UNREADABLE, mark, write
from pahcl.simulation.circor_patients import draw_patient
from pahcl.simulation.heart_sound import Heart, Scene, simulate

HEADER = (
    "Patient ID,Recording locations:,Age,Sex,Height,Weight,Pregnancy status,Murmur,"
    "Murmur locations,Most audible location,Systolic murmur timing,Systolic murmur shape,"
    "Systolic murmur grading,Systolic murmur pitch,Systolic murmur quality,"
    "Diastolic murmur timing,Diastolic murmur shape,Diastolic murmur grading,"
    "Diastolic murmur pitch,Diastolic murmur quality,Outcome,Campaign,Additional ID"
)


@pytest.fixture(scope="module")
def root(corpora: Path) -> Path:
    return corpora / "circor"


@pytest.fixture(scope="module")
def simulated(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "simulation.json").read_text())
    return found


@pytest.fixture(scope="module")
def rows(root: Path) -> list[dict[str, str]]:
    with (root / "training_data.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write(tmp_path / name, records=5, seed=seed, ugly=False)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert digests(tmp_path / "a") != digests(tmp_path / "c")


def test_a_recording_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    for count in (3, 9):
        write(tmp_path / str(count), records=count, ugly=False)
    few, many = (
        {k: v for k, v in digests(tmp_path / str(count)).items() if k.endswith((".wav", ".tsv"))}
        for count in (3, 9)
    )
    assert few.items() <= many.items()


def test_the_files_are_those_of_the_publisher(root: Path, rows: list[dict[str, str]]) -> None:
    folder = root / "training_data"
    assert (root / "training_data.csv").read_text().splitlines()[0] == HEADER
    first = rows[0]["Patient ID"]
    name = next(folder.glob(f"{first}_*.wav")).stem
    site = name.split("_")[1]
    info = soundfile.info(folder / f"{name}.wav")
    assert (info.samplerate, info.channels, info.subtype) == (4000, 1, "PCM_16")
    assert (folder / f"{name}.hea").read_text() == (
        f"{name} 1 4000 {info.frames}\n{name}.wav 16+44 1 16 0 0 0 0 {site}\n"
    )
    text = (folder / f"{first}.txt").read_text().splitlines()
    locations = rows[0]["Recording locations:"].split("+")
    assert text[0] == f"{first} {len(locations)} 4000"
    assert text[1] == f"{site} {name}.hea {name}.wav {name}.tsv" or len(locations) > 1
    said = dict(line[1:].split(": ", 1) for line in text if line.startswith("#"))
    assert said == {k: v for k, v in rows[0].items() if k not in list(rows[0])[:2]}
    states = (folder / f"{name}.tsv").read_text().splitlines()
    assert all(re.fullmatch(r"\d+(\.\d{1,6})?\t\d+(\.\d{1,6})?\t[0-4]", line) for line in states)


def test_the_table_says_what_fits_together(rows: list[dict[str, str]]) -> None:
    assert {row["Murmur"] for row in rows} == {"Present", "Unknown", "Absent"}
    assert {row["Outcome"] for row in rows} == {"Abnormal", "Normal"}
    for row in rows:
        heard = row["Murmur locations"].split("+")
        facts = [value for key, value in row.items() if key.endswith(("timing", "grading"))]
        assert (row["Murmur"] == "Present") == (heard != ["nan"])
        assert (row["Murmur"] == "Present") == any(value != "nan" for value in facts)
        if row["Murmur"] == "Present":
            assert set(heard) <= set(row["Recording locations:"].split("+"))
            assert heard == sorted(heard)
            assert row["Most audible location"] in heard
        assert row["Pregnancy status"] == str(row["Age"] == "nan")


def test_persons_who_come_twice_name_each_other(rows: list[dict[str, str]]) -> None:
    links = {r["Patient ID"]: r["Additional ID"] for r in rows if r["Additional ID"] != "nan"}
    assert len(links) >= 2
    assert all(links[other] == patient for patient, other in links.items())
    first, second = draw_patient((7, 11), 4), draw_patient((7, 11), 5)
    assert first.other == second.name
    assert second.person == first.name
    assert second.heart == first.heart
    assert draw_patient((7, 11), 17).murmur != draw_patient((7, 11), 16).murmur


def test_sites_come_twice_and_elsewhere(root: Path) -> None:
    names = {path.stem for path in (root / "training_data").glob("*.wav")}
    twice = {name.rsplit("_", 1)[0] for name in names if name.endswith("_2")}
    assert twice
    assert all(f"{name}_1" in names and name not in names for name in twice)
    assert any("_Phc" in name for name in names)


def test_states_are_the_truth_within_some_milliseconds(
    root: Path, simulated: dict[str, Any]
) -> None:
    gaps = []
    for name, one in simulated["records"].items():
        path = root / "training_data" / f"{name}.tsv"
        if one["case"] != "good":
            continue
        table = np.loadtxt(path, ndmin=2)
        marked = table[table[:, 2] > 0]
        for number, sounds in ((1, "first_sounds"), (3, "second_sounds")):
            found, true = marked[marked[:, 2] == number, :2], np.array(one[sounds])
            gap = np.abs(found[:, None] - true[None]).max(axis=2)
            assert (gap.min(axis=1) < 0.012).all(), name
        gaps.append(table[1:, 0] - table[:-1, 1])
    slips = np.concatenate(gaps)
    assert np.abs(slips).max() <= 0.0031
    assert (slips > 0).any()
    assert (slips < 0).any()


def test_noise_alone_does_not_tell_what_is_unknown() -> None:
    people = [draw_patient((5, 11), number) for number in range(400)]
    unknown = np.array([one.murmur == "Unknown" for one in people])
    noise = np.array([one.noise for one in people])
    found = (noise[unknown][:, None] > noise[~unknown]).mean()  # the AUROC
    assert 0.8 < found < 0.99


def test_murmurs_are_kept_as_they_are(simulated: dict[str, Any]) -> None:
    """Also those of whom the table says nothing, as where nobody could tell."""
    good = [one for one in simulated["records"].values() if one["case"] == "good"]
    assert all(bool(one["murmurs"]) == one["murmur"] for one in good)
    assert all(any(m["audible"] for m in one["murmurs"]) == one["murmur_here"] for one in good)


def test_headers_end_their_lines_as_the_publisher_does(root: Path) -> None:
    data = (root / "training_data" / "2530_AV.hea").read_bytes()
    assert data.count(b"\r\n") == data.count(b"\n") == 2


def test_marks_are_a_stretch_of_the_truth() -> None:
    states = simulate(Heart(), Scene(fs=1000, duration=12), (1,)).states
    seen = {"whole": 0, "stopped": 0}
    for seed in range(40):
        kept = mark(np.random.default_rng(seed), states, 12.0)
        assert isinstance(kept, HeartStates)
        assert kept.annotated > 1.5
        assert (np.diff(kept.start) >= 0).all()
        seen["whole"] += bool(kept.end[-1] == 12)
        seen["stopped"] += bool(kept.end[-1] < 12)
    assert min(seen.values()) > 0


def test_counts_are_what_is_there(root: Path, simulated: dict[str, Any]) -> None:
    counts, cases = simulated["counts"], [r["case"] for r in simulated["records"].values()]
    assert {kind: cases.count(kind) for kind in UGLY} == {kind: counts[kind] for kind in UGLY}
    assert counts["records"] == cases.count("good") == 96
    good = [one for one in simulated["records"].values() if one["case"] == "good"]
    assert counts["patients"] == len({one["patient"] for one in good})
    assert counts["subjects"] == len({one["person"] for one in good}) < counts["patients"]
    assert counts["table_rows"] == counts["readable"] + counts["unreadable"]
    assert set(UGLY) > UNREADABLE


def test_a_second_writing_leaves_it_and_another_question_is_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "c", records=3, ugly=False)
    before = digests(tmp_path / "c")
    assert write(tmp_path / "c", records=3, ugly=False) == first
    assert digests(tmp_path / "c") == before
    with pytest.raises(UsageError, match="3 records"):
        write(tmp_path / "c", records=4, ugly=False)
    with pytest.raises(UsageError, match="at most 20000"):
        write(tmp_path / "d", records=20_001)


def test_murmurs_of_the_table_can_be_heard() -> None:
    """Systole of a loud murmur where it is loudest has more sound than that of a quiet heart."""
    loudness: dict[bool, list[float]] = {True: [], False: []}
    for number in range(90):
        patient = draw_patient((0, 11), number)
        loud = patient.row["Systolic murmur grading"] in ("II/VI", "III/VI")
        if patient.heart.murmurs and not loud:
            continue
        site = patient.heard_at[0] if loud else patient.sites[0]
        sound = simulate(patient.heart, Scene(fs=2000, site=site), (number,))
        states = sound.states.sampled(2000, len(sound.signal))
        power = [np.median(sound.signal[states == state] ** 2) for state in (SYSTOLE, DIASTOLE)]
        loudness[loud].append(power[0] / power[1])
    assert min(map(len, loudness.values())) >= 5
    assert np.median(loudness[True]) > 5 * np.median(loudness[False])
