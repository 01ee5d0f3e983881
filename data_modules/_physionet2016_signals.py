"""What belongs to a recording of PhysioNet 2016: header, ECG channel, and states of the heart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import soundfile

from data_modules._matlab import Array, read_bytes, read_cells
from data_modules._physionet2016_files import FS
from data_modules._sound import read_heart_sound
from pahcl.errors import RecordError, UsageError
from pahcl.signals.recording import Recording
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, UNANNOTATED, HeartStates

States = Literal["hand", "algorithm"]

MILLIVOLTS = 32.768
"""Full scale of the ECG channel in mV: 16 bit at the 1,000 counts per mV of every header."""

_MISSING = np.iinfo(np.int16).min
_GAIN = re.compile(r"([+\d.eE-]+)(?:\((-?\d+)\))?(?:/mV)?")
_FOLDERS: dict[States, tuple[str, str, str]] = {
    "hand": ("hand_corrected/training-{}_StateAns", "StateAns", "state_ans"),
    "algorithm": ("springer_alg/training-{}-Aut", "StateAns0", "state_ans0"),
}
_STATES = {"S1": S1, "systole": SYSTOLE, "S2": S2, "diastole": DIASTOLE}
_NOISE, _NOISE_END = "(N", "N)"


def read_recording(path: Path, record_id: str, subject_id: str, ecg: bool) -> Recording:
    """Read a recording and see that it is what its header says, where there is a header.

    Args:
        path: The recording without a suffix.
        record_id: The data set's identifier of the record.
        subject_id: The data set's identifier of the person.
        ecg: Whether the ECG channel is read too; it is NaN where a recording has none.

    Raises:
        RecordError: A file is missing or damaged, or two of them do not fit to each other.
        OSError: The machine cannot read the files now.
    """
    sound = read_heart_sound(path.with_name(f"{path.name}.wav"), FS, record_id, subject_id)
    length = sound.signal.shape[1]
    header = path.with_name(f"{path.name}.hea")
    lines = _read_header(header, length) if header.exists() else []
    if not ecg:
        return sound
    second = np.full(length, np.nan, dtype=np.float32)
    step = 2.0**-15
    line = next((words for words in lines if words[0].endswith(".dat")), None)
    data = path.with_name(f"{path.name}.dat")
    if line is not None:
        second, step = _read_ecg(data, line, length)
    elif data.exists():
        raise RecordError(f"no header describes the signal of {data.name}")
    steps = None if sound.resolution is None else np.array([*sound.resolution, step])
    signal = np.stack([sound.signal[0], second])
    return replace(sound, signal=signal, leads=("PCG", "ECG"), resolution=steps)


def _read_header(path: Path, length: int) -> list[list[str]]:
    """Give the words of the signals' lines of a header that fits to the sound."""
    text = read_bytes(path).decode("utf-8", errors="replace")
    lines = [line.split() for line in text.splitlines() if line.strip() and line[0] != "#"]
    first = [*lines[0], "", "", ""][:4] if lines else ["", "", "", ""]
    name = path.name.removesuffix(".hea")
    if first[0] != name:
        raise RecordError(
            f"the header is that of record {first[0][:40]}" if lines else "the header is empty"
        )
    try:
        count, rate, stated = int(first[1]), float(first[2].partition("/")[0]), int(first[3])
    except ValueError as error:
        raise RecordError("the header's first line has no numbers where they belong") from error
    if rate != FS:
        raise RecordError(f"the header states {rate:g} Hz, but the data set gives {FS:g} Hz")
    if stated != length:
        raise RecordError(f"the header states {stated} samples, but the sound has {length}")
    if len(lines) - 1 != count:
        raise RecordError(f"the header announces {count} signals and describes {len(lines) - 1}")
    return lines[1:]


def _read_ecg(
    path: Path, words: Sequence[str], length: int
) -> tuple[npt.NDArray[np.float32], float]:
    """Read the ECG in shares of its full scale, and its step."""
    if words[0] != path.name:
        raise RecordError(f"the header names {words[0][:40]} as the file of the ECG")
    gain = _GAIN.fullmatch(words[2]) if len(words) > 6 and words[1] == "16" else None
    if gain is None:
        raise RecordError("the header does not describe the ECG as format 16 with a gain")
    try:
        per_millivolt = float(gain[1])
        zero, checksum = int(gain[2] or words[4]), int(words[6])
    except ValueError as error:
        raise RecordError("the header has no numbers where they belong in the ECG") from error
    if not 0 < per_millivolt < np.inf:
        raise RecordError("the header states no gain of the ECG, so its counts have no unit")
    data = read_bytes(path)
    if len(data) != 2 * length:
        raise RecordError(f"the ECG has {len(data) / 2:g} samples, but the header states {length}")
    counts = np.frombuffer(data, "<i2").astype(np.int64)
    if (counts.sum() - checksum) % 65536:
        raise RecordError("the ECG does not match the checksum of its header")
    step = 1 / (per_millivolt * MILLIVOLTS)
    signal = ((counts - zero) * step).astype(np.float32)
    signal[counts == _MISSING] = np.nan
    return signal, step


def read_states(root: Path, path: Path, kind: States) -> HeartStates | None:
    """Read the states of a recording.

    Args:
        root: The publisher's folder.
        path: The recording without a suffix.
        kind: `hand`: corrected by hand, noise marked; `algorithm`: of Springer's segmentation.

    Returns:
        The states; None where there are none of this kind.

    Raises:
        RecordError: The file is damaged, or says what cannot be.
        UsageError: There is no such kind.
        OSError: The machine cannot read the file now.
    """
    if kind not in get_args(States):
        raise UsageError(f"States are those of {' or '.join(get_args(States))}, not {kind!r}.")
    folder, suffix, variable = _FOLDERS[kind]
    place = root / "annotations" / folder.format(path.name[:1])
    file = place / f"{path.name}_{suffix}.mat"
    if not file.exists():
        return None
    rows = [_row(number, row) for number, row in enumerate(read_cells(read_bytes(file), variable))]
    return _intervals(rows, _frames(path.with_name(f"{path.name}.wav")))


def _frames(path: Path) -> int:
    """Count the samples of a sound, without reading it."""
    if not path.exists():
        raise RecordError(f"the file {path.name} is missing")
    try:
        return int(soundfile.info(path).frames)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise RecordError(f"not a readable sound file ({error})") from error


def _row(number: int, row: Sequence[Array | str]) -> tuple[int, str]:
    """Read the first sample of a state, counted from 1, and its name."""
    start, name = row if len(row) == 2 else (None, None)
    if not isinstance(name, str) or not isinstance(start, np.ndarray) or start.size != 1:
        raise RecordError(f"row {number + 1} of the states is no sample and name")
    value = float(start.reshape(-1)[0])
    if not value.is_integer() or value < 1:
        raise RecordError(f"row {number + 1} of the states begins at the sample {value:g}")
    if name.strip() not in {*_STATES, _NOISE, _NOISE_END}:
        raise RecordError(f"row {number + 1} of the states is called {name[:40]!r}")
    return int(value), name.strip()


def _intervals(rows: list[tuple[int, str]], frames: int) -> HeartStates:
    """Turn beginnings into intervals; noise ends with the sample that its closing row names.

    What follows noise up to the next state is in no interval, and so not annotated.
    """
    start, end, state = [], [], []
    following: list[tuple[int, str] | None] = [*rows[1:], None]
    for (first, name), after in zip(rows, following, strict=True):
        if name == _NOISE_END:
            continue
        stop = frames if after is None else after[0] - 1
        if name == _NOISE and after is not None and after[1] == _NOISE_END:
            stop = after[0]
        start.append((first - 1) / FS)
        end.append(stop / FS)
        state.append(_STATES.get(name, UNANNOTATED))
    return HeartStates(
        start=np.array(start, dtype=np.float64),
        end=np.array(end, dtype=np.float64),
        state=np.array(state, dtype=np.int8),
    )
