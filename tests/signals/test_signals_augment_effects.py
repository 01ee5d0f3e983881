"""What augmentations do to signals, measured against closed forms, scipy and simulated hearts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import torch
from augmenting import FS, noise, peak, power, seeds, stretches, tone
from torch import Tensor

from pahcl.signals.augment import (
    AmplitudeScale,
    Augmentation,
    ColouredNoise,
    Compose,
    FrequencyMask,
    GaussianNoise,
    HighPass,
    LowPass,
    PartWise,
    PitchShift,
    RandomCrop,
    Reverse,
    TimeMask,
    TimeShift,
    TimeStretch,
    preset,
)
from pahcl.simulation.heart_sound import Heart, Scene, simulate

BATCH = 500


def ramp(length: int = 400, batch: int = BATCH) -> Tensor:
    """Number the samples from 1: what is read tells where it stood."""
    return torch.arange(1.0, length + 1).expand(batch, 1, -1)


def test_shifts_are_uniform_whole_and_lose_nothing() -> None:
    got, mask = TimeShift(p=1.0)(ramp(), FS, None, seeds(BATCH))
    shift = (got[:, 0] == 1).int().argmax(dim=1)
    shift = shift - 400 * (shift > 200)
    assert mask.all()
    assert shift.abs().max() <= 40
    assert len(shift.unique()) > 75, "of 81"
    assert abs(shift.float().mean()) < 4.5 * 23.4 / BATCH**0.5
    rolled = torch.stack([row.roll(int(by)) for row, by in zip(ramp()[:, 0], shift, strict=True)])
    assert torch.equal(got[:, 0], rolled)


def test_shifts_of_padded_records_stay_within_the_signal_or_move_into_the_padding() -> None:
    mask = stretches(BATCH, 400)
    signal = ramp().where(mask[:, None], 0.0)
    got, there = TimeShift(p=1.0)(signal, FS, mask, seeds(BATCH))
    assert torch.equal(there, mask)
    assert torch.equal(got.sort(dim=2).values, signal.sort(dim=2).values)
    got, there = TimeShift(p=1.0, wrap=False)(signal, FS, mask, seeds(BATCH))
    step = torch.diff(got[:, 0], dim=1)
    assert torch.equal(there, got[:, 0] > 0)
    assert (step[there[:, 1:] & there[:, :-1]] == 1).all()
    kept = there.sum(1) / mask.sum(1).clamp_min(1)
    assert kept[mask.any(1)].min() >= 0.89


@pytest.mark.parametrize("frequency", [20.0, 80.0, 200.0, 300.0])
@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_a_stretched_tone_is_the_tone_of_another_pitch(frequency: float, speed: float) -> None:
    signal = tone(frequency)
    got, mask = TimeStretch(p=1.0, speed=(speed, speed))(signal, FS, None, seeds(1))
    kept = int(mask.sum())
    assert kept == (2000 if speed < 1 else int(1999 / speed) + 1)
    hidden = max(0, int(1999 / speed) + 1 - 2000) // 2  # the centre is shown
    place = (torch.arange(kept, dtype=torch.float64) + hidden) * speed / FS
    expected = torch.sin(2 * np.pi * frequency * place)
    error = (got[0, 0, :kept] - expected)[10:-10].abs().max()
    assert error < (0.01 if frequency <= 200 else 0.015)


def test_speeds_are_uniform_and_seen_in_the_time_between_clicks() -> None:
    signal = torch.zeros(BATCH, 1, 1000)
    signal[..., [300, 700]] = 1.0
    got, mask = TimeStretch(p=1.0)(signal, FS, None, seeds(BATCH))
    between = got[:, 0, 500:].argmax(1) + 500 - got[:, 0, :500].argmax(1)
    speed = 400 / between
    assert speed.min() >= 0.897
    assert speed.max() <= 1.103
    assert abs(speed.mean() - 1) < 0.01
    assert abs(speed.std() - 0.2 / 12**0.5) < 0.005
    faster = mask.float().mean(1) < 1
    torch.testing.assert_close(mask.float().mean(1)[faster], 1 / speed[faster], atol=0.004, rtol=0)


def test_stretched_padding_moves_with_the_record() -> None:
    mask = torch.arange(400).expand(6, -1) < 200
    got, there = TimeStretch(p=1.0, speed=(0.5, 0.5))(ramp(batch=6), FS, mask, seeds(6))
    assert there[:, :399].all()
    assert not there[:, 399:].any()
    assert got[0, 0, 398] == pytest.approx(200, abs=1e-3)
    middle = ((torch.arange(400) >= 100) & (torch.arange(400) < 300)).expand(6, -1)
    got, there = TimeStretch(p=1.0, speed=(2.0, 2.0))(ramp(batch=6), FS, middle, seeds(6))
    assert there.sum(1).tolist() == [100] * 6
    assert got[0, 0, 100:103].tolist() == pytest.approx([101, 103, 105], abs=1e-3)
    assert got[0, 0, 100] == pytest.approx(101, abs=0.05), "the value at the end is held, not 0"


def test_time_masks_have_all_widths_up_to_30_ms_anywhere() -> None:
    signal, mask = torch.ones(BATCH, 1, 1000), stretches(BATCH, 1000)
    got, _ = TimeMask(p=1.0, masks=1)(signal, FS, mask, seeds(BATCH))
    silent = (got[:, 0] == 0) & mask
    silent = silent[mask.any(1)]
    width = silent.sum(1)
    assert width.min() == 1
    assert width.max() == 30
    assert torch.bincount(width)[1:].min() > 2
    runs = (
        torch.diff(silent.int(), dim=1, prepend=silent.new_zeros(len(silent), 1).int()) == 1
    ).sum(1)
    assert (runs == 1).all()
    centre = (silent * torch.arange(1000)).sum(1) / width
    assert centre.min() < 60
    assert centre.max() > 940


def test_crops_keep_one_piece_where_it_lies() -> None:
    got, mask = RandomCrop(p=1.0)(ramp(), FS, None, seeds(BATCH))
    share = mask.float().mean(1)
    assert share.min() >= 0.8
    assert share.max() <= 1.0
    assert share.std() > 0.05
    assert torch.equal(got, torch.where(mask[:, None], ramp(), 0.0))
    assert (torch.diff(mask.int(), dim=1) == 1).sum(1).max() <= 1


def test_reversed_twice_is_the_record() -> None:
    signal, mask = noise(20, 3, 200), stretches(20, 200)
    clean = signal.where(mask[:, None], 0.0)
    once, there = Reverse(p=1.0)(signal, FS, mask, seeds(20))
    assert torch.equal(there, mask)
    first, last = int(mask[1].int().argmax()), 199 - int(mask[1].flip(0).int().argmax())
    assert torch.equal(once[1, :, first : last + 1], clean[1, :, first : last + 1].flip(1))
    assert torch.equal(Reverse(p=1.0)(once, FS, there, seeds(20))[0], clean)


@pytest.mark.parametrize(
    "kind", [GaussianNoise(p=1.0, snr=(15.0, 15.0)), ColouredNoise(p=1.0, snr=(15.0, 15.0))]
)
def test_noise_is_as_loud_as_its_ratio_says_whatever_the_record(kind: Augmentation) -> None:
    mask = torch.arange(4000).expand(60, -1) < 3000
    loud = torch.logspace(-3, 3, 60)[:, None, None]
    signal = noise(60, 2, 4000).where(mask[:, None], 0.0) * loud
    signal[:, 1] *= 100
    added = kind(signal, FS, mask, seeds(60))[0] - signal
    ratio = 10 * torch.log10(signal.double().square().sum(2) / added.double().square().sum(2))
    assert abs(ratio.mean() - 15) < 0.15
    assert (ratio - 15).abs().max() < 2.5
    one, other = added[:, 0] / loud[:, 0], added[:, 1] / loud[:, 0] / 100
    assert abs(float((one * other).mean() / one.std() / other.std())) < 0.02, (
        "leads are independent"
    )


def test_coloured_noise_lies_within_the_band() -> None:
    signal = noise(50, 1, 4000)
    added = ColouredNoise(p=1.0)(signal, 2000.0, None, seeds(50))[0] - signal
    spectrum = torch.fft.rfft(added).abs().square().mean(dim=(0, 1))
    frequency = torch.fft.rfftfreq(4000, 1 / 2000.0)
    inside = (frequency >= 25) & (frequency <= 400)
    assert spectrum[~inside].sum() < 1e-6 * spectrum.sum()


def test_frequency_masks_lie_within_the_band_at_every_rate() -> None:
    for fs, size in ((500.0, 1000), (1000.0, 2000), (4000.0, 4000)):
        got, _ = FrequencyMask(p=1.0)(noise(BATCH, 1, size), fs, None, seeds(BATCH))
        gone = torch.fft.rfft(got[:, 0]).abs() < 1e-3
        frequency = torch.fft.rfftfreq(size, 1 / fs)
        band = (25.0, min(400.0, fs / 2))
        assert gone.any(dim=1).all(), "each draw takes something"
        assert not gone[:, (frequency < band[0]) | (frequency > band[1])].any()
        width = gone.sum(1) * fs / size
        assert width.max() <= 0.15 * (band[1] - band[0]) + fs / size
        assert gone[:, (frequency > 30) & (frequency < band[1] - 10)].any(dim=0).all()


@pytest.mark.parametrize(("kind", "name"), [(LowPass, "lowpass"), (HighPass, "highpass")])
@pytest.mark.parametrize("order", [2, 4])
def test_filters_are_those_of_scipy_forward_and_backward(
    kind: type[LowPass] | type[HighPass], name: str, order: int
) -> None:
    signal, cutoff = noise(4, 2, 1500), 60.0
    got, _ = kind(p=1.0, cutoff=(cutoff, cutoff), order=order)(signal, FS, None, seeds(4))
    sos = scipy.signal.butter(order, cutoff, name, fs=FS, output="sos")
    expected = scipy.signal.sosfiltfilt(sos, signal.double().numpy(), padlen=1000)
    np.testing.assert_allclose(got.numpy(), expected, atol=3e-3)
    inner = got.numpy()[..., 200:-200] - expected[..., 200:-200]
    assert np.abs(inner).max() < 1e-4


@pytest.mark.parametrize("fs", [1000.0, 4000.0])
@pytest.mark.parametrize("semitones", [-12.0, -2.0, -0.5, 1.0, 2.0, 5.0])
def test_the_pitch_is_what_was_asked_for(fs: float, semitones: float) -> None:
    shift = PitchShift(p=1.0, semitones=(semitones, semitones))
    for frequency in (50.0, 120.0, 220.0):
        signal = tone(frequency, fs=fs)
        got, _ = shift(signal, fs, None, seeds(1))
        assert float(peak(got, fs)) == pytest.approx(frequency * 2 ** (semitones / 12), rel=0.003)
        assert power(got) == pytest.approx(power(signal), rel=1e-3)


def test_pitches_are_drawn_within_two_semitones() -> None:
    got, _ = PitchShift(p=1.0)(tone(100.0, batch=60, seconds=1.0), FS, None, seeds(60))
    semitones = 12 * torch.log2(peak(got) / 100.0)
    assert semitones.abs().max() < 2.05
    assert 0.9 < semitones.std() < 1.4


@pytest.mark.parametrize("semitones", [-2.0, 2.0])
def test_heart_sounds_are_shifted_as_far_as_tones(semitones: float) -> None:
    scene = Scene(fs=1000.0, duration=4.0)
    clean = [simulate(Heart(), scene, seed=(number,)).clean for number in range(8)]
    signal = torch.from_numpy(np.asarray(clean, dtype=np.float32))[:, None]
    shift = PitchShift(p=1.0, semitones=(semitones, semitones))
    before, after = (
        _energy_quartiles(one[:, 0].numpy(), scene.fs)
        for one in (signal, shift(signal, scene.fs, None, seeds(8))[0])
    )
    moved = 12 * np.median(np.log2(after / before))
    assert moved == pytest.approx(semitones, abs=0.5)


def _energy_quartiles(signal: npt.NDArray[np.float32], fs: float) -> npt.NDArray[np.float64]:
    frequency, power = scipy.signal.welch(signal, fs, nperseg=400, nfft=4000)
    share = np.cumsum(power, axis=1) / power.sum(axis=1, keepdims=True)
    return np.array([np.interp((0.25, 0.5, 0.75), one, frequency) for one in share])


def test_pitch_of_a_heart_changes_and_its_beats_stay_where_they_are() -> None:
    sound, fs = simulate(Heart(), Scene(fs=1000.0, duration=8.0), seed=(3,)), 1000.0
    signal = torch.from_numpy(np.asarray(sound.clean, dtype=np.float32))[None, None]
    got, _ = PitchShift(p=1.0, semitones=(2.0, 2.0))(signal, fs, None, seeds(1))
    envelope = [
        scipy.signal.sosfiltfilt(
            scipy.signal.butter(2, 10.0, fs=fs, output="sos"), np.abs(one[0, 0].numpy())
        )
        for one in (signal, got)
    ]
    lag = np.argmax(scipy.signal.correlate(*envelope)) - (len(envelope[0]) - 1)
    assert abs(lag) / fs <= 0.01
    assert np.corrcoef(*envelope)[0, 1] > 0.9
    centroid = [_centroid(one, fs) for one in (signal, got)]
    assert centroid[1] / centroid[0] == pytest.approx(2 ** (2 / 12), rel=0.05)


def _centroid(signal: Tensor, fs: float) -> float:
    spectrum = torch.fft.rfft(signal[0, 0]).abs().square()
    frequency = torch.fft.rfftfreq(signal.shape[-1], 1 / fs)
    return float((spectrum * frequency).sum() / spectrum.sum())


def test_parts_are_changed_where_they_lie() -> None:
    mask = stretches(40, 403)
    signal = noise(40, 2, 403).where(mask[:, None], 0.0)
    for parts in (1, 2, 6):
        nothing = PartWise(augmentation=Compose(), parts=parts)(signal, FS, mask, seeds(40))
        assert torch.equal(nothing[0], signal)
        assert torch.equal(nothing[1], mask)
    got, there = PartWise(augmentation=Reverse(p=1.0), parts=2)(signal[:1], FS, mask[:1], seeds(1))
    assert there.all()
    halves = [signal[:1, :, :201].flip(2), signal[:1, :, 201:].flip(2)]
    assert torch.equal(got, torch.cat(halves, dim=2))


def test_presets_are_those_of_the_original() -> None:
    facts = [(type(one).__name__, one.p) for one in preset("pretrain").augmentations]  # type: ignore[attr-defined]
    assert facts == [
        ("TimeShift", 0.8),
        ("TimeStretch", 0.5),
        ("AmplitudeScale", 0.8),
        ("GaussianNoise", 0.5),
        ("TimeMask", 0.5),
        ("FrequencyMask", 0.3),
    ]
    light = (
        TimeShift(p=0.5, max_share=0.05),
        AmplitudeScale(p=0.5, factor=(0.9, 1.1)),
        GaussianNoise(p=0.3, snr=(25.0, 40.0)),
    )
    assert preset("finetune").augmentations == light
    signal = noise(5, 1, 50)
    assert torch.equal(preset("none")(signal, FS)[0], signal)
    ecg = preset("pretrain", band=(0.5, 40.0)).augmentations[-1]
    assert ecg == FrequencyMask(p=0.3, band=(0.5, 40.0))


def test_electrocardiograms_keep_their_leads_together() -> None:
    limb = noise(8, 2, 2500)
    signal = torch.cat([limb, limb[:, 1:] - limb[:, :1]], dim=1)
    own = (TimeShift, TimeStretch, AmplitudeScale, TimeMask, RandomCrop, Reverse, FrequencyMask)
    whole = Compose(augmentations=tuple(kind(p=1.0) for kind in own))
    got, _ = whole(signal, 500.0, None, seeds(8))
    torch.testing.assert_close(got[:, 2], got[:, 1] - got[:, 0], atol=1e-5, rtol=1e-5)
