"""What `pahcl doctor` is pointed at: a store, a publisher's folder, one's own files, or runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pandas as pd

from pahcl.commands._common import datasets, find_data_module
from pahcl.commands._doctor_place import Place
from pahcl.errors import DataError, PahclError, StoreError
from pahcl.signals.recording import Recording
from pahcl.store import Finding, Index, SignalStore

if TYPE_CHECKING:
    from data_modules.base import SignalDataModule

OWN = "folder"
"""The data set that is one's own files: it reads whatever no publisher's data module knows."""

_UNREADABLE = (PahclError, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError)


def is_store(folder: Path) -> bool:
    """Say whether a folder holds what a store is made of, complete or not."""
    from pahcl.store.manifest import MANIFEST, SHARDS
    from pahcl.store.plan import PLAN

    return any((folder / name).exists() for name in (MANIFEST, PLAN, SHARDS))


def open_store(path: Path) -> Place | Finding:
    """Open a store; what is wrong with one that cannot be opened is a finding."""
    try:
        store = SignalStore(path)
        table = store.table
    except StoreError as error:
        return Finding("cannot be read", str(path), str(error))
    manifest = store.manifest
    module = find_data_module(manifest.dataset) if manifest.dataset in datasets() else None
    return Place(
        path=path,
        kind="store",
        dataset=manifest.dataset,
        table=table,
        read=store.read,
        module=module,
        rejected=manifest.rejected,
        notes=manifest.notes,
        store=store,
    )


def open_folder(path: Path, dataset: str | None) -> Place:
    """Open a folder of recordings as the data set that it is.

    Args:
        path: The folder.
        dataset: Name of the data set; None finds out.

    Raises:
        UsageError: It holds no recordings that can be read.
        DataError: It is not the data set that was named.
    """
    if dataset is not None:
        module = find_data_module(dataset)
        return _opened(path, module, _indexed(path, module))
    found: list[tuple[int, type[SignalDataModule], Index]] = []
    for name in _candidates(path):
        module = find_data_module(name)
        try:
            index = _indexed(path, module)
        except _UNREADABLE:
            continue
        if len(index.table) and module.folder == path.resolve().name:
            return _opened(path, module, index)
        found.append((len(index.table), module, index))
    best = max(found, key=lambda one: one[0], default=None)
    if best is not None and best[0]:
        return _opened(path, *best[1:])
    return open_own(path)


def open_own(path: Path) -> Place:
    """Open a folder of one's own recordings, or a single file.

    Raises:
        UsageError: There is nothing in it that can be read.
    """
    from pahcl.commands._doctor_own import own_files

    return own_files(path)


def _candidates(path: Path) -> list[str]:
    """List the data sets that a folder may be, the likeliest first."""
    from pahcl.simulation.corpus import MARK

    names = [name for name in datasets() if name != OWN]
    try:
        simulated = json.loads((path / MARK).read_text(encoding="utf-8")).get("simulation")
    except (OSError, ValueError, AttributeError):
        simulated = None
    if simulated in names:
        return [cast("str", simulated)]
    folder = path.resolve().name
    return sorted(names, key=lambda name: find_data_module(name).folder != folder)


def _indexed(path: Path, module: type[SignalDataModule]) -> Index:
    """Index a publisher's folder at the first of its rates at which there are files.

    Raises:
        DataError: The folder is not this data set.
    """
    first = None
    for fs in module.rates:
        try:
            index = module.index(path, fs)
        except _UNREADABLE as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{path} cannot be read as {module.title} ({type(error).__name__}: {error})."
            ) from error
        first = first or index
        if any(is_there(path / str(file)) for file in index.table["file"].head(20)):
            return index
    if first is None:
        raise DataError(f"{module.title} states no rate.")
    return first


def is_there(file: Path) -> bool:
    """Say whether a file is there, by its name or by its name without a suffix."""
    if file.exists():
        return True
    return any(file.parent.glob(f"{_literal(file.name)}.*"))


def _literal(name: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)


def _opened(path: Path, module: type[SignalDataModule], index: Index) -> Place:
    table: pd.DataFrame = index.table

    def read(position: int) -> Recording:
        row = {str(key): value for key, value in table.iloc[position].to_dict().items()}
        return module.read(path, row)

    return Place(
        path=path,
        kind="publisher's folder",
        dataset=module.name,
        table=table,
        read=read,
        module=module,
        rejected=tuple(index.rejected),
        notes=index.notes,
    )
