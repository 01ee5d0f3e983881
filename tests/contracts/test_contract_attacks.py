"""What every attack promises; the classes are found by listing the folder."""

import importlib
import inspect
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentParser
from torch import nn

import pahcl.attacks
from pahcl.attacks import base
from pahcl.attacks.base import Attack
from pahcl.errors import SpecError, UsageError
from pahcl.signals.leads import STANDARD_12

sys.path.append(str(Path(__file__).parents[1] / "attacks"))
from attack_work import Counted, MaskedNet, length_of, rounding

FOLDER = Path(pahcl.attacks.__file__).parent
DOCS = FOLDER.parents[1] / "docs" / "attacks.md"
LENGTH = 60

# Few steps, so that all norms and shapes can be tried: class name -> settings.
QUICK = {
    "PGD": {"steps": 3},
    "APGD": {"steps": 4},
    "SmoothAttack": {"start_steps": 2, "steps": 3},
    "BandLimitedPGD": {"steps": 3},
    "UniversalPerturbation": {"steps": 3},
    "Square": {"queries": 6},
    "WorstCase": {},
}
# Gradient calls and forward calls with the settings above; a new attack adds its row.
CALLS = {
    "FGSM": (1, 1),
    "FGSMRS": (1, 1),
    "NFGSM": (1, 1),
    "NoiseControl": (0, 1),
    "PGD": (3, 1),
    "APGD": (5, 0),
    "SmoothAttack": (5, 1),
    "BandLimitedPGD": (3, 1),
    "UniversalPerturbation": (3, 1),
    "Square": (0, 6),
    "WorstCase": (42, 203),
}
JOINT = {"UniversalPerturbation"}
"""Attacks of which the records of one batch depend on each other."""


def find_attacks() -> list[type[Attack]]:
    modules = [
        importlib.import_module(f"pahcl.attacks.{path.stem}") for path in FOLDER.glob("[a-z]*.py")
    ]
    classes = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Attack) and not inspect.isabstract(kind)
    }
    return sorted(classes, key=lambda kind: kind.__name__)


KINDS = find_attacks()
every = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def quick(kind: type[Attack], **options: object) -> Attack:
    attack = kind(**QUICK.get(kind.__name__, {}), **options)
    if kind.__name__ == "WorstCase" and options.get("norm") != "l1":
        return replace(attack, attacks=(quick(_kind("APGD")), quick(_kind("Square"))))
    if kind.__name__ == "WorstCase":
        return replace(attack, attacks=(quick(_kind("APGD")),))
    return attack


def _kind(name: str) -> type[Attack]:
    return next(kind for kind in KINDS if kind.__name__ == name)


def knows(kind: type[Attack], norm: str) -> bool:
    return norm != "l1" or kind.__name__ != "Square"


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = MaskedNet()
    with torch.no_grad():
        model.norm.running_mean.normal_()
        model.norm.running_var.uniform_(0.5, 2.0)
    return model


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    signal = torch.randn(4, 12, LENGTH, generator=generator)
    target = (torch.rand(4, 3, generator=generator) < 0.5).float()
    target[1, 0] = float("nan")
    mask = torch.ones(4, LENGTH, dtype=torch.bool)
    mask[2, 45:] = False
    mask[3, :7] = False
    return signal, target, mask


def seeds(*numbers: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(number) for number in numbers]


def test_the_list_is_not_empty():
    assert set(CALLS) == {kind.__name__ for kind in KINDS}


@every
@settings(max_examples=12, deadline=None)
@given(
    norm=st.sampled_from(["linf", "l2", "l1"]),
    epsilon=st.sampled_from([0.0, 1e-4, 0.03, 2.0]),
    leads=st.sampled_from([None, STANDARD_12]),
    box=st.sampled_from([None, (-1.5, 2.0)]),
    targeted=st.booleans(),
    seed=st.integers(0, 100),
)
def test_budget_mask_box_and_leads_hold(kind, norm, epsilon, leads, box, targeted, seed):
    if not knows(kind, norm):
        with pytest.raises(UsageError, match="norms"):
            kind(norm=norm)
        return
    torch.manual_seed(seed)
    model, signal = MaskedNet(), torch.randn(3, 12, LENGTH)
    target = torch.tensor([[1.0, 0, float("nan")], [0, 0, 1], [float("nan")] * 3])
    mask = torch.ones(3, LENGTH, dtype=torch.bool)
    mask[1, 50:] = False
    attack = quick(kind, norm=norm, epsilon=epsilon, leads=leads, box=box, targeted=targeted)
    result = attack(model, signal, target, mask, torch.Generator().manual_seed(seed))
    delta = result.signal.double() - signal.double()
    limit = epsilon * attack.budget_factor * (1 + 1e-6) + rounding(signal, norm)
    assert result.signal.dtype == torch.float32
    assert result.signal.isfinite().all()
    assert float(length_of(delta, norm).max()) <= limit
    assert torch.equal(result.signal[1, :, 50:], signal[1, :, 50:])
    assert torch.equal(result.signal[2], signal[2])  # not labelled
    if box is not None:
        outside = torch.maximum(result.signal - box[1], box[0] - result.signal)
        before = torch.maximum(signal - box[1], box[0] - signal)
        assert (outside <= before.clamp(min=0.0) + 1e-6).all()
    if leads is not None:
        first, second = delta[:, 0], delta[:, 1]
        for index, expected in [
            (2, second - first), (3, -(first + second) / 2),
            (4, first - second / 2), (5, second - first / 2),
        ]:  # fmt: skip
            assert float((delta[:, index] - expected).abs().max()) <= 10 * rounding(signal, "linf")


@every
def test_calls_are_counted_exactly(kind, batch):
    torch.manual_seed(0)
    model = Counted(MaskedNet().eval())
    attack = kind(**QUICK.get(kind.__name__, {}))
    result = attack(model, batch[0], batch[1], generator=torch.Generator().manual_seed(0))
    assert (result.gradient_calls, result.forward_calls) == CALLS[kind.__name__]
    assert model.backwards == result.gradient_calls
    assert model.forwards == result.gradient_calls + result.forward_calls


@every
def test_the_loss_is_the_loss_at_the_signal(kind, model, batch):
    signal, target, mask = batch
    result = quick(kind)(model, signal, target, mask, torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = model.eval()(result.signal, mask)
    terms = nn.functional.binary_cross_entropy_with_logits(
        outputs, target.nan_to_num(0.0), reduction="none"
    )
    expected = (terms * ~target.isnan()).sum(1) / (~target.isnan()).sum(1)
    torch.testing.assert_close(result.loss, expected)
    assert not result.signal.requires_grad
    assert not result.loss.requires_grad


@every
def test_the_batch_split_does_not_matter(kind, model, batch):
    if kind.__name__ in JOINT:
        pytest.skip("one perturbation for the whole batch")
    signal, target, mask = batch
    attack = quick(kind)
    whole = attack(model, signal, target, mask, seeds(0, 1, 2, 3))
    parts = [
        attack(model, signal[rows], target[rows], mask[rows], seeds(*range(4)[rows]))
        for rows in (slice(0, 1), slice(1, 4))
    ]
    assert torch.equal(whole.signal, torch.cat([part.signal for part in parts]))
    assert torch.equal(whole.loss, torch.cat([part.loss for part in parts]))


@every
def test_the_same_seed_gives_the_same_signals(kind, model, batch):
    attack = quick(kind)
    runs = [attack(model, *batch, torch.Generator().manual_seed(5)).signal for _ in range(2)]
    assert torch.equal(*runs)


@every
def test_the_model_is_left_as_it_was(kind, model, batch):
    model.train()
    model.norm.eval()  # as a frozen part is
    model.conv.weight.requires_grad_(False)
    model.head.weight.grad = torch.ones_like(model.head.weight)
    flags = [module.training for module in model.modules()]
    learning = [parameter.requires_grad for parameter in model.parameters()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    signal = batch[0].clone()
    quick(kind)(model, *batch)
    assert [module.training for module in model.modules()] == flags
    assert [parameter.requires_grad for parameter in model.parameters()] == learning
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(model.head.weight.grad, torch.ones_like(model.head.weight))
    assert all(p.grad is None for p in model.parameters() if p is not model.head.weight)
    assert torch.equal(signal, batch[0])


def test_in_training_mode_the_buffers_would_change(model, batch, monkeypatch):
    model.train()
    before = model.norm.running_mean.clone()
    _kind("PGD")(steps=2)(model, *batch)
    assert torch.equal(model.norm.running_mean, before)

    class Loose:
        def __init__(self, model: nn.Module) -> None: ...
        def __enter__(self) -> None: ...
        def __exit__(self, *reason: object) -> None: ...

    monkeypatch.setattr(base, "held_still", Loose)
    _kind("PGD")(steps=2)(model, *batch)
    assert not torch.equal(model.norm.running_mean, before)


@every
def test_a_model_that_fails_is_restored_too(kind, model, batch):
    def forward(signal, mask=None):
        raise RuntimeError("broken")

    model.train()
    model.forward = forward
    with pytest.raises(RuntimeError, match="broken"):
        # Noise asks the model for its final loss only.
        quick(kind)(model, *batch)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


@every
def test_the_mask_reaches_a_model_that_takes_one(kind, model, batch):
    quick(kind)(model, *batch)
    assert model.masks > 0


@every
@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off(kind, model, batch, guard):
    expected = quick(kind)(model, *batch, torch.Generator().manual_seed(0)).signal
    with guard():
        inside = [one.clone() for one in batch]
        found = quick(kind)(model, *inside, torch.Generator().manual_seed(0)).signal
    assert torch.equal(found, expected)


@every
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_under_autocast_the_budget_is_exact(kind, norm, model, batch):
    if not knows(kind, norm):
        pytest.skip("it refuses this norm")
    signal, target, mask = batch
    attack = quick(kind, norm=norm, epsilon=0.01)
    seen = []
    handle = model.conv.register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        result = attack(model, signal, target, mask)
    handle.remove()
    assert set(seen) == {torch.bfloat16}
    assert result.signal.dtype == result.loss.dtype == torch.float32
    lengths = length_of(result.signal.double() - signal.double(), norm)
    limit = 0.01 * attack.budget_factor * (1 + 1e-6) + rounding(signal, norm)
    assert float(lengths.max()) <= limit


@every
@pytest.mark.parametrize("shape", [(3, 20), (3, 2, 60), (3, 2, 8, 40)])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_any_rank_and_class_numbers(kind, shape, norm):
    if not knows(kind, norm):
        pytest.skip("it refuses this norm")
    torch.manual_seed(0)
    size = torch.Size(shape[1:]).numel()
    model = nn.Sequential(nn.Flatten(), nn.Linear(size, 8), nn.GELU(), nn.Linear(8, 4))
    signal, target = torch.randn(shape), torch.tensor([2, -1, 0])
    mask = torch.ones(3, shape[-1], dtype=torch.bool)
    mask[0, -3:] = False
    options = {"fs": 100.0, "high": 40.0} if kind.__name__ == "BandLimitedPGD" else {}
    options = {"fs": 100.0} if kind.__name__ == "SmoothAttack" else options
    attack = quick(kind, norm=norm, epsilon=0.5, **options)
    result = attack(model, signal, target, mask, seeds(0, 1, 2))
    lengths = length_of(result.signal - signal, norm)
    assert result.signal.shape == signal.shape
    limit = 0.5 * attack.budget_factor * (1 + 1e-6) + rounding(signal, norm)
    assert float(lengths.max()) <= limit
    assert (lengths[[0, 2]] > 0.1).all()
    assert torch.equal(result.signal[1], signal[1])
    assert torch.equal(result.signal[0, ..., -3:], signal[0, ..., -3:])


@every
def test_a_function_is_a_model_too(kind):
    weight = torch.randn(2 * LENGTH, 1, generator=torch.Generator().manual_seed(0))
    signal, target = torch.randn(2, 2, LENGTH), torch.tensor([1.0, 0.0])
    result = quick(kind)(lambda x: (x.flatten(1) @ weight).squeeze(1), signal, target)
    assert result.loss.isfinite().all()


@every
def test_epsilons_of_records_and_leads(kind, model, batch):
    signal, target, mask = batch
    each = torch.tensor([0.0, 0.01, 0.02, 0.05])
    attack = quick(kind)
    delta = attack(model, signal, target, mask, epsilon=each).signal - signal
    lengths = length_of(delta, "linf")
    assert (lengths <= each * attack.budget_factor + rounding(signal, "linf")).all()
    assert (lengths[1:] > 0).all()
    table = each.unsqueeze(1) * torch.arange(12) / 12
    for norm in ("linf", "l2"):
        attack = quick(kind, norm=norm)
        delta = attack(model, signal, target, mask, epsilon=table).signal - signal
        found = length_of(delta.flatten(0, 1), norm).reshape(4, 12)
        assert (found <= table * attack.budget_factor * (1 + 1e-5) + rounding(signal, norm)).all()
    with pytest.raises(SpecError, match="`epsilon` must have the shape"):
        attack(model, signal, target, mask, epsilon=each[:2])


@every
def test_with_epsilon_gives_another_attack(kind):
    attack = quick(kind, norm="l2")
    other = attack.with_epsilon(0.25)
    assert (other.epsilon, other.norm, attack.epsilon) == (0.25, "l2", 0.01)
    assert replace(other, epsilon=attack.epsilon) == attack


@every
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"norm": "l3"}, "`norm`"),
        ({"loss": "hinge"}, "`loss`"),
        ({"relative_to": "mean"}, "`relative_to`"),
        ({"epsilon": -1.0}, "`epsilon`"),
        ({"epsilon": float("nan")}, "`epsilon`"),
        ({"box": (1.0, 0.0)}, "`box`"),
        ({"lead_epsilon": (-1.0,)}, "`lead_epsilon`"),
        ({"labels": ()}, "`labels`"),
        ({"leads": ("I", "III", "V1")}, "lacks II"),
    ],
)
def test_settings_that_cannot_be_are_refused(kind, options, words):
    with pytest.raises(UsageError, match=words):
        kind(**options)


@every
def test_shapes_that_do_not_fit_are_refused(kind, model, batch):
    signal, target, mask = batch
    with pytest.raises(SpecError, match="mask must have the shape"):
        quick(kind)(model, signal, target, mask[:, :-1])
    with pytest.raises(SpecError, match="`leads` has 2"):
        quick(kind, leads=("I", "II"))(model, signal, target)
    with pytest.raises(UsageError, match="2 generators for 4"):
        quick(_kind("FGSMRS"))(model, signal, target, mask, seeds(0, 1))


@every
def test_the_docstring_names_source_and_unit(kind):
    text = inspect.getdoc(kind) or ""
    assert "Source:" in text
    assert "unit" in text


def test_the_docs_have_a_row_for_every_attack_and_no_other():
    table = DOCS.read_text(encoding="utf-8").split("| attack |")[1].split("\n\n")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| `")]
    assert sorted(row[0].strip(" `") for row in rows) == [kind.__name__ for kind in KINDS]


@every
def test_a_config_can_name_it(kind):
    parser = ArgumentParser()
    parser.add_argument("--attack", type=Attack)
    name = f"{kind.__module__}.{kind.__name__}"
    parsed = parser.parse_args([f"--attack={name}", "--attack.epsilon=0.5", "--attack.norm=l2"])
    again = parser.parse_string(parser.dump(parsed))
    assert parser.instantiate(again).attack == kind(epsilon=0.5, norm="l2")
