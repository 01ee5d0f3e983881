"""The second table of a store: its rows, its counts, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from heart_corpus import Metronome, annotate, find, make_store, sound_of, states_of
from store_corpus import tree
from store_corpus import write as write_ecgs

from pahcl.errors import CheckpointError, RecordError, StoreError, UsageError
from pahcl.files import sha256_file
from pahcl.signals.heart_cycles.cycles import BOUNDARIES, whole_cycles
from pahcl.signals.heart_cycles.quality import Quality, UpstreamQuality
from pahcl.signals.spec import Filter
from pahcl.store import SignalStore, cycle_names, derive_store, verify
from pahcl.store import cycle_writer as writer_module
from pahcl.store.cycle_counts import label_groups
from pahcl.store.cycle_finders import ByAnnotation, ByClock, BySegmenter
from pahcl.store.cycle_writer import write_cycles
from pahcl.store.cycles import cycle_paths
from pahcl.task import Task

RECORDS = 20
MURMUR = Task("murmur", "multiclass", ("Present", "Absent"), ("murmur",), "macro_f1")


@pytest.fixture(scope="module")
def hearts(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("hearts") / "store", RECORDS).path


@pytest.fixture
def store(hearts, tmp_path):
    """Give a copy of the store without any cycles, whose samples are links."""
    out = tmp_path / "store"
    for path in hearts.rglob("*"):
        if path.is_file():
            (out / path.relative_to(hearts)).parent.mkdir(parents=True, exist_ok=True)
            (out / path.relative_to(hearts)).hardlink_to(path)
    return SignalStore(out)


def test_annotated_cycles_are_the_annotators(store):
    before = {**tree(store.path)}
    table = annotate(store)
    for number in range(RECORDS):
        states = states_of({"record_id": f"r{number:03d}"})
        if states is None:
            assert not len(table.of(number))
            continue
        cycles, expected = table.of(number), whole_cycles(states)
        for name in (*BOUNDARIES, "confidence"):
            np.testing.assert_array_equal(getattr(cycles, name), getattr(expected, name))
    assert (table.frame["record_id"] == [f"r{n:03d}" for n in table.frame["record"]]).all()
    assert table.frame.groupby("record")["cycle"].apply(lambda c: list(c) == [*range(len(c))]).all()
    assert table.manifest.without == [
        {"record_id": f"r{n:03d}", "reason": "not annotated"} for n in (5, 12, 19)
    ]
    after = tree(store.path)
    assert {name: after[name] for name in before} == before, "the store itself was changed"
    assert set(after) - set(before) == {"cycles/annotated.json", "cycles/annotated.parquet"}
    assert verify(store) == []


def test_a_segmenter_gets_each_record_and_its_refusals_are_named(store):
    table = find(store)
    assert table.manifest.finder == {"name": "metronome", "settings": {"beat": 0.8, "pause": 0.0}}
    assert table.manifest.counts["records_without_cycles"] == 5
    assert table.manifest.refusals() == {"too long": [f"r{n:03d}" for n in range(3, 20, 4)]}
    assert table.manifest.heart_rate["median"] == pytest.approx(75)
    # A wrong beat does not come again at the same place of the cycle: it is flagged, and is there.
    assert table.manifest.flags["unrepeated"] == table.flagged(["unrepeated"]).sum() > 40
    assert len(table) == table.manifest.counts["cycles"] == 90


def test_refusals_are_grouped_whatever_their_numbers(store):
    without = [
        {"record_id": name, "reason": reason}
        for name, reason in (
            ("a", "no beat is surer than 0.11"),
            ("b", "near silence: 1e-05 of full scale"),
            ("c", "no beat is surer than 0.2"),
        )
    ]
    manifest = replace(find(store).manifest, without=without)
    assert manifest.refusals() == {"no beat is surer than …": ["a", "c"], "near silence": ["b"]}


def test_an_ecg_is_an_aid_where_a_record_has_one(tmp_path):
    store = make_store(tmp_path / "store", 4, ("PCG", "ECG"))
    notes = find(store).manifest.notes
    assert notes == [{"record_id": "r001", "note": "an ECG helps"}]  # r003 is refused


def test_measures_and_flags_are_those_of_the_checks(store):
    table = annotate(store, checks=[Quality(), UpstreamQuality()])
    found = sound_of(3)
    expected = UpstreamQuality()(store.read(3).signal[0], found.fs, table.of(3))
    rows = table.frame[table.frame["record"] == 3]
    for name, values in expected.measures.items():
        np.testing.assert_array_equal(rows[f"measure/{name}"], values)
    for name, values in expected.flags.items():
        np.testing.assert_array_equal(rows[f"quality/{name}"], values)
    assert table.flags == (*Quality.flags, *UpstreamQuality.flags)


def test_losses_and_flags_are_counted_by_label(store):
    groups = label_groups([MURMUR], store.table)
    table = find(store, groups=groups)
    labels = store.table["murmur"].fillna("not labelled")
    frame = table.frame.assign(label=labels.to_numpy()[table.frame["record"]])
    counted = table.manifest.labels["murmur"]
    assert set(counted) == {"Present", "Absent", "not labelled"}
    for name, counts in counted.items():
        mine = frame[frame["label"] == name]
        assert counts["records"] == (labels == name).sum()
        assert counts["cycles"] == len(mine)
        assert counts["flags"]["unrepeated"] == mine["quality/unrepeated"].sum()
        assert counts["flagged"] == mine.filter(like="quality/").any(axis=1).sum()
        gone = set(np.flatnonzero(labels == name)) - set(mine["record"])
        assert counts["records_without_cycles"] == len(gone)


def test_tasks_of_every_kind_have_classes_but_amounts():
    labels = pd.DataFrame({"a": [1.0, 0.0, np.nan], "b": [1.0, 1.0, np.nan], "x": [3.0, 4.0, 5.0]})
    tasks = [
        Task("one", "binary", ("ill",), ("a",), "auroc"),
        Task("many", "multilabel", ("A", "B"), ("a", "b"), "macro_auroc"),
        Task("age", "regression", ("age",), ("x",), "mae", unit="years"),
    ]
    found = label_groups(tasks, labels)
    plain = {task: {k: v.tolist() for k, v in one.items()} for task, one in found.items()}
    assert plain == {
        "one": {"ill": [True, False, False], "not ill": [False, True, False],
                "not labelled": [False, False, True]},
        "many": {"A": [True, False, False], "B": [True, True, False],
                 "not labelled": [False, False, True]},
    }  # fmt: skip


def test_workers_do_not_change_a_byte(store, monkeypatch):
    monkeypatch.setattr(writer_module, "CHUNK_RECORDS", 3)
    find(store, workers=1)
    alone = tree(store.path / "cycles")
    for path in (store.path / "cycles").iterdir():
        path.unlink()
    find(store, workers=2)
    assert tree(store.path / "cycles") == alone


@pytest.mark.parametrize("newer", [False, True])
def test_what_other_code_has_begun_is_not_gone_on_with(store, monkeypatch, newer):
    """Rows of two states of the code in one table would be those of neither."""
    monkeypatch.setattr(writer_module, "CHUNK_RECORDS", 5)
    usual, seen = Metronome.find, []

    def stopped(self, signal, fs, ecg):
        if len(seen) == 12:
            raise KeyboardInterrupt
        seen.append(fs)
        return usual(self, signal, fs, ecg)

    monkeypatch.setattr(Metronome, "find", stopped)
    with pytest.raises(KeyboardInterrupt):
        find(store)

    def later(self, signal, fs, ecg):
        return usual(replace(self, beat=0.5), signal, fs, ecg)

    monkeypatch.setattr(Metronome, "find", later)
    if newer:
        monkeypatch.setattr(writer_module, "code_digest", lambda: "newer")
    lengths = (find(store).frame.eval("end - start")).round(6).unique()
    assert sorted(lengths) == ([0.5] if newer else [0.5, 0.8])
    assert not list((store.path / "cycles").glob(".*"))


def test_a_complete_table_is_left_alone_and_another_question_is_refused(store):
    find(store)
    before = tree(store.path)
    times = {path: path.stat().st_mtime_ns for path in (store.path / "cycles").iterdir()}
    find(store)
    assert times == {path: path.stat().st_mtime_ns for path in (store.path / "cycles").iterdir()}
    with pytest.raises(StoreError, match=r"finder: settings\.beat 0\.8, not 0\.5\. "):
        write_cycles(store, BySegmenter(Metronome(beat=0.5)), progress=False)
    with pytest.raises(StoreError, match="another check"):
        find(store, checks=[Quality(least_contrast=3)])
    assert tree(store.path) == before
    write_cycles(store, BySegmenter(Metronome(beat=0.5)), name="fast", progress=False)
    assert cycle_names(store.path) == ["fast", "metronome"]


@dataclass(frozen=True, kw_only=True)
class Weighted(Metronome):
    weights: str | None = None


def test_weights_are_known_by_what_is_in_them(store, tmp_path):
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"one")
    finder = BySegmenter(Weighted(weights=str(weights)))
    table = write_cycles(store, finder, progress=False)
    assert table.manifest.finder["settings"]["weights"]["sha256"]
    assert str(tmp_path) not in (store.path / "cycles" / "metronome.json").read_text()
    weights.rename(tmp_path / "elsewhere.safetensors")
    moved = BySegmenter(Weighted(weights=str(tmp_path / "elsewhere.safetensors")))
    write_cycles(store, moved, progress=False)
    (tmp_path / "elsewhere.safetensors").write_bytes(b"another")
    with pytest.raises(StoreError, match="another finder"):
        write_cycles(store, moved, progress=False)
    assert BySegmenter(Weighted()).settings()["weights"] == {"sha256": None}


def test_the_only_table_needs_no_name(store):
    with pytest.raises(StoreError, match=r"no heart cycles `rhythm` \(there are: none\).*--cycles"):
        store.cycles()
    find(store)
    assert store.cycles().manifest.name == "metronome"
    annotate(store)
    with pytest.raises(StoreError, match=r"several tables of heart cycles \(annotated, metronome"):
        store.cycles()
    assert store.cycles("annotated").manifest.name == "annotated"


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b", "a.b", "x" * 65, "a\n"])
def test_a_name_is_no_path(store, name):
    with pytest.raises(UsageError, match="named by letters, digits"):
        find(store, name=name)
    with pytest.raises(UsageError, match="named by letters, digits"):
        store.cycles(name)


def test_cycles_are_those_of_the_store_that_is_there_now(tmp_path):
    place = tmp_path / "store"
    find(make_store(place, 4))
    shutil.rmtree(place)
    assert find(make_store(place, 6)).frame["record"].nunique() > 4


def test_rows_that_another_process_puts_there_are_not_taken_for_ours(store, monkeypatch):
    other = write_cycles(store, BySegmenter(Metronome(beat=0.5)), name="fast", progress=False)
    theirs, ours = (cycle_paths(store.path, name)[0] for name in ("fast", "metronome"))

    def late(path: Path) -> str:
        if ours.is_file():
            shutil.copy(theirs, ours)
        return sha256_file(path)

    monkeypatch.setattr(writer_module, "sha256_file", late)
    table = find(store)
    assert table.manifest.name == "metronome"
    assert len(table) == table.manifest.counts["cycles"] < len(other)


def test_a_derived_store_reads_the_parents_table(store, tmp_path, monkeypatch):
    table = annotate(store)
    spec = replace(store.spec, fs=500.0, filter=Filter(highpass=25.0))
    half = derive_store(store, spec, tmp_path / "half", progress=False)
    placed = half.placed(store.cycles("annotated"))
    pd.testing.assert_frame_equal(placed.frame, table.frame)
    # Where a record is lost on the way, the rows of the others still find theirs.
    ids = half.columns(["record_id"]).iloc[3:]
    monkeypatch.setattr(half, "columns", lambda names: ids)
    later = half.placed(table)
    assert later.records == RECORDS - 3
    np.testing.assert_array_equal(later.of(0).start, table.of(3).start)
    other = make_store(tmp_path / "other", 4)
    with pytest.raises(StoreError, match="not derived from the store"):
        other.placed(table)
    with pytest.raises(StoreError, match="no heart cycles"):
        half.cycles("annotated")


def test_cycles_of_another_store_are_refused_and_found_again(tmp_path):
    first, second = make_store(tmp_path / "a", 4), make_store(tmp_path / "b", 5)
    find(first)
    (first.path / "cycles").rename(second.path / "cycles")
    with pytest.raises(StoreError, match="found in another store than is there now"):
        second.cycles()
    assert any("another store" in finding.text for finding in verify(second))
    assert find(second).records == 5
    assert verify(second) == []


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: _flip(f / "metronome.parquet"), "was changed since it was written"),
        (lambda f: (f / "metronome.parquet").unlink(), "No such file"),
        (lambda f: (f / "metronome.json").write_text("{"), "JSONDecodeError"),
        (lambda f: (f / "metronome.json").write_text("[]"), "TypeError"),
        (lambda f: (f / "metronome.json").write_text('{"format_version": 9}'), "the format 9"),
        (lambda f: (f / "metronome.json").write_text('{"format_version": 1}'), "TypeError"),
    ],
    ids=["bit", "gone", "cut", "list", "format", "empty"],
)
def test_damage_is_refused_in_words_and_mended_by_the_same_call(store, damage, said):
    find(store)
    sound = tree(store.path)
    damage(store.path / "cycles")
    with pytest.raises(StoreError, match=said):
        store.cycles()
    assert [finding.kind for finding in verify(store)] == ["heart cycles"]
    find(store)
    assert tree(store.path) == sound


def test_verify_holds_the_rows_against_the_records(store):
    annotate(store)
    path = store.path / "cycles" / "annotated.parquet"
    manifest = store.path / "cycles" / "annotated.json"
    facts = json.loads(manifest.read_text())
    whole = pq.read_table(path).to_pandas()

    def say(frame):
        frame.to_parquet(path)
        digest = writer_module.sha256_file(path)
        manifest.write_text(json.dumps({**facts, "table_sha256": digest}))
        return " | ".join(finding.text for finding in verify(store))

    assert "rows, but" in say(whole.iloc[1:])
    assert "not of this store's records" in say(whole.assign(record=99))
    assert "another record, the first in x" in say(whole.assign(record_id="x"))
    assert "end behind it" in say(whole.assign(end=100.0))
    assert "end before they begin" in say(whole.assign(end=-1.0))
    assert say(whole) == ""
    (store.path / "cycles" / "loose.parquet").write_bytes(b"")
    assert "was stopped" in say(whole)


def test_only_heart_sounds_have_heart_cycles(tmp_path):
    write_ecgs(tmp_path / "ecgs")
    with pytest.raises(UsageError, match=r"holds ecg signals.*found in heart sounds"):
        find(SignalStore(tmp_path / "ecgs"))


def test_an_annotation_of_no_use_is_a_reason(store):
    def states(row):
        if row["record_id"] == "r000":
            raise RecordError("row 3 is no number")
        if row["record_id"] == "r001":
            whole = states_of(row)
            return replace(whole, end=whole.start, state=np.resize([1, 3], len(whole)))
        return None

    table = write_cycles(store, ByAnnotation(states), progress=False)
    reasons = {one["record_id"]: one["reason"] for one in table.manifest.without}
    assert reasons["r000"] == "unusable annotation: row 3 is no number"
    assert reasons["r001"].startswith("no whole cycle: sounds are marked")
    assert reasons["r002"] == "not annotated"
    assert len(table) == 0
    assert table.manifest.heart_rate == {"median": None, "p5": None, "p95": None}
    assert len(store.cycles("annotated").of(0)) == 0
    assert verify(store) == []


def refuses(row):
    raise CheckpointError("there are no weights")


def test_a_segmenter_that_cannot_work_leaves_nothing_behind(store):
    before = tree(store.path)
    with pytest.raises(CheckpointError, match="no weights"):
        write_cycles(store, ByAnnotation(refuses), progress=False)
    assert not (store.path / "cycles").exists()
    assert tree(store.path) == before


def test_windows_are_cut_by_the_clock(store):
    table = write_cycles(store, ByClock(seconds=2.0, hop=1.0), progress=False)
    assert table.of(0).start.tolist() == [0, 1, 2]
    assert np.isnan(table.of(0).systole).all()
    assert not table.flagged(["unrepeated"]).any()


def test_flags_and_records_that_are_not_there_are_named(store):
    table = annotate(store)
    with pytest.raises(UsageError, match="no flag `loud`; there are: noisy"):
        table.flagged(["loud"])
    with pytest.raises(IndexError, match="20 records, and none at 20"):
        table.of(RECORDS)
    assert not table.flagged([]).any()


def test_the_store_is_complete_with_and_without_cycles(store):
    """`prepare` on a complete store finds nothing foreign in it."""
    from pahcl.store.plan import require_store_folder

    annotate(store)
    require_store_folder(store.path)
    assert SignalStore(store.path).manifest.digest == store.manifest.digest
