"""Who trains, through the data modules: folds, few shots, subjects who test elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from own_files import write_sound, write_table

from data_modules.code15 import CODE15DataModule
from data_modules.folder import FolderDataModule
from data_modules.ptbxl import PTBXLDataModule
from pahcl.cli import main
from pahcl.errors import UsageError


@pytest.fixture(scope="module")
def stores(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    PTBXLDataModule.prepare(corpora / "ptb-xl", folder / "ptbxl", 100, progress=False)
    return folder


def ptbxl(stores: Path, **settings: Any) -> PTBXLDataModule:
    module = PTBXLDataModule(store=str(stores / "ptbxl"), fs=100, **settings)
    module.prepare_data()
    module.setup()
    return module


def subjects(module: PTBXLDataModule, split: str) -> set[str]:
    return set(module.store.table["subject_id"].iloc[module.rows[split]])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"folds": 2}, r"data\.init_args\.folds must be at least 3"),
        ({"folds": 5, "fold": 5}, r"data\.init_args\.fold must be from 0 to 4, got 5"),
        ({"fold": 1}, r"data\.init_args\.fold must be from 0 to 0"),
        ({"shots": 0}, r"data\.init_args\.shots must be at least 1"),
        ({"shots": 3, "fraction": 0.5}, "give one of them"),
        ({"split_tables": "there", "task": "af"}, "no split tables are published"),
    ],
)
def test_impossible_choices_are_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        CODE15DataModule(**settings)


def test_folds_replace_the_publishers_split(stores: Path) -> None:
    modules = [ptbxl(stores, folds=4, fold=fold) for fold in range(4)]
    tested = [set(module.test_records()["subject_id"]) for module in modules]
    assert set.union(*tested) == set(modules[0].store.table["subject_id"])
    assert sum(map(len, tested)) == len(set.union(*tested))
    for module in modules:
        assert not subjects(module, "train") & (subjects(module, "val") | subjects(module, "test"))
    assert modules[1].data_receipt()["folds"] == 4
    assert modules[1].data_receipt()["splits"] != modules[2].data_receipt()["splits"]


def test_few_shots_take_so_many_subjects_of_each_class(stores: Path) -> None:
    few, more = (ptbxl(stores, shots=shots) for shots in (1, 3))
    assert subjects(few, "train") < subjects(more, "train")
    for name in ("val", "test"):
        assert subjects(few, name) == subjects(more, name)
    targets = more.targets[more.rows["train"]]
    for column, name in enumerate(more.task.classes):
        having = set(
            more.store.table["subject_id"].iloc[more.rows["train"]][targets[:, column] > 0]
        )
        assert len(having) >= more.data_receipt()["fewer_than_shots"].get(name, 3)


def test_shots_of_a_regression_are_refused() -> None:
    age = CODE15DataModule.tasks["age"]
    selection = CODE15DataModule(task="age", shots=2).selection
    both = np.array([True, True])
    with pytest.raises(UsageError, match="is a regression"):
        selection.training(age, pd.Series(["a", "b"]), np.ones((2, 1)), both, both)


def test_whoever_tests_elsewhere_does_not_train(stores: Path) -> None:
    downstream = ptbxl(stores, folds=4, fold=0)
    alone = ptbxl(stores)
    tested = set(downstream.test_records()["subject_id"])
    assert tested & (subjects(alone, "train") | subjects(alone, "val"))
    pretraining = ptbxl(
        stores,
        exclude_test_of=[PTBXLDataModule(store=str(stores / "ptbxl"), fs=100, folds=4, fold=0)],
    )
    assert not tested & (subjects(pretraining, "train") | subjects(pretraining, "val"))
    assert subjects(pretraining, "test") == subjects(alone, "test")
    (fact,) = pretraining.data_receipt()["excluded"]
    assert fact["dataset"] == "ptbxl"
    assert fact["test_records"] == len(downstream.test_records())
    assert pretraining.data_receipt()["left_out"] == fact["left_out_records"] > 0


class Elsewhere:
    """Another data set, which holds recordings of this one under other names."""

    name = "elsewhere"

    def __init__(self, tested: pd.DataFrame) -> None:
        self.tested = tested

    def prepare_data(self) -> None:
        pass

    def test_records(self) -> pd.DataFrame:
        return self.tested


def test_recordings_that_another_data_set_tests_are_known_by_their_samples(stores: Path) -> None:
    alone = ptbxl(stores)
    tested = alone.used_records().groupby("split").head(3)
    tested = tested.assign(subject_id="somebody", source_sha256=None)
    module = PTBXLDataModule(store=str(stores / "ptbxl"), fs=100)
    module.exclude_test_of = [Elsewhere(tested)]  # type: ignore[list-item]
    module.prepare_data()
    module.setup()
    used = module.used_records()
    assert not set(used.loc[used["split"] != "test", "digest"]) & set(tested["digest"])
    (fact,) = module.data_receipt()["excluded"]
    assert fact["test_records"] == len(tested) == 9
    assert fact["left_out_records"] >= fact["of_the_same_samples"] >= 6


def own(place: Path, folder: str, **settings: Any) -> FolderDataModule:
    settings |= {"root": str(place / folder), "store": str(place / "s" / folder)}
    return FolderDataModule(prepare_workers=1, **settings)


def write_people(root: Path, people: int, first: int, name: str = "p") -> None:
    """Write two sounds of each person, a seed for each sound."""
    rows: list[tuple[object, ...]] = [("path", "subject", "label")]
    for number in range(2 * people):
        write_sound(root / f"r{number}.wav", seed=first + number)
        rows.append((f"r{number}.wav", f"{name}{number // 2}", number // 2 % 2))
    write_table(root / "t.csv", rows)


def test_shared_recordings_are_known_at_any_rate_and_with_them_their_person(tmp_path: Path) -> None:
    write_people(tmp_path / "one", people=12, first=0)
    write_people(tmp_path / "two", people=12, first=0, name="q")
    downstream = own(tmp_path, "two", fs=1000)
    pretraining = own(tmp_path, "one", exclude_test_of=[own(tmp_path, "two", fs=1000)])
    for module in (downstream, pretraining):
        module.prepare_data()
        module.setup()
    tested = {name.replace("q", "p") for name in downstream.test_records()["subject_id"]}
    assert tested
    assert not tested & (subjects(pretraining, "train") | subjects(pretraining, "val"))
    used = [set(one.used_records()["digest"]) for one in (pretraining, downstream)]
    assert used[0] & used[1]  # by them `pahcl doctor` tells equal recordings of two runs


def test_the_other_recordings_of_a_person_who_tests_elsewhere_are_left_out_too(
    tmp_path: Path,
) -> None:
    write_people(tmp_path / "one", people=12, first=0)
    everybody = own(tmp_path, "one")
    everybody.prepare_data()
    everybody.setup()
    person = min(subjects(everybody, "train"))
    rows = everybody.records[everybody.records["subject_id"] == person]
    module = own(tmp_path, "one")
    other = Elsewhere(rows.head(1).assign(subject_id="somebody"))
    module.exclude_test_of = [other]  # type: ignore[list-item]
    module.setup()
    assert person not in subjects(module, "train") | subjects(module, "val")
    (fact,) = module.data_receipt()["excluded"]
    assert (fact["of_the_same_samples"], fact["left_out_records"]) == (1, 2)


def test_people_of_two_folders_are_others_even_under_one_name(tmp_path: Path) -> None:
    write_people(tmp_path / "one", people=12, first=0)
    write_people(tmp_path / "two", people=12, first=500)
    module = own(tmp_path, "one", exclude_test_of=[own(tmp_path, "two")])
    module.prepare_data()
    module.setup()
    (fact,) = module.data_receipt()["excluded"]
    assert (fact["test_records"] > 0, fact["left_out_records"]) == (True, 0)
    stored = FolderDataModule(store=str(tmp_path / "s" / "one"))
    assert module.shares_subjects(own(tmp_path, "one", split_seed=7))
    assert module.shares_subjects(stored)  # of which folder it is, is not known


def test_a_config_names_what_is_tested_elsewhere(stores: Path, place: Path, tmp_path: Path) -> None:
    shutil.copytree(stores / "ptbxl", tmp_path / "ptbxl")
    config = tmp_path / "pretrain.yaml"
    config.write_text(
        f"""
data:
  class_path: PTBXLDataModule
  init_args:
    store: {tmp_path}/ptbxl
    fs: 100
    length: 256
    exclude_test_of:
      - class_path: PTBXLDataModule
        init_args: {{store: {tmp_path}/ptbxl, fs: 100, folds: 3, fold: 1}}
model:
  class_path: Finetuning
  init_args: {{encoder: {{class_path: SmallResNet1d}}}}
trainer: {{max_epochs: 1, limit_train_batches: 1, limit_val_batches: 1, accelerator: cpu}}
""",
        encoding="utf-8",
    )
    arguments = ["--config", str(config), "--run.root", str(tmp_path / "runs"), "--run.name", "a"]
    assert main(["fit", *arguments, "--run.wandb", "off", "--run.tensorboard", "false"]) == 0
    splits = pd.read_parquet(next((tmp_path / "runs").rglob("splits.parquet")))
    tested = PTBXLDataModule(store=str(tmp_path / "ptbxl"), fs=100, folds=3, fold=1)
    assert not set(splits.loc[splits["split"] != "test", "subject_id"]) & set(
        tested.test_records()["subject_id"]
    )
