"""What every segmenter does with whatever a recording holds, and how long recordings are cut."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from pahcl.errors import RecordError, SpecError, UsageError
from pahcl.signals import HeartStates
from pahcl.signals.heart_cycles import (
    SEGMENTERS,
    Segmentation,
    Segmenter,
    segment,
    segmenter_named,
    whole_cycles,
)
from pahcl.signals.heart_cycles.stitching import OVERLAP_SECONDS, PIECE_SECONDS, pieces
from pahcl.simulation.heart_sound import Heart, Rhythm, Scene, simulate

FS = 4000
RNG = np.random.default_rng(5)
everyone = pytest.mark.parametrize("name", SEGMENTERS)


def heart(duration: float = 12.0, fs: float = FS, rate: float = 75.0, **scene: float) -> np.ndarray:
    rhythm = Rhythm(rate=rate)
    return simulate(Heart(rhythm=rhythm), Scene(fs=fs, duration=duration, **scene), (4, 2)).signal


def answer(name: str, signal: np.ndarray, fs: float = FS) -> Segmentation:
    """Segment, and hold what is given against what any answer must be."""
    found = segment(signal, fs, name)
    cycles, states = found.cycles, found.states
    assert found.segmenter == name
    assert found.duration == pytest.approx(len(signal) / fs)
    assert (found.refusal is None) == (len(cycles) > 0)
    assert (cycles.confidence >= 0).all()
    assert (cycles.confidence <= 1).all()
    assert (cycles.start[1:] >= cycles.end[:-1] - 0.01).all()
    for times in (cycles.start, cycles.end, states.start, states.end):
        assert (times >= 0).all()
        assert (times <= found.duration + 1e-6).all()
    assert len(cycles.table()) == len(cycles)
    return found


TIME = np.arange(12 * FS) / FS
SILENT = {
    "zeros": np.zeros(12 * FS),
    "an offset": np.full(12 * FS, 0.3),
    "an offset of counts": np.full(12 * FS, 2**30),
    "a huge offset with rounding": 1e9 + RNG.integers(0, 2, 12 * FS).astype(np.float32),
    "dither of counts": RNG.integers(-1, 2, 12 * FS).astype(np.int16),
    "triangular dither": (RNG.integers(-1, 2, 12 * FS) + RNG.integers(-1, 2, 12 * FS)) / 32768,
    "dither that was resampled": 3e-5 * RNG.standard_normal(12 * FS),
    "a drift below the band": np.round(200 * np.sin(2 * np.pi * 0.2 * TIME)) / 32768,
    "noise of a preamplifier": RNG.normal(0, 5, 12 * FS).round().astype(np.int16),
    "a faint hum": 4e-4 * np.sin(2 * np.pi * 50 * TIME),
    "a knock in silence": np.where(TIME < 0.05, RNG.standard_normal(12 * FS), 0.0),
    "a knock in dither": np.where(
        (TIME > 3) & (TIME < 3.05), 9000, RNG.integers(-1, 2, 12 * FS)
    ).astype(np.int16),
}


@everyone
@pytest.mark.parametrize("case", SILENT)
def test_silence_has_no_beats(name: str, case: str) -> None:
    found = answer(name, SILENT[case])
    assert len(found.cycles) == 0
    assert found.refusal


REFUSED = {
    "empty": (np.zeros(0), "the recording is empty"),
    "0.2 s": (heart()[: FS // 5], "lasts 0.2 s, less than a heart cycle"),
    "all missing": (np.full(9000, np.nan), "100 % of the samples are missing"),
    "infinite": (np.full(9000, np.inf), "100 % of the samples are missing"),
    "constant": (np.full(9000, 7), "the signal is constant"),
}


@everyone
@pytest.mark.parametrize("case", REFUSED)
def test_what_holds_nothing_is_refused_by_name(name: str, case: str) -> None:
    signal, reason = REFUSED[case]
    found = answer(name, signal)
    assert found.refusal is not None
    assert reason in found.refusal
    assert len(found.states) == 0


def speech(duration: float = 12.0) -> np.ndarray:
    """Give syllables: noise in formants and a hum, some four a second, of uneven length."""
    time = np.arange(int(duration * FS)) / FS
    loud = np.clip(np.interp(time, np.arange(0, duration, 0.11), RNG.normal(size=110)), 0, None)
    voice = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 9))
    return 0.1 * loud * (voice + RNG.standard_normal(len(time)))


HARD = {
    "white noise": 0.1 * RNG.standard_normal(12 * FS),
    "speech": speech(),
    "clipped": np.clip(8 * heart(), -0.2, 0.2),
    "hard clipped": np.sign(heart()),
    "one second": heart()[:FS],
    "half a second": heart()[: FS // 2],
    "counts": (heart() * 32768).astype(np.int16),
    "bytes": (heart() * 128 + 128).astype(np.uint8),
    "long integers": (heart() * 2**40).astype(np.int64),
    "huge": heart().astype(np.float64) * 1e300,
    "tiny": heart().astype(np.float64) * 1e-30,
    "a loud hum": heart() + np.sin(2 * np.pi * 60 * TIME),
    "upside down": -heart(),
    "a square wave": np.sign(np.sin(2 * np.pi * 1.2 * TIME)),
    "clicks": (np.arange(12 * FS) % 3000 == 0).astype(np.float32),
    "one spike": np.where(np.arange(12 * FS) == 9000, 1e30, heart()),
}


@everyone
@pytest.mark.parametrize("case", HARD)
def test_there_is_an_answer_to_anything(name: str, case: str) -> None:
    answer(name, HARD[case])


@everyone
def test_kind_scale_and_offset_do_not_matter(name: str) -> None:
    signal = heart().astype(np.float64)
    expected = answer(name, signal)
    assert len(expected.cycles) > 5
    for other in (signal * 3e7, signal + 0.4, (signal * 2**40).astype(np.int64), signal[None]):
        found = segment(other, FS, name)
        np.testing.assert_allclose(found.cycles.start, expected.cycles.start, atol=0.02)


@everyone
@pytest.mark.parametrize("bent", [1.0, 0.5])
def test_steady_noise_has_no_beats(name: str, bent: float) -> None:
    noise = 0.2 * np.sign(white := RNG.standard_normal(12 * FS)) * np.abs(white) ** bent
    assert answer(name, noise).refusal == "steady noise: no sound stands out of it"


@pytest.mark.parametrize("name", ["rhythm", "learned"])
def test_voices_are_not_trusted_as_a_heart_is(name: str) -> None:
    scene = Scene(duration=12, heart=0.0, speech=0.1, events_a_minute=40)
    voices = [simulate(Heart(), scene, (seed, 2)).signal for seed in range(5)]
    trust = np.mean([answer(name, voice).confidence for voice in voices])
    assert trust < 0.8 * answer(name, heart()).confidence


@everyone
@pytest.mark.parametrize("fs", [800, 2000, 4000.5, 44100])
def test_any_rate_gives_the_same_beats(name: str, fs: float) -> None:
    whole = heart(fs=44100, rate=110)
    place = np.arange(int(12 * fs)) / fs
    signal = np.interp(place, np.arange(len(whole)) / 44100, whole)
    rate = answer(name, signal, fs).heart_rate
    assert rate == pytest.approx(110, rel=0.06)


@everyone
def test_missing_samples_are_bridged_and_told(name: str) -> None:
    signal = heart(rate=110).astype(np.float64)
    for begin in range(3000, 44000, 3777):
        signal[begin : begin + 60] = np.nan
    signal[::5000] = np.inf
    found = answer(name, signal)
    assert found.heart_rate == pytest.approx(110, rel=0.06)
    assert any("% of the samples are missing" in note for note in found.notes)


@everyone
@pytest.mark.parametrize("level", [0.0, 0.7, np.nan])
def test_dropouts_hold_no_beats(name: str, level: float) -> None:
    signal = heart(24.0, rate=110)
    signal[9 * FS : 14 * FS] = level
    signal[18 * FS : int(18.6 * FS)] = level
    found = answer(name, signal)
    assert len(found.cycles) > 15
    sounds = np.isin(found.states.state, (1, 3))
    middle = (found.states.start + found.states.end)[sounds] / 2
    for begin, end in ((9.1, 13.9), (18.1, 18.5)):
        assert not ((middle > begin) & (middle < end)).any()
        assert not ((found.cycles.start < end) & (found.cycles.end > begin)).any()


@everyone
def test_half_a_recording_may_be_lost(name: str) -> None:
    signal = heart(30.0, rate=110)
    signal[: 18 * FS] = 0
    found = answer(name, signal)
    assert found.cycles.start.min() >= 17.9
    assert found.heart_rate == pytest.approx(110, rel=0.06)


@everyone
@settings(max_examples=12, deadline=None)
@given(
    length=st.integers(0, 9000),
    fs=st.floats(1, 50000),
    seed=st.integers(0, 9),
    kind=st.sampled_from(["noise", "steps", "heart", "holes"]),
)
def test_any_length_and_rate_has_an_answer(
    name: str, length: int, fs: float, seed: int, kind: str
) -> None:
    random = np.random.default_rng(seed)
    signal = random.standard_normal(length)
    if kind == "steps":
        signal = np.sign(np.cumsum(signal))
    elif kind == "heart":
        signal = np.resize(heart(), length) + 0.01 * signal
    elif kind == "holes":
        signal[random.random(length) < 0.4] = np.nan
    answer(name, signal, fs)


@pytest.mark.parametrize("fs", [0, -1, np.nan, np.inf])
def test_what_is_no_rate_is_refused(fs: float) -> None:
    with pytest.raises(SpecError, match="positive number"):
        segment(heart(), fs, "upstream")


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (np.zeros((2, 4000)), "one channel at a time"),
        (np.zeros((1, 1, 4000)), "one channel at a time"),
        (np.zeros(4000, dtype=complex), "real numbers"),
        (np.array(["a"] * 4000), "real numbers"),
    ],
)
def test_what_is_no_signal_is_refused(signal: np.ndarray, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        segment(signal, FS, "upstream")


def test_unknown_segmenters_and_missing_rates_are_refused() -> None:
    with pytest.raises(UsageError, match="upstream, rhythm, learned"):
        segmenter_named("best")
    with pytest.raises(SpecError, match="give `fs`"):
        segment(heart(), segmenter="upstream")


@dataclass(frozen=True, kw_only=True)
class Clicks(Segmenter):
    """Finds a beat at every click, and keeps what it was given."""

    name: ClassVar[str] = "clicks"
    given: list[tuple[int, float | None]]

    def find(self, signal: np.ndarray, fs: float, ecg: np.ndarray | None) -> Segmentation:
        assert signal.dtype == np.float32
        self.given.append((len(signal), None if ecg is None else float(ecg[0])))
        rises = np.flatnonzero((signal[1:] > 0.5) & (signal[:-1] <= 0.5)) + 1
        start = (rises[:, None] / fs + np.array([0, 0.1, 0.3, 0.4])).reshape(-1)
        end = np.append(start[1:], start[-1:] + 0.1)
        states = HeartStates(start, end, np.tile(np.arange(1, 5, dtype=np.int8), len(rises)))
        return Segmentation(states, whole_cycles(states), len(signal) / fs, self.name)


def clicks(duration: float, fs: int = 1000) -> np.ndarray:
    signal = 0.01 * RNG.standard_normal(int(duration * fs)).astype(np.float32)
    for beat in np.arange(0.1, duration - 1, 0.8):
        signal[round(beat * fs) : round((beat + 0.05) * fs)] = 1
    return signal


@pytest.mark.parametrize("duration", [100.0, 181.0, 400.0, 1000.0])
def test_a_long_recording_is_that_of_its_pieces(duration: float) -> None:
    signal = clicks(duration)
    cut = Clicks(given=[])
    found = cut(signal, 1000)
    whole = cut.find(signal, 1000, None)
    assert max(length for length, _ in cut.given[:-1]) <= PIECE_SECONDS * 1000 + 1
    for name in ("start", "systole", "s2", "diastole", "end"):
        np.testing.assert_allclose(getattr(found.cycles, name), getattr(whole.cycles, name))
    np.testing.assert_allclose(found.states.start, whole.states.start)
    np.testing.assert_allclose(found.states.end, whole.states.end)


@given(seconds=st.floats(0.5, 20000), fs=st.sampled_from([1000, 2205.5, 44100]))
def test_pieces_cover_a_recording_and_overlap(seconds: float, fs: float) -> None:
    length = int(seconds * fs)
    cut = pieces(length, fs)
    assert cut[0][0] == 0
    assert cut[-1][1] == length
    for (begin, stop), (following, _) in pairwise(cut):
        assert stop - begin <= PIECE_SECONDS * fs + 2
        assert stop - following == pytest.approx(OVERLAP_SECONDS * fs, abs=2)


def test_the_ecg_is_cut_as_the_sound_is() -> None:
    signal = clicks(400.0)
    ecg = np.arange(len(signal)) / 1000
    given: list[tuple[int, float | None]] = []
    Clicks(given=given)(signal, 1000, ecg)
    begins = [begin / 1000 for begin, _ in pieces(len(signal), 1000)]
    assert [first for _, first in given] == pytest.approx(begins)
    given.clear()
    found = Clicks(given=given)(signal[:9000], 1000, np.zeros(9000))
    assert given == [(9000, None)]
    assert found.notes == ("the ECG is missing or constant and is not made use of",)


@pytest.mark.parametrize(("fs", "channels"), [(4000, 1), (44100, 2)])
def test_a_file_gives_what_its_samples_give(tmp_path: Path, fs: int, channels: int) -> None:
    signal = heart(fs=fs, rate=110)
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([signal] * channels, axis=1), fs)
    found = segment(path, segmenter="rhythm")
    expected = segment(soundfile.read(path)[0].reshape(-1, channels)[:, 0], fs, "rhythm")
    np.testing.assert_allclose(found.cycles.start, expected.cycles.start)
    assert len(found.notes) == channels - 1
    with pytest.raises(SpecError, match="leave it out"):
        segment(path, fs=fs + 1, segmenter="rhythm")


def test_a_long_file_is_resampled_as_it_is_read(tmp_path: Path) -> None:
    signal = np.tile(heart(fs=11025, rate=110), 17)
    path = tmp_path / "a.flac"
    soundfile.write(path, signal, 11025)
    found = segment(str(path), segmenter="rhythm")
    expected = segment(signal, 11025, "rhythm")
    assert found.duration == pytest.approx(expected.duration)
    same = np.abs(found.cycles.start[:, None] - expected.cycles.start).min(axis=1) < 0.02
    assert same.mean() > 0.98
    assert len(found.cycles) == pytest.approx(len(expected.cycles), abs=3)


def test_a_file_that_is_no_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(RecordError, match="not a readable sound file"):
        segment(tmp_path / "a.wav", segmenter="upstream")


@pytest.mark.slow
@everyone
def test_an_hour_is_segmented(name: str) -> None:
    part = heart(60.0, fs=2000, rate=110)
    found = answer(name, np.tile(part, 60), 2000)
    assert found.heart_rate == pytest.approx(110, rel=0.06)
    assert len(found.cycles) > 0.9 * 3600 * 110 / 60
