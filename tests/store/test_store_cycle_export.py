"""Cycles as single files: what is in them, what they are called, and what is left out."""

from __future__ import annotations

import contextlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from heart_corpus import annotate, make_store
from hypothesis import given
from hypothesis import strategies as st
from store_corpus import tree
from test_store_kill import Doom, Killed

from pahcl.errors import StoreError, UsageError
from pahcl.signals.heart_cycles.preparation import prepare
from pahcl.store import SignalStore
from pahcl.store.cycle_counts import label_groups
from pahcl.store.cycle_export import ExportSettings, export_cycles, safe_names
from pahcl.task import Task

MURMUR = Task("murmur", "multiclass", ("Present", "Absent"), ("murmur",), "macro_f1")


@pytest.fixture(scope="module")
def hearts(tmp_path_factory):
    store = make_store(tmp_path_factory.mktemp("hearts") / "store", 8)
    return store, annotate(store)


def export(hearts, out, progress=False, **settings):
    store, table = hearts
    options = {name: settings.pop(name) for name in ("workers",) if name in settings}
    groups = label_groups([MURMUR], store.table)
    how = ExportSettings(**settings)
    labels = store.table[["murmur"]]
    return export_cycles(
        store, table, out, how, groups=groups, labels=labels, progress=progress, **options
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"global_stats": {}}'])
def test_damaged_counts_are_named_and_written_again(hearts, tmp_path, text):
    stats = export(hearts, tmp_path / "out")
    path = tmp_path / "out" / "processing_stats.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=r"processing_stats\.json is damaged\. Delete it"):
        export(hearts, tmp_path / "out")
    path.unlink()
    again = export(hearts, tmp_path / "out")
    assert again["rejected"] == stats["rejected"]


def timeless(folder):
    """Checksums of all files but the one that holds seconds of work."""
    return {name: sum for name, sum in tree(folder).items() if name != "processing_stats.json"}


def test_files_are_the_filtered_z_scores_of_whole_recordings(hearts, tmp_path):
    store, table = hearts
    stats = export(hearts, tmp_path / "out")
    for record in (0, 3):
        samples = prepare(store.read(record).signal[0], store.spec.fs, 5000.0).signal
        samples = (samples - samples.mean()) / samples.std()
        cycles = table.of(record)
        folder = tmp_path / "out" / f"subject_s-{record // 2}" / f"rec_r{record:03d}"
        assert len([*folder.iterdir()]) == len(cycles)
        for number in range(len(cycles)):
            first, stop = round(cycles.start[number] * 5000), round(cycles.end[number] * 5000)
            written = np.load(folder / f"cycle_{number:03d}.npy")
            assert written.dtype == np.float32
            assert written.shape == (4000,)
            piece = samples[first:stop]
            if len(piece) >= 4000:
                cut = (len(piece) - 4000) // 2
                expected = piece[cut : cut + 4000]
            else:
                pad = 4000 - len(piece)
                expected = np.pad(piece, (pad // 2, pad - pad // 2))
            np.testing.assert_allclose(written, expected, atol=1e-4)
    found = stats["global_stats"]
    assert found["total_recordings"] == 8
    assert (found["successful_recordings"], found["failed_recordings"]) == (7, 1)
    assert found["total_cycles_extracted"] == found["total_cycles_passed"] == len(table)
    assert found["sample_rate"] == 5000
    assert found["target_cycle_length"] == 4000
    assert stats == json.loads((tmp_path / "out" / "processing_stats.json").read_text())
    recordings = stats["per_recording_stats"]
    assert recordings[5]["error"] == "not annotated"
    assert recordings[3]["num_cycles_extracted"] == len(table.of(3))
    assert recordings[3]["num_peaks_detected"] == len(table.of(3)) + 1
    assert recordings[3]["original_duration_sec"] == pytest.approx(7.0)
    assert recordings[3]["processing_time_sec"] > 0


def test_places_and_labels_stand_beside_the_files(hearts, tmp_path):
    store, table = hearts
    export(hearts, tmp_path / "out", length=None, fs=1000.0, parts=4)
    places = pd.read_csv(tmp_path / "out" / "cycles.tsv", sep="\t")
    assert len(places) == len(table)
    np.testing.assert_allclose(places["start"], table.frame["start"], rtol=1e-5)
    for row in places.iloc[::5].itertuples():
        cycle = np.load(tmp_path / "out" / row.file)
        assert len(cycle) == pytest.approx((row.end - row.start) * 1000, abs=1.1)
        parts = [
            np.load(tmp_path / "out" / row.file.replace(".npy", f"_sub_{n}.npy")) for n in range(4)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), cycle)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    labels = pd.read_csv(tmp_path / "out" / "labels.csv")
    assert [*labels.columns] == ["file", "subject", "murmur"]
    truth = store.table.set_index("record_id")["murmur"]
    assert (labels["murmur"].fillna("") == places["record"].map(truth).fillna("")).all()
    assert set(labels["subject"]) == set(store.table["subject_id"])


def test_nothing_is_left_out_but_by_name_and_it_is_told_whose_it_was(tmp_path):
    store = make_store(tmp_path / "store", 8)
    from heart_corpus import find

    table = find(store)
    flag = table.frame["quality/unrepeated"].to_numpy()
    assert 0 < flag.sum() < len(flag)
    stats = export((store, table), tmp_path / "out", reject=("unrepeated",))
    places = pd.read_csv(tmp_path / "out" / "cycles.tsv", sep="\t")
    assert (places["file"].isna() == flag).all()
    assert len([*(tmp_path / "out").rglob("cycle_*.npy")]) == (~flag).sum()
    assert len(pd.read_csv(tmp_path / "out" / "labels.csv")) == (~flag).sum()
    dropped = stats["rejected"]
    assert (dropped["cycles"], dropped["dropped"]) == (len(flag), flag.sum())
    assert dropped["by_flag"] == {"unrepeated": flag.sum()}
    label = store.table["murmur"].fillna("not labelled").to_numpy()[table.frame["record"]]
    for name, one in dropped["by_label"]["murmur"].items():
        assert one["cycles"] == (label == name).sum()
        assert one["dropped"] == (flag & (label == name)).sum()
        assert one["by_flag"]["unrepeated"] == one["dropped"]
    assert stats["global_stats"]["total_cycles_failed"] == flag.sum()
    with pytest.raises(UsageError, match="no flag `loud`"):
        export((store, table), tmp_path / "other", reject=("loud",))
    assert not (tmp_path / "other").exists()


def test_workers_write_the_same_files_and_a_whole_export_is_left_alone(hearts, tmp_path):
    export(hearts, tmp_path / "one", fs=1000.0)
    export(hearts, tmp_path / "two", fs=1000.0, workers=2)
    assert timeless(tmp_path / "one") == timeless(tmp_path / "two")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}
    export(hearts, tmp_path / "one", fs=1000.0)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}


def test_a_kill_before_any_file_operation_is_mended_by_a_rerun(tmp_path, monkeypatch):
    store = make_store(tmp_path / "store", 3)
    hearts = store, annotate(store)
    export(hearts, tmp_path / "whole", fs=1000.0, length=100)
    expected = timeless(tmp_path / "whole")
    for lives in [*range(12), *range(12, 200, 5)]:
        out = tmp_path / f"killed-{lives}"
        with monkeypatch.context() as patched:
            doom = Doom(patched, lives)
            with contextlib.suppress(Killed):
                export(hearts, out, fs=1000.0, length=100)
        if (out / "processing_stats.json").is_file():
            assert timeless(out) == expected
        for path in out.rglob("cycle_*.npy") if out.exists() else ():
            if not any(part.startswith(".") for part in path.relative_to(out).parts):
                assert np.load(path).shape == (100,)  # what has a name is whole
        export(hearts, out, fs=1000.0, length=100)
        assert timeless(out) == expected, f"killed before operation {lives}"
        shutil.rmtree(out)
        if not doom.dead:
            return
    raise AssertionError("it never ended")


def test_a_record_that_was_cut_short_is_written_again(hearts, tmp_path):
    export(hearts, tmp_path / "out", fs=1000.0)
    expected = timeless(tmp_path / "out")
    (tmp_path / "out" / "processing_stats.json").unlink()
    one = next((tmp_path / "out").rglob("cycle_001.npy"))
    one.write_bytes(one.read_bytes()[:200])
    next((tmp_path / "out" / "subject_s-1").rglob("cycle_000.npy")).unlink()
    export(hearts, tmp_path / "out", fs=1000.0)
    assert timeless(tmp_path / "out") == expected


def test_another_question_and_foreign_files_are_refused(hearts, tmp_path):
    out = tmp_path / "out"
    export(hearts, out, fs=1000.0)
    with pytest.raises(StoreError, match=r"another export \(fs: 1000.0, not 2000.0\)"):
        export(hearts, out, fs=2000.0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match=r"no export of cycles \(thesis.txt\)"):
        export(hearts, tmp_path / "full")
    with pytest.raises(UsageError, match="is a file"):
        export(hearts, tmp_path / "full" / "thesis.txt")
    (out / "export.json").write_text("{")
    with pytest.raises(StoreError, match="is damaged"):
        export(hearts, out, fs=1000.0)


@pytest.mark.parametrize(
    "settings", [{"fs": 800.0}, {"fs": float("nan")}, {"length": 0}, {"parts": -1}, {"parts": 9999}]
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(UsageError):
        ExportSettings(**settings)


@given(st.lists(st.text(max_size=12), max_size=12, unique=True))
def test_names_never_meet_and_never_lead_anywhere(ids):
    names = safe_names(ids, "rec_")
    assert len({name.casefold() for name in names.values()}) == len(ids)
    for name in names.values():
        assert name.startswith("rec_")
        assert set(name) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-~"
        )
        assert len(name) < 110


def test_names_of_harmless_identifiers_stay_as_they_are():
    assert safe_names(["85033_AV", "a0001"], "rec_") == {
        "85033_AV": "rec_85033_AV",
        "a0001": "rec_a0001",
    }
    clever = safe_names(["../../etc/passwd", "a/b", "a b", "A-b", "x" * 300, ""], "rec_")
    assert clever["../../etc/passwd"] == "rec_etc-passwd"
    assert len(set(clever.values())) == 6


def test_the_store_is_not_touched(hearts, tmp_path):
    store, _ = hearts
    before = tree(store.path)
    export(hearts, tmp_path / "out", fs=1000.0)
    assert tree(store.path) == before
    assert SignalStore(store.path).cycles("annotated").manifest.counts["records"] == 8
