"""What a store says of itself, and what a data set's index says before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

import pahcl
from pahcl.errors import DataError, StoreError
from pahcl.files import canonical_json, sha256_text
from pahcl.signals.spec import SignalSpec

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
TABLE = "records.parquet"
SHARDS = "shards"
CYCLES = "cycles"

REQUIRED_COLUMNS = ("record_id", "subject_id", "file")


def shard_name(number: int) -> str:
    """Name the file of a shard."""
    return f"{number:05d}.bin"


@dataclass(frozen=True)
class Rejection:
    """Name a record that was found and cannot be used.

    Args:
        file: The publisher's file, relative to the root.
        record_id: Identifier of the record, as far as it is known.
        reason: What is wrong with it, in a few words.
    """

    file: str
    record_id: str
    reason: str


@dataclass(frozen=True)
class Index:
    """List what a data set holds, before any signal is read.

    Args:
        table: One row per record with the text columns `record_id` (unique), `subject_id` and
            `file` (relative to the root), and any other column, which the store keeps: labels,
            `age`, `sex`, `report`, `fold`. A column whose name starts with `_` reaches the reader
            and is not kept.
        rejected: Records that were found and are not in the table.
        notes: Named counts of what is odd and harmless, for example `{"age missing": 4}`.
    """

    table: pd.DataFrame
    rejected: list[Rejection] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [name for name in REQUIRED_COLUMNS if name not in self.table.columns]
        if missing:
            raise DataError(f"The index lacks the column(s) {', '.join(missing)}.")
        for name in REQUIRED_COLUMNS:
            if self.table[name].isna().any():
                row = int(self.table[name].isna().to_numpy().argmax())
                raise DataError(f"The index has no `{name}` in row {row}; reject that record.")

    @property
    def found(self) -> int:
        """Count the records found, usable or not."""
        return len(self.table) + len(self.rejected)


@dataclass(frozen=True)
class ShardInfo:
    """Describe one file of samples.

    Args:
        file: Its name in `shards/`.
        records: How many records it holds.
        samples: How many int16 numbers it holds.
        sha256: Checksum of its bytes.
    """

    file: str
    records: int
    samples: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """State what a complete store holds; `manifest.json` is this.

    Args:
        dataset: Name of the data set.
        dataset_version: The publisher's version.
        spec: The signals' contract; `length` is None, for records may be ragged.
        counts: `found`, `kept` and `rejected`; found = kept + rejected.
        rejected: Each rejected record with file, id and reason.
        notes: Named counts from the index.
        shards: The files of samples in order.
        table_sha256: Checksum of `records.parquet`.
        shard_records: How many rows of the index went into one shard.
        index_digest: Names the content of the index.
        config: Options that changed what is stored.
        config_digest: Names data set, contract, index and options together.
        code_version: Version of this package.
        parent: Digest of the store that this one was derived from.
        format_version: Version of this layout.
    """

    dataset: str
    dataset_version: str
    spec: SignalSpec
    counts: dict[str, int]
    rejected: tuple[Rejection, ...]
    notes: dict[str, int]
    shards: tuple[ShardInfo, ...]
    table_sha256: str
    shard_records: int
    index_digest: str
    config: dict[str, Any]
    config_digest: str
    code_version: str
    parent: str | None = None
    format_version: int = FORMAT_VERSION

    @property
    def digest(self) -> str:
        """Name the store's whole content, samples, table and contract, in 64 digits."""
        return sha256_text(canonical_json(self.to_dict()))

    def to_dict(self) -> dict[str, Any]:
        """Write the manifest as plain types."""
        values = asdict(self)
        values["spec"] = self.spec.to_dict()
        values["rejected"] = [asdict(rejection) for rejection in self.rejected]
        values["shards"] = [asdict(shard) for shard in self.shards]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Manifest:
        """Read what `to_dict` wrote."""
        return cls(
            **{
                **values,
                "spec": SignalSpec.from_dict(values["spec"]),
                "rejected": tuple(Rejection(**item) for item in values["rejected"]),
                "shards": tuple(ShardInfo(**item) for item in values["shards"]),
            }
        )


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a complete store.

    Raises:
        StoreError: The folder is not a complete store of a format that is known here.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise StoreError(
            f"There is no store at {folder}: name the folder of one, or pack one there with "
            f"`pahcl prepare` and `--out {folder}`."
        )
    if not path.is_file():
        raise StoreError(
            f"{folder} is not a complete store: it has no {MANIFEST}. If packing was stopped, run "
            f"`pahcl prepare` with `--out {folder}` again; it goes on where it was."
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values["format_version"]
        if version == FORMAT_VERSION:
            return Manifest.from_dict(values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} is damaged ({type(error).__name__}: {error}). Delete {folder} and run "
            "`pahcl prepare` again."
        ) from error
    raise unknown_format(folder, version)


def unknown_format(folder: Path, version: object) -> StoreError:
    """Say of a folder that its layout is not the one that is known here."""
    return StoreError(
        f"{folder} has the store format {version!r}; this version of pahcl ({pahcl.__version__}) "
        f"reads {FORMAT_VERSION}. Delete {folder} or choose another folder and prepare the store "
        "again, or use the version of pahcl that wrote it."
    )
