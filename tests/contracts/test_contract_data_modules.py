"""The contract of every data module, found by listing `data_modules/`."""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data_modules._cycles import Cycles
from data_modules.base import SignalDataModule
from pahcl.commands._common import datasets, find_data_module
from pahcl.download import Source
from pahcl.store import SignalStore, verify

DATASETS = datasets()
SOUNDS = [name for name in DATASETS if find_data_module(name).modality == "pcg"]
LEARNED = [name for name in DATASETS if "train" in find_data_module(name).sides]
TASKS = [(name, task) for name in DATASETS for task in find_data_module(name).tasks]


@pytest.fixture(scope="module")
def roots(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The publisher's layout of every data set, simulated."""
    found = {}
    for name in DATASETS:
        folder = corpora / find_data_module(name).folder
        if not folder.is_dir():
            folder = tmp_path_factory.mktemp(name)
            importlib.import_module(f"pahcl.simulation.{name}").write(folder, records=96, seed=7)
        found[name] = folder
    return found


@pytest.fixture(scope="module")
def stores(roots: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every data set packed at its lowest rate."""
    folder = tmp_path_factory.mktemp("contract-stores")
    for name, root in roots.items():
        cls = find_data_module(name)
        cls.prepare(root, folder / name, fs=min(cls.rates), progress=False)
    return {name: folder / name for name in roots}


def module_of(name: str, stores: dict[str, Path], **settings: Any) -> SignalDataModule:
    cls = find_data_module(name)
    module = cls(store=str(stores[name]), fs=min(cls.rates), **settings)
    module.prepare_data()
    module.setup()
    return module


@pytest.mark.parametrize("name", DATASETS)
def test_it_says_what_it_is(name: str) -> None:
    cls = find_data_module(name)
    assert cls.name == name
    assert issubclass(cls, SignalDataModule)
    for fact in (cls.title, cls.version, cls.licence, cls.folder):
        assert fact
    assert cls.homepage.startswith("https://")
    assert "doi" in cls.citation or "http" in cls.citation
    page = Path(__file__).parents[2] / "docs" / "datasets" / f"{name}.md"
    assert page.is_file()
    assert cls.licence in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DATASETS)
def test_it_says_where_it_comes_from(name: str) -> None:
    cls = find_data_module(name)
    if name == "folder":  # one's own recordings
        assert cls.source is None
        return
    assert "source" in vars(cls), "a data set that builds on another one has a source of its own"
    assert isinstance(cls.source, Source)
    assert cls.source.edition


@pytest.mark.parametrize("name", DATASETS)
def test_every_argument_is_typed_and_explained(name: str) -> None:
    cls = find_data_module(name)
    for owner in (SignalDataModule, cls):
        documented = inspect.getdoc(owner) or ""
        for argument in inspect.signature(owner.__init__).parameters.values():
            if argument.name == "self":
                continue
            assert argument.annotation is not inspect.Parameter.empty
            assert f"{argument.name}: " in documented


@pytest.mark.parametrize("name", DATASETS)
def test_every_record_is_accounted_for(name: str, stores: dict[str, Path]) -> None:
    store = SignalStore(stores[name])
    counts = store.manifest.counts
    assert counts["found"] == counts["kept"] + counts["rejected"]
    assert counts["kept"] == len(store) > 0
    assert len(store.manifest.rejected) == counts["rejected"] > 0
    assert all(item.reason and item.file for item in store.manifest.rejected)
    assert store.table["record_id"].is_unique
    # Publishers do ship the same samples under two patients; a damaged store is another matter.
    assert {finding.kind for finding in verify(store)} <= {"duplicate content"}


@pytest.mark.parametrize("name", DATASETS)
def test_the_index_is_the_same_every_time(name: str, roots: dict[str, Path]) -> None:
    cls = find_data_module(name)
    first, second = (cls.index(roots[name], min(cls.rates)) for _ in range(2))
    assert first.table.equals(second.table)
    assert first.rejected == second.rejected
    assert first.notes == second.notes


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_batches_keep_the_contract(name: str, task: str, stores: dict[str, Path]) -> None:
    module = module_of(name, stores, task=task, batch_size=16)
    kind, outputs = module.task.kind, module.task.num_outputs
    for loader, split in (
        (module.train_dataloader(), "train"),
        (module.val_dataloader(), "val"),
        (module.test_dataloader(), "test"),
        (module.predict_dataloader(), "val"),
    ):
        if split not in module.sides:
            assert not list(loader)
            continue
        shipped = next(iter(loader))
        assert shipped["samples"].dtype == torch.int16
        batch = module.on_after_batch_transfer(shipped, 0)
        size, length = len(batch["record_id"]), module.spec.length
        assert set(batch) == {"signal", "mask", "target", "record_id", "subject_id"}
        assert batch["signal"].shape == (size, len(module.spec.leads), length)
        assert batch["signal"].dtype == torch.float32
        assert torch.isfinite(batch["signal"]).all()
        assert batch["mask"].shape == (size, length)
        assert batch["mask"].dtype == torch.bool
        assert (batch["signal"].movedim(1, 2)[~batch["mask"]] == 0).all()
        if kind == "multiclass":
            assert batch["target"].shape == (size,)
            assert batch["target"].dtype == torch.int64
        else:
            assert batch["target"].shape == (size, outputs)
            assert batch["target"].dtype == torch.float32
        table = module.store.table.set_index("record_id")
        assert table.loc[batch["record_id"], "subject_id"].tolist() == batch["subject_id"]
        assert set(module.splits[module.store.table["record_id"].isin(batch["record_id"])]) == {
            split
        }


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_splits_are_by_subject_and_the_same_for_every_task(
    name: str, task: str, stores: dict[str, Path]
) -> None:
    module = module_of(name, stores, task=task)
    subjects = module.store.table["subject_id"].to_numpy()
    sides = [set(subjects[rows]) for rows in module.rows.values()]
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(sides, 2))
    assert {name for name, rows in module.rows.items() if len(rows)} == set(module.sides)
    assert module.splits.equals(module_of(name, stores).splits)


@pytest.mark.parametrize("name", LEARNED)
def test_one_epoch_serves_every_training_record_once(name: str, stores: dict[str, Path]) -> None:
    module = module_of(name, stores, batch_size=7)
    served = [record for batch in module.train_dataloader() for record in batch["record_id"]]
    ids = set(module.store.table["record_id"].to_numpy()[module.rows["train"]])
    alone = len(ids) % 7 == 1
    assert len(served) == len(set(served)) == len(ids) - alone
    assert set(served) <= ids


@pytest.mark.parametrize("name", LEARNED)
def test_the_same_seed_gives_the_same_bits(name: str, stores: dict[str, Path]) -> None:
    first, second = (module_of(name, stores, batch_size=8, seed=5, length=300) for _ in range(2))
    for mine, theirs in zip(first.train_dataloader(), second.train_dataloader(), strict=True):
        assert mine["record_id"] == theirs["record_id"]
        assert torch.equal(mine["samples"], theirs["samples"])


@pytest.mark.parametrize("name", LEARNED)
def test_fractions_are_nested_and_spare_the_other_splits(
    name: str, stores: dict[str, Path]
) -> None:
    rows = [module_of(name, stores, fraction=share).rows for share in (0.1, 0.5, 1.0)]
    for small, large in itertools.pairwise(rows):
        assert set(small["train"]) < set(large["train"])
        assert np.array_equal(small["val"], large["val"])
        assert np.array_equal(small["test"], large["test"])


@pytest.mark.parametrize("name", LEARNED)
def test_folds_part_subjects_and_few_shots_leave_the_others_alone(
    name: str, stores: dict[str, Path]
) -> None:
    module = module_of(name, stores, folds=3, fold=1)
    subjects = module.store.table["subject_id"].to_numpy()
    sides = [set(subjects[rows]) for rows in module.rows.values()]
    assert all(sides)
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(sides, 2))
    if module.task.kind == "regression":
        return
    whole, few = (module_of(name, stores, **chosen).rows for chosen in ({}, {"shots": 1}))
    assert 0 < len(few["train"]) < len(whole["train"])
    assert np.array_equal(few["test"], whole["test"])


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds_are_served_as_windows_with_parts(name: str, stores: dict[str, Path]) -> None:
    cycles = Cycles(table="windows", parts=4, per_record=2)
    module = module_of(name, stores, cycles=cycles, normalisation="zscore_record")
    length = module.spec.length or 0
    assert length == 2 * module.spec.fs
    seen: Counter[str] = Counter()
    for shipped in module.train_dataloader():
        batch = module.on_after_batch_transfer(shipped, 0)
        size = len(batch["record_id"])
        assert batch["signal"].shape == (size, 1, length)
        assert batch["signal"].isfinite().all()
        assert batch["mask"].any(dim=1).all()
        assert batch["parts"].shape == (size, 4, 1, length // 4)
        assert batch["cycle"].shape == (size,)
        seen.update(batch["record_id"])
    ids = module.store.table["record_id"]
    assert set(seen) == set(ids.iloc[module.rows["train"]])
    assert max(seen.values()) <= 2
    json.dumps(module.data_receipt())


@pytest.mark.parametrize("name", DATASETS)
def test_the_receipt_is_plain_and_free_of_paths(name: str, stores: dict[str, Path]) -> None:
    receipt = module_of(name, stores).data_receipt()
    text = json.dumps(receipt)
    assert str(stores[name].parent) not in text
    assert receipt["dataset"] == name
    assert set(receipt["splits"]) == {"train", "val", "test"}
