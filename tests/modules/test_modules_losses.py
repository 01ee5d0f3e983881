import numpy as np
import pytest
import torch
from gloo_work import Attacked, attacked_gradient, gradient, make_problem, work
from scipy.special import expit, log_softmax
from torch import multiprocessing

from pahcl.modules._averages import global_mean
from pahcl.objectives.supervised import loss_terms, probabilities

NAN = float("nan")


def mean(kind, outputs, target, **arguments):
    sums, weights = loss_terms(kind, outputs, target, **arguments)
    return global_mean(sums, weights)[0]


def test_binary_cross_entropy_with_missing_labels_and_weights():
    outputs = torch.tensor([[0.3, -2.0], [1.5, 4.0], [0.0, 0.1]])
    target = torch.tensor([[1.0, NAN], [0.0, 1.0], [NAN, NAN]])
    p = expit(outputs.double().numpy())
    expected = (-2 * np.log(p[0, 0]) - np.log(1 - p[1, 0]) - 3 * np.log(p[1, 1])) / 3
    weights = torch.tensor([2.0, 3.0])
    found = mean("multilabel", outputs, target, class_weights=weights)
    assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("weights", [None, torch.tensor([0.1, 2.0, 0.5])])
def test_cross_entropy_agrees_with_torch_and_with_the_formula(weights):
    outputs = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 2, -1, 1, 1, -1])
    found = float(mean("multiclass", outputs, target, class_weights=weights))
    rows = [i for i, t in enumerate(target) if t >= 0]
    logs = log_softmax(outputs.double().numpy(), axis=1)
    w = np.ones(3) if weights is None else weights.numpy()
    shares = [w[target[i]] for i in rows]
    expected = -sum(w[target[i]] * logs[i, target[i]] for i in rows) / sum(shares)
    assert found == pytest.approx(expected, rel=1e-5)
    torchs = torch.nn.functional.cross_entropy(outputs, target, weights, ignore_index=-1)
    assert found == pytest.approx(float(torchs), rel=1e-6)


@pytest.mark.parametrize(("regression", "expected"), [("mse", (0.25 + 9) / 2), ("huber", 1.3125)])
def test_regression_errors(regression, expected):
    outputs, target = torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([[0.5], [5.0], [NAN]])
    assert float(mean("regression", outputs, target, regression=regression)) == pytest.approx(
        expected
    )


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("binary", torch.full((2, 1), NAN)),
        ("regression", torch.full((2, 1), NAN)),
        ("multiclass", torch.tensor([-1, -1])),
    ],
)
def test_nothing_labelled_gives_zero_loss_and_zero_gradient(kind, target):
    outputs = torch.randn(2, 3 if kind == "multiclass" else 1, requires_grad=True)
    loss = mean(kind, outputs, target)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not outputs.grad.any()


def test_missing_labels_give_no_gradient():
    outputs = torch.randn(2, 2, requires_grad=True)
    mean("multilabel", outputs, torch.tensor([[1.0, NAN], [NAN, 0.0]])).backward()
    assert (outputs.grad != 0).tolist() == [[True, False], [False, True]]


def test_the_loss_is_float32_for_half_outputs():
    sums, _ = loss_terms("binary", torch.randn(2, 1).bfloat16(), torch.ones(2, 1))
    assert sums.dtype == torch.float32


def test_probabilities():
    outputs = torch.tensor([[0.0, 1.0]])
    assert torch.equal(probabilities("multilabel", outputs), outputs.sigmoid())
    assert torch.equal(probabilities("multiclass", outputs), outputs.softmax(1))
    assert torch.equal(probabilities("regression", outputs), outputs)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gloo")
    multiprocessing.spawn(work, (folder,), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def test_two_processes_have_the_gradient_of_one(two_processes):
    network, signal, target = make_problem()
    expected, loss = gradient(network, network, signal, target)
    for part in two_processes:
        found, value = part["gradient"]
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-7)
        assert float(value) == pytest.approx(float(loss), rel=1e-6)


def test_two_processes_have_the_adversarial_gradient_of_one(two_processes):
    network, signal, target = make_problem()
    expected, loss = attacked_gradient(network, Attacked(network), signal, target)
    for part in two_processes:
        found, value = part["attacked"]
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-6)
        assert float(value) == pytest.approx(float(loss), rel=1e-5)
        # In bfloat16 the same budget, which `Attacked` checks, and nearly the same loss.
        found, value = part["attacked_half"]
        assert found.dtype == torch.float32
        assert found.isfinite().all()
        assert float(value) == pytest.approx(float(loss), rel=0.05)


def test_gathered_outputs_are_equal_everywhere_and_without_duplicates(two_processes):
    for part in two_processes:
        assert part["ids"] == [f"r{i}" for i in range(5)]
        assert part["subjects"] == [f"s{i}" for i in range(5)]
        assert part["outputs"].flatten().tolist() == [0, 10, 20, 30, 40]
        assert part["target"].tolist() == [0, 1, 2, 3, 4]
        assert part["empty"]
