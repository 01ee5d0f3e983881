"""APGD against its paper, a slow copy of it, and PGD."""

import math

import pytest
import torch
from attack_work import Counted, MaskedNet, robust_share, trained, waves

from pahcl.attacks.apgd import APGD, checkpoints
from pahcl.attacks.pgd import PGD
from pahcl.errors import UsageError

TABLE = {
    3: [1, 2, 3],
    5: [1, 2, 3, 4, 5],
    7: [1, 2, 3, 4, 5, 6, 7],
    10: [2, 3, 4, 5, 6, 7, 8, 9, 10],
    20: [4, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20],
    50: [11, 21, 30, 38, 45],
    100: [22, 41, 57, 70, 80, 87, 93, 99],
}


@pytest.mark.parametrize("steps", TABLE)
def test_checkpoints(steps):
    assert checkpoints(steps) == TABLE[steps]


def test_checkpoints_of_l1_are_even():
    assert checkpoints(100, "l1") == list(range(4, 101, 4))
    assert checkpoints(10, "l1") == list(range(1, 11))


def loss_and_gradient(model, point, label):
    leaf = point.clone().requires_grad_()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(model(leaf), label)
    return float(loss.detach()), torch.autograd.grad(loss, leaf)[0]


def slow_apgd(model, clean, label, epsilon, steps, norm, noise):
    """Algorithm 1 of Croce & Hein (2020) for one record, step by step, without any batch."""

    def project(point):
        if norm == "linf":
            return torch.minimum(torch.maximum(point, clean - epsilon), clean + epsilon)
        delta = point - clean
        length = delta.square().sum().sqrt()
        return clean + delta * (min(epsilon, float(length)) / (length + 1e-12))

    def direction(gradient):
        if norm == "linf":
            return gradient.sign()
        return gradient / (gradient.square().sum().sqrt() + 1e-12)

    size = noise.abs().max() if norm == "linf" else noise.square().sum().sqrt()
    point = project(clean + epsilon * (noise / (size + 1e-12)))
    loss, gradient = loss_and_gradient(model, point, label)
    history, last = [loss], point
    best, best_loss, best_gradient = point, loss, gradient
    step, reduced, best_before = 2 * epsilon, True, loss
    interval, since = max(int(0.22 * steps), 1), 0
    for k in range(steps):
        target = project(point + step * direction(gradient))
        weight = 1.0 if k == 0 else 0.75
        moved = point + (target - point) * weight + (point - last) * (1 - weight)
        last, point = point, project(moved)
        loss, gradient = loss_and_gradient(model, point, label)
        history.append(loss)
        if loss > best_loss:
            best, best_loss, best_gradient = point, loss, gradient
        since += 1
        if since == interval:
            rises = sum(history[j + 1] > history[j] for j in range(k + 1 - interval, k + 1))
            halve = rises <= 0.75 * interval or (not reduced and best_before >= best_loss)
            reduced, best_before = halve, best_loss
            if halve:
                step, point, gradient = step / 2, best, best_gradient
            since = 0
            interval = max(interval - max(int(0.03 * steps), 1), max(int(0.06 * steps), 1))
    return best, best_loss


@pytest.mark.parametrize("steps", [3, 10, 20, 50])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_it_is_the_papers_algorithm(steps, norm):
    model = trained()
    signal, labels = waves(4, seed=3)
    epsilon = 0.05 if norm == "linf" else 0.5
    seeds = range(4)
    result = APGD(epsilon=epsilon, norm=norm, steps=steps)(
        model, signal, labels, generator=[torch.Generator().manual_seed(s) for s in seeds]
    )
    for row in seeds:
        generator = torch.Generator().manual_seed(row)
        source = torch.rand if norm == "linf" else torch.randn
        noise = source(signal.shape[1:], generator=generator)
        noise = (2 * noise - 1) if norm == "linf" else noise
        best, loss = slow_apgd(
            model, signal[row : row + 1], labels[row : row + 1], epsilon, steps, norm, noise[None]
        )
        if norm == "linf":
            assert torch.equal(result.signal[row], best[0])
        # The norm of a batch and of one record differ in their last digit.
        assert float(result.loss[row]) == pytest.approx(loss, rel=1e-6 if norm == "linf" else 1e-4)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("steps", [11, 21])
def test_it_is_never_weaker_than_pgd_at_equal_calls(norm, steps):
    signal, labels = waves(128, seed=4)
    epsilon = 0.05 if norm == "linf" else 0.5
    options = {"epsilon": epsilon, "norm": norm}
    climbed = APGD(steps=steps - 1, **options)(
        trained(), signal, labels, generator=torch.Generator().manual_seed(0)
    )
    plain = PGD(steps=steps, **options)(
        trained(), signal, labels, generator=torch.Generator().manual_seed(0)
    )
    assert climbed.gradient_calls == plain.gradient_calls
    assert float(climbed.loss.mean()) >= float(plain.loss.mean())


def test_restarts_and_steps_only_gain():
    signal, labels = waves(32, seed=5)

    def mean_loss(**options):
        generators = [torch.Generator().manual_seed(row) for row in range(32)]
        attack = APGD(epsilon=0.05, **options)
        return attack(trained(), signal, labels, generator=generators).loss

    once = mean_loss(steps=10)
    assert (mean_loss(steps=10, restarts=3) >= once).all()
    assert float(mean_loss(steps=50).mean()) >= float(once.mean())


def test_the_robust_share_falls_to_the_floor():
    signal, labels = waves(64, seed=6)
    shares, losses = [], []
    for epsilon in (0.0, 0.02, 0.05, 0.1, 0.3, 1.0):
        result = APGD(epsilon=epsilon, steps=20)(
            trained(), signal, labels, generator=torch.Generator().manual_seed(0)
        )
        shares.append(robust_share(trained(), result.signal, labels))
        losses.append(float(result.loss.mean()))
    assert shares[0] > 0.9
    assert shares[-1] == 0.0
    assert shares == sorted(shares, reverse=True)
    assert losses == sorted(losses)


def test_best_adversarial_keeps_what_need_not_change():
    signal, labels = waves(64, seed=7)
    labels[0] = 1 - labels[0]  # wrong already
    model = Counted(trained())
    attack = APGD(epsilon=0.04, steps=10, restarts=2, mode="best_adversarial")
    result = attack(model, signal, labels, generator=torch.Generator().manual_seed(0))
    assert (result.gradient_calls, result.forward_calls) == (22, 1)
    assert (model.backwards, model.forwards) == (22, 23)
    right = ((trained()(signal) > 0) == (labels > 0.5)).all(1)
    after = ((trained()(result.signal) > 0) == (labels > 0.5)).all(1)
    changed = (result.signal != signal).flatten(1).any(1)
    assert not right[0]
    assert torch.equal(changed, right & ~after)
    assert 0 < int(changed.sum()) < 64
    other = APGD(epsilon=0.04, steps=10, restarts=2)(
        trained(), signal, labels, generator=torch.Generator().manual_seed(0)
    )
    broken = ((trained()(other.signal) > 0) == (labels > 0.5)).all(1)
    assert int(after.sum()) <= int(broken.sum())


def test_targeted_attacks_reach_what_they_want():
    signal, labels = waves(16, seed=8)
    wanted = 1 - labels
    result = APGD(epsilon=0.5, steps=20, targeted=True)(trained(), signal, wanted)
    assert robust_share(trained(), result.signal, wanted) == 1.0
    assert (result.loss <= 0).all()


def test_one_output_alone_can_be_attacked():
    signal, labels = waves(16, seed=9)
    result = APGD(epsilon=0.1, steps=10, labels=(0,))(trained(), signal, labels)
    outputs = trained()(result.signal)[:, 0].detach()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        outputs, labels[:, 0], reduction="none"
    )
    torch.testing.assert_close(result.loss, expected)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_flat_model_is_no_harm(norm):
    result = APGD(norm=norm)(lambda x: 0 * x.flatten(1)[:, :1], torch.randn(2, 3, 8), torch.ones(2))
    assert result.signal.isfinite().all()
    assert torch.allclose(result.loss, torch.tensor(math.log(2.0)))


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="1 or more"):
        APGD(steps=0)
    with pytest.raises(UsageError, match="`mode`"):
        APGD(mode="best")
    attack = APGD(mode="best_adversarial", loss="mse")
    with pytest.raises(UsageError, match="never simply wrong"):
        attack(MaskedNet(2, 1), torch.randn(2, 2, 30), torch.ones(2, 1))
