"""Published split tables: found by record, with their faults and without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data_modules._csn_labels import MERL
from data_modules.csn import CSNDataModule
from data_modules.ptbxl import PTBXLDataModule
from pahcl.errors import DataError, UsageError
from pahcl.store import SignalStore

CLASSES = ("AMI", "ISC", "AVB", "RAO/RAE")


@pytest.fixture(scope="module")
def store(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "ptbxl"
    PTBXLDataModule.prepare(corpora / "ptb-xl", folder, 100, progress=False)
    return folder


def write_tables(
    folder: Path, records: list[str], sides: list[str], rng: np.random.Generator
) -> pd.DataFrame:
    """Write MERL's form of PTB-XL, whose training table has its classes in another order."""
    folder.mkdir()
    labels = pd.DataFrame(rng.integers(0, 2, (len(records), 4)), columns=list(CLASSES))
    facts = pd.DataFrame(
        {
            "ecg_id": records,
            "patient_id": [f"{int(one)}.0" for one in records],
            "strat_fold": 1,
            "filename_lr": "records100/x_lr",
            "sub_class": "['AMI']",
        }
    )
    table = pd.concat([facts, labels], axis=1)
    table["split"] = sides
    orders = {"train": ("AMI", "AVB", "RAO/RAE", "ISC"), "val": CLASSES, "test": CLASSES}
    for split, order in orders.items():
        part = table[table["split"] == split]
        part[[*facts.columns, *order]].to_csv(folder / f"ptbxl_sub_class_{split}.csv", index=False)
    return table.set_index("ecg_id")


def listed(store: Path) -> tuple[list[str], list[str]]:
    """Give the records of a store in another order, and a split by subject."""
    table = SignalStore(store).table.sample(frac=1, random_state=0)
    codes = pd.factorize(table["subject_id"])[0] % 5
    return table["record_id"].tolist(), [("test", "val", *["train"] * 3)[code] for code in codes]


def published(store: Path, tables: Path, protocol: Any) -> PTBXLDataModule:
    module = PTBXLDataModule(store=str(store), fs=100, split_tables=str(tables), protocol=protocol)
    module.setup()
    return module


def test_records_are_found_by_identifier_and_labels_by_protocol(
    store: Path, tmp_path: Path
) -> None:
    ids, sides = listed(store)
    rng = np.random.default_rng(0)
    truth = write_tables(tmp_path / "tables", [*ids[:-5], "99999"], [*sides[:-5], "train"], rng)
    fixed, legacy = (published(store, tmp_path / "tables", one) for one in ("fixed", "legacy"))
    assert fixed.task.classes == legacy.task.classes == CLASSES
    table = fixed.store.table
    for split in ("train", "val", "test"):
        ours = table["record_id"].iloc[fixed.rows[split]].tolist()
        assert set(ours) == set(truth.index[truth["split"] == split]) - {"99999"}
        assert np.array_equal(fixed.rows[split], legacy.rows[split])
        named = truth.loc[ours, list(CLASSES)].to_numpy()
        assert np.array_equal(fixed.targets[fixed.rows[split]], named)
        # As the published programs read it: the k-th column of the table is the k-th class.
        order = ["AMI", "AVB", "RAO/RAE", "ISC"] if split == "train" else list(CLASSES)
        assert np.array_equal(legacy.targets[legacy.rows[split]], truth.loc[ours, order].to_numpy())
    receipt = fixed.data_receipt()
    assert receipt["published"]["not_in_the_store"] == 1
    assert receipt["published"]["protocol"] == "fixed"
    assert receipt["left_out"] == 5
    assert list(receipt["published"]["notes"].values()) == [1]


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("missing", "no such file for val"),
        ("twice", "more than once"),
        ("classes", "do not name the same classes: ISC"),
        ("strangers", "none of which is in the store"),
    ],
)
def test_tables_that_cannot_be_used_are_named(
    store: Path, tmp_path: Path, damage: str, named: str
) -> None:
    tables = tmp_path / "tables"
    ids, sides = listed(store)
    ids = [str(int(one) + 100_000) for one in ids] if damage == "strangers" else ids
    write_tables(tables, ids, sides, np.random.default_rng(1))
    if damage == "missing":
        (tables / "ptbxl_sub_class_val.csv").unlink()
    elif damage == "twice":
        first = pd.read_csv(tables / "ptbxl_sub_class_train.csv")
        test = pd.read_csv(tables / "ptbxl_sub_class_test.csv")
        pd.concat([test, first.head(1)]).to_csv(tables / "ptbxl_sub_class_test.csv", index=False)
    elif damage == "classes":
        val = pd.read_csv(tables / "ptbxl_sub_class_val.csv")
        val.drop(columns="ISC").to_csv(tables / "ptbxl_sub_class_val.csv", index=False)
    with pytest.raises(DataError, match=named):
        published(store, tables, "fixed")


def test_a_task_beside_the_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="brings its own task"):
        PTBXLDataModule(split_tables=str(tmp_path), task="form")


def test_csn_corrects_labels_that_were_cut_out_of_text(corpora: Path, tmp_path: Path) -> None:
    """`AF` in `AFIB,TWC` counts as flutter in the published tables; the record's codes know."""
    CSNDataModule.prepare(corpora / "csn", tmp_path / "store", progress=False)
    table = SignalStore(tmp_path / "store").table
    own = table[[f"dx/{name}" for name in MERL]].set_axis(list(MERL), axis=1).fillna(0).astype(int)
    faulty = own.assign(AF=own[["AF", "AFIB"]].max(axis=1))
    assert not faulty.equals(own)
    paths = [f"/chapman/WFDBRecords/01/010/{one}.mat" for one in table["record_id"]]
    facts = pd.DataFrame({"ecg_path": paths, "age": 12, "diagnose": "AFIB,TWC"})
    (tmp_path / "tables").mkdir()
    for place, split in enumerate(("train", "val", "test")):
        part = pd.concat([facts, faulty], axis=1).iloc[place::3]
        part.to_csv(tmp_path / "tables" / f"chapman_{split}.csv", index=False)
    given: dict[str, Any] = {
        "store": str(tmp_path / "store"),
        "split_tables": str(tmp_path / "tables"),
    }
    fixed, legacy = (CSNDataModule(**given, protocol=one) for one in ("fixed", "legacy"))
    for module in (fixed, legacy):
        module.setup()
    known = np.isfinite(fixed.targets).all(axis=1)
    assert np.array_equal(fixed.targets[known], own.to_numpy()[known])
    assert np.array_equal(legacy.targets, faulty.to_numpy())
    flutter = fixed.task.classes.index("AF")
    assert legacy.targets[:, flutter].sum() > np.nansum(fixed.targets[:, flutter])
