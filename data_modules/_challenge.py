"""The form of the PhysioNet Challenges of 2020 and 2021: a WFDB header beside a MATLAB file.

The header states rate, gain and unit of each lead, and in its comments age, sex and diagnoses as
SNOMED CT codes. It is read strictly: WFDB's own reader takes 200 counts per mV and 250 Hz where a
header is silent, and a signal in an invented unit is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._matlab import read_array, read_bytes
from data_modules._wfdb import calibrate
from pahcl.errors import RecordError
from pahcl.signals.recording import Recording

_FORMAT = re.compile(r"16(x1)?(:0)?(\+\d+)?")
_GAIN = re.compile(r"(?P<gain>[-+.\deE]+)(\((?P<baseline>-?\d+)\))?(/(?P<unit>\S+))?")
_SEXES = {"m": "male", "male": "male", "f": "female", "female": "female"}
_NO_DIAGNOSIS = {"", "unknown", "nan", "none"}


@dataclass(frozen=True)
class ChallengeHeader:
    """Hold what a header says; the names are those of the package `wfdb`.

    Args:
        fs: Sampling rate in Hz.
        sig_len: Samples a lead; None where it is not stated.
        sig_name: Names of the leads.
        units: Unit of each lead.
        adc_gain: Counts per unit of each lead.
        baseline: Count of each lead that means 0.
        checksum: Sum of each lead's counts modulo 65536; None where it is not stated.
        comments: `age`, `sex`, `dx` and others, in lower case, to their text.
    """

    fs: float
    sig_len: int | None
    sig_name: tuple[str, ...]
    units: tuple[str, ...]
    adc_gain: tuple[float, ...]
    baseline: tuple[int, ...]
    checksum: tuple[int | None, ...]
    comments: Mapping[str, str]

    @property
    def codes(self) -> list[str]:
        """The diagnoses' codes, each once, in the order in which they stand."""
        words = re.split(r"[,;\s]+", self.comments.get("dx", ""))
        return list(dict.fromkeys(word for word in words if word.lower() not in _NO_DIAGNOSIS))


def read_header(path: Path, fs: float) -> ChallengeHeader:
    """Read a header.

    Args:
        path: The record without a suffix.
        fs: Rate in Hz that the data set gives; a header that states another one is refused.

    Raises:
        RecordError: The header is empty, of another record, or does not state rate, format, gain
            and name of each lead as they must be.
        OSError: The machine cannot read it.
    """
    text = read_bytes(path.with_name(f"{path.name}.hea")).decode("utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("#")]
    if not said:
        raise RecordError("the header is empty")
    rate, count, length = _record_line(said[0], path.name)
    if rate != fs:
        raise RecordError(
            f"the header states {'no rate' if rate is None else f'{rate:g} Hz'}, but the data set "
            f"gives {fs:g} Hz"
        )
    if len(said) - 1 != count:
        raise RecordError(f"the header announces {count} leads and describes {len(said) - 1}")
    leads = [_lead_line(line, f"{path.name}.mat") for line in said[1:]]
    names, gains, baselines, units, sums = zip(*leads, strict=True)
    if len(set(names)) < len(names):
        raise RecordError(f"the header names a lead twice: {', '.join(names)}")
    pairs = (line.lstrip("# ").partition(":") for line in lines if line.startswith("#"))
    comments = {key.strip().lower(): value.strip() for key, _, value in pairs}
    return ChallengeHeader(rate, length, names, units, gains, baselines, sums, comments)


def _record_line(line: str, name: str) -> tuple[float | None, int, int | None]:
    """Read rate, number of leads and number of samples from the first line."""
    words = line.split()
    if words[0].removesuffix(".mat") != name:
        raise RecordError(f"the header is that of record {words[0][:40]}")
    if len(words) < 2 or not words[1].isdecimal() or not int(words[1]):
        raise RecordError("the header lists no signal")
    try:
        # The counter's frequency and base may stand behind the rate.
        rate = float(re.split(r"[/(]", words[2])[0]) if len(words) > 2 else None
        length = int(words[3]) if len(words) > 3 else None
    except ValueError as error:
        raise RecordError(
            f"the header's first line has no numbers where they belong ({line[:80]})"
        ) from error
    return rate, int(words[1]), length


def _lead_line(line: str, file: str) -> tuple[str, float, int, str, int | None]:
    """Read name, gain, baseline, unit and checksum of one lead."""
    words = line.split(maxsplit=8)
    if words[0] != file:
        raise RecordError(
            f"the header names {words[0][:40]} as the file of its samples, not {file}"
        )
    if len(words) < 2 or not _FORMAT.fullmatch(words[1]):
        raise RecordError(f"the header states the format {' '.join(words[1:2])[:40]}, not 16")
    name = words[8].strip() if len(words) == 9 else ""
    if not name:
        raise RecordError("the header has a lead without gain, checksum or name")
    found = _GAIN.fullmatch(words[2])
    try:
        gain = float(found["gain"]) if found else 0.0
        zero, total = int(words[4]), int(words[6])
        baseline = int(found["baseline"]) if found and found["baseline"] else zero
    except ValueError as error:
        raise RecordError(f"the header has no numbers where they belong in lead {name}") from error
    if not found or not (0 < gain < np.inf):
        raise RecordError(f"the header states no gain for lead {name}, so its counts have no unit")
    return name, gain, baseline, found["unit"] or "mV", total


def read_challenge(path: Path, record_id: str, subject_id: str, fs: float) -> Recording:
    """Read one record in its own unit, with the step of its converter.

    Args:
        path: The record without a suffix; `<path>.hea` and `<path>.mat` are read.
        record_id: The data set's identifier of the record.
        subject_id: The data set's identifier of the person.
        fs: Rate in Hz that the data set gives.

    Raises:
        RecordError: A file is missing or damaged, or the two do not fit to each other.
        OSError: The machine cannot read the files now.
    """
    header = read_header(path, fs)
    data = read_bytes(path.with_name(f"{path.name}.mat"))
    counts = read_array(data, "val")
    if counts.ndim != 2 or counts.dtype.kind not in "iu":
        raise RecordError(
            f"`val` is an array of {counts.dtype} and the shape {counts.shape}, not integers of "
            "leads by samples"
        )
    wanted = len(header.sig_name), header.sig_len
    if counts.shape[0] != wanted[0] or wanted[1] not in (None, counts.shape[1]):
        raise RecordError(f"`val` has the shape {counts.shape}, but the header states {wanted}")
    return calibrate(header, counts.astype(np.int64), record_id, subject_id, data)


@dataclass(frozen=True)
class Listed:
    """Hold one record as it was found.

    Args:
        record_id: Its name.
        file: Its path without a suffix.
        codes: Codes of its diagnoses.
        said: The comments of its header.
        verdict: Why it cannot be used.
    """

    record_id: str
    file: str
    codes: tuple[str, ...] = ()
    said: Mapping[str, str] = field(default_factory=dict)
    verdict: str | None = None


def list_headers(root: Path, fs: float, number: str, what: str) -> list[Listed]:
    """List the records below a folder by their headers, and the signals without one.

    Args:
        root: The folder.
        fs: Rate in Hz that the data set gives.
        number: Pattern of the records' names.
        what: What such a name is that of, for the reason.

    Returns:
        The records by path; each name is free of a verdict once at most.
    """
    headers, signals = map(set, record_files(root))
    found: list[Listed] = []
    taken: dict[str, str] = {}
    for file in sorted(headers | signals):
        one = Listed(Path(file).name, file)
        lost = [
            suffix for suffix, there in ((".hea", headers), (".mat", signals)) if file not in there
        ]
        if not re.fullmatch(number, one.record_id):
            one = replace(one, verdict=f"the file is not named like {what}")
        elif lost:
            one = replace(one, verdict=f"the file {one.record_id}{lost[0]} is missing")
        elif one.record_id in taken:
            one = replace(one, verdict=f"the same record is taken from {taken[one.record_id]}")
        else:
            one = _with_header(one, root, fs)
        if one.verdict is None:
            taken[one.record_id] = file
        found.append(one)
    return found


def _with_header(one: Listed, root: Path, fs: float) -> Listed:
    """Add what the header says, or what is wrong with it."""
    try:
        header = read_header(root / one.file, fs)
    except RecordError as error:
        return replace(one, verdict=str(error))
    return replace(one, codes=tuple(header.codes), said=header.comments)


def record_files(root: Path) -> tuple[list[str], list[str]]:
    """List the headers and the MATLAB files below a folder, sorted, by path without a suffix."""
    return _without_suffix(root, "*.hea"), _without_suffix(root, "*.mat")


def _without_suffix(root: Path, pattern: str) -> list[str]:
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob(pattern))


def people(said: Iterable[Mapping[str, object]]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Read `age` and `sex` as publishers write them: numbers, `NaN`, `Male`, `F`, `Unknown`.

    Returns:
        Columns `age` (years, float32) and `sex` (`male`, `female` or None); notes of what is odd.
    """
    rows = list(said)
    age = pd.to_numeric(pd.Series([row.get("age") for row in rows], dtype=object), errors="coerce")
    age = age.astype(np.float64)
    sex = [_SEXES.get(str(row.get("sex", "")).strip().lower()) for row in rows]
    table = pd.DataFrame(
        {
            "age": age.where(age.between(0, 120)).astype(np.float32),
            "sex": pd.Series(sex, dtype=object),
        }
    )
    notes = {
        "age missing": float(age.isna().sum()),
        "age outside 0 to 120": float((age.notna() & ~age.between(0, 120)).sum()),
        "sex missing": float(sex.count(None)),
    }
    return table, notes


def by_reason(verdicts: Iterable[str | None]) -> dict[str, npt.NDArray[np.bool_]]:
    """Turn one verdict a row into one mask a reason, as `reject_rows` takes them."""
    column = np.array(list(verdicts), dtype=object)
    return {reason: column == reason for reason in dict.fromkeys(column) if reason is not None}
