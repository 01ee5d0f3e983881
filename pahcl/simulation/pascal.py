"""Write a synthetic corpus in the layout of the PASCAL heart sound challenge, sets A and B.

The layout follows Bentley et al., The PASCAL Classifying Heart Sounds Challenge 2011: sounds of a
phone at 44.1 kHz and of a digital stethoscope at 4 kHz, tables whose names are not those of the
files, several recordings of a patient in set B, marks of first and second sounds in set A, and a
part without labels.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pahcl.errors import UsageError
from pahcl.simulation.corpus import claim_folder, write_mark
from pahcl.simulation.heart_sound import Heart
from pahcl.simulation.pascal_people import RATES, Take, draw_person, draw_word, record
from pahcl.simulation.sound_files import Counts, wav, with_list_chunk

UGLY: Mapping[str, int] = {
    "unknown_label": 1,
    "two_labels_of_a_minute": 2,
    "marks_behind_the_end": 1,
    "name_as_the_file": 1,
    "row_without_file": 2,
    "file_without_row": 1,
    "truncated_sound": 2,
    "empty_sound": 1,
    "other_rate": 1,
    "stereo": 1,
    "near_silence": 1,
    "near_empty": 1,
}
"""Ugly cases, and how many of each a corpus has beside its good records."""

UNREADABLE = frozenset(
    {
        "row_without_file", "file_without_row", "truncated_sound", "empty_sound", "other_rate",
        "stereo", "near_silence", "near_empty",
    }
)  # fmt: skip
"""Ugly cases that a reader has to reject."""

IN_SET_A = frozenset({"two_labels_of_a_minute", "marks_behind_the_end", "near_silence"})
MOST_RECORDS = 3000
NUMBER = 7
_LAYOUT = ("set_a", "set_b", "set_a.csv", "set_b.csv", "set_a_timing.csv")
_OF_SET_A = 0.4
_UNLABELLED = {"a": 0.2, "b": 0.25}
_MARKED = 0.7
_SESSION = 1305030823364
_FIRST = dt.datetime(2011, 1, 15, 8, 30)


@dataclass
class _Record:
    """Hold what is written of one record.

    Args:
        which: The set.
        take: The recording.
        stamp: Minute in set A; patient, session and place in set B.
        labelled: Whether the table has its label.
        kind: Its case.
        subject: Who is heard.
    """

    which: str
    take: Take
    stamp: str
    labelled: bool
    kind: str
    subject: str

    @property
    def word(self) -> str:
        return self.take.label if self.labelled else ""

    @property
    def noisy(self) -> bool:
        """Whether the name says so, as it does of some in set B."""
        return self.which == "b" and self.take.noisy and self.word in ("normal", "murmur")

    @property
    def file(self) -> str:
        """Name of the file."""
        if not self.word:
            return f"{self.which.upper()}unlabelledtest__{self.stamp}.wav"
        return f"{self.word}_{f'noisy{self.word}' if self.noisy else ''}_{self.stamp}.wav"

    @property
    def fname(self) -> str:
        """Name of the file in the table, which is another one in most cases."""
        if self.kind == "name_as_the_file" or (self.which == "a" and self.word):
            return self.file
        if self.which == "a":
            return f"__{self.stamp}.wav"
        if not self.word:
            return f"Bunlabelledtest_{self.stamp}.wav"
        noisy = f"Btraining_noisy{self.word}_" if self.noisy else ""
        return f"Btraining_{self.word}_{noisy}{self.stamp}.wav"


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
            as many patients as records need.
        DataError: `out` cannot be made.
    """
    if records > MOST_RECORDS:
        raise UsageError(
            f"--records must be at most {MOST_RECORDS}, for patients of PASCAL have numbers of "
            f"three digits; got {records}."
        )
    question = {"seed": seed, "records": records, "ugly": ugly}
    there = claim_folder(out, "pascal", _LAYOUT, question)
    if there is not None:
        return there
    kinds = ["good"] * records
    kinds += [kind for kind, count in UGLY.items() for _ in range(count)] if ugly else []
    truth: dict[str, dict[str, Any]] = {}
    rows: dict[str, list[str]] = {"a": [], "b": []}
    marks: list[str] = []
    people = set()
    for one in _records(kinds, seed):
        _write_sound(out, one)
        if one.kind != "file_without_row":
            word = "gallop" if one.kind == "unknown_label" else one.word
            more = f"noisy{one.word}" if one.noisy else ""
            rows[one.which].append(f"{one.which},set_{one.which}/{one.fname},{word},{more}")
        marks += _marks(one, np.random.default_rng((seed, NUMBER, len(truth), 1)))
        truth[f"set_{one.which}/{one.file}"] = _truth(one)
        if one.kind == "good":
            people.add(one.subject)
            if progress is not None:
                progress(1)
    _write_tables(out, rows, marks)
    counts = _counts(records, len(people), kinds[records:])
    write_mark(out, "pascal", question, {"complete": True, "counts": counts, "records": truth})
    return counts


def _counts(records: int, subjects: int, kinds: list[str]) -> dict[str, int]:
    unreadable = sum(kind in UNREADABLE for kind in kinds)
    return {
        **{kind: kinds.count(kind) for kind in UGLY},
        "records": records,
        "subjects": subjects,
        "table_rows": records + len(kinds),
        "readable": records + len(kinds) - unreadable,
        "unreadable": unreadable,
    }


def _records(kinds: Sequence[str], seed: int) -> Iterator[_Record]:
    """Draw the records in turn, from the street (set A) or from the ward (set B)."""
    street, ward = _Street(), _Ward()
    for place, kind in enumerate(kinds):
        names = seed, NUMBER, place
        rng = np.random.default_rng(names)
        if kind in IN_SET_A or (kind == "good" and rng.random() < _OF_SET_A):
            yield street.record(rng, kind, names)
        else:
            yield ward.record(rng, kind, names)


class _Street:
    """Draw recordings of set A, each of somebody else, minute after minute."""

    def __init__(self) -> None:
        self._minute = 0
        self._before: _Record | None = None

    def record(self, rng: np.random.Generator, kind: str, names: tuple[int, ...]) -> _Record:
        """Draw the next one, or give the one before a second label."""
        before, self._before = self._before, None
        if before is not None and kind == "two_labels_of_a_minute":
            return _Record("a", _relabelled(before.take), before.stamp, True, kind, before.subject)
        self._minute += 1 + int(rng.integers(600))
        stamp = f"{_FIRST + dt.timedelta(minutes=self._minute):%Y%m%d%H%M}"
        words = {"two_labels_of_a_minute": "murmur", "marks_behind_the_end": "normal"}
        word = words.get(kind) or draw_word(rng, "a")
        take = record(rng, "a", draw_person(rng, word), word, names)
        if kind in words:
            take = replace(take, label=word)
        labelled = kind in words or (kind == "good" and bool(rng.random() >= _UNLABELLED["a"]))
        one = _Record("a", take, stamp, labelled, kind, stamp)
        self._before = one if kind == "two_labels_of_a_minute" else None
        return one


class _Ward:
    """Draw recordings of set B: a patient has up to six, one after the other."""

    def __init__(self) -> None:
        self._patient, self._visits = 100, 0
        self._word = "normal"
        self._heart = Heart()

    def record(self, rng: np.random.Generator, kind: str, names: tuple[int, ...]) -> _Record:
        """Draw the next one."""
        if not self._visits:
            self._patient, self._visits = self._patient + 1, 1 + int(rng.integers(6))
            self._word = draw_word(rng, "b")
            self._heart = draw_person(rng, self._word)
        self._visits -= 1
        # Extra beats come and go: one recording has them and the next one has none.
        absent = self._word == "extrastole" and rng.random() < 0.4
        word = "normal" if absent else self._word
        heart = draw_person(rng, word) if absent else self._heart
        position = "ABCD"[self._visits % 4]
        take = record(rng, "b", heart, word, names, position)
        number = "1" if self._visits > 3 else ""
        stamp = f"{self._patient}_{_SESSION + 997 * names[-1]}_{position}{number}"
        labelled = kind != "good" or bool(rng.random() >= _UNLABELLED["b"])
        return _Record("b", take, stamp, labelled, kind, str(self._patient))


def _relabelled(take: Take) -> Take:
    """Give a recording the second label that somebody else gave it."""
    return replace(take, truth="extrahls", label="extrahls")


def _write_sound(out: Path, one: _Record) -> None:
    """Write the sound, damaged in the way of the case."""
    folder = out / f"set_{one.which}"
    folder.mkdir(parents=True, exist_ok=True)
    if one.kind == "row_without_file":
        return
    fs, counts = RATES[one.which], one.take.counts
    if one.kind == "near_silence":
        counts = (counts // 4096).astype(np.int16)
    elif one.kind == "near_empty":
        counts = counts[: round(0.2 * fs)]
    elif one.kind == "stereo":
        counts = np.stack([counts, counts], axis=1)
    (folder / one.file).write_bytes(_wav(one, counts, fs))


def _wav(one: _Record, counts: Counts, fs: int) -> bytes:
    """Write out the bytes; a chunk with the name stands before the samples, as in all files."""
    data = with_list_chunk(wav(counts, 2 * fs if one.kind == "other_rate" else fs), one.stamp)
    if one.kind == "truncated_sound":
        return data[: len(data) // 2]
    return b"" if one.kind == "empty_sound" else data


def _marks(one: _Record, rng: np.random.Generator) -> list[str]:
    """Mark the middle of first and second sounds of some normal recordings of set A."""
    behind = one.kind == "marks_behind_the_end"
    if one.which != "a" or one.word != "normal" or not (behind or rng.random() < _MARKED):
        return []
    beats, fs = one.take.sound.beats, RATES["a"]
    last = len(one.take.sound.signal) / one.take.sound.fs
    rows, late = [], 10**6 if behind else 0
    pairs = zip(beats.first, beats.first_end, beats.second, beats.second_end, strict=True)
    for cycle, (first, first_end, second, second_end) in enumerate(pairs, start=1):
        if second_end < last:
            for sound, middle in (("S1", first + first_end), ("S2", second + second_end)):
                at = round(middle / 2 * fs) + late
                rows.append(f"set_a/{one.file},{cycle},{sound},{at}")
    return rows


def _write_tables(out: Path, rows: Mapping[str, Sequence[str]], marks: Sequence[str]) -> None:
    """Write the tables; that of set B has the line ends of another system."""
    head = "dataset,fname,label,sublabel"
    for which, end in (("a", "\n"), ("b", "\r\n")):
        (out / f"set_{which}").mkdir(exist_ok=True)
        text = end.join([head, *sorted(rows[which]), ""])
        (out / f"set_{which}.csv").write_bytes(text.encode("ascii"))
    text = "\n".join(["fname,cycle,sound,location", *marks, ""])
    (out / "set_a_timing.csv").write_bytes(text.encode("ascii"))


def _truth(one: _Record) -> dict[str, Any]:
    """Give what is behind a record, for those who score against it."""
    return {
        "case": one.kind,
        "subject": one.subject,
        "truth": one.take.truth,
        "label": one.word,
        "noisy": one.take.noisy,
        "findings": list(one.take.findings),
        **one.take.sound.truth(),
    }
