import copy

import pytest
import torch

from pahcl.encoders.heads import LinearHead
from pahcl.encoders.resnet import SmallResNet1d
from pahcl.errors import UsageError
from pahcl.transfer.strategies import DiscriminativeLR, FreezeFirst, Full, LinearProbe


@pytest.fixture
def encoder():
    return SmallResNet1d(widths=(4, 6, 8), strides=(2, 2, 2))


@pytest.fixture
def head():
    head = LinearHead()
    head.build(8, 1)
    return head


def train_some_steps(strategy, encoder, head):
    strategy.prepare(encoder)
    groups = strategy.parameter_groups(encoder, [head], 0.05)
    optimizer = torch.optim.AdamW(groups, weight_decay=0.1)
    for _ in range(3):
        encoder.train()
        strategy.keep_frozen(encoder)
        optimizer.zero_grad()
        head(encoder(torch.randn(4, 12, 256)).mean(-1)).square().sum().backward()
        optimizer.step()


def changed(before, after):
    return {"".join(k.split(".")[:2]) for k in before if not torch.equal(before[k], after[k])}


@pytest.mark.parametrize(
    ("strategy", "moved"),
    [
        (Full(), {"stem0", "stem1", "blocks0", "blocks1", "blocks2"}),
        (LinearProbe(), set()),
        (FreezeFirst(stages=2), {"blocks1", "blocks2"}),
        (FreezeFirst(stages=4), set()),
        (DiscriminativeLR(), {"stem0", "stem1", "blocks0", "blocks1", "blocks2"}),
    ],
)
def test_frozen_parts_stay_bit_for_bit_with_their_statistics(strategy, moved, encoder, head):
    before = copy.deepcopy(encoder.state_dict())
    weight = head.layers[1].weight.clone()
    train_some_steps(strategy, encoder, head)
    assert changed(before, encoder.state_dict()) == moved
    assert not torch.equal(weight, head.layers[1].weight)


def test_frozen_parts_are_in_evaluation_mode_without_gradients(encoder):
    strategy = FreezeFirst(stages=2)
    strategy.prepare(encoder)
    encoder.train()
    strategy.keep_frozen(encoder)
    frozen, free = encoder.stages()[:2], encoder.stages()[2:]
    assert not any(m.training for stage in frozen for m in stage.modules())
    assert not any(p.requires_grad for stage in frozen for p in stage.parameters())
    assert all(m.training for stage in free for m in stage.modules())
    assert all(p.requires_grad for stage in free for p in stage.parameters())
    assert not strategy.freezes_all(encoder)


def test_linear_probe_has_the_head_alone_in_the_optimiser(encoder, head):
    strategy = LinearProbe()
    strategy.prepare(encoder)
    (group,) = strategy.parameter_groups(encoder, [head], 0.1)
    assert group["name"] == "head"
    assert {id(p) for p in group["params"]} == {id(p) for p in head.parameters()}
    assert strategy.freezes_all(encoder)


def test_discriminative_rates_fall_towards_the_input(encoder, head):
    groups = DiscriminativeLR().parameter_groups(encoder, [head], 1.0)
    assert [g["name"] for g in groups] == ["stage0", "stage1", "stage2", "stage3", "head"]
    assert [g["lr"] for g in groups] == pytest.approx([2.6**-4, 2.6**-3, 2.6**-2, 2.6**-1, 1.0])
    grouped = [id(p) for g in groups for p in g["params"]]
    expected = [id(p) for m in (encoder, head) for p in m.parameters()]
    assert sorted(grouped) == sorted(expected)


@pytest.mark.parametrize("strategy", [Full(), FreezeFirst(stages=1), DiscriminativeLR(decay=2.0)])
def test_every_learned_parameter_is_in_one_group(strategy, encoder, head):
    strategy.prepare(encoder)
    groups = strategy.parameter_groups(encoder, [head], 0.1)
    grouped = [id(p) for g in groups for p in g["params"]]
    learned = [id(p) for m in (encoder, head) for p in m.parameters() if p.requires_grad]
    assert sorted(grouped) == sorted(learned)
    torch.optim.AdamW(groups)


def test_impossible_strategies_are_refused(encoder):
    with pytest.raises(UsageError, match="1 or more"):
        FreezeFirst(stages=0)
    with pytest.raises(UsageError, match="only 4 stages"):
        FreezeFirst(stages=5).prepare(encoder)
    with pytest.raises(UsageError, match="decay"):
        DiscriminativeLR(decay=0.5)
