"""What every encoder promises; the classes are found by listing the folder."""

import importlib
import inspect
import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn

import pahcl.encoders
from pahcl.encoders.base import Encoder
from pahcl.errors import SpecError

LENGTH = 1024
FOLDER = Path(pahcl.encoders.__file__).parent
DOCS = FOLDER.parents[1] / "docs" / "encoders.md"


def find_encoders() -> list[type[Encoder]]:
    modules = [
        importlib.import_module(f"pahcl.encoders.{path.stem}") for path in FOLDER.glob("[a-z]*.py")
    ]
    classes = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Encoder) and not inspect.isabstract(kind)
    }
    return sorted(classes, key=lambda kind: kind.__name__)


@pytest.fixture(scope="module", params=find_encoders(), ids=lambda kind: kind.__name__)
def encoder(request):
    torch.manual_seed(0)
    return request.param().eval()


@pytest.fixture
def signal(encoder):
    return torch.randn(2, encoder.in_channels, LENGTH, generator=torch.Generator().manual_seed(1))


def test_the_list_is_not_empty():
    assert {"ResNet1d", "SmallResNet1d"} <= {kind.__name__ for kind in find_encoders()}


def test_output_has_the_promised_shape(encoder, signal):
    features = encoder(signal)
    assert features.shape == (2, encoder.out_channels, encoder.feature_length(LENGTH))
    assert torch.isfinite(features).all()


@pytest.mark.parametrize("length", [1000, 1023, 997])
def test_any_length_is_read(encoder, length):
    features = encoder(torch.zeros(1, encoder.in_channels, length))
    mask = torch.ones(1, length, dtype=torch.bool)
    assert features.shape[-1] == encoder.feature_length(length)
    assert encoder.feature_mask(mask).shape == (1, features.shape[-1])
    assert encoder.feature_mask(mask).all()


def test_padding_never_matters(encoder, signal):
    mask = torch.ones(2, LENGTH, dtype=torch.bool)
    mask[0, 700:] = False
    mask[1, :100] = False
    spoiled = signal.clone()
    spoiled[0, :, 700:] = float("nan")
    spoiled[1, :, :100] = 1e6
    assert torch.equal(encoder(signal, mask), encoder(spoiled, mask))
    assert not torch.equal(encoder(signal, mask), encoder(signal))


def test_a_full_mask_changes_nothing(encoder, signal):
    mask = torch.ones(2, LENGTH, dtype=torch.bool)
    assert torch.equal(encoder(signal, mask), encoder(signal))


def test_feature_mask_marks_steps_with_signal(encoder):
    mask = torch.zeros(2, LENGTH, dtype=torch.bool)
    mask[0, : LENGTH // 2] = True
    steps = encoder.feature_mask(mask)
    assert steps.dtype == torch.bool
    assert steps[0, 0]
    assert not steps[0, -1]
    assert not steps[1].any()


def test_stages_partition_the_parameters(encoder):
    stages = encoder.stages()
    assert all(isinstance(stage, nn.Module) for stage in stages)
    found = Counter(id(parameter) for stage in stages for parameter in stage.parameters())
    assert set(found.values()) == {1}
    assert found.keys() == {id(parameter) for parameter in encoder.parameters()}


def test_every_parameter_is_used(encoder, signal):
    encoder.zero_grad()
    encoder(signal).square().sum().backward()
    assert [n for n, p in encoder.named_parameters() if p.grad is None] == []
    encoder.zero_grad()


def test_stages_run_from_input_to_output(encoder, signal):
    order = []
    hooks = [
        stage.register_forward_hook(lambda *_, k=k: order.append(k))
        for k, stage in enumerate(encoder.stages())
    ]
    encoder(signal)
    for hook in hooks:
        hook.remove()
    assert order == list(range(len(encoder.stages())))


def test_config_is_plain_and_makes_the_encoder_again(encoder, signal):
    config = json.loads(json.dumps(encoder.config()))
    again = type(encoder)(**config).eval()
    again.load_state_dict(encoder.state_dict())
    assert again.config() == encoder.config()
    assert torch.equal(again(signal), encoder(signal))


def test_the_contract_is_open_until_it_is_known(encoder):
    assert encoder.spec is None


def test_wrong_input_is_refused_by_name(encoder):
    with pytest.raises(SpecError, match="must have the shape"):
        encoder(torch.zeros(1, encoder.in_channels + 1, LENGTH))
    with pytest.raises(SpecError, match="mask must have the shape"):
        encoder(
            torch.zeros(1, encoder.in_channels, LENGTH), torch.ones(1, LENGTH - 1, dtype=torch.bool)
        )
    with pytest.raises(SpecError, match="at least"):
        encoder(torch.zeros(1, encoder.in_channels, 1))


def test_batches_do_not_mix_in_evaluation(encoder, signal):
    assert torch.allclose(encoder(signal)[:1], encoder(signal[:1]), atol=1e-5)


def documented() -> dict[str, list[str]]:
    """Read the cells of the first table's rows by the encoder's name."""
    table = DOCS.read_text(encoding="utf-8").split("| encoder |")[1].split("\n\n")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}


def test_the_docs_have_a_row_for_every_encoder_and_no_other():
    assert sorted(documented()) == [kind.__name__ for kind in find_encoders()]


def test_the_docs_state_the_right_sizes(encoder):
    cells = documented()[type(encoder).__name__]
    parameters = sum(p.numel() for p in encoder.parameters())
    sizes = [parameters, encoder.out_channels, encoder.stride, len(encoder.stages())]
    assert cells[:4] == [f"{size:,}" for size in sizes]
