"""On a linear model the worst case is known."""

import pytest
import torch
from attack_work import length_of

from pahcl.attacks.apgd import APGD
from pahcl.attacks.constraints import LeadMap
from pahcl.attacks.fgsm import FGSM
from pahcl.attacks.noise import NoiseControl
from pahcl.attacks.pgd import PGD
from pahcl.signals.leads import STANDARD_12

DUAL = {"linf": 1.0, "l2": 2.0, "l1": float("inf")}


def linear(channels=4, length=50, seed=0):
    weight = torch.randn(channels * length, generator=torch.Generator().manual_seed(seed))
    return weight, lambda signal: signal.flatten(1) @ weight.unsqueeze(1)


def worst_loss(weight, model, signal, target, epsilon, norm):
    """The logit moves by epsilon times the dual norm of the weights, toward the wrong side."""
    reach = epsilon * torch.linalg.vector_norm(weight, DUAL[norm])
    logit = model(signal) + torch.where(target > 0.5, -reach, reach)
    return torch.nn.functional.binary_cross_entropy_with_logits(logit, target, reduction="none")


@pytest.mark.parametrize(("norm", "steps"), [("linf", 5), ("l2", 10)])
def test_apgd_reaches_the_worst_case(norm, steps):
    weight, model = linear()
    signal = torch.randn(16, 4, 50, generator=torch.Generator().manual_seed(1))
    target = (torch.arange(16) % 2).float().unsqueeze(1)
    epsilon = 0.02 if norm == "linf" else 0.3
    result = APGD(epsilon=epsilon, norm=norm, steps=steps)(model, signal, target)
    expected = worst_loss(weight, model, signal, target, epsilon, norm).squeeze(1)
    assert float((expected - result.loss).abs().max()) <= 1e-5


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_one_step_is_exact(norm):
    weight, model = linear()
    signal = torch.randn(6, 4, 50, generator=torch.Generator().manual_seed(1))
    target = torch.tensor([[1.0], [0], [1], [0], [1], [0]])
    result = FGSM(epsilon=0.1, norm=norm)(model, signal, target)
    expected = worst_loss(weight, model, signal, target, 0.1, norm).squeeze(1)
    torch.testing.assert_close(result.loss, expected, atol=1e-5, rtol=1e-5)


def test_apgd_in_the_l1_ball_finds_the_corner():
    _, model = linear(1, 20)
    weight, _ = linear(1, 20)
    signal, target = torch.zeros(2, 1, 20), torch.tensor([[1.0], [0.0]])
    result = APGD(epsilon=0.5, norm="l1", steps=100)(model, signal, target)
    expected = worst_loss(weight, model, signal, target, 0.5, "l1").squeeze(1)
    assert (result.loss <= expected + 1e-6).all()
    assert (result.loss >= 0.95 * expected).all()  # the one best entry is left to sparsity


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_with_leads_the_worst_consistent_signal_is_found(norm):
    """The same model by I, II and the chest leads, of which the worst case can be computed."""
    weight, model = linear(12, 10)
    signal, target = torch.zeros(1, 12, 10), torch.tensor([[0.0]])
    free = LeadMap(STANDARD_12)
    table = weight.reshape(1, 12, 10)
    if norm == "linf":
        # At each instant: |I|, |II|, |II - I| <= 1 is a hexagon; the best of its corners counts.
        pulled = free.pull(table)[0]
        corners = torch.tensor([[1.0, 1], [1, 0], [0, 1], [-1, -1], [-1, 0], [0, -1]])
        limbs = (corners @ pulled[:2]).amax(0).sum()
        reach = limbs + pulled[6:].abs().sum()
    else:
        reach = free.nearest(table).norm()
    result = APGD(epsilon=0.1, norm=norm, steps=100, restarts=4, leads=STANDARD_12, loss="margin")(
        model, signal, target, generator=torch.Generator().manual_seed(0)
    )
    assert float(result.loss) <= 0.1 * float(reach) + 1e-5
    assert float(result.loss) >= 0.1 * float(reach) * (0.98 if norm == "linf" else 1 - 1e-5)


def test_noise_of_equal_norm_does_far_less():
    _, model = linear()
    signal, target = torch.zeros(8, 4, 50), torch.ones(8, 1)
    options = {"epsilon": 0.05, "loss": "margin"}
    attacked = PGD(**options)(model, signal, target)
    for kind in ("sign", "gaussian"):
        noise = NoiseControl(kind=kind, draws=5, **options)(
            model, signal, target, generator=torch.Generator().manual_seed(0)
        )
        assert float(noise.loss.max()) < 0.5 * float(attacked.loss.min())
        assert noise.forward_calls == 5
        torch.testing.assert_close(
            length_of(noise.signal - signal, "linf").float(), torch.full((8,), 0.05)
        )


@pytest.mark.parametrize(
    ("attack", "share"),
    [
        (FGSM(norm="l1", epsilon=1.0, loss="margin"), 0.999),
        (PGD(norm="l1", epsilon=1.0, steps=20, loss="margin"), 0.5),
        (APGD(norm="l1", epsilon=1.0, steps=20, loss="margin"), 0.8),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, float) else str(value),
)
def test_l1_attacks_find_the_few_entries_that_count_in_a_whole_record(attack, share):
    """In 12 leads of 1000 samples noise that fills the ball hides what a step gains."""
    weight, model = linear(12, 1000)
    signal = 0.3 * torch.randn(4, 12, 1000, generator=torch.Generator().manual_seed(1))
    target = torch.zeros(4, 1)
    found = attack(model, signal, target, generator=torch.Generator().manual_seed(0))
    gain = float((model(found.signal) - model(signal)).mean())
    assert gain >= share * float(weight.abs().max())
