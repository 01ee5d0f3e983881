"""Sound files: whole or refused by name, whatever order their chunks have."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_modules._sound import read_heart_sound, read_sound, require_heart_sound
from pahcl.errors import RecordError
from pahcl.simulation.sound_files import to_counts, wav, with_list_chunk

FS = 2000


def counts(samples: int = 4000) -> np.ndarray:
    return np.random.default_rng(samples).integers(-9000, 9000, samples).astype(np.int16)


def test_counts_are_kept_exactly(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(counts(), FS))
    recording = read_heart_sound(path, FS, "a", "b")
    assert recording.leads == ("PCG",)
    assert recording.unit == "full scale"
    assert recording.resolution is not None
    np.testing.assert_array_equal(recording.signal[0] / recording.resolution[0], counts())


def test_a_chunk_before_the_samples_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(with_list_chunk(wav(counts(), FS), "a title"))
    samples, step, _ = read_sound(path, FS)
    np.testing.assert_array_equal(samples / step, counts())


@pytest.mark.parametrize(
    ("kind", "subtype"), [("FLAC", "PCM_16"), ("WAV", "PCM_24"), ("AIFF", "PCM_16")]
)
def test_other_forms_that_libsndfile_knows_are_read(
    tmp_path: Path, kind: str, subtype: str
) -> None:
    path = tmp_path / "a.sound"
    soundfile.write(path, counts(), FS, format=kind, subtype=subtype)
    samples, step, _ = read_sound(path, FS)
    np.testing.assert_array_equal(samples * 32768, counts())
    assert step == {"PCM_16": 2**-15, "PCM_24": 2**-23}[subtype]


def test_samples_that_are_no_counts_have_no_step(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", counts() / 32768, FS, subtype="FLOAT")
    assert read_sound(tmp_path / "a.wav", FS)[1] is None


def stereo(data: np.ndarray) -> bytes:
    return wav(np.stack([data, data], axis=1), FS)


def headless(data: bytes) -> bytes:
    return b"JUNK" + data[4:]


BAD: dict[str, tuple[Any, str]] = {
    "missing": (None, "the file a.wav is missing"),
    "empty": (b"", "the file a.wav is empty"),
    "truncated": (wav(counts(), FS)[:3001], "the file ends 5043 bytes before its sound does"),
    "header alone": (wav(counts(), FS)[:44], "bytes before its sound does"),
    "no sample": (wav(counts(0), FS), "the sound holds no sample"),
    "other rate": (wav(counts(), 8000), "the sound has 8000 Hz, but the data set gives 2000 Hz"),
    "stereo": (stereo(counts()), "the sound has 2 channels"),
    "a web page": (b"<html>Not found</html>" * 9, "not a readable sound file"),
    "no RIFF": (headless(wav(counts(), FS)), "not a readable sound file"),
    "too short": (wav(counts(900), FS), "the sound lasts 0.45 s, less than a heart cycle"),
    "silence": (wav(counts() // 1024, FS), "near silence"),
    "an offset alone": (wav(np.full(4000, 9000, np.int16), FS), "near silence"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_heart_sound_is_refused(tmp_path: Path, case: str) -> None:
    data, reason = BAD[case]
    if data is not None:
        (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(RecordError, match=reason):
        read_heart_sound(tmp_path / "a.wav", FS, "a", "b")


def test_missing_samples_are_no_sound() -> None:
    with pytest.raises(RecordError, match="near silence"):
        require_heart_sound(np.full(4000, np.nan, np.float32), FS)


def test_a_lacking_last_byte_that_only_pads_is_forgiven(tmp_path: Path) -> None:
    stream = io.BytesIO()
    soundfile.write(stream, counts(4001) / 32768, FS, format="WAV", subtype="PCM_U8")
    data = stream.getvalue()
    (tmp_path / "a.wav").write_bytes(data[:-1] if len(data) % 2 == 0 else data)
    assert len(read_sound(tmp_path / "a.wav", FS)[0]) == 4001


def test_counts_of_full_scale_do_not_wrap() -> None:
    assert to_counts(np.array([-1.0, 1.0, 2.0])).tolist() == [-32768, 32767, 32767]


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(0, 400), value=st.binary(min_size=1, max_size=12), end=st.integers(0, 8044))
def test_any_damage_ends_in_samples_or_a_named_reason(
    tmp_path: Path, at: int, value: bytes, end: int
) -> None:
    data = bytearray(with_list_chunk(wav(counts(), FS), "x"))
    data[at : at + len(value)] = value
    (tmp_path / "a.wav").write_bytes(bytes(data[:end]))
    with suppress(RecordError):
        assert read_sound(tmp_path / "a.wav", FS)[0].ndim == 1
