from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import write_log

from pahcl.reports.curves import learning_curves
from pahcl.reports.logs import read_log


def rows(file: Path, *found: dict[str, float]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(found).to_csv(file, index=False)


def test_no_log_is_none(tmp_path: Path) -> None:
    assert read_log(tmp_path) is None


def test_one_start_is_read_by_epoch(tmp_path: Path) -> None:
    write_log(tmp_path / "logs/version_0/metrics.csv", "auroc", range(4))
    log = read_log(tmp_path)
    assert log is not None
    assert log.n_epochs == 4
    assert list(log.epochs("val/auroc").index) == [1, 2, 3, 4]
    assert log.epochs("val/never").empty


def test_a_resumed_run_is_joined_and_the_later_start_counts(tmp_path: Path) -> None:
    # Killed in its third epoch, resumed from the end of the second.
    rows(
        tmp_path / "logs/version_9/metrics.csv",
        {"epoch": 0, "step": 9, "train/loss": 1.0},
        {"epoch": 1, "step": 19, "train/loss": 0.9},
        {"epoch": 2, "step": 25, "train/loss": 99.0},
    )
    rows(
        tmp_path / "logs/version_10/metrics.csv",
        {"epoch": 2, "step": 20, "train/loss": 0.7},
        {"epoch": 2, "step": 29, "train/loss": 0.5},
        {"epoch": 3, "step": 39, "train/loss": 0.4},
    )
    log = read_log(tmp_path)
    assert log is not None
    np.testing.assert_allclose(log.epochs("train/loss"), [1.0, 0.9, 0.6, 0.4])


def test_a_test_or_a_validation_does_not_cut_the_training_log(tmp_path: Path) -> None:
    write_log(tmp_path / "logs/version_0/metrics.csv", "auroc", range(3))
    rows(tmp_path / "logs/version_1/metrics.csv", {"epoch": 0, "step": 0, "test/auroc": 0.9})
    rows(tmp_path / "logs/version_2/metrics.csv", {"epoch": 0, "step": 0, "val/auroc": 0.1})
    log = read_log(tmp_path)
    assert log is not None
    assert log.n_epochs == 3


def test_the_epoch_value_is_taken_where_steps_are_logged_too(tmp_path: Path) -> None:
    rows(
        tmp_path / "metrics.csv",
        {"epoch": 0, "step": 0, "train/loss_step": 3.0},
        {"epoch": 0, "step": 1, "train/loss_step": 1.0},
        {"epoch": 0, "step": 1, "train/loss_epoch": 2.5},
    )
    log = read_log(tmp_path)
    assert log is not None
    assert list(log.epochs("train/loss")) == [2.5]


@pytest.mark.parametrize(("metric", "best"), [("auroc", 2), ("mae", 1), ("macro_brier", 1)])
def test_the_best_epoch_follows_the_direction_of_the_metric(
    tmp_path: Path, metric: str, best: int
) -> None:
    found = [
        {"epoch": e, "step": e, "train/loss": 1.0, f"val/{metric}": x}
        for e, x in enumerate([0.3, 0.8, np.nan, 0.5])
    ]
    rows(tmp_path / "metrics.csv", *found)
    log = read_log(tmp_path)
    assert log is not None
    assert log.best_epoch(metric) == best
    assert log.best_epoch("never") is None


def test_damaged_logs_are_passed_over(tmp_path: Path) -> None:
    for name, text in {
        "a": "",
        "b": '"open,\n1',
        "c": "x,y\n1,2\n",
        "d": "step,epoch\n1,0\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").write_text(text)
    assert read_log(tmp_path) is None


def test_the_best_epoch_is_named_above_the_curve(tmp_path: Path) -> None:
    write_log(tmp_path / "logs/version_0/metrics.csv", "auroc", range(6))
    log = read_log(tmp_path)
    assert log is not None
    figure = learning_curves(log, "auroc")
    best = log.best_epoch("auroc")
    assert figure.axes[1].get_title(loc="right").startswith(f"best: epoch {best}, ")
    assert not figure.axes[1].texts
