from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from store_corpus import make_index, tree, write

from pahcl.errors import SpecError, StoreError
from pahcl.signals import Filter, convert_record
from pahcl.store import SignalStore, derive_store


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parent") / "store"
    write(folder, make_index(20, label=list(range(20))), config={"likelihood": 50})
    return SignalStore(folder)


def test_rate_leads_and_filter_are_those_of_convert_record(parent, tmp_path):
    spec = replace(
        parent.spec,
        fs=50.0,
        leads=("aVR", "II"),
        filter=Filter(highpass=0.5),
        length=20,
        normalisation="robust",
    )
    derived = derive_store(parent, spec, tmp_path / "derived", progress=False)
    target = replace(spec, length=None, normalisation="none")
    assert derived.spec == target
    assert derived.manifest.parent == parent.manifest.digest
    assert derived.manifest.config == {"likelihood": 50}
    assert derived.manifest.counts == parent.manifest.counts
    for position in range(len(parent)):
        expected = convert_record(parent.read(position), target).signal
        found = derived.read(position)
        step = derived.layout.scale[position][:, None]
        assert (np.abs(found.signal - expected) <= 0.51 * step).all()
    kept = ["record_id", "subject_id", "label", "quality/nan", "quality/flat", "source_sha256"]
    assert derived.table[kept].equals(parent.table[kept])
    assert not [name for name in derived.table if name.startswith("_")]


def test_a_choice_of_leads_stays_exact(parent, tmp_path):
    spec = replace(parent.spec, leads=("III", "I"))
    derived = derive_store(parent, spec, tmp_path / "derived", progress=False)
    for position in range(len(parent)):
        expected = parent.packed(position)[[2, 0]]
        np.testing.assert_array_equal(derived.packed(position), expected)


def test_workers_do_not_change_the_bytes(parent, tmp_path):
    spec = replace(parent.spec, fs=50.0)
    for workers in (1, 2):
        out = tmp_path / str(workers)
        derive_store(parent, spec, out, workers, progress=False, shard_records=4)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")


def test_a_derived_store_is_made_once(parent, tmp_path, monkeypatch):
    out = tmp_path / "derived"
    spec = replace(parent.spec, fs=50.0)
    first = derive_store(parent, spec, out, progress=False)
    monkeypatch.setattr("pahcl.store.derive.write", None)
    again = derive_store(parent, replace(spec, length=7), out, progress=False)
    assert again.manifest == first.manifest


def test_a_store_of_another_parent_or_contract_is_refused(parent, tmp_path):
    out = tmp_path / "derived"
    derive_store(parent, replace(parent.spec, fs=50.0), out, progress=False)
    with pytest.raises(StoreError, match=r"fs: 50\.0, not 25\.0"):
        derive_store(parent, replace(parent.spec, fs=25.0), out, progress=False)
    write(tmp_path / "other", make_index(8))
    other = SignalStore(tmp_path / "other")
    with pytest.raises(StoreError, match="parent"):
        derive_store(other, replace(other.spec, fs=50.0), out, progress=False)


def test_what_cannot_be_undone_is_refused(parent, tmp_path):
    with pytest.raises(SpecError, match="ecg, not pcg"):
        derive_store(parent, replace(parent.spec, modality="pcg"), tmp_path / "a", progress=False)
    filtered = replace(parent.spec, filter=Filter(highpass=0.5))
    first = derive_store(parent, filtered, tmp_path / "b", progress=False)
    with pytest.raises(SpecError, match="filtered already"):
        derive_store(first, parent.spec, tmp_path / "c", progress=False)
    second = derive_store(first, replace(filtered, leads=("II",)), tmp_path / "d", progress=False)
    np.testing.assert_array_equal(second.packed(3)[0], first.packed(3)[1])  # not filtered twice


def test_a_damaged_parent_ends_the_work(tmp_path):
    write(tmp_path / "parent", make_index(8))
    store = SignalStore(tmp_path / "parent")
    len(store.table)
    (tmp_path / "parent" / "shards" / "00001.bin").write_bytes(b"")
    with pytest.raises(StoreError, match=r"00001\.bin has 0 bytes"):
        derive_store(store, replace(store.spec, fs=50.0), tmp_path / "derived", progress=False)
