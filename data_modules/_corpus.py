"""A corpus as its publisher gives it: what it is, which records it has, how one of them is read."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import LightningDataModule

from data_modules._arguments import require_rate
from data_modules._roots import reading, require_root, version_of
from data_modules._stores import source_rate
from pahcl.download.sources import Source
from pahcl.signals import STANDARD_12
from pahcl.signals.recording import Recording
from pahcl.signals.spec import Modality
from pahcl.store import Index, Manifest, write_store
from pahcl.store.writer import SHARD_RECORDS, Engine
from pahcl.task import Task


@dataclass(frozen=True)
class Contents:
    """Hold what a store is to be packed from.

    Args:
        index: The records.
        modality: What is recorded.
        leads: Leads of the store.
        unit: Unit of the store.
        fs: Rate of the store in Hz.
        config: What changes the store, as plain types.
    """

    index: Index
    modality: Modality
    leads: tuple[str, ...]
    unit: str
    fs: float
    config: dict[str, Any]


class Corpus(LightningDataModule):
    """Say what a data set is, list its records, read one of them, and pack them into a store."""

    name: str
    title: ClassVar[str]
    version: ClassVar[str]
    citation: ClassVar[str]
    licence: ClassVar[str]
    homepage: ClassVar[str]
    source: ClassVar[Source | None] = None
    """Where `pahcl download` fetches it from; None: nobody publishes it."""
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
    def contents(cls, root: Path, fs: float | None, **options: Any) -> Contents:
        """List the records, and say what they are: here what the class says.

        Args:
            root: The publisher's folder.
            fs: Wanted rate in Hz; None takes the original.
            options: What `index` takes besides.

        Raises:
            DataError: The folder is not this data set.
            UsageError: The rate cannot hold the signal.
        """
        rate = cls.rates[0] if fs is None else fs
        require_rate(rate, cls.modality)
        index = cls.index(root, fs=source_rate(cls.rates, rate), **options)
        leads = cls.channels(**options)
        return Contents(index, cls.modality, leads, cls.unit, rate, options)

    @classmethod
    def prepare(
        cls,
        root: str | Path,
        out: str | Path,
        fs: float | None = None,
        workers: int | None = 1,
        shard: tuple[int, int] | None = None,
        progress: bool = True,
        shard_records: int = SHARD_RECORDS,
        engine: Engine = "local",
        **options: Any,
    ) -> Manifest | None:
        """Pack the publisher's records into a store.

        Args:
            root: The publisher's folder.
            out: The store's folder.
            fs: Rate of the store in Hz; None takes the publisher's original.
            workers: Processes that read and pack; None takes all that the engine has.
            shard: (i, n) packs the i-th of n parts alone; `pahcl.store.merge` finishes the store.
            progress: Show a progress bar.
            shard_records: Records in one file of the store.
            engine: Pack on this machine, or on a Ray cluster.
            options: What the data set's `index` takes besides.

        Returns:
            The manifest; None where only one part of several was packed.

        Raises:
            DataError: The folder is not there, is not this data set, or cannot be read.
            UsageError: The rate cannot hold the signal.
        """
        folder = Path(root)
        published = cls.source is not None
        require_root(folder, cls.name, cls.title, cls.homepage, published=published)
        with reading(folder):
            held = cls.contents(folder, fs, **options)
        return write_store(
            Path(out),
            held.index,
            functools.partial(cls.read, folder),
            dataset=cls.name,
            dataset_version=version_of(folder, cls.version),
            modality=held.modality,
            leads=held.leads,
            unit=held.unit,
            fs=held.fs,
            workers=workers,
            shard=shard,
            progress=progress,
            shard_records=shard_records,
            config=held.config,
            root=folder,
            engine=engine,
        )
