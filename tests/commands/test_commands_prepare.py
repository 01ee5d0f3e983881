"""The verb `prepare` through the door."""

from __future__ import annotations

import argparse
import json
import re

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pahcl.cli import main
from pahcl.commands import prepare as command
from pahcl.commands._common import parse_shard
from pahcl.commands._index_options import add_index_options, given_options
from pahcl.errors import RecordError, UsageError
from pahcl.signals import Recording
from pahcl.store import Index, Rejection, SignalStore, write_store


class FakeDataModule:
    """A data set of ten records, of which one is damaged and one is not there."""

    folder = "fake"

    @staticmethod
    def read(row):
        number = int(row["record_id"])
        if number == 3:
            raise RecordError("the file [r3] is truncated")
        rng = np.random.default_rng(number)
        signal = (rng.integers(-500, 500, (2, 40 + number)) / 200).astype(np.float32)
        if number == 4:
            signal[1, 5] = np.nan
        step = np.full(2, 1 / 200)
        return Recording(signal, 100, ("I", "II"), "mV", row["record_id"], row["subject_id"], step)

    @classmethod
    def prepare(cls, root, out, fs=None, workers=1, shard=None, progress=True, shard_records=3):
        ids = [str(number) for number in range(10)]
        table = pd.DataFrame({"record_id": ids, "subject_id": ids, "file": ids})
        table["fold"] = 1
        return write_store(
            out,
            Index(table, [Rejection("a.dat", "a", "there is no such file")], {"age missing": 2}),
            cls.read,
            dataset="fake",
            dataset_version="1.0",
            modality="ecg",
            fs=fs or 100,
            leads=("I", "II"),
            unit="mV",
            workers=workers,
            shard=shard,
            shard_records=shard_records,
            progress=progress,
        )


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(command, "find_data_module", lambda name: FakeDataModule)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.usefixtures("fake")
def test_prepare_accounts_for_every_record(tmp_path, capsys):
    out, facts = tmp_path / "store", tmp_path / "facts.json"
    line = ["prepare", "fake", "--out", str(out), "--workers", "1", "--json", str(facts)]
    assert main(line) == 0
    said = capsys.readouterr().out
    for words in (
        "found.*11",
        "kept.*9",
        "rejected.*2",
        "age missing.*2",
        "quality: nan.*1 records",
        r"rejected 1: the file \[r3\] is truncated\n    3: 3\n",
        r"rejected 1: there is no such file\n    a.dat: a\n",
        "MB/s",
    ):
        assert re.search(words, said), words
    found = json.loads(facts.read_text())
    assert found["counts"] == {"found": 11, "kept": 9, "rejected": 2}
    assert found["rejected"][0] == {
        "file": "a.dat",
        "record_id": "a",
        "reason": "there is no such file",
    }
    assert found["notes"] == {"age missing": 2}
    assert found["quality"]["nan"] == {"records": 1, "leads": 1}
    assert found["digest"] == SignalStore(out).manifest.digest
    assert found["bytes"] == sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    assert main(line) == 0
    assert "complete already" in capsys.readouterr().out
    assert main([*line, "--fs", "50"]) == 1
    refused = capsys.readouterr().err
    assert "fs: 100.0, not 50.0" in refused
    assert "Traceback" not in refused


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def without_quality(path):
    pq.write_table(pq.read_table(path).drop_columns(["quality/nan"]), path)


@pytest.fixture
def store(tmp_path):
    FakeDataModule.prepare(None, tmp_path / "store", progress=False)
    return tmp_path / "store"


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b"garbage"), "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (cut, "cannot be read"),
        (without_quality, "lacks the column(s) quality/nan"),
    ],
)
def test_a_complete_store_without_its_table_is_refused_in_words(store, damage, says, capsys):
    damage(store / "records.parquet")
    assert main(["prepare", "fake", "--out", str(store)]) == 1
    refused = capsys.readouterr().err
    assert says in refused
    assert f"Delete {store} and run `pahcl prepare` again" in refused
    assert "Traceback" not in refused


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("name", ["manifest.json", "plan.json"])
def test_another_format_is_refused_begun_or_complete(name, tmp_path, capsys):
    out = tmp_path / "store"
    line = ["prepare", "fake", "--out", str(out)]
    assert main(line if name == "manifest.json" else [*line, "--shard", "0/2"]) == 0
    values = json.loads((out / name).read_text())
    (out / name).write_text(json.dumps({**values, "format_version": 9, "later": 1}))
    assert main(line) == 1
    refused = capsys.readouterr().err
    assert f"{out} has the store format 9; this version of pahcl" in refused
    assert "reads 1. Delete" in refused
    assert "or choose another folder" in refused


@pytest.mark.usefixtures("fake")
def test_shares_are_written_apart_and_merged(tmp_path, capsys):
    out = str(tmp_path / "store")
    line = ["prepare", "fake", "--out", out]
    assert main([*line, "--merge"]) == 1
    assert "nothing to merge" in capsys.readouterr().err
    assert main([*line, "--shard", "1/2"]) == 0
    assert "--merge" in capsys.readouterr().out
    assert main([*line, "--merge"]) == 1
    assert "00000, 00002" in capsys.readouterr().err
    assert main([*line, "--shard", "0/2"]) == 0
    assert main([*line, "--merge"]) == 0
    assert main(["prepare", "fake", "--out", str(tmp_path / "whole")]) == 0
    assert SignalStore(out).manifest == SignalStore(tmp_path / "whole").manifest


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("text", ["2/2", "0/0", "1", "a/b", "-1/2", "1/2/3", "1/"])
def test_a_share_that_cannot_be_is_refused(text, tmp_path, capsys):
    with pytest.raises(UsageError, match="--shard"):
        parse_shard(text)
    line = ["prepare", "fake", "--out", str(tmp_path / "store"), f"--shard={text}"]
    assert main(line) == 2
    assert "--shard" in capsys.readouterr().err


def test_no_share_at_all_is_refused_in_words_that_make_sense():
    with pytest.raises(UsageError, match=r"`--shard 0/0`: there must be at least one share"):
        parse_shard("0/0")


@pytest.mark.usefixtures("fake")
def test_share_and_merge_exclude_each_other(tmp_path, capsys):
    line = ["prepare", "fake", "--out", str(tmp_path / "store"), "--shard", "0/2", "--merge"]
    assert main(line) == 2
    assert "not both" in capsys.readouterr().err


def test_a_mistyped_data_set_and_a_missing_root_are_refused(tmp_path, capsys):
    out = str(tmp_path / "store")
    assert main(["prepare", "ptbx", "--out", out]) == 2
    assert "ptbxl" in capsys.readouterr().err
    assert main(["prepare", "ptbxl", "--root", str(tmp_path / "none"), "--out", out]) != 0
    assert "--root" in capsys.readouterr().err


@pytest.mark.parametrize(("dataset", "folder"), [("ptbxl", "ptb-xl"), ("code15", "code15")])
def test_a_corpus_of_the_publisher_is_packed_and_sound(
    dataset, folder, corpora, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("PAHCL_DATA", str(corpora))
    out, facts = tmp_path / "store", tmp_path / "facts.json"
    line = ["prepare", dataset, "--out", str(out), "--workers", "1", "--json", str(facts)]
    assert main([*line, "--shard-records", "40"]) == 0
    counts = json.loads(facts.read_text())["counts"]
    assert counts["found"] == counts["kept"] + counts["rejected"]
    assert counts["kept"] >= 80
    assert len(list((out / "shards").iterdir())) >= 2
    capsys.readouterr()
    assert main(["doctor", str(out), "--json", str(facts)]) in {0, 1}
    found = json.loads(facts.read_text())["findings"]
    assert {one["kind"] for one in found if one["severity"] == "error"} <= {"duplicate content"}


def test_a_list_that_is_given_in_parts_keeps_all_of_them() -> None:
    parser = argparse.ArgumentParser()
    add_index_options(parser)
    words = ["--channels", "I", "II", "--channels", "V1"]
    assert given_options("folder", parser.parse_args(words)) == {"channels": ["I", "II", "V1"]}
