from __future__ import annotations

import numpy as np
import pandas as pd
from fake_runs import TASKS, draw

from pahcl.evaluation.predictions import predictions_table
from pahcl.reports.examples import choose_examples
from pahcl.task import Task


def binary(target: list[float], probability: list[float]) -> pd.DataFrame:
    names = [f"r{i}" for i in range(len(target))]
    columns = np.array(target)[:, None], np.array(probability)[:, None]
    return predictions_table(TASKS["binary"], names, names, *columns, thresholds=[0.5])


def test_the_surest_of_every_outcome_and_the_borderline_are_chosen() -> None:
    predictions = binary(
        [1, 1, 0, 0, 1, 1, 0, 0, 1], [0.9, 0.7, 0.8, 0.6, 0.1, 0.3, 0.05, 0.2, 0.49]
    )
    found = choose_examples(TASKS["binary"], predictions, {"AF": 0.5})
    assert [(one.outcome, one.record_id) for one in found] == [
        ("true positive", "r0"),
        ("false positive", "r2"),
        ("false negative", "r4"),
        ("true negative", "r6"),
        ("borderline", "r8"),
    ]
    assert found[0].score == "p = 0.900, threshold 0.500"
    assert found[0].labels == "labels: AF"
    assert found[1].labels == "labels: none"


def test_outcomes_that_did_not_occur_and_unlabelled_records_are_left_out() -> None:
    found = choose_examples(TASKS["binary"], binary([1, float("nan")], [0.9, 0.1]), {})
    assert [one.outcome for one in found] == ["true positive"]


def test_each_record_is_shown_once() -> None:
    task = TASKS["multilabel"]
    target, probability = draw(task, 200, np.random.default_rng(0), 2.0)
    names = [f"r{i}" for i in range(200)]
    found = choose_examples(task, predictions_table(task, names, names, target, probability), {})
    assert len({one.record_id for one in found}) == len(found) == 30


def test_large_tasks_show_the_classes_with_most_positives() -> None:
    names = tuple(f"c{i}" for i in range(20))
    task = Task("many", "multilabel", names, names, "macro_auroc")
    target = (np.arange(100)[:, None] < np.arange(20)[None, :] * 3).astype(float)
    records = [f"r{i}" for i in range(100)]
    probability = np.random.default_rng(0).random((100, 20))
    table = predictions_table(task, records, records, target, probability)
    groups = {one.group for one in choose_examples(task, table, {})}
    assert groups == {f"c{i}" for i in range(14, 20)}


def test_regression_shows_the_closest_and_the_worst() -> None:
    task = TASKS["regression"]
    truth, estimate = np.full((6, 1), 50.0), np.array([[50], [51], [90], [80], [10], [20]])
    names = [f"r{i}" for i in range(6)]
    found = choose_examples(task, predictions_table(task, names, names, truth, estimate), {})
    assert [one.record_id for one in found] == ["r0", "r1", "r2", "r3", "r4", "r5"]
    assert found[2].outcome == "largest overestimate"
    assert found[2].score == "predicted 90.0 years"
    assert found[2].labels == "true 50.0 years"
