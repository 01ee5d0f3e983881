"""What several verbs share."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pahcl import files
from pahcl.errors import UsageError

if TYPE_CHECKING:
    from data_modules.base import SignalDataModule


def modules_in(package: str, leave_out: frozenset[str] = frozenset()) -> list[str]:
    """List the modules of a package by file name, without importing them."""
    found = importlib.import_module(package)
    names = {info.name for info in pkgutil.iter_modules(found.__path__)}
    return sorted(name for name in names - leave_out if not name.startswith("_"))


def datasets() -> list[str]:
    """List the data sets that have a data module."""
    return modules_in("data_modules", frozenset({"base"}))


def find_data_module(dataset: str) -> type[SignalDataModule]:
    """Find a data set's LightningDataModule by the name of its file in `data_modules/`.

    Raises:
        UsageError: No such data set.
    """
    if dataset not in datasets():
        raise UsageError(f"There is no data set `{dataset}`; there are: {', '.join(datasets())}.")
    module = importlib.import_module(f"data_modules.{dataset}")
    base = importlib.import_module("data_modules.base").SignalDataModule
    for _, found in inspect.getmembers(module, inspect.isclass):
        if found.__module__ == module.__name__ and issubclass(found, base):
            return cast("type[SignalDataModule]", found)
    raise UsageError(f"{module.__file__} defines no SignalDataModule.")


def write_json(path: str | Path | None, facts: dict[str, Any]) -> None:
    """Write what a verb found out to `--json FILE`, atomically; None writes nothing."""
    if path is None:
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(target, facts)
