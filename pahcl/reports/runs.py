"""What a page knows of a run: its files, and the few facts that are read out of its config."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from pahcl.errors import PahclError
from pahcl.evaluation.evidence import verify_evidence
from pahcl.evaluation.intervals import Interval
from pahcl.evaluation.run import RunFolder
from pahcl.evaluation.settings import Configured
from pahcl.reports.logs import TrainingLog, read_log
from pahcl.reports.robust_facts import Robustness, load_robustness
from pahcl.task import Task

_T = TypeVar("_T")

MIXED = ": it was changed since, or files of two tests were mixed."
EVIDENCE_FILES = ("metrics.json", "receipt.json", "predictions.parquet")


@dataclass(frozen=True)
class Run(Configured):
    """Hold what a run folder holds; a part that is not there is None or empty.

    Args:
        folder: The run folder.
        split: The split whose evidence this is: `test`, or `val` where there was no test yet.
        config: The resolved config.
        config_text: The config as it is written.
        metrics: `metrics.json`.
        receipt: `receipt.json`.
        predictions: The predictions table.
        log: What the CSV logger wrote during training.
        robustness: What `pahcl robustness` measured.
        missing: Names of the files that are not there.
        damaged: Why a file that is there could not be read, one sentence each.
        changed: Files that are not those of the receipt, one sentence each.
    """

    folder: RunFolder
    split: str = "test"
    config: dict[str, Any] = field(default_factory=dict)
    config_text: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    receipt: dict[str, Any] = field(default_factory=dict)
    predictions: pd.DataFrame | None = None
    log: TrainingLog | None = None
    robustness: Robustness = field(default_factory=Robustness)
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name the run with its experiment."""
        return f"{self.folder.experiment}/{self.folder.name}"

    @property
    def task(self) -> Task | None:
        """Say what was asked, by the metrics."""
        values = self.metrics.get("task")
        try:
            return Task.from_dict(values) if isinstance(values, dict) else None
        except (PahclError, KeyError, TypeError):
            return None

    def interval(self, metric: str) -> Interval:
        """Give a metric with its interval; NaN where it is not known."""
        return Interval.read(as_dict(self.metrics.get("metrics")).get(metric))

    def bootstrap(self, fact: str, otherwise: float) -> float:
        """Give a number of the bootstrap: its `level`, its `samples`."""
        value = as_dict(self.metrics.get("bootstrap")).get(fact)
        return value if isinstance(value, int | float) else otherwise

    @property
    def primary(self) -> Interval | None:
        """Give the primary metric with its interval; None without a task."""
        return self.interval(self.task.primary_metric) if self.task else None

    def class_interval(self, name: str, metric: str) -> Interval:
        """Give a metric of one class with its interval; NaN where it is not known."""
        return Interval.read(self.class_entry(name).get(metric))

    def class_entry(self, name: str) -> dict[str, Any]:
        """Give what the metrics say of one class."""
        return as_dict(as_dict(self.metrics.get("per_class")).get(name))

    def support(self, name: str) -> dict[str, int]:
        """Count one class's `positives`, `negatives` and `unlabelled` records (or `labelled`)."""
        return {k: v for k, v in self.class_entry(name).items() if isinstance(v, int)}

    def counted(self, split: str) -> dict[str, Any]:
        """Give what the receipt says of a split: `records`, `subjects`, `by_class`."""
        splits = as_dict(as_dict(self.receipt.get("data")).get("splits"))
        return as_dict(splits.get(split))

    def thresholds(self) -> dict[str, float]:
        """Give the decision threshold of each class, where there is one."""
        found = as_dict(self.metrics.get("thresholds"))
        return {str(name): float(x) for name, x in found.items() if isinstance(x, int | float)}


def as_dict(value: object) -> dict[str, Any]:
    """Give a mapping as it is, and anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def load_run(path: str | Path | RunFolder) -> Run:
    """Read a run folder, as far as it goes: what is missing or damaged is named, not fatal.

    Raises:
        UsageError: The folder is no run.
    """
    folder = (path if isinstance(path, RunFolder) else RunFolder(Path(path))).require()
    damaged: list[str] = []

    def attempt(file: Path, read: Callable[[], _T], otherwise: _T) -> _T:
        if not file.is_file():
            return otherwise
        try:
            return read()
        except (PahclError, OSError, UnicodeDecodeError) as error:
            damaged.append(str(error))
            return otherwise

    config: dict[str, Any] = attempt(folder.config, folder.load_config, {})
    text = attempt(folder.config, lambda: folder.config.read_text(encoding="utf-8"), "")
    split = "val" if _only_validated(folder) else "test"
    files = {name: folder.evidence(name, split) for name in EVIDENCE_FILES}
    metrics, receipt, predictions = files.values()
    missing = [] if folder.config.is_file() else [folder.config.name]
    missing += [name for name in EVIDENCE_FILES if not folder.evidence(name).is_file()]
    attempt(metrics, lambda: folder.load_task(split), None)
    facts: dict[str, Any] = attempt(metrics, lambda: folder.load_metrics(split), {})
    held: dict[str, Any] = attempt(receipt, lambda: folder.load_receipt(split), {})
    table = attempt(predictions, lambda: folder.load_predictions(split), None)
    whole = not damaged and split == "test" and folder.is_complete
    changed = verify_evidence(folder) if whole else []
    robustness, broken, foreign = load_robustness(folder, split, held)
    return Run(
        folder=folder,
        split=split,
        config=config,
        config_text=text,
        metrics=facts,
        receipt=held,
        predictions=table,
        log=read_log(folder.path),
        robustness=robustness,
        missing=tuple(missing),
        damaged=tuple(dict.fromkeys([*damaged, *broken])),
        changed=(*(text + MIXED for text in changed), *foreign),
    )


def _only_validated(folder: RunFolder) -> bool:
    return not folder.metrics.is_file() and folder.evidence("metrics.json", "val").is_file()


def pretty_json(values: dict[str, Any]) -> str:
    """Write a mapping for people to read."""
    return json.dumps(values, indent=2, ensure_ascii=False)
