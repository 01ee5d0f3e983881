"""The layout is that of PhysioNet 2016, truth is kept, and every ugly case is counted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import soundfile
import wfdb

from data_modules.physionet2016 import PhysioNet2016DataModule
from pahcl.errors import RecordError, UsageError
from pahcl.signals.states import S1, S2
from pahcl.simulation import physionet2016
from pahcl.simulation.physionet2016 import UGLY
from pahcl.simulation.physionet2016_sets import ROUND, SETS, draw_person, letters
from pahcl.store import SignalStore, verify


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "physionet2016"
    physionet2016.write(folder, records=80, seed=3)
    return folder


def mark(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / "simulation.json").read_text()))


def test_every_set_has_its_tables_and_files(root: Path) -> None:
    for letter, source in SETS.items():
        folder = root / f"training-{letter}"
        rows = [line.split(",") for line in (folder / "REFERENCE.csv").read_text().splitlines()]
        again = [
            line.split(",") for line in (folder / "REFERENCE-SQI.csv").read_text().splitlines()
        ]
        assert [row[:2] for row in again] == rows
        assert all(len(name) == 1 + source.digits for name, _ in rows)
        assert {row[2] for row in again} <= {"0", "1"}
        names = (folder / "RECORDS").read_text().split()
        assert names == [name for name, _ in rows]
        apart = [
            (folder / f"RECORDS-{kind}").read_text().split() for kind in ("normal", "abnormal")
        ]
        assert set(apart[0]) | set(apart[1]) <= set(names)
    assert not list((root / "validation").glob("*.hea"))
    assert not (root / "validation" / "REFERENCE-SQI.csv").exists()


def test_sets_take_turns_in_their_shares() -> None:
    drawn = letters(10 * ROUND)
    assert {letter: drawn.count(letter) for letter in SETS} == {
        letter: 10 * source.turns for letter, source in SETS.items()
    }
    assert set(drawn[:ROUND]) == set(SETS)


def test_headers_are_those_that_wfdb_reads(root: Path) -> None:
    found = 0
    for name, facts in mark(root)["records"].items():
        if not (facts["ecg"] and facts["case"] == "good"):
            continue
        record = wfdb.rdrecord(str(root / name), physical=False)
        assert record.sig_name == ["PCG", "ECG"]
        sound, fs = soundfile.read(root / f"{name}.wav", dtype="int16")
        assert (record.fs, fs) == (2000, 2000)
        np.testing.assert_array_equal(record.d_signal[:, 0], sound)
        assert (record.d_signal[:, 1].sum() - record.checksum[1]) % 65536 == 0
        found += 1
    assert found > 3


def test_the_ecg_beats_when_the_heart_is_heard(root: Path) -> None:
    name, facts = next(
        (name, facts) for name, facts in mark(root)["records"].items() if facts["ecg"]
    )
    ecg = np.fromfile(root / f"{name}.dat", "<i2").astype(float)
    for first, _ in facts["first_sounds"][1:-1]:
        place = round(first * 2000)
        around = ecg[max(place - 250, 0) : place + 150]
        assert abs(int(around.argmax()) - 250 + 80) <= 6


def test_states_are_the_truth_by_hand_and_nearly_so_by_algorithm(root: Path) -> None:
    table = PhysioNet2016DataModule.index(root, 2000.0).table.to_dict("records")
    truth, checked = mark(root)["records"], 0
    for row in table:
        facts = truth[row["file"]]
        if facts["case"] != "good" or facts["noisy"]:
            continue
        hand = PhysioNet2016DataModule.states(root, row)
        algorithm = PhysioNet2016DataModule.states(root, row, kind="algorithm")
        if hand is None or algorithm is None:
            assert row["domain"] == "e"
            continue
        for found, allowed in ((hand, 0.0006), (algorithm, 0.06)):
            for state, sounds in ((S1, "first_sounds"), (S2, "second_sounds")):
                starts = found.start[found.state == state]
                true = np.array(facts[sounds])[:, 0]
                near = np.abs(starts[:, None] - true).min(axis=1)
                assert np.quantile(near, 0.95) <= allowed
        checked += 1
    assert checked > 40


def test_files_of_states_are_those_that_scipy_reads(root: Path) -> None:
    paths = sorted((root / "annotations" / "hand_corrected" / "training-b_StateAns").iterdir())
    for path in paths[:5]:
        rows = scipy.io.loadmat(path)["state_ans"]
        assert rows.shape[1] == 2
        assert int(rows[0, 0][0, 0]) == 1
        words = {str(np.ravel(row[1])[0]) for row in rows}
        assert {str(np.ravel(word)[0]) for word in words} <= {
            "S1", "systole", "S2", "diastole", "(N", "N)", "['S1']", "['systole']", "['S2']",
            "['diastole']", "['(N']", "['N)']",
        }  # fmt: skip


def test_every_record_is_packed_or_rejected_as_the_counts_say(root: Path, tmp_path: Path) -> None:
    counts = mark(root)["counts"]
    manifest = PhysioNet2016DataModule.prepare(root, tmp_path / "s", progress=False)
    assert manifest is not None
    assert manifest.counts == {
        "found": counts["table_rows"],
        "kept": counts["readable"],
        "rejected": counts["unreadable"],
    }
    assert manifest.notes == {
        "label neither 1 nor -1, or two labels": counts["unknown_label"],
        "label missing": counts["unknown_label"] + counts["no_label"],
        "quality missing": counts["validation_alone"] + counts["no_label"],
    }
    store = SignalStore(tmp_path / "s")
    assert store.table["digest"].duplicated().sum() == counts["duplicate_record"]
    assert {finding.kind for finding in verify(store)} <= {"duplicate content"}
    assert all(counts[kind] == count for kind, count in UGLY.items())
    reasons = "; ".join(item.reason for item in manifest.rejected)
    for reason in (
        "the same samples", "is missing", "before its sound does", "is empty", "has 8000 Hz",
        "the header states", "2 channels", "near silence", "less than a heart cycle",
    ):  # fmt: skip
        assert reason in reasons


def test_noise_alone_does_not_tell_who_can_be_judged() -> None:
    people = [draw_person(np.random.default_rng((4, n)), "b", 2000.0) for n in range(400)]
    noisy = np.array([one.noisy for one in people])
    loud = np.array([one.scene.background for one in people])
    share = (loud[noisy][:, None] > loud[~noisy]).mean()  # the AUROC
    assert 0.65 < share < 0.95


def test_damaged_states_are_named(root: Path) -> None:
    (name,) = [
        name for name, facts in mark(root)["records"].items() if facts["case"] == "damaged_states"
    ]
    with pytest.raises(RecordError, match="not a readable MATLAB file"):
        PhysioNet2016DataModule.states(root, {"file": name})


def test_murmurs_can_be_heard(root: Path) -> None:
    """Between the sounds there is more where a murmur is."""
    loud: dict[bool, list[float]] = {True: [], False: []}
    for name, facts in mark(root)["records"].items():
        if facts["case"] != "good" or facts["noisy"]:
            continue
        sound, fs = soundfile.read(root / f"{name}.wav")
        seconds = np.array(facts["second_sounds"])[:, 0]
        pairs = [
            (sound[int(a * fs) : int(b * fs)].std(), sound[int(b * fs) : int(c * fs)].std())
            for a, b in facts["first_sounds"][1:-1]
            for c in seconds[seconds > b][:1]
        ]
        ratio = float(np.median([between / first for first, between in pairs if first > 0]))
        loud[any("systolic murmur" in one for one in facts["findings"])].append(ratio)
    assert np.median(loud[True]) > 1.5 * np.median(loud[False])


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for name in "ab":
        physionet2016.write(tmp_path / name, records=5, seed=9, ugly=False)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        found.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert found[0] == found[1]


def test_a_corpus_without_ugly_cases_is_kept_whole(tmp_path: Path) -> None:
    counts = physionet2016.write(tmp_path, records=6, ugly=False)
    assert counts["readable"] == counts["table_rows"] == 6
    assert PhysioNet2016DataModule.index(tmp_path, 2000.0).rejected == []


def test_more_records_than_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most 9900"):
        physionet2016.write(tmp_path / "c", records=9901)
