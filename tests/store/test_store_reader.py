from __future__ import annotations

import json
import multiprocessing
import pickle
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from store_corpus import LEADS, make_index, put_sum, read, steps_of, write

import pahcl
from pahcl.errors import StoreError
from pahcl.signals import crop_or_pad
from pahcl.store import SignalStore


@pytest.fixture(scope="module")
def ragged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ragged") / "store"
    write(folder, make_index(30))
    return SignalStore(folder)


@pytest.fixture(scope="module")
def equal(tmp_path_factory):
    folder = tmp_path_factory.mktemp("equal") / "store"
    write(folder, make_index(30), lambda row: read(row, ragged=False))
    return SignalStore(folder)


def cut(samples, begin, length):
    """The slow and plain meaning of a window."""
    window = np.zeros((len(samples), length), dtype=np.int16)
    real = np.zeros(length, dtype=bool)
    for time in range(length):
        if 0 <= begin + time < samples.shape[1]:
            window[:, time] = samples[:, begin + time]
            real[time] = True
    return window, real


@given(data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("name", ["ragged", "equal"])
def test_windows_are_those_of_crop_or_pad(name, data, request):
    store = request.getfixturevalue(name)
    indices = data.draw(st.lists(st.integers(0, len(store) - 1), max_size=40))
    length = data.draw(st.one_of(st.just(50), st.integers(1, 400)))
    pad = data.draw(st.sampled_from(["center", "end"]))
    gathered = store.gather(indices, length, pad)
    assert gathered.samples.shape == (len(indices), len(LEADS), length)
    for row, index in enumerate(indices):
        expected, mask = crop_or_pad(store.packed(index).astype(np.float32), length, pad)
        np.testing.assert_array_equal(gathered.samples[row], expected)
        real = np.arange(length)
        real = (real >= gathered.start[row]) & (real < gathered.stop[row])
        np.testing.assert_array_equal(real, mask)
        np.testing.assert_array_equal(gathered.scale[row], store.scales[index])


@given(data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("name", ["ragged", "equal"])
def test_windows_may_begin_anywhere(name, data, request):
    store = request.getfixturevalue(name)
    indices = data.draw(st.lists(st.integers(0, len(store) - 1), min_size=1, max_size=20))
    begin = [data.draw(st.integers(-150, 150)) for _ in indices]
    length = data.draw(st.integers(1, 120))
    gathered = store.gather(np.array(indices), length, begin=begin)
    for row, index in enumerate(indices):
        window, real = cut(store.packed(index), begin[row], length)
        np.testing.assert_array_equal(gathered.samples[row], window)
        assert gathered.stop[row] - gathered.start[row] == real.sum()
        assert real[gathered.start[row] : gathered.stop[row]].all()


@pytest.mark.parametrize(("name", "length"), [("equal", 50), ("equal", 30), ("ragged", 90)])
def test_batches_go_to_torch_without_a_copy_or_a_warning(name, length, request):
    gathered = request.getfixturevalue(name).gather([3, 1, 2], length)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for array in gathered:
            assert array.flags.writeable
            assert array.flags.c_contiguous
            assert torch.from_numpy(array).data_ptr() == array.ctypes.data
    assert gathered.samples.dtype == np.int16
    assert gathered.scale.dtype == np.float32
    assert gathered.start.dtype == gathered.stop.dtype == np.int64


def test_a_batch_is_the_callers_own(equal):
    first = equal.gather([0, 1], 50)
    first.samples[:] = 7
    first.scale[:] = 7
    assert not (equal.gather([0, 1], 50).samples == 7).all()
    assert not (equal.scales[0] == 7).any()
    with pytest.raises(ValueError, match="read-only"):
        equal.packed(0)[0, 0] = 1


def test_records_that_are_not_there_are_refused(ragged):
    for indices in ([len(ragged)], [-1], [0.5], [True]):
        with pytest.raises(IndexError):
            ragged.gather(indices, 10)
    with pytest.raises(IndexError):
        ragged.read(len(ragged))
    assert ragged.gather([], 10).samples.shape == (0, len(LEADS), 10)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_store_goes_to_other_processes(ragged, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    expected = int(ragged.gather([0, 5, 9], 60).samples.astype(np.int64).sum())
    context = multiprocessing.get_context(method)
    results = context.Queue()
    process = context.Process(target=put_sum, args=(ragged, results))
    process.start()
    assert results.get(timeout=60) == expected
    process.join(timeout=60)


def test_a_pickled_store_is_small_and_works(ragged):
    text = pickle.dumps(ragged)
    assert len(text) < 500
    again = pickle.loads(text)
    np.testing.assert_array_equal(again.gather([2], 30).samples, ragged.gather([2], 30).samples)


def test_what_a_store_says_of_itself(ragged):
    assert ragged.spec.length is None
    assert ragged.spec.leads == LEADS
    assert len(ragged) == len(ragged.table) == len(ragged.lengths) == 27
    assert ragged.scales.shape == (27, len(LEADS))
    assert "27 records" in repr(ragged)
    row = ragged.table.iloc[7]
    np.testing.assert_array_equal(ragged.packed(7), steps_of(row))


@pytest.fixture
def broken(tmp_path):
    folder = tmp_path / "store"
    write(folder)
    return folder


def test_an_incomplete_store_is_refused(broken):
    (broken / "manifest.json").unlink()
    with pytest.raises(StoreError, match=r"not a complete store.*pahcl prepare"):
        SignalStore(broken)
    with pytest.raises(StoreError, match="There is no store at"):
        SignalStore(broken / "nowhere")


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_an_unknown_format_is_refused(broken, version):
    path = broken / "manifest.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "format_version": version, "later": 1}))
    said = rf"format {version!r}; .*\({pahcl.__version__}\) reads 1\. Delete .* another folder"
    with pytest.raises(StoreError, match=said):
        SignalStore(broken)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format_version": 1}'])
def test_a_damaged_manifest_is_refused(broken, text):
    (broken / "manifest.json").write_text(text)
    with pytest.raises(StoreError, match="damaged"):
        SignalStore(broken)


def test_a_missing_or_cut_file_is_refused(broken):
    shard = broken / "shards" / "00001.bin"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    with pytest.raises(StoreError, match=r"00001\.bin has \d+ bytes, not"):
        SignalStore(broken)
    shard.unlink()
    with pytest.raises(StoreError, match=r"00001\.bin is missing"):
        SignalStore(broken)
    shard.write_bytes(content)
    (broken / "records.parquet").unlink()
    with pytest.raises(StoreError, match=r"records\.parquet is missing"):
        SignalStore(broken)


@pytest.mark.parametrize(
    ("column", "value"), [("offset", 10**9), ("offset", -2), ("shard", 99), ("length", 0)]
)
def test_a_table_that_points_outside_its_shard_is_refused(broken, column, value):
    path = broken / "records.parquet"
    table = pq.read_table(path)
    values = table[column].to_numpy().copy()
    values[3] = value
    place = table.schema.get_field_index(column)
    field = table.schema.field(column)
    pq.write_table(table.set_column(place, field, pa.array(values, field.type)), path)
    with pytest.raises(StoreError, match="places record 3 outside"):
        SignalStore(broken).gather([0], 10)


@pytest.mark.parametrize("column", ["digest", "scale"])
def test_a_table_that_lacks_a_column_is_refused(broken, column):
    path = broken / "records.parquet"
    pq.write_table(pq.read_table(path).drop_columns([column]), path)
    with pytest.raises(StoreError, match=f"lacks the column.*{column}"):
        SignalStore(broken).read(0)


def test_a_table_that_is_not_parquet_is_refused(broken):
    path = broken / "records.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match="cannot be read"):
        _ = SignalStore(broken).table


def test_a_table_of_another_length_is_refused(broken):
    path = broken / "records.parquet"
    pq.write_table(pq.read_table(path).slice(0, 3), path)
    with pytest.raises(StoreError, match="3 rows, not 18"):
        SignalStore(broken).gather([0], 10)
