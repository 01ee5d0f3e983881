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
        leads: Leads of a record.
    """

    def __init__(self, files: Sequence[Path], leads: int) -> None:
        self._leads = leads
        self._flat = [_map(path) for path in files]
        sizes = np.array([len(flat) for flat in self._flat], dtype=np.int64)
        first = np.array([flat.ctypes.data // 2 for flat in self._flat], dtype=np.int64)
        filled = sizes > 0
        self._base = int(first[filled].min(initial=np.iinfo(np.int64).max))
        # Positions in int16 steps from the base: where each shard begins and where it ends.
        self._first = np.where(filled, first - self._base, 0)
        self._end = self._first + sizes
        self._views: dict[int, Samples] = {}

    def flat(self, shard: int) -> Samples:
        """Give the samples of one shard, read-only."""
        return self._flat[shard]

    def windows(
        self, shard: Integers, offset: Integers, lengths: Integers, first: Integers, length: int
    ) -> Samples:
        """Cut windows; what lies outside a record is arbitrary.

        Args:
            shard: `[B]` shards of the records.
            offset: `[B]` their offsets in the shard.
            lengths: `[B]` their samples per lead.
            first: `[B]` first sample of each window in its record, negative before it.
            length: Samples of a window.

        Returns:
            `[B, leads, length]`, new memory.
        """
        record = self._first[shard] + offset
        if not (first.any() or (lengths != length).any()):
            whole = self._rows(record, self._leads * length)
            return whole.reshape(len(record), self._leads, length)
        at = (record + first)[:, None] + lengths[:, None] * np.arange(self._leads)
        inside = (at[:, 0] >= self._first[shard]) & (at[:, -1] + length <= self._end[shard])
        if inside.all():
            return self._rows(at, length)
        samples = np.zeros((len(record), self._leads, length), dtype=np.int16)
        if inside.any():
            samples[inside] = self._rows(at[inside], length)
        # Only the first and the last few records of a shard have windows that leave its file.
        for row in np.flatnonzero(~inside):
            size = int(lengths[row])
            begin = max(int(first[row]), 0)
            stop = max(min(int(first[row]) + length, size), begin)
            flat = self._flat[shard[row]][offset[row] : offset[row] + self._leads * size]
            target = begin - int(first[row])
            samples[row, :, target : target + stop - begin] = flat.reshape(self._leads, size)[
                :, begin:stop
            ]
        return samples

    def _rows(self, at: Integers, width: int) -> Samples:
        """Gather rows of `width` samples; each row must lie within one shard.

        Returns:
            `[*at.shape, width]`, new memory.
        """
        if not at.size:
            return np.empty((*at.shape, width), dtype=np.int16)
        if width not in self._views:
            rows = int(self._end.max()) - width + 1
            self._views[width] = np.asarray(_Span(2 * self._base, rows, width))
        return self._views[width][at]


class _Span:
    """Describe overlapping rows of memory to NumPy: row i begins i samples after the address."""

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
