from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from pahcl.errors import PahclError, UsageError
from pahcl.evaluation.predictions import (
    as_arrays,
    predictions_table,
    read_predictions,
    write_predictions,
)
from pahcl.evaluation.run import RunFolder, find_runs, lookup
from pahcl.evaluation.thresholds import choose_thresholds
from pahcl.task import Task

BINARY = Task("af", "binary", ("AF",), ("AF",), "auroc")
PAIR = Task("pair", "multilabel", ("a", "b"), ("a", "b"), "macro_auroc")
MULTICLASS = Task("beat", "multiclass", ("N", "S", "V"), ("beat",), "macro_auroc")
AGE = Task("age", "regression", ("age",), ("age",), "mae")


def test_columns_types_and_thresholds(tmp_path):
    found = predictions_table(
        PAIR, ["1", "2"], ["s", "s"],
        torch.tensor([[0, 1], [1, torch.nan]]), [[0.4, 0.2], [0.6, 0.3]],
        thresholds=[0.5, 0.3],
    )  # fmt: skip
    assert list(found.columns) == [
        "record_id", "subject_id", "target/a", "probability/a", "prediction/a",
        "target/b", "probability/b", "prediction/b",
    ]  # fmt: skip
    assert found["prediction/a"].tolist() == [0, 1]
    assert found["prediction/b"].tolist() == [0, 1]
    assert found["prediction/b"].dtype == np.int8
    assert np.isnan(found["target/b"][1])
    write_predictions(tmp_path / "p.parquet", found)
    pd.testing.assert_frame_equal(read_predictions(tmp_path / "p.parquet"), found)
    assert [file.name for file in tmp_path.iterdir()] == ["p.parquet"]


def test_multiclass_is_one_hot_and_minus_one_is_nan():
    found = as_arrays(
        MULTICLASS,
        predictions_table(MULTICLASS, ["1", "2"], ["s", "t"], [2, -1], [[0.2, 0.5, 0.3]] * 2),
    )
    assert found.target[0].tolist() == [0, 0, 1]
    assert np.isnan(found.target[1]).all()
    assert found.prediction[0].tolist() == [0, 1, 0]
    assert found.subjects == ("s", "t")


def test_regression_keeps_the_estimate():
    found = predictions_table(AGE, ["1"], ["s"], [60.0], [55.5])
    assert found["prediction/age"].item() == found["probability/age"].item() == 55.5


@pytest.mark.parametrize(
    ("task", "targets", "probabilities", "text"),
    [
        (PAIR, [[0, 1]], [[0.1]], "shape"),
        (PAIR, [[0, 1]], [[0.1, 3.2]], "sigmoid"),
        (PAIR, [[0, 1]] * 2, [[0.1, 0.2]] * 2, "one row a record"),
        (MULTICLASS, [3], [[0.2, 0.5, 0.3]], "between -1"),
        (MULTICLASS, [[1]], [[0.2, 0.5, 0.3]], "class code"),
    ],
)
def test_what_does_not_fit_is_refused(task, targets, probabilities, text):
    with pytest.raises(UsageError, match=text):
        predictions_table(task, ["1"], ["s"], targets, probabilities)


def test_files_that_are_no_table_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no predictions table"):
        read_predictions(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(PahclError, match="cannot be read"):
        read_predictions(tmp_path / "bad.parquet")
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(PahclError, match="record_id"):
        read_predictions(tmp_path / "other.parquet")


labels = hnp.arrays(np.float32, st.integers(4, 40), elements=st.sampled_from([0.0, 1.0, np.nan]))


@given(labels, st.integers(0, 1000), st.sampled_from(["f1", "youden"]))
def test_a_chosen_threshold_is_the_smallest_of_the_best(target, seed, criterion):
    probability = np.random.default_rng(seed).integers(0, 10, len(target)).astype(np.float32) / 10
    found = choose_thresholds(BINARY, target, probability, criterion).item()
    keep = ~np.isnan(target)
    y, p = target[keep], probability[keep]
    if y.sum() in (0, len(y)):
        assert found == 0.5
        return

    def merit(threshold):
        said = p >= np.float32(threshold)
        if criterion == "f1":
            return sk.f1_score(y, said)
        return said[y == 1].mean() - said[y == 0].mean()

    candidates = {float(t): merit(t) for t in np.unique(p)}
    best = max(candidates.values())
    assert found == min(t for t, m in candidates.items() if m >= best - 1e-12)


def test_thresholds_where_there_is_nothing_to_choose():
    target = np.array([[0, 1], [0, 1], [0, 1]], np.float32)
    assert choose_thresholds(PAIR, target, np.full((3, 2), 0.1)).tolist() == [0.5, 0.5]
    assert choose_thresholds(MULTICLASS, [0, 1, 2], np.eye(3)).tolist() == [0.5] * 3
    assert choose_thresholds(PAIR, np.zeros((0, 2)), np.zeros((0, 2))).tolist() == [0.5, 0.5]
    assert choose_thresholds(BINARY, [0.0, 1.0], [np.nan, 0.2]).tolist() == [0.5]
    with pytest.raises(UsageError, match="youden"):
        choose_thresholds(PAIR, target, np.full((3, 2), 0.1), "accuracy")


def test_run_folder_reads_and_refuses(tmp_path):
    with pytest.raises(UsageError, match="no run at"):
        RunFolder(tmp_path / "none").load_config()
    run = RunFolder(tmp_path / "runs" / "exp" / "seed0")
    run.path.mkdir(parents=True)
    run.config.write_text("run: {experiment: exp, name: seed0}\nseed_everything: 3\n")
    assert (run.name, run.experiment) == ("seed0", "exp")
    assert lookup(run.load_config(), "run.name") == "seed0"
    assert lookup(run.load_config(), "run.name.x") is None
    assert not run.is_complete
    with pytest.raises(UsageError, match="pahcl test"):
        run.load_metrics()
    run.metrics.write_text('{"task": nope')
    with pytest.raises(PahclError, match="damaged"):
        run.load_metrics()
    run.config.write_text("a: [1")
    with pytest.raises(PahclError, match="plain YAML"):
        run.load_config()
    assert run.evidence("metrics.json", "val").name == "metrics_val.json"


def test_find_runs_expands_folders_and_patterns_but_not_a_loggers_files(tmp_path):
    for name in ("a/seed0", "a/seed1", "b/seed0"):
        folder = tmp_path / name
        (folder / "wandb" / "files").mkdir(parents=True)
        (folder / "config.yaml").write_text("{}")
        (folder / "wandb" / "files" / "config.yaml").write_text("{}")
    found = find_runs([tmp_path, tmp_path / "a" / "seed0"])
    assert [str(run.path.relative_to(tmp_path)) for run in found] == [
        "a/seed0", "a/seed1", "b/seed0",
    ]  # fmt: skip
    assert len(find_runs([f"{tmp_path}/a*"])) == 2
    with pytest.raises(UsageError, match="no run at"):
        find_runs([tmp_path / "c*"])
