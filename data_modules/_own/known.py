"""What is known of a folder: from its store, else from its files."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_modules._arguments import require_rate
from data_modules._corpus import Contents
from data_modules._own.find import find_out
from data_modules._own.labels import unlabelled_task
from data_modules._own.options import Options
from data_modules._own.table import digest_of, files_of, find_table
from data_modules._roots import reading, require_root
from data_modules._stores import is_complete
from pahcl.errors import PahclError, StoreError
from pahcl.store.manifest import read_manifest
from pahcl.task import Task

log = logging.getLogger(__name__)


def store_of(root: str | None, store: str | None, name: str) -> Path:
    """Name the store: the given one, or one called like the folder."""
    stores = Path(os.environ.get("PAHCL_STORES", "stores"))
    return Path(store or stores / (Path(root).resolve().name if root else name))


def placed(options: Options, root: str | None) -> Options:
    """Name the table from the folder, from wherever it was named.

    Raises:
        UsageError: It is not below the folder.
    """
    if root is None or options.table is None or not Path(root).is_dir():
        return options
    return replace(options, table=find_table(Path(root), options) or options.table)


def contents_of(root: Path, fs: float | None, options: Options) -> Contents:
    """List a folder's records and say what they are; what was found out is told in the log.

    Raises:
        DataError: The folder is of no use.
        UsageError: Something has to be said that neither files nor table say.
    """
    own = find_out(root, options)
    for sentence in own.said:
        log.info("%s: %s", root, sentence)
    rate = own.rate if fs is None else fs
    require_rate(rate, own.modality)
    return Contents(own.index, own.modality, own.leads, own.unit, rate, own.config)


def known_of(cls: Any, root: str | None, store: Path, options: Options) -> dict[str, Any]:
    """Find what a data module says of its data set: `modality`, `leads`, `unit`, `tasks` ….

    Args:
        cls: The data module's class.
        root: The folder that was named.
        store: The store, which goes before the folder.
        options: What was said of the folder.

    Raises:
        DataError: The folder is not there, or of no use.
        UsageError: Something has to be said that neither files nor table say.
    """
    if is_complete(store):
        manifest = read_manifest(store)
        if manifest.dataset == cls.name:
            return _of_store(manifest.spec, manifest.config)
    if root is not None:
        require_root(Path(root), cls.name, cls.title, cls.homepage, published=False)
        return _of_folder(Path(root), options)
    usual = Path(os.environ.get("PAHCL_DATA", "data")) / cls.folder
    if usual.is_dir():
        with suppress(PahclError):  # it is said where something is asked of it
            return _of_folder(usual, options)
    return {"tasks": unlabelled_task()}


def _of_store(spec: Any, config: dict[str, Any]) -> dict[str, Any]:
    tasks = {name: Task.from_dict(task) for name, task in config["tasks"].items()}
    return {
        "modality": spec.modality,
        "leads": spec.leads,
        "unit": spec.unit,
        "rates": (float(config["rate"]),),
        "seconds": float(config["seconds"]),
        "tasks": tasks,
        "found": tuple(config["found"]),
    }


def _of_folder(root: Path, options: Options) -> dict[str, Any]:
    with reading(root):
        own = find_out(root, options)
    return {
        "modality": own.modality,
        "leads": own.leads,
        "unit": own.unit,
        "rates": (own.rate,),
        "seconds": own.seconds,
        "tasks": own.tasks,
        "found": own.said,
    }


def require_same_table(store: Path, root: str | None) -> None:
    """Refuse a store whose table was changed since it was packed.

    Raises:
        StoreError: With what to do about it.
    """
    if root is None or not is_complete(store):
        return
    config = read_manifest(store).config
    name = str(config.get("table") or "")
    if not name:
        return
    there = all(path.is_file() for path in files_of(Path(root), name))
    if there and digest_of(Path(root), name) != config.get("table_sha256"):
        raise StoreError(
            f"{store} (data.init_args.store) was packed with another {Path(root) / name} than is "
            "there now. "
            "Pack it again: delete the store, or name another with data.init_args.store."
        )
