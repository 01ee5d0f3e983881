"""Pack one shard: read, convert, quantise, hash, in one stream."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pahcl.errors import RecordError, SpecError, told_by
from pahcl.files import write_atomically, write_json
from pahcl.signals import Recording, SignalSpec, convert_record, quality_flags
from pahcl.signals.convert import known_plan
from pahcl.signals.leads import apply_plan
from pahcl.signals.quality import FLAGS
from pahcl.store.manifest import SHARDS, Rejection, ShardInfo, shard_name
from pahcl.store.patience import Reader, read_patiently
from pahcl.store.plan import PARTS
from pahcl.store.quantise import exact_steps, quantise

QUALITY_COLUMNS = tuple(f"quality/{flag}" for flag in FLAGS)

LAYOUT_FIELDS = (
    pa.field("shard", pa.int32()),
    pa.field("offset", pa.int64()),
    pa.field("length", pa.int64()),
    pa.field("scale", pa.list_(pa.float64())),
    pa.field("digest", pa.string()),
    pa.field("source_sha256", pa.string()),
)
QUALITY_FIELDS = tuple(pa.field(name, pa.int32()) for name in QUALITY_COLUMNS)
OWN_COLUMNS = frozenset({field.name for field in LAYOUT_FIELDS} | set(QUALITY_COLUMNS))

READER_ERRORS = (
    RecordError,
    SpecError,
    OSError,
    ValueError,
    LookupError,
    EOFError,
    struct.error,
)
"""What a reader, or the library beneath it, raises for a record that cannot be read. Any other
`PahclError` (a damaged parent store, a table that vanished) is no record's fault and ends the work,
and so does what `read_patiently` makes of a machine that cannot read.
"""


@dataclass(frozen=True)
class ShardJob:
    """Hold all that a worker needs to write one shard.

    Args:
        out: The store's folder.
        number: The shard's number.
        rows: Its rows of the index.
        schema: Arrow types of the index columns that are kept, the same for every shard.
        read: Reads one row; picklable.
        conversion: What every recording is converted to.
        measure_quality: Whether quality flags are measured here, or came with the index.
        root: The folder that the reader reads from, where it is known.
    """

    out: Path
    number: int
    rows: pd.DataFrame
    schema: pa.Schema
    read: Reader
    conversion: SignalSpec
    measure_quality: bool = True
    root: Path | None = None


@dataclass(frozen=True)
class Packed:
    """Hold one record as it goes into a shard.

    Args:
        samples: `[leads, samples]` int16.
        scale: `[leads]` physical units per step.
        source_sha256: Checksum of the publisher's bytes, if the reader gave one.
        quality: Number of leads for each quality flag.
    """

    samples: npt.NDArray[np.int16]
    scale: npt.NDArray[np.float64]
    source_sha256: str | None
    quality: dict[str, int]


def pack_record(recording: Recording, conversion: SignalSpec, measure_quality: bool) -> Packed:
    """Convert one recording and quantise it.

    Quality is measured on the leads that are kept, before missing samples are repaired and before
    the rate is changed.

    Raises:
        RecordError: Nothing of the record can be kept.
        SpecError: The record does not fit the contract.
    """
    if recording.signal.shape[1] == 0:
        raise RecordError("the record holds no sample")
    # Most publishers interleave the leads; every step below goes along time, lead by lead.
    recording = replace(recording, signal=np.ascontiguousarray(recording.signal))
    plan = known_plan(tuple(recording.leads), conversion.leads)
    signal = apply_plan(recording.signal, plan)
    finite = np.isfinite(signal)
    if not finite.any():
        raise RecordError(f"none of the {signal.shape[1]} samples a lead is a finite number")
    quality = quality_flags(signal, recording.fs, recording.unit) if measure_quality else {}
    converted = convert_record(recording, conversion)
    if converted.signal.shape[1] == 0:
        raise RecordError(
            f"{signal.shape[1]} sample(s) at {recording.fs:g} Hz are none at {conversion.fs:g} Hz"
        )
    if converted.signal is not signal and not np.isfinite(converted.signal).all():
        raise RecordError("the converted signal is too large for float32")
    step = converted.resolution
    samples = None if step is None else exact_steps(converted.signal, step)
    if samples is not None and step is not None:
        return Packed(samples, step, recording.source_sha256, quality)
    samples, scale = quantise(converted.signal, step, None if step is None else ~finite)
    return Packed(samples, scale, recording.source_sha256, quality)


def write_shard(job: ShardJob) -> int:
    """Write the samples, the table and, last, the done marker of one shard.

    Returns:
        The number of the shard.

    Raises:
        DataError: The machine cannot read the publisher's files.
        OSError: The store's folder cannot be written.
    """
    records: list[dict[str, Any]] = []
    kept: list[int] = []
    rejected: list[Rejection] = []
    info: list[ShardInfo] = []

    def fill(stream: IO[bytes]) -> None:
        checksum = hashlib.sha256()
        offset = 0
        for position, row in enumerate(cast("list[dict[str, Any]]", job.rows.to_dict("records"))):
            try:
                recording = read_patiently(job.read, row, job.root)
                _require_same_record(recording, row)
                packed = pack_record(recording, job.conversion, job.measure_quality)
            except READER_ERRORS as error:
                reason = reason_of(error, row["record_id"])
                rejected.append(Rejection(row["file"], row["record_id"], reason))
                continue
            stream.write(packed.samples.data)
            checksum.update(packed.samples.data)
            kept.append(position)
            records.append(_describe(packed, job.number, offset))
            offset += packed.samples.size
        name = shard_name(job.number)
        info.append(ShardInfo(name, len(kept), offset, checksum.hexdigest()))

    write_atomically(job.out / SHARDS / shard_name(job.number), fill)
    table = _part_table(job, kept, records)
    part, marker = part_paths(job.out, job.number)
    write_atomically(part, lambda stream: pq.write_table(table, stream))
    done = {"shard": asdict(info[0]), "rejected": [asdict(item) for item in rejected]}
    write_json(marker, done, sort_keys=True)
    return job.number


def part_paths(out: Path, number: int) -> tuple[Path, Path]:
    """Name the table and the done marker of a shard while the store is incomplete."""
    return out / PARTS / f"{number:05d}.parquet", out / PARTS / f"{number:05d}.json"


def read_marker(out: Path, number: int) -> tuple[ShardInfo, list[Rejection]] | None:
    """Read the done marker of a shard; None if the shard has still to be written."""
    part, marker = part_paths(out, number)
    try:
        values = json.loads(marker.read_text(encoding="utf-8"))
        info = ShardInfo(**values["shard"])
        rejected = [Rejection(**item) for item in values["rejected"]]
        # After a power cut a file may be shorter than it was when the marker was written.
        size = (out / SHARDS / info.file).stat().st_size
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return (info, rejected) if size == 2 * info.samples and part.is_file() else None


def reason_of(error: Exception, record_id: str) -> str:
    """Say in one line why a record was rejected, without its name or paths of this machine."""
    if isinstance(error, RecordError):
        return error.reason
    if isinstance(error, SpecError):
        return str(error).removeprefix(f"Record {record_id} does not fit the contract: ")
    text = told_by(error, most=400)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    return " ".join(f"{type(error).__name__}: {text}".split())


def _require_same_record(recording: Recording, row: Mapping[str, Any]) -> None:
    if recording.record_id != row["record_id"]:
        raise RecordError(f"the reader returned the record {recording.record_id!r}")


def _describe(packed: Packed, shard: int, offset: int) -> dict[str, Any]:
    return {
        "shard": shard,
        "offset": offset,
        "length": packed.samples.shape[1],
        "scale": packed.scale.tolist(),
        "digest": hashlib.sha256(packed.samples.data).hexdigest(),
        "source_sha256": packed.source_sha256,
        **{f"quality/{flag}": count for flag, count in packed.quality.items()},
    }


def _part_table(job: ShardJob, kept: list[int], records: list[dict[str, Any]]) -> pa.Table:
    """Join the index rows that were kept with what the writer knows of them."""
    names = [field.name for field in job.schema]
    rows = job.rows.iloc[kept][names].reset_index(drop=True)
    table = pa.Table.from_pandas(rows, schema=job.schema, preserve_index=False)
    for field in (*LAYOUT_FIELDS, *(QUALITY_FIELDS if job.measure_quality else ())):
        values = pa.array([record[field.name] for record in records], type=field.type)
        table = table.append_column(field, values)
    return table.replace_schema_metadata(job.schema.metadata)
