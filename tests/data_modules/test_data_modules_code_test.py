"""CODE-test: rows belong to tracings, leads are told apart, models and readers are scored."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score

from data_modules._code_test_parts import READERS
from data_modules.code15 import ABNORMALITIES, CODE15DataModule
from data_modules.code_test import CODETestDataModule
from pahcl.cli import main
from pahcl.errors import DataError, UsageError
from pahcl.evaluation.metrics import evaluate
from pahcl.store import SignalStore

README_ORDER = ("I", "II", "III", "aVL", "aVF", "aVR", "V1", "V2", "V3", "V4", "V5", "V6")
simulator = importlib.import_module("pahcl.simulation.code_test")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code-test")
    simulator.write(folder, records=60, seed=3)
    return folder


@pytest.fixture(scope="module")
def store(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stores") / "code_test"
    CODETestDataModule.prepare(corpus, out, progress=False)
    return out


@pytest.fixture
def root(corpus: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpus, tmp_path / "root"))


def module_of(store: Path, **settings: Any) -> CODETestDataModule:
    module = CODETestDataModule(store=str(store), **settings)
    module.prepare_data()
    module.setup("test")
    return module


def test_every_tracing_is_accounted_for(corpus: Path, store: Path) -> None:
    packed = SignalStore(store)
    wanted = json.loads((corpus / "simulation.json").read_text())["counts"]
    assert packed.manifest.counts["kept"] == wanted["readable"] == 64
    assert [(one.record_id, one.reason) for one in packed.manifest.rejected] == [
        ("60", "all samples are zero")
    ]
    assert packed.manifest.notes == {
        "age missing": 2,
        "answer of medical_students is neither 0 nor 1": 6,
    }
    assert packed.table["subject_id"].is_unique
    assert set(packed.lengths) == {2800, 4000}


def test_labels_are_read_by_name_not_by_place(corpus: Path, store: Path) -> None:
    """The tables have AF before ST, `exams.csv` of CODE-15% has ST before AF."""
    gold = pd.read_csv(corpus / "data" / "annotations" / "gold_standard.csv")
    assert list(gold) == ["1dAVb", "RBBB", "LBBB", "SB", "AF", "ST"]
    table = SignalStore(store).table
    rows = table["record_id"].astype(int)
    for name in ABNORMALITIES:
        assert table[name].tolist() == gold[name][rows].tolist()
    assert CODETestDataModule.tasks == CODE15DataModule.tasks


@pytest.mark.parametrize("leads", [simulator.LEADS, README_ORDER])
def test_both_published_orders_of_the_leads_are_told_apart(
    tmp_path: Path, leads: tuple[str, ...]
) -> None:
    simulator.write(tmp_path / "c", records=3, seed=1, ugly=False, leads=leads)
    CODETestDataModule.prepare(tmp_path / "c", tmp_path / "s", progress=False)
    signal = SignalStore(tmp_path / "s").read(0).signal
    step = np.abs(signal).max() / 32767
    np.testing.assert_allclose(signal[3], -(signal[0] + signal[1]) / 2, atol=2 * step)
    np.testing.assert_allclose(signal[4], signal[0] - signal[1] / 2, atol=2 * step)
    np.testing.assert_allclose(signal[5], signal[1] - signal[0] / 2, atol=2 * step)


def test_limb_leads_that_fit_to_no_order_are_refused(tmp_path: Path) -> None:
    shuffled = ("I", "II", "III", "aVF", "aVR", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
    simulator.write(tmp_path, records=3, seed=1, ugly=False, leads=shuffled)
    with pytest.raises(DataError, match=r"do not follow from I and II in either of the orders"):
        CODETestDataModule.index(tmp_path, 400.0)


def test_the_files_may_stand_in_the_root_itself(corpus: Path, root: Path) -> None:
    first = CODETestDataModule.index(corpus, 400.0).table
    for path in (root / "data").iterdir():
        path.rename(root / path.name)
    second = CODETestDataModule.index(root, 400.0).table
    assert second["file"].unique().tolist() == ["ecg_tracings.hdf5"]
    assert first.drop(columns="file").equals(second.drop(columns="file"))


def test_all_of_it_is_the_test_split(store: Path) -> None:
    module = module_of(store, task="code6", batch_size=16)
    assert {name: len(rows) for name, rows in module.rows.items()} == {
        "train": 0, "val": 0, "test": 64,
    }  # fmt: skip
    assert sum(len(batch["record_id"]) for batch in module.test_dataloader()) == 64
    for stage, split in (("fit", "train"), ("validate", "val"), ("predict", "val")):
        with pytest.raises(UsageError, match=f"CODE-test has no {split} split, but test alone"):
            module.setup(stage)
    module_of(store, predict_split="test").setup("predict")


@pytest.mark.parametrize("name", READERS)
def test_readers_are_scored_as_models_are(corpus: Path, store: Path, name: str) -> None:
    module = module_of(store, task="code6")
    found = evaluate(module.task, module.reader(name))
    folder = corpus / "data" / "annotations"
    kept = SignalStore(store).table["record_id"].astype(int)
    gold = pd.read_csv(folder / "gold_standard.csv").loc[kept]
    given = pd.read_csv(folder / f"{name}.csv").loc[kept]
    answered = given.notna().all(axis=1)
    for label in ABNORMALITIES:
        if gold[label][answered].any():
            expected = f1_score(gold[label][answered], given[label][answered], zero_division=0)
            assert found.per_class[label]["f1"] == pytest.approx(expected)


def test_unknown_readers_and_tasks_are_refused(store: Path) -> None:
    with pytest.raises(UsageError, match="No reader 'nobody' has answered the task `code6` here"):
        module_of(store, task="code6").reader("nobody")
    with pytest.raises(UsageError, match="No reader 'dnn' has answered the task `age` here"):
        module_of(store, task="age").reader("dnn")


def rewrite(path: Path, **data: object) -> None:
    with h5py.File(path, "w") as file:
        for name, values in data.items():
            file[name] = values


def short(path: Path) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")


TRACINGS, GOLD = "data/ecg_tracings.hdf5", "data/annotations/gold_standard.csv"
MALFORMED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no tracings": (lambda r: (r / TRACINGS).unlink(), "holds neither ecg_tracings.hdf5 nor data/"),
    "a text": (lambda r: (r / TRACINGS).write_text("<html>"), "cannot be read"),
    "cut": (lambda r: (r / TRACINGS).write_bytes((r / TRACINGS).read_bytes()[:900]), "be read"),
    "another dataset": (lambda r: rewrite(r / TRACINGS, signals=np.ones(3)), "cannot be read"),
    "eight leads": (
        lambda r: rewrite(r / TRACINGS, tracings=np.ones((3, 9, 8))),
        r"of shape \(3, 9, 8\), not \[exams, samples, 12\]",
    ),
    "texts": (
        lambda r: rewrite(r / TRACINGS, tracings=np.full((3, 9, 12), b"x")),
        "tracings of the type",
    ),
    "numbers beyond all bounds": (
        lambda r: rewrite(r / TRACINGS, tracings=np.full((65, 9, 12), 3e38, dtype=np.float32)),
        "order of its leads can be told|in either of the orders",
    ),
    "zeros": (
        lambda r: rewrite(r / TRACINGS, tracings=np.zeros((65, 9, 12))),
        "no tracing by which the order of its leads can be told",
    ),
    "no gold standard": (lambda r: (r / GOLD).unlink(), "gold_standard.csv is missing"),
    "a row less": (lambda r: short(r / GOLD), "has 64 rows, but ecg_tracings.hdf5 holds 65"),
    "another reader's row less": (
        lambda r: short(r / "data/annotations/dnn.csv"),
        "dnn.csv has 64 rows",
    ),
    "no attributes": (lambda r: (r / "data/attributes.csv").unlink(), "attributes.csv is missing"),
    "other columns": (lambda r: (r / GOLD).write_text("AF\n0\n"), r"lacks the column\(s\) 1dAVb"),
    "an empty table": (lambda r: (r / GOLD).write_text(""), "cannot be read as a table"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_files_are_named(root: Path, case: str) -> None:
    damage, says = MALFORMED[case]
    damage(root)
    with pytest.raises(DataError, match=says):
        CODETestDataModule.index(root, 400.0)


def test_a_reader_who_is_missing_is_counted(root: Path) -> None:
    (root / "data" / "annotations" / "dnn.csv").unlink()
    index = CODETestDataModule.index(root, 400.0)
    assert index.notes["annotations/dnn.csv is missing"] == 1
    assert not any(str(name).startswith("reader/dnn") for name in index.table)


def test_a_model_of_code15_is_tested_on_it(
    place: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fit on CODE-15%, then what the page tells: thresholds of validation, evidence of its own."""
    small = Path(__file__).parents[2] / "configs" / "size" / "small.yaml"
    config = small.parents[1] / "finetune" / "code15_code6.yaml"
    words = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--run.wandb=off"]
    fitted = ["--run.name=m", "--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]
    layers = [f"--config={config}", f"--config={small}"]
    assert main(["fit", *layers, *words, *fitted]) == 0
    run = place / "runs" / "finetune"
    other = [
        f"--config={run}/m/config.yaml", "--run.name=m-on-code-test",
        f"--ckpt_path={run}/m/checkpoints/best.ckpt",
        "--data=data_modules.code_test.CODETestDataModule",
        f"--data.root={place}/none", f"--data.store={store}",
    ]  # fmt: skip
    assert main(["test", *other]) == 0
    facts = json.loads((run / "m-on-code-test" / "metrics.json").read_text())
    receipt = json.loads((run / "m-on-code-test" / "receipt.json").read_text())
    assert facts["n_records"] == 64
    assert receipt["data"]["dataset"] == "code_test"
    assert receipt["data"]["task"] == "code6"
    assert receipt["data"]["spec"]["fs"] == 100.0
    saved = torch.load(run / "m" / "checkpoints" / "best.ckpt", weights_only=True)["pahcl"]
    assert list(facts["thresholds"].values()) == pytest.approx(saved["thresholds"])
    capsys.readouterr()
    assert main(["validate", *other]) == 2
    assert "CODE-test has no val split" in capsys.readouterr().err
