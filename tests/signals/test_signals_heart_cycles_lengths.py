"""Cycles of one length: padded as the original does, resampled, and phase by phase."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pahcl.errors import SpecError, UsageError
from pahcl.signals.heart_cycles import lengths
from pahcl.signals.heart_cycles.interpolation import HALF_WIDTHS, Kernel, interpolate
from pahcl.signals.heart_cycles.lengths import SHARES, LengthMode, fit_length, phase_edges
from pahcl.signals.heart_cycles.parts import split_parts

NAN = float("nan")


def block(*rows: tuple[float, ...], length: int = 1200, leads: int = 1) -> tuple[Tensor, Tensor]:
    noise = torch.randn(len(rows), leads, length, generator=torch.Generator().manual_seed(3))
    return noise, torch.tensor(rows)


def one_by_one(
    signal: npt.NDArray[np.float64], positions: npt.NDArray[np.float64], step: float, kernel: Kernel
) -> npt.NDArray[np.float64]:
    """Give the formula of the interpolation, sample by sample."""
    half, width = HALF_WIDTHS[kernel], max(step, 1.0)
    found = []
    for position in positions:
        x = (np.arange(len(signal)) - position) / width
        weight = np.sinc(x) * (1 - (x / half) ** 2) ** 2 if kernel == "sinc" else 1 - np.abs(x)
        weight = np.where(np.abs(x) < half, weight, 0.0)
        found.append((weight * signal).sum() / weight.sum())
    return np.array(found)


@pytest.mark.parametrize("length", [300, 301, 640, 641, 800])
def test_pad_is_the_centre_of_longer_and_zeros_around_shorter_cycles(length: int) -> None:
    signal, bounds = block((10, NAN, NAN, NAN, 650), (100.4, 200, 300, 400, 601.2), leads=2)
    fitted = fit_length(signal, None, bounds, length)
    for row, (begin, stop) in enumerate([(10, 650), (100, 601)]):
        cycle = signal[row, :, begin:stop].numpy()
        missing = length - cycle.shape[1]
        if missing >= 0:
            left = missing // 2
            expected = np.pad(cycle, ((0, 0), (left, missing - left)))
            real = (np.arange(length) >= left) & (np.arange(length) < left + cycle.shape[1])
        else:
            left = -(-missing // 2)
            expected = cycle[:, -missing // 2 :][:, :length]
            real = np.ones(length, dtype=bool)
        np.testing.assert_array_equal(fitted.signal[row].numpy(), expected)
        np.testing.assert_array_equal(fitted.mask[row].numpy(), real)
        moved = fitted.bounds[row, 0] - float(bounds[row, 0])
        assert moved == pytest.approx(left - begin, abs=1e-3)


def test_pad_shows_nothing_beyond_the_recording() -> None:
    signal, bounds = block((-5, NAN, NAN, NAN, 95), (1150, NAN, NAN, NAN, 1250))
    real = torch.ones(2, 1200, dtype=torch.bool)
    real[1, 1180:] = False
    fitted = fit_length(signal, real, bounds, 100)
    assert fitted.mask.sum(1).tolist() == [95, 30]
    assert not fitted.mask[0, :5].any()
    assert not fitted.signal[~fitted.mask.unsqueeze(1)].any()


@pytest.mark.parametrize("kernel", ["sinc", "linear"])
@pytest.mark.parametrize("length", [200, 640, 900])
def test_resample_is_the_formula_cycle_by_cycle(kernel: Kernel, length: int) -> None:
    signal, bounds = block((30, NAN, NAN, NAN, 670), (200.25, 290, 480, 555, 955.75))
    fitted = fit_length(signal, None, bounds, length, "resample", kernel=kernel)
    assert fitted.mask.all()
    assert fitted.signal.dtype == torch.float32
    for row in range(2):
        start, end = float(bounds[row, 0]), float(bounds[row, 4])
        step = (end - start) / length
        expected = one_by_one(
            signal[row, 0].double().numpy(), start + np.arange(length) * step, step, kernel
        )
        np.testing.assert_allclose(fitted.signal[row, 0].numpy(), expected, atol=3e-4)
    assert fitted.bounds[1, 0] == 0
    assert fitted.bounds[1, 4] == pytest.approx(length, abs=1e-3)


def test_resample_to_its_own_length_is_the_cycle_itself() -> None:
    signal, bounds = block((300, NAN, NAN, NAN, 800))
    fitted = fit_length(signal, None, bounds, 500, "resample")
    torch.testing.assert_close(fitted.signal[0], signal[0, :, 300:800], atol=1e-5, rtol=0)


def test_resample_agrees_with_a_polyphase_filter_and_with_the_true_sine() -> None:
    time = np.arange(4000) / 4000
    tone = np.sin(2 * np.pi * 60 * time) + 0.5 * np.sin(2 * np.pi * 111 * time)
    signal = torch.from_numpy(tone.astype(np.float32))[None, None]
    bounds = torch.tensor([[800.0, NAN, NAN, NAN, 3200.0]])
    fitted = fit_length(signal, None, bounds, 600, "resample").signal[0, 0].numpy()
    np.testing.assert_allclose(fitted, tone[800:3200:4], atol=2e-3)
    np.testing.assert_allclose(fitted, scipy.signal.resample_poly(tone, 1, 4)[200:800], atol=5e-3)


@pytest.mark.parametrize(("kernel", "rest"), [("sinc", 0.01), ("linear", 0.15)])
def test_shortening_folds_nothing_back(kernel: Kernel, rest: float) -> None:
    time = torch.arange(4000) / 4000
    tone = torch.sin(2 * torch.pi * 900 * time)[None, None]  # beyond 500 Hz, half the new rate
    bounds = torch.tensor([[500.0, NAN, NAN, NAN, 3500.0]])
    folded = fit_length(tone, None, bounds, 750, "resample", kernel=kernel)
    assert float(folded.signal.abs().max()) < rest


def test_a_constant_stays_itself_up_to_the_edges() -> None:
    signal = torch.full((1, 1, 640), 3.0)
    bounds = torch.tensor([[0.0, 100.0, 260.0, 350.0, 640.0]])
    for mode in ("resample", "phase"):
        fitted = fit_length(signal, None, bounds, 500, mode)
        torch.testing.assert_close(fitted.signal, torch.full((1, 1, 500), 3.0))


def test_equal_positions_are_equal_phases() -> None:
    edges = torch.tensor([[20.0, 140.0, 340.0, 430.0, 900.0], [100.0, 200.0, 350.0, 440.0, 620.0]])
    time = torch.arange(1000.0)
    phase = torch.stack(
        [torch.from_numpy(np.interp(time, row, [0, 1, 2, 3, 4])) for row in edges.numpy()]
    )
    fitted = fit_length(phase.unsqueeze(1), None, edges, 800, "phase")
    target = phase_edges(800)
    assert target == (0, 120, 320, 416, 800)
    assert not fitted.fallback.any()
    assert fitted.bounds.tolist() == [list(map(float, target))] * 2
    expected = np.interp(np.arange(800), target, [0, 1, 2, 3, 4])
    corner = np.abs(np.arange(800)[:, None] - np.array(target)).min(axis=1) < 16
    for row in fitted.signal[:, 0].numpy():
        np.testing.assert_allclose(row[~corner], expected[~corner], atol=5e-3)


def test_phase_is_the_formula_state_by_state() -> None:
    signal, bounds = block((20, 140, 340, 430, 900))
    fitted = fit_length(signal, None, bounds, 400, "phase", shares=(1, 1, 1, 1), kernel="linear")
    held = bounds[0].numpy()
    for state in range(4):
        step = float(held[state + 1] - held[state]) / 100
        expected = one_by_one(
            signal[0, 0].double().numpy(), held[state] + np.arange(100) * step, step, "linear"
        )
        part = fitted.signal[0, 0, state * 100 : state * 100 + 100].numpy()
        np.testing.assert_allclose(part, expected, atol=2e-4)


def test_a_cycle_of_unknown_states_is_resampled_and_said_so() -> None:
    signal, bounds = block(
        (20, 140, 340, 430, 900), (20, NAN, 340, NAN, 900), (20, 140, 140.2, 430, 900)
    )
    fitted = fit_length(signal, None, bounds, 500, "phase")
    assert fitted.fallback.tolist() == [False, True, True]
    plain = fit_length(signal, None, bounds, 500, "resample")
    torch.testing.assert_close(fitted.signal[1:], plain.signal[1:])
    assert fitted.bounds[1].isnan().tolist() == [False, True, False, True, False]


@pytest.mark.parametrize("mode", ["pad", "resample", "phase"])
@settings(max_examples=15, deadline=None)
@given(shown=st.integers(40, 400), length=st.integers(20, 500))
def test_a_cycle_depends_on_nothing_else_in_its_batch(
    mode: LengthMode, shown: int, length: int
) -> None:
    signal, bounds = block((40, 60, 80, 100, 40 + shown), (0, 300, 500, 800, 1200))
    both = fit_length(signal, None, bounds, length, mode)
    alone = fit_length(signal[:1], None, bounds[:1], length, mode)
    torch.testing.assert_close(both.signal[:1], alone.signal, atol=1e-5, rtol=0)
    assert both.mask[:1].equal(alone.mask)


@pytest.mark.parametrize("mode", ["pad", "resample", "phase"])
def test_gradients_flow(mode: LengthMode) -> None:
    signal, bounds = block((5, 20, 45, 60, 100), length=110)
    signal = signal.double().requires_grad_()
    fit_length(signal, None, bounds, 50, mode).signal.square().sum().backward()
    assert signal.grad is not None
    assert signal.grad.isfinite().all()
    assert signal.grad[0, 0, 40:60].abs().min() > 0
    if mode == "pad":
        assert not signal.grad[0, 0, :5].any()


ANY = (
    (100.2, 220.0, 400.0, 500.0, 900.7),
    (50.0, NAN, NAN, NAN, 1110.0),
    (60.0, 70.0, 75.0, 700.0, 801.0),
)


@pytest.mark.parametrize("mode", ["pad", "resample", "phase"])
@pytest.mark.parametrize("kernel", ["sinc", "linear"])
def test_bounds_on_the_cpu_spare_asking_the_device(
    mode: LengthMode, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal, bounds = block(*ANY)
    fitted = fit_length(signal, None, bounds, 300, mode, kernel=kernel)
    fit_length(signal.to("meta"), None, bounds, 300, mode, kernel=kernel)  # has no values to ask
    if mode != "pad":
        with pytest.raises(RuntimeError, match="meta"):
            fit_length(signal.to("meta"), None, bounds.to("meta"), 300, mode, kernel=kernel)
    monkeypatch.setattr(lengths, "_widest", lambda bounds, edges: None)
    asked = fit_length(signal, None, bounds, 300, mode, kernel=kernel)
    assert torch.equal(asked.signal, fitted.signal)


def test_parts_by_state_do_not_ask_the_device() -> None:
    signal, bounds = block(*ANY)
    for count in (2, 4, 6, 8):
        split_parts(signal.to("meta"), None, bounds.to("meta"), count, "state")
        step = signal.shape[2] / (signal.shape[2] // count)
        positions = torch.linspace(-5, 1205, 400).expand(3, -1)
        steps = torch.tensor([[0.5], [2.0], [1.3]]).expand(-1, 400)
        real = torch.ones(3, 1200, dtype=torch.bool)
        exact, _ = interpolate(signal, real, positions, steps)
        bound, _ = interpolate(signal, real, positions, steps, widest=max(step, 2.0))
        torch.testing.assert_close(bound, exact)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["pad", "resample", "phase"])
def test_a_gpu_gives_the_same(mode: LengthMode) -> None:
    signal, bounds = block((40, 160, 300, 390, 700), (0, NAN, NAN, NAN, 1200))
    here = fit_length(signal, None, bounds, 800, mode)
    there = fit_length(signal.cuda(), None, bounds.cuda(), 800, mode)
    torch.testing.assert_close(there.signal.cpu(), here.signal, atol=1e-4, rtol=0)
    assert there.mask.cpu().equal(here.mask)


def test_what_cannot_be_is_refused() -> None:
    signal, bounds = block((5, 20, 45, 60, 100))
    with pytest.raises(UsageError, match="no length 'squeeze'"):
        fit_length(signal, None, bounds, 10, "squeeze")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(SpecError, match=r"\(1, 2\)"):
        fit_length(signal, None, bounds[:, :2], 10)
    with pytest.raises(UsageError, match="four positive shares"):
        phase_edges(100, (1, 2, 3))
    with pytest.raises(UsageError, match="too few"):
        phase_edges(4, SHARES)
