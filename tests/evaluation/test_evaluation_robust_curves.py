"""Curves of several runs: their areas and paired differences, their bounds, and their file."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pahcl.errors import PahclError, UsageError
from pahcl.evaluation.compare import paired_comparison
from pahcl.evaluation.intervals import bootstrap_intervals
from pahcl.evaluation.metrics import evaluate
from pahcl.evaluation.predictions import predictions_table
from pahcl.evaluation.robust_curves import Curves, draw_curves, weights_of
from pahcl.evaluation.robustness import bounds
from pahcl.evaluation.robustness_file import SHAPE, lost_files, misfit
from pahcl.evaluation.run import RunFolder
from pahcl.files import sha256_file
from pahcl.task import Task

TASK = Task("af", "binary", ("AF",), ("AF",), "auroc")
SIZES = (0.0, 0.01, 0.1)
N = 120


def curve(skill: float, fall: float, seed: int = 0, order: slice = slice(None)) -> dict[float, Any]:
    """Make predictions whose ranking gets worse with the size; labels are those of every run."""
    target = np.random.default_rng(9).random(N) < 0.3
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=N)
    tables = {}
    for size in SIZES:
        logit = noise + (skill - fall * np.log1p(size / 0.01)) * target
        names = [f"r{k:03d}" for k in range(N)]
        people = [f"p{k // 2}" for k in range(N)]
        table = predictions_table(TASK, names, people, target, 1 / (1 + np.exp(-logit)))
        tables[size] = table.iloc[order].reset_index(drop=True)
    return tables


def test_weights_are_those_of_the_trapezoid() -> None:
    np.testing.assert_allclose(weights_of([0, 1, 4], False), [0.125, 0.5, 0.375])
    for logarithmic in (False, True):
        assert weights_of([0, 0.001, 0.01, 0.1], logarithmic).sum() == pytest.approx(1)


def test_a_curve_has_the_intervals_of_its_points_and_the_area_of_its_heights() -> None:
    tables = curve(2.0, 0.5)
    found = draw_curves(TASK, [tables], 200, 3)
    for size, point in zip(SIZES, found.points([0]), strict=True):
        alone = bootstrap_intervals(TASK, tables[size], 200, 3).metrics["auroc"]
        assert point.value == pytest.approx(alone.value)
        assert (point.low, point.high) == pytest.approx((alone.low, alone.high), abs=0.01)
    heights = [evaluate(TASK, tables[size]).macro["auroc"] for size in SIZES]
    x = np.log1p(np.array(SIZES) / SIZES[1])
    area = found.mean_height([0])
    assert area.value == pytest.approx(np.trapezoid(heights, x) / x[-1])
    assert area.low < area.value < area.high
    linear = found.mean_height([0], logarithmic=False)
    assert linear.value == pytest.approx(np.trapezoid(heights, SIZES) / SIZES[-1])


def test_differences_are_paired_by_record_and_person() -> None:
    strong, weak = curve(2.5, 0.3), curve(2.5, 0.8, order=slice(None, None, -1))
    found = draw_curves(TASK, [strong, weak], 300)
    paired = found.difference([0], [1])
    a, b = found.mean_height([0]), found.mean_height([1])
    assert paired.difference == pytest.approx(a.value - b.value)
    assert paired.low > 0
    assert paired.n_records == N
    assert paired.n_subjects == N // 2
    # The same noise in both: what is paired is far surer than two intervals side by side.
    assert paired.high - paired.low < (a.high - a.low + b.high - b.low) / 2
    none = found.difference([0], [0])
    assert (none.difference, none.low, none.high, none.p_value) == (0, 0, 0, 1)


def test_a_curve_that_is_flat_differs_as_its_one_metric_does() -> None:
    one, other = (dict.fromkeys(SIZES, found[0.0]) for found in (curve(2, 0), curve(1, 0, 1)))
    by_area = draw_curves(TASK, [one, other], 200, 5).difference([0], [1])
    by_metric = paired_comparison(TASK, one[0.0], other[0.0], samples=200, seed=5)
    for name in ("difference", "low", "high", "p_value"):
        assert getattr(by_area, name) == pytest.approx(getattr(by_metric, name))


def test_several_seeds_widen_the_interval() -> None:
    runs = [curve(2.0, 0.4, seed) for seed in range(3)]
    found = draw_curves(TASK, runs, 300)
    together = found.difference([0, 1], [2])
    assert (together.runs_a, together.runs_b, together.sources) == (2, 1, "subjects and seeds")
    mean = found.points([0, 1, 2])[1]
    assert mean.value == pytest.approx(np.mean([found.points([k])[1].value for k in range(3)]))
    assert mean.low < mean.value < mean.high
    perfect = [{size: curve(9, 0)[0.0] for size in SIZES}, curve(1.5, 0.5)]
    assert draw_curves(TASK, perfect, 300).points([0, 1])[0].high <= 1


def test_one_person_has_no_interval_and_other_records_are_refused() -> None:
    alone = {size: table.assign(subject_id="p") for size, table in curve(2, 0.5).items()}
    area = draw_curves(TASK, [alone], 50).mean_height([0])
    assert area.known
    assert not area.has_ends
    other = {
        size: table.assign(record_id="x" + table["record_id"]) for size, table in alone.items()
    }
    with pytest.raises(UsageError, match="no test record in common"):
        draw_curves(TASK, [alone, other])


def test_an_undefined_metric_has_no_height() -> None:
    tables = {size: table.assign(**{"target/AF": 0.0}) for size, table in curve(2, 1).items()}
    found: Curves = draw_curves(TASK, [tables], 50)
    assert not found.mean_height([0]).known
    assert not any(point.known for point in found.points([0]))


def labelled(target: np.ndarray) -> pd.DataFrame:
    names = [f"r{k}" for k in range(len(target))]
    return predictions_table(TASK, names, names, target, np.full(len(target), 0.5))


def test_bounds_follow_from_the_labels() -> None:
    found = bounds(TASK, labelled(np.r_[np.ones(10), np.zeros(90)]))
    ranks = np.arange(1, 11)
    assert found["auprc"]["chance"] == pytest.approx(0.1)
    assert found["auprc"]["floor"] == pytest.approx((ranks / (90 + ranks)).mean())
    assert found["auroc"] == {"chance": 0.5, "floor": 0.0}
    nothing = bounds(TASK, labelled(np.zeros(20)))
    assert nothing == {name: {"chance": None, "floor": None} for name in ("auroc", "auprc")}
    age = Task("age", "regression", ("age",), ("age",), "mae", unit="years")
    assert bounds(age, labelled(np.zeros(4))) == {}


def test_bounds_of_several_findings_are_means_over_those_that_occur() -> None:
    task = dataclasses.replace(TASK, kind="multilabel", classes=("a", "b", "c"), columns=("x",) * 3)
    target = np.zeros((100, 3))
    target[:10, 0] = target[:30, 1] = 1
    names = [f"r{k}" for k in range(100)]
    found = bounds(task, predictions_table(task, names, names, target, np.full((100, 3), 0.5)))
    assert found["macro_auprc"]["chance"] == pytest.approx(0.2)
    assert found["macro_auroc"] == {"chance": 0.5, "floor": 0.0}


WHOLE: dict[str, Any] = {
    "metric": "auroc",
    "unit": "mV",
    "split": "test",
    "n_records": 3,
    "n_subjects": 3,
    "task": {},
    "protocol": {
        "norm": "linf", "steps": 2, "restarts": 1, "queries": 3, "consistent_leads": False,
    },
    "clean": {"metrics": {"auroc": None}, "per_class": {}},
    "bounds": {"auroc": {"chance": 0.5, "floor": None}},
    "curve": [
        {
            "epsilon": 0.01,
            "attacks": {
                "apgd": {
                    "metrics": {},
                    "per_class": {"AF": {}},
                    "gradient_calls": 3.0,
                    "spectrum": {"frequency": [1], "signal": [0.5], "perturbation": [0.1]},
                },
                "noise": {"metrics": {}, "per_class": {}},
            },
        }
    ],
    "area": None,
    "corruptions": [],
    "left_out": {"Mains": "why"},
    "warnings": [],
    "sha256": {"checkpoint": "0", "files": {}},
    "examples": None,
}  # fmt: skip

WRONG: list[tuple[list[str | int], object, str]] = [
    (["curve", 0, "epsilon"], None, "curve[0].epsilon"),
    (["curve", 0, "attacks"], {}, "curve[0].attacks.apgd"),
    (["curve", 0, "attacks", "noise"], [], "curve[0].attacks.noise"),
    (["curve", 0, "attacks", "apgd", "spectrum", "signal"], ["?"], "signal[0]"),
    (["curve"], {"0": 1}, "curve"),
    (["bounds", "auroc"], 3, "bounds.auroc"),
    (["area"], {"linear": {}}, "area.logarithmic"),
    (["examples"], {"file": "x"}, "examples.epsilon"),
    (["warnings"], [1], "warnings[0]"),
    (["sha256", "files"], {"a": 1}, "sha256.files.a"),
    (["n_records"], "many", "n_records"),
]


def test_a_whole_file_fits() -> None:
    assert misfit(WHOLE) == ""
    assert WHOLE.keys() == SHAPE.keys()
    assert misfit([]) == "all"


@pytest.mark.parametrize(("place", "value", "says"), WRONG, ids=lambda one: str(one)[:30])
def test_the_first_place_that_does_not_fit_is_named(
    tmp_path: Path, place: list[str | int], value: object, says: str
) -> None:
    broken = copy.deepcopy(WHOLE)
    inner: Any = broken
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    assert misfit(broken).endswith(says)
    (tmp_path / "config.yaml").write_text("{}")
    (tmp_path / "robustness.json").write_text(json.dumps(broken))
    with pytest.raises(PahclError, match="Run `pahcl robustness` again") as error:
        RunFolder(tmp_path).load_robustness()
    assert says in str(error.value)


def test_files_that_are_gone_or_changed_are_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    digests = {name: sha256_file(tmp_path / name) for name in ("a", "b", "c")}
    facts = {**WHOLE, "sha256": {"checkpoint": "0", "files": digests}}
    assert lost_files(tmp_path, facts) == []
    (tmp_path / "a").unlink()
    (tmp_path / "b").write_text("other")
    assert lost_files(tmp_path, facts) == ["a", "b"]
