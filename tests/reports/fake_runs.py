"""Run folders as training leaves them, with made-up predictions and signals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from pahcl.evaluation.evidence import write_evidence
from pahcl.evaluation.predictions import predictions_table
from pahcl.evaluation.receipt import ReceiptParts
from pahcl.evaluation.run import RunFolder
from pahcl.evaluation.thresholds import choose_thresholds
from pahcl.signals.leads import STANDARD_12
from pahcl.signals.recording import Recording
from pahcl.store import Index, SignalStore, write_store
from pahcl.task import Task

CODE6 = ("1dAVb", "RBBB", "LBBB", "SB", "AF", "ST")

TASKS = {
    "binary": Task("af", "binary", ("AF",), ("AF",), "auroc"),
    "multilabel": Task("code6", "multilabel", CODE6, CODE6, "macro_auroc"),
    "multiclass": Task(
        "rhythm", "multiclass", ("sinus", "fibrillation", "paced"), ("rhythm",), "macro_auroc"
    ),
    "regression": Task("age", "regression", ("age",), ("age",), "mae", unit="years"),
}
PREVALENCE = {"AF": 0.12, "1dAVb": 0.06, "RBBB": 0.1, "LBBB": 0.05, "SB": 0.08, "ST": 0.07}
SAMPLES = 200  # resamples: enough for a page, and quick


def sigmoid(x: np.ndarray) -> np.ndarray:
    odds: np.ndarray = np.exp(x)
    share: np.ndarray = odds / (1 + odds)
    return share


def draw(
    task: Task, n: int, rng: np.random.Generator, skill: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw targets as in a batch, and estimates of some skill."""
    if task.kind == "regression":
        truth = rng.uniform(18, 90, (n, task.num_outputs))
        return truth, 12 + 0.78 * truth + rng.normal(0, 24 / (1 + skill), truth.shape)
    if task.kind == "multiclass":
        codes = rng.choice(
            task.num_outputs,
            n,
            p=np.r_[0.7, np.full(task.num_outputs - 1, 0.3 / (task.num_outputs - 1))],
        )
        logits = rng.normal(0, 1, (n, task.num_outputs)) + skill * np.eye(task.num_outputs)[codes]
        odds = np.exp(logits)
        codes[: n // 50] = -1
        return codes, odds / odds.sum(axis=1, keepdims=True)
    share = np.array([PREVALENCE.get(name, 0.1) for name in task.classes])
    target = (rng.random((n, task.num_outputs)) < share).astype(float)
    logits = rng.normal(-2.2, 1.3, target.shape) + skill * 1.4 * target
    target[rng.random(target.shape) < 0.01] = np.nan
    return target, sigmoid(logits)


def signal_of(record: int, fs: float, seconds: float = 10.0) -> np.ndarray:
    """Sketch twelve leads in mV that agree with each other: III = II - I and so on."""
    rng = np.random.default_rng(record)
    time = np.arange(round(fs * seconds)) / fs
    phase = np.cumsum(np.full(len(time), rng.uniform(0.9, 1.6) / fs)) % 1
    waves = (
        (0.2, 0.03, 0.12),
        (0.36, 0.008, -0.1),
        (0.38, 0.012, 1.1),
        (0.41, 0.009, -0.2),
        (0.62, 0.05, 0.28),
    )
    beat = sum(a * np.exp(-((phase - c) ** 2) / (2 * w**2)) for c, w, a in waves)
    gains = {"I": 0.7, "II": 1.0, "V1": -0.6, "V2": 0.4, "V3": 0.9, "V4": 1.3, "V5": 1.2, "V6": 0.9}
    leads = {name: gain * beat + rng.normal(0, 0.015, len(time)) for name, gain in gains.items()}
    one, two = leads["I"], leads["II"]
    leads |= {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    return np.stack([leads[name] for name in STANDARD_12]).astype(np.float32)


def read_fake(row: Mapping[str, Any]) -> Recording:
    number = int(str(row["record_id"])[-5:])
    return Recording(
        signal_of(number, 100.0), 100.0, STANDARD_12, "mV", row["record_id"], row["subject_id"]
    )


def make_store(path: Path, records: int, prefix: str = "r") -> SignalStore:
    names = [f"{prefix}{i:05d}" for i in range(records)]
    table = pd.DataFrame(
        {
            "record_id": names,
            "subject_id": [f"p{i // 2:05d}" for i in range(records)],
            "file": names,
        }
    ).astype("str")
    write_store(
        path,
        Index(table),
        read_fake,
        dataset="fake",
        dataset_version="1",
        modality="ecg",
        fs=100.0,
        leads=STANDARD_12,
        unit="mV",
        progress=False,
    )
    return SignalStore(path)


def write_config(folder: Path, task: Task, **settings: Any) -> None:
    """Write a resolved config; `settings` are fraction, pretrained, seed, epochs, store."""
    config = {
        "seed_everything": settings.get("seed", 0),
        "run": {"experiment": folder.parent.name, "name": folder.name, "patience": None},
        "data": {
            "class_path": "data_modules.code15.CODE15DataModule",
            "init_args": {
                "store": settings.get("store"),
                "task": task.name,
                "fraction": settings.get("fraction", 1.0),
                "fraction_of": "train",
                "seed": settings.get("seed", 0),
            },
        },
        "model": {
            "class_path": "pahcl.modules.finetuning.Finetuning",
            "init_args": {
                "encoder": {"class_path": "pahcl.encoders.resnet.SmallResNet1d"},
                "strategy": {"class_path": "pahcl.transfer.strategies.Full"},
                "pretrained": settings.get("pretrained"),
            },
        },
        "trainer": {"max_epochs": settings.get("epochs", 12)},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def write_log(file: Path, metric: str, epochs: range, steps: int = 20, skill: float = 2.0) -> None:
    """Write what CSVLogger writes: a row for training and one for validation an epoch."""
    rng = np.random.default_rng(len(epochs))
    rows = []
    for epoch in epochs:
        step = (epoch + 1) * steps - 1
        fall = np.exp(-epoch / 4)
        rows.append({"epoch": epoch, "step": step, "train/loss": 0.2 + 0.5 * fall})
        loss = 0.27 + 0.4 * fall + 0.006 * epoch + rng.normal(0, 0.008)
        value = 0.5 + 0.2 * skill * (1 - fall) - 0.002 * epoch + rng.normal(0, 0.004)
        if metric in ("mae", "rmse"):
            value = 9 + 10 * fall
        rows.append({"epoch": epoch, "step": step, "val/loss": loss, f"val/{metric}": value})
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(file, index=False)


def fake_run(
    folder: Path,
    kind: str = "binary",
    n: int = 400,
    *,
    task: Task | None = None,
    skill: float = 2.0,
    seed: int = 0,
    draw_seed: int = 0,
    fraction: float = 1.0,
    pretrained: str | None = None,
    store: SignalStore | None = None,
    epochs: int = 12,
    tested: bool = True,
    targets: np.ndarray | None = None,
    prefix: str = "r",
    version: str = "1.0.0",
) -> Path:
    """Write a run folder; runs of one `draw_seed` share their test records and labels."""
    task = task or TASKS[kind]
    folder.mkdir(parents=True)
    write_config(
        folder,
        task,
        fraction=fraction,
        pretrained=pretrained,
        seed=seed,
        epochs=epochs,
        store=str(store.path) if store else None,
    )
    metric = task.primary_metric
    write_log(folder / "logs" / "version_0" / "metrics.csv", metric, range(epochs), skill=skill / 2)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "best.ckpt").write_bytes(b"weights")
    if not tested:
        return folder
    truth, estimate = draw(task, n, np.random.default_rng(draw_seed), skill)
    if targets is not None:
        truth = targets
    rng = np.random.default_rng([seed, draw_seed, 1])
    if task.kind in ("binary", "multilabel"):
        noise = rng.normal(0, 0.6, estimate.shape)
        estimate = sigmoid(np.log(estimate / (1 - estimate)) + noise)
    thresholds = choose_thresholds(task, truth, estimate)
    names = [f"{prefix}{i:05d}" for i in range(n)]
    table = predictions_table(
        task, names, [f"p{i // 2:05d}" for i in range(n)], truth, estimate, thresholds
    )
    counts = {name: int((table[f"target/{name}"] > 0).sum() // 8) for name in task.classes}
    data: dict[str, Any] = {
        "dataset": "code15",
        "dataset_version": version,
        "fraction": fraction,
        "splits": {
            "train": {"records": 4 * n, "subjects": 2 * n, "by_class": counts},
            "val": {"records": n // 2, "subjects": n // 4, "by_class": counts},
        },
    }
    if store is not None:
        data |= {"store": store.manifest.digest, "store_name": store.path.name}
    write_evidence(
        RunFolder(folder),
        task,
        table,
        ReceiptParts(
            data=data,
            config=folder / "config.yaml",
            checkpoint=folder / "checkpoints" / "best.ckpt",
            seed=seed,
        ),
        thresholds=thresholds if task.kind in ("binary", "multilabel") else None,
        samples=SAMPLES,
    )
    return folder
