"""WFDB records: a header beside `.dat` files, or beside the `.mat` file of the Challenges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data_modules._challenge import read_challenge
from data_modules._matlab import read_bytes
from data_modules._own.raw import MOST_VALUES, Raw
from data_modules._wfdb import read_wfdb
from pahcl.errors import RecordError

_PLAIN = "+:x("


@dataclass(frozen=True)
class Header:
    """Hold what a header says of the files of its samples.

    Args:
        fs: Rate in Hz; None where it is not stated.
        files: Names of the files of samples, each once.
    """

    fs: float | None
    files: tuple[str, ...]


def read(path: Path, key: str | None, row: int | None) -> Raw:
    """Read a record by its header, in its own unit, rate and names of leads.

    Args:
        path: The header.
        key: Must be None.
        row: Must be None.

    Raises:
        RecordError: Header and samples cannot be read, do not fit to each other, or lie elsewhere.
        OSError: The machine cannot read them now.
    """
    if row is not None or key is not None:
        raise RecordError("a WFDB record has no rows and no data sets")
    header = read_header(path)
    if header.fs is None:
        raise RecordError("the header states no rate")
    stem = path.with_suffix("")
    if all(PurePosixPath(name).suffix == ".mat" for name in header.files):
        found = read_challenge(stem, "", "", header.fs)
    else:
        found = read_wfdb(stem, "", "", header.fs)
    digest = found.source_sha256 or ""
    return Raw(found.signal, found.fs, found.unit, found.leads, digest, found.resolution)


def read_header(path: Path) -> Header:
    """Read from a header what must be known before a library follows it.

    Raises:
        RecordError: It lists no signal, several segments, several samples a frame, a lead without
            a gain, samples in another folder, or more than any record has.
        OSError: The machine cannot read it now.
    """
    text = read_bytes(path).decode("utf-8", errors="replace")
    lines = [line.split() for line in text.splitlines() if line.strip()]
    said = [words for words in lines if not words[0].startswith("#")]
    if not said:
        raise RecordError("the header is empty")
    if "/" in said[0][0]:
        raise RecordError("the record consists of several segments")
    fs = _rate(said[0])
    signals = said[1:]
    if not signals:
        raise RecordError("the header lists no signal")
    for words in signals:
        _require_signal(words)
    announced = len(signals) * int(said[0][3]) if said[0][3:] and said[0][3].isdecimal() else 0
    if announced > MOST_VALUES:
        raise RecordError(f"it announces {announced} samples, more than any record")
    return Header(fs, tuple(dict.fromkeys(words[0] for words in signals)))


def _rate(words: list[str]) -> float | None:
    if len(words) < 3:
        return None
    try:
        return float(words[2].split("/")[0].split("(")[0])
    except ValueError as error:
        raise RecordError(f"the header states {words[2][:40]} as its rate") from error


def _require_signal(words: list[str]) -> None:
    """Refuse a line whose samples cannot be told, or lie where no record may lead to."""
    name = words[0]
    if name == "-" or "/" in name or "\\" in name or name in (".", ".."):
        raise RecordError(f"the header names {name[:40]} as the file of its samples")
    if len(words) < 3 or _gain(words[2]) is None:
        raise RecordError("the header has a lead without a gain, so its counts have no unit")
    code = words[1]
    for sign in _PLAIN:
        code, *more = code.split(sign, 1)
        if sign == "x" and more and not more[0].startswith("1"):
            raise RecordError("a lead has several samples a frame, hence a rate of its own")


def _gain(word: str) -> float | None:
    try:
        gain = float(word.split("/")[0].split("(")[0])
    except ValueError:
        return None
    return gain if 0 < gain < float("inf") else None
