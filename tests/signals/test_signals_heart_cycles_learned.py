"""The learned segmenter on simulated hearts with known states, and where there is no heart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pahcl.errors import CheckpointError
from pahcl.signals.heart_cycles import prepare
from pahcl.signals.heart_cycles.ecg_aid import r_peaks, state_prior
from pahcl.signals.heart_cycles.learned import Learned
from pahcl.signals.heart_cycles.state_network import FRAME_RATE, StateNetwork
from pahcl.signals.heart_cycles.state_weights import CARD, WEIGHTS, packed, weights_path
from pahcl.signals.states import S1, S2
from pahcl.simulation.heart_murmur import Murmur
from pahcl.simulation.heart_rhythm import Rhythm
from pahcl.simulation.heart_sound import Heart, Scene, simulate

MURMUR = Murmur(timing="holo", grade=3, origin="MV")


def sound(rate=75.0, seed=0, murmurs=(), **scene):
    heart = Heart(rhythm=Rhythm(rate=rate), murmurs=murmurs)
    return simulate(heart, Scene(**{"fs": 2000.0, "duration": 12.0, **scene}), (seed,))


def middles(states, state):
    here = states.state == state
    return (states.start[here] + states.end[here]) / 2


def share_found(found, truth, state, within=0.06):
    """Give the share of the true sounds that are found, less those that are invented."""
    mine, real = middles(found, state), middles(truth, state)
    near = np.abs(mine[:, None] - real).min(axis=0) <= within if len(mine) else np.zeros(len(real))
    return (near.sum() - max(len(mine) - len(real), 0)) / len(real)


@pytest.mark.parametrize("rate", [40, 75, 120, 180])
@pytest.mark.parametrize("murmurs", [(), (MURMUR,)], ids=["clean", "murmur"])
def test_beats_of_any_rate_are_found(rate, murmurs):
    heard = sound(rate, murmurs=murmurs)
    found = Learned()(heard.signal, heard.fs)
    assert found.refusal is None
    assert found.heart_rate == pytest.approx(rate, rel=0.05)
    assert share_found(found.states, heard.states, S1) > 0.9
    assert share_found(found.states, heard.states, S2) > 0.9
    assert found.confidence > 0.7


@pytest.mark.parametrize(
    "scene", [{}, {"speech": 0.3}, {"friction": 0.3}], ids=["steady", "speech", "friction"]
)
def test_nothing_is_invented_where_no_heart_beats(scene):
    heard = sound(heart=0.0, background=0.02, events_a_minute=30.0, **scene)
    found = Learned()(heard.signal, heard.fs)
    assert found.confidence < 0.5
    assert len(found.cycles) < 5


def test_neither_volume_nor_polarity_nor_rate_matters():
    heard = sound(90, murmurs=(MURMUR,))
    plain = Learned()(heard.signal, heard.fs)
    other = Learned()(-0.01 * heard.signal, heard.fs)
    np.testing.assert_allclose(other.cycles.start, plain.cycles.start, atol=0.011)
    assert len(other.cycles) == len(plain.cycles) > 12


def test_times_are_those_of_the_recording():
    heard = sound(60)
    found = Learned()(heard.signal, heard.fs)
    assert found.states.start[0] == 0
    assert found.states.end[-1] == pytest.approx(heard.scene.duration, abs=1e-6)
    np.testing.assert_allclose(found.states.start[1:], found.states.end[:-1])
    first = middles(heard.states, S1)
    late = np.abs(middles(found.states, S1)[:, None] - first).min(axis=1)
    assert np.median(late) < 0.02


def test_the_network_gives_chances_frame_by_frame():
    heard = sound(75)
    scores = Learned().scores(prepare(heard.signal, heard.fs).signal)
    assert scores.shape == (heard.scene.duration * FRAME_RATE, 5)
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1, rtol=1e-5)
    truth = heard.states.sampled(FRAME_RATE, len(scores)) - 1
    assert (scores.argmax(axis=1) == truth).mean() > 0.85


def test_padding_does_not_matter_to_the_network():
    network = StateNetwork().eval()
    signal = torch.randn(1, 4000)
    mask = torch.arange(4000)[None] < 3000
    with torch.inference_mode():
        whole = network(signal[:, :3000], mask[:, :3000])
        padded = network(signal * mask + 7.0 * ~mask, mask)
    # Up to the frames whose spectra reach into the padding, and what the network sees of them.
    np.testing.assert_allclose(padded[..., :50], whole[..., :50], atol=0.05)
    assert network(signal[:, :10]).shape == (1, 5, 1)


def test_weights_come_with_a_card():
    card = json.loads(weights_path(None).with_name(CARD).read_text(encoding="utf-8"))
    assert weights_path(None).stat().st_size < 1_000_000
    recordings = card["recordings"]["physionet2016"]
    assert not set(recordings["train"] + recordings["validate"]) & set(recordings["test"])
    assert min(map(len, recordings.values())) > 40
    assert card["data"]["physionet2016"]["licence"] == "ODC-By-1.0"


def test_other_weights_can_be_named(tmp_path):
    torch.manual_seed(0)
    network = StateNetwork(channels=(8, 8)).eval()
    file = tmp_path / WEIGHTS
    file.write_bytes(packed(network))
    signal = prepare(sound(75).signal, 2000.0).signal
    with torch.inference_mode():
        wanted = network(torch.from_numpy(signal)[None])[0].log_softmax(0).T
    np.testing.assert_allclose(Learned(weights=file).scores(signal), wanted, atol=1e-5)


def test_files_without_weights_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="There are no weights"):
        Learned(weights=tmp_path / "no.safetensors").scores(np.zeros(1000, np.float32))
    for name in ("bad.safetensors", "bad.ckpt"):
        Path(tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(CheckpointError, match="that can be read"):
            Learned(weights=tmp_path / name).scores(np.zeros(1000, np.float32))


def ecg_of(heard, fs, upside_down=False, noise=0.02, seed=0):
    """Draw R and T waves for the beats of a simulated sound."""
    time = np.arange(round(heard.scene.duration * fs)) / fs
    ecg = np.random.default_rng(seed).normal(0, noise, len(time))
    for first, second in zip(heard.beats.first, heard.beats.second, strict=True):
        ecg += np.exp(-0.5 * ((time - first + 0.04) / 0.012) ** 2)
        ecg += 0.25 * np.exp(-0.5 * ((time - second + 0.05) / 0.05) ** 2)
    return -ecg if upside_down else ecg


@pytest.mark.parametrize("upside_down", [False, True])
def test_r_waves_are_found_in_either_polarity(upside_down):
    heard = sound(95)
    peaks, note = r_peaks(ecg_of(heard, 500.0, upside_down), 500.0)
    assert note is None
    real = heard.beats.first - 0.04
    real = real[(real > 0.1) & (real < 11.9)]
    assert np.abs(peaks[:, None] - real).min(axis=0).max() < 0.03
    assert len(peaks) <= len(heard.beats.first) + 1


@pytest.mark.parametrize("spike", [0.0, 300.0])
def test_an_electrode_that_comes_off_hides_no_r_wave(spike):
    ecg = ecg_of(sound(95), 500.0, noise=0.0)
    ecg[4000] += spike
    ecg[4001:] = 0.0
    peaks, note = r_peaks(ecg, 500.0)
    assert note is None
    assert len(peaks) == 13


@pytest.mark.parametrize("kind", ["noise", "flat", "short"])
def test_an_ecg_that_says_nothing_is_left_alone(kind):
    ecg = {
        "noise": np.random.default_rng(0).normal(0, 1, 6000),
        "flat": np.ones(6000),
        "short": np.ones(500),
    }[kind]
    peaks, note = r_peaks(ecg, 500.0)
    assert len(peaks) == 0
    assert note is not None


def test_sounds_are_expected_after_r_waves():
    prior = state_prior(np.arange(0.5, 9.5, 1.0), 1000, 100, weight=3.0)
    assert prior[205 - 50 : 210 - 50, 0].max() == 0  # S1 right after the wave at 1.5 s
    assert prior[190, 0] == -3.0
    assert prior[190, 2] == 0  # S2 may be 0.4 s after it
    assert prior[155, 2] == -3.0
    assert not state_prior(np.zeros(0), 100, 100, 3.0).any()


def test_an_ecg_helps_where_noise_hides_the_sounds():
    with_ecg = without = 0.0
    for seed in range(4):
        heard = sound(70, seed, background=0.16)
        ecg = ecg_of(heard, 2000.0)
        without += share_found(Learned()(heard.signal, 2000.0).states, heard.states, S1)
        helped = Learned()(heard.signal, 2000.0, ecg)
        with_ecg += share_found(helped.states, heard.states, S1)
        assert helped.notes == ()
    assert with_ecg >= without
