"""What a person says of a folder of recordings; None leaves it to what the files say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from data_modules._arguments import HIGHEST_RATE
from pahcl.errors import SpecError, UsageError
from pahcl.signals import canonical_lead
from pahcl.signals.spec import Modality
from pahcl.task import Kind

NO_TABLE = "none"
"""Value of `table` for a folder whose tables are not about its recordings."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Hold the options of `FolderDataModule`, by their names there."""

    table: str | None = None
    path: str | None = None
    row: str | None = None
    key: str | None = None
    subject: str | None = None
    subject_from: str | None = None
    labels: Sequence[str] | None = None
    kind: Kind | None = None
    classes: Sequence[str] | None = None
    split: str | None = None
    modality: Modality | None = None
    recorded_fs: float | None = None
    unit: str | None = None
    channels: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("kind", get_args(Kind)), ("modality", get_args(Modality))):
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise UsageError(f"{said(name)} must be one of {', '.join(allowed)}, got {value}.")
        if self.recorded_fs is not None and not 0 < self.recorded_fs <= HIGHEST_RATE:
            raise UsageError(
                f"{said('recorded_fs')} must be a rate in Hz up to {HIGHEST_RATE:g}, got "
                f"{self.recorded_fs:g}."
            )
        if self.subject is not None and self.subject_from is not None:
            raise UsageError(
                f"Give {said('subject')}, a column of the table, or {said('subject_from')}, a "
                "regular expression on the path, not both."
            )
        for name in ("labels", "classes", "channels"):
            values = getattr(self, name)
            if values is not None and (not values or len(set(values)) < len(values)):
                raise UsageError(f"{said(name)} must name each one once, got {list(values)}.")
        self.subject_pattern()
        self.leads()

    def subject_pattern(self) -> re.Pattern[str] | None:
        """Give the regular expression that finds the subject in a path.

        Raises:
            UsageError: It is none.
        """
        if self.subject_from is None:
            return None
        try:
            return re.compile(self.subject_from)
        except re.error as error:
            raise UsageError(
                f"{said('subject_from')} is no regular expression ({error}): {self.subject_from!r}."
            ) from error

    def leads(self) -> dict[str, str]:
        """Give the channels by name in the file, or in order, with the lead that each is.

        Raises:
            UsageError: A lead is not known.
        """
        found = {}
        for channel in self.channels or ():
            name, _, lead = channel.rpartition("=")
            try:
                found[name or lead] = canonical_lead(lead)
            except SpecError as error:
                raise UsageError(
                    f"{said('channels')}: {error} A channel of another name is told by "
                    f"`{lead}=LEAD`."
                ) from error
        if len(set(found.values())) < len(self.channels or ()):
            raise UsageError(f"{said('channels')} must name each lead once, got {self.channels}.")
        return found

    def given(self) -> dict[str, Any]:
        """Give what was said, as plain types."""
        return plain({name: value for name, value in asdict(self).items() if value is not None})


def said(name: str) -> str:
    """Name an option as config and command line know it."""
    return f"data.init_args.{name} (`--{name.replace('_', '-')}`)"


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Write options as a store's manifest keeps them."""
    return {
        name: list(value) if isinstance(value, list | tuple) else value
        for name, value in options.items()
    }
