"""What is there of a data set: its store's table, or the tables of the publisher's folder.

Signals are never read: a store's table knows their lengths and quality, a publisher's tables do
not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._roots import (
    SIMULATED,
    reading,
    require_root,
    require_same_origin,
    version_of,
)
from data_modules._splits import SPLITS, require_disjoint
from data_modules._stores import is_complete
from pahcl.commands._index_options import index_options
from pahcl.errors import DataError, UsageError
from pahcl.signals.quality import FLAGS
from pahcl.store import Rejection, SignalStore
from pahcl.store.manifest import read_manifest

if TYPE_CHECKING:
    from data_modules.base import SignalDataModule
    from pahcl.signals.spec import SignalSpec
    from pahcl.task import Task

GROUPS = ("fold", "site", "location", "source", "form", "device")
"""Columns that say where a record comes from."""

MOST_VALUES = 40
"""Different values of such a column that are counted one by one."""

_AGAIN = "A store with such a table is of another version: delete it and run `pahcl prepare` again."


@dataclass(frozen=True)
class Contents:
    """Hold what the tables say of the records that are there.

    Args:
        module: The data set's module with its default arguments.
        kind: Whether a store was read, or the tables of the publisher's folder.
        path: That folder.
        version: The publisher's version, or that the records are simulated.
        table: One row per record.
        spec: What the store holds; None for a publisher's folder.
        seconds: `[N]` duration of each record; None for a publisher's folder.
        rejected: Records that cannot be used.
        notes: Named counts of what is odd.
    """

    module: SignalDataModule
    kind: Literal["store", "folder"]
    path: Path
    version: str
    table: pd.DataFrame
    spec: SignalSpec | None
    seconds: npt.NDArray[np.float64] | None
    rejected: tuple[Rejection, ...]
    notes: dict[str, int]

    @property
    def simulated(self) -> bool:
        """Say whether the records were simulated."""
        return self.version == SIMULATED

    @cached_property
    def labels(self) -> pd.DataFrame:
        """Hold the label columns of the tasks.

        Raises:
            DataError: The table lacks columns that the labels are made of.
        """
        try:
            return self.module.labels(self.table)
        except KeyError as error:
            raise self._lacking(error) from error

    def targets(self, task: Task) -> npt.NDArray[Any]:
        """Give the targets of one task, as `Task.targets` does.

        Raises:
            DataError: The table lacks columns, or holds a class that the task does not know.
        """
        try:
            return task.targets(self.labels)
        except UsageError as error:  # the question is right, the table is not
            raise DataError(f"{self.path}: {error} {_AGAIN}") from error

    @cached_property
    def splits(self) -> pd.Series | None:
        """Hold the split of each record, as training takes it by default; None if there is none."""
        return self._drawn[0]

    @property
    def why_no_splits(self) -> str | None:
        """Say why the records cannot be split; None if they can."""
        return self._drawn[1]

    @cached_property
    def _drawn(self) -> tuple[pd.Series | None, str | None]:
        try:
            splits = self.module.split(self.table)
            require_disjoint(self.table["subject_id"], splits)
        except DataError as error:
            return None, str(error)
        except KeyError as error:
            raise self._lacking(error) from error
        return splits, None

    def _lacking(self, error: KeyError) -> DataError:
        return DataError(
            f"{self.path}: the table lacks the column {error}, which {self.module.title} needs. "
            f"{_AGAIN}"
        )


def find_contents(
    cls: type[SignalDataModule], root: str | None, store: str | None
) -> Contents | None:
    """Read the tables of a data set: of its store, else of the publisher's folder.

    Args:
        cls: The data set.
        root: The publisher's folder; None looks where training looks, after the store.
        store: The store; None looks where training looks, unless a root is named.

    Returns:
        None where nothing is named and nothing is there.

    Raises:
        DataError: What is named is not there, or what is there cannot be read.
        StoreError: The store is incomplete or damaged.
        UsageError: The store holds another data set.
    """
    module = cls(root=root, store=store)
    if store is not None or (root is None and is_complete(module.store_path)):
        if root is not None:
            require_root(module.root, cls.name, cls.title, cls.homepage)
            read_manifest(module.store_path)
            require_same_origin(module.store_path, module.root)
        return _of_store(module)
    if root is not None or _holds_something(module.root):
        return _of_folder(module)
    return None


def whereabouts(cls: type[SignalDataModule]) -> str:
    """Say in a word whether a data set is where training looks for it."""
    module = cls()
    if is_complete(module.store_path):
        return "store"
    return "files" if _holds_something(module.root) else "–"


def _holds_something(folder: Path) -> bool:
    with reading(folder):
        return folder.is_dir() and any(folder.iterdir())


def _of_store(module: SignalDataModule) -> Contents:
    held = read_manifest(module.store_path).dataset
    if held != module.name:
        raise UsageError(
            f"{module.store_path} holds the data set `{held}`, not `{module.name}`: `pahcl "
            f"describe {held} --store {module.store_path}` describes it."
        )
    store = SignalStore(module.store_path)
    return Contents(
        module,
        "store",
        store.path,
        store.manifest.dataset_version,
        store.table,
        store.spec,
        store.lengths / store.spec.fs,
        store.manifest.rejected,
        store.manifest.notes,
    )


def _of_folder(module: SignalDataModule) -> Contents:
    root = module.root
    require_root(root, module.name, module.title, module.homepage)
    with reading(root):
        index = module.index(root, fs=module.rates[0], **module.prepare_options)
    version = version_of(root, module.version)
    rejected = tuple(index.rejected)
    return Contents(module, "folder", root, version, index.table, None, None, rejected, index.notes)


def describe_contents(contents: Contents) -> dict[str, Any]:
    """Collect what is there as plain types."""
    table, spec = contents.table, contents.spec
    subjects = table["subject_id"].value_counts()
    kept, rejected = len(table), len(contents.rejected)
    return {
        "kind": contents.kind,
        "path": str(contents.path),
        "version": contents.version,
        "simulated": contents.simulated,
        "fs": None if spec is None else spec.fs,
        "leads": None if spec is None else list(spec.leads),
        "unit": None if spec is None else spec.unit,
        "counts": {"found": kept + rejected, "kept": kept, "rejected": rejected},
        "rejected": _reasons(contents.rejected),
        "notes": contents.notes,
        "found": list(getattr(contents.module, "found", ())),
        "subjects": len(subjects),
        "records_per_subject": distribution(subjects.to_numpy()),
        "seconds": None if contents.seconds is None else distribution(contents.seconds),
        "hours": None if contents.seconds is None else float(contents.seconds.sum() / 3600),
        "age": distribution(table["age"].to_numpy(np.float64)) if "age" in table else None,
        "sex": _values(table["sex"]) if "sex" in table else None,
        "groups": {name: _values(table[name]) for name in GROUPS if name in table},
        "quality": _quality(table),
        "splits": split_sizes(contents),
        "why_no_splits": contents.why_no_splits,
    }


def split_sizes(contents: Contents) -> dict[str, dict[str, int]] | None:
    """Count records and subjects of each split, and those in none; None without splits."""
    if contents.splits is None:
        return None
    sides = contents.splits.where(contents.splits.notna(), "left out")
    names = [*SPLITS, *(["left out"] if (sides == "left out").any() else [])]
    inside = {name: (sides == name).to_numpy() for name in names}
    return {
        name: {
            "records": int(here.sum()),
            "subjects": int(contents.table["subject_id"][here].nunique()),
        }
        for name, here in inside.items()
    }


def distribution(values: npt.NDArray[Any]) -> dict[str, float]:
    """Describe numbers by a few: how many are known and missing, mean, quartiles, ends."""
    numbers = values.astype(np.float64)
    known = numbers[np.isfinite(numbers)]
    found: dict[str, float] = {"known": len(known), "missing": len(numbers) - len(known)}
    if not len(known):
        return found
    ends = np.quantile(known, (0, 0.25, 0.5, 0.75, 1))
    names = ("min", "quarter", "median", "three_quarters", "max")
    found |= {"mean": float(known.mean()), "std": float(known.std())}
    return found | dict(zip(names, map(float, ends), strict=True))


def _values(column: pd.Series) -> dict[str, Any]:
    """Count the values of a column, the most frequent first; folds and sites in their order."""
    counts = column.value_counts()
    if pd.api.types.is_numeric_dtype(column.dtype):
        counts = counts.sort_index()
    listed = {_name(value): int(count) for value, count in counts[:MOST_VALUES].items()}
    return {
        "different": len(counts),
        "missing": int(column.isna().sum()),
        "counts": listed,
    }


def _name(value: object) -> str:
    """Write a site or a fold that a table with gaps keeps as 3.0 as 3."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _quality(table: pd.DataFrame) -> dict[str, int] | None:
    """Count the records of each quality flag; None where no signal was read."""
    columns = {flag: f"quality/{flag}" for flag in FLAGS}
    if not set(columns.values()) <= set(table.columns):
        return None
    return {flag: int((table[column] > 0).sum()) for flag, column in columns.items()}


def _reasons(rejected: Iterable[Rejection]) -> dict[str, int]:
    """Count the rejected records by reason, the most frequent first."""
    return dict(Counter(item.reason for item in rejected).most_common())


def describe_dataset(
    cls: type[SignalDataModule], module: SignalDataModule | None = None
) -> dict[str, Any]:
    """Collect what is known of a data set without its labels, as plain types.

    Args:
        cls: The data set.
        module: Its module beside the records that are there, where what it is follows from them.

    Returns:
        Its facts; no leads, rates or tasks where nothing is there from which they follow.
    """
    held = module or cls
    unknown = not held.tasks
    return {
        "name": cls.name,
        "title": cls.title,
        "summary": _summary(cls),
        "modality": "ecg or pcg" if unknown else held.modality,
        "leads": [] if unknown else list(held.leads),
        "unit": "any" if unknown else held.unit,
        "rates": [] if unknown else list(held.rates),
        "window_seconds": None if unknown else held.seconds,
        "version": cls.version,
        "licence": cls.licence,
        "homepage": cls.homepage,
        "citation": cls.citation,
        "tasks": {name: cast("Any", task.to_dict()) for name, task in held.tasks.items()},
        "options": {one.flag: one.says for one in index_options(cls.name)},
    }


def _summary(cls: type[SignalDataModule]) -> str:
    """Take the first line of the data set's file, which says what it is."""
    import inspect

    doc = inspect.getdoc(inspect.getmodule(cls)) or cls.title
    return doc.splitlines()[0]
