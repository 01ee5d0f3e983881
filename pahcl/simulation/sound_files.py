"""Files that publishers of heart sounds write: wav of 16 bit, and MATLAB tables of cells."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import soundfile

Counts = npt.NDArray[np.int16]

_MATRIX, _COMPRESSED = 14, 15
_CELL, _CHAR = 1, 4
_NUMBERS = ((2**8, 9, 2, "<u1"), (2**16, 11, 4, "<u2"), (2**31, 12, 5, "<i4"))
"""Above every number of a class: class, type of the stored numbers, and as numpy calls them."""


def to_counts(signal: npt.NDArray[np.floating]) -> Counts:
    """Convert shares of full scale to counts of 16 bit."""
    scaled = np.round(np.asarray(signal, dtype=np.float64) * 32768)
    return np.clip(scaled, -32768, 32767).astype(np.int16)


def wav(counts: Counts, fs: int) -> bytes:
    """Write out a wav of 16 bit, `[L]` or `[L, channels]`, with a header of 44 bytes."""
    stream = io.BytesIO()
    soundfile.write(stream, counts, fs, format="WAV", subtype="PCM_16")
    return stream.getvalue()


def with_list_chunk(data: bytes, title: str) -> bytes:
    """Put a LIST chunk with a title before the samples, as editors of sounds do."""
    text = title.encode("ascii") + b"\0"
    text += b"\0" * (len(text) % 2)
    info = b"INFOINAM" + struct.pack("<I", len(text)) + text
    chunk = b"LIST" + struct.pack("<I", len(info)) + info
    rest = data[8:36] + chunk + data[36:]
    return b"RIFF" + struct.pack("<I", len(rest)) + rest


def matlab_cells(name: str, rows: Sequence[tuple[int, str]], nested: bool) -> bytes:
    """Write out a table of numbers and words as cells, in a compressed file of version 5.

    Args:
        name: Name of the variable.
        rows: Numbers and words.
        nested: Whether a word stands in a cell of its own within its cell.
    """
    words = [
        _array(_CHAR, (1, len(word)), _element(4, word.encode("utf-16-le"))) for _, word in rows
    ]
    if nested:
        words = [_array(_CELL, (1, 1), word) for word in words]
    cells = b"".join([*(_number(number) for number, _ in rows), *words])
    packed = zlib.compress(_array(_CELL, (len(rows), 2), cells, name))
    text = b"MATLAB 5.0 MAT-file, simulated".ljust(124)
    return text + b"\x00\x01IM" + struct.pack("<II", _COMPRESSED, len(packed)) + packed


def _number(value: int) -> bytes:
    """Write out one number in the smallest class that holds it."""
    kind, stored, dtype = next(found[1:] for found in _NUMBERS if value < found[0])
    return _array(kind, (1, 1), _element(stored, np.array(value, dtype).tobytes()))


def _array(kind: int, shape: tuple[int, int], content: bytes, name: str = "") -> bytes:
    head = _element(6, struct.pack("<II", kind, 0)) + _element(5, struct.pack("<2i", *shape))
    return _element(_MATRIX, head + _element(1, name.encode("ascii")) + content)


def _element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)
