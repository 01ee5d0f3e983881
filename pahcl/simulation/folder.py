"""A newcomer's own folder: heart sounds in wav files, named in a table that a person kept.

The layout of `docs/own_data.md`. Half of the persons have a systolic murmur, who are the ones to be
found. A table kept by hand is never clean, and neither is this one.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from pahcl.errors import UsageError
from pahcl.simulation.corpus import claim_folder, write_mark
from pahcl.simulation.heart_sound import Heart, Murmur, Rhythm, Scene, simulate

FS = 4000
SECONDS = (4.0, 9.0)
"""Shortest and longest recording."""

TABLE = "recordings.csv"
SOUNDS = "sounds"
COLUMNS = ("file", "patient", "age", "sex", "murmur")
MOST_RECORDS = 99_999
_LAYOUT = (TABLE, SOUNDS)
_LEVEL = 0.25


@dataclass(frozen=True)
class _Person:
    """Describe a person."""

    name: str
    age: int
    sex: str
    heart: Heart
    murmur: str


def write(
    out: Path,
    records: int = 1000,
    seed: int = 0,
    ugly: bool = True,
    progress: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Write a folder of wav files with a table, unless that very one is there already.

    Args:
        out: New or empty folder, or one with the same corpus.
        records: Recordings in which nothing is wrong, one or two of each person.
        seed: The same seed gives the same bytes.
        ugly: Add what goes wrong with one's own files: one that is cut off, an empty one, one that
            is text, one that is missing, one that no row names, a row that is there twice, a row
            without a person, one without an answer.
        progress: Called with 1 after each record.

    Returns:
        Counts: `records`, `subjects`, `table_rows`, and one of each ugly case.

    Raises:
        UsageError: `out` holds something else, or too many records are asked for.
        DataError: `out` cannot be made.
    """
    if records > MOST_RECORDS:
        raise UsageError(f"--records must be at most {MOST_RECORDS} here, got {records}.")
    question = {"seed": seed, "records": records, "ugly": ugly}
    there = claim_folder(out, "folder", _LAYOUT, question)
    if there is not None:
        return there
    (out / SOUNDS).mkdir()
    rows: list[list[str]] = []
    truth = {}
    people = 0
    while len(rows) < records:
        person = _person(seed, people)
        people += 1
        for site in range(min(1 + people % 2, records - len(rows))):
            name = f"rec_{len(rows) + 1:05d}.wav"
            truth[name] = _record(out / SOUNDS / name, person, site, (seed, len(rows)))
            rows.append(_row(name, person))
            if progress is not None:
                progress(1)
    counts = {"records": records, "subjects": people}
    if ugly:
        counts |= _ugly(out, rows, seed)
    counts["table_rows"] = len(rows)
    with (out / TABLE).open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    write_mark(out, "folder", question, {"complete": True, "counts": counts, "truth": truth})
    return counts


def _person(seed: int, number: int) -> _Person:
    """Draw a person; every other one has a murmur."""
    rng = np.random.default_rng((seed, 1, number))
    murmurs: tuple[Murmur, ...] = ()
    if number % 2:
        murmurs = (Murmur(timing="holo", grade=int(rng.integers(3, 5)), origin="MV"),)
    rhythm = Rhythm(rate=float(rng.uniform(55, 105)))
    heart = Heart(rhythm=rhythm, murmurs=murmurs, pitch=float(rng.uniform(0.9, 1.15)))
    sex = "FM"[int(rng.integers(2))]
    answer = "present" if murmurs else "absent"
    return _Person(f"P{number + 1:04d}", int(rng.integers(4, 90)), sex, heart, answer)


def _record(path: Path, person: _Person, site: int, seed: tuple[int, int]) -> dict[str, object]:
    """Record a person and give the truth."""
    rng = np.random.default_rng((*seed, 2))
    seconds = float(rng.uniform(*SECONDS))
    scene = Scene(fs=FS, duration=seconds, site="MV" if site == 0 else "TV", gain=_LEVEL)
    sound = simulate(person.heart, scene, (*seed, 3))
    soundfile.write(path, sound.signal, FS, subtype="PCM_16")
    return {"subject": person.name, "murmur": person.murmur, **sound.truth()}


def _row(name: str, person: _Person) -> list[str]:
    return [f"{SOUNDS}/{name}", person.name, str(person.age), person.sex, person.murmur]


def _ugly(out: Path, rows: list[list[str]], seed: int) -> dict[str, int]:
    """Add what goes wrong; each kind once."""
    folder = out / SOUNDS
    good = folder / "rec_00001.wav"
    data = good.read_bytes()
    spoilt = {
        "cut_off.wav": data[: len(data) // 2],
        "empty.wav": b"",
        "text.wav": b"file is on the other laptop\r\n",
    }
    for place, (name, content) in enumerate(spoilt.items()):
        (folder / name).write_bytes(content)
        rows.append(_row(name, _person(seed, 10_000 + place)))
    rows.append(_row("lost.wav", _person(seed, 10_100)))
    shutil.copyfile(good, folder / "nobody_knows.wav")
    rows.append(list(rows[0]))
    for name, column in (("no_person.wav", 1), ("no_answer.wav", 4)):
        person = _person(seed, 10_200 + column)
        _record(folder / name, person, 0, (seed, 10_200 + column))
        row = _row(name, person)
        row[column] = ""
        rows.append(row)
    return {
        "cut_off": 1, "empty": 1, "text": 1, "lost": 1, "not_in_table": 1, "twice": 1,
        "without_person": 1, "without_answer": 1,
    }  # fmt: skip
