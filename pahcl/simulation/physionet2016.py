"""Write a synthetic corpus in the layout of the PhysioNet Challenge 2016, sets a to f.

The layout follows Liu et al., An open access database for the evaluation of heart sound algorithms
(Physiological Measurement 37(12), 2016, doi 10.1088/0967-3334/37/12/2181) as version 1.0.0 of
PhysioNet holds it: sounds at 2000 Hz with headers, an ECG in set a, tables without a header, states
of hand and algorithm, and a validation set that repeats training recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pahcl.errors import UsageError
from pahcl.simulation.corpus import claim_folder, write_mark
from pahcl.simulation.heart_sound import HeartSound, simulate
from pahcl.simulation.physionet2016_files import (
    FS,
    algorithm_rows,
    ecg_counts,
    hand_rows,
    header,
    write_states,
    write_tables,
)
from pahcl.simulation.physionet2016_sets import SETS, Person, draw_person, letters
from pahcl.simulation.sound_files import Counts, to_counts, wav, with_list_chunk

UGLY: Mapping[str, int] = {
    "list_chunk": 1,
    "no_header": 1,
    "no_label": 1,
    "unknown_label": 1,
    "damaged_states": 1,
    "duplicate_record": 1,
    "validation_alone": 1,
    "validation_copy": 4,
    "validation_copy_renamed": 1,
    "row_without_sound": 2,
    "truncated_sound": 2,
    "empty_sound": 1,
    "other_rate": 1,
    "other_length": 1,
    "stereo": 1,
    "silent": 1,
    "too_short": 1,
}
"""Ugly cases, and how many of each a corpus has beside its good records."""

UNREADABLE = frozenset(
    {
        "validation_copy", "validation_copy_renamed", "row_without_sound", "truncated_sound",
        "empty_sound", "other_rate", "other_length", "stereo", "silent", "too_short",
    }
)  # fmt: skip
"""Ugly cases that a reader has to reject."""

COPIES = frozenset({"duplicate_record", "validation_copy", "validation_copy_renamed"})
MOST_RECORDS = 9900
NUMBER = 6
_LAYOUT = ("training-[a-f]", "validation", "annotations")
_MISTAKEN = 0.03
_UNANNOTATED = 0.1
_WITHOUT_ECG = 0.08


@dataclass
class _Record:
    """Hold what is written of one record."""

    name: str
    person: Person
    sound: HeartSound
    label: str
    kind: str = "good"
    source: str | None = None
    ecg: bool = False
    folder: str = ""

    @property
    def quality(self) -> str:
        return "0" if self.person.noisy else "1"


def write(
    out: Path,
    records: int = 1000,
    seed: int = 0,
    ugly: bool = True,
    progress: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Write `records` good records, and a few ugly ones beside them.

    Args:
        out: The folder; empty, new, or with this very corpus, which is left as it is if complete.
        records: Number of good records.
        seed: The same seed gives the same bytes.
        ugly: Whether the ugly cases are written, too.
        progress: Called with the number of good records written since the last call.

    Returns:
        Counts: `records` and their `subjects`, each case of `UGLY`, `table_rows` (all records,
        ugly ones included), `readable` and `unreadable` of these.

    Raises:
        UsageError: `out` holds another corpus, or files that no simulator wrote; or there are not
            as many numbers as records.
        DataError: `out` cannot be made.
    """
    if records > MOST_RECORDS:
        raise UsageError(
            f"--records must be at most {MOST_RECORDS}, for recordings of PhysioNet 2016 have "
            f"numbers of four digits; got {records}."
        )
    question = {"seed": seed, "records": records, "ugly": ugly}
    there = claim_folder(out, "physionet2016", _LAYOUT, question)
    if there is not None:
        return there
    kinds = ["good"] * records
    kinds += [kind for kind, count in UGLY.items() for _ in range(count)] if ugly else []
    numbers = dict.fromkeys(SETS, 0)
    truth: dict[str, dict[str, Any]] = {}
    rows: dict[str, list[tuple[str, str, str]]] = {}
    first: list[_Record] = []
    for place, (kind, letter) in enumerate(zip(kinds, letters(len(kinds)), strict=True)):
        record = _record(place, kind, letter, numbers, first, seed)
        _write_record(out, record, seed, place)
        if kind != "no_label":
            label = "2" if kind == "unknown_label" else record.label
            rows.setdefault(record.folder, []).append((record.name, label, record.quality))
        truth[f"{record.folder}/{record.name}"] = _truth(record)
        if kind == "good":
            first += [record] if len(first) < len(UGLY) else []
            if progress is not None:
                progress(1)
    for folder, said in rows.items():
        write_tables(out / folder, sorted(said))
    counts = _counts(records, kinds[records:])
    write_mark(
        out, "physionet2016", question, {"complete": True, "counts": counts, "records": truth}
    )
    return counts


def _counts(records: int, kinds: list[str]) -> dict[str, int]:
    unreadable = sum(kind in UNREADABLE for kind in kinds)
    return {
        **{kind: kinds.count(kind) for kind in UGLY},
        "records": records,
        "subjects": records,
        "table_rows": records + len(kinds),
        "readable": records + len(kinds) - unreadable,
        "unreadable": unreadable,
    }


def _record(
    place: int,
    kind: str,
    letter: str,
    numbers: dict[str, int],
    first: list[_Record],
    seed: int,
) -> _Record:
    """Draw a record, or take an earlier one again; `numbers` counts the records of each set."""
    rng = np.random.default_rng((seed, NUMBER, place))
    again = first[place % len(first)] if kind in COPIES and first else None
    letter = again.name[0] if again else letter
    numbers[letter] += 1
    name = f"{letter}{numbers[letter]:0{SETS[letter].digits}d}"
    if again is not None:
        name = again.name if kind == "validation_copy" else name
        record = _Record(name, again.person, again.sound, again.label, kind, again.name)
    else:
        # What others are to copy lies among the first records; a short one is short in every set.
        seconds = 0.3 if kind == "too_short" else None
        person = draw_person(rng, letter, FS, None if seconds is None else 5.0)
        sound = simulate(person.heart, person.scene, (seed, NUMBER, place))
        mistaken = bool(rng.random() < _MISTAKEN)
        record = _Record(name, person, sound, "1" if person.abnormal != mistaken else "-1", kind)
        record.ecg = letter == "a" and bool(rng.random() >= _WITHOUT_ECG)
    inside = kind.startswith("validation")
    record.folder = "validation" if inside else f"training-{letter}"
    return record


def _write_record(out: Path, record: _Record, seed: int, place: int) -> None:
    """Write sound, header, ECG and states, damaged in the way of the case."""
    path = out / record.folder / record.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if record.kind == "row_without_sound":
        return
    counts = to_counts(record.sound.signal)
    path.with_name(f"{path.name}.wav").write_bytes(_sound(record, counts))
    if record.folder == "validation":
        return
    rng = np.random.default_rng((seed, NUMBER, place, 1))
    ecg = ecg_counts(rng, record.sound) if record.ecg else None
    length = len(counts) + (400 if record.kind == "other_length" else 0)
    if record.kind != "no_header":
        text = header(path.name, length, record.label == "1", ecg)
        path.with_name(f"{path.name}.hea").write_bytes(text.encode("ascii"))
    if ecg is not None and record.kind != "no_header":
        path.with_name(f"{path.name}.dat").write_bytes(ecg.astype("<i2").tobytes())
    if record.name[0] == "e" and rng.random() < _UNANNOTATED:
        return
    noisy, damaged = record.person.noisy, record.kind == "damaged_states"
    write_states(out, record.name, "hand", hand_rows(record.sound, noisy), damaged)
    write_states(out, record.name, "algorithm", algorithm_rows(rng, record.sound, noisy), damaged)


def _sound(record: _Record, counts: Counts) -> bytes:
    """Write out the sound, damaged in the way of the case."""
    kind = record.kind
    if kind == "silent":
        counts = (counts // 4096).astype(np.int16)
    elif kind == "too_short":
        counts = counts[: round(0.3 * FS)]
    elif kind == "stereo":
        counts = np.stack([counts, counts], axis=1)
    data = wav(counts, 4 * FS if kind == "other_rate" else FS)
    if kind in ("list_chunk", "validation_copy_renamed"):
        return with_list_chunk(data, record.name)
    if kind == "truncated_sound":
        return data[: len(data) // 2]
    return b"" if kind == "empty_sound" else data


def _truth(record: _Record) -> dict[str, Any]:
    """Give what is behind a record, for those who score against it."""
    person = record.person
    return {
        "case": record.kind,
        "abnormal": person.abnormal,
        "noisy": person.noisy,
        "findings": list(person.findings),
        "label": record.label,
        "quality": record.quality,
        "ecg": record.ecg,
        "copy_of": record.source,
        **record.sound.truth(),
    }
