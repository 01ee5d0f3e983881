"""A newcomer's folder: what is written, and that it is written once."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import soundfile

from data_modules.folder import FolderDataModule
from pahcl.errors import UsageError
from pahcl.simulation import folder
from pahcl.store import SignalStore


def test_the_same_seed_gives_the_same_folder(tmp_path: Path) -> None:
    counts = folder.write(tmp_path / "a", records=6, seed=4)
    assert folder.write(tmp_path / "b", records=6, seed=4) == counts
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert folder.write(tmp_path / "a", records=6, seed=4) == counts
    with pytest.raises(UsageError, match="seed 5"):
        folder.write(tmp_path / "a", records=6, seed=5)


def test_table_sounds_and_truth_agree(tmp_path: Path) -> None:
    counts = folder.write(tmp_path / "a", records=9, ugly=False)
    with (tmp_path / "a" / folder.TABLE).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    truth = json.loads((tmp_path / "a" / "simulation.json").read_text())["truth"]
    assert counts == {"records": 9, "subjects": 6, "table_rows": 9}
    assert len({row["patient"] for row in rows}) == 6
    for row in rows:
        info = soundfile.info(str(tmp_path / "a" / row["file"]))
        assert (info.samplerate, info.channels, info.subtype) == (folder.FS, 1, "PCM_16")
        assert folder.SECONDS[0] <= info.duration <= folder.SECONDS[1]
        told = truth[Path(row["file"]).name]
        assert (told["murmur"], told["subject"]) == (row["murmur"], row["patient"])
        assert told["first_sounds"]


def test_each_ugly_case_is_accounted_for(tmp_path: Path) -> None:
    counts = folder.write(tmp_path / "a", records=12)
    FolderDataModule.prepare(tmp_path / "a", tmp_path / "s", progress=False)
    store = SignalStore(tmp_path / "s")
    ugly = counts.keys() - {"records", "subjects", "table_rows", "without_answer"}
    assert len(store.manifest.rejected) == sum(counts[name] for name in ugly) == 7
    assert store.manifest.counts["found"] == counts["table_rows"] + counts["not_in_table"]
    assert store.table["label/murmur"].isna().sum() == counts["without_answer"]


def test_too_many_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most"):
        folder.write(tmp_path / "a", records=100_000)
