"""Which sounds the PASCAL challenge holds, by its tables or by the folders of its archives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import soundfile

from data_modules._pascal_names import FOLDERS, RATES, class_of, file_name, parse_name
from data_modules._tables import read_table, texts
from pahcl.errors import DataError, RecordError, UsageError
from pahcl.signals.states import S1, S2, HeartStates

Which = Literal["both", "a", "b"]

TIMING = "set_a_timing.csv"

_SOUNDS = {"S1": S1, "S2": S2}
_UNLABELLED = ("Aunlabelledtest", "Bunlabelledtest")


@dataclass(frozen=True)
class Listed:
    """Hold one sound as it was found.

    Args:
        which: Its set.
        name: Its name as the tables' form has it, without a suffix; None where a row has none.
        file: Its path below the root; None where a row names none.
        word: Its label as it is written; None where it has none.
        verdict: Why it cannot be used.
    """

    which: str
    name: str | None
    file: str | None
    word: str | None = None
    verdict: str | None = None


def list_sounds(root: Path, which: Which) -> list[Listed]:
    """List the sounds of the sets: rows of the tables, and files that none of them names.

    Where a set has no table, the folders of the publisher's archives say what a sound is.

    Args:
        root: The publisher's folder.
        which: The set, or both.

    Raises:
        DataError: A set is not there, or its table cannot be read.
    """
    found: list[Listed] = []
    for name in ("a", "b") if which == "both" else (which,):
        table = root / f"set_{name}.csv"
        here = _by_table(root, name) if table.is_file() else _by_folders(root, name)
        if not here:
            other = {"a": "b", "b": "a"}[name]
            alone = f", or take the other set alone (which: {other})" if which == "both" else ""
            raise DataError(
                f"{root} holds no set {name.upper()}: neither {table.name} with the folder "
                f"set_{name}, nor folders like {_folder_of(name)} of the publisher's archives. "
                f"Fetch them{alone}."
            )
        found += here
    return found


def _folder_of(which: str) -> str:
    return next(folder for folder, (owner, _) in FOLDERS.items() if owner == which)


def _by_table(root: Path, which: str) -> list[Listed]:
    """List the rows of a set's table, then the files of its folder that no row names."""
    table = f"set_{which}.csv"
    said = read_table(root / table, ["fname", "label"])
    there = {path.name for path in (root / f"set_{which}").glob("*.wav")}
    found, named = [], set()
    for fname, word in zip(texts(said["fname"]), texts(said["label"]), strict=True):
        if not isinstance(fname, str):
            found.append(Listed(which, None, None))
            continue
        file = file_name(fname, which, there)
        named.add(file)
        verdict = None if file in there else "its sound is missing"
        label = word if isinstance(word, str) else None
        found.append(_listed(which, file, f"set_{which}/{file}", label, verdict))
    reason = f"{table} does not list this file"
    found += [
        Listed(which, Path(file).stem, f"set_{which}/{file}", verdict=reason)
        for file in sorted(there - named)
    ]
    return found


def _by_folders(root: Path, which: str) -> list[Listed]:
    """List the sounds below the archives' folders; the innermost known folder names the class."""
    found = []
    for path in sorted(root.rglob("*.wav")):
        file = path.relative_to(root)
        known = [FOLDERS[part] for part in reversed(file.parts[:-1]) if part in FOLDERS]
        if known and known[0][0] == which:
            name = known[0][1] + path.name
            word = name.split("_")[0]
            label = None if word in _UNLABELLED else word
            found.append(_listed(which, name, file.as_posix(), label, None))
    return found


def _listed(which: str, file: str, path: str, word: str | None, verdict: str | None) -> Listed:
    """Add what is wrong with a name."""
    stem = file.removesuffix(".wav")
    if parse_name(stem, which) is None:
        verdict = f"it is not named like a sound of set {which.upper()}"
    return Listed(which, stem, path, word, verdict)


def index_table(found: list[Listed]) -> pd.DataFrame:
    """Make the index table, with rows that cannot be used; `_unknown` marks words of no class."""
    parsed = [None if one.name is None else parse_name(one.name, one.which) for one in found]
    labels = [class_of(one.word, one.which) for one in found]
    # A name of set A says nothing of noise.
    noisy = [
        np.nan if name is None or one.which == "a" else float(name.noisy)
        for one, name in zip(found, parsed, strict=True)
    ]
    return pd.DataFrame(
        {
            "record_id": pd.Series([one.name for one in found], dtype=object),
            "subject_id": pd.Series(
                [
                    None if name is None else f"{one.which}-{name.who}"
                    for one, name in zip(found, parsed, strict=True)
                ],
                dtype=object,
            ),
            "file": pd.Series([one.file for one in found], dtype=object),
            "domain": [one.which for one in found],
            "label": pd.Series(labels, dtype=object),
            "noisy": np.array(noisy, dtype=np.float32),
            "place": pd.Series([name and name.place for name in parsed], dtype=object),
            "_unknown": [
                one.word is not None and label is None
                for one, label in zip(found, labels, strict=True)
            ],
        }
    )


def require_rate_of(which: Which, fs: float) -> None:
    """Refuse the rate of set A for sounds of set B.

    Raises:
        UsageError: With the way to either.
    """
    if fs > RATES["b"] and which != "a":
        raise UsageError(
            f"Set B has {RATES['b']:g} Hz, so data.init_args.fs (`--fs`) {fs:g} fits to set A "
            f"alone: take that one (`which: a`), or {RATES['b']:g} Hz for both."
        )


def read_instants(root: Path, file: str) -> HeartStates | None:
    """Read where the publisher marked first and second sounds of a recording of set A.

    Args:
        root: The publisher's folder.
        file: The recording below it.

    Returns:
        Intervals without a length, in the order of time; None where nothing is marked.

    Raises:
        DataError: The table of marks is none.
        RecordError: A mark is no sound, no number, or lies outside the recording.
    """
    if not (root / TIMING).is_file():
        return None
    marks = read_table(root / TIMING, ["fname", "sound", "location"])
    own = marks[texts(marks["fname"]) == file]
    if own.empty:
        return None
    sounds = np.array([_SOUNDS.get(str(name), -1) for name in own["sound"]], dtype=np.int8)
    places = pd.to_numeric(own["location"], errors="coerce").to_numpy(dtype=np.float64)
    last = _frames(root / file)
    if (sounds < 0).any() or not ((places >= 0) & (places < last)).all():
        raise RecordError(
            f"{TIMING} marks something else than S1 and S2 within the {last} samples of {file}"
        )
    order = np.argsort(places, kind="stable")
    seconds = places[order] / RATES["a"]
    return HeartStates(seconds, seconds, sounds[order])


def _frames(path: Path) -> int:
    if not path.exists():
        raise RecordError(f"the file {path.name} is missing")
    try:
        return int(soundfile.info(path).frames)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise RecordError(f"not a readable sound file ({error})") from error
