"""`pahcl prepare --cycles` and `--export-cycles`, through the door."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_modules.circor import CirCorDataModule
from data_modules.folder import FolderDataModule
from pahcl.cli import main
from pahcl.signals.heart_cycles.cycles import whole_cycles
from pahcl.simulation import circor, folder
from pahcl.store import SignalStore

RECORDS = 8


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Pack a small corpus once; each test takes a copy."""
    place = tmp_path_factory.mktemp("circor")
    circor.write(place / "root", records=RECORDS, seed=5)
    line = ["prepare", "circor", "--root", str(place / "root"), "--out", str(place / "store")]
    assert main([*line, "--workers", "1"]) == 0
    return place


@pytest.fixture
def place(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    shutil.copytree(packed / "store", tmp_path / "store")
    (tmp_path / "root").symlink_to(packed / "root")
    return tmp_path


def line(place: Path, *words: str) -> list[str]:
    return ["prepare", "circor", "--out", str(place / "store"), "--workers", "1", *words]


def test_annotated_cycles_come_beside_the_records(place, capsys):
    facts = place / "facts.json"
    root = str(place / "root")
    assert main(line(place, "--root", root, "--cycles", "annotated", "--json", str(facts))) == 0
    said = capsys.readouterr().out
    store = SignalStore(place / "store")
    table = store.cycles("annotated")
    for words in (
        "complete already",
        rf"cycles +│ {len(table):,} ",
        "heart rate of a record",
        "murmur",
        r"records without cycles +│",
        "The cycles are a table of the store",
    ):
        assert re.search(words, said), words
    found = json.loads(facts.read_text())["cycles"]
    assert found == json.loads(json.dumps(table.manifest.to_dict()))
    assert set(found["labels"]) == {"murmur", "outcome", "murmur_here"}
    for classes in found["labels"].values():
        assert sum(one["cycles"] for one in classes.values()) == len(table)
    row = store.table.iloc[0].to_dict()
    states = CirCorDataModule.states(place / "root", row)
    np.testing.assert_array_equal(table.of(0).start, whole_cycles(states).start)
    assert main(["doctor", str(place / "store"), "--records", "1"]) in (0, 1)
    assert "heart cycles" not in capsys.readouterr().out
    (place / "store" / "cycles" / "annotated.parquet").write_bytes(b"damaged")
    assert main(["doctor", str(place / "store"), "--records", "1"]) == 1
    assert "was changed since it was written" in capsys.readouterr().out


def test_a_complete_store_needs_no_root_for_a_segmenter(place, capsys):
    assert main(line(place, "--cycles", "rhythm")) == 0
    said = capsys.readouterr().out
    assert "heart cycles: rhythm" in said
    store = SignalStore(place / "store")
    table = store.cycles()
    assert table.manifest.finder["name"] == "rhythm"
    assert table.manifest.counts["records_without_cycles"] < len(store) / 2
    assert main(line(place, "--cycles", "annotated")) == 1
    refused = capsys.readouterr().err
    assert "There is no folder" in refused
    assert "--root" in refused


def test_upstream_is_also_judged_as_upstream_did(place):
    assert main(line(place, "--cycles", "upstream")) == 0
    table = SignalStore(place / "store").cycles("upstream")
    assert {"upstream_snr", "upstream_peak", "upstream_zeros", "noisy"} <= set(table.flags)


def test_packing_and_cycles_are_one_command(packed, tmp_path, capsys):
    out = tmp_path / "store"
    words = ["--root", str(packed / "root"), "--out", str(out), "--cycles", "windows"]
    assert main(["prepare", "circor", *words, "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "The store is complete" in printed
    assert "heart rate" not in printed, "windows follow a clock, not a heart"
    store = SignalStore(out)
    seconds = store.lengths / store.spec.fs
    assert len(store.cycles()) == sum(max(np.ceil(one - 1), 1) for one in seconds)
    assert store.manifest.digest == SignalStore(packed / "store").manifest.digest


def test_shares_are_merged_before_cycles_are_found(packed, tmp_path, capsys):
    line = ["prepare", "circor", "--out", str(tmp_path / "store"), "--workers", "1"]
    for share in ("0/2", "1/2"):
        words = ["--root", str(packed / "root"), "--shard", share, "--shard-records", "8"]
        assert main([*line, *words]) == 0
    assert main([*line, "--merge", "--cycles", "windows"]) == 0
    assert "heart cycles: windows" in capsys.readouterr().out
    assert len(SignalStore(tmp_path / "store").cycles()) > RECORDS


def test_an_export_is_read_back_by_the_folder_module(place, capsys):
    root, out = str(place / "root"), place / "export"
    words = ["--root", root, "--cycles", "annotated", "--export-cycles", str(out)]
    words += ["--export-fs", "2000", "--export-length", "1600"]
    facts = place / "facts.json"
    assert main(line(place, *words, "--json", str(facts))) == 0
    assert "none was left out" in capsys.readouterr().out
    table = SignalStore(place / "store").cycles()
    assert json.loads(facts.read_text())["export"]["global_stats"]["total_cycles_passed"] == len(
        table
    )
    labels = ["--labels", "murmur"]
    again = str(place / "again")
    assert main(["prepare", "folder", "--root", str(out), "--out", again, *labels]) == 0
    store = SignalStore(again)
    assert store.spec.fs == 2000
    assert store.spec.modality == "pcg"
    assert store.spec.unit == "z-score"
    assert store.manifest.counts == {"found": len(table), "kept": len(table), "rejected": 0}
    assert set(store.lengths) == {1600}
    rows = store.table.set_index("file")
    written = pd.read_csv(out / "cycles.tsv", sep="\t", dtype={"subject": str, "record": str})
    assert (rows.loc[written["file"], "subject_id"].to_numpy() == written["subject"]).all()
    truth = SignalStore(place / "store").table.set_index("record_id")["murmur"]
    expected = written["record"].map(truth).to_numpy()
    assert set(expected) == {"Present", "Absent"}  # so that it is a binary question
    got = rows.loc[written["file"], "label/murmur"].to_numpy()
    assert (got == (expected == "Present")).all()
    for position in range(0, len(store), 7):
        cycle = np.load(out / store.table["file"].iloc[position])
        step = np.abs(cycle).max() / 32767
        np.testing.assert_allclose(store.read(position).signal[0], cycle, atol=0.51 * step + 1e-9)
    module = FolderDataModule(root=str(out), store=again, labels=["murmur"], batch_size=4)
    assert module.task.classes == ("Present",)
    module.setup("fit")
    batch = next(iter(module.train_dataloader()))
    assert batch["samples"].shape[1:] == (1, 1600)


def test_flagged_cycles_are_left_out_by_name_alone(place, capsys):
    out = place / "export"
    words = ["--root", str(place / "root"), "--cycles", "annotated", "--export-cycles", str(out)]
    words += ["--export-fs", "1000", "--export-length", "0"]
    assert main(line(place, *words, "--reject-cycles", "loud")) == 2
    assert "no flag `loud`; there are: noisy, unrepeated" in capsys.readouterr().err
    assert main(line(place, *words, "--reject-cycles", "noisy", "unrepeated")) == 0
    said = capsys.readouterr().out
    assert "were left out by --reject-cycles" in said
    assert re.search(r"left out by murmur: .*Absent \d+ \(", said)
    table = SignalStore(place / "store").cycles()
    left = len([*out.rglob("cycle_*.npy")])
    assert left == (~table.flagged(["noisy", "unrepeated"])).sum() < len(table)
    assert main(line(place, *words)) == 1
    assert "another export (reject:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["circor", "--cycles", "rythm"], "no heart cycles `rythm` (did you mean `rhythm`?)"),
        (["circor", "--cycles", "rhythm", "--shard", "0/2"], "`--cycles rhythm` with `--merge`"),
        (["ptbxl", "--cycles", "rhythm"], "PTB-XL holds ECGs"),
        (["folder", "--cycles", "annotated"], "has no annotated heart cycles"),
        (["circor", "--export-fs", "1000"], "give `--export-cycles DIR`"),
        (["circor", "--reject-cycles", "noisy"], "give `--export-cycles DIR`"),
        (["circor", "--export-cycles", "x", "--export-fs", "100"], "above 800 Hz"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_packed(words, says, place, capsys):
    assert main(["prepare", *words, "--out", str(place / "new")]) == 2
    assert says in capsys.readouterr().err
    assert not (place / "new").exists()


def test_own_ecgs_have_no_heart_sounds(place, capsys):
    root = place / "ecgs"
    root.mkdir()
    for number in range(3):
        np.save(root / f"{number}.npy", np.random.default_rng(number).normal(size=1000))
    words = ["--modality", "ecg", "--recorded-fs", "250", "--unit", "mV", "--channels", "I"]
    line = ["prepare", "folder", "--root", str(root), "--out", str(place / "own"), *words]
    assert main([*line, "--cycles", "rhythm"]) == 2
    assert "find heart cycles in heart sounds" in capsys.readouterr().err


def test_cycles_of_own_sounds(place):
    folder.write(place / "sounds", records=6, seed=3)
    out = str(place / "own")
    words = ["--out", out, "--workers", "1", "--cycles", "rhythm"]
    assert main(["prepare", "folder", "--root", str(place / "sounds"), *words]) == 0
    assert len(SignalStore(out).cycles()) > 6


def test_without_cycles_there_is_nothing_to_export(place, capsys):
    assert main(line(place, "--export-cycles", str(place / "export"))) == 1
    assert "has no heart cycles" in capsys.readouterr().err
    assert not (place / "export").exists()
