"""`pahcl simulate` writes a corpus, says what it holds, and refuses what makes no sense."""

import argparse
import json
from pathlib import Path

import pytest

from pahcl.cli import main
from pahcl.commands import simulate
from pahcl.errors import DataError, UsageError


def called(*words):
    parser = argparse.ArgumentParser()
    simulate.configure(parser)
    return simulate.run(parser.parse_args(words))


def test_writes_a_corpus_and_its_counts(tmp_path, capsys):
    out, facts = tmp_path / "corpus", tmp_path / "facts.json"
    words = ["code15", "--out", str(out), "--records", "3", "--json", str(facts)]
    assert called(*words) == 0
    assert (out / "exams.csv").exists()
    found = json.loads(facts.read_text())
    assert found["dataset"] == "code15"
    assert found["counts"]["records"] == 3
    assert "3 records" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "There is no simulator `nothing`; there are: "),
        (["morphology"], "There is no simulator `morphology`"),
        (["ptbxl", "--records", "0"], "--records must be at least 1"),
        (["ptbxl", "--seed", "-1"], "--seed must not be negative"),
        (["ptbxl", "--form", "both"], "ptbxl has one form alone"),
        (["cpsc2018", "--form", "odd"], "cpsc2018 has challenge, original, both, not odd"),
        (["cpsc2018", "--records", "9901"], "--records must be at most 9900"),
    ],
)
def test_refuses_what_makes_no_sense(tmp_path, words, message):
    with pytest.raises(UsageError, match=message):
        called(*words, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_refuses_a_folder_of_other_files(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="left alone"):
        called("ptbxl", "--out", str(tmp_path), "--records", "1")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_another_corpus_is_refused_and_the_same_one_left_as_it_is(tmp_path, capsys):
    out = tmp_path / "corpus"
    line = ["simulate", "code15", "--out", str(out)]
    first = [*line, "--records", "3", "--seed", "2"]
    assert main(first) == 0
    written = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    for other, named in (
        (["--records", "4", "--seed", "2"], "3 records, seed 2, not of 4 records, seed 2"),
        (["--records", "3"], "3 records, seed 2, not of 3 records, seed 0"),
    ):
        assert main([*line, *other]) == 2
        refused = " ".join(capsys.readouterr().err.split())
        assert f"{out} holds a corpus of {named}" in refused
        assert "another folder with --out, or delete this one" in refused
    assert main([*first, "--json", str(tmp_path / "facts.json")]) == 0
    assert "holds this corpus already" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "facts.json").read_text())["counts"]["records"] == 3
    assert written == {path: path.stat().st_mtime_ns for path in out.iterdir()}
    (out / "exams.csv").unlink()
    assert main(first) == 0
    assert (out / "exams.csv").exists()


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        called("ptbxl", "--out", str(tmp_path / "file"), "--records", "1")


def test_a_full_disk_ends_in_a_sentence(tmp_path, monkeypatch):
    def full(*_args, **_settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="No space left on device"):
        called("ptbxl", "--out", str(tmp_path / "out"), "--records", "1")
