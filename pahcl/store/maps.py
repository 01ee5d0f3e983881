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
        self.leads = leads
        filled = [flat for flat in self._flat if len(flat)]
        self._base = min((flat.ctypes.data for flat in filled), default=0)
        # Positions in int16 numbers from the base: where each shard begins and where it ends.
        self._first = np.array(
            [(flat.ctypes.data - self._base) // 2 if len(flat) else 0 for flat in self._flat],
            dtype=np.int64,
        )
        self._end = self._first + np.array([len(flat) for flat in self._flat], dtype=np.int64)
        self._at = self._first[shard] + offset
        self._views: dict[int, npt.NDArray[np.void]] = {}

    def record(self, row: int) -> Samples:
        """Give the samples of one record, `[leads, length]`, a read-only view."""
        offset, length = int(self._offset[row]), int(self._lengths[row])
        flat = self._flat[self._shard[row]]
        samples: Samples = flat[offset : offset + self.leads * length]
        return samples.reshape(self.leads, length)

    def places(self, rows: Integers, first: Integers, length: int) -> Places:
        """Look up where windows lie in memory.

        Args:
            rows: `[N]` the records.
            first: `[N]` first sample of each window in its record, negative before it.
            length: Samples of a window.
        """
        at, lengths = self._at[rows] + first, self._lengths[rows]
        if (lengths == length).all() and not first.any():
            # The leads of a whole record lie one after another: it is one copy.
            return Places(self, self._spans(self.leads * length), at, rows, first, length)
        shard = self._shard[rows]
        at = at[:, None] + lengths[:, None] * np.arange(self.leads)
        inside = (at[:, 0] >= self._first[shard]) & (at[:, -1] + length <= self._end[shard])
        return Places(self, self._spans(length), at, rows, first, length, inside)

    def _spans(self, width: int) -> npt.NDArray[np.void]:
        """View memory as spans of `width` numbers: span i begins i numbers from the base.

        Spans overlap and most of them are not mapped: an index must have been checked.
        """
        if width not in self._views:
            count = max(int(self._end.max(initial=0)) - width + 1, 0)
            described = _Spans(self._base, count, width)
            self._views[width] = np.asarray(described) if count else np.empty(0, f"V{2 * width}")
        return self._views[width]


class Places:
    """Hold where windows lie in memory; any part of them is cut out by one copy.

    Args:
        maps: The maps, which stay open as long as this does.
        spans: Memory as `ShardMaps` views it.
        at: Spans that make up each window: `[N]`, one a record, or `[N, leads]`.
        rows: `[N]` the records.
        first: `[N]` first sample of each window in its record.
        length: Samples of a window.
        inside: `[N]` whether a window lies within its shard; None where all do.
    """

    def __init__(
        self,
        maps: ShardMaps,
        spans: npt.NDArray[np.void],
        at: Integers,
        rows: Integers,
        first: Integers,
        length: int,
        inside: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self._maps, self._spans, self._at = maps, spans, at
        self._rows, self._first = rows, first
        self._shape = (-1, maps.leads, length)
        self._inside = None if inside is None or inside.all() else inside

    def cut(self, part: slice) -> Samples:
        """Copy a part of the windows; what lies outside a record is arbitrary.

        Returns:
            `[B, leads, length]`, new memory.
        """
        at = self._at[part]
        if self._inside is None:
            # NumPy copies a span of bytes at once, but numbers one axis after another.
            return self._spans[at].view(np.int16).reshape(self._shape)
        inside = self._inside[part]
        samples = np.zeros((len(at), *self._shape[1:]), dtype=np.int16)
        samples[inside] = self._spans[at[inside]].view(np.int16).reshape(self._shape)
        # Only the first and the last few records of a shard have windows that leave its file.
        length = self._shape[2]
        for place in np.flatnonzero(~inside):
            record = self._maps.record(int(self._rows[part][place]))
            begin = int(self._first[part][place])
            taken = record[:, max(begin, 0) : max(begin + length, 0)]
            start = max(-begin, 0)
            samples[place, :, start : start + taken.shape[1]] = taken
        return samples


class _Spans:
    """Describe overlapping spans of memory to NumPy, each beginning one number after the last."""

    def __init__(self, address: int, count: int, width: int) -> None:
        self.__array_interface__ = {
            "version": 3,
            "typestr": f"|V{2 * width}",
            "data": (address, True),
            "shape": (count,),
            "strides": (2,),
        }


def _map(path: Path) -> Samples:
    if path.stat().st_size == 0:  # all its records were rejected; nothing to map
        return np.empty(0, dtype="<i2")
    return np.asarray(np.memmap(path, dtype="<i2", mode="r"))
