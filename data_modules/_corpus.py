"""A corpus as its publisher gives it: what it is, which records it has, how one of them is read."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import LightningDataModule

from data_modules._arguments import require_rate
from data_modules._roots import reading, require_root, version_of
from data_modules._stores import source_rate
from pahcl.signals import STANDARD_12
from pahcl.signals.recording import Recording
from pahcl.signals.spec import Modality
from pahcl.store import Index, Manifest, write_store
from pahcl.store.writer import SHARD_RECORDS
from pahcl.task import Task


class Corpus(LightningDataModule):
    """Say what a data set is, list its records, read one of them, and pack them into a store."""

    name: str
    title: ClassVar[str]
    version: ClassVar[str]
    citation: ClassVar[str]
    licence: ClassVar[str]
    homepage: ClassVar[str]
    folder: ClassVar[str]
    """Name of the data set's folder below `$PAHCL_DATA`."""
    rates: ClassVar[tuple[float, ...]]
    """Rates in Hz at which the publisher gives the records; the first is the original."""
    seconds: ClassVar[float]
    """Usual duration of a window."""
    tasks: ClassVar[dict[str, Task]]
    modality: ClassVar[Modality] = "ecg"
    unit: ClassVar[str] = "mV"
    leads: ClassVar[tuple[str, ...]] = STANDARD_12

    @classmethod
    @abstractmethod
    def index(cls, root: Path, fs: float) -> Index:
        """List the publisher's records; no signal is read.

        Args:
            root: The publisher's folder.
            fs: One of `rates`.
        """

    @classmethod
    @abstractmethod
    def read(cls, root: Path, row: Mapping[str, Any]) -> Recording:
        """Read one record, named by its row of the index."""

    @classmethod
    def channels(cls, **options: Any) -> tuple[str, ...]:
        """Name the leads of a store that is packed with these options of `index`: here `leads`."""
        return cls.leads

    @classmethod
    def prepare(
        cls,
        root: str | Path,
        out: str | Path,
        fs: float | None = None,
        workers: int = 1,
        shard: tuple[int, int] | None = None,
        progress: bool = True,
        shard_records: int = SHARD_RECORDS,
        **options: Any,
    ) -> Manifest | None:
        """Pack the publisher's records into a store.

        Args:
            root: The publisher's folder.
            out: The store's folder.
            fs: Rate of the store in Hz; None takes the publisher's original.
            workers: Processes that read and pack.
            shard: (i, n) packs the i-th of n parts alone; `pahcl.store.merge` finishes the store.
            progress: Show a progress bar.
            shard_records: Records in one file of the store.
            options: What the data set's `index` takes besides.

        Returns:
            The manifest; None where only one part of several was packed.

        Raises:
            DataError: The folder is not there, is not this data set, or cannot be read.
            UsageError: The rate cannot hold the signal.
        """
        folder, rate = Path(root), cls.rates[0] if fs is None else fs
        require_root(folder, cls.name, cls.title, cls.homepage)
        require_rate(rate, cls.modality)
        with reading(folder):
            index = cls.index(folder, fs=source_rate(cls.rates, rate), **options)
        return write_store(
            Path(out),
            index,
            functools.partial(cls.read, folder),
            dataset=cls.name,
            dataset_version=version_of(folder, cls.version),
            modality=cls.modality,
            leads=cls.channels(**options),
            unit=cls.unit,
            fs=rate,
            workers=workers,
            shard=shard,
            progress=progress,
            shard_records=shard_records,
            config=options,
            root=folder,
        )
