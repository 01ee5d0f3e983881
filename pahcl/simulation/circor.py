"""A synthetic CirCor in its publisher's layout: a table of patients, and sounds with states."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.io import wavfile

from pahcl.errors import UsageError
from pahcl.signals.states import UNANNOTATED, HeartStates
from pahcl.simulation.circor_patients import Patient, draw_patient, person_count
from pahcl.simulation.corpus import claim_folder, write_mark
from pahcl.simulation.heart_cases import draw_scene
from pahcl.simulation.heart_murmur import Site
from pahcl.simulation.heart_rhythm import Generator
from pahcl.simulation.heart_sound import HeartSound, simulate

FS = 4000
SITE = 11
"""Part of the random seed: this corpus among the others."""

UGLY: Mapping[str, int] = {
    "row_without_audio": 2,
    "wav_without_row": 2,
    "header_without_wav": 1,
    "truncated_wav": 2,
    "other_rate": 1,
    "header_of_another_rate": 1,
    "stereo": 1,
    "silent": 1,
    "foreign_name": 1,
    "no_header": 1,
    "no_states": 2,
    "impossible_states": 1,
}
"""Ugly cases, and how many patients a corpus has of each; they have one recording."""

UNREADABLE = frozenset(
    {
        "row_without_audio", "wav_without_row", "header_without_wav", "truncated_wav", "other_rate",
        "header_of_another_rate", "stereo", "silent", "foreign_name",
    }
)  # fmt: skip
"""Ugly cases that a reader has to reject."""

MOST_RECORDS = 20_000
_TABLE, _FOLDER = "training_data.csv", "training_data"
_LAYOUT = (_FOLDER, _TABLE)


@dataclass(frozen=True)
class _Sound:
    """Hold one recording of a patient.

    Args:
        patient: Whose.
        name: Of the recording.
        site: Where.
        sound: What is heard.
        written: The states as somebody marked them.
        kind: `good`, or an ugly case.
    """

    patient: Patient
    name: str
    site: Site
    sound: HeartSound
    written: HeartStates
    kind: str = "good"


def write(
    out: Path,
    records: int = 1000,
    seed: int = 0,
    ugly: bool = True,
    progress: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Write `records` good recordings of as many patients as they need, and a few ugly ones.

    Args:
        out: The folder; empty, new, or with this very corpus, which is left as it is if complete.
        records: Number of good recordings.
        seed: The same seed gives the same bytes.
        ugly: Whether the ugly cases are written, too.
        progress: Called with the number of good recordings written since the last call.

    Returns:
        Counts: `records`, their `patients` and `subjects` (persons), each case of `UGLY`,
        `table_rows` (all recordings, ugly ones included), `readable` and `unreadable` of these.

    Raises:
        UsageError: `out` holds another corpus, or files that no simulator wrote; or there are not
            as many numbers as patients.
        DataError: `out` cannot be made.
    """
    if records > MOST_RECORDS:
        raise UsageError(
            f"--records must be at most {MOST_RECORDS}, for the patients of CirCor have numbers of "
            f"five digits; got {records}."
        )
    question = {"seed": seed, "records": records, "ugly": ugly}
    there = claim_folder(out, "circor", _LAYOUT, question)
    if there is not None:
        return there
    (out / _FOLDER).mkdir()
    key = seed, SITE
    good = _patients(key, records)
    truth: dict[str, Any] = {}
    for patient in good:
        for sound in _record(key, patient):
            truth[sound.name] = _write_files(out / _FOLDER, sound)
            if progress is not None:
                progress(1)
        _write_text(out / _FOLDER, patient)
    kinds = [kind for kind, count in UGLY.items() for _ in range(count)] if ugly else []
    others = _ugly_patients(key, len(good), kinds)
    for patient, kind in zip(others, kinds, strict=True):
        for sound in _record(key, patient, kind):
            truth[sound.name] = _write_files(out / _FOLDER, sound)
        if kind != "wav_without_row":
            _write_text(out / _FOLDER, patient)
    listed = [one for one, kind in zip(others, kinds, strict=True) if kind != "wav_without_row"]
    _write_table(out / _TABLE, [*good, *listed])
    counts = _counts(records, good, kinds)
    write_mark(out, "circor", question, {"complete": True, "counts": counts, "records": truth})
    return counts


def _counts(records: int, good: Sequence[Patient], kinds: list[str]) -> dict[str, int]:
    # Beside the damaged file of another name there is the recording that it should be.
    total = records + len(kinds) + kinds.count("foreign_name")
    unreadable = sum(kind in UNREADABLE for kind in kinds) + kinds.count("foreign_name")
    return {
        **{kind: kinds.count(kind) for kind in UGLY},
        "records": records,
        "patients": len(good),
        "subjects": person_count(good),
        "table_rows": total,
        "readable": total - unreadable,
        "unreadable": unreadable,
    }


def _patients(key: tuple[int, ...], records: int) -> list[Patient]:
    """Draw patients until their recordings are as many as asked for."""
    found: list[Patient] = []
    left = records
    while left > 0:
        patient = draw_patient(key, len(found))
        found.append(replace(patient, sites=patient.sites[:left]))
        left -= len(found[-1].sites)
    names = {one.name for one in found}
    return [one if one.other in names else replace(one, other=None) for one in found]


def _ugly_patients(key: tuple[int, ...], first: int, kinds: list[str]) -> list[Patient]:
    """Draw a patient with one recording for each case, who comes once."""
    found = [draw_patient(key, first + place) for place in range(len(kinds))]
    return [replace(one, sites=("MV",), other=None, person=one.name) for one in found]


def _record(key: tuple[int, ...], patient: Patient, kind: str = "good") -> list[_Sound]:
    """Simulate a patient's recordings, and have them marked."""
    found = []
    for place, (name, site) in enumerate(patient.recordings):
        seed = *key, patient.number, place
        rng = np.random.default_rng([*seed, 99])
        duration = float(np.clip(np.exp(rng.normal(np.log(9.0), 0.3)), 5.2, 20.0))
        duration = round(duration * 62.5) / 62.5
        scene = draw_scene(rng, FS, duration, site, patient.noise)
        rhythm = patient.heart.rhythm
        today = replace(
            rhythm, rate=float(np.clip(rhythm.rate * np.exp(rng.normal(0, 0.05)), 40, 200))
        )
        sound = simulate(replace(patient.heart, rhythm=today), scene, seed)
        found.append(_Sound(patient, name, site, sound, mark(rng, sound.states, duration), kind))
    return found


def mark(rng: Generator, states: HeartStates, duration: float) -> HeartStates:
    """Mark states as an annotator does: a stretch of them, each edge some milliseconds off.

    Neighbours overlap or leave a gap of up to 3 ms here and there; what lies around the stretch is
    one interval that is not annotated, but where somebody stopped there.
    """
    length = min(float(rng.uniform(3.5, 9.0)), duration)
    begin = 0.0 if rng.random() < 0.2 else float(rng.uniform(0, duration - length))
    inside = (states.start >= begin) & (states.end <= begin + length)
    first, last = states.start[inside], states.end[inside]
    edges = np.append(first, last[-1:])
    off = np.clip(rng.normal(0, 0.004, len(edges)), -0.008, 0.008)
    edges = np.maximum.accumulate(np.clip(edges + off, 0, duration))
    slips = np.where(rng.random(len(first)) < 0.06, rng.uniform(-0.003, 0.003, len(first)), 0)
    start, end = edges[:-1], np.clip(edges[1:] + slips, edges[:-1], duration)
    number = states.state[inside]
    if len(start) and start[0] > 0:
        start, end = np.append(0.0, start), np.append(start[0], end)
        number = np.append(UNANNOTATED, number)
    stopped = rng.random() < 0.15
    if len(start) and not stopped and end[-1] < duration:
        start, end = np.append(start, end[-1]), np.append(end, duration)
        number = np.append(number, UNANNOTATED)
    return HeartStates(start, end, number.astype(np.int8))


def _write_files(folder: Path, one: _Sound) -> dict[str, Any]:
    """Write sound, header and states, damaged in the way of the case; give what is true of them."""
    counts = np.clip(np.round(one.sound.signal * 32768.0), -32768, 32767).astype(np.int16)
    rate, header_rate = FS, FS
    if one.kind == "silent":
        counts[:] = 0
    elif one.kind == "stereo":
        counts = np.stack([counts, counts], axis=1)
    elif one.kind == "other_rate":
        rate = 2 * FS
    elif one.kind == "header_of_another_rate":
        header_rate = FS // 2
    name = f"._{one.name}" if one.kind == "foreign_name" else one.name
    if one.kind != "row_without_audio":
        if one.kind != "header_without_wav":
            _write_wav(folder / f"{name}.wav", counts, rate, cut=one.kind == "truncated_wav")
        if one.kind != "no_header":
            text = f"{one.name} 1 {header_rate} {len(counts)}\r\n"
            text += f"{one.name}.wav 16+44 1 16 0 0 0 0 {one.site}\r\n"
            (folder / f"{name}.hea").write_bytes(text.encode("ascii"))
        if one.kind != "no_states":
            (folder / f"{name}.tsv").write_text(_states_text(one), encoding="ascii")
    return {
        **one.sound.truth(),
        "patient": one.patient.name,
        "person": one.patient.person,
        "murmur_here": any(murmur.is_heard(one.site) for murmur in one.patient.heart.murmurs),
        "murmur": bool(one.patient.heart.murmurs),
        "abnormal": one.patient.abnormal,
        "case": one.kind,
    }


def _write_wav(path: Path, counts: npt.NDArray[np.int16], rate: int, cut: bool) -> None:
    wavfile.write(path, rate, counts)
    if cut:
        path.write_bytes(path.read_bytes()[: 44 + len(counts)])


def _states_text(one: _Sound) -> str:
    """Write states out, begin, end and number; one that cannot be where the case is that."""
    kept = one.written
    rows = [
        f"{_seconds(a)}\t{_seconds(b)}\t{int(c)}"
        for a, b, c in zip(kept.start, kept.end, kept.state, strict=True)
    ]
    if one.kind == "impossible_states":
        rows.append("5.1\t4.9\t1")
    return "\n".join([*rows, ""])


def _seconds(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _write_text(folder: Path, patient: Patient) -> None:
    """Write what the publisher gives of each patient beside the table."""
    row = patient.row
    recordings = patient.recordings
    lines = [f"{patient.name} {len(recordings)} {FS}"]
    lines += [f"{site} {name}.hea {name}.wav {name}.tsv" for name, site in recordings]
    lines += [f"#{key}: {value}" for key, value in list(row.items())[2:]]
    (folder / f"{patient.name}.txt").write_text("\n".join([*lines, ""]), encoding="ascii")


def _write_table(path: Path, patients: Sequence[Patient]) -> None:
    """Write the table; one row stands there twice."""
    rows = [one.row for one in patients]
    with path.open("w", encoding="ascii", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, rows[0]])
