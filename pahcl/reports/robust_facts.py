"""What a page knows of a run's robustness: `robustness.json`, and whether it is this run's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pahcl.errors import PahclError
from pahcl.evaluation.robustness_file import lost_files
from pahcl.evaluation.run import RunFolder
from pahcl.reports.names import count, listing


@dataclass(frozen=True)
class Robustness:
    """Hold what `pahcl robustness` left, as far as it can be used.

    Args:
        facts: `robustness.json`; empty where there is none that can be used.
        lost: Files beside it that are gone, or not those it was made of.
        note: Why there are no facts.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    note: str = ""


def load_robustness(
    folder: RunFolder, split: str, receipt: Mapping[str, Any]
) -> tuple[Robustness, list[str], list[str]]:
    """Read a run's robustness; where it was measured on validation alone, that is taken.

    Args:
        folder: The run.
        split: The split that the page is about.
        receipt: Its receipt.

    Returns:
        The robustness; why a file could not be read; what is not of this run.
    """
    again = f"`pahcl robustness {folder.path.as_posix()}`"
    there = [one for one in (split, "val") if folder.evidence("robustness.json", one).is_file()]
    if not there:
        return Robustness(note=f"It was not measured yet; {again} does so."), [], []
    file = folder.evidence("robustness.json", there[0])
    try:
        facts = folder.load_robustness(there[0])
    except (PahclError, OSError, UnicodeDecodeError) as error:
        note = f"{file.name} cannot be read. Run {again} again."
        return Robustness(note=note), [str(error)], []
    tested = receipt.get("sha256")
    checkpoint = tested.get("checkpoint") if isinstance(tested, dict) else None
    if checkpoint is not None and facts["sha256"]["checkpoint"] != checkpoint:
        stale = (
            f"{file.name} was measured of another checkpoint than the one that was tested. Run "
            f"{again} again."
        )
        return Robustness(note=stale), [], [stale]
    lost = lost_files(folder.path, facts)
    if not lost:
        return Robustness(facts), [], []
    said = (
        f"{count(len(lost), 'file')} beside {file.name} "
        f"{'is' if len(lost) == 1 else 'are'} gone or changed since: {listing(lost, 3)}. "
        f"Run {again} again."
    )
    return Robustness(facts, frozenset(lost)), [], [said]
