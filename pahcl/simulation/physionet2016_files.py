"""Files of PhysioNet 2016: headers, an ECG beside the sound, states of the heart, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pahcl.signals.states import STATE_NAMES, HeartStates
from pahcl.simulation.heart_sound import HeartSound
from pahcl.simulation.sound_files import Counts, matlab_cells

FS = 2000
Rows = list[tuple[int, str]]

# Waves of one beat: time after the R wave and width in seconds, height in mV.
_WAVES = ((-0.16, 0.022, 0.12), (-0.03, 0.008, -0.1), (0.0, 0.01, 1.1), (0.03, 0.009, -0.22),
          (0.26, 0.045, 0.28))  # fmt: skip
_R_BEFORE_SOUND = 0.04
_NOISE, _NOISE_END = "(N", "N)"
_FOLDERS = {
    "hand": ("hand_corrected/training-{}_StateAns", "StateAns", "state_ans"),
    "algorithm": ("springer_alg/training-{}-Aut", "StateAns0", "state_ans0"),
}


def header(name: str, length: int, abnormal: bool, ecg: Counts | None) -> str:
    """Write out a header, with CRLF as the publisher does."""
    lines = [f"{name} {1 if ecg is None else 2} {FS} {length}"]
    lines.append(f"{name}.wav 16+44 1 16 0 0 0 0 PCG")
    if ecg is not None:
        total = int(ecg.astype(np.int64).sum().astype(np.int16))
        lines.append(f"{name}.dat 16 1000 16 0 {ecg[0]} {total} 0 ECG")
    lines.append(f"# {'Abnormal' if abnormal else 'Normal'}")
    return "".join(f"{line}\r\n" for line in lines)


def ecg_counts(rng: np.random.Generator, sound: HeartSound) -> Counts:
    """Draw an ECG of the beats that are heard, in counts of 1 µV."""
    samples = len(sound.signal)
    millivolts = rng.normal(0, 0.01, samples)
    size = float(rng.uniform(0.6, 1.6))
    for delay, width, height in _WAVES:
        half = round(4 * width * FS)
        along = np.arange(-half, half + 1)
        places = np.round((sound.beats.first - _R_BEFORE_SOUND + delay) * FS).astype(np.int64)
        wave = size * height * np.exp(-0.5 * (along / (width * FS)) ** 2)
        for place in places.tolist():
            inside = (along + place >= 0) & (along + place < samples)
            millivolts[along[inside] + place] += wave[inside]
    return np.round(millivolts * 1000).astype(np.int16)


def hand_rows(sound: HeartSound, noisy: bool) -> Rows:
    """List the states as a hand corrects them: the true ones, where noise does not hide them."""
    samples = len(sound.signal)
    if noisy:
        return [(1, _NOISE), (samples, _NOISE_END)]
    rows = state_rows(sound.states)
    for name in ("speech", "thumps"):
        for begin, end in sound.disturbances.get(name, [])[:1]:
            rows = _with_noise(rows, round(begin * FS) + 1, min(round(end * FS), samples))
    return rows


def _with_noise(rows: Rows, first: int, last: int) -> Rows:
    """Put noise in place of the states that begin within it; a first sound begins anew after it."""
    before = [row for row in rows if row[0] < first]
    after = [row for row in rows if row[0] > last]
    while after and after[0][1] != "S1":
        after.pop(0)
    return [*before, (first, _NOISE), (last, _NOISE_END), *after]


def state_rows(states: HeartStates) -> Rows:
    """List where the states begin, in samples from 1 on; what one sample holds gives way."""
    rows: Rows = []
    for start, number in zip(states.start.tolist(), states.state.tolist(), strict=True):
        first = round(start * FS) + 1
        if rows and rows[-1][0] >= first:
            rows.pop()
        rows.append((first, STATE_NAMES[number]))
    return rows


def algorithm_rows(rng: np.random.Generator, sound: HeartSound, noisy: bool) -> Rows:
    """List the states as an algorithm finds them: some tens of milliseconds off, never noise."""
    rows = state_rows(sound.states)
    off = rng.normal(0, 0.08 if noisy else 0.012, len(rows)) * FS
    starts: npt.NDArray[np.int64] = np.round([start for start, _ in rows] + off).astype(np.int64)
    starts = np.clip(np.maximum.accumulate(starts), 1, len(sound.signal))
    starts[:1] = 1
    found = [(int(start), name) for start, (_, name) in zip(starts, rows, strict=True)]
    return [row for row, after in zip(found, [*found[1:], (1 << 40, "")], strict=True)
            if row[0] < after[0]]  # fmt: skip


def write_states(root: Path, name: str, kind: str, rows: Rows, damaged: bool = False) -> None:
    """Write the states of one record; words of later records stand in cells of their own."""
    folder, suffix, variable = _FOLDERS[kind]
    place = root / "annotations" / folder.format(name[0])
    place.mkdir(parents=True, exist_ok=True)
    data = matlab_cells(variable, rows, nested=int(name[1:]) % 20 != 0)
    data = data[: len(data) // 2] if damaged else data
    (place / f"{name}_{suffix}.mat").write_bytes(data)


def write_tables(folder: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    """Write the tables of a set: names, labels as they stand there, quality but of validation."""
    _write(folder / "REFERENCE.csv", (f"{name},{label}" for name, label, _ in rows))
    _write(folder / "RECORDS", (name for name, _, _ in rows))
    if folder.name == "validation":
        return
    _write(folder / "REFERENCE-SQI.csv", (f"{name},{label},{q}" for name, label, q in rows))
    for kind, wanted in (("normal", "-1"), ("abnormal", "1")):
        _write(folder / f"RECORDS-{kind}", (name for name, label, _ in rows if label == wanted))


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("ascii"))
