from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch

from pahcl.errors import SpecError
from pahcl.signals import Filter, filter_batch, filter_signal
from pahcl.signals.filters import ORDER, extension_length

CASES = [
    (500.0, Filter(highpass=0.5)),
    (500.0, Filter(highpass=0.5, lowpass=40.0, notch=50.0)),
    (400.0, Filter(notch=60.0)),
    (100.0, Filter(highpass=0.67, lowpass=40.0)),
    (4000.0, Filter(highpass=25.0, lowpass=400.0)),
]


def ecg_like(length: int, fs: float, seed: int = 0) -> np.ndarray:
    """Two leads with an offset, a slow drift and noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(length) / fs
    beats = np.exp(-(((time * 1.2) % 1 - 0.5) ** 2) / 0.002)
    drift = 0.5 * np.sin(2 * np.pi * 0.15 * time) + 2.0
    return np.stack([beats + drift, -beats + drift + 0.05 * rng.normal(size=length)]).astype("f4")


def gain(filter: Filter, frequency: float, fs: float = 500.0) -> float:
    time = np.arange(int(40 * fs)) / fs
    wave = np.sin(2 * np.pi * frequency * time)
    middle = filter_signal(wave, fs, filter)[int(15 * fs) : int(25 * fs)]
    # Projection on the input: a shift of phase would lower it.
    return float(2 * np.mean(middle * wave[int(15 * fs) : int(25 * fs)]))


def test_gain_is_the_squared_magnitude_without_a_shift() -> None:
    band = Filter(highpass=0.5, lowpass=40.0, notch=50.0)
    assert gain(band, 0.5) == pytest.approx(0.5, abs=5e-3)  # half the amplitude at the cut-off
    assert gain(band, 5.0) == pytest.approx(1.0, abs=5e-3)
    assert gain(Filter(lowpass=40.0), 40.0) == pytest.approx(0.5, abs=5e-3)
    assert gain(band, 50.0) == pytest.approx(0.0, abs=1e-3)
    assert gain(Filter(notch=50.0), 45.0) == pytest.approx(1.0, abs=0.05)
    assert gain(Filter(highpass=0.5), 0.1) < 0.01


def test_agrees_with_scipy_away_from_the_ends() -> None:
    signal = ecg_like(10_000, 500.0)
    sos = scipy.signal.butter(ORDER, 0.5, "highpass", fs=500.0, output="sos")
    expected = scipy.signal.sosfiltfilt(sos, signal, padlen=9_000)
    ours = filter_signal(signal, 500.0, Filter(highpass=0.5))
    np.testing.assert_allclose(ours, expected, atol=5e-3)
    np.testing.assert_allclose(ours[:, 2000:-2000], expected[:, 2000:-2000], atol=2e-4)


def test_offset_and_drift_leave_no_ramp_at_the_ends() -> None:
    time = np.arange(5000) / 500.0
    filtered = filter_signal(3.0 + 0.2 * time, 500.0, Filter(highpass=0.5))
    assert np.abs(filtered).max() < 1e-3


@pytest.mark.parametrize("length", [1, 2, 5, 30])
def test_short_signals_are_filtered(length: int) -> None:
    signal = np.full((1, length), 2.0, np.float32)
    both = Filter(highpass=0.5, lowpass=40.0)
    np.testing.assert_allclose(filter_signal(signal, 500.0, both), 0.0, atol=1e-4)
    np.testing.assert_allclose(
        filter_signal(signal, 500.0, Filter(lowpass=40.0)), signal, atol=1e-4
    )


def test_identity_copies_nothing() -> None:
    signal = np.ones((2, 10), np.float32)
    assert filter_signal(signal, 500.0, Filter()) is signal
    batch = torch.ones(1, 2, 10)
    assert filter_batch(batch, 500.0, Filter()) is batch


@pytest.mark.parametrize(("fs", "filter"), CASES)
@pytest.mark.parametrize("length", [400, 4096])
def test_device_agrees_with_the_array_version(fs: float, filter: Filter, length: int) -> None:
    signal = ecg_like(length, fs)
    expected = filter_signal(signal, fs, filter)
    ours = filter_batch(torch.from_numpy(signal)[None], fs, filter)[0].numpy()
    # The extension ends where the slowest section has decayed to a thousandth: that share of the
    # signal's range is the tolerance, at the very ends as well.
    tolerance = 1e-3 * np.ptp(signal)
    np.testing.assert_allclose(ours, expected, atol=4 * tolerance)
    inner = slice(length // 10, -(length // 10))
    np.testing.assert_allclose(ours[:, inner], expected[:, inner], atol=tolerance)


@pytest.mark.parametrize(("fs", "filter"), CASES)
def test_mask_makes_each_record_as_if_it_were_alone(fs: float, filter: Filter) -> None:
    length = 1500
    bounds = [(0, 1500), (200, 1300), (0, 900), (1400, 1500), (700, 701), (0, 0)]
    batch = torch.full((len(bounds), 2, length), torch.nan)
    mask = torch.zeros(len(bounds), length, dtype=torch.bool)
    for row, (start, stop) in enumerate(bounds):
        batch[row, :, start:stop] = torch.from_numpy(ecg_like(stop - start, fs, row))
        mask[row, start:stop] = True
    filtered = filter_batch(batch, fs, filter, mask)
    assert (filtered[~mask[:, None].expand_as(filtered)] == 0).all()
    for row, (start, stop) in enumerate(bounds[:-1]):
        record = batch[row : row + 1, :, start:stop]
        alone = filter_batch(record, fs, filter)[0]
        together = filtered[row, :, start:stop]
        # What the circular transform carries over its seam has decayed to a thousandth.
        assert (alone - together).abs().max() < 5e-3 * max(float(record.max() - record.min()), 0.1)
        array = filter_signal(record[0].numpy(), fs, filter)
        np.testing.assert_allclose(together.numpy(), array, atol=1e-2)


def test_a_full_mask_changes_nothing() -> None:
    batch = torch.from_numpy(ecg_like(700, 100.0))[None]
    filter = Filter(highpass=0.67)
    masked = filter_batch(batch, 100.0, filter, torch.ones(1, 700, dtype=torch.bool))
    torch.testing.assert_close(masked, filter_batch(batch, 100.0, filter))


def test_device_works_in_float32_under_autocast() -> None:
    batch = torch.from_numpy(ecg_like(1000, 100.0))[None]
    filter = Filter(highpass=0.5, lowpass=40.0)
    expected = filter_batch(batch, 100.0, filter)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = filter_batch(batch, 100.0, filter)
        from_half = filter_batch(batch.bfloat16(), 100.0, filter)
    assert ours.dtype == from_half.dtype == torch.float32
    torch.testing.assert_close(ours, expected)


def test_device_version_has_a_gradient() -> None:
    batch = torch.randn(1, 1, 60, dtype=torch.float32, requires_grad=True)
    mask = torch.ones(1, 60, dtype=torch.bool)
    mask[:, 50:] = False
    energy = filter_batch(batch, 100.0, Filter(lowpass=20.0), mask).square().sum()
    (gradient,) = torch.autograd.grad(energy, batch)
    assert gradient[..., :50].abs().min() > 0
    assert (gradient[..., 50:] == 0).all()


@pytest.mark.parametrize(
    ("filter", "item"),
    [
        (Filter(lowpass=50.0), "lowpass 50"),
        (Filter(highpass=60.0), "highpass 60"),
        (Filter(notch=50.0), "notch 50"),
    ],
)
def test_cut_off_beyond_nyquist_is_refused(filter: Filter, item: str) -> None:
    with pytest.raises(SpecError, match=rf"Filter\.{item} Hz.*fs 100 Hz"):
        filter_signal(np.ones((1, 100), np.float32), 100.0, filter)
    with pytest.raises(SpecError, match=rf"Filter\.{item} Hz.*fs 100 Hz"):
        filter_batch(torch.ones(1, 1, 100), 100.0, filter)


def test_a_batch_without_lead_axis_is_refused() -> None:
    with pytest.raises(SpecError, match=r"\[B, C, L\]"):
        filter_batch(torch.ones(1, 100), 100.0, Filter(lowpass=20.0))


def test_extension_follows_the_slowest_section() -> None:
    slow = extension_length(500.0, Filter(highpass=0.5))
    assert slow == extension_length(500.0, Filter(highpass=0.5, lowpass=40.0))
    # exp(-2 pi 0.5 sin(45 degrees) t) = 1/1000
    assert slow / 500.0 == pytest.approx(np.log(1000) / (2 * np.pi * 0.5 * np.sqrt(0.5)), rel=0.01)
