"""A corpus of known states: rates spread evenly, murmurs at every rate, some without a heart."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from data_modules._circor_files import read_states
from pahcl.cli import main
from pahcl.errors import UsageError
from pahcl.evaluation.heart_cycles import read_reference
from pahcl.signals.states import S1
from pahcl.simulation import heart_sounds


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "sounds"
    heart_sounds.write(folder, records=36, seed=3)
    return folder


def mark(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / "simulation.json").read_text()))


def hearts(root: Path) -> dict[str, dict[str, Any]]:
    return {k: v for k, v in mark(root)["records"].items() if v["case"] == "heart"}


def test_every_sound_has_states_of_its_own_length(root: Path) -> None:
    sounds = sorted(path.name for path in root.glob("*.wav"))
    assert sounds == sorted(mark(root)["records"])
    for name in sounds:
        info = soundfile.info(root / name)
        states = read_states((root / name).with_suffix(".tsv"))
        assert states is not None
        assert states.start[0] == 0
        # The last state of a heart may end with the last beat that was drawn, behind the sound.
        assert states.end[-1] == pytest.approx(info.frames / info.samplerate, abs=1e-3)
        assert info.samplerate == mark(root)["records"][name]["fs"]


def test_states_are_the_truth_that_is_kept(root: Path) -> None:
    for name, facts in hearts(root).items():
        states = read_states((root / name).with_suffix(".tsv"))
        assert states is not None
        first = states.start[states.state == S1]
        assert first == pytest.approx([begin for begin, _ in facts["first_sounds"]], abs=1e-4)
        if not facts["extrasystoles"]:
            rate = read_reference(states).heart_rate
            assert rate == pytest.approx(facts["rate"], rel=0.2)


def test_rates_are_spread_evenly_and_murmurs_over_them(root: Path) -> None:
    found = hearts(root).values()
    rates = np.sort([facts["rate"] for facts in found])
    assert rates == pytest.approx(40 + 140 * (np.arange(36) + 0.5) / 36, abs=0.01)
    kinds = [facts["murmur"] for facts in found]
    assert [kinds.count(kind) for kind in heart_sounds.MURMURS] == [18, 12, 6]
    assert {facts["grade"] for facts in found if facts["murmur"] != "none"} == {1, 2, 3, 4, 5}
    for slow in (True, False):
        half = {facts["murmur"] != "none" for facts in found if (facts["rate"] < 110) == slow}
        assert half == {True, False}
    assert {facts["fs"] for facts in mark(root)["records"].values()} == set(heart_sounds.RATES)
    assert {facts["extrasystoles"] for facts in found} == {True, False}


def test_recordings_without_a_heart_have_no_states_and_no_beats(root: Path) -> None:
    quiet = {k: v for k, v in mark(root)["records"].items() if v["case"] != "heart"}
    assert {facts["case"] for facts in quiet.values()} == set(heart_sounds.UGLY)
    for name, facts in quiet.items():
        states = read_states((root / name).with_suffix(".tsv"))
        assert states is not None
        assert states.annotated == 0
        assert facts["first_sounds"] == facts["second_sounds"] == []
        sound, _ = soundfile.read(root / name)
        assert (np.abs(sound).max() == 0) == (facts["case"] == "zeros")
    counts = mark(root)["counts"]
    assert counts["table_rows"] - counts["records"] == len(quiet)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(
    root: Path, tmp_path: Path
) -> None:
    heart_sounds.write(tmp_path / "again", records=4, seed=5, ugly=False)
    heart_sounds.write(tmp_path / "once more", records=4, seed=5, ugly=False)
    heart_sounds.write(tmp_path / "other", records=4, seed=6, ugly=False)

    def tree(folder: Path) -> list[str]:
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())]

    assert tree(tmp_path / "again") == tree(tmp_path / "once more")
    assert tree(tmp_path / "again") != tree(tmp_path / "other")
    with pytest.raises(UsageError, match="36 records, seed 3, not of 36 records, seed 4"):
        heart_sounds.write(root, records=36, seed=4)


def test_the_verb_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["simulate", "heart_sounds", "--out", str(tmp_path / "out"), "--records", "2"]
    assert main([*words, "--json", str(tmp_path / "facts.json")]) == 0
    assert "2 records of 2 subjects, and 8 rows" in " ".join(capsys.readouterr().out.split())
    assert len(list((tmp_path / "out").glob("*.wav"))) == 10
    assert json.loads((tmp_path / "facts.json").read_text())["counts"]["room"] == 2
