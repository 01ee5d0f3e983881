from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from pahcl.errors import SpecError, UsageError
from pahcl.signals import Normalisation, normalise
from pahcl.signals.normalisation import normalise_

KINDS: tuple[Normalisation, ...] = get_args(Normalisation)
SCALERS = {"zscore_lead": StandardScaler, "robust": RobustScaler, "minmax": MinMaxScaler}


def batch(length: int = 201, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(3, 2, length, generator=generator)
    return noise * torch.tensor([1.0, 0.02])[:, None] + torch.tensor([5.0, -0.3])[:, None]


@pytest.mark.parametrize("kind", list(SCALERS))
def test_agrees_with_sklearn(kind: Normalisation) -> None:
    signal = batch()
    ours = normalise(signal, None, kind)
    for record, normalised in zip(signal, ours, strict=True):
        expected = SCALERS[kind]().fit_transform(record.double().numpy().T).T
        np.testing.assert_allclose(normalised.numpy(), expected, atol=2e-4)


def test_zscore_record_keeps_relative_size() -> None:
    signal = batch()
    ours = normalise(signal, None, "zscore_record")
    mean = signal.double().mean((1, 2), keepdim=True)
    std = signal.double().std((1, 2), correction=0, keepdim=True)
    torch.testing.assert_close(ours, ((signal - mean) / std).float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_masked_samples_neither_count_nor_change(kind: Normalisation) -> None:
    length, bounds = 300, [(0, 300), (40, 250), (0, 1), (299, 300), (0, 0), (100, 103)]
    signal = torch.full((len(bounds), 2, length), torch.nan)
    mask = torch.zeros(len(bounds), length, dtype=torch.bool)
    for row, (start, stop) in enumerate(bounds):
        signal[row, :, start:stop] = batch(stop - start, row)[0]
        mask[row, start:stop] = True
    ours = normalise(signal, mask, kind)
    assert ours.isfinite().all()
    assert (ours[~mask[:, None].expand_as(ours)] == 0).all()
    for row, (start, stop) in enumerate(bounds):
        alone = normalise(signal[row : row + 1, :, start:stop], None, kind)
        torch.testing.assert_close(ours[row, :, start:stop], alone[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "none"])
@pytest.mark.parametrize("value", [0.0, 3.3, -1e-5, 700.1, 1e6])
@pytest.mark.parametrize("masked", [False, True])
def test_a_constant_lead_becomes_zero(kind: Normalisation, value: float, masked: bool) -> None:
    signal = torch.full((2, 1 if kind == "zscore_record" else 2, 4097), value)
    if kind != "zscore_record":
        signal[:, 1] += torch.randn(4097) * (abs(value) or 1.0)
    mask = torch.ones(2, 4097, dtype=torch.bool)
    mask[:, :100] = False
    ours = normalise(signal, mask if masked else None, kind)
    assert ours.isfinite().all()
    assert (ours[:, 0] == 0).all()
    if kind != "zscore_record":
        assert ours[:, 1].abs().max() > 0.1


@pytest.mark.parametrize("kind", ["zscore_lead", "zscore_record", "robust", "minmax"])
@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e9])
def test_unit_and_offset_do_not_matter(kind: Normalisation, factor: float) -> None:
    signal = batch() - 2.0
    torch.testing.assert_close(
        normalise(signal * factor, None, kind),
        normalise(signal, None, kind),
        atol=1e-4,
        rtol=1e-4,
    )


def test_one_step_of_the_converter_on_a_large_offset_is_signal() -> None:
    signal = torch.full((1, 1, 1000), 32767.0)
    signal[..., ::2] -= 1.0
    assert normalise(signal, None, "zscore_lead").std(correction=0) == pytest.approx(1.0, abs=0.01)


def test_robust_without_a_quartile_range_falls_back_to_the_deviation() -> None:
    signal = torch.zeros(1, 1, 100)
    signal[..., ::10] = 2.0
    ours = normalise(signal, None, "robust")
    torch.testing.assert_close(ours, signal / (4.0 * 0.1) ** 0.5)


def test_robust_takes_batches_beyond_sixteen_million_samples() -> None:
    signal = torch.arange(1000.0).repeat(17, 1000, 1)
    assert signal.numel() > 2**24
    ours = normalise(signal, None, "robust")
    torch.testing.assert_close(ours[16, 999], (torch.arange(1000.0) - 499.5) / 499.5)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_under_autocast_and_from_half(kind: Normalisation) -> None:
    signal = batch()
    expected = normalise(signal, None, kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(normalise(signal, None, kind), expected)
    assert normalise(signal.bfloat16(), None, kind).dtype == torch.float32
    assert normalise(signal.double(), None, kind).dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masked", [False, True])
def test_input_is_left_alone_and_gradient_is_right(kind: Normalisation, masked: bool) -> None:
    signal = batch(9)
    mask = torch.ones(3, 9, dtype=torch.bool)
    mask[:, 7:] = False
    given = mask if masked else None
    kept = signal.clone()
    normalise(signal, given, kind)
    torch.testing.assert_close(signal, kept, rtol=0, atol=0)
    weight = torch.randn(3, 2, 9)
    leaf = signal.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((normalise(leaf, given, kind) * weight).sum(), leaf)
    step = torch.zeros_like(signal)
    step[1, 0, 3] = 1e-3
    ahead = (normalise(signal + step, given, kind) * weight).sum()
    behind = (normalise(signal - step, given, kind) * weight).sum()
    assert float(gradient[1, 0, 3]) == pytest.approx(float(ahead - behind) / 2e-3, abs=2e-2)


def test_in_place_version_agrees() -> None:
    signal = batch()
    for kind in KINDS:
        expected = normalise(signal, None, kind)
        torch.testing.assert_close(normalise_(signal.clone(), None, kind), expected)


def test_bad_input_is_refused() -> None:
    with pytest.raises(UsageError, match="no normalisation 'l2'"):
        normalise(batch(), None, "l2")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"\[B, C, L\]"):
        normalise(batch()[0], None, "none")
    with pytest.raises(SpecError, match=r"\(3, 2\)"):
        normalise(batch(), torch.ones(3, 2, dtype=torch.bool), "none")


@pytest.mark.parametrize("kind", KINDS)
def test_empty_batch(kind: Normalisation) -> None:
    assert normalise(torch.empty(0, 2, 10), None, kind).shape == (0, 2, 10)
