"""What all data sets share: stores made, checked and refused; receipts; sane arguments."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from data_modules._statistics import class_weights, label_statistics
from data_modules._stores import all_cores
from data_modules.code15 import CODE15DataModule
from data_modules.ptbxl import PTBXLDataModule
from pahcl.errors import DataError, SpecError, StoreError, UsageError
from pahcl.signals import Filter
from pahcl.store import SignalStore
from pahcl.task import Task


@pytest.fixture(scope="module")
def stores(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both simulated corpora, packed: PTB-XL at 100 Hz, CODE-15% at 400 Hz."""
    folder = tmp_path_factory.mktemp("stores")
    PTBXLDataModule.prepare(corpora / "ptb-xl", folder / "ptbxl", 100, progress=False)
    CODE15DataModule.prepare(corpora / "code15", folder / "code15", progress=False)
    return folder


def code15(stores: Path, **settings: Any) -> CODE15DataModule:
    module = CODE15DataModule(store=str(stores / "code15"), **settings)
    module.prepare_data()
    module.setup()
    return module


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"task": "afib"}, "has no task `afib`; it has af, code6"),
        ({"fraction": 0}, r"data\.init_args\.fraction"),
        ({"fraction": 1.5}, r"data\.init_args\.fraction"),
        ({"batch_size": 0}, r"data\.init_args\.batch_size"),
        ({"length": 0}, r"data\.init_args\.length"),
        ({"num_workers": -1}, r"data\.init_args\.num_workers"),
        ({"val_fraction": 0.6, "test_fraction": 0.5}, r"data\.init_args\.val_fraction"),
        ({"fs": -100}, r"data\.init_args\.fs"),
        ({"seed": -1}, r"data\.init_args\.seed must be 0 or more, got -1"),
        ({"split_seed": -2}, r"data\.init_args\.split_seed must be 0 or more, got -2"),
        ({"prepare_workers": 0}, r"data\.init_args\.prepare_workers must be .*, got 0"),
    ],
)
def test_impossible_arguments_are_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        CODE15DataModule(**settings)


def test_an_unknown_lead_is_refused() -> None:
    with pytest.raises(SpecError, match="V99"):
        CODE15DataModule(leads=["I", "V99"])


def test_neither_root_nor_store_says_how_to_get_data(tmp_path: Path) -> None:
    module = CODE15DataModule(root=str(tmp_path / "none"), store=str(tmp_path / "store"))
    with pytest.raises(
        DataError,
        match=r"data\.init_args\.root.*pahcl download code15 --out .*pahcl simulate code15",
    ):
        module.prepare_data()


def test_a_store_of_another_data_set_is_refused(stores: Path) -> None:
    module = PTBXLDataModule(store=str(stores / "code15"), fs=400)
    with pytest.raises(StoreError, match="holds the data set `code15`"):
        module.prepare_data()


def test_paths_default_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAHCL_DATA", "/corpora")
    monkeypatch.setenv("PAHCL_STORES", "/stores")
    module = PTBXLDataModule()
    assert module.root == Path("/corpora/ptb-xl")
    assert module.store_path == Path("/stores/ptbxl")


def test_another_rate_filter_or_leads_make_a_second_store_once(
    stores: Path, tmp_path: Path
) -> None:
    shutil.copytree(stores / "code15", tmp_path / "code15")
    settings = {"fs": 100.0, "leads": ["II", "V5"], "filter": Filter(highpass=0.5)}
    module = code15(tmp_path, **settings)
    assert module.store.spec.fs == 100
    assert module.store.spec.leads == ("II", "V5")
    assert module.store.manifest.parent == SignalStore(tmp_path / "code15").manifest.digest
    stamp = (module.store.path / "manifest.json").stat().st_mtime_ns
    again = code15(tmp_path, **settings)
    assert again.store.path == module.store.path
    assert (again.store.path / "manifest.json").stat().st_mtime_ns == stamp
    assert len(list(tmp_path.glob("code15*"))) == 2
    batch = next(iter(again.train_dataloader()))
    assert batch["samples"].shape[1:] == (2, 1024)


def test_setup_before_the_second_store_is_made_says_so(stores: Path) -> None:
    module = CODE15DataModule(store=str(stores / "code15"), fs=250)
    with pytest.raises(StoreError, match=r"prepare_data\(\)"):
        module.setup()


def test_a_filtered_store_is_not_unfiltered(stores: Path, tmp_path: Path) -> None:
    shutil.copytree(stores / "code15", tmp_path / "code15")
    filtered = code15(tmp_path, filter=Filter(highpass=0.5)).store.path
    module = CODE15DataModule(store=str(filtered), filter=Filter(notch=60))
    with pytest.raises(StoreError, match="cannot be undone"):
        module.prepare_data()


def test_the_store_is_packed_with_all_cores_by_default() -> None:
    assert CODE15DataModule().prepare_workers == all_cores() >= 1
    assert CODE15DataModule(prepare_workers=3).prepare_workers == 3


@pytest.mark.parametrize("order", [(100, 500, 250), (500, 250, 100), (250, 100, 500)])
def test_batches_do_not_depend_on_what_was_packed_before(
    corpora: Path, stores: Path, tmp_path: Path, order: tuple[float, ...]
) -> None:
    root = tmp_path / "ptb-xl"
    root.mkdir()
    for name in ("records100", "records500"):
        (root / name).symlink_to(corpora / "ptb-xl" / name)
    table = pd.read_csv(corpora / "ptb-xl" / "ptbxl_database.csv")
    table.groupby("strat_fold").head(3).to_csv(root / "ptbxl_database.csv", index=False)
    settings: dict[str, Any] = {"root": str(root), "store": str(tmp_path / "ptbxl"), "length": 400}
    modules = {fs: PTBXLDataModule(fs=fs, prepare_workers=1, **settings) for fs in order}
    for module in modules.values():
        module.prepare_data()
    for fs, module in modules.items():
        module.setup()
        assert module.store.spec.fs == fs
    first, second = (100, 500) if order[0] == 100 else (500, 100)
    assert SignalStore(tmp_path / "ptbxl").spec.fs == first
    assert SignalStore(tmp_path / f"ptbxl-{second}hz").spec.fs == second
    published = SignalStore(stores / "ptbxl").table.set_index("record_id")["digest"]
    low = modules[100].store
    assert low.manifest.parent is None
    assert low.table["digest"].tolist() == published[low.table["record_id"]].tolist()
    assert modules[250].store.manifest.parent == modules[500].store.manifest.digest


def test_training_alone_tells_weights_and_statistics(stores: Path) -> None:
    module = code15(stores, task="code6")
    train = module.targets[module.rows["train"]]
    positives = (train == 1).sum(axis=0)
    assert module.label_statistics["positives"] == positives.tolist()
    assert module.class_weights is not None
    has_both = (positives > 0) & (positives < len(train))
    expected = (len(train) - positives[has_both]) / positives[has_both]
    np.testing.assert_allclose(module.class_weights.numpy()[has_both], expected, rtol=1e-6)


def test_statistics_of_every_kind_of_task() -> None:
    three = Task("three", "multiclass", ("x", "y", "z"), ("label",), "macro_auroc")
    targets = np.array([0, 0, 0, 1, -1])
    weights = class_weights(three, targets)
    assert weights is not None
    np.testing.assert_allclose(weights.numpy(), [4 / 9, 4 / 3, 1], rtol=1e-6)
    assert label_statistics(three, targets) == {"positives": [3, 1, 0], "negatives": [1, 3, 4]}
    age = Task("age", "regression", ("age",), ("age",), "mae")
    ages = np.array([[10.0], [30], [np.nan]], dtype=np.float32)
    assert class_weights(age, ages) is None
    assert label_statistics(age, ages) == {"mean": [20.0], "std": [10.0]}
    assert label_statistics(age, ages[:1])["std"] == [1.0]


def test_fractions_are_nested_by_subject_in_the_module(stores: Path) -> None:
    chosen = {
        fraction: set(module.store.table["subject_id"].iloc[module.rows["train"]])
        for fraction in (0.1, 0.3, 1.0)
        for module in [code15(stores, fraction=fraction)]
    }
    assert chosen[0.1] < chosen[0.3] < chosen[1.0]
    whole = code15(stores, fraction=0.3, fraction_of="dataset")
    of_all = set(whole.store.table["subject_id"].iloc[whole.rows["train"]])
    assert len(of_all) == np.ceil(0.3 * whole.store.table["subject_id"].nunique())
    assert of_all > chosen[0.3]
    full = code15(stores)
    for name in ("val", "test"):
        assert whole.rows[name].tolist() == full.rows[name].tolist()


def test_unlabelled_records_are_counted_and_served_by_predict_alone(stores: Path) -> None:
    module = PTBXLDataModule(store=str(stores / "ptbxl"), fs=100, task="form")
    module.prepare_data()
    module.setup()
    assert sum(module.unlabelled.values()) > 0
    assert np.isfinite(module.targets[module.rows["train"]]).any(axis=1).all()
    scored = sum(len(batch["record_id"]) for batch in module.val_dataloader())
    predicted = sum(len(batch["record_id"]) for batch in module.predict_dataloader())
    assert predicted == scored + module.unlabelled["val"]
    assert module.data_receipt()["unlabelled"] == module.unlabelled


def test_an_empty_split_is_named(stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = CODE15DataModule(store=str(stores / "code15"))
    monkeypatch.setattr(
        module, "split", lambda table: pd.Series("train", index=table.index, dtype=object)
    )
    with pytest.raises(DataError, match="val split of CODE-15%"):
        module.setup()


def test_leaking_subjects_are_refused(stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = CODE15DataModule(store=str(stores / "code15"))

    def leaking(table: pd.DataFrame) -> pd.Series:
        return pd.Series(np.resize(["train", "val", "test"], len(table)), index=table.index)

    monkeypatch.setattr(module, "split", leaking)
    with pytest.raises(DataError, match="more than one split"):
        module.setup()


def test_the_receipt_names_the_data_and_no_path(stores: Path) -> None:
    first, second = (code15(stores, fraction=0.5).data_receipt() for _ in range(2))
    assert first == second
    assert str(stores) not in str(first)
    whole = code15(stores).data_receipt()
    assert whole["splits"]["test"]["digest"] == first["splits"]["test"]["digest"]
    assert whole["splits"]["train"]["digest"] != first["splits"]["train"]["digest"]
    assert code15(stores, split_seed=1).data_receipt()["splits"]["test"] != whole["splits"]["test"]


class Recorder(LightningModule):
    """Note which records each epoch shows, and in which order."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: dict[int, list[str]] = {}

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        self.seen.setdefault(self.current_epoch, []).extend(batch["record_id"])
        assert batch["signal"].dtype == torch.float32
        assert batch["mask"].shape == (len(batch["record_id"]), batch["signal"].shape[2])
        signal: torch.Tensor = batch["signal"]
        return (self.weight * signal.mean()).sum()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        assert not set(batch["record_id"]) & set(self.seen.get(0, []))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_the_trainer_sees_a_new_order_in_every_epoch_and_the_same_one_again(
    stores: Path, tmp_path: Path
) -> None:
    runs = []
    for _ in range(2):
        model = Recorder()
        trainer = Trainer(
            max_epochs=3,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
            log_every_n_steps=1,
        )
        data = CODE15DataModule(store=str(stores / "code15"), length=256, batch_size=16)
        trainer.fit(model, datamodule=data)
        runs.append(model.seen)
    assert runs[0] == runs[1]
    assert len({tuple(order) for order in runs[0].values()}) == 3
    assert len({frozenset(order) for order in runs[0].values()}) == 1
