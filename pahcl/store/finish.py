"""Make one complete store of all shards' parts, and leave nothing else behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from pahcl.errors import DataError, StoreError
from pahcl.files import (
    is_temporary,
    sha256_file,
    write_atomically,
    write_json,
)
from pahcl.store.manifest import (
    MANIFEST,
    SHARDS,
    TABLE,
    Manifest,
    Rejection,
    ShardInfo,
    read_manifest,
)
from pahcl.store.plan import PARTS, PLAN, Plan, Recipe
from pahcl.store.shards import part_paths, read_marker

_GROUP_ROWS = 4_096
"""Rows of one Parquet row group: few enough to bound memory, enough to keep the footer small."""


def complete_manifest(out: Path, recipe: Recipe) -> Manifest | None:
    """Give the manifest if the store is complete; None if it is not.

    Raises:
        StoreError: The store is complete and was written by another recipe, or cannot be read.
    """
    if not (out / MANIFEST).is_file():
        return None
    manifest = read_manifest(out)
    if differences := Recipe.of(manifest).differences(recipe):
        raise StoreError(
            f"{out} is a complete store of another question: {'; '.join(differences)}. Choose "
            "another `--out`, or delete that folder."
        )
    return manifest


def finish(out: Path, plan: Plan) -> Manifest:
    """Write the table and, last, the manifest; then remove what only unfinished work needs.

    Raises:
        StoreError: Shards are missing.
        DataError: Not one record could be kept.
        OSError: The folder cannot be written.
    """
    markers = [read_marker(out, number) for number in range(plan.shards)]
    missing = [f"{number:05d}" for number, marker in enumerate(markers) if marker is None]
    if missing:
        raise StoreError(
            f"{out} still lacks {len(missing)} of {plan.shards} shards ({', '.join(missing[:10])}"
            f"{', …' if len(missing) > 10 else ''}). Run the missing `--shard i/n` again, or the "
            "same command without `--shard`, which writes what is missing."
        )
    shards: list[ShardInfo] = []
    rejected: list[Rejection] = list(plan.rejected)
    for marker in markers:
        if marker is not None:
            shards.append(marker[0])
            rejected.extend(marker[1])
    kept = sum(shard.records for shard in shards)
    if kept == 0:
        reasons = sorted({item.reason for item in rejected})
        raise DataError(
            f"Not one of the {plan.found} records of {plan.recipe.dataset} could be kept: "
            f"{'; '.join(reasons[:3])}. Check `--root`, then delete {out} and run again."
        )
    parts = [part_paths(out, number)[0] for number in range(plan.shards)]
    write_atomically(out / TABLE, lambda stream: join_tables(parts, stream))
    manifest = Manifest(
        dataset=plan.recipe.dataset,
        dataset_version=plan.recipe.dataset_version,
        spec=plan.recipe.spec,
        counts={"found": plan.found, "kept": kept, "rejected": len(rejected)},
        rejected=tuple(rejected),
        notes=plan.notes,
        shards=tuple(shards),
        table_sha256=sha256_file(out / TABLE),
        shard_records=plan.recipe.shard_records,
        index_digest=plan.recipe.index_digest,
        config=plan.recipe.config,
        config_digest=plan.recipe.digest,
        code_version=plan.code_version,
        parent=plan.recipe.parent,
    )
    write_json(out / MANIFEST, manifest.to_dict(), sort_keys=True)
    clean_up(out)
    return manifest


def clean_up(out: Path) -> None:
    """Remove what a complete store does not need; where nothing is left over, nothing is touched.

    Raises:
        OSError: The folder cannot be written.
    """
    for folder in (out, out / SHARDS):
        for path in sorted(folder.iterdir()):
            if is_temporary(path):
                path.unlink(missing_ok=True)
    if (out / PARTS).is_dir():
        shutil.rmtree(out / PARTS)
    (out / PLAN).unlink(missing_ok=True)


def join_tables(paths: Sequence[Path], stream: IO[bytes]) -> None:
    """Stream Parquet files of one schema into one; memory does not grow with their number."""
    schema = pq.read_schema(paths[0])
    with pq.ParquetWriter(stream, schema) as writer:
        for table in _row_groups(paths):
            writer.write_table(table, row_group_size=_GROUP_ROWS)


def _row_groups(paths: Sequence[Path]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    for path in paths:
        waiting.append(pq.read_table(path))
        while sum(table.num_rows for table in waiting) >= _GROUP_ROWS:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, _GROUP_ROWS).combine_chunks()
            waiting = [joined.slice(_GROUP_ROWS)]
    rest = pa.concat_tables(waiting)
    if rest.num_rows:
        yield rest.combine_chunks()
