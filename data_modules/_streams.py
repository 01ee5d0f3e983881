"""Tables too large for a Python object a cell: read in pieces, as text, with Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from data_modules._tables import reading_table, require_columns

BLOCK = 4 << 20
"""Bytes that are read and taken apart at once; memory grows with it, not with the file."""

MISSING = (
    "", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "NULL", "null", "None", "<NA>", "#N/A", "#NA",
)  # fmt: skip
"""Cells that say nothing; the list of pandas, which most programs read such tables with."""

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
_WHOLE = r"^\d{1,18}(\.0*)?$"


@dataclass
class Stream:
    """Read a CSV file piece by piece.

    Args:
        path: The file.
        needed: Columns without which it cannot be used.
        wanted: Columns that are read where they are there.
        broken: After reading: the beginning of each row that has not as many cells as the header.
    """

    path: Path
    needed: tuple[str, ...]
    wanted: tuple[str, ...] = ()
    broken: list[str] = field(default_factory=list)

    def pieces(self) -> Iterator[pa.Table]:
        """Read the columns as text, null where a cell is empty.

        Raises:
            DataError: The file is missing, is no table, or lacks columns.
        """
        with reading_table(self.path):
            have = self._header()
            require_columns(self.path, have, self.needed)
            columns = [name for name in (*self.needed, *self.wanted) if name in have]
            reading = csv.ReadOptions(
                use_threads=False, block_size=BLOCK, column_names=have, skip_rows_after_names=1
            )
            reader = csv.open_csv(
                self.path,
                reading,
                csv.ParseOptions(newlines_in_values=True, invalid_row_handler=self._skip),
                csv.ConvertOptions(
                    column_types=dict.fromkeys(have, pa.large_string()),
                    include_columns=columns,
                    null_values=list(MISSING),
                    strings_can_be_null=True,
                ),
            )
            with reader:
                yield pa.Table.from_batches([], reader.schema)  # a table without rows is one, too
                for batch in reader:
                    yield pa.Table.from_batches([batch])

    def _header(self) -> list[str]:
        with self.path.open(encoding="utf-8-sig", newline="") as stream:
            return [name.strip().strip('"') for name in stream.readline().split(",")]

    def _skip(self, row: Any) -> str:
        self.broken.append(" ".join(str(row.text or "").split())[:60])
        return "skip"


def numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read numbers (float64); null where a cell holds something else."""
    return _read(column, _NUMBER, pa.float64())


def whole_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read identifiers (int64), `7.0` as 7; null where a cell holds something else."""
    return pc.cast(pc.replace_substring_regex(_matching(column, _WHOLE), r"\.0*$", ""), pa.int64())


def _read(column: pa.ChunkedArray, pattern: str, kind: pa.DataType) -> pa.ChunkedArray:
    return pc.cast(_matching(column, pattern), kind)


def _matching(column: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    words = pc.utf8_trim_whitespace(column)
    fits = pc.match_substring_regex(words, pattern)
    return pc.if_else(fits, words, pa.scalar(None, pa.large_string()))


def texts_of(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write whole numbers as text."""
    return pc.cast(values, pa.large_string())


def joined(parts: Iterable[Any]) -> pa.ChunkedArray:
    """Join columns and fixed words to one text a row; null where a column is."""
    texts = [
        pa.scalar(part, pa.large_string()) if isinstance(part, str) else part for part in parts
    ]
    return pc.binary_join_element_wise(*texts, pa.scalar("", pa.large_string()))
