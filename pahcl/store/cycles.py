"""The heart cycles of a store: a second table, one row per cycle; no sample is copied for it.

    <store>/cycles/<name>.parquet    the rows, in the order of the records
    <store>/cycles/<name>.json       what found them, counts, and the checksum of the rows

Times are in seconds from the begin of a record, so that they hold for every rate: a store that was
derived from this one reads the same table.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import pahcl
from pahcl.errors import StoreError, UsageError
from pahcl.files import sha256_file
from pahcl.signals.heart_cycles.cycles import BOUNDARIES, HeartCycles
from pahcl.store.manifest import CYCLES, Manifest

CYCLES_FORMAT = 1
FLAG, MEASURE = "quality/", "measure/"
"""How the columns of flags and of measures begin."""

OWN_FIELDS = (
    pa.field("record", pa.int32()),
    pa.field("record_id", pa.string()),
    pa.field("cycle", pa.int32()),
    *(pa.field(name, pa.float64()) for name in BOUNDARIES),
    pa.field("confidence", pa.float32()),
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class CycleManifest:
    """State what a table of cycles holds; `<name>.json` is this.

    Args:
        name: Name of the table.
        store: Digest of the store whose records these are.
        finder: What found the cycles, with all its settings.
        checks: What judged them, with all thresholds.
        counts: `records`, `cycles`, `records_without_cycles` and `flagged` cycles.
        heart_rate: Beats a minute over records (of each its median): `median`, `p5` and `p95`.
        flags: Cycles by flag.
        labels: By task and class: the counts, and `flags`, so that it shows whom they hit.
        without: Each record without a cycle, with the reason.
        notes: What else was told of single records.
        table_sha256: Checksum of the table.
        code_version: Version of this package.
        format_version: Version of this layout.
    """

    name: str
    store: str
    finder: dict[str, Any]
    checks: list[dict[str, Any]]
    counts: dict[str, int]
    heart_rate: dict[str, float | None]
    flags: dict[str, int]
    labels: dict[str, dict[str, dict[str, Any]]]
    without: list[dict[str, str]]
    notes: list[dict[str, str]]
    table_sha256: str
    code_version: str = pahcl.__version__
    format_version: int = CYCLES_FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Write it as plain types."""
        return asdict(self)

    def refusals(self) -> dict[str, list[str]]:
        """Group the records without cycles by reason, the most frequent first; numbers apart."""
        groups: dict[str, list[str]] = {}
        for one in self.without:
            reason = _NUMBER.sub("…", one["reason"].partition(":")[0])
            groups.setdefault(reason, []).append(one["record_id"])
        return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


@dataclass(frozen=True, eq=False)
class CycleTable:
    """Hold the heart cycles of a store's records.

    Args:
        frame: One row per cycle, ordered by record: `record` (row of the store), `record_id`,
            `cycle` (its number in the record, from 0), `start`, `systole`, `s2`, `diastole`, `end`
            (seconds; NaN where a boundary is not known), `confidence`, `measure/<name>` and
            `quality/<flag>`.
        manifest: What found them, and counts.
        records: Records of the store.
    """

    frame: pd.DataFrame
    manifest: CycleManifest
    records: int

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def flags(self) -> tuple[str, ...]:
        """Name the flags."""
        columns = map(str, self.frame.columns)
        return tuple(name.removeprefix(FLAG) for name in columns if name.startswith(FLAG))

    @cached_property
    def first(self) -> npt.NDArray[np.int64]:
        """Give the first row of each record, and the end of the last one, `[records + 1]`."""
        record = self.frame["record"].to_numpy()
        return np.searchsorted(record, np.arange(self.records + 1)).astype(np.int64)

    def of(self, record: int) -> HeartCycles:
        """Give the cycles of one record, named by its row in the store.

        Raises:
            IndexError: There is no such record.
        """
        if not 0 <= record < self.records:
            raise IndexError(f"the store has {self.records} records, and none at {record}")
        rows = self.frame.iloc[self.first[record] : self.first[record + 1]]
        return HeartCycles(*(rows[name].to_numpy() for name in (*BOUNDARIES, "confidence")))

    def flagged(self, flags: Iterable[str] | None = None) -> npt.NDArray[np.bool_]:
        """Say which cycles have one of these flags, `[len(self)]`; None asks for any.

        Raises:
            UsageError: There is no such flag.
        """
        wanted = self.flags if flags is None else list(dict.fromkeys(flags))
        unknown = [name for name in wanted if name not in self.flags]
        if unknown:
            raise UsageError(
                f"The cycles `{self.manifest.name}` have no flag `{unknown[0]}`; there are: "
                f"{', '.join(self.flags)}."
            )
        found = np.zeros(len(self), dtype=np.bool_)
        for name in wanted:
            found |= self.frame[FLAG + name].to_numpy(dtype=np.bool_)
        return found

    def numbered(self, record_ids: Iterable[str]) -> CycleTable:
        """Number the records as another store of the same recordings does; others are left out.

        Args:
            record_ids: Of all its records, in their order.
        """
        ids = list(record_ids)
        places = pd.Series(np.arange(len(ids)), index=ids)
        record = places.reindex(self.frame["record_id"].astype(str)).to_numpy()
        kept = np.isfinite(record)
        frame = self.frame[kept].assign(record=record[kept].astype(np.int32))
        return CycleTable(frame.reset_index(drop=True), self.manifest, len(ids))


def cycle_paths(store: Path, name: str) -> tuple[Path, Path]:
    """Name the table and the manifest of the cycles `name`.

    Raises:
        UsageError: It is no name.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"Cycles are named by letters, digits, `-` and `_`, not {name[:80]!r}: their name is "
            "that of a file."
        )
    return store / CYCLES / f"{name}.parquet", store / CYCLES / f"{name}.json"


def cycle_names(store: Path) -> list[str]:
    """List the tables of cycles that a store says are complete."""
    return sorted(path.stem for path in (store / CYCLES).glob("[!.]*.json"))


def schema_of(measures: Sequence[str], flags: Sequence[str]) -> pa.Schema:
    """Give the columns of a table."""
    return pa.schema(
        [
            *OWN_FIELDS,
            *(pa.field(MEASURE + name, pa.float32()) for name in measures),
            *(pa.field(FLAG + name, pa.bool_()) for name in flags),
        ]
    )


def read_cycle_manifest(store: Path, name: str) -> CycleManifest:
    """Read what a table of cycles says of itself.

    Raises:
        StoreError: It is not there, damaged, or of an unknown format.
        UsageError: It is no name.
    """
    path = cycle_paths(store, name)[1]
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values["format_version"]
        if version == CYCLES_FORMAT:
            return CycleManifest(**values)
    except (FileNotFoundError, NotADirectoryError) as error:
        there = ", ".join(cycle_names(store)) or "none"
        raise StoreError(
            f"{store} has no heart cycles `{name}` (there are: {there}). Find them with `pahcl "
            f"prepare DATASET --out {store} --cycles {name}`."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(store, name, f"{path.name}: {type(error).__name__}: {error}") from error
    raise StoreError(
        f"{path} has the format {version!r}; this version of pahcl ({pahcl.__version__}) reads "
        f"{CYCLES_FORMAT}. {again(store, name)}"
    )


def read_cycles(store: Path, of: Manifest, records: int, name: str | None = None) -> CycleTable:
    """Read a table of cycles, and check that it is whole and of this store.

    Args:
        store: The store's folder.
        of: What the store says of itself.
        records: How many it has.
        name: Name of the table; None takes the only one.

    Raises:
        StoreError: It is not there, damaged, of another store, or there are several.
        UsageError: It is no name.
    """
    if name is None:
        names = cycle_names(store)
        if len(names) > 1:
            raise StoreError(
                f"{store} has several tables of heart cycles ({', '.join(names)}): name one "
                "(`--cycles NAME`, `cycles.table`, `store.cycles(name)`)."
            )
        name = names[0] if names else "rhythm"
    manifest = read_cycle_manifest(store, name)
    if manifest.store != of.digest:
        raise StoreError(
            f"The heart cycles `{name}` in {store} were found in another store than is there "
            f"now. {again(store, name)}"
        )
    path = cycle_paths(store, name)[0]
    try:
        if sha256_file(path) != manifest.table_sha256:
            raise _damaged(store, name, f"{path.name} was changed since it was written")
        frame = cast("pd.DataFrame", pq.read_table(io.BytesIO(path.read_bytes())).to_pandas())
    except (pa.ArrowException, OSError) as error:
        raise _damaged(store, name, f"{path.name}: {error}") from error
    return CycleTable(frame, manifest, records)


def again(store: Path, name: str) -> str:
    """Say how cycles are found again."""
    return (
        f"Delete {store / CYCLES / name}.json and find them again: `pahcl prepare DATASET --out "
        f"{store} --cycles {name}`."
    )


def _damaged(store: Path, name: str, what: str) -> StoreError:
    return StoreError(
        f"The heart cycles `{name}` in {store} are damaged ({what}). {again(store, name)}"
    )


def plain_settings(one: Any) -> dict[str, Any]:
    """Write the settings of a segmenter or of a check: fields by name, files by their checksum.

    Args:
        one: A frozen dataclass of plain types and paths.
    """
    return {field.name: _plain(getattr(one, field.name)) for field in fields(one)}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return {"sha256": sha256_file(value) if value.is_file() else None}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return plain_settings(value)
    return value
