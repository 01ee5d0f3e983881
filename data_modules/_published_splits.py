"""Split tables as MERL published them: who trains, validates and tests, and with which labels.

The tables of Liu et al. (MERL, ICML 2024, `finetune/data_split` of their repository) are three CSV
files a task, `…_train.csv`, `…_val.csv` and `…_test.csv`, one row a record, that end in one column
of 0 and 1 a class, behind at least one of text. They are used here by `protocol`:

- `legacy` reads the labels as the published programs do, by position: the k-th class column of the
  training table is the class that the test table names k-th. In the table of the PTB-XL subclasses
  the orders differ, so that three classes learn the labels of others. Labels of the CSN tables were
  cut out of text by substring, and hold false positives. For comparison with published numbers.
- `fixed` keeps who is where and reads the labels by name; a data set that can derive the classes
  from its own records does so (`SignalDataModule.published_labels`).

Records are found by their identifier, never by their row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal
from typing import Protocol as TypingProtocol

import numpy as np
import pandas as pd

from data_modules._splits import SPLITS
from data_modules._tables import flags, read_table
from pahcl.errors import DataError, UsageError
from pahcl.files import sha256_text
from pahcl.task import Task

Protocol = Literal["legacy", "fixed"]


@dataclass(frozen=True)
class PublishedSplits:
    """Hold the split tables of one task.

    Args:
        name: What the tables are called, without split and suffix.
        protocol: How their labels are read.
        classes: Names of the classes, in the order of the test table.
        rows: Split and labels by record.
        notes: What was odd in them, counted.
    """

    name: str
    protocol: Protocol
    classes: tuple[str, ...]
    rows: pd.DataFrame
    notes: dict[str, int]

    @property
    def task(self) -> Task:
        """Give the task that the tables ask."""
        columns = tuple(f"published/{name}" for name in self.classes)
        return Task(self.name, "multilabel", self.classes, columns, "macro_auroc")

    def split(self, table: pd.DataFrame) -> pd.Series:
        """Give each record of a store its split, None where the tables do not name it.

        Raises:
            DataError: They name none of them.
        """
        split = table["record_id"].map(self.rows["split"])
        if not split.notna().any():
            raise DataError(
                f"The split tables {self.name} name {len(self.rows)} records (such as "
                f"{', '.join(self.rows.index[:3])}), none of which is in the store (which holds "
                f"{', '.join(table['record_id'].astype(str)[:3])}). Are they of this data set?"
            )
        return split.where(split.notna(), None)

    def labels(self, table: pd.DataFrame) -> pd.DataFrame:
        """Give the records of a store the tables' labels, NaN where they are not named."""
        found = self.rows.drop(columns="split").reindex(table["record_id"])
        return found.set_axis(table.index, axis=0)

    def receipt(self, table: pd.DataFrame) -> dict[str, Any]:
        """Say what was used: which tables, how they were read, and what a store lacks of them."""
        text = self.rows.sort_index().to_csv()
        return {
            "name": self.name,
            "protocol": self.protocol,
            "digest": sha256_text(text),
            "records": len(self.rows),
            "not_in_the_store": int((~self.rows.index.isin(table["record_id"])).sum()),
            "notes": self.notes,
        }


class DataSet(TypingProtocol):
    """A data set of which something is asked."""

    title: ClassVar[str]
    published_key: ClassVar[str | None]


def asked(
    dataset: DataSet,
    tasks: Mapping[str, Task],
    task: str | None,
    folder: str | None,
    protocol: Protocol,
) -> tuple[PublishedSplits | None, Task]:
    """Find what is asked: a task of a data set's, or that of published split tables.

    Args:
        dataset: Whose records are asked.
        tasks: What can be asked of them.
        task: Name of one; None takes the first.
        folder: Of the split tables; None where there are none.
        protocol: How their labels are read.

    Raises:
        UsageError: There is no such task, or no such tables.
    """
    if folder is None:
        chosen = task or next(iter(tasks))
        if chosen not in tasks:
            raise UsageError(
                f"data.init_args.task: {dataset.title} has no task `{chosen}`; it has "
                f"{', '.join(tasks)}."
            )
        return None, tasks[chosen]
    if dataset.published_key is None:
        raise UsageError(
            f"data.init_args.split_tables: no split tables are published for {dataset.title}."
        )
    if task is not None:
        raise UsageError(
            f"data.init_args.split_tables brings its own task: leave data.init_args.task "
            f"(`{task}`) out."
        )
    published = read_published(Path(folder), dataset.published_key, protocol)
    return published, published.task


def read_published(folder: Path, key: str, protocol: Protocol) -> PublishedSplits:
    """Read the three tables of a task.

    Args:
        folder: The folder that holds them, and those of no other task.
        key: Column that holds a record's identifier, or the path of its file.
        protocol: How the labels are read.

    Raises:
        DataError: They are not there, are no such tables, or contradict each other.
    """
    files = {split: _table_file(folder, split) for split in SPLITS}
    tables = {split: read_table(file, [key]) for split, file in files.items()}
    classes = {split: _classes(table) for split, table in tables.items()}
    for split, file in files.items():
        if set(classes[split]) != set(classes["test"]) or not classes[split]:
            odd = sorted(set(classes[split]) ^ set(classes["test"])) or ["no class at all"]
            raise DataError(
                f"{file} and {files['test']} do not name the same classes: {', '.join(odd[:8])}."
            )
    parts = []
    for split, table in tables.items():
        order = classes[split] if protocol == "legacy" else classes["test"]
        part = pd.DataFrame(
            {
                f"published/{name}": flags(table[column])
                for name, column in zip(classes["test"], order, strict=True)
            }
        )
        part.insert(0, "split", split)
        parts.append(part.set_index(_identifiers(table[key])))
    rows = pd.concat(parts)
    named = rows[rows.index.notna()]
    twice = sorted(set(named.index[named.index.duplicated()]))
    if twice:
        raise DataError(
            f"The split tables of {folder} name {len(twice)} record(s) more than once (such as "
            f"{', '.join(twice[:3])}), so a test record may have been trained on."
        )
    moved = sum(classes[split] != classes["test"] for split in SPLITS)
    notes = {
        "tables whose classes come in another order than the test table's": moved,
        "rows without a record": len(rows) - len(named),
    }
    name = files["test"].stem.removesuffix("test").rstrip("_-")
    counted = {text: count for text, count in notes.items() if count}
    return PublishedSplits(name or folder.name, protocol, tuple(classes["test"]), named, counted)


def _table_file(folder: Path, split: str) -> Path:
    found = sorted(folder.glob(f"*{split}.csv")) if folder.is_dir() else []
    if len(found) != 1:
        what = "no such file" if not found else f"{len(found)} of them"
        raise DataError(
            f"data.init_args.split_tables must name a folder with one table of each split "
            f"(…_train.csv, …_val.csv, …_test.csv); {folder} holds {what} for {split}."
        )
    return found[0]


def _classes(table: pd.DataFrame) -> list[str]:
    """List the label columns: all behind the last one that holds something else than 0 and 1."""
    known = [bool(np.isfinite(flags(table[name])).all()) for name in table.columns]
    facts = [place for place, is_label in enumerate(known) if not is_label]
    return [str(name) for name in table.columns[max(facts, default=-1) + 1 :]]


def _identifiers(values: pd.Series) -> pd.Index:
    """Read identifiers: the last part of a path without its suffix, whole numbers as they are."""
    words = values.astype(object).where(values.notna(), None)

    def one(value: object) -> str | None:
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        word = str(value).strip().replace("\\", "/").rsplit("/", 1)[-1]
        return word.removesuffix(".mat").removesuffix(".hea").removesuffix(".dat") or None

    return pd.Index([one(value) for value in words], dtype=object)
