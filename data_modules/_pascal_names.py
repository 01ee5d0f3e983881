"""Names of the PASCAL challenge: classes, and what tables, folders and files call a sound."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

RATES = {"a": 44_100.0, "b": 4000.0}
"""Rate of each set in Hz."""

CLASSES = {
    "a": ("normal", "murmur", "extrahls", "artifact"),
    "b": ("normal", "murmur", "extrastole"),
}
"""Classes of each set in the publisher's spelling."""

ARCHIVES = tuple(
    (f"{name}.zip", f"{folder}/{name}")
    for folder, names in (
        ("set_a", ("normal", "murmur", "extrahs", "artifact")),
        ("set_b", ("normal", "murmur", "extrasystole")),
    )
    for name in (
        *(f"{folder[-1].upper()}training_{word}" for word in names),
        f"{folder[-1].upper()}unlabelledtest",
    )
)
"""The publisher's archives, and the folder into which each is unpacked: one that says what its
sounds are, should the archive have none of its own."""

FOLDERS: dict[str, tuple[str, str]] = {
    "Atraining_normal": ("a", "normal__"),
    "Atraining_murmur": ("a", "murmur__"),
    "Atraining_extrahls": ("a", "extrahls__"),
    "Atraining_extrahs": ("a", "extrahls__"),
    "Atraining_artifact": ("a", "artifact__"),
    "Aunlabelledtest": ("a", "Aunlabelledtest__"),
    "Btraining_normal": ("b", "normal__"),
    "Training B Normal": ("b", "normal__"),
    "Btraining_noisynormal": ("b", "normal_noisynormal_"),
    "Btraining_murmur": ("b", "murmur__"),
    "Btraining_noisymurmur": ("b", "murmur_noisymurmur_"),
    "Btraining_extrastole": ("b", "extrastole__"),
    "Btraining_extrasystole": ("b", "extrastole__"),
    "Bunlabelledtest": ("b", "Bunlabelledtest__"),
}
"""Folders of the publisher's archives: set, and what the other form puts before a file's name."""

_SPELT = {"extrasystole": "extrastole", "extrasound": "extrahls", "artefact": "artifact"}
_RULES = {
    "a": ((r"^__(?=\d)", "Aunlabelledtest__"),),
    "b": (
        (r"^Btraining_([a-z]+)_Btraining_([a-z]+)_(?=\d)", r"\1_\2_"),
        (r"^Btraining_([a-z]+)_(?=\d)", r"\1__"),
        (r"^Bunlabelledtest_(?=\d)", "Bunlabelledtest__"),
    ),
}
_NAMES = {
    "a": re.compile(r"(?P<word>[A-Za-z]+)__(?P<who>\d+)", re.ASCII),
    "b": re.compile(
        r"(?P<word>[A-Za-z]+)_(?P<more>[a-z]*)_(?P<who>\d{3})_\d+_(?P<place>[A-F])\d*(_\d+)?",
        re.ASCII,
    ),
}


@dataclass(frozen=True)
class Named:
    """Hold what a sound's name says.

    Args:
        word: The class, or that there is none.
        who: The patient's number in set B; in set A the minute, for that one gives no patients.
        noisy: Whether the name says that the sound is noisy.
        place: Letter of the place on the chest; None in set A.
    """

    word: str
    who: str
    noisy: bool = False
    place: str | None = None


def file_name(fname: str, which: str, there: Collection[str]) -> str:
    """Give the file that a row names: under that very name, or as the publisher renamed it.

    Args:
        fname: The cell of the table.
        which: The set.
        there: Names of the files.
    """
    name = re.split(r"[/\\]", fname)[-1]
    if name in there:
        return name
    for pattern, replacement in _RULES[which]:
        name, changed = re.subn(pattern, replacement, name)
        if changed:
            return name
    return name


def parse_name(stem: str, which: str) -> Named | None:
    """Read a sound's name; None where it is not one of the publisher's."""
    found = _NAMES[which].fullmatch(stem)
    if found is None:
        return None
    parts = found.groupdict()
    noisy = (parts.get("more") or "").startswith("noisy")
    return Named(parts["word"], parts["who"], noisy, parts.get("place"))


def class_of(word: str | None, which: str) -> str | None:
    """Give the class that a word means in a set; None where it is none."""
    spelt = None if word is None else _SPELT.get(word.lower(), word.lower())
    return spelt if spelt in CLASSES[which] else None
