from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store_corpus import make_index, read, write

from pahcl.store import SignalStore, verify


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "store", make_index(20, fold=[number // 2 % 5 for number in range(20)]))
    return tmp_path / "store"


def kinds(folder):
    return {finding.kind for finding in verify(SignalStore(folder))}


def test_a_sound_store_has_no_findings(folder):
    assert verify(SignalStore(folder)) == []


def test_one_flipped_bit_is_found_and_its_record_named(folder):
    path = folder / "shards" / "00002.bin"
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)
    findings = verify(SignalStore(folder))
    assert [finding.kind for finding in findings] == ["checksum", "damaged record"]
    assert findings[0].where == "00002.bin"
    store = SignalStore(folder)
    damaged = store.table[(store.table["shard"] == 2)].iloc[0]
    assert findings[1].where == damaged["record_id"]


def _rewrite(folder, column, change):
    path = folder / "records.parquet"
    table = pq.read_table(path)
    field = table.schema.field(column)
    values = table[column].to_pylist()
    change(values)
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, field, pa.array(values, field.type)), path)


def test_a_changed_table_is_found(folder):
    _rewrite(folder, "record_id", lambda values: values.__setitem__(1, values[0]))
    assert kinds(folder) == {"checksum", "ids"}


def test_records_that_overlap_are_found(folder):
    _rewrite(folder, "offset", lambda values: values.__setitem__(1, values[1] - 3))
    assert kinds(folder) == {"checksum", "layout"}


def test_a_scale_that_cannot_be_is_found(folder):
    _rewrite(folder, "scale", lambda values: values.__setitem__(2, [0.0, float("nan"), 1.0]))
    assert kinds(folder) == {"checksum", "scale"}


def test_counts_that_do_not_add_up_are_found(folder):
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    values["counts"]["found"] += 1
    path.write_text(json.dumps(values))
    findings = verify(SignalStore(folder))
    assert [finding.kind for finding in findings] == ["counts"]
    assert "found = kept + rejected" in findings[0].text


def test_one_signal_under_two_subjects_is_found(tmp_path):
    def copies(row):
        original = {"r003": "r001", "r006": "r007"}.get(row["record_id"], row["record_id"])
        recording = read({**row, "record_id": original})
        recording.record_id = row["record_id"]
        return recording

    write(tmp_path / "store", make_index(8), copies)
    findings = verify(SignalStore(tmp_path / "store"))
    assert {item.kind for item in findings} == {"duplicate content"}
    # r006 and r007 are of one subject: odd, and no leak
    assert [(item.where, item.severity) for item in findings] == [
        ("r001, r003", "error"),
        ("r006, r007", "warning"),
    ]


def test_a_subject_in_several_folds_is_found(tmp_path):
    write(tmp_path / "store", make_index(8, fold=[1, 1, 2, 3, 1, 1, None, 2]))
    findings = verify(SignalStore(tmp_path / "store"))
    assert [(item.kind, item.where) for item in findings] == [("subject in several folds", "s1")]
