"""Bring a whole store to another contract, once."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pahcl.errors import SpecError
from pahcl.signals import Filter, Recording, SignalSpec
from pahcl.store.manifest import MANIFEST, Index, read_manifest
from pahcl.store.plan import Recipe
from pahcl.store.reader import SignalStore, kept_open
from pahcl.store.shards import LAYOUT_FIELDS
from pahcl.store.writer import SHARD_RECORDS, Work, digest_index, write

_POSITION = "_position"


def derive_store(
    store: SignalStore,
    spec: SignalSpec,
    out: str | Path,
    workers: int = 1,
    progress: bool = True,
    shard_records: int = SHARD_RECORDS,
) -> SignalStore:
    """Write a store whose rate, leads, unit or filter differ from its parent's, or open it.

    The parent's index columns, quality flags and checksums of the publisher's files are kept. A
    complete store at `out` that came from the same parent by the same contract is opened at once.
    An interrupted one goes on where it was.

    Args:
        store: The parent.
        spec: The contract; its length and normalisation are no part of a store.
        out: The new store's folder.
        workers: Processes that write.
        progress: Whether to show a progress bar on a terminal.
        shard_records: Records of one shard.

    Raises:
        SpecError: The contract cannot be met from this parent.
        StoreError: `out` is a store of another question, or cannot be written.
    """
    folder = Path(out)
    target = replace(spec, length=None, normalisation="none")
    conversion = _conversion(store, target)
    parent = store.manifest.digest
    if (folder / MANIFEST).is_file():
        there = read_manifest(folder)
        if (there.parent, there.spec) == (parent, target):
            return SignalStore(folder)
    index = _index(store)
    recipe = Recipe(
        dataset=store.manifest.dataset,
        dataset_version=store.manifest.dataset_version,
        spec=target,
        shard_records=shard_records,
        config=store.manifest.config,
        index_digest=digest_index(index),
        parent=parent,
    )
    read = functools.partial(_read_parent, store.path.resolve())
    write(folder, Work(recipe, index, read, conversion, False), workers, None, progress)
    return SignalStore(folder)


def _conversion(store: SignalStore, target: SignalSpec) -> SignalSpec:
    """Say what has still to be done to the parent's recordings."""
    have = store.spec
    if have.modality != target.modality:
        raise SpecError(f"{store.path} holds {have.modality}, not {target.modality}.")
    if have.filter.is_identity:
        return target
    if have.filter != target.filter:
        raise SpecError(
            f"{store.path} is filtered already ({have.filter}); a store with {target.filter} must "
            "be derived from an unfiltered one."
        )
    return replace(target, filter=Filter())


def _index(store: SignalStore) -> Index:
    """Give the parent's table as an index; its rejected records stay accounted for there."""
    own = [field.name for field in LAYOUT_FIELDS if field.name in store.table.columns]
    table = store.table.drop(columns=own)
    table[_POSITION] = range(len(table))
    return Index(table, list(store.manifest.rejected), dict(store.manifest.notes))


def _read_parent(parent: Path, row: Mapping[str, Any]) -> Recording:
    """Read one record of the parent store, which is opened once in each process."""
    return kept_open(parent).read(int(row[_POSITION]))
