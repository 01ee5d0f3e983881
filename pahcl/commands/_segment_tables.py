"""The tables and the contact sheets of `pahcl segment`, written from its journal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from pahcl import files
from pahcl.commands._segment_files import Listed
from pahcl.commands._segment_journal import Journal
from pahcl.commands._segment_one import UNREADABLE
from pahcl.commands._segment_source import open_recording
from pahcl.errors import RecordError
from pahcl.signals.heart_cycles import BOUNDARIES, HeartCycles, Segmentation
from pahcl.signals.states import HeartStates

if TYPE_CHECKING:
    from pahcl.reports.heart_sound_sheet import Missing
    from pahcl.reports.heart_sound_view import HeartSoundView

SUMMARY, CYCLES, SHEET = "summary.csv", "cycles.csv", "sheet"

SUMMARY_COLUMNS = (
    "file", "status", "states", "seconds", "fs", "channels", "ecg", "segmenter", "cycles", "kept",
    "heart_rate", "sdnn_ms", "rmssd_ms", "normal", "ectopic", "systole_diastole_ratio", "s1_ms",
    "systole_ms", "s2_ms", "diastole_ms", "confidence", "annotated_share", "flags", "refusal",
    "notes",
)  # fmt: skip

CYCLE_COLUMNS = ("file", "cycle", *BOUNDARIES, "heart_rate", "confidence", "kept", "flags")


def write_tables(out: Path, journal: Journal, names: list[str]) -> None:
    """Write one row a recording, and one row a cycle.

    Args:
        out: The folder of the results.
        journal: What is known of the recordings.
        names: The recordings, in the order of the tables.

    Raises:
        OSError: The tables cannot be written.
    """
    summary = ([e["row"].get(name) for name in SUMMARY_COLUMNS] for e in journal.entries(names))
    _write(out / SUMMARY, SUMMARY_COLUMNS, summary)
    _write(out / CYCLES, CYCLE_COLUMNS, _cycle_rows(journal, names))


def _cycle_rows(journal: Journal, names: list[str]) -> Iterator[list[Any]]:
    for entry in journal.entries(names):
        for number, row in enumerate(entry["cycles"]):
            start, *_, end = row[: len(BOUNDARIES)]
            rate = round(60 / (end - start), 3)
            yield [entry["name"], number, *row[: len(BOUNDARIES)], rate, *row[len(BOUNDARIES) :]]


def _write(path: Path, columns: Iterable[str], rows: Iterable[list[Any]]) -> None:
    def fill(stream: IO[bytes]) -> None:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        table = csv.writer(text, lineterminator="\n")
        table.writerow(columns)
        table.writerows([_cell(value) for value in row] for row in rows)
        text.flush()
        text.detach()

    files.write_atomically(path, fill)


def _cell(value: Any) -> Any:
    """Write what is not known as nothing, and truth values as pandas reads them."""
    return "" if value is None else value


def sheet_names(count: int) -> list[str]:
    """Name the contact sheets that so many recordings take."""
    from pahcl.reports.heart_sound_sheet import PER_SHEET

    sheets = -(-count // PER_SHEET)
    return [f"{SHEET}.png" if not k else f"{SHEET}_{k + 1}.png" for k in range(sheets)]


def write_sheets(
    out: Path, journal: Journal, recordings: list[Listed], title: str
) -> Iterator[Path]:
    """Write the contact sheets, a page of recordings at a time, and give each one's path.

    Raises:
        OSError: They cannot be written.
    """
    from pahcl.reports.datasets import save
    from pahcl.reports.heart_sound_sheet import PER_SHEET, contact_sheet

    pages = sheet_names(len(recordings))
    for number, name in enumerate(pages):
        shown = recordings[number * PER_SHEET : (number + 1) * PER_SHEET]
        entries = journal.entries([one.name for one in shown])
        views = [_view(out, one, entry) for one, entry in zip(shown, entries, strict=True)]
        place = f", sheet {number + 1} of {len(pages)}" if len(pages) > 1 else ""
        save(contact_sheet(views, f"{title}{place}"), out / name)
        yield out / name


def _view(out: Path, listed: Listed, entry: dict[str, Any]) -> HeartSoundView | Missing:
    """Read what a thumbnail shows: some seconds of the sound, and what was found in it."""
    from pahcl.reports.heart_sound_sheet import Missing, thumbnail_span
    from pahcl.reports.heart_sound_view import HeartSoundView

    row = entry["row"]
    if row["status"] == UNREADABLE:
        return Missing(listed.name, row["refusal"])
    found, kept = known_segmentation(out, entry)
    begin, end = thumbnail_span(found.duration)
    try:
        source = open_recording(listed, ecg=False)
        samples = source.span(begin, end)
    except (RecordError, OSError) as error:
        return Missing(listed.name, str(error))
    return HeartSoundView(listed.name, samples, source.fs, found, begin, kept)


def known_segmentation(out: Path, entry: dict[str, Any]) -> tuple[Segmentation, Any]:
    """Make again what was found in a recording, and which of its cycles are kept.

    The states are those of the file beside the tables: rejected cycles are unannotated there.

    Args:
        out: The folder of the results.
        entry: What the journal knows of the recording.
    """
    row, cycles = entry["row"], entry["cycles"]
    text = (out / row["states"]).read_text(encoding="utf-8")
    lines = np.array([line.split("\t") for line in text.splitlines()], dtype=np.float64)
    lines = lines.reshape(-1, 3)
    times = np.array([one[: len(BOUNDARIES)] for one in cycles], dtype=np.float64)
    times = times.reshape(-1, len(BOUNDARIES)).T
    confidence = np.array([one[len(BOUNDARIES)] for one in cycles], dtype=np.float32)
    found = Segmentation(
        HeartStates(lines[:, 0], lines[:, 1], lines[:, 2].astype(np.int8)),
        HeartCycles(**dict(zip(BOUNDARIES, times, strict=True)), confidence=confidence),
        row["seconds"],
        row["segmenter"],
        row["refusal"] or None,
        tuple(note for note in [row["notes"]] if note),
    )
    return found, np.array([one[len(BOUNDARIES) + 1] for one in cycles], dtype=np.bool_)
