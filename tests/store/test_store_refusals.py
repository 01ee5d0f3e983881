"""What the writer refuses, in words."""

from __future__ import annotations

import os

import pytest
from store_corpus import LEADS, make_index, tree, write

from pahcl.errors import DataError, StoreError, UsageError
from pahcl.store import Index, Rejection


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"fs": 50.0}, "fs: 100.0, not 50.0"),
        ({"shard_records": 5}, "shard_records: 4, not 5"),
        ({"config": {"likelihood": 50}}, "likelihood: None, not 50"),
        ({"dataset_version": "2"}, "dataset_version: 1, not 2"),
        ({"index": make_index(19)}, "the index"),
        ({"leads": LEADS[:2]}, "leads"),
    ],
)
def test_another_question_is_refused_begun_or_complete(tmp_path, options, named):
    out = tmp_path / "store"
    write(out, shard=(0, 2))
    begun = tree(out)
    with pytest.raises(StoreError, match="was begun with another question") as caught:
        write(out, **options)
    assert named in str(caught.value)
    assert tree(out) == begun
    write(out)
    complete = tree(out)
    with pytest.raises(StoreError, match="complete store of another question") as caught:
        write(out, **options)
    assert named in str(caught.value)
    assert tree(out) == complete


def test_an_index_of_nothing_but_rejections_says_why(tmp_path):
    index = make_index()
    lost = [Rejection("part0.hdf5", f"r{row}", "cannot be opened") for row in range(9)]
    with pytest.raises(DataError, match=r"\(9 found; part0\.hdf5: cannot be opened\)"):
        write(tmp_path / "store", index=Index(index.table.iloc[:0], lost, {}))


def test_notes_and_rejections_of_the_index_are_part_of_the_question(tmp_path):
    out = tmp_path / "store"
    write(out, shard=(0, 2))
    index = make_index()
    with pytest.raises(StoreError, match="the index"):
        write(out, Index(index.table, [], index.notes))


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write(tmp_path / "file" / "store")
    with pytest.raises(UsageError, match="is a file"):
        write(tmp_path / "file")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        write(tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.tex"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(StoreError, match="cannot be written"):
        write(tmp_path / "locked" / "store")


def test_impossible_options_are_refused(tmp_path):
    for options, named in (
        ({"workers": 0}, "workers"),
        ({"shard_records": 0}, "shard_records"),
        ({"fs": 0.0}, "fs"),
        ({"fs": float("nan")}, "fs"),
        ({"leads": ()}, "leads"),
        ({"leads": ("I", "I")}, "leads"),
        ({"shard": (2, 2)}, "2/2"),
        ({"shard": (-1, 2)}, "-1/2"),
        ({"config": {"root": object()}}, "plain types"),
    ):
        with pytest.raises(UsageError, match=named):
            write(tmp_path / "store", **options)
    assert not (tmp_path / "store").exists()


def test_an_index_that_cannot_be_used_is_refused(tmp_path):
    table = make_index(4).table
    with pytest.raises(DataError, match="subject_id"):
        Index(table.drop(columns="subject_id"))
    with pytest.raises(DataError, match="`file` in row 2"):
        Index(table.assign(file=["a", "b", None, "d"]))
    with pytest.raises(DataError, match="shard"):
        write(tmp_path / "store", Index(table.assign(shard=1)))
    with pytest.raises(DataError, match="mixes types"):
        write(tmp_path / "store", Index(table.assign(odd=[1, "two", 3.0, None])))
    with pytest.raises(DataError, match="no usable record"):
        write(tmp_path / "store", Index(table.iloc[:0]))


def test_nothing_kept_is_no_store(tmp_path):
    index = Index(make_index(20).table.iloc[[4, 13]])
    with pytest.raises(DataError, match=r"Not one of the 2 records.*truncated"):
        write(tmp_path / "store", index)
