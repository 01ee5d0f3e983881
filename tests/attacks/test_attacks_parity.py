"""The attacks beside other implementations, where they are at hand.

`PAHCL_AUTOATTACK` names a folder that holds the package `autoattack` of fra31/auto-attack. The
others are the packages of the extra `parity`; they are no dependencies.
"""

import os
import sys
import warnings

import pytest
import torch
from attack_work import robust_share, trained, waves
from torch import nn

from pahcl.attacks.apgd import APGD

RECORDS = 128
EPSILON = 0.02


class TwoClasses(nn.Module):
    """The trained model's first label as two classes, to which an image `[B, C, 1, L]` may come.

    Args:
        low: What 0 stands for in the input.
        high: What 1 stands for.
    """

    def __init__(self, low=0.0, high=1.0):
        super().__init__()
        self.model, self.low, self.high = trained(), low, high

    def forward(self, signal):
        signal = signal.squeeze(2) if signal.ndim == 4 else signal
        logit = self.model(self.low + (self.high - self.low) * signal)[:, :1]
        return torch.cat([-logit / 2, logit / 2], 1)


@pytest.fixture(scope="module")
def data():
    signal, labels = waves(RECORDS, seed=11)
    return signal, labels[:, 0].long()


def right(model, signal, target):
    with torch.no_grad():
        return float((model(signal).argmax(1) == target).float().mean())


@pytest.fixture(scope="module")
def reference():
    folder = os.environ.get("PAHCL_AUTOATTACK")
    if not folder:
        pytest.skip("PAHCL_AUTOATTACK names no folder with the authors' code")
    sys.path.insert(0, folder)
    return pytest.importorskip("autoattack.autopgd_base").APGDAttack


def unit_range(signal):
    low, high = float(signal.min()), float(signal.max())
    return TwoClasses(low, high), (signal - low) / (high - low), EPSILON / (high - low)


@pytest.mark.parametrize("steps", [10, 20, 100])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_the_authors_code(reference, data, norm, steps):
    signal, target = data
    model, scaled, epsilon = unit_range(signal)
    # Small enough that every first step is a rise, of which the two take the same view.
    epsilon = epsilon if norm == "Linf" else 10 * epsilon
    theirs = reference(model, n_iter=steps, norm=norm, eps=epsilon, seed=0, loss="ce", device="cpu")
    torch.manual_seed(0)
    expected = theirs.perturb(scaled.clone(), target, best_loss=True)
    torch.manual_seed(0)
    attack = APGD(epsilon=epsilon, norm=norm.lower(), steps=steps, box=(0.0, 1.0))
    found = attack(model, scaled, target)
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(expected), target, reduction="none")
    if norm == "Linf":
        assert float((found.signal - expected).abs().max()) <= 1e-6
        assert float((found.loss - loss).abs().max()) <= 1e-6
    else:
        assert float(found.loss.mean()) == pytest.approx(float(loss.mean()), rel=1e-4)


@pytest.mark.parametrize("steps", [10, 20, 100])
def test_torchattacks_from_the_same_start(data, steps):
    """Its climb is a copy of the authors'; only the start is rounded differently."""
    torchattacks = pytest.importorskip("torchattacks")
    signal, target = data
    model, scaled, epsilon = unit_range(signal)
    theirs = torchattacks.APGD(model.eval(), norm="Linf", eps=epsilon, steps=steps)
    torch.manual_seed(0)
    loss, expected = theirs.perturb(scaled.unsqueeze(2), target, best_loss=True)
    torch.manual_seed(0)
    attack = APGD(epsilon=epsilon, steps=steps, box=(0.0, 1.0))
    found = attack(model.eval(), scaled.unsqueeze(2), target)
    assert float((found.signal - expected).abs().max()) <= 1e-6
    assert float((found.loss - loss).abs().max()) <= 1e-6


def test_torchattacks(data):
    torchattacks = pytest.importorskip("torchattacks")
    signal, target = data
    model, scaled, epsilon = unit_range(signal)
    model = model.eval()
    images = scaled.unsqueeze(2)
    theirs = torchattacks.APGD(model, norm="Linf", eps=epsilon, steps=20, seed=0, loss="ce")
    expected = right(model, theirs(images, target), target)
    found = APGD(epsilon=epsilon, steps=20, mode="best_adversarial", box=(0.0, 1.0))(
        model.eval(), images, target, generator=torch.Generator().manual_seed(0)
    )
    assert right(model, found.signal, target) <= expected + max(2 / RECORDS, 0.02)


def test_adversarial_robustness_toolbox(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("art")
        from art.attacks.evasion import AutoProjectedGradientDescent
        from art.estimators.classification import PyTorchClassifier
    signal, target = data
    model = TwoClasses().eval()
    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), signal.shape[1:], 2, clip_values=None, device_type="cpu"
    )
    theirs = AutoProjectedGradientDescent(
        classifier, norm="inf", eps=EPSILON, eps_step=2 * EPSILON, max_iter=20, nb_random_init=1,
        batch_size=RECORDS, loss_type="cross_entropy", verbose=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        there = torch.from_numpy(theirs.generate(signal.numpy(), target.numpy()))
    found = APGD(epsilon=EPSILON, steps=20, mode="best_adversarial")(model.eval(), signal, target)
    expected = right(model.eval(), there, target)
    assert right(model, found.signal, target) <= expected + 2 / RECORDS


def test_foolbox(data):
    foolbox = pytest.importorskip("foolbox")
    signal, target = data
    model = TwoClasses().eval()
    bounds = (float(signal.min()) - 1, float(signal.max()) + 1)
    theirs = foolbox.attacks.LinfPGD(steps=100)
    _, there, _ = theirs(foolbox.PyTorchModel(model, bounds), signal, target, epsilons=EPSILON)
    with torch.no_grad():
        expected = nn.functional.cross_entropy(model(there), target)
    found = APGD(epsilon=EPSILON, steps=100)(model, signal, target)
    assert float(found.loss.mean()) >= 0.99 * float(expected)
    assert robust_share(trained(), signal, waves(RECORDS, seed=11)[1]) > 0.9
