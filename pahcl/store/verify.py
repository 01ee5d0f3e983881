"""Look for damage in a store, and for what makes its evaluation untrue."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from pahcl.errors import PahclError
from pahcl.files import sha256_file
from pahcl.store.cycles import CycleTable, cycle_names
from pahcl.store.manifest import CYCLES, SHARDS, TABLE
from pahcl.store.reader import SignalStore

FOLD_COLUMNS = ("fold", "strat_fold", "split")
"""Columns that say which part of an official split a record belongs to."""

Severity = Literal["error", "warning", "hint"]
"""An error makes results wrong, a warning concerns single records, a hint may be as it should."""

_NAMED = 5

_LATE_S = 0.01
"""Seconds by which an annotation may run on behind its record: publishers round times."""


@dataclass(frozen=True)
class Finding:
    """Report one thing that is wrong with data.

    Args:
        kind: Short name of the check.
        where: The file, record or subject.
        text: What is wrong and, where there is something to do, what.
        severity: How bad it is.
    """

    kind: str
    where: str
    text: str
    severity: Severity = "error"


def verify(store: SignalStore) -> list[Finding]:
    """Check a store against its manifest, its table against its samples, and subjects for leaks.

    Checksums of the table, of each shard and of each record; counts; the place of each record;
    unique ids; usable scales; equal samples; subjects in several folds; tables of heart cycles.

    Args:
        store: An open store; every byte of it is read once.

    Returns:
        What was found; an empty list for a sound store.

    Raises:
        StoreError: The table cannot be used at all.
    """
    return [
        *_counts(store),
        *_table(store),
        *_layout(store),
        *_samples(store),
        *_duplicates(store),
        *_folds(store),
        *_cycles(store),
    ]


def _cycles(store: SignalStore) -> Iterator[Finding]:
    """Check each table of heart cycles, and name what is left of unfinished ones."""
    folder = store.path / CYCLES
    names = cycle_names(store.path)
    for name in names:
        try:
            table = store.cycles(name)
            yield from _table_of_cycles(store, name, table)
        except (PahclError, KeyError) as error:
            yield Finding("heart cycles", f"{CYCLES}/{name}", str(error))
    whole = {f"{name}{suffix}" for name in names for suffix in (".json", ".parquet")}
    left = [path for path in sorted(folder.glob("*")) if path.name not in whole]
    if left:
        text = "left by a call that was stopped: give it again, or delete what it has left"
        yield Finding("heart cycles", f"{CYCLES}/{left[0].name}", text, "warning")


def _table_of_cycles(store: SignalStore, name: str, table: CycleTable) -> Iterator[Finding]:
    """Hold the rows against the records: in order, of the right names, within the recording."""
    frame, where = table.frame, f"{CYCLES}/{name}.parquet"
    if len(frame) != table.manifest.counts["cycles"]:
        text = f"{len(frame)} rows, but {table.manifest.counts['cycles']} cycles were counted"
        yield Finding("heart cycles", where, text)
    record = frame["record"].to_numpy()
    if ((record < 0) | (record >= len(store))).any() or (np.diff(record) < 0).any():
        yield Finding("heart cycles", where, "rows are not of this store's records, in their order")
        return
    ids = store.columns(["record_id"])["record_id"].to_numpy()[record]
    seconds = store.lengths[record] / store.spec.fs
    faults = {
        "bear the name of another record": (frame["record_id"].to_numpy() != ids),
        "end before they begin": (frame["end"] <= frame["start"]).to_numpy(),
        "begin before the record or end behind it": (
            (frame["start"] < 0) | (frame["end"] > seconds + _LATE_S)
        ).to_numpy(),
    }
    for text, wrong in faults.items():
        if wrong.any():
            first = str(frame["record_id"].iloc[int(wrong.argmax())])
            yield Finding(
                "heart cycles", where, f"{int(wrong.sum())} cycles {text}, the first in {first}"
            )


def _counts(store: SignalStore) -> Iterator[Finding]:
    manifest = store.manifest
    counts = manifest.counts
    sums = {
        "found = kept + rejected": (counts["found"], counts["kept"] + counts["rejected"]),
        "rejected records listed": (counts["rejected"], len(manifest.rejected)),
        "records in the shards": (counts["kept"], sum(s.records for s in manifest.shards)),
        "rows of the table": (counts["kept"], len(store.table)),
    }
    for name, (expected, found) in sums.items():
        if expected != found:
            yield Finding("counts", "manifest.json", f"{name}: {expected} against {found}")


def _table(store: SignalStore) -> Iterator[Finding]:
    if sha256_file(store.path / TABLE) != store.manifest.table_sha256:
        yield Finding("checksum", TABLE, "differs from the manifest's; the table was changed")
    again = store.table["record_id"].duplicated()
    for record_id in store.table["record_id"][again].head(_NAMED):
        yield Finding("ids", str(record_id), "several rows have this record_id")
    scale = store.layout.scale
    wrong = ~(np.isfinite(scale) & (scale > 0)).all(axis=1)
    for record_id in store.table["record_id"].iloc[np.flatnonzero(wrong)[:_NAMED]]:
        yield Finding("scale", str(record_id), "a lead's scale is not a positive number")


def _layout(store: SignalStore) -> Iterator[Finding]:
    """Records must fill their shards one after the other, without gap or overlap."""
    layout = store.layout
    size = layout.length * len(store.spec.leads)
    for number, shard in enumerate(store.manifest.shards):
        mine = np.flatnonzero(layout.shard == number)
        expected = np.concatenate([[0], np.cumsum(size[mine])])
        if len(mine) != shard.records or expected[-1] != shard.samples:
            text = f"the table places {len(mine)} records there, the manifest {shard.records}"
            yield Finding("layout", shard.file, text)
        elif (layout.offset[mine] != expected[:-1]).any():
            yield Finding("layout", shard.file, "the records overlap or leave gaps")


def _samples(store: SignalStore) -> Iterator[Finding]:
    for number, shard in enumerate(store.manifest.shards):
        if sha256_file(store.path / SHARDS / shard.file) == shard.sha256:
            continue
        yield Finding("checksum", shard.file, "differs from the manifest's; samples are damaged")
        for row in np.flatnonzero(store.layout.shard == number):
            yield from _record(store, int(row))


def _record(store: SignalStore, row: int) -> Iterator[Finding]:
    digest = hashlib.sha256(store.packed(row).tobytes()).hexdigest()
    if digest != store.table["digest"].iloc[row]:
        record_id = str(store.table["record_id"].iloc[row])
        text = "its samples differ from its digest; prepare the store again"
        yield Finding("damaged record", record_id, text)


def _duplicates(store: SignalStore) -> Iterator[Finding]:
    """Find equal samples: under two subjects they leak through any split by subject."""
    table = store.table
    groups = table[table["digest"].duplicated(keep=False)].groupby("digest", sort=False)
    for _, group in groups:
        yield equal_samples(group)


def equal_samples(group: pd.DataFrame) -> Finding:
    """Report records of equal samples, given by their `record_id` and `subject_id`."""
    where = ", ".join(group["record_id"].astype(str).head(_NAMED))
    who = sorted(set(group["subject_id"].astype(str)))
    if len(who) == 1:
        text = f"equal samples of one subject ({who[0]})"
        return Finding("duplicate content", where, text, "warning")
    text = f"equal samples under different subjects ({', '.join(who[:_NAMED])})"
    return Finding("duplicate content", where, text)


def _folds(store: SignalStore) -> Iterator[Finding]:
    return subjects_in_several_folds(store.table)


def subjects_in_several_folds(table: pd.DataFrame) -> Iterator[Finding]:
    """Find subjects whose records lie in several parts of a publisher's split."""
    for column in FOLD_COLUMNS:
        if column not in table.columns:
            continue
        pairs = table[["subject_id", column]].dropna().drop_duplicates()
        several = pairs[pairs["subject_id"].duplicated(keep=False)]
        for subject, group in several.groupby("subject_id", sort=False):
            values = ", ".join(sorted(map(str, group[column])))
            text = f"its records lie in several values of `{column}`: {values}"
            yield Finding("subject in several folds", str(subject), text)
