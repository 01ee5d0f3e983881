from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from fake_runs import TASKS, draw
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

import pahcl.reports
from pahcl.evaluation.predictions import predictions_table
from pahcl.reports.classification import (
    ClassScores,
    class_scores,
    confusion_matrix,
    confusion_tables,
    main_classes,
    operating_points,
    precision_recall_curves,
    precision_recall_points,
    roc_curves,
    roc_points,
    thin,
)
from pahcl.reports.regression import Estimates, agreement, error_by_group, group_edges
from pahcl.reports.scores import reliability_diagrams, score_histograms
from pahcl.reports.style import panels, shorten, styled, to_svg
from pahcl.task import Task


def table(kind: str, n: int = 300) -> tuple[Task, pd.DataFrame]:
    task = TASKS[kind]
    target, estimate = draw(task, n, np.random.default_rng(0), 2.0)
    names = [f"r{i}" for i in range(n)]
    return task, predictions_table(task, names, names, target, estimate)


def one_class(target: list[float], probability: list[float], name: str = "AF") -> ClassScores:
    score = np.array(probability, dtype=float)
    return ClassScores(
        name, np.array(target, dtype=float), score, (score >= 0.5).astype(float), 0.5
    )


def texts(figure: Figure) -> str:
    return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", to_svg(figure, "f")))


@given(
    target=hnp.arrays(np.float64, 40, elements=st.sampled_from([0.0, 1.0])),
    score=hnp.arrays(np.float64, 40, elements=st.sampled_from([0.1, 0.3, 0.5, 0.9])),
)
def test_operating_points_agree_with_sklearn(target: np.ndarray, score: np.ndarray) -> None:
    target[:2] = [0, 1]
    hits, alarms = operating_points(target, score)
    rate, sensitivity, _ = roc_curve(target, score, drop_intermediate=False)
    np.testing.assert_allclose(hits / target.sum(), sensitivity)
    np.testing.assert_allclose(alarms / (1 - target).sum(), rate)


def test_drawn_curves_hold_the_areas_that_are_printed() -> None:
    target, score = draw(TASKS["binary"], 2000, np.random.default_rng(1), 1.5)
    known = ~np.isnan(target[:, 0])
    one = one_class(list(target[known, 0]), list(score[known, 0]))
    x, y = roc_points(one)
    assert np.trapezoid(y, x) == pytest.approx(roc_auc_score(one.target, one.probability), abs=2e-3)
    recall, precision = precision_recall_points(one)
    area = float(np.diff(recall) @ precision[1:])
    expected = average_precision_score(one.target, one.probability)
    assert area == pytest.approx(expected, abs=5e-3)
    assert recall[0] == 0


def test_thinning_keeps_the_ends_and_the_shape() -> None:
    x = np.linspace(0, 1, 100_000)
    kept_x, kept_y = thin(x, x**2)
    assert len(kept_x) < 2100
    assert (kept_x[0], kept_x[-1]) == (0, 1)
    np.testing.assert_allclose(kept_y, kept_x**2)


def test_main_classes_are_those_with_most_positives_in_their_order() -> None:
    scores = [one_class([1.0] * k + [0.0] * (9 - k), [0.5] * 9, f"c{k}") for k in (1, 5, 2, 7)]
    assert [one.name for one in main_classes(scores, 2)] == ["c5", "c7"]
    assert main_classes(scores, 4) == scores


def test_a_class_without_positives_says_so_instead_of_a_curve() -> None:
    scores = [one_class([0, 0, 0], [0.2, 0.3, 0.9]), one_class([1, 1], [0.2, 0.9])]
    for draw_curves in (roc_curves, precision_recall_curves):
        found = texts(draw_curves(scores))
        assert "no positive record" in found
        assert "no negative record" in found


def test_confusion_cells_hold_counts_and_shares_of_the_row() -> None:
    found = texts(confusion_tables([one_class([0, 0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.9, 0.9, 0.1])]))
    assert "3 75 %" in found
    assert "1 25 %" in found
    assert "1 50 %" in found


def test_multiclass_confusion_counts_the_labelled_records() -> None:
    task, predictions = table("multiclass")
    numbers = [
        int(x) for x in re.findall(r"(\d+) \d+ %", texts(confusion_matrix(task, predictions)))
    ]
    assert sum(numbers) == int(predictions["target/sinus"].notna().sum())


def test_figures_of_every_kind_are_drawn_without_warnings() -> None:
    task, predictions = table("multilabel")
    scores = class_scores(task, predictions)
    errors = dict.fromkeys(task.classes, 0.1)
    for figure in (
        reliability_diagrams(task, predictions, scores, errors),
        score_histograms(scores),
        roc_curves(scores),
    ):
        assert "AF" in texts(figure)


def test_reliability_of_an_unlabelled_class_says_so() -> None:
    task, predictions = table("binary", 20)
    predictions["target/AF"] = np.float32("nan")
    scores = class_scores(task, predictions)
    assert "no labelled record" in texts(reliability_diagrams(task, predictions, scores, {}))
    assert "0 of 0 positive" in texts(score_histograms(scores))


@given(
    st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=50),
    st.integers(1, 12),
)
def test_group_edges_hold_every_value(values: list[float], most: int) -> None:
    truth = np.array(values)
    edges = group_edges(truth, most)
    assert edges[0] <= truth.min() + 1e-6
    assert edges[-1] >= truth.max() - 1e-6
    assert len(edges) <= most + 3


def test_regression_figures_name_bias_and_limits() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(20, 90, 4000)
    one = Estimates("age", truth, truth + 3 + rng.normal(0, 5, 4000), "years")
    found = texts(agreement(one))
    bias = re.search(r"bias (\d\.\d\d)", found)
    assert bias is not None
    assert float(bias[1]) == pytest.approx(3, abs=0.3)
    assert "[years]" in found
    groups = texts(error_by_group(one))
    counts = [int(x.replace(",", "")) for x in re.findall(r"n = ([\d,]+)", groups)]
    assert sum(counts) == 4000
    assert "40–50" in groups


def test_regression_figures_bear_one_record_and_constant_values() -> None:
    one = Estimates("age", np.array([50.0]), np.array([50.0]), None)
    assert "bias" in texts(agreement(one))
    assert "n = 1" in texts(error_by_group(one))


@styled
def plain_figure(title: str = "t") -> Figure:
    figure, axes = panels(2)
    axes[0].plot([0, 1], [0, 1], label="line")
    axes[0].legend()
    axes[1].set_title(title)
    return figure


def test_svg_is_the_same_each_time_and_holds_no_date() -> None:
    first, second = (to_svg(plain_figure(), "one") for _ in range(2))
    assert first == second
    assert "metadata" not in first
    assert "<style" not in first
    assert first.startswith("<svg")


def test_svg_identifiers_are_its_own_and_references_lead_somewhere() -> None:
    one, two = to_svg(plain_figure(), "one"), to_svg(plain_figure(), "two")
    identifiers = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, two)]
    assert not identifiers[0] & identifiers[1]
    assert all(name.startswith("one-") for name in identifiers[0])
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', one))
    assert used
    assert used <= identifiers[0]


def test_svg_escapes_names_and_leaves_dollars_alone() -> None:
    svg = to_svg(plain_figure("<script>$x_1$"), "one")
    assert "<script" not in svg
    assert "$x_1$" in svg


def test_svg_follows_the_page_in_its_colours() -> None:
    svg = to_svg(plain_figure(), "one")
    assert "var(--ink, #1b1f24)" in svg
    assert not set(re.findall(r"(?<!, )#[0-9a-f]{6}", svg)) - {"#000000", "#ffffff"}


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    before = dict(mpl.rcParams)
    plain_figure()
    assert dict(mpl.rcParams) == before
    for file in Path(pahcl.reports.__file__).parent.glob("*.py"):
        assert "pyplot" not in file.read_text().split('"""', 2)[2], file


def test_the_style_does_not_depend_on_the_users_settings() -> None:
    expected = to_svg(plain_figure(), "one")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert to_svg(plain_figure(), "one") == expected


def test_threads_draw_the_same_as_one() -> None:
    expected = to_svg(plain_figure(), "one")
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: to_svg(plain_figure(), "one"), range(8)))
    assert found == {expected}


def test_long_names_are_cut() -> None:
    assert shorten("short") == "short"
    assert len(shorten("x" * 99, 10)) == 10
