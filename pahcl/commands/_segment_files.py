"""Which recordings `pahcl segment` is given, and what else lies between them."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pahcl.errors import UsageError

SOUNDS = frozenset(
    {
        ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au",
        ".snd", ".caf", ".w64", ".rf64", ".voc",
    }
)  # fmt: skip
"""Suffixes of sound files, in small letters; libsndfile reads them by their content."""

HEADER = ".hea"
_SAMPLES = frozenset({".dat", ".mat"})
TRUTH = ".tsv"
RESERVED = frozenset({"sheet", "summary", "cycles", "segment"})
"""Names of the verb's own files, which no recording of the same name takes."""


@dataclass(frozen=True)
class Listed:
    """Hold one recording.

    Args:
        name: Its path below the folder that was given; of a file that was given, its name.
        path: The sound file, or the header of a WFDB record.
        target: Path of what is written about it below `--out`, without a suffix.
        header: The WFDB header beside the sound, which may tell of an ECG.
        truth: States that somebody annotated, beside it, in the form of CirCor.
    """

    name: str
    path: Path
    target: str
    header: Path | None = None
    truth: Path | None = None


@dataclass(frozen=True)
class Found:
    """Hold what lies at a path.

    Args:
        root: The folder that names are relative to.
        recordings: By name.
        refused: Name and reason of what may be a recording and is not looked at.
        others: Names of all other files.
    """

    root: Path
    recordings: tuple[Listed, ...]
    refused: tuple[tuple[str, str], ...] = ()
    others: tuple[str, ...] = ()


def find_recordings(path: Path, out: Path) -> Found:
    """List the recordings of a file or of a folder and all below it.

    Args:
        path: A sound file, a WFDB header or its samples, or a folder.
        out: Where results go; what lies there is none of the recordings.

    Raises:
        UsageError: There is nothing there, or nothing that is a recording.
    """
    if not path.is_dir():
        if not path.is_file():
            what = "a pipe or a device" if path.exists() else "nothing"
            raise UsageError(f"At {path} is {what}: give a sound file, or a folder of them.")
        return Found(path.parent, tuple(_listed(path.parent, [_meant(path)])))
    refused: list[tuple[str, str]] = []
    names = sorted(_walk(path, out.resolve(), refused))
    there = set(names)
    chosen, others = [], []
    for name in names:
        suffix, stem = _suffix(name), name.removesuffix(Path(name).suffix)
        sound = any(f"{stem}{one}" in there for one in SOUNDS)
        if not _is_plain(name):
            refused.append((ascii(name), "the file's name is no plain UTF-8 text"))
        elif any(part.startswith(".") for part in Path(name).parts):
            others.append(name)
        elif suffix in SOUNDS or (suffix == HEADER and not sound):
            chosen.append(name)
        elif not (
            (suffix in {HEADER, TRUTH} and sound)
            or (suffix in {TRUTH, *_SAMPLES} and f"{stem}{HEADER}" in there)
        ):
            others.append(name)
    if not chosen:
        held = count_files(len(others)) if others else "no file at all"
        raise UsageError(
            f"{path} holds no sound file and no WFDB record ({held}): sounds end in "
            f"{', '.join(sorted(SOUNDS))}."
        )
    return Found(path, tuple(_listed(path, chosen)), tuple(refused), tuple(others))


def count_files(count: int) -> str:
    """Say how many files are no recordings."""
    return f"{count:,} other file{'' if count == 1 else 's'}"


def _meant(path: Path) -> str:
    """Name the file that a recording is read from."""
    header = path.with_suffix(HEADER)
    if path.suffix.lower() in _SAMPLES and header.is_file():
        return header.name
    return path.name


def _walk(root: Path, out: Path, refused: list[tuple[str, str]]) -> Iterator[str]:
    """Give the files below a folder.

    Links to folders, which may run in circles, are refused, and so are folders that one may not
    look into.

    Raises:
        UsageError: The folder itself cannot be read.
        OSError: The machine cannot read one of them now.
    """

    def refuse(error: OSError) -> None:
        where = Path(error.filename)
        if where == root:
            raise UsageError(f"{root} cannot be read: {error.strerror}.") from error
        if not isinstance(error, PermissionError):
            raise error
        name = where.relative_to(root).as_posix()
        refused.append((name, f"the folder cannot be looked into: {error.strerror}"))

    for folder, inside, names in os.walk(root, onerror=refuse):
        here = Path(folder)
        below = "" if here == root else f"{here.relative_to(root).as_posix()}/"
        links = sorted(name for name in inside if (here / name).is_symlink())
        refused += [(f"{below}{name}", "it is a link to a folder; copy it") for name in links]
        inside[:] = sorted(
            name for name in inside if name not in links and (here / name).resolve() != out
        )
        yield from (f"{below}{name}" for name in names)


def _listed(root: Path, names: Iterable[str]) -> Iterator[Listed]:
    """Make the list, with a place of its own for what is written about each."""
    names = list(names)
    for name, target in zip(names, targets(names), strict=True):
        path = root / name
        beside = path.with_suffix(HEADER), path.with_suffix(TRUTH)
        header, truth = (one if one.is_file() else None for one in beside)
        yield Listed(name, path, target, None if header == path else header, truth)


def targets(names: list[str]) -> list[str]:
    """Choose where results go: the recording's name without suffix, where that is one's own.

    `a.wav` and `a.flac` keep their suffixes, so that neither takes the place of the other; so do
    names that differ by case or by the composition of accents alone, which some systems hold to be
    the same.
    """
    stems = [name.removesuffix(Path(name).suffix) for name in names]
    keys = [_key(stem) for stem in stems]
    count, taken = Counter(keys), set[str]()
    chosen = []
    for name, stem, key in zip(names, stems, keys, strict=True):
        target = stem if count[key] == 1 and key not in RESERVED else name
        while _key(target) in taken or (target != stem and _key(target) in count):
            target += "~"
        taken.add(_key(target))
        chosen.append(target)
    return chosen


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _is_plain(name: str) -> bool:
    """Say whether a name can stand in a table: no signs of control, no bytes that are no UTF-8."""
    return not any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in name)
