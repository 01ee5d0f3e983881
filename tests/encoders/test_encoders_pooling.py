import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pahcl.encoders.heads import LinearHead, MLPHead
from pahcl.encoders.pooling import AttentionPool, Flatten, MaskedMaxPool, MaskedMeanPool
from pahcl.errors import SpecError, UsageError

POOLINGS = [MaskedMeanPool, MaskedMaxPool, AttentionPool, Flatten]


def built(kind, channels=4, steps=6):
    pooling = kind()
    return pooling, pooling.build(channels, steps)


@pytest.mark.parametrize("kind", POOLINGS)
def test_what_is_masked_never_matters(kind):
    pooling, size = built(kind)
    features = torch.randn(3, 4, 6)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]]).bool()
    spoiled = features.masked_fill(~mask[:, None], float("nan"))
    pooled = pooling(features, mask)
    assert pooled.shape == (3, size)
    assert torch.equal(pooled, pooling(spoiled, mask))
    assert torch.equal(pooled[2], torch.zeros(size))


@pytest.mark.parametrize("kind", POOLINGS)
def test_no_mask_means_all_real(kind):
    pooling, _ = built(kind)
    features = torch.randn(2, 4, 6)
    assert torch.equal(pooling(features), pooling(features, torch.ones(2, 6, dtype=torch.bool)))


@settings(max_examples=30, deadline=None)
@given(real=st.integers(1, 6), seed=st.integers(0, 1000))
def test_mean_and_max_equal_those_of_the_cut_features(real, seed):
    features = torch.randn(1, 4, 6, generator=torch.Generator().manual_seed(seed))
    mask = (torch.arange(6) < real)[None]
    cut = features[..., :real]
    assert torch.allclose(MaskedMeanPool()(features, mask), cut.mean(-1), atol=1e-6)
    assert torch.equal(MaskedMaxPool()(features, mask), cut.amax(-1))


def test_attention_agrees_with_its_formula():
    torch.manual_seed(0)
    pooling, _ = built(AttentionPool)
    features = torch.randn(1, 4, 6)
    first, _, last = pooling.score
    weights = [
        torch.exp(last.weight[0, :, 0] @ torch.tanh(first.weight[:, :, 0] @ f + first.bias))
        for f in features[0].T
    ]
    expected = sum(w * f for w, f in zip(weights, features[0].T, strict=True)) / sum(weights)
    assert torch.allclose(pooling(features)[0], expected, atol=1e-6)


def test_attention_gives_no_gradient_to_padding_and_no_nan():
    pooling, _ = built(AttentionPool)
    features = torch.randn(2, 4, 6, requires_grad=True)
    mask = torch.tensor([[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]).bool()
    pooling(features, mask).sum().backward()
    assert torch.isfinite(features.grad).all()
    assert not features.grad[0, :, 2:].any()


def test_flatten_needs_one_length():
    with pytest.raises(UsageError, match="length"):
        Flatten().build(4, None)
    assert MaskedMeanPool().build(4, None) == 4


@pytest.mark.parametrize("kind", POOLINGS)
def test_pooling_config_makes_it_again(kind):
    pooling = kind()
    assert kind(**json.loads(json.dumps(pooling.config()))).config() == pooling.config()


@pytest.mark.parametrize("head", [LinearHead(dropout=0.1), MLPHead(hidden=8, dropout=0.2)])
def test_heads(head):
    with pytest.raises(UsageError, match="build"):
        head(torch.zeros(2, 5))
    head.build(5, 3)
    assert head(torch.zeros(2, 5)).shape == (2, 3)
    assert type(head)(**json.loads(json.dumps(head.config()))).config() == head.config()
    with pytest.raises(SpecError, match=r"\[any, 5\]"):
        head(torch.zeros(2, 6))


def test_wrong_shapes_are_named():
    with pytest.raises(SpecError, match="features"):
        MaskedMeanPool()(torch.zeros(2, 4))
    with pytest.raises(SpecError, match="mask"):
        MaskedMeanPool()(torch.zeros(2, 4, 6), torch.ones(2, 5, dtype=torch.bool))
