"""A task that names an official scorer is scored by it: right answers get the most there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_modules.base import SignalDataModule
from pahcl.commands._common import datasets, find_data_module
from pahcl.evaluation.official import find_scorer
from pahcl.evaluation.official_scores import score_predictions, with_extras
from pahcl.evaluation.predictions import predictions_table

SCORED = [
    (name, task.name)
    for name in datasets()
    for task in find_data_module(name).tasks.values()
    if task.scorer
]
BEST = {
    "cinc2022_murmur": {"weighted_accuracy": 1},
    "cinc2022_outcome": {"weighted_accuracy": 1},
    "cinc2016": {"macc": 1},
    "cpsc2018": {"f1": 1},
    "pascal_a": {"total_precision": 4},
    "pascal_b": {"total_precision": 3},
    "ptbxl": {"macro_auroc": 1, "fmax": 1},
}


def test_the_challenges_and_the_benchmark_are_scored() -> None:
    assert {find_data_module(name).tasks[task].scorer for name, task in SCORED} == set(BEST)


@pytest.mark.parametrize(("name", "task_name"), SCORED)
def test_right_answers_get_the_best_score(
    corpora: Path, tmp_path: Path, name: str, task_name: str
) -> None:
    cls: type[SignalDataModule] = find_data_module(name)
    root, task = corpora / cls.folder, cls.tasks[task_name]
    table = cls.index(root, min(cls.rates)).table
    module = cls(root=str(root), store=str(tmp_path / "s"), fs=min(cls.rates), task=task_name)
    targets = task.targets(module.labels(table))
    if task.kind == "multiclass":
        known = targets >= 0
        targets = np.eye(len(task.classes))[targets]
    else:
        known = ~np.isnan(targets).all(axis=1)
    if task.scorer == "cinc2016":  # it wants the quality of all or of none
        known &= table["quality"].notna().to_numpy()
    table, targets = table[known].reset_index(drop=True), targets[known]
    unit = cls.unit_column if task.level == "subject" else "subject_id"
    ids = table["record_id"].tolist(), table[unit].tolist()
    answers = targets.argmax(axis=1) if task.kind == "multiclass" else targets
    found = predictions_table(task, *ids, answers, targets)
    extras = found if task.level == "subject" else with_extras(task, found, table, unit)
    assert task.scorer is not None
    scores = score_predictions(
        find_scorer(task.scorer)(),
        extras,
        subject="mean" if task.level == "subject" else None,
        samples=20,
    )
    got = {key: scores.metrics[key].value for key in BEST[task.scorer]}
    assert got == pytest.approx(BEST[task.scorer])
    if task.scorer == "cpsc2018":
        assert "first_label" in extras
