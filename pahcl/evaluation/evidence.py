"""Write a test's evidence into its run folder: predictions, metrics, receipt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.errors import PahclError, UsageError
from pahcl.evaluation.intervals import Bootstrap, Interval, bootstrap_intervals
from pahcl.evaluation.metrics import Metrics, evaluate
from pahcl.evaluation.official_scores import official_facts
from pahcl.evaluation.predictions import write_predictions
from pahcl.evaluation.receipt import ReceiptParts, build_receipt
from pahcl.evaluation.run import RunFolder
from pahcl.files import plain, sha256_file, write_json
from pahcl.task import Task

FORMAT = 1


def write_evidence(
    folder: RunFolder,
    task: Task,
    predictions: pd.DataFrame,
    receipt_parts: ReceiptParts | None = None,
    *,
    split: str = "test",
    thresholds: npt.ArrayLike | None = None,
    records: pd.DataFrame | None = None,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """Score predictions and write `predictions.parquet`, `metrics.json` and `receipt.json`.

    Each file appears whole or not at all, and the receipt, which holds the digests of the others,
    is the last: a run without it is not complete, and one with an older receipt fails
    `verify_evidence`.

    Args:
        folder: The run.
        task: What was asked.
        predictions: Table of `predictions_table`.
        receipt_parts: What only the caller knows; the folder's own config unless it is given.
        split: The split that was scored; another than `test` is written into the files' names.
        thresholds: `[K]`, the thresholds that decided (binary and multilabel).
        records: Predictions of the records (`predictions_records.parquet`) where subjects score.
        samples: Resamples of the subjects.
        seed: Seed of the resamples.
        level: Nominal coverage of the intervals.

    Returns:
        What `metrics.json` holds.

    Raises:
        UsageError: The table is not of this task, or a file of the receipt is not there.
        PahclError: The folder cannot be written.
    """
    parts = _check_parts(folder, receipt_parts or ReceiptParts())
    metrics = evaluate(task, predictions)
    bootstrap = bootstrap_intervals(task, predictions, samples, seed, level, metrics)
    facts = metrics_facts(task, metrics, bootstrap, split, thresholds)
    official = official_facts(task, predictions, samples, seed, level)
    facts |= {} if official is None else {"official": plain(official, finite=True)}
    files = _scored_files(folder, split)
    receipt = folder.evidence("receipt.json", split)
    counted = _counted(facts, metrics, receipt)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        if records is not None:
            write_predictions(folder.evidence("predictions_records.parquet", split), records)
        write_predictions(files["predictions"], predictions)
        write_json(files["metrics"], facts)
        write_json(receipt, build_receipt(parts, files, counted))
    except OSError as error:
        raise PahclError(
            f"The evidence cannot be written to {folder.path}: {error.strerror or error}. Make "
            "room or the folder writable, then run `pahcl test` again."
        ) from error
    return facts


def _counted(facts: Mapping[str, Any], metrics: Metrics, receipt: Path) -> dict[str, Any]:
    """Say what was scored, for the receipt."""
    return {
        **{name: facts[name] for name in ("task", "split", "n_records", "n_subjects")},
        "support": {name: _support(scores) for name, scores in metrics.per_class.items()},
        # The test split is meant to be looked at once; the receipt says how often it was.
        "times_scored": _times_scored(receipt) + 1,
    }


def _check_parts(folder: RunFolder, parts: ReceiptParts) -> ReceiptParts:
    """Take the folder's own config unless one is given, and refuse files that are not there."""
    if parts.config is None and folder.config.is_file():
        parts = replace(parts, config=folder.config)
    for path in (parts.config, parts.checkpoint):
        if path is not None and not path.is_file():
            raise UsageError(f"The receipt needs the digest of {path}, which is not there.")
    return parts


def _scored_files(folder: RunFolder, split: str) -> dict[str, Path]:
    """Locate the files whose digests a receipt holds, by the name that it gives them."""
    return {
        "predictions": folder.evidence("predictions.parquet", split),
        "metrics": folder.evidence("metrics.json", split),
    }


def verify_evidence(folder: RunFolder, split: str = "test") -> list[str]:
    """Name what no longer agrees with the receipt; an empty list is good news.

    The scored files must be those of the receipt. So must config and best checkpoint where they
    are there: a run that was trained on has evidence of what it was before.
    """
    held = folder.load_receipt(split).get("sha256")
    digests = held if isinstance(held, dict) else {}
    files = _scored_files(folder, split)
    sources = {"config": folder.config, "checkpoint": folder.best}
    files |= {name: path for name, path in sources.items() if path.is_file() and name in digests}
    return [
        f"{path.name} is not the file of which the receipt holds the digest"
        for name, path in files.items()
        if not path.is_file() or sha256_file(path) != digests.get(name)
    ]


def metrics_facts(
    task: Task,
    metrics: Metrics,
    bootstrap: Bootstrap,
    split: str = "test",
    thresholds: npt.ArrayLike | None = None,
) -> dict[str, Any]:
    """Lay metrics and intervals out as `metrics.json` holds them (docs/evidence.md)."""
    limits = None
    if thresholds is not None and task.kind in ("binary", "multilabel"):
        values = np.asarray(thresholds, np.float64).reshape(-1)
        limits = dict(zip(task.classes, values.tolist(), strict=True))
    per_class = {}
    for name, scores in metrics.per_class.items():
        intervals = bootstrap.per_class[name]
        bare = {
            metric: _facts(intervals.get(metric, Interval(value)))
            for metric, value in scores.items()
            if not isinstance(value, int)
        }
        per_class[name] = {**bare, **_support(scores)}
    confusion = None if metrics.confusion is None else metrics.confusion.tolist()
    facts = {
        "format": FORMAT,
        "task": task.to_dict(),
        "split": split,
        "n_records": metrics.n_records,
        "n_subjects": metrics.n_subjects,
        "metrics": {name: _facts(interval) for name, interval in bootstrap.metrics.items()},
        "classes_defined": metrics.classes_defined,
        "per_class": per_class,
        "thresholds": limits,
        "confusion": confusion,
        "bootstrap": {
            "samples": bootstrap.samples,
            "level": bootstrap.level,
            "seed": bootstrap.seed,
            "undefined": bootstrap.undefined_samples,
        },
        "notes": [*metrics.notes, *bootstrap.notes],
    }
    return dict(plain(facts, finite=True))


def _facts(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _support(scores: Mapping[str, float]) -> dict[str, int]:
    return {name: value for name, value in scores.items() if isinstance(value, int)}


def _times_scored(receipt: Path) -> int:
    if not receipt.is_file():
        return 0
    try:
        found = json.loads(receipt.read_text(encoding="utf-8")).get("times_scored", 1)
    except (ValueError, AttributeError):
        return 1
    return int(found)
