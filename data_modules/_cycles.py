"""Heart cycles in place of records: which there are, which are served, and what is told of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from data_modules._statistics import counts_by_class
from pahcl.errors import DataError, UsageError
from pahcl.files import plain
from pahcl.signals.augment import Augmentation
from pahcl.signals.heart_cycles.cycles import BOUNDARIES
from pahcl.signals.heart_cycles.interpolation import Kernel
from pahcl.signals.heart_cycles.lengths import SHARES, LengthMode, phase_edges
from pahcl.signals.heart_cycles.parts import PartKind, require_parts
from pahcl.signals.heart_cycles.windows import HOP, WINDOW, cut_windows
from pahcl.signals.spec import SignalSpec
from pahcl.store import SignalStore
from pahcl.store.cycles import CycleManifest
from pahcl.task import Task

log = logging.getLogger(__name__)

Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Table = Literal["learned", "rhythm", "upstream", "annotated", "windows"]

SECONDS = 1.0
"""Usual length of a cycle's batch: at 60 beats a minute or more a whole cycle is in it."""

WHOLE_RECORD = -1
"""Number of the window that stands for a record without cycles."""

SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Cycles:
    """Serve heart cycles, or fixed windows, in place of records.

    Splits, fractions and class weights stay those of the records, and every record has one answer:
    the mean of its cycles'. A task of level `subject` is then scored by subject as ever.

    Args:
        table: Which cycles: of a segmenter (`learned`, `rhythm`, `upstream`) or of the publisher's
            annotation (`annotated`), as `pahcl prepare --cycles` writes them beside the store; or
            `windows`, which need no table.
        length: How a cycle comes to the length of the batch: `pad` (in the middle, longer ones
            cropped), `resample` (stretched) or `phase` (each state stretched to its share).
        shares: Shares of S1, systole, S2 and diastole for `phase`.
        kernel: How `resample`, `phase` and parts by state read between samples: band-limited
            `sinc`, or `linear`, which is faster on a CPU.
        parts: Cut each cycle into so many sub-structures (2, 4, 6 or 8) as well; None does not.
        parts_by: Cut them `equal`, `overlapping` by a quarter on each side, or by `state`. They are
            cut after augmentation; by `state` with none that moves sounds in time.
        reject: Quality flags by which a cycle is not served.
        min_confidence: Cycles of which the segmenter is less sure are not served.
        per_record: Cycles of a record that an epoch of training sees at most, drawn anew each time;
            None takes all. Evaluation takes all.
        without_cycles: What becomes of a record without any (left): `window` serves its middle, so
            that each record is answered, whoever looked for cycles; `leave_out` drops it.
        window: Seconds of a window, for `windows`.
        hop: Seconds from one window to the next.
        partial: Keep a last window that is shorter.
    """

    table: Table = "learned"
    length: LengthMode = "pad"
    shares: tuple[float, float, float, float] = SHARES
    kernel: Kernel = "sinc"
    parts: int | None = None
    parts_by: PartKind = "equal"
    reject: tuple[str, ...] = ()
    min_confidence: float = 0.0
    per_record: int | None = None
    without_cycles: Literal["window", "leave_out"] = "window"
    window: float = WINDOW
    hop: float = HOP
    partial: bool = True

    @property
    def seconds(self) -> float:
        """Give the usual length of a batch in seconds."""
        return self.window if self.table == "windows" else SECONDS

    @property
    def by_state(self) -> bool:
        """Say whether parts are cut where the states of a cycle begin."""
        return self.parts is not None and self.parts_by == "state"

    def require(
        self, spec: SignalSpec, title: str, augmentation: Augmentation | None = None
    ) -> None:
        """Refuse settings that cannot work, before anything is read.

        Args:
            spec: The input contract.
            title: Of the data set.
            augmentation: What is done to training batches before parts are cut.

        Raises:
            UsageError: With the config key, what it must be, and what it was.
        """
        if spec.modality != "pcg":
            raise UsageError(
                f"data.init_args.cycles: heart cycles are those of heart sounds, and {title} "
                f"holds {spec.modality.upper()}s. Leave it out."
            )
        movers = augmentation.movers() if augmentation is not None and self.by_state else ()
        if movers:
            raise UsageError(
                f"data.init_args.augment: {', '.join(dict.fromkeys(movers))} would move the sounds "
                "away from the places where parts by state are cut. Leave it out, or set "
                "data.init_args.cycles.parts_by to equal or overlapping."
            )
        states = self.length == "phase" or self.by_state
        checks = {
            "per_record": (self.per_record is None or self.per_record > 0, "at least 1 (or null)"),
            "min_confidence": (0 <= self.min_confidence <= 1, "from 0 to 1"),
            "table": (not (states and self.table == "windows"), "cycles: windows have no states"),
        }
        for name, (fits, expected) in checks.items():
            if not fits:
                given = getattr(self, name)
                raise UsageError(f"data.init_args.cycles.{name} must be {expected}, got {given}.")
        try:
            if self.parts is not None:
                require_parts(self.parts, self.parts_by)
            if self.length == "phase":
                phase_edges(spec.length or 0, self.shares)
            cut_windows(np.zeros(1), self.window, self.hop)
        except UsageError as error:
            raise UsageError(f"data.init_args.cycles: {error}") from error


@dataclass(frozen=True, eq=False)
class Rows:
    """Hold cycles of a store's records, sorted by record and number.

    Args:
        record: `[M]` row of the record in the store.
        number: `[M]` the cycle's number in its record, `WHOLE_RECORD` for its middle.
        times: `[M, 5]` float64, the boundaries in seconds, NaN where they are not known.
    """

    record: Integers
    number: Integers
    times: npt.NDArray[np.float64]

    def take(self, which: Bools | Integers) -> Rows:
        """Choose rows."""
        return Rows(self.record[which], self.number[which], self.times[which])

    @property
    def unknown(self) -> Bools:
        """Say which have no states."""
        return np.asarray(np.isnan(self.times).any(axis=1))


@dataclass(eq=False)
class ServedCycles:
    """Know which cycles of a store's records are served, and which are not.

    Args:
        settings: What was asked for.
        rows: The cycles that are served.
        rejected: By reason, `[N]` how many cycles of each record are not.
        records: N.
        manifest: Of the table; None for windows.
        told: What `describe` found.
    """

    settings: Cycles
    rows: Rows
    rejected: dict[str, Integers]
    records: int
    manifest: CycleManifest | None
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def without(self) -> Bools:
        """Say which records have no cycle (left), `[N]`."""
        real = self.rows.record[self.rows.number != WHOLE_RECORD]
        return np.asarray(np.bincount(real, minlength=self.records) == 0)

    def leave_out(self, rows: Mapping[str, Integers]) -> dict[str, Integers]:
        """Take records without cycles out of the splits, where that is asked for.

        Raises:
            DataError: A split has no record left.
        """
        if self.settings.without_cycles == "window":
            return dict(rows)
        left = {name: here[~self.without[here]] for name, here in rows.items()}
        for name, here in rows.items():
            if len(here) and not len(left[name]):
                raise DataError(
                    f"No record of the {name} split has a heart cycle that is served "
                    f"({len(here)} record(s)). Reject less (data.init_args.cycles.reject and "
                    "min_confidence), or set data.init_args.cycles.without_cycles to window."
                )
        return left

    def describe(
        self,
        task: Task,
        targets: npt.NDArray[Any],
        ids: npt.NDArray[np.object_],
        rows: Mapping[str, Integers],
    ) -> dict[str, Integers]:
        """Count what is served and what is not by label, and tell it to the log and the receipt.

        Args:
            task: What is asked.
            targets: Of every record of the store.
            ids: Of every record.
            rows: Records of each split, those without cycles included.

        Returns:
            The records of each split that are served.

        Raises:
            DataError: A split has no record left.
        """
        splits: dict[str, Any] = {}
        for name, here in rows.items():
            own = np.isin(self.rows.record, here)
            real = own & (self.rows.number != WHOLE_RECORD)
            without = here[self.without[here]]
            splits[name] = {
                "cycles": int(real.sum()),
                "by_class": counts_by_class(task, targets[self.rows.record[real]]),
                "without_states": int((real & self.rows.unknown).sum()),
                "rejected": {
                    reason: _by_label(task, np.repeat(targets[here], counts[here], axis=0))
                    for reason, counts in self.rejected.items()
                },
                "records_without_cycles": {
                    **_by_label(task, targets[without]),
                    "why": {name: self._why(name) for name in sorted(map(str, ids[without]))},
                },
            }
        held = self.manifest
        source = None if held is None else {"finder": held.finder, "sha256": held.table_sha256}
        self.told = {**plain(asdict(self.settings)), "source": source, "splits": splits}
        for name, found in splits.items():
            self._log(name, found)
        return self.leave_out(rows)

    @cached_property
    def _refusals(self) -> dict[str, str]:
        held = self.manifest
        return {} if held is None else {one["record_id"]: one["reason"] for one in held.without}

    def _why(self, record: str) -> str:
        return self._refusals.get(record, "no cycle is left")

    def _log(self, split: str, found: Mapping[str, Any]) -> None:
        parts = [
            f"{told['count']} rejected ({reason}; {_listed(told['by_class'])})"
            for reason, told in found["rejected"].items()
            if told["count"]
        ]
        unknown = found["without_states"]
        asked = self.settings.length == "phase" or self.settings.by_state
        if unknown and asked and self.settings.table != "windows":
            parts.append(f"{unknown} without states, which are stretched as a whole")
        log.info("%s: %s.", split, ", ".join([f"{found['cycles']} cycles", *parts]))
        without = found["records_without_cycles"]
        if names := list(without["why"]):
            windows = self.settings.without_cycles == "window"
            log.warning(
                "%s: %d record(s) have no heart cycle that is served (%s): %s%s. %s",
                split,
                len(names),
                _listed(without["by_class"]),
                ", ".join(names[:SHOWN]),
                ", ..." if len(names) > SHOWN else "",
                "Their middle is served." if windows else "They are left out.",
            )


class Found(NamedTuple):
    """Hold the cycles of a table, by reason which of them are rejected, and what it says."""

    rows: Rows
    reasons: dict[str, Bools]
    manifest: CycleManifest | None


def _by_label(task: Task, targets: npt.NDArray[Any]) -> dict[str, Any]:
    return {"count": len(targets), "by_class": counts_by_class(task, targets)}


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def serve_cycles(settings: Cycles, store: SignalStore, source: Path, length: int) -> ServedCycles:
    """Find the cycles of a store's records that are served.

    Args:
        settings: Which are wanted.
        store: Where the records are.
        source: The store that it was derived from, or itself: the cycles lie there.
        length: Samples of a batch, which is what a record without cycles is served by.

    Raises:
        StoreError: There is no such table of cycles.
        UsageError: It has no such quality flag.
    """
    durations = np.asarray(store.lengths, dtype=np.float64) / store.spec.fs
    if settings.table == "windows":
        cut = cut_windows(durations, settings.window, settings.hop, settings.partial)
        times = np.full((len(cut.start), 5), np.nan)
        times[:, 0], times[:, 4] = cut.start, cut.end
        first = np.searchsorted(cut.recording, cut.recording)
        listed = Found(Rows(cut.recording, np.arange(len(first)) - first, times), {}, None)
    else:
        listed = _of_table(settings, store, source)
    rows, reasons, manifest = listed
    reasons["beyond the recording"] = rows.times[:, 0] >= durations[rows.record]
    kept = ~np.logical_or.reduce(list(reasons.values()))
    counted = {
        reason: np.bincount(rows.record[wrong], minlength=len(durations))
        for reason, wrong in reasons.items()
    }
    left = rows.take(kept)
    if settings.without_cycles == "window":
        left = _with_middles(left, durations, length / store.spec.fs)
    return ServedCycles(settings, left, counted, len(store), manifest)


def _of_table(settings: Cycles, store: SignalStore, source: Path) -> Found:
    """Read a table of cycles, and say which of them are rejected, by reason."""
    table = store.placed(SignalStore(source).cycles(settings.table))
    if unknown := [name for name in settings.reject if name not in table.flags]:
        raise UsageError(
            f"data.init_args.cycles.reject: no cycle is flagged {', '.join(unknown)}; the flags of "
            f"`{settings.table}` are {', '.join(table.flags) or 'none'}."
        )
    frame = table.frame
    record = frame["record"].to_numpy(dtype=np.int64)
    reasons: dict[str, Bools] = {name: table.flagged([name]) for name in settings.reject}
    if settings.min_confidence > 0:
        sure = frame["confidence"].to_numpy(dtype=np.float64)
        reasons[f"confidence below {settings.min_confidence:g}"] = ~(
            sure >= settings.min_confidence
        )
    number = frame["cycle"].to_numpy(dtype=np.int64)
    times = np.stack([frame[name].to_numpy(dtype=np.float64) for name in BOUNDARIES], axis=1)
    return Found(Rows(record, number, times), reasons, table.manifest)


def _with_middles(rows: Rows, durations: npt.NDArray[np.float64], seconds: float) -> Rows:
    """Add the middle of each record that has no cycle."""
    none = np.flatnonzero(np.bincount(rows.record, minlength=len(durations)) == 0)
    times = np.full((len(none), 5), np.nan)
    held = np.minimum(durations[none], seconds)
    times[:, 0] = (durations[none] - held) / 2
    times[:, 4] = times[:, 0] + held
    record = np.concatenate([rows.record, none])
    number = np.concatenate([rows.number, np.full(len(none), WHOLE_RECORD)])
    order = np.argsort(record, kind="stable")
    return Rows(record, number, np.concatenate([rows.times, times])).take(order)
