"""The files of CirCor: which recordings there are, what headers say, and states of the heart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_modules._matlab import read_bytes
from pahcl.errors import RecordError
from pahcl.signals.states import HeartStates

FS = 4000.0
FOLDER = "training_data"
SITES = ("AV", "PV", "TV", "MV", "Phc")
_RECORDING = re.compile(rf"(?P<patient>\d+)_(?P<site>{'|'.join(SITES)})(?:_(?P<take>\d+))?")
_SUFFIXES = (".wav", ".hea", ".tsv")


@dataclass(frozen=True)
class Listed:
    """Hold one recording as the table or the folder names it.

    Args:
        record_id: Its name: patient, site and, where a site has several, a number.
        patient_id: The publisher's number of the patient.
        location: The site.
        announced: Whether the table names it.
        header: Whether it has a header.
        verdict: Why it cannot be used.
    """

    record_id: str
    patient_id: str = ""
    location: str = ""
    announced: bool = False
    header: bool = False
    verdict: str | None = None

    @property
    def file(self) -> str:
        """Its path within the publisher's folder."""
        return f"{FOLDER}/{self.record_id}.wav"


def announced(locations: Mapping[str, str | None]) -> set[str]:
    """Name the recordings that a table announces.

    Args:
        locations: Sites by patient, as in `AV+PV+TV+TV+MV`: a site that stands there twice has
            recordings `_1` and `_2`.
    """
    names = set()
    for patient, sites in locations.items():
        words = [word.strip() for word in (sites or "").split("+") if word.strip()]
        for site in dict.fromkeys(words):
            count = words.count(site)
            numbers = [""] if count == 1 else [f"_{number}" for number in range(1, count + 1)]
            names |= {f"{patient}_{site}{number}" for number in numbers}
    return names


def list_recordings(root: Path, locations: Mapping[str, str | None], table: str) -> list[Listed]:
    """List the recordings that the table announces and those that the folder holds, by name.

    Args:
        root: The publisher's folder.
        locations: Sites by patient.
        table: Name of the table, for the reasons.
    """
    files = sorted(path.name for path in (root / FOLDER).glob("*.*"))
    stems = {
        suffix: {name.removesuffix(suffix) for name in files if name.endswith(suffix)}
        for suffix in (*_SUFFIXES, ".txt")
    }
    promised = announced(locations)
    found = []
    for name in sorted(promised.union(*(stems[suffix] for suffix in _SUFFIXES))):
        one = Listed(name, announced=name in promised, header=name in stems[".hea"])
        parts = _RECORDING.fullmatch(name)
        if parts is None:
            one = replace(
                one, verdict="it is not named like a recording of CirCor (2530_AV, 50216_Phc_1)"
            )
        else:
            one = replace(one, patient_id=parts["patient"], location=parts["site"])
            if parts["patient"] not in locations:
                one = replace(one, verdict=f"{table} does not list this patient")
            elif name not in stems[".wav"]:
                one = replace(one, verdict="the .wav file is missing")
        found.append(one)
    return found


def unlisted_texts(root: Path, locations: Mapping[str, str | None]) -> list[str]:
    """Name the patients' texts of whom the table knows nothing, without their suffix."""
    texts = sorted((root / FOLDER).glob("*.txt"))
    return [path.stem for path in texts if path.stem not in locations]


def check_header(path: Path, samples: int) -> None:
    """See that a header, where there is one, is that of the sound beside it.

    Gain, checksum and first value in the publisher's headers are placeholders and not looked at.

    Args:
        path: The sound.
        samples: How many samples it has.

    Raises:
        RecordError: The header is empty, or of another record, rate, site or length.
        OSError: The machine cannot read it now.
    """
    header = path.with_suffix(".hea")
    if not header.exists():
        return
    text = read_bytes(header).decode("utf-8", errors="replace")
    lines = [line.split() for line in text.splitlines() if line.strip() and line[0] != "#"]
    if len(lines) != 2 or len(lines[0]) < 4:
        raise RecordError(f"the header {header.name} does not describe one signal")
    said = dict(zip(("record", "signals", "rate", "samples"), lines[0], strict=False))
    wanted = {"record": path.stem, "signals": "1", "rate": f"{FS:g}", "samples": str(samples)}
    wrong = [name for name, value in wanted.items() if said[name] != value]
    if wrong:
        name = wrong[0]
        raise RecordError(
            f"the header states {name} {said[name][:40]}, but the sound has {wanted[name]}"
        )
    site = _RECORDING.fullmatch(path.stem)
    if lines[1][0] != path.name or (site and lines[1][-1] != site["site"]):
        raise RecordError(
            f"the header describes {lines[1][0][:40]} at the site {lines[1][-1][:40]}, not "
            f"{path.name}"
        )


def read_states(path: Path) -> HeartStates | None:
    """Read the states of one recording.

    Args:
        path: The `.tsv` file: begin and end in seconds and the state's number in each line.

    Returns:
        The states with the gaps and overlaps of the file; None where there is no file.

    Raises:
        RecordError: The file is empty or no such table, or its intervals cannot be.
        OSError: The machine cannot read it now.
    """
    if not path.exists():
        return None
    text = read_bytes(path).decode("utf-8", errors="replace")
    rows = [line.split() for line in text.splitlines() if line.strip()]
    try:
        table = np.array([[float(word) for word in row] for row in rows], dtype=np.float64)
        whole = table.reshape(len(rows), 3)
    except ValueError as error:
        raise RecordError(
            f"{path.name} does not hold a begin, an end and a state in every line"
        ) from error
    # What is no whole number, or none of eight bits, is no state either.
    numbers = np.where(whole[:, 2] % 1 == 0, np.clip(whole[:, 2], -1, 9), -1)
    return HeartStates(whole[:, 0], whole[:, 1], numbers.astype(np.int8))


def annotated_seconds(path: Path) -> float:
    """Sum the seconds of a recording that have a state; NaN without a file, -1 without sense."""
    try:
        states = read_states(path)
    except RecordError:
        return -1.0
    return np.nan if states is None else states.annotated
