"""The training log: what Lightning's CSVLogger wrote, over all starts of a run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pahcl.task import metric_mode

LOG_FILE = "metrics.csv"

USUAL_METRICS = ("macro_auroc", "auroc", "mae")


@dataclass(frozen=True)
class TrainingLog:
    """Hold a run's training log, one start after another.

    Args:
        table: Rows by `step` with `epoch` and the logged keys of training and validation.
    """

    table: pd.DataFrame

    def epochs(self, key: str) -> pd.Series:
        """Read one key an epoch: the last value, or for a key logged a step the mean.

        Args:
            key: A logged key, `train/loss` or `val/macro_auroc`. Of a key that was logged both a
                step and an epoch, the epoch's value is taken.

        Returns:
            Values by epoch, counted from 1; empty where the key was never logged.
        """
        for name, how in ((f"{key}_epoch", "last"), (key, "mean"), (f"{key}_step", "mean")):
            if name in self.table and self.table[name].notna().any():
                rows = self.table[["epoch", name]].dropna()
                values = rows.groupby("epoch")[name].agg(how)
                values.index = values.index.astype(int) + 1
                return values
        return pd.Series(dtype=float)

    def best_epoch(self, metric: str) -> int | None:
        """Find the epoch whose validation metric was best, as the best checkpoint was chosen."""
        values = self.epochs(f"val/{metric}").replace([np.inf, -np.inf], np.nan).dropna()
        if values.empty:
            return None
        best = values.idxmin() if metric_mode(metric) == "min" else values.idxmax()
        return int(str(best))

    @property
    def likely_metric(self) -> str | None:
        """Name the logged metric that most probably chose the checkpoint, if no task says so."""
        return next((name for name in USUAL_METRICS if f"val/{name}" in self.table), None)

    @property
    def n_epochs(self) -> int:
        """Count the epochs that were trained."""
        rows = self.table.filter(regex="^train/").notna().any(axis=1)
        return int(self.table.loc[rows, "epoch"].max()) + 1 if rows.any() else 0


def read_log(folder: Path) -> TrainingLog | None:
    """Join the logs of all starts of a run.

    A resumed run goes on from its last checkpoint: where two starts hold the same steps, the later
    one counts, and what the earlier one wrote from there on is left out. Files without training
    (those of `pahcl test` or `validate`) are no part of it.

    Args:
        folder: The run folder; the log lies somewhere below.

    Returns:
        The log, or None where there is none.
    """
    joined = pd.DataFrame()
    for file in sorted(folder.rglob(LOG_FILE), key=_natural):
        start = _read(file)
        if start is None:
            continue
        if not joined.empty:
            joined = joined[joined["step"] < start["step"].min()]
        joined = pd.concat([joined, start], ignore_index=True) if len(joined) else start
    return None if joined.empty else TrainingLog(joined)


def _read(file: Path) -> pd.DataFrame | None:
    """Read one start's rows, or None where the file holds no training."""
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError):  # an empty file, or the half of a line after a kill
        return None
    if not {"step", "epoch"} <= set(table.columns):
        return None
    keys = [name for name in table.columns if name.startswith(("train/", "val/"))]
    if not any(name.startswith("train/") for name in keys):
        return None
    numbers = table[["step", "epoch", *keys]].apply(pd.to_numeric, errors="coerce")
    rows: pd.DataFrame = numbers.dropna(subset=["step", "epoch"])
    return rows.sort_values("step", kind="stable")


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort `version_10` after `version_2`."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
