"""Which store serves a data module: the one that is there, or one that is made from it once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from pahcl.errors import StoreError
from pahcl.signals.spec import SignalSpec
from pahcl.store import SignalStore, derive_store
from pahcl.store.manifest import MANIFEST, read_manifest


def is_complete(path: Path) -> bool:
    """Say whether a folder is a store that says that it is complete."""
    return (path / MANIFEST).is_file()


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process at a time pack or derive below a store's name; the others wait.

    Many runs of a sweep may want the same store at once. The lock ends with its process, and its
    file with the work. Who waited for a file that is gone by then may work beside another one; a
    store that several processes write comes out the same, so that costs time and nothing else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    with FileLock(lock):
        try:
            yield
        finally:
            with suppress(OSError):  # a system that keeps files which are open
                lock.unlink()


def source_rate(rates: tuple[float, ...], fs: float) -> float:
    """Choose the publisher's rate from which a rate is made: the same one, or else the original."""
    return fs if fs in rates else rates[0]


def all_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def require_dataset(path: Path, dataset: str, options: dict[str, Any]) -> None:
    """Refuse a store of another data set, or one that was packed with other options.

    Raises:
        StoreError: With what the store holds instead.
    """
    manifest = read_manifest(path)
    if manifest.dataset != dataset:
        raise StoreError(
            f"{path} holds the data set `{manifest.dataset}`, not `{dataset}`. Set "
            "data.init_args.store to another folder."
        )
    other = {
        name: manifest.config.get(name)
        for name, value in options.items()
        if name in manifest.config and manifest.config[name] != value
    }
    if other:
        raise StoreError(
            f"{path} was packed with {other}, but {options} is asked for. Set "
            "data.init_args.store to another folder, or ask for what it holds."
        )


def store_contract(spec: SignalSpec) -> SignalSpec:
    """Leave to the store what is its work: rate, leads, unit and filter of ragged records."""
    return SignalSpec(
        modality=spec.modality,
        fs=spec.fs,
        length=None,
        leads=spec.leads,
        unit=spec.unit,
        filter=spec.filter,
    )


def source_path(
    path: Path, rates: tuple[float, ...], fs: float, dataset: str, options: dict[str, Any]
) -> Path:
    """Name the store from which batches of a rate are made, whether it is there or not.

    The batches must not depend on what was packed before. So the source always holds the
    publisher's records at `source_rate`, never what was made of them at another rate.

    Args:
        path: The store that was asked for.
        rates: The publisher's rates; the first is the original.
        fs: Wanted rate in Hz.
        dataset: Name of the data set.
        options: What it is packed with.

    Returns:
        `path`, unless the store there holds another rate than the source: then its sibling
        `<path>-<rate>hz`.

    Raises:
        StoreError: Either holds another data set, or was packed with other options.
    """
    if not is_complete(path):
        return path
    require_dataset(path, dataset, options)
    rate = source_rate(rates, fs)
    if read_manifest(path).spec.fs == rate:
        return path
    sibling = path.with_name(f"{path.name}-{rate:g}hz")
    if is_complete(sibling):
        require_dataset(sibling, dataset, options)
    return sibling


def derived_path(source: SignalStore, spec: SignalSpec) -> Path:
    """Name the store of a contract: the source itself, or a folder beside it.

    Raises:
        StoreError: The source is filtered otherwise, or is of another modality.
    """
    wanted, held = store_contract(spec), source.spec
    if wanted == held:
        return source.path
    if held.modality != wanted.modality:
        raise StoreError(f"{source.path} holds {held.modality} signals, not {wanted.modality}.")
    if not held.filter.is_identity and held.filter != wanted.filter:
        raise StoreError(
            f"{source.path} is filtered ({held.filter}), which cannot be undone for "
            f"{wanted.filter}. Set data.init_args.store to an unfiltered store."
        )
    return source.path.with_name(f"{source.path.name}-{wanted.digest()}")


def make_store(path: Path, spec: SignalSpec, workers: int) -> None:
    """Derive the store of a contract from the one at `path`, unless it is there already."""
    source = SignalStore(path)
    target = derived_path(source, spec)
    if target != source.path:
        derive_store(source, store_contract(spec), target, workers=workers)


def is_ready(path: Path, spec: SignalSpec) -> bool:
    """Say whether the store of a contract is there already."""
    return is_complete(path) and is_complete(derived_path(SignalStore(path), spec))


def open_store(path: Path, spec: SignalSpec) -> SignalStore:
    """Open the store of a contract that `make_store` has made from the one at `path`.

    Raises:
        StoreError: It is not there.
    """
    source = SignalStore(path)
    target = derived_path(source, spec)
    if target == source.path:
        return source
    if not is_complete(target):
        raise StoreError(f"{target} has still to be made from {path}: call prepare_data() first.")
    store = SignalStore(target)
    if store.manifest.parent != source.manifest.digest:
        raise StoreError(
            f"{target} was made from another store than is now at {path}. Delete {target}; it is "
            "made again."
        )
    return store


def original_contents(store: SignalStore, source: Path) -> pd.DataFrame:
    """Name the samples of each record as its publisher gave them, whatever the contract.

    Args:
        store: The store of a contract.
        source: The store that it was made from, or itself.

    Returns:
        On the rows of `store`: `record_id`, `subject_id`, `digest` (of the samples in `source`) and
        `source_sha256` (of the publisher's bytes, where the reader gives it).
    """
    found = store.table[["record_id", "subject_id", "digest", "source_sha256"]].copy()
    if store.path != source:
        held = SignalStore(source).columns(["record_id", "digest"])
        found["digest"] = found["record_id"].map(held.set_index("record_id")["digest"])
    return found
