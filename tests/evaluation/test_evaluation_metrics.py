from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from pahcl.errors import UsageError
from pahcl.evaluation import metrics
from pahcl.evaluation.metric_names import metric_names
from pahcl.evaluation.metrics import evaluate
from pahcl.evaluation.predictions import predictions_table
from pahcl.task import Task

MULTILABEL = Task(
    "abn", "multilabel", ("AF", "RBBB", "LBBB"), ("AF", "RBBB", "LBBB"), "macro_auroc"
)
BINARY = Task("af", "binary", ("AF",), ("AF",), "auroc")
MULTICLASS = Task("beat", "multiclass", ("N", "S", "V"), ("beat",), "macro_auroc")
AGE = Task("age", "regression", ("age",), ("age",), "mae", unit="years")


def table(task, target, probability, thresholds=None):
    ids = [f"r{i}" for i in range(len(target))]
    return predictions_table(task, ids, ids, target, probability, thresholds)


def sklearn_binary(y, p, yhat):
    tn, fp, fn, tp = sk.confusion_matrix(y, yhat, labels=[0, 1]).ravel()
    return {
        "auroc": sk.roc_auc_score(y, p),
        "auprc": sk.average_precision_score(y, p),
        "f1": sk.f1_score(y, yhat),
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "accuracy": sk.accuracy_score(y, yhat),
        "brier": sk.brier_score_loss(y, p),
    }


def test_multilabel_agrees_with_sklearn_on_the_labelled_rows():
    rng = np.random.default_rng(0)
    target = (rng.random((200, 3)) < [0.5, 0.2, 0.1]).astype(np.float32)
    # Two decimals, so that there are ties.
    probability = np.clip(target * 0.2 + rng.random((200, 3)) * 0.8, 0, 1).round(2)
    target[rng.random((200, 3)) < 0.1] = np.nan
    predictions = table(MULTILABEL, target, probability, [0.5, 0.4, 0.3])
    found = evaluate(MULTILABEL, predictions)
    expected = {}
    for k, name in enumerate(MULTILABEL.classes):
        keep = ~np.isnan(target[:, k])
        y, p = target[keep, k], predictions[f"probability/{name}"].to_numpy(float)[keep]
        yhat = predictions[f"prediction/{name}"].to_numpy()[keep]
        expected[name] = sklearn_binary(y, p, yhat)
        for metric, value in expected[name].items():
            assert found.per_class[name][metric] == pytest.approx(value, abs=1e-6), (name, metric)
        assert found.per_class[name]["positives"] == y.sum()
        assert found.per_class[name]["negatives"] == (y == 0).sum()
        assert found.per_class[name]["unlabelled"] == (~keep).sum()
        assert (found.confusion[k] == sk.confusion_matrix(y, yhat)).all()
    for metric in expected["AF"]:
        mean = np.mean([expected[name][metric] for name in MULTILABEL.classes])
        assert found.macro[f"macro_{metric}"] == pytest.approx(mean, abs=1e-6)
    keep = ~np.isnan(target)
    yhat = predictions[[f"prediction/{c}" for c in MULTILABEL.classes]].to_numpy()
    assert found.macro["micro_f1"] == pytest.approx(sk.f1_score(target[keep], yhat[keep]), abs=1e-6)
    whole = keep.all(axis=1)
    assert found.macro["exact_match"] == pytest.approx(
        (target[whole] == yhat[whole]).all(axis=1).mean()
    )
    assert set(found.macro) == set(metric_names("multilabel"))
    assert found.classes_defined["macro_auroc"] == 3
    assert not found.notes


def test_weighted_f1_agrees_with_sklearn_when_all_is_labelled():
    rng = np.random.default_rng(1)
    target = (rng.random((100, 3)) < 0.3).astype(np.float32)
    predictions = table(MULTILABEL, target, rng.random((100, 3)))
    yhat = predictions[[f"prediction/{c}" for c in MULTILABEL.classes]].to_numpy()
    found = evaluate(MULTILABEL, predictions).macro
    for average in ("macro", "micro", "weighted"):
        expected = sk.f1_score(target, yhat, average=average)
        assert found[f"{average}_f1"] == pytest.approx(expected, abs=1e-6)


def test_calibration_error_is_the_mean_gap_of_fifteen_bins():
    rng = np.random.default_rng(2)
    p = rng.random(500).astype(np.float32)
    y = (rng.random(500) < p**2).astype(np.float32)
    bins = np.digitize(p, np.linspace(0, 1, 16)) - 1
    gaps = [
        (bins == b).mean() * abs(p[bins == b].mean() - y[bins == b].mean()) for b in np.unique(bins)
    ]
    found = evaluate(BINARY, table(BINARY, y, p)).macro["calibration_error"]
    assert found == pytest.approx(sum(gaps), abs=1e-6)


def test_binary_names_have_no_prefix():
    found = evaluate(BINARY, table(BINARY, [0, 1, 1, 0.0], [0.1, 0.9, 0.8, 0.2]))
    assert found.macro["auroc"] == found.per_class["AF"]["auroc"] == 1.0
    assert found.confusion.tolist() == [[[2, 0], [0, 2]]]


def test_multiclass_agrees_with_sklearn_and_leaves_out_the_unlabelled():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, 150)
    logits = np.eye(3)[y] + rng.normal(size=(150, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y[:5] = -1
    found = evaluate(MULTICLASS, table(MULTICLASS, y, p))
    y, p32 = y[5:], p[5:].astype(np.float32).astype(float)
    yhat = p32.argmax(axis=1)
    assert found.macro["accuracy"] == pytest.approx(sk.accuracy_score(y, yhat))
    assert found.macro["micro_f1"] == pytest.approx(sk.accuracy_score(y, yhat), abs=1e-6)
    assert found.macro["macro_f1"] == pytest.approx(sk.f1_score(y, yhat, average="macro"), abs=1e-6)
    assert found.macro["weighted_f1"] == pytest.approx(
        sk.f1_score(y, yhat, average="weighted"), abs=1e-6
    )
    assert found.macro["macro_sensitivity"] == pytest.approx(
        sk.balanced_accuracy_score(y, yhat), abs=1e-6
    )
    one_against_rest = [sk.roc_auc_score(y == k, p32[:, k]) for k in range(3)]
    assert found.macro["macro_auroc"] == pytest.approx(np.mean(one_against_rest), abs=1e-6)
    assert (found.confusion == sk.confusion_matrix(y, yhat)).all()
    assert found.per_class["N"]["unlabelled"] == 5


def test_regression_agrees_with_sklearn_and_numpy():
    rng = np.random.default_rng(4)
    y = rng.normal(60, 15, 80).astype(np.float32)
    estimate = (y + rng.normal(0, 8, 80)).astype(np.float32)
    y[:3] = np.nan
    found = evaluate(AGE, table(AGE, y, estimate))
    y, estimate = y[3:].astype(float), estimate[3:].astype(float)
    assert found.macro == pytest.approx(
        {
            "mae": sk.mean_absolute_error(y, estimate),
            "rmse": sk.root_mean_squared_error(y, estimate),
            "r2": sk.r2_score(y, estimate),
            "pearson": np.corrcoef(y, estimate)[0, 1],
        },
        abs=1e-5,
    )
    assert found.confusion is None
    assert found.per_class["age"]["labelled"] == 77


@pytest.mark.parametrize(
    ("column", "undefined"),
    [
        ([0, 0, 0, 0], {"auroc", "auprc", "f1", "sensitivity"}),
        ([1, 1, 1, 1], {"auroc", "specificity"}),
        ([np.nan] * 4, set(sklearn_binary([0, 1], [0, 1], [0, 1])) | {"calibration_error"}),
    ],
)
def test_what_labels_cannot_define_is_nan_with_a_reason(column, undefined, caplog):
    target = np.array([[0, 1, 0, 1], [1, 0, 0, 1], column], np.float32).T
    metrics._say_once.cache_clear()
    with caplog.at_level("INFO", logger="pahcl.evaluation.metrics"):
        evaluate(MULTILABEL, table(MULTILABEL, target, np.full((4, 3), 0.6)))
        found = evaluate(MULTILABEL, table(MULTILABEL, target, np.full((4, 3), 0.6)))
    scores = found.per_class["LBBB"]
    assert {name for name, value in scores.items() if np.isnan(value)} == undefined
    assert caplog.text.count("LBBB") == 1
    assert len(found.notes) == 1
    assert found.classes_defined["macro_auroc"] == 2
    two = [found.per_class[name]["auroc"] for name in ("AF", "RBBB")]
    assert found.macro["macro_auroc"] == pytest.approx(np.mean(two))


def test_an_empty_table_and_constant_regression_do_not_crash():
    for task in (MULTILABEL, BINARY, AGE):
        empty = evaluate(
            task, table(task, np.zeros((0, task.num_outputs)), np.zeros((0, task.num_outputs)))
        )
        assert all(np.isnan(value) for value in empty.macro.values())
    empty = evaluate(MULTICLASS, table(MULTICLASS, np.zeros(0, int), np.zeros((0, 3))))
    assert all(np.isnan(value) for value in empty.macro.values())
    found = evaluate(AGE, table(AGE, [50.0, 50.0], [40.0, 60.0]))
    assert np.isnan(found.macro["r2"])
    assert found.macro["mae"] == 10
    assert np.isnan(evaluate(AGE, table(AGE, [50.0, 60.0], [40.0, 40.0])).macro["pearson"])


def test_outputs_that_are_not_finite_are_named_and_not_scored():
    found = evaluate(BINARY, table(BINARY, [0.0, 1.0], [np.nan, 0.5]))
    assert np.isnan(found.macro["auroc"])
    assert "not finite" in found.notes[0]


def test_a_table_of_another_task_is_refused():
    with pytest.raises(UsageError, match="lacks"):
        evaluate(MULTILABEL, table(BINARY, [0.0, 1.0], [0.1, 0.2]))
