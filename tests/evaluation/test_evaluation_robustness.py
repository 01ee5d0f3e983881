"""Robustness against what is known exactly: a linear model, and one that hides its gradients."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from pahcl.errors import UsageError
from pahcl.evaluation.metrics import evaluate
from pahcl.evaluation.perturbed import (
    Batch,
    Condition,
    Examined,
    Shelf,
    disturb,
    examine,
    record_generators,
)
from pahcl.evaluation.protocol import RobustnessProtocol, plan
from pahcl.evaluation.robustness import (
    measure,
    robustness_facts,
    telling_size,
    worst_tables,
)
from pahcl.evaluation.robustness_tables import corruption_rows, curve_rows, summary_lines
from pahcl.signals.corruptions import BaselineWander, LeadSwap
from pahcl.signals.leads import STANDARD_12
from pahcl.signals.spec import Filter, SignalSpec
from pahcl.task import Task

FS, LENGTH, RECORDS = 200.0, 200, 60
SPEC = SignalSpec("ecg", FS, LENGTH, STANDARD_12)
BINARY = Task("af", "binary", ("AF",), ("AF",), "auroc")
QUICK = RobustnessProtocol(
    epsilons=(0.0, 0.002, 0.01), steps=4, restarts=1, queries=20, samples=50, corruptions=False
)


class Linear(nn.Module):
    """Weigh the samples; counts its calls."""

    def __init__(self, outputs: int = 1, bend: float = 0.0) -> None:
        super().__init__()
        rng = np.random.default_rng(5)
        weight = rng.normal(size=(outputs, 12 * LENGTH)) / 12
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float32))
        self.calls, self.bend = 0, bend

    def forward(self, signal: Tensor) -> Tensor:
        self.calls += 1
        return signal.flatten(1) @ self.weight.T


class Hidden(Linear):
    """Quantise the outputs: the gradient is 0 everywhere."""

    def forward(self, signal: Tensor) -> Tensor:
        found: Tensor = torch.round(super().forward(signal) * 50) / 50
        return found


@dataclasses.dataclass
class Corpus:
    signal: Tensor
    mask: Tensor
    target: Tensor
    size: int = 16

    def __call__(self) -> Iterator[Batch]:
        names = [f"r{k}" for k in range(len(self.signal))]
        for first in range(0, len(names), self.size):
            part = slice(first, first + self.size)
            yield {
                "signal": self.signal[part],
                "mask": self.mask[part],
                "target": self.target[part],
                "record_id": names[part],
                "subject_id": [f"p{k // 2}" for k in range(len(names))][part],
            }


def corpus(task: Task = BINARY, records: int = RECORDS) -> Corpus:
    rng = np.random.default_rng(2)
    signal = torch.tensor(rng.normal(0, 0.3, (records, 12, LENGTH)), dtype=torch.float32)
    mask = torch.ones(records, LENGTH, dtype=torch.bool)
    mask[::3, 150:] = False
    signal *= mask.unsqueeze(1)
    outputs = Linear(task.num_outputs)(signal).detach()
    noise = torch.tensor(rng.normal(0, 1, outputs.shape), dtype=torch.float32)
    if task.kind == "multiclass":
        target = (outputs + noise).argmax(1)
        target[0] = -1
    elif task.kind == "regression":
        target = 40 + 10 * (outputs + noise)
    else:
        target = (outputs + noise > 0.5).float()
        target[0] = torch.nan
    return Corpus(signal, mask, target)


def examined(model: nn.Module, task: Task = BINARY, spec: SignalSpec = SPEC) -> Examined:
    scale = (torch.tensor([40.0]), torch.tensor([10.0])) if task.kind == "regression" else ()
    return Examined(model.eval(), task, spec, None, *scale)


def walk(
    model: nn.Module,
    protocol: RobustnessProtocol = QUICK,
    task: Task = BINARY,
    data: Corpus | None = None,
    shelf: Shelf | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    wanted = plan(protocol, task, SPEC)
    found = measure(examined(model, task), data or corpus(task), wanted, protocol.seed, shelf)
    return robustness_facts(task, SPEC, protocol, wanted, found), found


def test_a_linear_model_loses_exactly_what_theory_says() -> None:
    model, data = Linear(), corpus()
    facts, found = walk(model, data=data)
    logit = model(data.signal).detach()[:, 0].double().numpy()
    known = data.mask.unsqueeze(1) * model.weight.detach().reshape(1, 12, LENGTH).abs()
    reach = known.flatten(1).sum(1).double().numpy()  # padding is not attacked
    target = data.target[:, 0].numpy()
    heights = [evaluate(BINARY, found["clean"].predictions).macro["auroc"]]
    for point in facts["curve"]:
        size = point["epsilon"]
        worst = logit - size * reach * (2 * np.nan_to_num(target, nan=0.5) - 1)
        table = found[f"apgd-linf-{size:g}"].predictions
        np.testing.assert_allclose(table["probability/AF"], 1 / (1 + np.exp(-worst)), atol=2e-5)
        positive, negative = worst[target == 1], worst[target == 0]
        exact = (positive[:, None] > negative).mean()
        assert point["attacks"]["apgd"]["metrics"]["auroc"]["value"] == pytest.approx(exact)
        assert point["attacks"]["apgd"]["largest"] <= size * (1 + 1e-4)
        assert point["attacks"]["apgd"]["gradient_calls"] == 5
        heights.append(exact)
    assert heights[0] > heights[1] > heights[2]
    x = np.log1p(np.array([0, 1, 5]))
    expected = np.trapezoid(heights, x) / x[-1]
    area = facts["area"]["logarithmic"]
    assert area["value"] == pytest.approx(expected)
    assert area["low"] < area["value"] < area["high"]
    linear = np.trapezoid(heights, [0, 0.002, 0.01]) / 0.01
    assert facts["area"]["linear"]["value"] == pytest.approx(linear)


def test_an_honest_model_raises_no_warning_and_noise_does_little() -> None:
    facts, _ = walk(Linear())
    assert facts["warnings"] == []
    assert not any(check["beats"] for check in facts["checks"])
    clean = facts["clean"]["metrics"]["auroc"]["value"]
    for point in facts["curve"]:
        scores = {
            name: found["metrics"]["auroc"]["value"] for name, found in point["attacks"].items()
        }
        assert scores["worst"] == pytest.approx(scores["apgd"], abs=1e-6)
        assert scores["apgd"] < scores["square"] < scores["noise"]
        assert scores["noise"] == pytest.approx(clean, abs=0.03)


def test_hidden_gradients_are_found_out() -> None:
    protocol = dataclasses.replace(QUICK, queries=200, epsilons=(0.0, 0.05))
    facts, _ = walk(Hidden(), protocol)
    said = " ".join(facts["warnings"])
    assert "Square, which needs no gradients, does more harm than the reported attack" in said
    assert "the gradients are probably masked" in said
    (square,) = (check for check in facts["checks"] if check["attack"] == "square")
    assert square["beats"]
    assert square["harm"]["value"] > square["harm"]["low"] > 0
    assert f"by {square['harm']['value']:.3f}" in said
    assert square["stronger_on"] > 0.5


def test_saturated_outputs_are_found_out() -> None:
    class Saturated(Linear):
        def forward(self, signal: Tensor) -> Tensor:
            return 400 * super().forward(signal)  # sigmoid is exactly 0 or 1 in float32

    protocol = dataclasses.replace(QUICK, epsilons=(0.0, 0.001))
    data = corpus()
    data.target = (Linear()(data.signal).detach() > 0).float()  # right and sure of it
    facts, _ = walk(Saturated(), protocol, data=data)
    checks = {check["attack"]: check for check in facts["checks"]}
    assert checks["apgd-margin"]["stronger_on"] >= checks["noise"]["stronger_on"]


@pytest.mark.parametrize("corruptions", [False, True])
def test_numbers_do_not_depend_on_the_batch_size(corruptions: bool) -> None:
    protocol = dataclasses.replace(
        QUICK, epsilons=(0.01,), corruptions=corruptions, worst_case=not corruptions
    )
    large, small = corpus(records=24), corpus(records=24)
    small.size = 7
    wanted, model = plan(protocol, BINARY, SPEC), examined(Linear())
    one, other = (measure(model, data, wanted, 0) for data in (large, small))
    assert one.keys() == other.keys()
    for key, outcome in one.items():
        pd.testing.assert_frame_equal(outcome.predictions, other[key].predictions, atol=1e-5)
        assert outcome.facts.get("gradient_calls") == other[key].facts.get("gradient_calls")


def test_what_is_done_is_not_computed_again(tmp_path: Path) -> None:
    model = Linear()
    shelf = Shelf(tmp_path / "robustness", {"checkpoint": "abc"})
    first, _ = walk(model, shelf=shelf)
    calls = model.calls
    assert calls > 0
    again, found = walk(model, shelf=shelf)
    assert model.calls == calls
    assert first == again
    # One size more costs that size alone, and one that is damaged is made again.
    wider = dataclasses.replace(QUICK, epsilons=(*QUICK.epsilons, 0.02), worst_case=False)
    walk(model, wider, shelf=shelf)
    batches = -(-RECORDS // 16)
    assert model.calls - calls == batches * (5 + 1 + 1)  # APGD, its predictions, those of noise
    calls = model.calls
    (tmp_path / "robustness/clean.parquet").write_bytes(b"half a file")
    _, mended = walk(model, shelf=shelf)
    assert model.calls - calls == batches
    pd.testing.assert_frame_equal(mended["clean"].predictions, found["clean"].predictions)


def test_other_settings_are_computed_again(tmp_path: Path) -> None:
    model = Linear()
    wanted = plan(QUICK, BINARY, SPEC)
    condition = wanted.attacks[0.01]["apgd"]
    shelf = Shelf(tmp_path, {"checkpoint": "abc"})
    shelf.keep(condition, examine(examined(model), condition, corpus()))
    assert shelf.find(condition) is not None
    assert Shelf(tmp_path, {"checkpoint": "other"}).find(condition) is None
    more = plan(dataclasses.replace(QUICK, steps=5), BINARY, SPEC).attacks[0.01]["apgd"]
    assert more.key == condition.key
    assert shelf.find(more) is None


def test_the_worst_case_never_recovers_and_holds_every_attack() -> None:
    facts, found = walk(Hidden())
    tables = {
        point["epsilon"]: {
            name: found[f"{name}-linf-{point['epsilon']:g}"].predictions
            for name in point["attacks"]
            if name != "worst"
        }
        for point in facts["curve"]
    }
    clean = found["clean"].predictions
    worst = worst_tables(BINARY, clean, tables)
    before = clean
    for size, table in worst.items():
        labelled = clean["loss"].notna()
        assert (table["loss"] >= before["loss"])[labelled].all()
        for other in tables[size].values():
            assert (table["loss"] >= other["loss"])[labelled].all()
        assert table.dtypes.equals(clean.dtypes)
        before = table


MORE_TASKS = (
    Task("two", "multilabel", ("a", "b"), ("a", "b"), "macro_auroc"),
    Task("three", "multiclass", ("a", "b", "c"), ("x",), "macro_auprc"),
    Task("age", "regression", ("age",), ("age",), "mae", unit="years"),
)


@pytest.mark.parametrize("task", MORE_TASKS, ids=lambda task: task.kind)
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_every_kind_of_task_and_norm(task: Task, norm: Any) -> None:
    sizes = {"linf": 0.01, "l2": 0.3, "l1": 3.0}
    protocol = dataclasses.replace(QUICK, norm=norm, epsilons=(0.0, sizes[norm]))
    facts, found = walk(Linear(task.num_outputs), protocol, task)
    (point,) = facts["curve"]
    clean, attacked = (
        scores["metrics"][task.primary_metric]["value"]
        for scores in (facts["clean"], point["attacks"]["apgd"])
    )
    assert attacked > 1.02 * clean if task.mode == "min" else attacked < clean - 0.02
    assert ("square" in point["attacks"]) == (norm != "l1")
    assert ("apgd-margin" in point["attacks"]) == (task.kind != "regression")
    table = found[f"apgd-{norm}-{sizes[norm]:g}"].predictions
    length = {"linf": "largest", "l2": "length"}.get(norm)
    if length:
        assert table[length].max() <= sizes[norm] * (1 + 1e-4)
    worst = point["attacks"]["worst"]["metrics"][task.primary_metric]["value"]
    for scores in point["attacks"].values():
        value = scores["metrics"][task.primary_metric]["value"]
        assert worst >= value if task.mode == "min" else worst <= value + 0.01
    if norm != "l1" and task.kind != "multilabel":  # four steps are few for these
        assert facts["warnings"] == []


def test_one_subject_has_no_interval_and_no_crash() -> None:
    data = corpus(records=1)
    facts, _ = walk(Linear(), data=data)
    assert np.isnan(facts["area"]["linear"]["low"])
    assert curve_rows(facts)


def test_a_curve_without_attacks_is_the_clean_point() -> None:
    facts, _ = walk(Linear(), dataclasses.replace(QUICK, epsilons=(0.0,)))
    assert facts["curve"] == []
    assert facts["area"] is None
    assert telling_size(BINARY, facts) is None
    assert facts["warnings"] == []


def test_corruptions_by_severity() -> None:
    protocol = dataclasses.replace(QUICK, epsilons=(0.0,), corruptions=True, samples=5)
    facts, found = walk(Linear(), protocol)
    titles = [kind["title"] for kind in facts["corruptions"]]
    assert len(titles) == 9
    assert len(found) == 1 + 9 * 5
    rows = corruption_rows(facts)
    assert rows[0][1:] == [f"severity {k}" for k in (1, 2, 3, 4, 5)]
    assert "LA/RA" in rows[1 + titles.index("Lead swap")][3]
    slow = plan(protocol, BINARY, dataclasses.replace(SPEC, fs=100.0))
    assert "half the rate of 100 Hz" in slow.left_out["Mains"]
    assert "Mains" not in slow.corruptions


def test_the_contracts_filter_also_filters_what_is_added() -> None:
    data = corpus()
    batch = next(iter(data()))
    spec = dataclasses.replace(SPEC, filter=Filter(highpass=5.0))

    def change(corruption: BaselineWander | LeadSwap, contract: SignalSpec) -> float:
        condition = Condition("x", corruption=corruption, severity=5)
        done = disturb(examined(Linear(), spec=contract), condition, batch, 0)
        return float((done.signal - done.clean).abs().mean())

    assert change(BaselineWander(), spec) < 0.05 * change(BaselineWander(), SPEC)
    assert change(LeadSwap(), spec) == pytest.approx(change(LeadSwap(), SPEC))


def test_generators_belong_to_records() -> None:
    a, b = record_generators(0, ["x", "y"]), record_generators(0, ["y"])
    assert torch.equal(torch.rand(3, generator=a[1]), torch.rand(3, generator=b[0]))
    other = record_generators(1, ["x"])[0]
    assert not torch.equal(torch.rand(3, generator=a[0]), torch.rand(3, generator=other))


def test_a_task_of_subjects_says_that_recordings_are_scored() -> None:
    task = Task("murmur", "binary", ("AF",), ("AF",), "auroc", level="subject")
    facts, _ = walk(Linear(), task=task)
    assert facts["n_records"] == RECORDS
    assert any("one answer a subject, but each recording is" in text for text in facts["warnings"])
    assert not any("one answer" in text for text in walk(Linear())[0]["warnings"])


def test_summary_names_metric_unit_and_attack() -> None:
    facts, _ = walk(Linear())
    said = " ".join(summary_lines({**facts, "split": "test"}))
    assert "auroc of 60 records of 30 people, test split" in said
    assert "APGD of 4 steps from 1 start, Linf, epsilon in mV" in said
    assert curve_rows(facts)[0][:3] == ["epsilon [mV]", "APGD", "Worst of all attacks"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"epsilons": (0.0, -0.1)}, "An epsilon is a size, 0 or more, got -0.1"),
        ({"epsilons": (float("nan"),)}, "An epsilon is a size"),
        ({"norm": "l3"}, "no norm 'l3'"),
        ({"steps": 0}, "steps must be 1 or more"),
        ({"samples": 0}, "at least one resample"),
        ({"mains": 0.0}, "frequency in Hz"),
    ],
)
def test_protocols_that_mean_nothing_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        RobustnessProtocol(**wrong)
