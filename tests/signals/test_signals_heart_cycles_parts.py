"""Sub-structures: the original's equal parts, overlapping ones, and parts by state."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pahcl.errors import SpecError, UsageError
from pahcl.signals.heart_cycles.lengths import fit_length
from pahcl.signals.heart_cycles.parts import STATE_PARTS, split_parts

NAN = float("nan")


@pytest.mark.parametrize("length", [800, 803])
@pytest.mark.parametrize("count", [2, 4, 6, 8])
def test_equal_parts_are_the_original_ones(count: int, length: int) -> None:
    signal = torch.randn(3, 2, length)
    real = torch.rand(3, length) > 0.1
    parts = split_parts(signal * real.unsqueeze(1), real, None, count)
    assert parts.signal.shape == (3, count, 2, -(-length // count))
    for i in range(count):
        first, stop = i * length // count, (i + 1) * length // count
        np.testing.assert_array_equal(
            parts.signal[:, i, :, : stop - first], (signal * real.unsqueeze(1))[:, :, first:stop]
        )
        np.testing.assert_array_equal(parts.mask[:, i, : stop - first], real[:, first:stop])
        assert not parts.mask[:, i, stop - first :].any()
    assert not parts.signal[~parts.mask.unsqueeze(2).expand_as(parts.signal)].any()


@pytest.mark.parametrize("count", [2, 4, 8])
def test_overlapping_parts_reach_a_quarter_of_a_part_to_each_side(count: int) -> None:
    signal = torch.randn(2, 1, 800)
    parts = split_parts(signal, None, None, count, "overlapping")
    size, more = 800 // count, 200 // count
    assert parts.signal.shape == (2, count, 1, size + 2 * more)
    for i in range(count):
        first, stop = max(i * size - more, 0), min((i + 1) * size + more, 800)
        for row in range(2):
            shown = parts.signal[row, i, 0][parts.mask[row, i]]
            torch.testing.assert_close(shown, signal[row, 0, first:stop])


@pytest.mark.parametrize("count", [2, 4, 6, 8])
def test_parts_by_state_hold_their_state_alone(count: int) -> None:
    edges = [100.0, 220.0, 400.0, 490.0, 900.0]
    phase = torch.from_numpy(np.interp(np.arange(1000), edges, [0, 1, 2, 3, 4]))[None, None]
    bounds = torch.tensor([edges])
    parts = split_parts(phase, None, bounds, count, "state", kernel="linear")
    assert parts.signal.shape == (1, count, 1, 1000 // count)
    assert parts.mask.all()
    assert not parts.fallback.any()
    marks = STATE_PARTS[count]
    for i in range(count):
        part = parts.signal[0, i, 0]
        # What begins and ends between two marks of one state runs evenly from one to the other.
        assert float(part.min()) >= marks[i] - 0.02
        assert float(part.max()) <= marks[i + 1] + 0.02
        assert float(part[0]) == pytest.approx(marks[i], abs=0.02)


def test_parts_by_state_follow_a_cycle_through_every_length() -> None:
    edges = [100.0, 220.0, 400.0, 490.0, 900.0]
    phase = torch.from_numpy(np.interp(np.arange(1000), edges, [0, 1, 2, 3, 4]))[None, None]
    for mode in ("pad", "resample", "phase"):
        fitted = fit_length(phase, None, torch.tensor([edges]), 900, mode)
        parts = split_parts(fitted.signal, fitted.mask, fitted.bounds, 4, "state", kernel="linear")
        middles = parts.signal[0, :, 0, parts.signal.shape[3] // 2]
        np.testing.assert_allclose(middles, [0.5, 1.5, 2.5, 3.5], atol=0.02)


def test_unknown_states_give_equal_parts_and_cropped_ones_none() -> None:
    signal = torch.randn(2, 1, 400)
    bounds = torch.tensor([[0.0, NAN, NAN, NAN, 400.0], [-300.0, -150.0, 100.0, 200.0, 400.0]])
    parts = split_parts(signal, None, bounds, 4, "state")
    assert parts.fallback.tolist() == [True, False]
    torch.testing.assert_close(
        parts.signal[0], signal[0].view(1, 4, 100).transpose(0, 1), atol=1e-5, rtol=0
    )
    assert not parts.mask[1, 0].any()
    assert not parts.signal[1, 0].any()
    assert parts.mask[1, 1:].all()


@pytest.mark.parametrize("kind", ["equal", "overlapping", "state"])
def test_gradients_reach_every_sample(kind: str) -> None:
    signal = torch.randn(1, 1, 80, requires_grad=True)
    bounds = torch.tensor([[0.0, 12.0, 32.0, 42.0, 80.0]])
    parts = split_parts(signal, None, bounds, 4, kind)  # type: ignore[arg-type]  # a parameter
    parts.signal.square().sum().backward()
    assert signal.grad is not None
    assert (signal.grad.abs() > 0).all()


def test_what_cannot_be_is_refused() -> None:
    signal = torch.randn(1, 1, 80)
    with pytest.raises(UsageError, match="2, 4, 6, 8 parts by state"):
        split_parts(signal, None, torch.zeros(1, 5), 5, "state")
    with pytest.raises(UsageError, match="no parts 'thirds'"):
        split_parts(signal, None, None, 3, "thirds")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(SpecError, match="boundaries"):
        split_parts(signal, None, None, 4, "state")
    with pytest.raises(SpecError, match="cannot be cut into 100"):
        split_parts(signal, None, None, 100)
