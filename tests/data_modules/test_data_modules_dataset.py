"""Batches and the order in which they come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from data_modules._dataset import BatchDataset, EpochSampler, Window, as_is, uniform
from pahcl.signals import STANDARD_12, Recording, convert
from pahcl.signals.spec import SignalSpec
from pahcl.store import Index, SignalStore, write_store

LENGTHS = [50, 120, 80, 100, 300, 60, 90]


def read(row: Mapping[str, Any]) -> Recording:
    rng = np.random.default_rng(int(row["record_id"]))
    steps = rng.integers(-500, 500, (12, row["_samples"]))
    signal = (steps / 1000).astype(np.float32)
    return Recording(
        signal, 100.0, STANDARD_12, "mV", str(row["record_id"]), "s", np.full(12, 0.001)
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SignalStore:
    out = tmp_path_factory.mktemp("store") / "ragged"
    ids = [str(number) for number in range(len(LENGTHS))]
    table = pd.DataFrame({"record_id": ids, "subject_id": "s", "file": "f", "_samples": LENGTHS})
    write_store(
        out,
        Index(table),
        read,
        dataset="toy",
        dataset_version="1",
        modality="ecg",
        leads=STANDARD_12,
        unit="mV",
        fs=100.0,
        progress=False,
    )
    return SignalStore(out)


def serve(store: SignalStore, **window: object) -> BatchDataset:
    targets = np.arange(len(LENGTHS), dtype=np.float32)[:, None]
    return BatchDataset(store, np.arange(len(LENGTHS)), targets, Window(100, **window))  # type: ignore[arg-type]


@pytest.mark.parametrize("pad", ["center", "end"])
def test_centre_windows_are_what_conversion_gives(store: SignalStore, pad: str) -> None:
    spec = SignalSpec("ecg", 100.0, 100, STANDARD_12)
    batch = serve(store, pad=pad).__getitems__(list(range(len(LENGTHS))))
    for row in range(len(LENGTHS)):
        signal, mask = convert(store.read(row), spec, pad=pad)  # type: ignore[arg-type]
        got = batch["samples"][row].numpy() * batch["scale"][row].numpy()[:, None]
        np.testing.assert_allclose(got, signal, atol=1e-6)
        real = np.zeros(100, dtype=bool)
        real[int(batch["start"][row]) : int(batch["stop"][row])] = True
        assert (real == mask).all()
    assert batch["samples"].dtype == torch.int16
    assert batch["record_id"] == [str(row) for row in range(len(LENGTHS))]
    assert batch["target"][:, 0].tolist() == list(range(len(LENGTHS)))


def test_random_windows_come_from_the_record_and_move_with_the_epoch(store: SignalStore) -> None:
    data = serve(store, crop="random", seed=5)
    whole = store.read(4).signal
    seen = set()
    for epoch in range(8):
        batch = data.__getitems__([epoch * len(data) + 4])
        window = batch["samples"][0].numpy() * batch["scale"][0].numpy()[:, None]
        places = [
            begin
            for begin in range(201)
            if np.allclose(whole[:, begin : begin + 100], window, atol=1e-6)
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) > 4


def test_a_random_window_does_not_depend_on_its_batch_and_keeps_short_records_whole(
    store: SignalStore,
) -> None:
    data = serve(store, crop="random", seed=5)
    together = data.__getitems__([7 + row for row in range(7)])
    for row in range(7):
        alone = data.__getitems__([7 + row])
        assert torch.equal(alone["samples"][0], together["samples"][row])
    centre = serve(store).__getitems__([0])
    assert torch.equal(together["samples"][0], centre["samples"][0])
    assert int(together["start"][0]) == int(centre["start"][0]) == 25


def test_uniform_numbers_are_uniform_and_keyed() -> None:
    rows = np.arange(20_000)
    first = uniform(0, np.zeros(20_000, dtype=np.int64), rows)
    assert 0 <= first.min() < 0.001
    assert 0.999 < first.max() < 1
    assert abs(first.mean() - 0.5) < 0.01
    for other in (uniform(1, rows * 0, rows), uniform(0, rows * 0 + 1, rows)):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.03


def epochs(sampler: EpochSampler, count: int) -> list[list[int]]:
    orders = []
    for epoch in range(count):
        sampler.set_epoch(epoch)
        orders.append([index % sampler.records for index in sampler])
    return orders


def test_order_is_a_pure_function_of_seed_and_epoch(store: SignalStore) -> None:
    data = serve(store)
    first, second = (epochs(EpochSampler(data, True, seed=3), 4) for _ in range(2))
    assert first == second
    assert len({tuple(order) for order in first}) == 4
    assert all(sorted(order) == list(range(7)) for order in first)
    resumed = EpochSampler(data, True, seed=3)
    resumed.set_epoch(2)
    assert [index % 7 for index in resumed] == first[2]
    assert epochs(EpochSampler(data, True, seed=4), 1) != first[:1]


def test_a_lonely_last_record_is_left_out_of_training_another_one_each_time(
    store: SignalStore,
) -> None:
    data = serve(store)
    sampler = EpochSampler(data, True, batch_size=3)
    orders = epochs(sampler, 6)
    assert len(sampler) == 6
    assert all(len(order) == 6 for order in orders)
    assert len({(set(range(7)) - set(order)).pop() for order in orders}) > 1
    assert len(EpochSampler(data, True, batch_size=4)) == 7
    assert len(EpochSampler(data, False)) == 7


def test_two_processes_see_together_what_one_sees(store: SignalStore) -> None:
    data = serve(store)
    one = list(EpochSampler(data, True, seed=1, batch_size=4))
    ranks = [list(EpochSampler(data, True, 1, 2, world_size=2, rank=rank)) for rank in range(2)]
    assert len(ranks[0]) == len(ranks[1]) == 4
    for step in range(0, 4, 2):
        both = ranks[0][step : step + 2] + ranks[1][step : step + 2]
        expected = one[2 * step : 2 * step + 4]
        assert set(both) >= set(expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_worker_processes_give_the_same_batches(store: SignalStore, workers: int) -> None:
    data = serve(store, crop="random", seed=9)
    batches = []
    for count in (0, workers):
        sampler = EpochSampler(data, True, seed=2)
        sampler.set_epoch(3)
        loader = DataLoader(
            data, batch_size=3, sampler=sampler, num_workers=count, collate_fn=as_is
        )
        batches.append(list(loader))
    for mine, theirs in zip(*batches, strict=True):
        assert mine["record_id"] == theirs["record_id"]
        assert torch.equal(mine["samples"], theirs["samples"])
