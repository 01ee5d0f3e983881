"""What `pahcl segment` believes of a journal, which may have come from anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

from pahcl.cli import main
from pahcl.commands._segment_journal import NAME
from pahcl.simulation.heart_sound import Heart, Scene, simulate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sounds").mkdir()
    for name in ("a", "b"):
        found = simulate(Heart(), Scene(fs=2000, duration=6.0), (ord(name),))
        soundfile.write(tmp_path / "sounds" / f"{name}.wav", found.signal, 2000)
    return tmp_path / "sounds"


def segment(folder: Path, out: Path, *words: str) -> int:
    fixed = ["--out", str(out), "--segmenter", "rhythm", "--workers", "1"]
    return main(["segment", str(folder), *fixed, *words])


def change(out: Path, line: int, edit: Callable[[dict[str, Any]], object]) -> None:
    lines = (out / NAME).read_text().splitlines()
    entry = json.loads(lines[line])
    edit(entry)
    lines[line] = json.dumps(entry)
    (out / NAME).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("name", ["../../kept.txt", "sub/../../../kept.txt", None])
def test_nothing_outside_the_folder_is_touched(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str | None
) -> None:
    out, kept = tmp_path / "results" / "out", tmp_path / "kept.txt"
    kept.write_text("mine")
    assert segment(folder, out) == 0
    outside = str(kept) if name is None else name
    change(out, 1, lambda entry: entry.update(files=[outside], target="other"))
    assert segment(folder, out) == 2
    assert "files outside of its folder" in " ".join(capsys.readouterr().err.split())
    assert kept.read_text() == "mine"


@pytest.mark.parametrize("key", ["name", "files", "row", "cycles", "key"])
def test_a_line_that_lacks_something_is_found_again(folder: Path, tmp_path: Path, key: str) -> None:
    out = tmp_path / "out"
    assert segment(folder, out) == 0
    before = (out / "summary.csv").read_text()
    change(out, 1, lambda entry: entry.pop(key))
    facts = tmp_path / "facts.json"
    assert segment(folder, out, "--json", str(facts)) == 0
    assert json.loads(facts.read_text())["counts"]["done_before"] == 0
    assert (out / "summary.csv").read_text() == before
