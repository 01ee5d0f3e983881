"""Write a store's heart cycles as single files, in the layout that PA-HCL's programs read.

    <out>/subject_<id>/rec_<id>/cycle_000.npy    float32, one cycle; parts as cycle_000_sub_0.npy
    <out>/labels.csv                             file, subject and the data set's labels
    <out>/cycles.tsv                             where each cycle lies, its measures and flags
    <out>/processing_stats.json                  counts; written last: with it the export is whole
    <out>/export.json                            what this is an export of

A cycle's number is that in the store's table, whatever is left out.
"""

from __future__ import annotations

import functools
import io
import json
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

import pahcl
from pahcl.errors import StoreError, UsageError
from pahcl.files import folder_appearing, is_temporary, sha256_text, write_json, write_text
from pahcl.signals import crop_or_pad
from pahcl.signals.heart_cycles.preparation import prepare
from pahcl.store.bar import Bar
from pahcl.store.cycle_counts import Groups
from pahcl.store.cycle_finders import sound_of
from pahcl.store.cycle_report import dropped_by_label, read_statistics, statistics
from pahcl.store.cycles import CycleTable
from pahcl.store.pool import work_off
from pahcl.store.reader import SignalStore, kept_open
from pahcl.store.writer import writing_to

PLAN, STATS, LABELS, POSITIONS = "export.json", "processing_stats.json", "labels.csv", "cycles.tsv"
EXPORT_FORMAT = 1
CHUNK_RECORDS = 8
_MOST_LETTERS = 80


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """Say how cycles are written; the defaults are PA-HCL's.

    Args:
        fs: Rate of the files in Hz.
        length: Samples of a cycle: longer ones lose both ends, shorter ones get zeros around them.
            None leaves each as long as it is.
        band: Pass band in Hz, filtered over the whole recording.
        parts: Cut each cycle into so many equal parts as well; 0 does not.
        reject: Flags of cycles that are left out.
    """

    fs: float = 5000.0
    length: int | None = 4000
    band: tuple[float, float] = (25.0, 400.0)
    parts: int = 0
    reject: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 2 * self.band[1] < self.fs < float("inf"):
            raise UsageError(
                f"Cycles are exported at a rate above {2 * self.band[1]:g} Hz, which their band "
                f"needs, got {self.fs:g} Hz."
            )
        if self.length is not None and self.length < 1:
            raise UsageError(f"A cycle has at least 1 sample, got the length {self.length}.")
        most = 1000 if self.length is None else self.length
        if not 0 <= self.parts <= most:
            raise UsageError(f"A cycle is cut into 0 to {most} parts, got {self.parts}.")


@dataclass(frozen=True)
class _Record:
    """Hold what is written of one record: its row, its folder, and its cycles."""

    row: int
    folder: str
    cycle: npt.NDArray[np.int64]
    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]

    def bounds(self, fs: float) -> npt.NDArray[np.int64]:
        """Give first and last sample of each cycle, `[N, 2]`, at least one apart."""
        first, stop = (np.round(times * fs).astype(np.int64) for times in (self.start, self.end))
        return np.stack([first, np.maximum(stop, first + 1)], axis=1)


@dataclass(frozen=True)
class _Job:
    store: Path
    out: Path
    records: tuple[_Record, ...]
    settings: ExportSettings
    number: int = field(default=0)


def export_cycles(
    store: SignalStore,
    table: CycleTable,
    out: str | Path,
    settings: ExportSettings,
    *,
    groups: Groups | None = None,
    labels: pd.DataFrame | None = None,
    workers: int | None = 1,
    progress: bool = True,
) -> dict[str, Any]:
    """Write the cycles of a store as files, or go on where an earlier call was stopped.

    Args:
        store: The store.
        table: Its cycles.
        out: The folder: new, empty, or begun with the same question.
        settings: How they are written.
        groups: Records by task and class: what is left out is counted by them.
        labels: Columns for `labels.csv`, one row per record of the store.
        workers: Processes; None takes one for each processor.
        progress: Whether to show a progress bar where the error stream is a terminal.

    Returns:
        What `processing_stats.json` holds.

    Raises:
        StoreError: The folder holds another export, or cannot be written.
        UsageError: It holds other files, or a flag is none of the table's.
    """
    folder = Path(out)
    keep = ~table.flagged(settings.reject)
    plan = {
        "format_version": EXPORT_FORMAT,
        "code_version": pahcl.__version__,
        "store": store.manifest.digest,
        "cycles": table.manifest.name,
        "table_sha256": table.manifest.table_sha256,
        **asdict(settings),
    }
    with writing_to(folder):
        _agree(folder, json.loads(json.dumps(plan)))
        if (folder / STATS).is_file():
            return read_statistics(folder / STATS)
        began = time.monotonic()
        folders = _folders(store)
        seconds = _write_files(store, table, keep, folders, folder, settings, workers, progress)
        files = _file_names(table, folders)
        _write_tables(store, table, keep, files, folder, labels)
        stats = statistics(
            store, table, keep, settings.fs, settings.length, settings.parts, seconds
        )
        stats["global_stats"]["total_processing_time_sec"] = round(time.monotonic() - began, 3)
        stats["rejected"] = dropped_by_label(table, keep, settings.reject, groups or {})
        _clean_up(folder)
        write_json(folder / STATS, stats)
    return stats


def _agree(out: Path, plan: Mapping[str, Any]) -> None:
    """Begin an export, or see that the one which was begun is the same.

    Raises:
        StoreError: It is another one, or cannot be understood.
        UsageError: The folder holds other files.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"`--export-cycles` must be a folder, but {out} is a file.")
    out.mkdir(parents=True, exist_ok=True)
    path = out / PLAN
    if not path.is_file():
        foreign = sorted(one.name for one in out.iterdir() if not is_temporary(one))
        if foreign:
            raise UsageError(
                f"{out} holds files that are no export of cycles ({', '.join(foreign[:5])}). "
                "Choose an empty or a new folder for `--export-cycles`."
            )
        write_json(path, plan)
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        names = [name for name in {**there, **plan} if there.get(name) != plan.get(name)]
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} is damaged ({error}). Delete {out} and export again.") from error
    if names:
        what = "; ".join(f"{name}: {there.get(name)}, not {plan.get(name)}" for name in names[:4])
        raise StoreError(
            f"{out} holds another export ({what}). Choose another folder, or delete that one."
        )


def safe_names(ids: Iterable[str], prefix: str) -> dict[str, str]:
    """Name a folder for each identifier: letters, digits, `.`, `_` and `-`, and never the same.

    Where identifiers would share a name (also where a file system knows no small letters), or are
    cut, a checksum tells them apart.
    """
    clean: dict[str, str] = {}
    shared: dict[str, int] = {}
    for one in dict.fromkeys(ids):
        clean[one] = re.sub(r"[^A-Za-z0-9._-]+", "-", one).strip(".-")[:_MOST_LETTERS]
        shared[clean[one].casefold()] = shared.get(clean[one].casefold(), 0) + 1
    return {
        one: f"{prefix}{name}"
        if name and shared[name.casefold()] == 1 and len(one) <= _MOST_LETTERS
        else f"{prefix}{name}~{sha256_text(one)[:12]}"
        for one, name in clean.items()
    }


def _folders(store: SignalStore) -> list[str]:
    """Name the folder of each record."""
    ids = store.columns(["record_id", "subject_id"])
    records, subjects = (ids[name].astype(str).tolist() for name in ("record_id", "subject_id"))
    of_record, of_subject = safe_names(records, "rec_"), safe_names(subjects, "subject_")
    return [f"{of_subject[s]}/{of_record[r]}" for r, s in zip(records, subjects, strict=True)]


def _cycle_name(number: int) -> str:
    return f"cycle_{number:03d}"


def _file_names(table: CycleTable, folders: list[str]) -> list[str]:
    numbers = table.frame["cycle"].tolist()
    records = table.frame["record"].tolist()
    return [f"{folders[r]}/{_cycle_name(n)}.npy" for r, n in zip(records, numbers, strict=True)]


def _write_files(
    store: SignalStore,
    table: CycleTable,
    keep: npt.NDArray[np.bool_],
    folders: list[str],
    out: Path,
    settings: ExportSettings,
    workers: int | None,
    progress: bool,
) -> dict[int, float]:
    """Write the files of all records; give the seconds of those that were written now."""
    records = [one for one in _records(table, keep, folders) if len(one.cycle)]
    pieces = [records[at : at + CHUNK_RECORDS] for at in range(0, len(records), CHUNK_RECORDS)]
    left = [
        number
        for number, piece in enumerate(pieces)
        if not all(_is_whole(out, one, settings) for one in piece)
    ]
    place = store.path.resolve()
    jobs = (_Job(place, out, tuple(pieces[number]), settings, number) for number in left)
    rows = {number: len(piece) for number, piece in enumerate(pieces)}
    seconds: dict[int, float] = {}
    with Bar(progress, "export", rows, left) as bar:
        for number, taken in work_off(write_cycle_files, jobs, len(left), workers):
            seconds |= taken
            bar.advance(rows[number])
    return seconds


def _records(
    table: CycleTable, keep: npt.NDArray[np.bool_], folders: list[str]
) -> Iterator[_Record]:
    frame = table.frame
    number = frame["cycle"].to_numpy(dtype=np.int64)
    start, end = (frame[name].to_numpy(dtype=np.float64) for name in ("start", "end"))
    for row, folder in enumerate(folders):
        mine = np.arange(table.first[row], table.first[row + 1])
        mine = mine[keep[mine]]
        yield _Record(row, folder, number[mine], start[mine], end[mine])


def write_cycle_files(job: _Job) -> tuple[int, dict[int, float]]:
    """Write the cycles of some records.

    Each record's files are written into a hidden folder, which then takes its name: what is there
    is whole.

    Returns:
        The number of the job, and the seconds that each record took.
    """
    store = kept_open(job.store)
    seconds = {}
    for one in job.records:
        if _is_whole(job.out, one, job.settings):
            continue
        began = time.monotonic()
        with folder_appearing(job.out / one.folder) as draft:
            recording = store.read(one.row)
            prepared = _z_score(sound_of(recording), recording.fs, job.settings)
            for number, (first, stop) in zip(one.cycle, one.bounds(job.settings.fs), strict=True):
                cycle = prepared[first:stop]
                if job.settings.length is not None:
                    cycle = crop_or_pad(cycle[None], job.settings.length)[0][0]
                elif len(cycle) < stop - first:  # an annotation may run on behind its record
                    cycle = np.pad(cycle, (0, stop - first - len(cycle)))
                _save(draft, int(number), cycle, job.settings.parts)
        seconds[one.row] = round(time.monotonic() - began, 4)
    return job.number, seconds


def _z_score(
    signal: npt.NDArray[np.float32], fs: float, settings: ExportSettings
) -> npt.NDArray[np.float32]:
    """Resample, filter and divide by the spread over the whole recording; 0 where there is none."""
    filtered = prepare(signal, fs, settings.fs, settings.band).signal.astype(np.float64)
    spread = filtered.std()
    if spread < 1e-8:
        return np.zeros(len(filtered), dtype=np.float32)
    return np.asarray((filtered - filtered.mean()) / spread, dtype=np.float32)


def _parts_of(cycle: npt.NDArray[np.float32], parts: int) -> list[npt.NDArray[np.float32]]:
    edges = [place * len(cycle) // parts for place in range(parts + 1)] if parts else [0]
    return [cycle[first:stop] for first, stop in pairwise(edges)]


def _save(folder: Path, number: int, cycle: npt.NDArray[np.float32], parts: int) -> None:
    name = _cycle_name(number)
    np.save(folder / f"{name}.npy", np.ascontiguousarray(cycle, dtype=np.float32))
    for place, part in enumerate(_parts_of(cycle, parts)):
        np.save(folder / f"{name}_sub_{place}.npy", np.ascontiguousarray(part, dtype=np.float32))


def _is_whole(out: Path, record: _Record, settings: ExportSettings) -> bool:
    """Say whether the files of a record are there, each as long as it must be."""
    folder = out / record.folder
    if not folder.is_dir():
        return False
    found = {path.name: path.stat().st_size for path in folder.iterdir()}
    wanted = {}
    for number, (first, stop) in zip(record.cycle, record.bounds(settings.fs), strict=True):
        samples = int(stop - first) if settings.length is None else settings.length
        name = _cycle_name(int(number))
        wanted[f"{name}.npy"] = _size(samples)
        for place, part in enumerate(_parts_of(np.empty(samples, np.float32), settings.parts)):
            wanted[f"{name}_sub_{place}.npy"] = _size(len(part))
    return found == wanted


@functools.lru_cache(maxsize=4096)
def _size(samples: int) -> int:
    stream = io.BytesIO()
    np.save(stream, np.zeros(samples, dtype=np.float32))
    return len(stream.getvalue())


def _write_tables(
    store: SignalStore,
    table: CycleTable,
    keep: npt.NDArray[np.bool_],
    files: list[str],
    out: Path,
    labels: pd.DataFrame | None,
) -> None:
    """Write the table of labels, and that of positions."""
    record = table.frame["record"].to_numpy()
    subjects = store.columns(["subject_id"])["subject_id"].astype(str).to_numpy()[record]
    own = table.frame.drop(columns="record").rename(columns={"record_id": "record"})
    rate = 60.0 / (own["end"] - own["start"])
    shown = [file if kept else "" for file, kept in zip(files, keep, strict=True)]
    own.insert(0, "file", shown)
    own.insert(1, "subject", subjects)
    own.insert([*own.columns].index("confidence"), "heart_rate", rate)
    write_text(out / POSITIONS, own.to_csv(sep="\t", index=False, float_format="%.6g"))
    rows = pd.DataFrame({"file": files, "subject": subjects})
    if labels is not None:
        told = labels.iloc[record].reset_index(drop=True).convert_dtypes()  # 1 rather than 1.0
        rows = pd.concat([rows, told], axis=1)
    write_text(out / LABELS, rows[keep].to_csv(index=False))


def _clean_up(out: Path) -> None:
    """Remove what calls that were stopped have left."""
    for pattern in (".*", "subject_*/.*"):
        for path in sorted(out.glob(pattern)):
            if is_temporary(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
