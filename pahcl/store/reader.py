"""Read a store: one recording at a time, or a batch by one gather."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pahcl.errors import StoreError
from pahcl.signals import Pad, Recording, SignalSpec, window_bounds
from pahcl.store.cycles import CycleTable, read_cycles
from pahcl.store.manifest import MANIFEST, SHARDS, TABLE, Manifest, read_manifest
from pahcl.store.maps import Places, ShardMaps
from pahcl.store.quantise import dequantise
from pahcl.store.shards import LAYOUT_FIELDS

Integers = npt.NDArray[np.int64]

_COLUMNS = frozenset({"record_id", "subject_id", *(field.name for field in LAYOUT_FIELDS)})


class Gathered(NamedTuple):
    """Hold a batch as it travels to the device.

    Args:
        samples: `[B, C, L]` int16, 0 outside `start:stop`; contiguous and writable.
        scale: `[B, C]` float32, physical units per step.
        start: `[B]` int64, first sample of the window that is signal.
        stop: `[B]` int64, end of the signal in the window.
    """

    samples: npt.NDArray[np.int16]
    scale: npt.NDArray[np.float32]
    start: Integers
    stop: Integers


@dataclass(frozen=True)
class Windows:
    """Hold windows of N records that are looked up, of which any part is copied out at once.

    A look-up of a few numbers costs as much as one of thousands: who wants many batches asks for
    all their windows, and copies batch after batch.

    Args:
        places: Where they lie.
        scale: `[N, C]` float32, physical units per step.
        start: `[N]` int64, first sample of each window that is signal.
        stop: `[N]` int64, end of the signal in each window.
        padded: Whether any of them has samples that are no signal.
    """

    places: Places
    scale: npt.NDArray[np.float32]
    start: Integers
    stop: Integers
    padded: bool

    def samples(self, part: slice) -> npt.NDArray[np.int16]:
        """Copy the samples of a part, `[B, C, L]`, 0 outside `start:stop`."""
        samples = self.places.cut(part)
        if self.padded:
            _silence_padding(samples, self.start[part], self.stop[part])
        return samples


@dataclass(frozen=True)
class Layout:
    """Say where each record lies; arrays of N records.

    Args:
        shard: `[N]` number of the shard.
        offset: `[N]` int16 numbers before the record in its shard.
        length: `[N]` samples per lead.
        scale: `[N, C]` float64, physical units per step.
    """

    shard: Integers
    offset: Integers
    length: Integers
    scale: npt.NDArray[np.float64]


class SignalStore:
    """Open a complete store for reading.

    Memory-maps are opened when they are first needed, in each process anew, so that a store may be
    pickled or carried over a fork. A pickled store is its path.

    Args:
        path: The store's folder.

    Raises:
        StoreError: The store is incomplete, of an unknown format, or a shard is missing or of
            another size than the manifest says.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.manifest: Manifest = read_manifest(self.path)
        self._require_files()

    def __reduce__(self) -> tuple[type[SignalStore], tuple[Path]]:
        return type(self), (self.path,)

    def __len__(self) -> int:
        return self.manifest.counts["kept"]

    def __repr__(self) -> str:
        return (
            f"SignalStore({str(self.path)!r}: {self.manifest.dataset}, {len(self)} records, "
            f"{self.spec.fs:g} Hz)"
        )

    @property
    def spec(self) -> SignalSpec:
        """State the contract of all records; `length` is None."""
        return self.manifest.spec

    @cached_property
    def table(self) -> pd.DataFrame:
        """Hold one row per record, in the order of the store; scales are in `scales`."""
        return cast("pd.DataFrame", self._read_table(None).to_pandas())

    def columns(self, names: Sequence[str]) -> pd.DataFrame:
        """Read some columns of the table; the others stay on the disk.

        Raises:
            StoreError: The table cannot be read, or lacks a column.
        """
        return cast("pd.DataFrame", self._read_table(list(names)).to_pandas())

    @cached_property
    def layout(self) -> Layout:
        """Hold where each record lies."""
        names = ["shard", "offset", "length", "scale"]
        columns = self._read_table(names)
        scale = columns["scale"].combine_chunks()
        flat = (scale.flatten() if isinstance(scale, pa.Array) else scale).to_numpy()
        leads = len(self.spec.leads)
        if len(columns) != len(self) or len(flat) != len(self) * leads:
            raise StoreError(
                f"{self.path / TABLE} does not fit its manifest ({len(columns)} rows, not "
                f"{len(self)}). Delete {self.path} and run `pahcl prepare` again."
            )
        shard, offset, length = (columns[name].to_numpy().astype(np.int64) for name in names[:3])
        self._require_inside(shard, offset, length)
        return Layout(shard, offset, length, flat.reshape(-1, leads))

    @property
    def lengths(self) -> Integers:
        """Count the samples per lead of every record, `[N]`."""
        return self.layout.length

    @cached_property
    def scales(self) -> npt.NDArray[np.float32]:
        """Hold the physical units per step of every record and lead, `[N, C]`."""
        return self.layout.scale.astype(np.float32)

    def packed(self, index: int) -> npt.NDArray[np.int16]:
        """Give the int16 samples `[C, length]` of one record, a read-only view."""
        return self._maps.record(int(self._require_indices(index)[0]))

    def read(self, index: int) -> Recording:
        """Read one record in physical units; `resolution` is its scale."""
        samples = self.packed(index)  # refuses an index that is not there
        scale = self.layout.scale[index]
        ids = self._ids.iloc[index]
        source = ids["source_sha256"]
        return Recording(
            signal=dequantise(samples, scale),
            fs=self.spec.fs,
            leads=self.spec.leads,
            unit=self.spec.unit,
            record_id=str(ids["record_id"]),
            subject_id=str(ids["subject_id"]),
            resolution=scale.copy(),
            source_sha256=None if pd.isna(source) else str(source),
        )

    def gather(
        self,
        indices: npt.ArrayLike,
        length: int,
        pad: Pad = "center",
        begin: npt.ArrayLike | None = None,
    ) -> Gathered:
        """Cut one window out of each of many records, without Python per sample or record.

        Args:
            indices: `[B]` positions of records, in any order, also repeated.
            length: Samples of the window.
            pad: Where padding goes in a record that is shorter than the window.
            begin: `[B]` first sample of the window in its record, which may lie before the record
                or behind its end; by default the middle of a longer record, and `pad` decides for
                a shorter one.

        Returns:
            The batch; samples outside `start:stop` are 0 and no signal.

        Raises:
            IndexError: There is no such record.
        """
        windows = self.windows(indices, length, pad, begin)
        return Gathered(windows.samples(slice(None)), windows.scale, windows.start, windows.stop)

    def windows(
        self,
        indices: npt.ArrayLike,
        length: int,
        pad: Pad = "center",
        begin: npt.ArrayLike | None = None,
    ) -> Windows:
        """Look up windows without copying them yet; arguments and errors are those of `gather`."""
        rows = self._require_indices(indices)
        lengths = self.layout.length[rows]
        if begin is None:
            first, start, stop = window_bounds(lengths, length, pad)
            first = first - start
        else:
            first = np.broadcast_to(np.asarray(begin, dtype=np.int64), rows.shape)
            start = np.clip(-first, 0, length)
            stop = np.maximum(np.clip(lengths - first, 0, length), start)
        places = self._maps.places(rows, first, length)
        padded = bool(((start > 0) | (stop < length)).any())
        return Windows(places, self.scales[rows], start, stop, padded)

    def cycles(self, name: str | None = None) -> CycleTable:
        """Read the heart cycles of all records, and check that they are whole and of this store.

        Args:
            name: Name of the table (`rhythm`, `annotated` …); None takes the only one.

        Raises:
            StoreError: It is not there, damaged, of another store, or there are several.
        """
        return read_cycles(self.path, self.manifest, len(self), name)

    def placed(self, table: CycleTable) -> CycleTable:
        """Number the records of a table of cycles as this store does.

        Args:
            table: Of this store, or of the one that this one was derived from.

        Raises:
            StoreError: It is of another one.
        """
        if self.manifest.digest == table.manifest.store:
            return table
        if self.manifest.parent != table.manifest.store:
            raise StoreError(
                f"{self.path} was not derived from the store whose cycles "
                f"`{table.manifest.name}` these are: find them in the store that it came from."
            )
        return table.numbered(self.columns(["record_id"])["record_id"].astype(str))

    @cached_property
    def _ids(self) -> pd.DataFrame:
        return self.columns(["record_id", "subject_id", "source_sha256"])

    def _read_table(self, names: list[str] | None) -> pa.Table:
        """Read columns of the table by name; None leaves out the scales, which `layout` holds.

        Raises:
            StoreError: The file cannot be read, or lacks a column.
        """
        try:
            with pq.ParquetFile(self.path / TABLE) as file:
                there = file.schema_arrow.names
                wanted = _COLUMNS.union(names or ())
                table = file.read(names or [name for name in there if name != "scale"])
        except (pa.ArrowException, OSError) as error:
            raise StoreError(
                f"{self.path / TABLE} cannot be read ({error}): the store is damaged. Delete "
                f"{self.path} and run `pahcl prepare` again."
            ) from error
        if missing := wanted.difference(there):
            raise StoreError(
                f"{self.path / TABLE} lacks the column(s) {', '.join(sorted(missing))}: the store "
                f"is damaged. Delete {self.path} and run `pahcl prepare` again."
            )
        return table

    @cached_property
    def _maps(self) -> ShardMaps:
        files = [self.path / SHARDS / shard.file for shard in self.manifest.shards]
        layout = self.layout
        leads = len(self.spec.leads)
        return ShardMaps(files, layout.shard, layout.offset, layout.length, leads)

    def _require_indices(self, indices: npt.ArrayLike) -> Integers:
        given = np.asarray(indices)
        if given.size and given.dtype.kind not in "iu":
            raise IndexError(f"records are indexed by integers, not {given.dtype}")
        rows = given.astype(np.int64, copy=False).reshape(-1)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"{self!r} has no record {rows.min()} or no record {rows.max()}")
        return rows

    def _require_inside(self, shard: Integers, offset: Integers, length: Integers) -> None:
        """Refuse a table by which a gather would read outside its shard's memory."""
        samples = np.array([item.samples for item in self.manifest.shards], dtype=np.int64)
        known = (shard >= 0) & (shard < len(samples))
        room = samples[np.where(known, shard, 0)] - len(self.spec.leads) * length
        wrong = ~known | (offset < 0) | (length < 1) | (offset > room)
        if wrong.any():
            raise StoreError(
                f"{self.path / TABLE} places record {int(wrong.argmax())} outside its shard: the "
                f"store is damaged. Delete {self.path} and run `pahcl prepare` again."
            )

    def _require_files(self) -> None:
        sizes = {shard.file: 2 * shard.samples for shard in self.manifest.shards}
        folder = self.path / SHARDS
        for name, size in sizes.items():
            path = folder / name
            found = path.stat().st_size if path.is_file() else None
            if found != size:
                state = "is missing" if found is None else f"has {found} bytes, not {size}"
                raise StoreError(
                    f"{path} {state}: the store is damaged. Delete {self.path} and run `pahcl "
                    "prepare` again."
                )
        if not (self.path / TABLE).is_file():
            raise StoreError(
                f"{self.path / TABLE} is missing: the store is damaged. Delete {self.path} and run "
                "`pahcl prepare` again."
            )


def _silence_padding(samples: npt.NDArray[np.int16], start: Integers, stop: Integers) -> None:
    """Set what is no signal to 0, in place; windows that are full cost nothing."""
    length = samples.shape[2]
    padded = np.flatnonzero((start > 0) | (stop < length))
    if not len(padded):
        return
    # Records of one length share their padding: a handful of slices rather than a mask.
    bounds, kind = np.unique(start[padded] * (length + 1) + stop[padded], return_inverse=True)
    for number, (left, right) in enumerate(zip(*np.divmod(bounds, length + 1), strict=True)):
        alike = padded[kind == number]
        rows = slice(None) if len(alike) == len(samples) else alike
        samples[rows, :, :left] = 0
        samples[rows, :, right:] = 0


def kept_open(path: Path) -> SignalStore:
    """Open a store, which a worker keeps open from one job to the next, unless it was replaced."""
    manifest = (path / MANIFEST).stat()
    return _opened(path, manifest.st_mtime_ns, manifest.st_ino)


@lru_cache(maxsize=1)
def _opened(path: Path, changed: int, inode: int) -> SignalStore:
    return SignalStore(path)
