"""Sound files of every kind, whole and piece by piece."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pahcl.errors import RecordError
from pahcl.signals import resample
from pahcl.signals.resample import resampled_length, resampled_reader
from pahcl.signals.sound import SoundFile, decode
from pahcl.simulation.sound_files import wav, with_list_chunk

FS = 4000
COUNTS = np.random.default_rng(1).integers(-9000, 9000, 9001).astype(np.int16)
LEVEL = COUNTS / 32768


def read_all(path: Path) -> np.ndarray:
    with SoundFile(path) as sound:
        assert sound.fs == FS
        return sound.read(0, sound.length)


@pytest.mark.parametrize(
    ("kind", "subtype", "error"),
    [
        ("WAV", "PCM_16", 0),
        ("WAV", "PCM_24", 0),
        ("WAV", "PCM_32", 0),
        ("WAV", "PCM_U8", 2**-7),
        ("WAV", "FLOAT", 1e-7),
        ("WAV", "DOUBLE", 1e-7),
        ("WAVEX", "PCM_16", 0),
        ("W64", "PCM_16", 0),
        ("RF64", "PCM_16", 0),
        ("FLAC", "PCM_16", 0),
        ("FLAC", "PCM_24", 0),
        ("AIFF", "PCM_16", 0),
    ],
)
def test_every_kind_gives_shares_of_full_scale(
    tmp_path: Path, kind: str, subtype: str, error: float
) -> None:
    path = tmp_path / "a"
    data = LEVEL if subtype in ("FLOAT", "DOUBLE") else (COUNTS.astype(np.int32) << 16)
    soundfile.write(path, data, FS, format=kind, subtype=subtype)
    whole = decode(path.read_bytes())
    np.testing.assert_allclose(whole.samples[0], LEVEL, atol=error)
    np.testing.assert_array_equal(read_all(path), whole.samples[0].astype(np.float32))


def test_channels_are_mixed_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.stack([LEVEL, -LEVEL / 2, 0 * LEVEL], axis=1), FS)
    with SoundFile(path) as sound:
        np.testing.assert_allclose(sound.read(0, sound.length), LEVEL / 6, atol=1e-4)
        assert sound.notes == ("the mean of its 3 channels is taken",)


def test_floats_beyond_full_scale_and_missing_ones_are_kept(tmp_path: Path) -> None:
    level = LEVEL * 5e4
    level[7], level[9] = np.nan, np.inf
    soundfile.write(tmp_path / "a.wav", level, FS, subtype="DOUBLE")
    with SoundFile(tmp_path / "a.wav") as sound:
        samples = sound.read(0, sound.length)
        assert sound.notes == ("its samples reach 1.37e+04 times full scale",)
    assert np.flatnonzero(~np.isfinite(samples)).tolist() == [7, 9]
    np.testing.assert_allclose(samples[10:], level[10:], rtol=1e-6)


def put(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000024])
def test_a_length_that_the_writer_did_not_know_is_that_of_the_file(
    tmp_path: Path, size: int
) -> None:
    data = put(wav(COUNTS, FS), 4, size)
    data = put(data, 40, max(size, 0x7FFFFFFF))
    (tmp_path / "a.wav").write_bytes(with_list_chunk(wav(COUNTS, FS), "title"))
    np.testing.assert_array_equal(read_all(tmp_path / "a.wav") * 32768, COUNTS)
    (tmp_path / "a.wav").write_bytes(data)
    np.testing.assert_array_equal(read_all(tmp_path / "a.wav") * 32768, COUNTS)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "the file a.wav is missing"),
        (b"", "the file a.wav is empty"),
        (b"RIFF", "not a readable sound file"),
        (wav(COUNTS, FS)[:30], "bytes before its sound does"),
        (wav(COUNTS, FS)[:44], "bytes before its sound does"),
        (wav(COUNTS, FS)[:5001], "the file ends 13045 bytes before its sound does"),
        (b"<html>Not found</html>" * 9, "not a readable sound file"),
    ],
)
def test_what_is_no_whole_sound_is_refused(tmp_path: Path, data: bytes | None, reason: str) -> None:
    if data is not None:
        (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(RecordError, match=reason):
        SoundFile(tmp_path / "a.wav")


def test_a_folder_is_no_sound(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="is no file"):
        SoundFile(tmp_path)


def test_a_flac_that_is_cut_off_is_refused_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.tile(LEVEL, 20), FS)
    path.write_bytes(path.read_bytes()[:-9000])
    with SoundFile(path) as sound, pytest.raises(RecordError, match=r"ends after|not a readable"):
        sound.read(0, sound.length)


def test_a_sound_without_a_sample_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(COUNTS[:0], FS))
    assert read_all(tmp_path / "a.wav").size == 0


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.tuples(st.integers(0, 9001), st.integers(0, 9001)), max_size=6))
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_pieces_in_any_order_are_those_of_the_whole(
    tmp_path: Path, suffix: str, cuts: list[tuple[int, int]]
) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, COUNTS, FS)
    with SoundFile(path) as sound:
        for one, other in cuts:
            begin, stop = min(one, other), max(one, other)
            np.testing.assert_array_equal(sound.read(begin, stop) * 32768, COUNTS[begin:stop])


@pytest.mark.parametrize(
    ("fs", "to"), [(44100, 1000), (4000, 1000), (2000, 5000), (8000, 999.97), (333.3, 1000)]
)
def test_resampling_while_reading_is_resampling_the_whole(fs: float, to: float) -> None:
    drift = np.random.default_rng(2).standard_normal(50017).astype(np.float32).cumsum()
    signal = drift.astype(np.float32) + 400
    whole = resample(signal, fs, to)
    read = resampled_reader(lambda begin, stop: signal[begin:stop], len(signal), fs, to, 5000)
    length = resampled_length(len(signal), fs, to)
    assert length == len(whole)
    tolerance = 1e-6 * np.abs(signal).max()
    np.testing.assert_allclose(read(0, length), whole, atol=tolerance)
    np.testing.assert_allclose(read(7, length // 3), whole[7 : length // 3], atol=tolerance)
    assert read(5, 5).size == 0


def test_a_missing_sample_spreads_no_further_than_the_filter() -> None:
    signal = np.ones(50000, dtype=np.float32)
    signal[20000] = np.nan
    read = resampled_reader(lambda begin, stop: signal[begin:stop], len(signal), 4000, 1000, 5000)
    missing = np.flatnonzero(~np.isfinite(read(0, 12500)))
    assert 4985 <= missing.min() <= 5000 <= missing.max() <= 5015
