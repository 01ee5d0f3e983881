import pytest
import torch

from pahcl.encoders.heads import LinearHead
from pahcl.encoders.pooling import Flatten
from pahcl.encoders.resnet import ResNet1d, SmallResNet1d
from pahcl.errors import UsageError


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize(("logits", "parameters"), [(1, 6_924_705), (5, 6_945_189)])
def test_paper_network_has_the_published_size(logits, parameters):
    encoder, pooling, head = ResNet1d(), Flatten(), LinearHead()
    features = pooling.build(encoder.out_channels, encoder.feature_length(4096))
    head.build(features, logits)
    assert features == 5120
    assert count(encoder, pooling, head) == parameters


def test_paper_network_halves_time_as_published():
    encoder = ResNet1d().eval()
    lengths = []
    hooks = [
        block.register_forward_hook(lambda m, i, out: lengths.append(tuple(out[0].shape[1:])))
        for block in encoder.blocks
    ]
    with torch.no_grad():
        encoder(torch.zeros(1, 12, 4096))
    for hook in hooks:
        hook.remove()
    assert lengths == [(64, 4096), (128, 1024), (196, 256), (256, 64), (320, 16)]


def test_a_block_agrees_with_the_two_stream_formula():
    torch.manual_seed(0)
    encoder = SmallResNet1d(widths=(3, 5), strides=(1, 4), stem_stride=1, dropout=0.0).double()
    block = encoder.blocks[1]
    x, y = torch.randn(2, 3, 16, dtype=torch.double), torch.randn(2, 3, 16, dtype=torch.double)

    def normalise(z):
        mean = z.mean((0, 2), keepdim=True)
        var = z.var((0, 2), keepdim=True, unbiased=False)
        return (z - mean) / (var + 1e-5).sqrt()

    def gelu(z):
        return 0.5 * z * (1 + torch.erf(z / 2**0.5))

    pooled = y.reshape(2, 3, 4, 4).amax(-1)
    skip = torch.einsum("oc,bct->bot", block.skip[1].weight[:, :, 0], pooled)
    inner = gelu(normalise(block.conv1(x)))
    summed = skip + block.conv2(inner)
    out, residual = block(x, y)
    assert torch.allclose(residual, summed)
    assert torch.allclose(out, gelu(normalise(summed)))


def test_convolutions_have_no_bias_and_the_stem_no_activation():
    encoder = ResNet1d()
    assert not [name for name, _ in encoder.named_parameters() if "conv" in name and "bias" in name]
    assert [type(m).__name__ for m in encoder.stem] == ["Conv1d", "BatchNorm1d"]
    assert encoder.stem[0].bias is None


def test_activation_is_a_choice():
    kinds = {type(m).__name__ for m in ResNet1d(activation="relu").modules()}
    assert "ReLU" in kinds
    assert "GELU" not in kinds
    assert ResNet1d().config()["activation"] == "gelu"


def test_dropout_acts_in_training_alone():
    encoder = SmallResNet1d()
    signal = torch.randn(2, 12, 1000)
    assert not torch.equal(encoder(signal), encoder(signal))
    encoder.eval()
    assert torch.equal(encoder(signal), encoder(signal))


def test_small_network_is_small():
    encoder = SmallResNet1d()
    assert 100_000 <= count(encoder) <= 200_000
    assert encoder.feature_length(1000) == 15


@pytest.mark.parametrize("strides", [(1, 2, 3), (5, 1, 4), (2, 2, 7)])
@pytest.mark.parametrize("length", [211, 256, 1001])
def test_lengths_that_strides_do_not_divide(strides, length):
    encoder = SmallResNet1d(widths=(4, 5, 6), strides=strides, stem_stride=1, kernel_size=7)
    assert encoder(torch.randn(2, 12, length)).shape[-1] == encoder.feature_length(length)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"widths": (8, 8), "strides": (2,)}, "one stride a block"),
        ({"kernel_size": 8}, "must be odd"),
        ({"kernel_size": 3}, "no smaller than any stride"),
        ({"activation": "tanh"}, "gelu"),
        ({"strides": (0, 4, 4, 4, 4)}, "must be positive"),
        ({"widths": (), "strides": ()}, "one stride a block"),
    ],
)
def test_impossible_arguments_are_refused(arguments, text):
    with pytest.raises(UsageError, match=text):
        ResNet1d(**arguments)


def test_config_cannot_change_the_encoder():
    encoder = SmallResNet1d()
    encoder.config()["widths"].append(1)
    assert encoder.config()["widths"] == [16, 32, 64, 96]
