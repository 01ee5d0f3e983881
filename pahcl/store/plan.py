"""What is being written, agreed upon before the first shard and by every process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import pahcl
from pahcl.errors import StoreError, UsageError
from pahcl.files import (
    canonical_json,
    is_temporary,
    plain,
    sha256_text,
    temporary_for,
    write_json,
)
from pahcl.signals import SignalSpec
from pahcl.store.manifest import (
    CYCLES,
    FORMAT_VERSION,
    MANIFEST,
    SHARDS,
    TABLE,
    Manifest,
    Rejection,
    unknown_format,
)

PLAN = "plan.json"
MOST_LETTERS = 80
"""Letters of a value in a sentence."""

PARTS = "parts"

_OURS = frozenset({PLAN, PARTS, MANIFEST, SHARDS, TABLE, CYCLES})


@dataclass(frozen=True)
class Recipe:
    """State everything that the bytes of a store depend on, the reader's code apart.

    Args:
        dataset: Name of the data set.
        dataset_version: The publisher's version.
        spec: The signals' contract.
        shard_records: How many rows of the index go into one shard.
        config: Options of the data set that change what is stored, as plain types.
        index_digest: Names the content of the index.
        parent: Digest of the store that is derived from.
    """

    dataset: str
    dataset_version: str
    spec: SignalSpec
    shard_records: int
    config: dict[str, Any]
    index_digest: str
    parent: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Write the recipe as plain types."""
        return {**asdict(self), "spec": self.spec.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Read what `to_dict` wrote."""
        return cls(**{**values, "spec": SignalSpec.from_dict(values["spec"])})

    @classmethod
    def of(cls, manifest: Manifest) -> Recipe:
        """Tell by what recipe a complete store was written."""
        return cls(
            dataset=manifest.dataset,
            dataset_version=manifest.dataset_version,
            spec=manifest.spec,
            shard_records=manifest.shard_records,
            config=manifest.config,
            index_digest=manifest.index_digest,
            parent=manifest.parent,
        )

    @property
    def digest(self) -> str:
        """Name the recipe in 64 hexadecimal digits."""
        return sha256_text(canonical_json(self.to_dict()))

    def differences(self, other: Recipe) -> list[str]:
        """Name each item in which the other differs, as `item: ours, not theirs`."""
        found = self.spec.differences(other.spec)
        ours, theirs = self.to_dict(), other.to_dict()
        for name in ("dataset", "dataset_version", "shard_records", "parent"):
            if ours[name] != theirs[name]:
                found.append(f"{name}: {ours[name]}, not {theirs[name]}")
        for name in sorted({*self.config, *other.config}):
            mine, asked = self.config.get(name), other.config.get(name)
            if mine != asked:
                found.append(f"{name}: {_brief(mine)}, not {_brief(asked)}")
        # Another rate, option or version also lists other files: the cause is named, not both.
        if not found and self.index_digest != other.index_digest:
            found.append("the index (the data set's tables or files changed)")
        return found


def _brief(value: object) -> str:
    """Write a value for a sentence; what is long is cut."""
    text = str(value)
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 2]} …"


@dataclass(frozen=True)
class Plan:
    """Agree on the work: the recipe, how many shards, and what the index rejected already.

    Args:
        recipe: What the store's bytes depend on.
        found: Records found, usable or not.
        shards: Number of shards.
        rejected: Records rejected before any was read.
        notes: Named counts from the index.
        code_version: Version of this package.
        format_version: Version of the store's layout.
    """

    recipe: Recipe
    found: int
    shards: int
    rejected: tuple[Rejection, ...]
    notes: dict[str, int]
    code_version: str = pahcl.__version__
    format_version: int = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Write the plan as plain types."""
        values = asdict(self)
        values["recipe"] = self.recipe.to_dict()
        values["rejected"] = [asdict(rejection) for rejection in self.rejected]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """Read what `to_dict` wrote."""
        return cls(
            **{
                **values,
                "recipe": Recipe.from_dict(values["recipe"]),
                "rejected": tuple(Rejection(**item) for item in values["rejected"]),
            }
        )

    def differences(self, other: Plan) -> list[str]:
        """Name each item in which the other plan differs."""
        found = self.recipe.differences(other.recipe)
        for name in ("code_version", "format_version"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                found.append(f"{name}: {ours}, not {theirs}")
        if not found and self.to_dict() != other.to_dict():
            found.append("the records that the index rejected, or its notes")
        return found


def plain_config(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """Bring options to plain types, as JSON keeps them.

    Raises:
        UsageError: An option is not made of texts, numbers, lists and dicts.
    """
    try:
        return dict(plain(dict(config or {})))
    except TypeError as error:
        raise UsageError(f"The store's `config` must be made of plain types: {error}.") from error


def digest_table(table: pd.DataFrame) -> str:
    """Name the content of a table: column names, types and values in order."""
    checksum = hashlib.sha256()
    for name in table.columns:
        column = table[name]
        if column.dtype == object:
            # Lists and dicts cannot be hashed by pandas; their text can.
            column = column.map(repr)
        checksum.update(f"{name}\0{table[name].dtype}\0{len(column)}\0".encode())
        hashed = pd.util.hash_pandas_object(column, index=False, categorize=False)
        checksum.update(hashed.to_numpy().astype("<u8").tobytes())
    return checksum.hexdigest()


def read_plan(out: Path) -> Plan | None:
    """Read the plan of an incomplete store; None if there is none.

    Raises:
        StoreError: The plan is damaged or of another version.
    """
    path = out / PLAN
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values["format_version"]
        if version == FORMAT_VERSION:
            return Plan.from_dict(values)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} cannot be understood ({type(error).__name__}): another version of pahcl wrote "
            f"it, or it is damaged. Delete {out} and run the command again."
        ) from error
    raise unknown_format(out, version)


def agree_on_plan(out: Path, plan: Plan) -> None:
    """Make the plan known, or check that the plan which is there is the same.

    Raises:
        StoreError: Another plan is there.
        OSError: The folder cannot be written.
    """
    there = read_plan(out)
    if there is None:
        _publish(out / PLAN, plan)
        there = read_plan(out)
    if there is not None and (differences := there.differences(plan)):
        raise StoreError(
            f"{out} was begun with another question: {'; '.join(differences)}. Ask the same as "
            "then, choose another `--out`, or delete that folder."
        )


def _publish(path: Path, plan: Plan) -> None:
    """Write the plan unless another process has just done so."""
    draft = temporary_for(path)
    try:
        write_json(draft, plan.to_dict(), sort_keys=True)
        with contextlib.suppress(FileExistsError):
            try:
                os.link(draft, path)  # unlike a rename, it never replaces a file
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                draft.replace(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def require_store_folder(out: Path) -> None:
    """Refuse a folder that holds anything but a store.

    Raises:
        UsageError: The path is a file, or holds files that are not a store's.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"`--out` must be a folder, but {out} is a file.")
    foreign = sorted(
        path.name
        for path in (out.iterdir() if out.is_dir() else ())
        if path.name not in _OURS and not is_temporary(path)
    )
    if foreign:
        raise UsageError(
            f"{out} holds files that are not a store's ({', '.join(foreign[:5])}). Choose an empty "
            "or a new folder for `--out`."
        )
