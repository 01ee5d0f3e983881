"""MATLAB files as publishers write them, of version 4 (Challenges) and 5 to 7 (structs, cells).

Read after MathWorks, MAT-File Format, chapter 1, and by no library: scipy 1.17 ends the process
with a segmentation fault on some damaged files of version 5, and reads a struct as a whole where a
few bytes at its beginning are asked for. What is read agrees with scipy (tests).
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pahcl.errors import RecordError

Array = npt.NDArray[Any]

LARGEST = 64 * 2**20
"""Most bytes of a record's file, and of what it unpacks to; 144 s of 12 leads have 7 million."""

_FIRST_BYTES, _FIRST_UNPACKED = 8192, 4096
_HEADER, _MARK = 128, b"\x00\x01IM"
_MATRIX, _COMPRESSED = 14, 15
_STORED = {
    1: "<i1", 2: "<u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8",
    13: "<u8",
}  # fmt: skip
_TEXTS = {1: "utf-8", 2: "utf-8", 4: "utf-16-le", 16: "utf-8", 17: "utf-16-le"}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_CLASSES = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip
_COMPLEX = 0x0800
_DEEPEST = 8
_OF_VERSION_4 = {0: "<f8", 10: "<f4", 20: "<i4", 30: "<i2", 40: "<u2", 50: "<u1"}


def read_bytes(path: Path) -> bytes:
    """Read a file whole, so that its checksum and its content are of the same bytes.

    Raises:
        RecordError: It is missing, empty, or larger than any record.
        OSError: The machine cannot read it now.
    """
    try:
        size = path.stat().st_size
        if not (path.is_file() or path.is_dir()):
            raise RecordError(f"{path.name} is no file")  # a pipe, on which one waits for ever
        if size > LARGEST:
            raise RecordError(
                f"{path.name} has {size} bytes; a record's file has at most {LARGEST}"
            )
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise RecordError(f"the file {path.name} is missing") from error
    except IsADirectoryError as error:
        raise RecordError(f"{path.name} is a folder, not a file") from error
    if not data:
        raise RecordError(f"the file {path.name} is empty")
    return data


def read_array(data: bytes, name: str) -> Array:
    """Read a variable that is an array of numbers, `[rows, columns, …]`.

    Args:
        data: The file.
        name: Name of the variable.

    Raises:
        RecordError: The file is truncated, damaged or of another kind, or lacks the variable.
    """
    try:
        if data[124:128] == _MARK:
            return _numbers(_variable(data, name))
        return _version_4(data, name)
    except (struct.error, zlib.error, ValueError, OverflowError) as error:
        raise RecordError(f"not a readable MATLAB file ({error})") from error


def read_struct(data: bytes, name: str) -> dict[str, Array | str]:
    """Read a variable that is one struct: its fields that are texts or arrays of numbers.

    Args:
        data: The file.
        name: Name of the variable.

    Raises:
        RecordError: As for `read_array`; or the variable is no struct, or more than one.
    """
    try:
        return dict(_fields(_variable(data, name)))
    except (struct.error, zlib.error, ValueError, OverflowError) as error:
        raise RecordError(f"not a readable MATLAB file ({error})") from error


def read_cells(data: bytes, name: str) -> list[list[Array | str]]:
    """Read a variable that is a table of cells: texts, or arrays of numbers.

    Args:
        data: The file.
        name: Name of the variable.

    Returns:
        Its rows. A cell that holds another cell around one thing, however deep, is that thing.

    Raises:
        RecordError: As for `read_array`; or the variable is no table of cells, or one of them
            holds something else.
    """
    try:
        return _table(_variable(data, name))
    except (struct.error, zlib.error, ValueError, OverflowError) as error:
        raise RecordError(f"not a readable MATLAB file ({error})") from error


def first_fields(path: Path) -> dict[str, str | float]:
    """Read the short fields at the beginning of a struct, without the signal behind them.

    Args:
        path: A MATLAB file of version 6 or 7.

    Returns:
        Texts and scalars by the field's name, as far as they can be read. What is wrong with a file
        is said when its signal is read.
    """
    with path.open("rb") as stream:
        data = stream.read(_FIRST_BYTES)[_HEADER:]
    found: dict[str, str | float] = {}
    try:
        if data[:1] == bytes([_COMPRESSED]):
            data = zlib.decompressobj().decompress(data[8:], _FIRST_UNPACKED)
        for name, value in _fields(data[8:]):
            if isinstance(value, str):
                found[name] = value
            elif value.size == 1:
                found[name] = float(value.reshape(-1)[0])
    except (struct.error, zlib.error, ValueError, OverflowError):
        pass  # the signal begins here, or the damage
    return found


def _version_4(data: bytes, name: str) -> Array:
    """Read an array of version 4: five numbers, the name, the values column by column."""
    at = 0
    while at < len(data):
        kind, rows, columns, imaginary, length = struct.unpack_from("<5i", data, at)
        if kind not in _OF_VERSION_4 or imaginary or min(rows, columns, length) < 0:
            raise ValueError("it begins with no array of version 4 or 5")
        stored = np.dtype(_OF_VERSION_4[kind])
        start = at + 20 + length
        at = start + rows * columns * stored.itemsize
        if data[start - length : start].split(b"\0")[0] == name.encode():
            if at > len(data):
                raise ValueError(f"it ends {at - len(data)} bytes before its array")
            values = np.frombuffer(data, stored, rows * columns, start)
            return values.reshape((rows, columns), order="F")
    raise RecordError(f"the MATLAB file holds no variable `{name}`")


def _variable(data: bytes, name: str) -> bytes:
    """Find a variable of version 5 and give its content, unpacked."""
    if data[124:128] != _MARK:
        raise ValueError("it is of no version from 5 to 7.2")
    at = _HEADER
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        content = data[at + 8 : at + 8 + size]
        if len(content) < size:
            raise ValueError(f"it ends {size - len(content)} bytes before its variable")
        at += 8 + size
        if kind == _COMPRESSED:
            kind, content = _unpack(content)
        if kind == _MATRIX and _head(content)[2] == name:
            return content
    raise RecordError(f"the MATLAB file holds no variable `{name}`")


def _unpack(packed: bytes) -> tuple[int, bytes]:
    """Unpack a compressed element, whose checksum zlib compares; give its kind and content."""
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(packed, LARGEST)
    if not unpacker.eof:
        raise ValueError("its compressed part is cut, or larger than any record")
    kind, size = struct.unpack_from("<II", content)
    if len(content) - 8 < size:
        raise ValueError("its compressed part is shorter than it says")
    return kind, content[8 : 8 + size]


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the elements that lie in `data` wholly: kind and content."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<II", data, at)
        if kind >> 16:  # four bytes or fewer stand within the tag
            yield kind & 0xFFFF, data[at + 4 : at + 4 + min(kind >> 16, 4)]
            at += 8
        else:
            if at + 8 + size > len(data):
                return
            yield kind, data[at + 8 : at + 8 + size]
            at += 8 + size + -size % 8


def _head(content: bytes) -> tuple[int, tuple[int, ...], str, Iterator[tuple[int, bytes]]]:
    """Give flags and class, shape, name, and the elements behind them."""
    elements = _elements(content)
    head = [element for _, element in zip(range(3), elements, strict=False)]
    if len(head) < 3:
        raise ValueError("it has an array without a shape or a name")
    flags = struct.unpack_from("<I", head[0][1])[0]
    shape = struct.unpack(f"<{len(head[1][1]) // 4}i", head[1][1])
    return flags, shape, head[2][1].decode("ascii", errors="replace"), elements


def _numbers(content: bytes) -> Array:
    """Read an array of real numbers."""
    flags, shape, _, elements = _head(content)
    kind, values = next(elements, (0, b""))
    wanted = _CLASSES.get(flags & 0xFF)
    if wanted is None or kind not in _STORED or flags & _COMPLEX:
        raise ValueError("its variable is not an array of real numbers")
    stored = np.frombuffer(values, _STORED[kind])
    if min(shape, default=0) < 0 or math.prod(shape) != len(stored):
        raise ValueError(f"its array has {len(stored)} numbers, not those of the shape {shape}")
    return stored.astype(wanted).reshape(shape, order="F")


def _fields(content: bytes) -> Iterator[tuple[str, Array | str]]:
    """Give those fields of a single struct that are texts or arrays of real numbers, in order."""
    flags, shape, _, elements = _head(content)
    if flags & 0xFF != _STRUCT or math.prod(shape) != 1:
        raise ValueError("its variable is not one struct")
    width = struct.unpack("<i", next(elements, (0, b""))[1])[0]
    listed = next(elements, (0, b""))[1]
    if width < 1 or len(listed) % width:
        raise ValueError("the names of its fields cannot be read")
    names = [listed[at : at + width].split(b"\0")[0] for at in range(0, len(listed), width)]
    for name in names:
        kind, field = next(elements, (0, b""))
        if kind != _MATRIX:
            raise ValueError(f"it ends before its field `{name.decode('ascii', 'replace')}`")
        if _head(field)[0] & 0xFF == _CHAR:
            yield name.decode("ascii", "replace"), _text(field)
        elif _head(field)[0] & 0xFF in _CLASSES:
            yield name.decode("ascii", "replace"), _numbers(field)


def _table(content: bytes) -> list[list[Array | str]]:
    """Give what the cells of an array hold, row by row; a file holds them column by column."""
    shape = _head(content)[1]
    if len(shape) != 2:
        raise ValueError(f"its variable has the shape {shape}, not rows and columns")
    found = [_cell(one, _DEEPEST) for one in _cells(content)]
    return [found[row :: shape[0]] for row in range(shape[0])]


def _cells(content: bytes) -> list[bytes]:
    """Give the contents of the cells of an array, column by column."""
    flags, shape, _, elements = _head(content)
    if flags & 0xFF != _CELL:
        raise ValueError("its variable is no array of cells")
    found = [matrix for kind, matrix in elements if kind == _MATRIX]
    if min(shape, default=0) < 0 or math.prod(shape) != len(found):
        raise ValueError(f"its array has {len(found)} cells, not those of the shape {shape}")
    return found


def _cell(content: bytes, depth: int) -> Array | str:
    """Read what a cell holds, through cells that hold one cell."""
    kind = _head(content)[0] & 0xFF
    if kind == _CHAR:
        return _text(content)
    if kind != _CELL:
        return _numbers(content)
    inside = _cells(content)
    if len(inside) != 1 or not depth:
        raise ValueError(f"one of its cells holds {len(inside)} cells, or cells without an end")
    return _cell(inside[0], depth - 1)


def _text(content: bytes) -> str:
    """Read a text of one row."""
    kind, letters = next(_head(content)[3], (0, b""))
    if kind not in _TEXTS:
        raise ValueError("it has a text in an unknown encoding")
    return letters.decode(_TEXTS[kind])
