"""Where the samples of a recording come from: a sound file, read as far as needed, or a record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import wfdb

from data_modules._own.kinds import read_file
from data_modules._own.raw import Facts, recording_of
from data_modules._own.wfdb_record import read_header
from pahcl.commands._segment_files import HEADER, Listed
from pahcl.errors import RecordError, told_by
from pahcl.signals.heart_cycles import Segmentation, Segmenter
from pahcl.signals.heart_cycles.files import segment_file
from pahcl.signals.leads import lead_modality
from pahcl.signals.sound import SoundFile

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Source:
    """Hold how the samples of one recording are read.

    Args:
        fs: Rate in Hz.
        length: Number of samples.
        channels: How many the file has.
        path: The sound file; its channels are averaged.
        signal: `[length]` of a recording that is no sound file.
        ecg: `[length]` of an ECG that was recorded with it, where there is one.
        notes: What is to be told.
    """

    fs: float
    length: int
    channels: int
    path: Path | None = None
    signal: Samples | None = None
    ecg: Samples | None = None
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Give the length of the recording."""
        return self.length / self.fs

    def span(self, begin: float, end: float) -> Samples:
        """Read from `begin` to `end`, in seconds, as far as the recording reaches.

        Raises:
            RecordError: The file is damaged.
            OSError: The machine cannot read it now.
        """
        first, stop = (min(max(round(time * self.fs), 0), self.length) for time in (begin, end))
        if self.signal is not None:
            return self.signal[first:stop]
        with SoundFile(self.path or Path()) as sound:
            return sound.read(first, max(first, stop))

    def segmented(self, segmenter: Segmenter) -> Segmentation:
        """Segment the recording; a long file is read piece by piece.

        Raises:
            RecordError: The file is damaged.
            OSError: The machine cannot read it now.
        """
        if self.signal is not None:
            return segmenter(self.signal, self.fs, self.ecg)
        return segment_file(self.path or Path(), segmenter, ecg=self.ecg)


def open_recording(listed: Listed, ecg: bool) -> Source:
    """Find out how a recording is read.

    Args:
        listed: The recording.
        ecg: Whether an ECG beside it is read as well.

    Raises:
        RecordError: It is no recording, or none of a heart sound.
        OSError: The machine cannot read it now.
    """
    if listed.path.suffix.lower() == HEADER:
        return _of_record(listed.path, ecg)
    source = _of_sound(listed.path)
    if not ecg or listed.header is None:
        return source
    try:
        aid = _beside(listed.header, source)
    except RecordError as error:
        return replace(source, notes=(f"an ECG beside it is not made use of: {error}",))
    return replace(source, ecg=aid)


def _of_record(path: Path, ecg: bool) -> Source:
    """Read a WFDB record: of several leads the first one that is a heart sound."""
    raw = read_file(path, None, None)
    recording = recording_of(raw, Facts("pcg"), path.stem, path.stem)
    kinds = [lead_modality(name) for name in recording.leads]
    sounds = [k for k, kind in enumerate(kinds) if kind == "pcg"]
    if not sounds and len(kinds) == 1 and kinds[0] is None:
        sounds = [0]
    if not sounds:
        raise RecordError(f"none of its leads is a heart sound ({', '.join(recording.leads)})")
    hearts = [k for k, kind in enumerate(kinds) if kind == "ecg"]
    signal = recording.signal[sounds[0]]
    return Source(
        recording.fs,
        len(signal),
        len(kinds),
        signal=signal,
        ecg=recording.signal[hearts[0]] if ecg and hearts else None,
    )


def _of_sound(path: Path) -> Source:
    with SoundFile(path) as sound:
        return Source(sound.fs, sound.length, sound.channels, path=path)


def _beside(header: Path, source: Source) -> Samples | None:
    """Read the ECG that a header beside a sound tells of, as in PhysioNet 2016.

    Raises:
        RecordError: The header, or the samples that it names, cannot be read or do not fit.
        OSError: The machine cannot read them now.
    """
    read_header(header)  # refuses what a library must not follow
    stem = str(header.with_suffix(""))
    try:
        described = wfdb.rdheader(stem)
        names = list(described.sig_name or [])
        hearts = [k for k, name in enumerate(names) if lead_modality(name) == "ecg"]
        if not hearts:
            return None
        record = wfdb.rdrecord(stem, channels=hearts[:1], physical=True)
        samples = np.asarray(record.p_signal, dtype=np.float32)[:, 0]
    except (ValueError, LookupError, TypeError, AttributeError, FileNotFoundError) as error:
        raise RecordError(told_by(error)) from error
    if record.fs != source.fs or abs(len(samples) - source.length) > source.fs / 10:
        raise RecordError(
            f"its ECG has {len(samples)} samples at {record.fs:g} Hz, the sound {source.length} at "
            f"{source.fs:g} Hz"
        )
    return samples
