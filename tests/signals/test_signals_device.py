from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch

from pahcl.errors import SpecError
from pahcl.signals import Normalisation, SignalSpec, ToSignal, normalise

SPEC = SignalSpec("ecg", 100.0, 50, ("I", "II", "V1"))


def packed(batch: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randint(-32767, 32767, (batch, 3, 50), dtype=torch.int16, generator=generator)
    return samples, torch.rand(batch, 3, generator=generator) * 1e-3


@pytest.mark.parametrize("kind", get_args(Normalisation))
def test_is_cast_scale_mask_normalise(kind: Normalisation) -> None:
    samples, scale = packed()
    start, stop = torch.tensor([0, 10, 0, 5]), torch.tensor([50, 50, 20, 5])
    signal, mask = ToSignal(replace(SPEC, normalisation=kind))(samples, scale, start, stop)
    assert signal.dtype == torch.float32
    assert mask.dtype == torch.bool
    assert mask.sum(1).tolist() == [50, 40, 20, 0]
    assert mask[1].nonzero()[0] == 10
    physical = samples.double() * scale.double()[:, :, None]
    torch.testing.assert_close(signal, normalise(physical, mask, kind), atol=1e-5, rtol=1e-4)
    assert (signal[~mask[:, None].expand_as(signal)] == 0).all()


def test_full_windows_take_the_short_way_with_the_same_result() -> None:
    samples, scale = packed()
    to_signal = ToSignal(replace(SPEC, normalisation="zscore_lead"))
    zero, full = torch.zeros(4, dtype=torch.int64), torch.full((4,), 50)
    signal, mask = to_signal(samples, scale, zero, full)
    assert mask.all()
    padded, _ = to_signal(
        torch.cat([samples, samples[:1]]),
        torch.cat([scale, scale[:1]]),
        torch.zeros(5, dtype=torch.int64),
        torch.tensor([50, 50, 50, 50, 10]),
    )
    torch.testing.assert_close(signal, padded[:4], atol=1e-5, rtol=1e-4)


def test_the_batch_is_left_as_it_was() -> None:
    samples, scale = packed()
    kept = samples.clone(), scale.clone()
    bounds = torch.zeros(4, dtype=torch.int64), torch.full((4,), 30)
    ToSignal(replace(SPEC, normalisation="robust"))(samples, scale, *bounds)
    assert torch.equal(samples, kept[0])
    assert torch.equal(scale, kept[1])


def test_float32_under_autocast() -> None:
    samples, scale = packed()
    bounds = torch.zeros(4, dtype=torch.int64), torch.full((4,), 50)
    to_signal = ToSignal(replace(SPEC, normalisation="zscore_record"))
    expected, _ = to_signal(samples, scale, *bounds)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        signal, _ = to_signal(samples, scale, *bounds)
    assert signal.dtype == torch.float32
    assert torch.equal(signal, expected)


@pytest.mark.parametrize("shape", [(4, 2, 50), (4, 3, 49), (3, 50)])
def test_another_shape_than_the_contract_is_refused(shape: tuple[int, ...]) -> None:
    bounds = torch.zeros(4, dtype=torch.int64), torch.full((4,), 50)
    with pytest.raises(SpecError, match=r"expects batches \[B, 3, 50\] \(I, II, V1\), got"):
        ToSignal(SPEC)(torch.zeros(shape, dtype=torch.int16), torch.ones(4, shape[-2]), *bounds)


def test_a_contract_without_length_takes_any() -> None:
    bounds = torch.zeros(4, dtype=torch.int64), torch.full((4,), 7)
    samples = torch.ones(4, 3, 7, dtype=torch.int16)
    signal, mask = ToSignal(replace(SPEC, length=None))(samples, torch.ones(4, 3), *bounds)
    assert signal.shape == (4, 3, 7)
    assert mask.all()


def test_has_no_state_to_save() -> None:
    assert ToSignal(SPEC).state_dict() == {}


@pytest.mark.gpu
@pytest.mark.parametrize("kind", get_args(Normalisation))
def test_gpu_agrees_with_the_cpu(kind: Normalisation) -> None:
    samples, scale = packed()
    arguments = (samples, scale, torch.tensor([0, 10, 0, 5]), torch.tensor([50, 50, 20, 5]))
    to_signal = ToSignal(replace(SPEC, normalisation=kind))
    expected, mask = to_signal(*arguments)
    signal, gpu_mask = to_signal.cuda()(*(argument.cuda() for argument in arguments))
    torch.testing.assert_close(signal.cpu(), expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(gpu_mask.cpu(), mask)
