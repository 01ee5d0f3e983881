"""One thing that `pahcl doctor` examines, however it was opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from pahcl.signals.recording import Recording
from pahcl.store import Finding, Rejection, SignalStore

if TYPE_CHECKING:
    from data_modules.base import SignalDataModule


@dataclass
class Place:
    """Hold what one path leads to.

    Args:
        path: The path.
        kind: `store`, `publisher's folder` or `own files`.
        dataset: Name of the data set.
        table: One row per record, with `record_id`, `subject_id` and `file`.
        read: Reads the record of a row of the table.
        module: The data set's class, where one is known.
        rejected: Records that are no use, each with its reason.
        notes: Counts of what is odd.
        findings: What opening it has shown.
        store: The store, if it is one.
        unsaid: What the files do not say, of `unit`, `rate` and `leads`.
    """

    path: Path
    kind: str
    dataset: str
    table: pd.DataFrame
    read: Callable[[int], Recording]
    module: type[SignalDataModule] | None = None
    rejected: tuple[Rejection, ...] = ()
    notes: Mapping[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    store: SignalStore | None = None
    unsaid: frozenset[str] = frozenset()
