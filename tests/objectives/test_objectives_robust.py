import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, kl_divergence

from pahcl.attacks.losses import Criterion
from pahcl.errors import UsageError
from pahcl.objectives.robust import (
    MART,
    TRADES,
    Mixed,
    Views,
    divergence,
    labelled,
    own_answer,
)
from pahcl.objectives.supervised import loss_terms

NAN = float("nan")
OBJECTIVES = [Mixed(), TRADES(beta=2.0), MART(beta=2.0)]


def views(kind, target, seed=0):
    generator = torch.Generator().manual_seed(seed)
    outputs = target.shape[1] if target.ndim == 2 else 3
    clean, attacked = (
        torch.randn(len(target), outputs, generator=generator, requires_grad=True) for _ in range(2)
    )

    def losses(values, truth):
        return loss_terms(kind, values, truth)

    return (
        Views(lambda rows: clean[rows], lambda rows: attacked[rows], losses, target, kind),
        clean,
        attacked,
    )


def total(objective, given, weight):
    parts = list(objective.parts(given, weight))
    return sum(part.sums.sum() / part.weights.sum() for part in parts)


TARGETS = {
    "multilabel": torch.tensor([[1.0, NAN], [0.0, 1.0], [NAN, NAN], [1.0, 0.0]]),
    "multiclass": torch.tensor([0, 2, -1, 1]),
    "regression": torch.tensor([[0.5], [NAN], [-1.0], [2.0]]),
}


def test_divergences_are_those_of_torch_distributions():
    one, other = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1)).double()
    bernoulli = kl_divergence(Bernoulli(logits=one), Bernoulli(logits=other))
    assert torch.allclose(divergence("multilabel", one, other).double(), bernoulli, atol=1e-6)
    categorical = kl_divergence(Categorical(logits=one), Categorical(logits=other))
    found = divergence("multiclass", one, other)
    assert torch.allclose(found[:, 0].double(), categorical, atol=1e-6)
    assert torch.equal(divergence("regression", one, one), torch.zeros(5, 3))


def test_divergences_of_extreme_logits_are_finite():
    far = torch.tensor([[300.0]])
    assert torch.isfinite(divergence("binary", far, -far)).all()
    assert divergence("binary", far, -far).item() == pytest.approx(300.0)


@pytest.mark.parametrize("kind", TARGETS)
def test_mixed_is_the_weighted_mean_of_two_losses(kind):
    given, clean, attacked = views(kind, TARGETS[kind])
    means = []
    for outputs in (clean, attacked):
        sums, weights = loss_terms(kind, outputs, TARGETS[kind])
        means.append((sums.sum() / weights.sum()).item())
    assert total(Mixed(), given, 1.0).item() == pytest.approx(sum(means) / 2, rel=1e-6)
    assert total(Mixed(weight=0.4), given, 0.5).item() == pytest.approx(
        0.8 * means[0] + 0.2 * means[1]
    )


@pytest.mark.parametrize("kind", TARGETS)
def test_a_split_batch_is_attacked_by_half(kind):
    target = TARGETS[kind]
    given, clean, attacked = views(kind, target)
    parts = list(Mixed(split=True).parts(given, 1.0))
    assert [part.rows for part in parts] == [slice(2, 4), slice(0, 2)]
    expected = 0.0
    for outputs, rows in ((clean, slice(2, 4)), (attacked, slice(0, 2))):
        sums, weights = loss_terms(kind, outputs[rows], target[rows])
        expected += 0.5 * (sums.sum() / weights.sum()).item()
    assert total(Mixed(split=True), given, 1.0).item() == pytest.approx(expected, rel=1e-6)
    one, _, _ = views(kind, target[:1])
    assert [part.rows for part in Mixed(split=True).parts(one, 1.0)] == [slice(0, 1)] * 2


def test_adversarial_training_alone_never_computes_the_clean_outputs():
    given, _, attacked = views("multilabel", TARGETS["multilabel"])

    def refuse(rows):
        raise AssertionError

    only = Views(refuse, given.adversarial, given.losses, given.target, given.kind)
    (part,) = Mixed(weight=1.0).parts(only, 1.0)
    assert set(part.shares) == {"adversarial"}
    assert attacked.grad is None


@pytest.mark.parametrize("kind", TARGETS)
def test_an_attack_on_the_own_answer_raises_the_divergence(kind):
    target = TARGETS[kind]
    _, clean, attacked = views(kind, target)
    answer, loss = own_answer(kind, clean.detach(), target)
    criterion = Criterion(loss, answer)
    known = labelled(kind, target)
    moved = divergence(kind, clean, attacked).masked_fill(~known, 0.0)
    expected = moved.sum(1) / known.sum(1).clamp(min=1)
    risen = criterion(attacked) - criterion(clean)
    assert torch.allclose(risen, expected, atol=1e-6)
    assert criterion.labelled.tolist() == known.any(1).tolist()


@pytest.mark.parametrize("kind", TARGETS)
def test_trades_is_the_clean_loss_and_the_divergence(kind):
    given, clean, attacked = views(kind, TARGETS[kind])
    sums, weights = loss_terms(kind, clean, TARGETS[kind])
    known = weights > 0
    entries = divergence(kind, clean, attacked)
    if kind == "multilabel":
        entries = entries.masked_fill(TARGETS[kind].isnan(), 0.0)
    moved = entries[known].sum()
    expected = (sums.sum() + 2.0 * 0.5 * moved) / weights.sum()
    assert total(TRADES(beta=2.0), given, 0.5).item() == pytest.approx(expected.item(), rel=1e-6)


def test_mart_on_one_binary_label_is_the_formula():
    target = torch.tensor([[1.0], [0.0]])
    given, clean, attacked = views("binary", target)
    expected = 0.0
    for row, truth in enumerate((1.0, 0.0)):
        p = clean[row, 0].sigmoid().item()
        q = attacked[row, 0].sigmoid().item()
        p, q = (p, q) if truth else (1 - p, 1 - q)
        moved = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
        expected += -2 * math.log(q) + 3.0 * moved * (1 - p)
    found = total(MART(beta=3.0), given, 1.0)
    assert found.item() == pytest.approx(expected / 2, rel=1e-5)


def test_mart_on_classes_is_the_formula():
    target = torch.tensor([0, 2, 1])
    given, clean, attacked = views("multiclass", target)
    expected = 0.0
    for row, truth in enumerate(target.tolist()):
        p, q = (outputs[row].detach().double().softmax(0) for outputs in (clean, attacked))
        wrong = max(float(q[k]) for k in range(3) if k != truth)
        moved = sum(float(p[k] * (p[k] / q[k]).log()) for k in range(3))
        expected += -math.log(float(q[truth])) - math.log(1 - wrong)
        expected += 5.0 * moved * (1 - float(p[truth]))
    assert total(MART(), given, 1.0).item() == pytest.approx(expected / 3, rel=1e-5)


def test_mart_weighs_classes_as_its_loss_does():
    target = torch.tensor([0, 2, 1])
    plain, _, _ = views("multiclass", target)

    def nine_times(given, truth):
        return loss_terms("multiclass", given, truth, torch.full((3,), 9.0))

    weighted = replace(plain, losses=nine_times)
    tiny = MART(beta=1e-9)
    (one,), (many,) = (list(tiny.parts(given, 1.0)) for given in (plain, weighted))
    assert torch.allclose(many.sums, 9 * one.sums, rtol=1e-5)


@pytest.mark.parametrize("make", [TRADES, MART])
def test_a_weight_that_rewards_being_fooled_is_refused(make):
    with pytest.raises(UsageError, match="`beta` must be above 0"):
        make(beta=-1.0)


def test_mart_refuses_a_regression():
    given, _, _ = views("regression", TARGETS["regression"])
    with pytest.raises(UsageError, match="needs classes"):
        list(MART().parts(given, 1.0))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: type(one).__name__)
def test_unlabelled_entries_give_no_gradient(objective):
    target = TARGETS["multilabel"]
    given, clean, attacked = views("multilabel", target)
    total(objective, given, 0.5).backward()
    for outputs in (clean, attacked):
        assert torch.equal(outputs.grad[target.isnan()], torch.zeros(3))
        assert outputs.grad[~target.isnan()].abs().min() > 0
