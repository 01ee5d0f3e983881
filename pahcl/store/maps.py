"""All shards of a store as one memory-mapped address range."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Samples = npt.NDArray[np.int16]


class ShardMaps:
    """Map the shards of a store and cut windows out of them.

    A shuffled batch touches nearly every shard. Gathered shard by shard, each piece would be
    copied twice and cost several NumPy calls (measured: 0.58 of the speed of one flat map). All
    maps live in one address space, though: a view that spans them all, of which only mapped rows
    are ever read, makes one gather of any batch.

    Args:
        files: The shards in order.
        shard: `[N]` shard of each record.
        offset: `[N]` int16 numbers before it in its shard. The caller has checked that every
            record lies within its shard: what lies outside must not be read.
        lengths: `[N]` its samples per lead.
        leads: Leads of every record.
    """

    def __init__(
        self,
        files: Sequence[Path],
        shard: Integers,
        offset: Integers,
        lengths: Integers,
        leads: int,
    ) -> None:
        self._flat = [_map(path) for path in files]
        self._shard, self._offset, self._lengths = shard, offset, lengths
        self._leads = leads
        filled = [flat for flat in self._flat if len(flat)]
        self._base = min((flat.ctypes.data for flat in filled), default=0)
        # Positions in int16 numbers from the base: where each shard begins and where it ends.
        self._first = np.array(
            [(flat.ctypes.data - self._base) // 2 if len(flat) else 0 for flat in self._flat],
            dtype=np.int64,
        )
        self._end = self._first + np.array([len(flat) for flat in self._flat], dtype=np.int64)
        self._at = self._first[shard] + offset
        self._views: dict[int, Samples] = {}

    def record(self, row: int) -> Samples:
        """Give the samples of one record, `[leads, length]`, a read-only view."""
        offset, length = int(self._offset[row]), int(self._lengths[row])
        flat = self._flat[self._shard[row]]
        samples: Samples = flat[offset : offset + self._leads * length]
        return samples.reshape(self._leads, length)

    def whole(self, rows: Integers, length: int) -> Samples:
        """Gather records that all have the same length.

        Returns:
            `[B, leads, length]`, new memory.
        """
        samples = self._gather(self._at[rows], self._leads * length)
        return samples.reshape(len(rows), self._leads, length)

    def windows(self, rows: Integers, first: Integers, length: int) -> Samples:
        """Cut windows; what lies outside a record is arbitrary.

        Args:
            rows: `[B]` the records.
            first: `[B]` first sample of each window in its record, negative before it.
            length: Samples of a window.

        Returns:
            `[B, leads, length]`, new memory.
        """
        shard = self._shard[rows]
        at = (self._at[rows] + first)[:, None] + self._lengths[rows, None] * np.arange(self._leads)
        inside = (at[:, 0] >= self._first[shard]) & (at[:, -1] + length <= self._end[shard])
        if inside.all():
            return self._gather(at, length)
        samples = np.zeros((len(rows), self._leads, length), dtype=np.int16)
        if inside.any():
            samples[inside] = self._gather(at[inside], length)
        # Only the first and the last few records of a shard have windows that leave its file.
        for place in np.flatnonzero(~inside):
            record = self.record(int(rows[place]))
            begin = int(first[place])
            taken = record[:, max(begin, 0) : max(begin + length, 0)]
            start = max(-begin, 0)
            samples[place, :, start : start + taken.shape[1]] = taken
        return samples

    def _gather(self, at: Integers, width: int) -> Samples:
        """Gather rows of `width` numbers; each row must lie within one shard.

        Returns:
            `[*at.shape, width]`, new memory.
        """
        if not at.size:
            return np.empty((*at.shape, width), dtype=np.int16)
        if width not in self._views:
            span = _Span(self._base, int(self._end.max()) - width + 1, width)
            self._views[width] = np.asarray(span)
        rows: Samples = self._views[width][at]
        return rows


class _Span:
    """Describe overlapping rows of memory to NumPy: row i begins i numbers after the address."""

    def __init__(self, address: int, rows: int, width: int) -> None:
        self.__array_interface__ = {
            "version": 3,
            "typestr": "<i2",
            "data": (address, True),
            "shape": (rows, width),
            "strides": (2, 2),
        }


def _map(path: Path) -> Samples:
    if path.stat().st_size == 0:  # all its records were rejected; nothing to map
        return np.empty(0, dtype="<i2")
    return np.asarray(np.memmap(path, dtype="<i2", mode="r"))
