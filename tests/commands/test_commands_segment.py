"""The verb `segment` through the door."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import soundfile
from matplotlib.image import imread

from data_modules._circor_files import read_states
from pahcl import cli
from pahcl.commands import _segment_one
from pahcl.commands._segment_files import find_recordings, targets
from pahcl.commands._segment_journal import NAME
from pahcl.signals.heart_cycles import Segmentation, Segmenter, whole_cycles
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, HeartStates
from pahcl.simulation.heart_sound import Heart, Rhythm, Scene, simulate

FS = 2000
BEAT = 0.8
PHASES = (0.0, 0.12, 0.32, 0.42)
Sound = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Metronome(Segmenter):
    """Finds a beat every 0.8 s wherever anything is heard; each fourth one is not sure."""

    name: ClassVar[str] = "rhythm"
    heard: ClassVar[list[tuple[int, float, bool]]] = []

    def find(
        self, signal: npt.NDArray[np.floating], fs: float, ecg: npt.NDArray[np.floating] | None
    ) -> Segmentation:
        self.heard.append((len(signal), fs, ecg is not None))
        duration = len(signal) / fs
        beats = np.arange(0.1, duration - BEAT, BEAT)
        start = (beats[:, None] + np.array(PHASES)).ravel()
        end = np.append(start, beats[-1] + BEAT if len(beats) else 0.0)[1:]
        state = np.tile([S1, SYSTOLE, S2, DIASTOLE], len(beats))
        if len(beats):  # the sound that ends the last cycle
            start, end = np.append(start, end[-1]), np.append(end, min(end[-1] + 0.1, duration))
            state = np.append(state, S1)
        states = HeartStates(start, end, state.astype(np.int8))
        sure = np.where(np.arange(len(states)) // 4 % 4 == 3, 0.1, 0.9)
        return Segmentation(states, whole_cycles(states, sure), duration, self.name)


@pytest.fixture(autouse=True)
def metronome(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a segmenter of known answers stand in for all of them."""
    monkeypatch.setattr(_segment_one, "segmenter_named", lambda name: Metronome())
    Metronome.heard.clear()
    yield
    Metronome.heard.clear()


def heart(seconds: float = 6.0, seed: int = 0, rate: float = 75.0, fs: float = FS) -> Sound:
    """Simulate a heart at rest."""
    scene = Scene(fs=fs, duration=seconds)
    return simulate(Heart(rhythm=Rhythm(rate=rate)), scene, (5, seed)).signal


@pytest.fixture(scope="module")
def sound() -> Sound:
    return heart()


@pytest.fixture
def folder(sound: Sound, tmp_path: Path) -> Path:
    """Give a folder with recordings good and bad, and with files that are none."""
    place = tmp_path / "sounds"
    (place / "été 2026").mkdir(parents=True)
    stereo = np.repeat(np.stack([sound, 0.5 * sound], axis=1), 22, axis=0)
    coarse = 2 * sound + np.random.default_rng(0).normal(0, 0.02, len(sound))
    soundfile.write(place / "a.wav", sound, FS, subtype="PCM_16")
    soundfile.write(place / "a.flac", sound, FS)
    soundfile.write(place / "eight bits.WAV", coarse, FS, subtype="PCM_U8", format="WAV")
    soundfile.write(place / "été 2026" / "心音.wav", stereo, 44_100, subtype="PCM_24")
    soundfile.write(place / "short.wav", sound[: int(0.3 * FS)], FS)
    soundfile.write(place / "silent.wav", np.zeros(4 * FS), FS, subtype="PCM_16")
    (place / "text.wav").write_text("This is no sound.\n")
    (place / "empty.wav").touch()
    whole = (place / "a.wav").read_bytes()
    (place / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (place / "notes.txt").write_text("by hand\n")
    (place / "._a.wav").write_bytes(b"\x00\x05\x16\x07")
    return place


def segmented(folder: Path, out: Path, *words: str, status: int = 0) -> dict[str, Any]:
    """Run the verb in this process; give the facts that it writes for a program."""
    with tempfile.TemporaryDirectory() as place:
        facts = Path(place, "facts.json")
        one = ["segment", str(folder), "--out", str(out), "--workers", "1", "--json", str(facts)]
        assert cli.main([*one, *words]) == status
        found: dict[str, Any] = json.loads(facts.read_text(encoding="utf-8"))
        return found


def refusal(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """Give the sentence in which a question that was asked wrongly ends."""
    assert cli.main(["segment", *map(str, words)]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def summary(out: Path) -> Any:
    """Read the table of recordings; its cells are of many types."""
    return pd.read_csv(out / "summary.csv", index_col="file")


def test_a_folder_of_whatever_there_is(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    facts = segmented(folder, out, status=1)
    said = capsys.readouterr().out
    table = summary(out)
    assert facts["counts"] == {
        "found": 9, "segmented": 4, "refused": 2, "unreadable": 3, "not_looked_at": 0,
        "other_files": 2, "done_before": 0,
    }  # fmt: skip
    assert set(facts["other_files"]) == {"notes.txt", "._a.wav"}
    good = ["a.flac", "a.wav", "eight bits.WAV", "été 2026/心音.wav"]
    assert table.index[table["status"] == "segmented"].tolist() == good
    assert table.loc["été 2026/心音.wav", ["fs", "channels"]].tolist() == [44_100, 2]
    for name, reason in (
        ("short.wav", "0.3 s"), ("silent.wav", "constant"), ("text.wav", "not a readable sound"),
        ("empty.wav", "empty"), ("cut.wav", "ends"),
    ):  # fmt: skip
        assert reason in table.loc[name, "refusal"]
        assert f"refused {name}: {table.loc[name, 'refusal']}" in said
    assert table["cycles"].notna().sum() == 6
    assert table.loc["silent.wav", "cycles"] == 0
    assert np.isnan(table.loc["silent.wav", "heart_rate"])
    # Two recordings of one name have a file each, and nothing is written for what is no sound.
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.tsv"))
    names = ["a.flac.tsv", "a.wav.tsv", "eight bits.tsv", "short.tsv", "silent.tsv"]
    assert written == sorted([*names, "été 2026/心音.tsv"])
    silent = read_states(out / "silent.tsv")
    assert silent is not None
    assert silent.annotated == 0


def test_states_and_tables_tell_the_same(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    segmented(folder, out, status=1)
    row = summary(out).loc["a.wav"]
    cycles = pd.read_csv(out / "cycles.csv")
    mine = cycles[cycles["file"] == "a.wav"]
    assert len(mine) == row["cycles"] == 7
    assert mine["kept"].tolist() == [True] * 3 + [False] + [True] * 3
    assert mine["flags"].str.contains("low_confidence").tolist() == (~mine["kept"]).tolist()
    assert row["kept"] == 6
    assert "low_confidence 1" in row["flags"]
    assert row["heart_rate"] == pytest.approx(75)
    assert row["systole_diastole_ratio"] == pytest.approx(0.32 / 0.48, abs=1e-4)
    durations = row[["s1_ms", "systole_ms", "s2_ms", "diastole_ms"]].tolist()
    assert durations == pytest.approx([120, 200, 100, 380])
    # What a cycle is rejected for is unannotated in the states, and nothing else is.
    states = read_states(out / row["states"])
    assert states is not None
    sampled = states.sampled(100, 600)
    rejected = mine[~mine["kept"]].iloc[0]
    inside = slice(round(100 * rejected["start"]) + 1, round(100 * rejected["end"]) - 1)
    assert not sampled[inside].any()
    for _, cycle in mine[mine["kept"]].iterrows():
        assert sampled[round(100 * cycle["start"]) + 1] == S1
        assert sampled[round(100 * cycle["diastole"]) + 1] == DIASTOLE
    assert states.start[0] == 0
    assert states.end[-1] == 6
    assert row["annotated_share"] == pytest.approx(states.annotated / 6, abs=1e-3)


def test_rejection_is_asked_for(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    one = folder / "a.wav"
    assert segmented(one, out, "--reject", "none")["recordings"][0]["kept"] == 7
    out = tmp_path / "strict"
    facts = segmented(one, out, "--min-confidence", "0.95")
    assert facts["recordings"][0]["kept"] == 0
    assert facts["recordings"][0]["heart_rate"] is None
    assert len(pd.read_csv(out / "cycles.csv")) == 7


def test_a_second_call_does_what_is_left(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    segmented(folder, out, status=1)
    before = (out / "summary.csv").read_bytes(), (out / "cycles.csv").read_bytes()
    count = len(Metronome.heard)
    capsys.readouterr()
    facts = segmented(folder, out, status=1)
    assert len(Metronome.heard) == count
    assert facts["counts"]["done_before"] == 9
    assert "9 of them were done before with the same settings" in capsys.readouterr().out
    assert ((out / "summary.csv").read_bytes(), (out / "cycles.csv").read_bytes()) == before
    # One whose states were lost, one that changed, and one that is new are looked at again.
    (out / "eight bits.tsv").unlink()
    soundfile.write(folder / "short.wav", heart(3, 1), FS)
    soundfile.write(folder / "b.wav", heart(3, 2), FS)
    facts = segmented(folder, out, status=1)
    assert facts["counts"]["done_before"] == 7
    assert facts["counts"]["segmented"] == 6
    # Another setting is another result.
    assert segmented(folder, out, "--reject", "none", status=1)["counts"]["done_before"] == 0


def test_a_call_that_was_killed_goes_on(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    segmented(folder, out, status=1)
    whole = (out / "summary.csv").read_bytes()
    lines = (out / NAME).read_bytes().splitlines(keepends=True)
    (out / NAME).write_bytes(b"".join(lines[:4]) + lines[4][:20])
    (out / "summary.csv").unlink()
    (out / "cycles.csv").unlink()
    assert segmented(folder, out, status=1)["counts"]["done_before"] == 3
    assert (out / "summary.csv").read_bytes() == whole


def test_a_name_that_has_to_give_way_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (folder / "a.flac").rename(tmp_path / "a.flac")
    segmented(folder, out, status=1)
    assert (out / "a.tsv").is_file()
    (tmp_path / "a.flac").rename(folder / "a.flac")
    segmented(folder, out, status=1)
    assert not (out / "a.tsv").exists()
    assert (out / "a.wav.tsv").is_file()
    assert (out / "a.flac.tsv").is_file()
    (folder / "a.flac").unlink()
    facts = segmented(folder, out, status=1)
    assert facts["segmented_before_but_gone"] == ["a.flac"]


def test_one_file_with_its_picture(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    facts = segmented(folder / "a.wav", out, "--pictures", "--sheet")
    assert facts["counts"]["found"] == 1
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["a.png", "a.tsv", "cycles.csv", "sheet.png", "summary.csv", NAME]
    )
    for name in ("a.png", "sheet.png"):
        picture = imread(out / name)
        assert picture.shape[1] == 1800
        assert 0.01 < (picture[..., :3] < 0.9).any(axis=2).mean() < 0.9
    # Asked for again it is there; an excerpt is another picture, an asked one a new one.
    assert segmented(folder / "a.wav", out, "--pictures")["counts"]["done_before"] == 1
    wanted = ["--pictures", "--excerpt", "1", "3"]
    assert segmented(folder / "a.wav", out, *wanted)["counts"]["done_before"] == 0


def test_the_sheet_shows_the_refused_too(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    facts = segmented(folder, out, "--sheet", status=1)
    assert facts["sheets"] == [str(out / "sheet.png")]
    assert imread(out / "sheet.png").shape[0] > 600
    assert not list(out.rglob("a*.png"))


def test_pictures_of_recordings_without_a_sample(tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    soundfile.write(tmp_path / "sounds/none.wav", np.zeros(0), FS)
    soundfile.write(tmp_path / "sounds/one.wav", np.full(1, 0.5), 44_100)
    out = tmp_path / "out"
    facts = segmented(tmp_path / "sounds", out, "--pictures", "--sheet", status=1)
    assert [row["status"] for row in facts["recordings"]] == ["refused", "refused"]
    assert all(imread(out / name).size for name in ("one.png", "none.png"))


def test_an_ecg_beside_the_sound_is_an_aid(corpora: Path, tmp_path: Path) -> None:
    place = corpora / "physionet2016" / "training-a"
    facts = segmented(place, tmp_path / "with", status=1)
    aided = {row["file"] for row in facts["recordings"] if row.get("ecg")}
    assert len(aided) > 3
    assert sum(ecg for _, _, ecg in Metronome.heard) == len(aided)
    assert not any(name.endswith((".hea", ".dat")) for name in facts["other_files"])
    Metronome.heard.clear()
    facts = segmented(place, tmp_path / "without", "--no-ecg", status=1)
    assert not any(row.get("ecg") for row in facts["recordings"])
    assert not any(ecg for _, _, ecg in Metronome.heard)


def test_circor_as_it_is_published(corpora: Path, tmp_path: Path) -> None:
    root = corpora / "circor"
    facts = segmented(root, tmp_path / "out", status=1)
    assert {Path(row["file"]).parts[0] for row in facts["recordings"]} == {"training_data"}
    parts = [name for name in facts["other_files"] if name.endswith((".tsv", ".hea"))]
    assert all(Path(name).name.startswith("._") for name in parts)
    found = find_recordings(root, tmp_path / "out")
    truths = [one for one in found.recordings if one.truth is not None]
    assert len(truths) > 20
    assert all(one.truth == one.path.with_suffix(".tsv") for one in truths)


def test_a_wfdb_record_without_a_sound_file(sound: Sound, tmp_path: Path) -> None:
    import wfdb

    place = tmp_path / "records"
    place.mkdir()
    both = np.stack([np.sin(np.arange(len(sound)) / 100), sound], axis=1).astype(np.float64)
    wfdb.wrsamp(
        "r1", fs=FS, units=["mV", "mV"], sig_name=["ECG", "PCG"], p_signal=both,
        fmt=["16", "16"], write_dir=str(place),
    )  # fmt: skip
    wfdb.wrsamp(
        "r2", fs=FS, units=["mV"], sig_name=["II"], p_signal=both[:, :1], fmt=["16"],
        write_dir=str(place),
    )  # fmt: skip
    facts = segmented(place, tmp_path / "out", status=1)
    heard, deaf = facts["recordings"]
    assert (heard["file"], heard["status"], heard["cycles"]) == ("r1.hea", "segmented", 7)
    assert heard["ecg"]
    assert "none of its leads is a heart sound (II)" in deaf["refusal"]
    assert facts["other_files"] == []
    alone = segmented(place / "r1.dat", tmp_path / "alone")
    assert [row["file"] for row in alone["recordings"]] == ["r1.hea"]


def test_a_locked_folder_is_named_and_the_others_are_done(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    locked, scan = [folder / "été 2026"], os.scandir

    def scandir(path: Any = ".") -> Any:
        if not isinstance(path, int) and Path(path) in locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    facts = segmented(folder, tmp_path / "out", status=1)
    refused = {one["file"]: one["reason"] for one in facts["refused"]}
    assert "cannot be looked into: Permission denied" in refused["été 2026"]
    assert facts["counts"]["segmented"] >= 3
    locked.append(folder)
    assert "cannot be read: Permission denied" in refusal(capsys, folder, "--out", tmp_path / "o")


def test_links_lead_nowhere_else(folder: Path, tmp_path: Path) -> None:
    (folder / "linked.wav").symlink_to(folder / "a.wav")
    (folder / "gone.wav").symlink_to(tmp_path / "nothing.wav")
    (folder / "round").symlink_to(folder)
    out = tmp_path / "out"
    facts = segmented(folder, out, status=1)
    refused = {one["file"]: one["reason"] for one in facts["refused"]}
    assert "link to a folder" in refused["round"]
    assert "missing" in refused["gone.wav"]
    assert (out / "linked.tsv").is_file()
    # Results never leave their folder by a link that lies in it.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    (other / "été 2026").symlink_to(elsewhere)
    words = ["segment", str(folder), "--out", str(other), "--workers", "1"]
    assert cli.main(words) == 2
    assert not list(elsewhere.iterdir())


def test_nothing_is_overwritten(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is the folder of the recordings" in refusal(capsys, folder, "--out", folder)
    assert "is the folder of the recordings" in refusal(capsys, folder / "a.wav", "--out", folder)
    out = tmp_path / "out"
    out.mkdir()
    (out / "silent.tsv").write_text("0\t1\t1\n")
    assert "silent.tsv is there already" in refusal(capsys, folder, "--out", out)
    assert (out / "silent.tsv").read_text() == "0\t1\t1\n"
    assert sorted(path.name for path in out.iterdir()) == ["silent.tsv"]
    (out / "silent.tsv").unlink()
    segmented(folder, out, status=1)
    other = tmp_path / "others"
    other.mkdir()
    soundfile.write(other / "a.wav", heart(3), FS)
    assert "holds what was found in" in refusal(capsys, other, "--out", out)
    # Results within the folder of the recordings are no recordings.
    inside = folder / "results"
    count = segmented(folder, inside, "--sheet", status=1)["counts"]
    assert segmented(folder, inside, status=1)["counts"] == {**count, "done_before": 9}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--segmenter", "best"], "there are upstream, rhythm, learned"),
        (["--workers", "0"], "1 or more"),
        (["--min-confidence", "2"], "from 0 to 1"),
        (["--reject", "quiet"], "no such flag"),
        (["--excerpt", "1", "2"], "give `--pictures` too"),
        (["--pictures", "--excerpt", "3", "2"], "a begin and an end"),
    ],
)
def test_what_cannot_be_asked(
    words: list[str], says: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in refusal(capsys, folder, "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_where_nothing_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert "nothing" in refusal(capsys, tmp_path / "none.wav", "--out", out)
    (tmp_path / "empty").mkdir()
    assert "no file at all" in refusal(capsys, tmp_path / "empty", "--out", out)
    (tmp_path / "empty" / "a.csv").touch()
    assert "(1 other file)" in refusal(capsys, tmp_path / "empty", "--out", out)
    os.mkfifo(tmp_path / "pipe.wav")
    assert "a pipe" in refusal(capsys, tmp_path / "pipe.wav", "--out", out)
    (tmp_path / "file").touch()
    soundfile.write(tmp_path / "empty" / "a.wav", heart(1), FS)
    assert "is a file" in refusal(capsys, tmp_path / "empty", "--out", tmp_path / "file")


def test_names_that_would_meet_keep_their_suffix() -> None:
    assert targets(["a.wav", "b/a.wav", "b/A.flac", "sheet.wav"]) == [
        "a", "b/a.wav", "b/A.flac", "sheet.wav"
    ]  # fmt: skip
    chosen = targets(["a.wav", "a.flac", "a.wav.flac", "é.wav", "e\u0301.wav", "x.y.wav"])
    assert chosen == ["a.wav~", "a.flac", "a.wav", "é.wav", "e\u0301.wav~", "x.y"]


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    """Run the real `rhythm`: the stand-in is not known to other processes."""
    place = tmp_path / "sounds"
    place.mkdir()
    for number, rate in enumerate((60.0, 90.0)):
        soundfile.write(place / f"{number}.wav", heart(8, number, rate), FS)
    out = tmp_path / "out"
    words = ["segment", str(place), "--out", str(out), "--segmenter", "rhythm", "--workers", "2"]
    assert cli.main(words) == 0
    table = summary(out)
    assert table["heart_rate"].to_numpy() == pytest.approx([60, 90], abs=4)
    assert not Metronome.heard
    for name in table.index:
        states = read_states(out / table.loc[name, "states"])
        assert states is not None
        truth = simulate(
            Heart(rhythm=Rhythm(rate=[60.0, 90.0][int(name[0])])), Scene(fs=FS, duration=8),
            (5, int(name[0])),
        ).states  # fmt: skip
        same = states.sampled(100, 800) == truth.sampled(100, 800)
        assert same[80:-80].mean() > 0.8
