from __future__ import annotations

import errno
import functools
import json
import os

import numpy as np
import pandas as pd
import pytest
from store_corpus import LEADS, make_index, read, steps_of, tree, write

from pahcl.errors import DataError, RecordError, StoreError
from pahcl.signals import Recording, resample
from pahcl.store import Index, SignalStore, merge, patience
from pahcl.store import pool as pool_module
from pahcl.store import writer as writer_module
from pahcl.store.manifest import Manifest

REJECTED = ["x", "r004", "r013"]


def read_and_die(row):
    if row["record_id"] == "r009":
        os._exit(9)
    return read(row)


def read_odd(row):
    """Raise or return what real readers do on a bad day, one record each."""
    number = int(row["record_id"][1:])
    good = read({**row, "record_id": "r000"})
    signal = good.signal
    if number == 1:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/secret/place")
    if number == 2:
        raise KeyError("tracings")
    if number == 3:
        raise EOFError("read 3 of 12 bytes")
    if number == 5:
        signal = signal[:, :0]
    if number == 6:
        signal = np.full_like(signal, np.nan)
    if number == 7:
        signal = signal.copy()
        signal[1, 10:14] = np.nan
        signal[2, 3] = np.inf
    leads = ("I", "V1", "V2") if number == 8 else LEADS
    unit = "kg" if number == 9 else "mV"
    name = "another" if number == 10 else row["record_id"]
    return Recording(signal, 100.0, leads, unit, name, row["subject_id"], good.resolution)


def test_round_trip_is_exact_and_accounts_for_every_record(tmp_path):
    manifest = write(tmp_path / "store")
    store = SignalStore(tmp_path / "store")
    assert manifest == store.manifest
    assert manifest.counts == {"found": 21, "kept": 18, "rejected": 3}
    assert [item.record_id for item in manifest.rejected] == REJECTED
    assert manifest.rejected[1].file == "files/r004.dat"
    assert manifest.rejected[1].reason == "the file is truncated"
    assert manifest.notes == {"age missing": 1}
    assert len(store) == 18
    for position, row in enumerate(store.table.to_dict("records")):
        expected = read(row)
        found = store.read(position)
        np.testing.assert_array_equal(found.signal, expected.signal)
        np.testing.assert_array_equal(store.packed(position), steps_of(row))
        assert (found.record_id, found.subject_id) == (expected.record_id, expected.subject_id)
        assert found.source_sha256 == expected.source_sha256
        assert store.lengths[position] == expected.signal.shape[1]


def test_bytes_do_not_depend_on_workers_or_shares(tmp_path):
    write(tmp_path / "one")
    write(tmp_path / "two", workers=2)
    for share in (2, 0, 1):
        assert write(tmp_path / "shares", shard=(share, 3)) is None
    assert (tmp_path / "shares" / "plan.json").is_file()
    merged = merge(tmp_path / "shares")
    assert merged == SignalStore(tmp_path / "one").manifest
    assert tree(tmp_path / "one") == tree(tmp_path / "two") == tree(tmp_path / "shares")
    assert sorted(tree(tmp_path / "one")) == [
        "manifest.json",
        "records.parquet",
        *(f"shards/{number:05d}.bin" for number in range(5)),
    ]


def test_neither_clock_nor_place_is_written(tmp_path):
    write(tmp_path / "a" / "store")
    write(tmp_path / "b" / "other", workers=2)
    assert tree(tmp_path / "a" / "store") == tree(tmp_path / "b" / "other")
    everything = b"".join(path.read_bytes() for path in (tmp_path / "a").rglob("*.*"))
    assert str(tmp_path).encode() not in everything
    assert os.uname().nodename.encode() not in everything


def test_merge_names_what_is_missing_and_repeats_harmlessly(tmp_path):
    out = tmp_path / "store"
    with pytest.raises(StoreError, match="nothing to merge"):
        merge(out)
    write(out, shard=(0, 2))
    with pytest.raises(StoreError, match=r"lacks 2 of 5 shards \(00001, 00003\)"):
        merge(out)
    write(out, shard=(1, 2))
    first = merge(out)
    assert merge(out) == first
    assert write(out, shard=(0, 2)) == first


def test_index_columns_keep_their_types(tmp_path):
    count = 20
    columns = {
        "height": pd.array([None, *range(1, count)], dtype="Int64"),
        "male": pd.array([None, *[True] * (count - 1)], dtype="boolean"),
        "report": [None, *["sinus rhythm äöü"] * (count - 1)],
        "sex": pd.Categorical(["f", "m"] * (count // 2)),
        "codes": [[1, 2], *[[3]] * (count - 1)],
        "when": pd.to_datetime(["2001-02-03"] * count),
        "_pointer": range(count),
    }
    seen = []

    def reader(row):
        seen.append(row["_pointer"])
        return read(row)

    write(tmp_path / "store", make_index(count, **columns), reader)
    table = SignalStore(tmp_path / "store").table
    assert seen == list(range(count))
    assert "_pointer" not in table
    assert "scale" not in table
    assert table["height"].dtype == "Int64"
    assert pd.isna(table["height"].iloc[0])
    assert table["male"].dtype == "boolean"
    assert table["report"].isna().iloc[0]
    assert table["report"].iloc[1] == "sinus rhythm äöü"
    assert table["sex"].iloc[:2].tolist() == ["f", "m"]
    assert list(table["codes"].iloc[0]) == [1, 2]
    assert table["when"].iloc[0] == pd.Timestamp("2001-02-03")
    assert isinstance(table.index, pd.RangeIndex)


def test_odd_records_are_rejected_with_a_reason_or_repaired(tmp_path):
    manifest = write(tmp_path / "store", make_index(12), read_odd)
    reasons = {item.record_id: item.reason for item in manifest.rejected}
    assert reasons["r001"] == "FileNotFoundError: No such file or directory"
    assert reasons["r002"] == "KeyError: 'tracings'"
    assert reasons["r003"] == "EOFError: read 3 of 12 bytes"
    assert "no sample" in reasons["r005"]
    assert "finite" in reasons["r006"]
    assert "II" in reasons["r008"]
    assert "kg" in reasons["r009"]
    assert "another" in reasons["r010"]
    assert manifest.counts["found"] == manifest.counts["kept"] + manifest.counts["rejected"] == 13
    store = SignalStore(tmp_path / "store")
    row = store.table.index[store.table["record_id"] == "r007"][0]
    assert store.table["quality/nan"].iloc[row] == 2
    original = read({"record_id": "r000", "subject_id": "", "file": ""}).signal
    expected = np.interp(np.arange(10, 14), [9, 14], original[1, [9, 14]])
    assert np.abs(store.read(row).signal[1, 10:14] - expected).max() <= 0.5e-3 + 1e-6
    np.testing.assert_array_equal(store.read(row).signal[1, 14:], original[1, 14:])


def test_a_record_listed_twice_is_kept_once(tmp_path):
    index = make_index(4)
    table = pd.concat([index.table, index.table.iloc[[1]].assign(file="again.dat")])
    manifest = write(tmp_path / "store", Index(table, [], {}))
    assert manifest.counts == {"found": 5, "kept": 4, "rejected": 1}
    assert (manifest.rejected[0].record_id, manifest.rejected[0].file) == ("r001", "again.dat")
    assert "again" in manifest.rejected[0].reason


def test_records_are_brought_to_rate_unit_and_leads(tmp_path):
    leads = ("II", "aVF", "I")
    write(tmp_path / "store", make_index(3), fs=50, unit="uV", leads=leads)
    store = SignalStore(tmp_path / "store")
    for position, row in enumerate(store.table.to_dict("records")):
        signal = read(row).signal
        derived = np.stack([signal[1], signal[1] - signal[0] / 2, signal[0]])
        expected = resample(derived * 1000, 100, 50)
        found = store.read(position)
        assert found.fs == 50
        assert np.abs(found.signal - expected).max() <= store.scales[position].max() * 0.51


def test_a_complete_store_is_returned_without_reading(tmp_path):
    out = tmp_path / "store"
    first = write(out)
    before = tree(out)
    for name in (".manifest.json.17.0123abcd.tmp", "shards/.00000.bin.17.0123abcd.tmp"):
        (out / name).write_bytes(b"left over")
    (out / "parts").mkdir()
    (out / "parts" / "00000.json").write_text("{}")
    (out / "plan.json").write_text("{}")

    def forbidden(row):
        raise AssertionError(row)

    assert write(out, reader=forbidden) == first
    assert tree(out) == before


def test_a_shard_cut_short_is_written_again(tmp_path):
    write(tmp_path / "whole")
    out = tmp_path / "store"
    write(out, shard=(0, 1))
    shard = out / "shards" / "00001.bin"
    shard.write_bytes(shard.read_bytes()[:-2])
    (out / "parts" / "00002.json").write_text('{"shard"')
    (out / "parts" / "00003.parquet").unlink()
    write(out)
    assert tree(out) == tree(tmp_path / "whole")


def test_a_worker_that_dies_ends_in_words_and_the_next_call_goes_on(tmp_path):
    out = tmp_path / "store"
    with pytest.raises(StoreError, match="run the same command again"):
        write(out, reader=read_and_die, workers=2)
    write(out)
    write(tmp_path / "whole")
    assert tree(out) == tree(tmp_path / "whole")


def test_a_full_disk_ends_in_words_and_keeps_what_is_done(tmp_path, monkeypatch):
    out = tmp_path / "store"
    real, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) > 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"No space left on device.*free some space"):
        write(out)
    monkeypatch.undo()
    done = {name: digest for name, digest in tree(out).items() if name.endswith(".bin")}
    assert done
    assert not [name for name in tree(out) if name.endswith(".tmp")]
    with pytest.raises(StoreError, match="not a complete store"):
        SignalStore(out)
    reread = []

    def reader(row):
        reread.append(row["record_id"])
        return read(row)

    write(out, reader=reader)
    assert 0 < len(reread) < 20
    write(tmp_path / "whole")
    assert tree(out) == tree(tmp_path / "whole")
    assert done.items() <= tree(out).items()


def flaky(row, attempts):
    """Fail on r009 as a mount does that comes back after some attempts."""
    if row["record_id"] == "r009" and next(attempts, None) is not None:
        raise OSError(errno.EIO, "Input/output error", "/mnt/files/r009.dat")
    return read(row)


def test_a_mount_that_fails_now_and_then_rejects_no_record(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "PAUSES", (0.0, 0.0))
    write(tmp_path / "whole")
    out = tmp_path / "store"
    with pytest.raises(DataError, match=r"r009\.dat \(record r009\) .* 3 times: Input"):
        write(out, reader=functools.partial(flaky, attempts=iter(range(3))))
    with pytest.raises(StoreError, match="not a complete store"):
        SignalStore(out)
    assert (out / "parts" / "00001.json").is_file()  # what was done before is kept
    write(out, reader=functools.partial(flaky, attempts=iter(range(2))))
    assert tree(out) == tree(tmp_path / "whole")


def vanishing(row, root):
    """Read until the folder is unmounted below the reader."""
    if row["record_id"] == "r009":
        for path in root.iterdir():
            path.unlink()
    if not any(root.iterdir()):
        raise RecordError("the file is missing")
    return read(row)


def test_a_root_that_vanishes_rejects_no_record(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "PAUSES", (0.0,))
    root = tmp_path / "root"
    root.mkdir()
    (root / "table.csv").write_text("x")
    reader = functools.partial(vanishing, root=root)
    with pytest.raises(DataError, match="root is gone or empty"):
        write(tmp_path / "store", reader=reader, root=root)
    (root / "table.csv").write_text("x")
    write(tmp_path / "store", root=root)
    write(tmp_path / "whole")
    assert tree(tmp_path / "store") == tree(tmp_path / "whole")


def test_a_shard_may_be_empty(tmp_path):
    write(tmp_path / "store", make_index(6), shard_records=1)
    store = SignalStore(tmp_path / "store")
    assert store.manifest.shards[4].samples == 0
    assert (tmp_path / "store" / "shards" / "00004.bin").stat().st_size == 0
    gathered = store.gather([4, 0], 300)
    np.testing.assert_array_equal(gathered.samples[0].sum(axis=1), store.packed(4).sum(axis=1))


def test_another_process_may_finish_first(tmp_path, monkeypatch):
    out = tmp_path / "store"

    def overtaken(jobs, *rest):
        monkeypatch.undo()
        write(out)
        return pool_module.write_all(jobs, *rest)

    monkeypatch.setattr(writer_module, "write_all", overtaken)
    manifest = write(out)
    write(tmp_path / "whole")
    assert manifest == SignalStore(tmp_path / "whole").manifest
    assert tree(out) == tree(tmp_path / "whole")


def test_few_shards_are_handed_out_at_once(tmp_path):
    made = []

    def jobs():
        for number in range(30):
            made.append(number)
            yield number

    pending = []

    class Pool:
        def __init__(self, *_, **__):
            pass

        def submit(self, _, job):
            pending.append(len(made))
            from concurrent.futures import Future

            future = Future()
            future.set_result(job)
            return future

        def shutdown(self, **_):
            pass

    original = pool_module.ProcessPoolExecutor
    pool_module.ProcessPoolExecutor = Pool
    try:
        done = list(pool_module.write_all(jobs(), 30, 2, read))
    finally:
        pool_module.ProcessPoolExecutor = original
    assert sorted(done) == list(range(30))
    assert pending[3] == 4


def test_manifest_survives_json(tmp_path):
    manifest = write(tmp_path / "store", config={"likelihood": 50, "codes": ("a", "b")})
    text = (tmp_path / "store" / "manifest.json").read_text(encoding="utf-8")
    again = Manifest.from_dict(json.loads(text))
    assert again == manifest
    assert again.digest == manifest.digest
    assert again.config == {"likelihood": 50, "codes": ["a", "b"]}


def test_partial_readers_reach_the_workers(tmp_path):
    write(tmp_path / "store", reader=functools.partial(read, ragged=False), workers=2)
    assert set(SignalStore(tmp_path / "store").lengths) == {50}
