from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from pahcl.errors import UsageError
from pahcl.evaluation import resampling
from pahcl.evaluation.calibration import reliability_curve
from pahcl.evaluation.compare import (
    align,
    group_values,
    over_seeds,
    paired_comparison,
    two_sided_p,
)
from pahcl.evaluation.intervals import bootstrap_intervals, subject_bootstrap
from pahcl.evaluation.metric_names import metric_names
from pahcl.evaluation.metrics import evaluate
from pahcl.evaluation.predictions import as_arrays, predictions_table
from pahcl.evaluation.resampling import NOT_RESAMPLED, overall, resample, subject_counts
from pahcl.task import Task

MULTILABEL = Task("abn", "multilabel", ("AF", "RBBB"), ("AF", "RBBB"), "macro_auroc")
BINARY = Task("af", "binary", ("AF",), ("AF",), "auroc")
MULTICLASS = Task("beat", "multiclass", ("N", "S", "V"), ("beat",), "macro_auroc")
AGE = Task("age", "regression", ("age",), ("age",), "mae")
TASKS = [MULTILABEL, BINARY, MULTICLASS, AGE]


def make(task, records=120, subjects=50, seed=0, skill=0.3, prevalence=0.3, noise=0):
    """Simulate a table with ties, missing labels and several records a subject."""
    rng = np.random.default_rng(seed)
    who = rng.integers(subjects, size=records)
    ids = [f"r{i:05d}" for i in range(records)]
    names = [f"s{i:03d}" for i in who]
    draw = np.random.default_rng([seed, 1 + noise])
    if task.kind == "regression":
        target = rng.normal(60, 15, records)
        estimate = target + draw.normal(0, 10 / (0.1 + skill), records)
        target[:4] = np.nan
        return predictions_table(task, ids, names, target, estimate)
    if task.kind == "multiclass":
        code = rng.integers(0, 3, records)
        scores = np.eye(3)[code] * skill + draw.random((records, 3)).round(1) + 0.01
        code[:4] = -1
        return predictions_table(task, ids, names, code, scores / scores.sum(1, keepdims=True))
    shape = (records, task.num_outputs)
    target = (rng.random(shape) < prevalence).astype(np.float32)
    probability = (target * skill + draw.random(shape) * (1 - skill)).round(2)
    target[rng.random(shape) < 0.05] = np.nan
    return predictions_table(task, ids, names, target, probability)


def slow_metrics(task, rows):
    """Score resampled rows by sklearn, class by class."""
    found = {}
    for name in task.classes:
        keep = rows[f"target/{name}"].notna()
        y = rows.loc[keep, f"target/{name}"].to_numpy(float)
        p = rows.loc[keep, f"probability/{name}"].to_numpy(float)
        said = rows.loc[keep, f"prediction/{name}"].to_numpy(float)
        if task.kind == "regression":
            found[name] = {
                "mae": sk.mean_absolute_error(y, p),
                "rmse": sk.root_mean_squared_error(y, p),
                "r2": sk.r2_score(y, p),
                "pearson": np.corrcoef(y, p)[0, 1],
            }
            continue
        found[name] = {
            "auroc": sk.roc_auc_score(y, p),
            "auprc": sk.average_precision_score(y, p),
            "f1": sk.f1_score(y, said),
            "sensitivity": sk.recall_score(y, said),
            "specificity": sk.recall_score(1 - y, 1 - said),
            "accuracy": sk.accuracy_score(y, said),
            "brier": np.mean((p - y) ** 2),
        }
    return found


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_weights_give_what_sklearn_gives_on_resampled_rows(task):
    table = make(task)
    scored = as_arrays(task, table)
    subjects = len(scored.subjects)
    drawn = resample(task, [scored], samples=25, seed=3)[0]
    counts = np.concatenate(list(subject_counts(subjects, 25, 3, rows=7)))
    assert (counts.sum(axis=1) == subjects).all()
    for s, weights in enumerate(counts):
        rows = table.loc[np.repeat(np.arange(len(table)), weights[scored.subject].astype(int))]
        expected = slow_metrics(task, rows)
        for metric, values in drawn.classes.items():
            want = [expected[name][metric] for name in task.classes]
            assert values[s] == pytest.approx(want, abs=1e-9), (metric, s)
        points = evaluate(task, rows.reset_index(drop=True))
        for metric, values in drawn.pooled.items():
            assert values[s] == pytest.approx(points.macro[metric], abs=1e-6)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_value_is_that_of_evaluate_and_lies_inside(task):
    table = make(task)
    found = subject_bootstrap(task, table, samples=200)
    points = evaluate(task, table).macro
    assert set(found) == set(metric_names(task.kind))
    for name, interval in found.items():
        assert interval.value == points[name]
        if name.removeprefix("macro_") in NOT_RESAMPLED:
            assert np.isnan(interval.low)
        else:
            assert interval.low <= interval.value <= interval.high
            assert interval.low < interval.high


def test_subjects_are_resampled_and_not_records():
    """Each subject's records are copies, so the interval must not shrink with their number."""
    single = make(BINARY, records=60, subjects=10**6)
    single["subject_id"] = single["record_id"]
    copies = pd.concat([single] * 8, ignore_index=True)
    copies["record_id"] = [f"c{i}" for i in range(len(copies))]
    one = subject_bootstrap(BINARY, single, samples=300)["auroc"]
    many = subject_bootstrap(BINARY, copies, samples=300)["auroc"]
    assert (many.low, many.high) == pytest.approx((one.low, one.high), abs=1e-6)


def test_draws_do_not_depend_on_the_chunks(monkeypatch):
    scored = as_arrays(MULTILABEL, make(MULTILABEL))
    first = resample(MULTILABEL, [scored], 40, 0)[0]
    monkeypatch.setattr(resampling, "CHUNK", 1)
    again = resample(MULTILABEL, [scored], 40, 0)[0]
    other = resample(MULTILABEL, [scored], 40, 1)[0]
    for name, values in first.classes.items():
        np.testing.assert_allclose(again.classes[name], values, rtol=1e-12)
    assert not np.allclose(other.classes["auroc"], first.classes["auroc"])


def test_rare_classes_do_not_push_a_macro_to_one_side():
    """Thirty classes of one or two positive subjects, good ones and bad ones."""
    names = tuple(f"c{k}" for k in range(30))
    task = Task("many", "multilabel", names, names, "macro_auroc")
    rng = np.random.default_rng(0)
    target = np.zeros((300, 30), np.float32)
    probability = rng.random((300, 30))
    for k in range(30):
        positive = rng.choice(300, 1 + k % 2, replace=False)
        target[positive, k] = 1
        # Classes with one positive are the bad ones: leaving them out would flatter.
        probability[positive, k] = 0.99 if k % 2 else 0.3
    ids = [str(i) for i in range(300)]
    table = predictions_table(task, ids, ids, target, probability)
    found = bootstrap_intervals(task, table, samples=300)
    macro = found.metrics["macro_auroc"]
    drawn = resample(task, [as_arrays(task, table)], 300, 0)[0]
    kept = overall(task, [drawn], "macro_auroc", 0)[0]
    assert np.isfinite(kept).all()
    assert kept.mean() == pytest.approx(macro.value, abs=0.002)
    naive = np.nanmean(drawn.classes["auroc"], axis=1).mean()
    assert abs(naive - macro.value) > 5 * abs(kept.mean() - macro.value)
    # A class with one positive is lost in 1/e of the resamples.
    assert found.undefined_samples["c0"] / 300 == pytest.approx(np.exp(-1), abs=0.1)
    assert any("fewer than" in note for note in found.notes)
    assert any("drawn again" in note for note in found.notes)


def test_coverage_of_the_auroc_interval_is_near_its_level():
    """Known truth: normal scores one apart have an AUROC of Phi(1 / sqrt 2) = 0.7602."""
    hits = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        y = np.repeat([0.0, 1.0], 60)
        p = 1 / (1 + np.exp(-(y + rng.normal(size=120))))
        ids = [str(i) for i in range(120)]
        found = subject_bootstrap(BINARY, predictions_table(BINARY, ids, ids, y, p), samples=200)
        hits += found["auroc"].low <= 0.7602 <= found["auroc"].high
    assert hits >= 51  # 95 % of 60 is 57; below 51 has a chance of about 1 in 500


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_one_subject_or_none_has_values_without_intervals(task):
    one = make(task, subjects=1)
    found = bootstrap_intervals(task, one, samples=10)
    assert np.isnan([interval.low for interval in found.metrics.values()]).all()
    assert "subject" in found.notes[0]
    assert np.isnan(
        bootstrap_intervals(task, one.iloc[:0], samples=10).metrics[task.primary_metric].value
    )


def test_undefined_classes_have_no_interval():
    table = make(MULTILABEL)
    table["target/RBBB"] = 0.0
    found = bootstrap_intervals(MULTILABEL, table, samples=50)
    assert np.isnan(found.per_class["RBBB"]["auroc"].low)
    assert found.per_class["RBBB"]["accuracy"].low > 0
    assert found.metrics["macro_auroc"].value == found.per_class["AF"]["auroc"].value
    assert found.undefined_samples["RBBB"] == 0
    table["probability/AF"] = np.nan
    broken = bootstrap_intervals(MULTILABEL, table, samples=50)
    assert np.isnan(broken.metrics["macro_auroc"].value)


@pytest.mark.parametrize("settings", [{"samples": 0}, {"level": 1.0}])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(UsageError):
        bootstrap_intervals(BINARY, make(BINARY), **settings)


def test_a_comparison_is_paired():
    a = make(MULTILABEL, skill=0.3)
    worse = make(MULTILABEL, skill=0.05, noise=1)
    found = paired_comparison(MULTILABEL, a, worse, samples=300)
    assert found.difference == pytest.approx(found.value_a - found.value_b)
    assert found.low > 0
    assert found.p_value == pytest.approx(2 / 301)
    mirrored = paired_comparison(MULTILABEL, worse, a, samples=300)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))
    assert mirrored.p_value == found.p_value
    same = paired_comparison(MULTILABEL, a, a, samples=300)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    # A hair's breadth apart: the paired interval is far narrower than either run's own.
    near = a.copy()
    near["probability/AF"] = (near["probability/AF"] + 0.01 * near["target/AF"].fillna(0)).clip(
        0, 1
    )
    tight = paired_comparison(MULTILABEL, near, a, samples=300)
    own = subject_bootstrap(MULTILABEL, a, samples=300)["macro_auroc"]
    assert tight.high - tight.low < 0.3 * (own.high - own.low)


def test_a_comparison_joins_by_record_and_refuses_other_labels():
    a, b = make(BINARY), make(BINARY, noise=1)
    shuffled = b.sample(frac=1, random_state=0)
    assert paired_comparison(BINARY, a, shuffled, samples=20) == paired_comparison(
        BINARY, a, b, samples=20
    )
    fewer = paired_comparison(BINARY, a, b.iloc[10:], samples=20)
    assert (fewer.n_records, fewer.left_out) == (110, 10)
    other = b.assign(**{"target/AF": 1.0 - b["target/AF"]})
    with pytest.raises(UsageError, match="labels"):
        paired_comparison(BINARY, a, other)
    with pytest.raises(UsageError, match="in common"):
        paired_comparison(BINARY, a, b.assign(record_id=b["record_id"] + "x"))
    with pytest.raises(UsageError, match="twice"):
        paired_comparison(BINARY, a, pd.concat([b, b]))
    with pytest.raises(UsageError, match="calibration_error"):
        paired_comparison(BINARY, a, b, "calibration_error")
    with pytest.raises(UsageError, match="either side"):
        paired_comparison(BINARY, a, [])


def test_seeds_are_a_source_of_doubt():
    """Runs that differ much from seed to seed widen the interval; copies of one run do not."""
    runs = [make(AGE, skill=skill, noise=i) for i, skill in enumerate((0.1, 0.5, 0.9))]
    spread = group_values(AGE, runs, ["mae", "r2"], samples=400)["mae"]
    assert spread.value == pytest.approx(np.mean(spread.runs))
    assert spread.runs == tuple(evaluate(AGE, run).macro["mae"] for run in runs)
    copied = group_values(AGE, [runs[1]] * 3, ["mae"], samples=400)["mae"]
    alone = group_values(AGE, [runs[1]], ["mae"], samples=400)["mae"]
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high))
    assert spread.high - spread.low > 2 * (alone.high - alone.low)
    against = paired_comparison(AGE, runs, [runs[1]] * 2, samples=100)
    assert (against.runs_a, against.runs_b, against.sources) == (3, 2, "subjects and seeds")
    assert np.isnan(
        group_values(BINARY, [make(BINARY)], ["calibration_error"], 20)["calibration_error"].low
    )
    with pytest.raises(UsageError, match="no metric"):
        group_values(AGE, runs, ["auroc"])


def test_over_seeds_has_the_variance_of_a_mean_of_new_runs():
    values = np.repeat(np.array([[0.0], [1.0], [5.0]]), 20000, axis=1)
    drawn = over_seeds(values, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(2, abs=0.03)
    assert drawn.var() == pytest.approx(np.var([0, 1, 5], ddof=1) / 3, rel=0.03)


def test_p_value_counts_both_sides():
    assert two_sided_p(np.array([1.0] * 99)) == pytest.approx(0.02)
    assert two_sided_p(np.array([-1.0, 1.0])) == 1
    assert np.isnan(two_sided_p(np.array([np.nan])))


def test_align_keeps_order_and_facts():
    a, b = make(MULTICLASS), make(MULTICLASS, noise=1).iloc[::-1]
    (x, y), left_out = align(MULTICLASS, [a, b])
    assert x["record_id"].tolist() == y["record_id"].tolist()
    assert left_out == 0


def test_reliability_is_the_frequency_in_each_bin():
    ids = [str(i) for i in range(6)]
    table = predictions_table(
        BINARY, ids, ids, [0, 1, 1, 1, np.nan, 1], [0.05, 0.05, 0.95, 1.0, 0.5, 0.95]
    )
    found = reliability_curve(BINARY, table, bins=10)
    assert found["n"].tolist() == [2, 3]
    assert found["observed"].tolist() == [0.5, 1.0]
    assert found["mean_probability"].tolist() == pytest.approx([0.05, 2.9 / 3])
    # Wilson interval of 3 of 3 at 95 %: 0.4385 to 1.
    assert found["low"][1] == pytest.approx(0.4385, abs=1e-4)
    assert found["high"][1] == 1
    gap = (found["n"] * (found["observed"] - found["mean_probability"]).abs()).sum() / 5
    fine = reliability_curve(BINARY, table)
    ece = (fine["n"] * (fine["observed"] - fine["mean_probability"]).abs()).sum() / 5
    assert ece == pytest.approx(evaluate(BINARY, table).macro["calibration_error"], abs=1e-6)
    assert gap == pytest.approx(ece)
    with pytest.raises(UsageError, match="regression"):
        reliability_curve(AGE, make(AGE))
    with pytest.raises(UsageError, match="bin"):
        reliability_curve(BINARY, table, bins=0)
