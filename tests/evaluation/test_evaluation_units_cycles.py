"""Rows that are heart cycles become one row a record, whatever the task."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from pahcl.evaluation.predictions import predictions_table
from pahcl.evaluation.units import Units, predicted_records, whole_records
from pahcl.modules._outputs import Outputs
from pahcl.task import Task

MURMUR = Task("murmur", "multiclass", ("Present", "Unknown", "Absent"), ("murmur",), "macro_f1")
SICK = Task("sick", "binary", ("sick",), ("sick",), "auroc")
AGE = Task("age", "regression", ("age",), ("age",), "mae")


def test_a_record_has_the_mean_of_its_cycles_and_its_own_label() -> None:
    cycles = Units(
        ["b", "a", "b", "b"],
        ["2", "1", "2", "2"],
        np.array([2, 0, 2, 2]),
        np.array([[0.1, 0, 0.9], [1, 0, 0], [0.4, 0, 0.6], [0.1, 0.3, 0.6]], np.float32),
    )
    found = whole_records(MURMUR, cycles)
    assert (found.record_ids, found.subject_ids) == (["a", "b"], ["1", "2"])
    assert found.targets.tolist() == [0, 2]
    np.testing.assert_allclose(found.estimates, [[1, 0, 0], [0.2, 0.1, 0.7]], atol=1e-6)


def test_records_are_left_as_they_are() -> None:
    rows = Units(["b", "a"], ["2", "1"], np.array([[1.0], [np.nan]]), np.array([[0.2], [0.7]]))
    assert whole_records(SICK, rows) is rows


def test_predictions_of_cycles_become_those_of_records() -> None:
    for task, limit, expected in ((SICK, 0.6, [0, 1]), (SICK, 0.4, [1, 1]), (AGE, 0.5, None)):
        table = predictions_table(
            task, ["a", "a", "b", "b"], ["1"] * 4, [[0.0], [0.0], [1.0], [1.0]],
            np.array([[0.9], [0.1], [0.8], [0.8]], np.float32), [limit],
        )  # fmt: skip
        whole = table.assign(cycle=[0, 1, 0, 0])  # a distributed sampler repeats rows
        found = predicted_records(task, whole, np.array([limit], np.float32))
        assert found["record_id"].tolist() == ["a", "b"]
        name = task.classes[0]
        np.testing.assert_allclose(found[f"probability/{name}"], [0.5, 0.8], atol=1e-6)
        wanted = [0.5, 0.8] if expected is None else expected
        np.testing.assert_allclose(found[f"prediction/{name}"], wanted, atol=1e-6)
        pd.testing.assert_series_equal(found.dtypes, table.dtypes)


def test_an_epoch_keeps_each_cycle_once_and_counts_each_record_once() -> None:
    outputs = Outputs()
    batch = {
        "record_id": ["b", "a", "b", "b"],
        "subject_id": ["2", "1", "2", "2"],
        "cycle": torch.tensor([1, 0, 0, 1]),
        "target": torch.tensor([2, 0, 2, 2]),
    }
    outputs.add(batch, torch.tensor([[1.0], [2.0], [3.0], [1.0]]))
    found = outputs.gather()
    assert found is not None
    assert found.record_ids == ["a", "b", "b"]
    assert found.outputs.flatten().tolist() == [2, 3, 1]
    assert found.share.tolist() == [1, 0.5, 0.5]
