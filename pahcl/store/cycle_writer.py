"""Find the heart cycles of a whole store: in parallel, resumable after a kill at any instant."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pahcl.errors import PahclError, StoreError, UsageError
from pahcl.files import (
    appearing,
    canonical_json,
    is_temporary,
    plain,
    sha256_file,
    sha256_text,
    write_atomically,
    write_json,
)
from pahcl.signals.heart_cycles.cycles import BOUNDARIES, HeartCycles
from pahcl.signals.heart_cycles.digest import code_digest
from pahcl.signals.heart_cycles.quality import QualityCheck
from pahcl.store.bar import Bar
from pahcl.store.cycle_counts import Groups, PerRecord
from pahcl.store.cycle_finders import (
    SOUND,
    Finder,
    Found,
    settings_apart,
    sound_of,
)
from pahcl.store.cycles import (
    FLAG,
    MEASURE,
    CycleManifest,
    CycleTable,
    again,
    cycle_paths,
    plain_settings,
    read_cycle_manifest,
    schema_of,
)
from pahcl.store.finish import join_tables
from pahcl.store.manifest import CYCLES
from pahcl.store.plan import PARTS
from pahcl.store.pool import work_off
from pahcl.store.reader import SignalStore, kept_open
from pahcl.store.writer import writing_to

CHUNK_RECORDS = 16
"""Records of one part of the work: some seconds of a worker's time."""

_NOTHING: Groups = {}


@dataclass(frozen=True)
class ChunkJob:
    """Hold all that a worker needs to find the cycles of some records.

    Args:
        store: The store.
        rows: Their rows of its table, indexed by their numbers.
        finder: Finds the cycles.
        checks: Judge them.
        parts: Folder of the unfinished table.
        number: Number of the part.
    """

    store: Path
    rows: pd.DataFrame
    finder: Finder
    checks: tuple[QualityCheck, ...]
    parts: Path
    number: int


def write_cycles(
    store: SignalStore,
    finder: Finder,
    *,
    name: str | None = None,
    checks: Iterable[QualityCheck] | None = None,
    groups: Groups = _NOTHING,
    workers: int | None = 1,
    progress: bool = True,
) -> CycleTable:
    """Find the heart cycles of all records, or go on where an earlier call was stopped.

    The store itself stays as it is. The bytes depend on its records and on the settings alone, not
    on the number of workers or on what was killed and when. A complete table of the same question
    is returned at once; one of a store that is not there any more is replaced.

    Args:
        store: A store of heart sounds.
        finder: Finds the cycles of one record.
        name: Name of the table; None takes the finder's.
        checks: Judge the cycles; None takes the finder's usual ones.
        groups: Records by task and class, for the counts.
        workers: Processes; 1 works in this one, None takes one for each processor.
        progress: Whether to show a progress bar where the error stream is a terminal.

    Raises:
        UsageError: The store holds no heart sounds, or an option is impossible.
        StoreError: A table of another question has this name, the folder cannot be written, or a
            worker died.
    """
    judges = finder.checks() if checks is None else tuple(checks)
    wanted = _question(store, finder, judges, name)
    if workers is not None and workers < 1:
        raise UsageError(f"`workers` must be at least 1, got {workers}.")
    with writing_to(store.path):
        if _complete(store, wanted) is None:
            try:
                _find_all(store, finder, judges, wanted, workers, progress)
                _finish(store, wanted, judges, groups)
            except FileNotFoundError:
                # Perhaps another process, asked the same, has finished the table and cleaned up.
                if _complete(store, wanted) is None:
                    raise
            except PahclError:
                for folder in (_parts(store.path, wanted), store.path / CYCLES):
                    with contextlib.suppress(OSError):
                        folder.rmdir()  # where nothing has been done
                raise
        clean_up(store.path, wanted.name)
    return store.cycles(wanted.name)


def _question(
    store: SignalStore, finder: Finder, checks: tuple[QualityCheck, ...], name: str | None
) -> CycleManifest:
    """Say what is asked: a manifest without what is not known yet.

    Raises:
        UsageError: The store holds no heart sounds, or the name is none.
    """
    if SOUND not in store.spec.leads:
        raise UsageError(
            f"{store.path} holds {store.spec.modality} signals ({', '.join(store.spec.leads)}): "
            f"heart cycles are found in heart sounds, which have the lead {SOUND}."
        )
    wanted = CycleManifest(
        name=finder.name if name is None else name,
        store=store.manifest.digest,
        finder={"name": finder.name, "settings": plain(finder.settings())},
        checks=[{"name": type(one).__name__, "settings": plain_settings(one)} for one in checks],
        counts={}, heart_rate={}, flags={}, labels={}, without=[], notes=[], table_sha256="",
    )  # fmt: skip
    cycle_paths(store.path, wanted.name)  # refuses what is no name
    return wanted


def _complete(store: SignalStore, wanted: CycleManifest) -> CycleTable | None:
    """Give the table if it is there and whole; None if it has to be written, perhaps again.

    Raises:
        StoreError: It is there, and its cycles were found in another way.
    """
    try:
        table = store.cycles(wanted.name)
    except StoreError:
        return None
    there = table.manifest
    for what in ("finder", "checks"):
        ours, asked = getattr(there, what), getattr(wanted, what)
        if canonical_json(ours) != canonical_json(asked):
            raise StoreError(
                f"{store.path} has heart cycles `{wanted.name}` that were made with another "
                f"{what.removesuffix('s')}: {settings_apart(ours, asked)}. Keep them, choose "
                f"another name, or: {again(store.path, wanted.name)}"
            )
    return table


def _parts(store: Path, wanted: CycleManifest) -> Path:
    """Name the folder of the unfinished table: another question, or other code, has another one."""
    question = {**wanted.to_dict(), "chunk": CHUNK_RECORDS, "code": code_digest()}
    digest = sha256_text(canonical_json(question))
    return store / CYCLES / f".{wanted.name}.{digest[:16]}.{PARTS}"


def clean_up(store: Path, name: str) -> None:
    """Remove what only an unfinished table needs."""
    for path in sorted((store / CYCLES).glob(f".{name}.*")):
        if path.name.endswith(f".{PARTS}"):
            shutil.rmtree(path, ignore_errors=True)
        elif is_temporary(path):
            path.unlink(missing_ok=True)


def _find_all(
    store: SignalStore,
    finder: Finder,
    checks: tuple[QualityCheck, ...],
    wanted: CycleManifest,
    workers: int | None,
    progress: bool,
) -> None:
    """Write the parts that are not there yet."""
    parts = _parts(store.path, wanted)
    parts.mkdir(parents=True, exist_ok=True)
    chunks = {
        number: range(begin, min(begin + CHUNK_RECORDS, len(store)))
        for number, begin in enumerate(range(0, len(store), CHUNK_RECORDS))
    }
    left = [number for number in chunks if _read_marker(parts, number) is None]
    table = store.table if left else pd.DataFrame()
    jobs = (
        ChunkJob(
            store=store.path,
            rows=table.iloc[chunks[number].start : chunks[number].stop],
            finder=finder,
            checks=checks,
            parts=parts,
            number=number,
        )
        for number in left
    )
    rows = {number: len(chunk) for number, chunk in chunks.items()}
    modules = [type(finder).__module__]
    with Bar(progress, f"cycles of {store.manifest.dataset}", rows, left) as bar:
        for number in work_off(write_chunk, jobs, len(left), workers, modules):
            bar.advance(rows[number])


def write_chunk(job: ChunkJob) -> int:
    """Find and judge the cycles of some records; write the rows and, last, the done marker.

    Returns:
        The number of the part.
    """
    store = kept_open(job.store.resolve())
    tables: list[pa.Table] = []
    without: list[dict[str, str]] = []
    notes: list[dict[str, str]] = []
    schema = _schema(job.checks)
    rows = cast("list[dict[str, Any]]", job.rows.to_dict("records"))
    for record, row in zip(job.rows.index, rows, strict=True):
        number, record_id = int(cast("int", record)), str(row["record_id"])
        recording = store.read(number)
        found = job.finder.find(recording, row)
        if len(found.cycles):
            judged = _judge(sound_of(recording), recording.fs, found, job.checks)
            tables.append(_rows(number, record_id, found.cycles, judged, schema))
        else:
            without.append({"record_id": record_id, "reason": found.refusal or "no whole cycle"})
        notes += [{"record_id": record_id, "note": note} for note in found.notes]
    part, marker = _part_paths(job.parts, job.number)
    table = pa.concat_tables(tables) if tables else schema.empty_table()
    write_atomically(part, lambda stream: pq.write_table(table, stream))
    write_json(marker, {"rows": table.num_rows, "without": without, "notes": notes})
    return job.number


def _schema(checks: tuple[QualityCheck, ...]) -> pa.Schema:
    measures = [name for check in checks for name in check.measures]
    return schema_of(measures, [name for check in checks for name in check.flags])


def _judge(
    signal: npt.NDArray[np.float32], fs: float, found: Found, checks: tuple[QualityCheck, ...]
) -> dict[str, npt.NDArray[Any]]:
    """Give the columns of measures and flags."""
    columns: dict[str, npt.NDArray[Any]] = {}
    for check in checks:
        quality = check(signal, fs, found.cycles)
        columns |= {MEASURE + name: values for name, values in quality.measures.items()}
        columns |= {FLAG + name: values for name, values in quality.flags.items()}
    return columns


def _rows(
    record: int,
    record_id: str,
    cycles: HeartCycles,
    judged: Mapping[str, npt.NDArray[Any]],
    schema: pa.Schema,
) -> pa.Table:
    count = len(cycles)
    columns = {
        "record": np.full(count, record),
        "record_id": [record_id] * count,
        "cycle": np.arange(count),
        **{name: getattr(cycles, name) for name in (*BOUNDARIES, "confidence")},
        **judged,
    }
    return pa.Table.from_arrays(
        [pa.array(columns[field.name], type=field.type) for field in schema], schema=schema
    )


def _part_paths(parts: Path, number: int) -> tuple[Path, Path]:
    return parts / f"{number:06d}.parquet", parts / f"{number:06d}.json"


def _read_marker(parts: Path, number: int) -> dict[str, Any] | None:
    """Read the done marker of a part; None if it has still to be written."""
    part, marker = _part_paths(parts, number)
    try:
        values: dict[str, Any] = json.loads(marker.read_text(encoding="utf-8"))
        # After a power cut a file may be shorter than it was when the marker was written.
        whole = pq.read_metadata(part).num_rows == values["rows"]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None
    return values if whole else None


def _finish(
    store: SignalStore, wanted: CycleManifest, checks: tuple[QualityCheck, ...], groups: Groups
) -> None:
    """Join the parts, count, and write the manifest last."""
    parts = _parts(store.path, wanted)
    numbers = range(-(-len(store) // CHUNK_RECORDS))
    markers = [_read_marker(parts, number) for number in numbers]
    done = [marker for marker in markers if marker is not None]
    if len(done) < len(markers):
        raise FileNotFoundError(f"{parts} lacks a part")
    paths = [_part_paths(parts, number)[0] for number in numbers]
    per_record, rates = _count(paths, len(store), [n for check in checks for n in check.flags])
    everyone = per_record.of(np.ones(len(store), dtype=np.bool_))
    middle, low, high = (
        float(np.quantile(rates, share)) if len(rates) else None for share in (0.5, 0.05, 0.95)
    )
    complete = replace(
        wanted,
        counts={key: value for key, value in everyone.items() if key != "flags"},
        heart_rate={"median": middle, "p5": low, "p95": high},
        flags=everyone["flags"],
        labels=per_record.by_label(groups),
        without=[one for marker in done for one in marker["without"]],
        notes=[one for marker in done for one in marker["notes"]],
    )
    _put(store.path, complete, paths)


def _put(store: Path, complete: CycleManifest, paths: list[Path]) -> None:
    """Join the parts to the table, and write the manifest last.

    The checksum is that of the rows written here: of two processes that put tables of different
    questions there at once, neither takes the other's rows for its own.
    """
    table, manifest = cycle_paths(store, complete.name)
    with appearing(table) as draft:
        with draft.open("wb") as stream:
            join_tables(paths, stream)
        complete = replace(complete, table_sha256=sha256_file(draft))
        if _there(store, complete.name) != complete:  # else another process, asked the same
            manifest.unlink(missing_ok=True)  # never one beside the rows of another
    write_json(manifest, complete.to_dict(), sort_keys=True)


def _there(store: Path, name: str) -> CycleManifest | None:
    try:
        return read_cycle_manifest(store, name)
    except StoreError:
        return None


def _count(
    paths: list[Path], records: int, flags: list[str]
) -> tuple[PerRecord, npt.NDArray[np.float64]]:
    """Count the cycles and flags of every record, and take each one's median heart rate."""
    counts = PerRecord(
        cycles=np.zeros(records, dtype=np.int64),
        flagged=np.zeros(records, dtype=np.int64),
        flags={name: np.zeros(records, dtype=np.int64) for name in flags},
    )
    rates: list[float] = []
    for frame in _frames(paths, flags):
        record = frame["record"].to_numpy()
        rate = (60.0 / (frame["end"] - frame["start"])).groupby(record).median()
        rates += rate.tolist()
        marked = frame[[FLAG + name for name in flags]].to_numpy(dtype=np.bool_)
        np.add.at(counts.cycles, record, 1)
        np.add.at(counts.flagged, record[marked.any(axis=1)], 1)
        for place, name in enumerate(flags):
            np.add.at(counts.flags[name], record[marked[:, place]], 1)
    return counts, np.array(rates)


def _frames(paths: list[Path], flags: list[str]) -> Iterator[pd.DataFrame]:
    columns = ["record", "start", "end", *(FLAG + name for name in flags)]
    for path in paths:
        frame = cast("pd.DataFrame", pq.read_table(path, columns=columns).to_pandas())
        if len(frame):
            yield frame
