"""`pahcl segment --score` holds segmenters against annotations, side by side."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pahcl.cli import main
from pahcl.commands import _segment_one, _segment_score
from pahcl.commands._segment_cases import learnt_from
from pahcl.commands._segment_scored import Question
from pahcl.signals.heart_cycles import Segmentation, whole_cycles
from pahcl.signals.heart_cycles.segmenter import Segmenter
from pahcl.signals.heart_cycles.state_weights import weights_path
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, HeartStates
from pahcl.simulation import circor, heart_sounds, physionet2016


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("simulated") / "sounds"
    heart_sounds.write(root, records=8, seed=2)
    return root


def facts(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text()))


def segment(*words: str | Path) -> int:
    return main(["segment", *map(str, words), "--workers", "1", "--samples", "50"])


def test_segmenters_stand_side_by_side_by_rate_and_murmur(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [sounds, "--score", "--segmenter", "upstream", "rhythm", "--out", tmp_path / "out"]
    assert segment(*words, "--json", tmp_path / "facts.json") == 0
    shown = capsys.readouterr().out
    assert "16 scored" in shown
    assert all(text in shown for text in ("F1 ±60 ms", "Recordings without a heart", "whole beats"))
    found = facts(tmp_path / "facts.json")
    assert found["simulated"] is True
    assert list(found["scores"]) == ["all", "heart rate", "murmur"]
    everything = found["scores"]["all"]["all"]
    assert list(everything) == ["upstream", "rhythm"]
    f1 = {name: one["metrics"]["f1_60"] for name, one in everything.items()}
    assert f1["rhythm"]["low"] <= f1["rhythm"]["value"] <= f1["rhythm"]["high"]
    assert f1["rhythm"]["value"] > f1["upstream"]["value"]
    assert everything["rhythm"]["counts"]["recordings"] == 8
    assert everything["rhythm"]["counts"]["quiet"] == 8
    with (tmp_path / "out" / "scores.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 32
    assert {row["segmenter"] for row in rows} == {"upstream", "rhythm"}
    murmurs = {row["murmur"].split(",")[0] for row in rows}
    assert murmurs == {"none", "systolic", "diastolic", ""}
    assert any(row["murmur"].endswith(("grade 1 to 3", "grade 4 and more")) for row in rows)
    page = (tmp_path / "out" / "scores.md").read_text()
    assert "| segmenter | recordings | no beat found" in page
    assert segment(*words, "--json", tmp_path / "again.json") == 0
    assert facts(tmp_path / "again.json") == found


class Metronome(Segmenter):
    """Beat 75 times a minute, whatever is heard."""

    name = "rhythm"

    def in_pieces(
        self, read: Any, length: int, fs: float, read_ecg: Any = None, step: Any = None
    ) -> Segmentation:
        edges = np.cumsum(np.tile((0.1, 0.2, 0.1, 0.4), int(length / fs / 0.8)))
        state = np.resize([SYSTOLE, S2, DIASTOLE, S1], len(edges) - 1)
        states = HeartStates(edges[:-1], edges[1:], state)
        return Segmentation(states, whole_cycles(states), length / fs, self.name)

    def find(self, signal: Any, fs: float, ecg: Any) -> Segmentation:
        raise NotImplementedError


@pytest.fixture
def metronome(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a segmenter that beats 75 times a minute in the place of each."""
    monkeypatch.setattr(_segment_one, "segmenter_named", lambda name: Metronome())


@pytest.mark.usefixtures("metronome")
def test_a_data_set_is_scored_by_its_sets_and_without_what_was_learnt_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "physionet2016"
    physionet2016.write(root, records=12, seed=1, ugly=False)
    words = [root, "--score", "--dataset", "physionet2016", "--segmenter", "rhythm"]
    everything = tmp_path / "all.json"
    segment(*words, "--score-learnt", "--json", everything)
    whole = facts(everything)
    assert set(whole["scores"]) == {"all", "set"}
    assert all(name.startswith("physionet2016 ") for name in whole["scores"]["set"])
    names = sorted(path.stem for path in root.glob("training-*/*.wav"))
    seen = {"physionet2016": frozenset(names[:5])}
    monkeypatch.setattr(_segment_score, "learnt_from", lambda card: seen)
    monkeypatch.setattr(_segment_score, "CARD", "__init__.py")
    monkeypatch.setattr(_segment_score.json, "loads", lambda text: {})
    segment(*words, "--out", tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").read_text().splitlines()))
    assert rows
    assert not {row["recording"] for row in rows} & set(names[:5])
    assert "5 learnt from" in capsys.readouterr().out


@pytest.mark.usefixtures("metronome")
def test_weights_of_ones_own_say_what_they_have_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, weights = tmp_path / "circor", tmp_path / "own.safetensors"
    circor.write(root, records=4, seed=1, ugly=False)
    weights.touch()
    words = [root, "--score", "--dataset", "circor", "--segmenter", "rhythm", "--weights", weights]
    assert segment(*words) == 2
    assert "There is no" in " ".join(capsys.readouterr().err.split())
    names = sorted(path.stem for path in root.glob("training_data/*.wav"))
    card = {"recordings": {"circor": {"train": names[:1], "validate": names[1:2]}}}
    for damaged in ("", "[]", '{"recordings": [1]}', '{"recordings": {"circor": []}}'):
        weights.with_suffix(".json").write_text(damaged)
        assert segment(*words) == 2
        assert "own.json does not say what" in capsys.readouterr().err
    weights.with_suffix(".json").write_text(json.dumps(card))
    assert segment(*words) == 0
    assert "2 learnt from" in capsys.readouterr().out


@pytest.mark.usefixtures("metronome")
def test_a_damaged_annotation_is_named_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "circor"
    circor.write(root, records=4, seed=1)
    assert segment(root, "--score", "--dataset", "circor", "--json", tmp_path / "a.json") == 1
    found = facts(tmp_path / "a.json")
    assert found["recordings"]["unreadable"] == len(found["unreadable"]) > 0
    name, reason = next(iter(found["unreadable"].items()))
    shown = " ".join(capsys.readouterr().out.split())
    assert name in shown
    assert reason[:30] in shown


@pytest.mark.usefixtures("metronome")
def test_annotations_of_ones_own_are_scored_as_they_are(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "mine.wav", np.random.default_rng(0).normal(0, 0.1, 40000), 4000)
    edges = np.round(np.cumsum([0.5, *([0.1, 0.2, 0.1, 0.4] * 5)]), 6)
    rows = zip(edges, edges[1:], np.resize([1, 2, 3, 4], 20), strict=False)
    text = "".join(f"{begin}\t{end}\t{state}\n" for begin, end, state in rows)
    (tmp_path / "mine.tsv").write_text(text)
    assert segment(tmp_path / "mine.wav", "--score", "--json", tmp_path / "facts.json") == 0
    found = facts(tmp_path / "facts.json")
    assert list(found["scores"]) == ["all"]
    assert list(found["scores"]["all"]["all"]) == ["upstream", "rhythm", "learned"]
    assert found["scores"]["all"]["all"]["rhythm"]["metrics"]["rate_error"]["value"] < 1e-6
    assert found["simulated"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--score", "--segmenter", "nobody"], "There is no segmenter `nobody`"),
        (["--score", "--dataset", "ptbxl"], "`--dataset` takes circor, pascal, physionet2016"),
        (["--score", "--dataset", "circr"], "did you mean `circor`"),
        (["--score", "--tolerance", "0"], "`--tolerance` takes milliseconds above 0"),
        (["--score", "--weights", "none.safetensors"], "there is no file none.safetensors"),
        (["--score", "--pictures"], "`--pictures` is of no use to a score"),
        (["--score", "--seed", "-1"], "must not be negative"),
        (["--dataset", "circor", "--out", "out"], "give `--score` too"),
    ],
)
def test_what_makes_no_sense_is_refused(
    sounds: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(sounds, *words) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_sounds_without_annotations_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "mine.wav", np.zeros(8000), 4000)
    assert segment(tmp_path, "--score") == 2
    assert "has states beside it" in " ".join(capsys.readouterr().err.split())
    assert segment(tmp_path / "none", "--score", "--dataset", "circor") == 2
    assert "There is no folder" in " ".join(capsys.readouterr().err.split())


def test_weights_say_what_they_have_seen() -> None:
    card = {
        "recordings": {"physionet2016": {"train": ["a0001"], "validate": ["b0002"], "test": ["c3"]}}
    }
    assert learnt_from(card) == {"physionet2016": {"a0001", "b0002"}}
    assert learnt_from({}) == {}
    assert Question(Path()).segmenters == ("upstream", "rhythm", "learned")


def test_weights_of_ones_own_segment_as_those_of_the_package(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.safetensors"
    own.write_bytes(weights_path(None).read_bytes())
    words = ["segment", str(sounds / "heart_00000.wav"), "--workers", "1"]
    assert main([*words, "--out", str(tmp_path / "a"), "--weights", str(own)]) == 0
    assert main([*words, "--out", str(tmp_path / "b")]) == 0
    tables = [(tmp_path / name / "cycles.csv").read_text() for name in "ab"]
    assert tables[0] == tables[1]
    capsys.readouterr()
    rhythm = [*words, "--out", str(tmp_path / "c"), "--segmenter", "rhythm"]
    assert main([*rhythm, "--weights", str(own)]) == 2
    assert "rhythm has none" in capsys.readouterr().err
