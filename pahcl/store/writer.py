"""Write a store: many shards at once, resumable after a kill at any instant."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

from pahcl.errors import DataError, StoreError, UsageError
from pahcl.files import canonical_json, sha256_text
from pahcl.signals import Filter, Modality, SignalSpec
from pahcl.store.bar import Bar
from pahcl.store.cluster import require_ray, write_all_on_ray
from pahcl.store.finish import clean_up, complete_manifest, finish
from pahcl.store.manifest import (
    MANIFEST,
    REQUIRED_COLUMNS,
    SHARDS,
    Index,
    Manifest,
    Rejection,
    read_manifest,
)
from pahcl.store.patience import Reader
from pahcl.store.plan import (
    PARTS,
    Plan,
    Recipe,
    agree_on_plan,
    digest_table,
    plain_config,
    read_plan,
    require_store_folder,
)
from pahcl.store.pool import write_all
from pahcl.store.shards import OWN_COLUMNS, ShardJob, read_marker

SHARD_RECORDS = 512
"""Records of one shard: 60 MB for 12 leads, 10 s, 500 Hz; seconds of a worker's time."""

Engine = Literal["local", "ray"]
"""Who writes the shards: processes of this machine, or a Ray cluster."""

SHOWN = 3
"""Rejections that an error names."""

_NO_FILTER = Filter()


@dataclass(frozen=True)
class Work:
    """Bundle what the writing of one store needs, whether from files or from another store.

    Args:
        recipe: What the bytes depend on.
        index: The records.
        read: Reads one row.
        conversion: What each recording is converted to; its filter is applied.
        measure_quality: Whether quality flags are measured, or came with the index.
        root: The folder that the reader reads from, where it is known.
    """

    recipe: Recipe
    index: Index
    read: Reader
    conversion: SignalSpec
    measure_quality: bool = True
    root: Path | None = None


def write_store(
    out: str | Path,
    index: Index,
    read: Reader,
    *,
    dataset: str,
    dataset_version: str,
    modality: Modality,
    fs: float,
    leads: tuple[str, ...],
    unit: str,
    filter: Filter = _NO_FILTER,
    workers: int | None = 1,
    shard_records: int = SHARD_RECORDS,
    shard: tuple[int, int] | None = None,
    progress: bool = True,
    config: Mapping[str, Any] | None = None,
    root: Path | None = None,
    engine: Engine = "local",
) -> Manifest | None:
    """Write one corpus at one rate, or go on where an earlier call was stopped.

    The bytes depend on index, records and options alone: not on workers, clocks, hosts, or on what
    was killed and when. A store that is complete already is returned at once.

    Args:
        out: The store's folder: new, empty, or begun with the same question.
        index: What the data set holds.
        read: Reads one row of `index.table` (a dict) into a `Recording`; picklable. It raises
            `RecordError` for a record that cannot be used; errors of the libraries that it calls
            (OSError, ValueError, LookupError, EOFError) reject it as well, but for what is the
            machine's fault: that is tried again, and ends the work if it lasts.
        dataset: Name of the data set.
        dataset_version: The publisher's version.
        modality: `ecg` or `pcg`.
        fs: Rate of the store in Hz; records at another rate are resampled.
        leads: Names of the leads that every record is brought to.
        unit: Physical unit that every record is brought to.
        filter: Zero-phase filter, applied once.
        workers: Processes; 1 writes in this one, None takes all that the engine has.
        shard_records: Rows of the index in one shard.
        shard: `(i, n)`, i in 0 … n - 1: write only every n-th shard from the i-th; then `merge`.
        progress: Whether to show a progress bar where the error stream is a terminal.
        config: Further options that change what is stored (plain types, no paths).
        root: The folder that the reader reads from: where it vanishes, no record is blamed.
        engine: `ray` writes the shards on a Ray cluster whose nodes share `root` and `out`; the
            bytes are the same.

    Returns:
        The manifest; None after a share of the work, unless the store is complete.

    Raises:
        StoreError: The folder holds another question or cannot be written, or a worker died.
        DataError: The index is of no use, the machine cannot read, or nothing could be kept.
        UsageError: An option is impossible.
    """
    _require_question(index, dataset, fs, leads)
    spec = SignalSpec(modality, float(fs), None, tuple(leads), unit, filter)
    recipe = Recipe(
        dataset, dataset_version, spec, shard_records, plain_config(config), digest_index(index)
    )
    work = Work(recipe, index, read, spec, root=root)
    return write(Path(out), work, workers, shard, progress, engine)


def merge(out: str | Path) -> Manifest:
    """Finish a store whose shards were written with `shard=(i, n)`.

    Raises:
        StoreError: Shards are missing (named), nothing was begun here, or the folder cannot be
            written.
    """
    folder = Path(out)
    with writing_to(folder):
        if (folder / MANIFEST).is_file():
            manifest = read_manifest(folder)
            clean_up(folder)
            return manifest
        plan = read_plan(folder)
        if plan is None:
            raise StoreError(
                f"There is nothing to merge in {folder}. Run `pahcl prepare` with `--shard i/n` "
                f"and `--out {folder}` for every i from 0 to n - 1 first."
            )
        return finish(folder, plan)


def write(
    out: Path,
    work: Work,
    workers: int | None,
    shard: tuple[int, int] | None,
    progress: bool,
    engine: Engine = "local",
) -> Manifest | None:
    """Write a store as `write_store` tells, from files or from another store."""
    _require_options(work.recipe.shard_records, workers, shard)
    if engine == "ray":
        require_ray()
    require_store_folder(out)
    with writing_to(out):
        try:
            return _write(out, work, workers, shard, progress, engine)
        except (FileNotFoundError, StoreError):
            # Perhaps another process, asked the same, has finished the store and cleaned up.
            manifest = complete_manifest(out, work.recipe)
            if manifest is None:
                raise
            clean_up(out)
            return manifest


def _write(
    out: Path,
    work: Work,
    workers: int | None,
    shard: tuple[int, int] | None,
    progress: bool,
    engine: Engine,
) -> Manifest | None:
    manifest = complete_manifest(out, work.recipe)
    if manifest is not None:
        clean_up(out)
        return manifest
    table, plan = _make_plan(work)
    schema = index_schema(table)
    for folder in (out, out / SHARDS, out / PARTS):
        folder.mkdir(parents=True, exist_ok=True)
    agree_on_plan(out, plan)
    first, step = shard or (0, 1)
    mine = range(first, plan.shards, step)
    left = [number for number in mine if read_marker(out, number) is None]
    size = work.recipe.shard_records
    rows = {number: len(table.iloc[number * size : (number + 1) * size]) for number in mine}
    jobs = (
        ShardJob(
            out=out,
            number=number,
            rows=table.iloc[number * size : (number + 1) * size],
            schema=schema,
            read=work.read,
            conversion=work.conversion,
            measure_quality=work.measure_quality,
            root=work.root,
        )
        for number in left
    )
    with Bar(progress, work.recipe.dataset, rows, left) as bar:
        if engine == "ray":
            written = write_all_on_ray(jobs, len(left), workers, out, work.root)
        else:
            written = write_all(jobs, len(left), workers, work.read)
        for number in written:
            bar.advance(rows[number])
    return finish(out, plan) if shard is None else None


def digest_index(index: Index) -> str:
    """Name the content of an index: table, rejected records and notes."""
    values = {
        "table": digest_table(index.table),
        "rejected": [asdict(rejection) for rejection in index.rejected],
        "notes": index.notes,
    }
    return sha256_text(canonical_json(values))


def index_schema(table: pd.DataFrame) -> pa.Schema:
    """Fix the Arrow types of the columns that are kept, from the whole index.

    Raises:
        DataError: A column mixes types.
    """
    kept = [name for name in table.columns if not str(name).startswith("_")]
    try:
        return pa.Schema.from_pandas(table[kept], preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"A column of the index mixes types: {error}.") from error


def _make_plan(work: Work) -> tuple[pd.DataFrame, Plan]:
    """Clean the index: plain text ids, each record once."""
    index = work.index
    table = index.table.reset_index(drop=True)
    table = table.astype(dict.fromkeys(REQUIRED_COLUMNS, "str"))
    categories = [name for name in table.columns if isinstance(table[name].dtype, _CATEGORICAL)]
    table = table.astype({name: table[name].cat.categories.dtype for name in categories})
    again = table["record_id"].duplicated(keep="first")
    duplicates = [
        Rejection(file, record_id, "the index lists this record_id again; the first is kept")
        for file, record_id in table.loc[again, ["file", "record_id"]].itertuples(index=False)
    ]
    if duplicates:  # a copy of a large table only where it must be
        table = table[~again].reset_index(drop=True)
    if table.empty:
        reasons = dict.fromkeys(f"{one.file}: {one.reason}" for one in index.rejected)
        shown = "; ".join([*reasons][:SHOWN])
        raise DataError(
            f"The index of {work.recipe.dataset} lists no usable record ({index.found} found"
            f"{'; ' * bool(shown)}{shown}). Check that `--root` is the folder that the publisher's "
            "archive unpacks to, and these files."
        )
    plan = Plan(
        recipe=work.recipe,
        found=index.found,
        shards=-(-len(table) // work.recipe.shard_records),
        rejected=(*index.rejected, *duplicates),
        notes=dict(index.notes),
    )
    return table, plan


_CATEGORICAL = pd.CategoricalDtype


def _require_question(index: Index, dataset: str, fs: float, leads: tuple[str, ...]) -> None:
    """Refuse what no store can answer, before anything is written."""
    taken = sorted(OWN_COLUMNS & set(index.table.columns))
    if taken:
        raise DataError(
            f"The index of {dataset} has the column(s) {', '.join(taken)}, which the store writes "
            "itself; rename them."
        )
    if not 0 < fs < float("inf"):
        raise UsageError(f"`fs` must be a positive rate in Hz, got {fs}.")
    if not leads or len(set(leads)) < len(leads):
        raise UsageError(f"`leads` must name each lead of the store once, got {leads}.")


def _require_options(
    shard_records: int, workers: int | None, shard: tuple[int, int] | None
) -> None:
    for name, value in (("workers", workers), ("shard_records", shard_records)):
        if value is not None and value < 1:
            raise UsageError(f"`{name}` must be at least 1, got {value}.")
    if shard is not None and not 0 <= shard[0] < shard[1]:
        raise UsageError(
            f"`shard` is `i/n` with i from 0 to n - 1, got {shard[0]}/{shard[1]}. Of 4 shares, the "
            "first is 0/4 and the last is 3/4."
        )


@contextmanager
def writing_to(out: Path) -> Iterator[None]:
    """Turn what the system says into what a person can do."""
    try:
        yield
    except OSError as error:
        advice = (
            "free some space"
            if error.errno in {errno.ENOSPC, errno.EDQUOT}
            else "make it writable or choose another `--out`"
        )
        raise StoreError(
            f"The store {out} cannot be written: {error.strerror or error}. What is done is kept: "
            f"{advice}, then run the same command again."
        ) from error
