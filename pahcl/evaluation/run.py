"""The run folder: where a run's config, checkpoints and evidence lie."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import yaml

from pahcl.errors import PahclError, UsageError
from pahcl.evaluation.predictions import read_predictions
from pahcl.evaluation.robustness_file import misfit
from pahcl.task import Task

CONTENTS = "config.yaml, checkpoints/, and after `pahcl test` metrics.json, predictions.parquet"


@dataclass(frozen=True)
class RunFolder:
    """Name the files of a run and read them.

    Attributes are paths, whether or not the file is there; `load_*` read them. The evidence of the
    test split has plain names; that of another split carries it (`metrics_val.json`).

    Args:
        path: The folder, `runs/<experiment>/<name>`.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    @property
    def name(self) -> str:
        """Name the run."""
        return self.path.resolve().name

    @property
    def experiment(self) -> str:
        """Name the experiment, the folder around the run."""
        return self.path.resolve().parent.name

    @property
    def config(self) -> Path:
        """Locate the resolved config."""
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        """Locate the folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """Locate the checkpoint that was best on validation."""
        return self.checkpoints / "best.ckpt"

    @property
    def last(self) -> Path:
        """Locate the checkpoint from which a run resumes."""
        return self.checkpoints / "last.ckpt"

    @property
    def metrics(self) -> Path:
        """Locate the metrics of the test split."""
        return self.evidence("metrics.json")

    @property
    def predictions(self) -> Path:
        """Locate the predictions table of the test split."""
        return self.evidence("predictions.parquet")

    @property
    def receipt(self) -> Path:
        """Locate the receipt of the test split."""
        return self.evidence("receipt.json")

    @property
    def splits(self) -> Path:
        """Locate the table of the records that train, validate and test."""
        return self.path / "splits.parquet"

    @property
    def report(self) -> Path:
        """Locate the HTML page."""
        return self.path / "report.html"

    def evidence(self, file: str, split: str = "test") -> Path:
        """Locate a file of evidence; another split than `test` is written into its name."""
        stem, suffix = file.rsplit(".", 1)
        return self.path / (file if split == "test" else f"{stem}_{split}.{suffix}")

    @property
    def is_run(self) -> bool:
        """Say whether the folder looks like a run: it has a config or metrics."""
        return self.config.is_file() or self.metrics.is_file()

    @property
    def is_complete(self) -> bool:
        """Say whether the run was tested; the receipt is written last."""
        return all(file.is_file() for file in (self.metrics, self.predictions, self.receipt))

    def require(self) -> RunFolder:
        """Give this folder back, if it is a run.

        Raises:
            UsageError: It is none.
        """
        if not self.is_run:
            raise UsageError(f"There is no run at {self.path}; a run folder holds {CONTENTS}.")
        return self

    def load_config(self) -> dict[str, Any]:
        """Read the resolved config; a run without one gives an empty dict."""
        self.require()
        if not self.config.is_file():
            return {}
        try:
            found = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise PahclError(f"{self.config} is no plain YAML: {error}") from error
        if not isinstance(found, dict):
            raise PahclError(f"{self.config} must hold a mapping of keys, got {type(found)}.")
        return found

    def load_metrics(self, split: str = "test") -> dict[str, Any]:
        """Read `metrics.json`, null as NaN is left to the reader."""
        file = self.evidence("metrics.json", split)
        found = self._load_json(file)
        for name in ("n_records", "n_subjects"):
            if not isinstance(found.get(name, 0), int):
                raise PahclError(f"{file} holds no count as `{name}`; run `pahcl test` again.")
        return found

    def load_receipt(self, split: str = "test") -> dict[str, Any]:
        """Read `receipt.json`."""
        return self._load_json(self.evidence("receipt.json", split))

    def load_predictions(self, split: str = "test") -> pd.DataFrame:
        """Read the predictions table."""
        self.require()
        return read_predictions(self.evidence("predictions.parquet", split))

    def load_task(self, split: str = "test") -> Task:
        """Read from the metrics what was asked."""
        values = self.load_metrics(split).get("task")
        try:
            return Task.from_dict(values if isinstance(values, dict) else {})
        except (KeyError, TypeError, UsageError) as error:
            raise PahclError(
                f"{self.evidence('metrics.json', split)} names no task that can be understood; "
                "run `pahcl test` again."
            ) from error

    def load_robustness(self, split: str = "test") -> dict[str, Any]:
        """Read what `pahcl robustness` measured (docs/robustness.md)."""
        file = self.evidence("robustness.json", split)
        found = self._load_json(file, "pahcl robustness")
        if wrong := misfit(found):
            raise PahclError(
                f"{file} is damaged, or of another version of pahcl: there is nothing usable at "
                f"`{wrong}`. Run `pahcl robustness` again."
            )
        return found

    def _load_json(self, file: Path, verb: str = "pahcl test") -> dict[str, Any]:
        self.require()
        if not file.is_file():
            raise UsageError(f"{file} is not there yet; `{verb}` writes it when a run is done.")
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise PahclError(f"{file} is damaged ({error}); run `{verb}` again.") from error
        if not isinstance(found, dict):
            raise PahclError(f"{file} must hold a JSON object; run `{verb}` again.")
        return found


def find_runs(paths: Iterable[str | Path]) -> list[RunFolder]:
    """Find the runs that are meant: run folders, folders of runs, or patterns such as `runs/a*`.

    Returns:
        Runs sorted by path, each once.

    Raises:
        UsageError: A path or pattern leads to no run.
    """
    found: dict[Path, RunFolder] = {}
    for asked in paths:
        path = Path(asked)
        root = Path(path.anchor)
        places = [path] if path.exists() else root.glob(str(path.relative_to(root)))
        runs = [run for place in places for run in _runs_below(place)]
        if not runs:
            raise UsageError(f"There is no run at {asked}; a run folder holds {CONTENTS}.")
        found.update({run.path.resolve(): run for run in runs})
    return [found[path] for path in sorted(found)]


def _runs_below(place: Path) -> Iterator[RunFolder]:
    """Walk down to runs, and not into them: a logger may keep its own `config.yaml` there."""
    if RunFolder(place).is_run:
        yield RunFolder(place)
    elif place.is_dir():
        for folder in sorted(place.iterdir()):
            if folder.is_dir() and not folder.name.startswith("."):
                yield from _runs_below(folder)


def lookup(config: Mapping[str, Any], dotted: str) -> object:
    """Read a config's value by its dotted key, None where a part of the way is missing."""
    value: object = config
    for key in dotted.split("."):
        if not isinstance(value, Mapping):
            return None
        value = cast(Mapping[str, Any], value).get(key)
    return value
