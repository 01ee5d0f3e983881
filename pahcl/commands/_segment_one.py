"""One recording of `pahcl segment`: from the file to its states, its cycles and its picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pahcl import files
from pahcl.commands._segment_files import Listed
from pahcl.commands._segment_source import Source, open_recording
from pahcl.errors import PahclError, RecordError, UsageError, told_by
from pahcl.signals.heart_cycles import (
    BOUNDARIES,
    HeartCycles,
    Segmentation,
    Segmenter,
    segmenter_named,
)
from pahcl.signals.heart_cycles.measures import find_ectopic, measure
from pahcl.signals.heart_cycles.quality import Quality
from pahcl.signals.states_text import states_text, sure_states
from pahcl.store.cycle_finders import one_thread
from pahcl.store.patience import is_machines_fault

if TYPE_CHECKING:
    from pahcl.reports.heart_sound_view import HeartSoundView

Flags = npt.NDArray[np.bool_]

PIECE_SECONDS = 60.0
"""Seconds of a recording whose cycles are judged at once."""

SHORTEST_BEAT = 5.0
"""Seconds that are read beyond a piece: a cycle that begins in it ends there."""

ECTOPIC = "ectopic"
UNREADABLE, REFUSED, SEGMENTED = "unreadable", "refused", "segmented"


@dataclass(frozen=True)
class Settings:
    """Hold what decides about the result.

    Args:
        segmenter: Name of the segmenter.
        min_confidence: Confidence from which on a cycle is sure.
        reject: Flags for which a cycle is rejected.
        ecg: Whether an ECG beside the sound is made use of.
        code: Digest of the code and the weights that segment.
        weights: File of weights of one's own for `learned`; None takes those of the package.
    """

    segmenter: str
    min_confidence: float
    reject: tuple[str, ...]
    ecg: bool
    code: str
    weights: str | None = None

    def key(self, path: Path) -> str:
        """Name the result for a file as it is now.

        Raises:
            OSError: The file cannot be looked at.
        """
        state = path.stat()
        facts = {**asdict(self), "size": state.st_size, "changed": state.st_mtime_ns}
        return files.sha256_text(files.canonical_json(files.plain(facts)))


def chosen_segmenter(name: str, weights: str | Path | None) -> Segmenter:
    """Give a segmenter; `learned` with weights of one's own where there are such."""
    found = segmenter_named(name)
    if weights is None or name != "learned":
        return found
    return replace(found, **{"weights": str(weights)})


@dataclass(frozen=True)
class Job:
    """Hold one recording that is to be segmented.

    Args:
        listed: The recording.
        out: The folder of the results.
        settings: How it is done.
        pictures: Whether a picture is drawn.
        excerpt: Begin and end in seconds of what the picture shows; None chooses.
    """

    listed: Listed
    out: Path
    settings: Settings
    pictures: bool = False
    excerpt: tuple[float, float] | None = None

    @property
    def results(self) -> list[str]:
        """Name the files that are written below `out`: the states, and the picture if asked for."""
        suffixes = [".tsv", ".png"] if self.pictures else [".tsv"]
        return [f"{self.listed.target}{suffix}" for suffix in suffixes]


@dataclass(frozen=True, eq=False)
class Judged:
    """Hold what was found in a recording and what is thought of it.

    Args:
        found: What the segmenter gave.
        flags: By name, `[N]`: what is wrong with a cycle; nothing is dropped for it.
        kept: `[N]`, the cycles that none of the rejecting flags is true of.
        ectopic: `[N]`, kept cycles whose length is none of a normal beat.
    """

    found: Segmentation
    flags: Mapping[str, Flags]
    kept: Flags
    ectopic: Flags


def work(job: Job) -> dict[str, Any]:
    """Segment one recording and write its states and its picture.

    Returns:
        What the journal keeps: name, key, target, status, the row of the summary and the cycles.

    Raises:
        OSError: The results cannot be written.
    """
    entry: dict[str, Any] = {
        "name": job.listed.name,
        "target": job.listed.target,
        "picture": job.pictures,
        "excerpt": job.excerpt,
        "key": _key(job),
        "files": [],
    }
    try:
        source = open_recording(job.listed, job.settings.ecg)
        judged = judge(job, source)
    except (RecordError, OSError, ValueError, LookupError, EOFError) as error:
        if isinstance(error, OSError) and is_machines_fault(error):
            entry["key"] = None  # another time it may be read
        reason = str(error) if isinstance(error, PahclError) else told_by(error)
        blank = {"file": job.listed.name, "status": UNREADABLE, "refusal": reason}
        return {**entry, "row": blank, "cycles": []}
    states = sure_states(judged.found.states, judged.found.cycles, judged.kept)
    text = states_text(states, source.seconds)
    place = _place(job)
    files.write_text(place / f"{Path(job.listed.target).name}.tsv", text)
    if job.pictures:
        draw(job, source, judged, place / f"{Path(job.listed.target).name}.png")
    row = summary_row(job, source, judged)
    row["annotated_share"] = _share(states.annotated, source.seconds)
    return {**entry, "files": job.results, "row": row, "cycles": cycle_rows(judged)}


def _key(job: Job) -> str | None:
    """Name the result; None where there is no file, and another time there may be one."""
    try:
        return job.settings.key(job.listed.path)
    except OSError:
        return None


def _place(job: Job) -> Path:
    """Make the folder of the results of one recording.

    Raises:
        UsageError: A link leads it out of the folder of all results.
        OSError: It cannot be made.
    """
    place = (job.out / job.listed.target).parent
    place.mkdir(parents=True, exist_ok=True)
    if not place.resolve().is_relative_to(job.out.resolve()):
        raise UsageError(f"`--out`: {place} is a link that leads out of {job.out}; remove it.")
    return place


def judge(job: Job, source: Source) -> Judged:
    """Segment a recording and judge its cycles.

    Raises:
        RecordError: It cannot be read.
    """
    settings = job.settings
    segmenter = chosen_segmenter(settings.segmenter, settings.weights)
    with one_thread():
        found = source.segmented(segmenter)
    flags = _flags(source, found.cycles, Quality(least_confidence=settings.min_confidence))
    kept = np.ones(len(found.cycles), dtype=np.bool_)
    for name in settings.reject:
        kept &= ~flags[name]
    ectopic = np.zeros(len(kept), dtype=np.bool_)
    ectopic[kept] = find_ectopic(found.cycles.take(kept))
    return Judged(found, flags, kept, ectopic)


def _flags(source: Source, cycles: HeartCycles, quality: Quality) -> dict[str, Flags]:
    """Judge the cycles piece by piece, so that an hour takes no more memory than some minutes."""
    flags = {name: np.zeros(len(cycles), dtype=np.bool_) for name in quality.flags}
    for begin in np.arange(0.0, max(source.seconds, 1e-9), PIECE_SECONDS).tolist():
        here = (cycles.start >= begin) & (cycles.start < begin + PIECE_SECONDS)
        if not here.any():
            continue
        signal = source.span(begin, begin + PIECE_SECONDS + SHORTEST_BEAT)
        found = quality(signal, source.fs, cycles.take(here).moved(-begin))
        for name, values in found.flags.items():
            flags[name][here] = values
    return flags


def summary_row(job: Job, source: Source, judged: Judged) -> dict[str, Any]:
    """Say what was found in one recording: a row of `summary.csv`."""
    found = judged.found
    measures = measure(found.cycles.take(judged.kept))
    flagged = {name: int(values.sum()) for name, values in judged.flags.items() if values.any()}
    return {
        "file": job.listed.name,
        "status": SEGMENTED if found.refusal is None else REFUSED,
        "states": f"{job.listed.target}.tsv",
        "seconds": round(source.seconds, 6),
        "fs": source.fs,
        "channels": source.channels,
        "ecg": source.ecg is not None,
        "segmenter": found.segmenter,
        "cycles": len(found.cycles),
        "kept": int(judged.kept.sum()),
        **{name: _rounded(value) for name, value in asdict(measures).items()},
        "confidence": round(found.confidence, 4),
        "flags": "; ".join(f"{name} {count}" for name, count in flagged.items()),
        "refusal": found.refusal or "",
        "notes": "; ".join((*source.notes, *found.notes)),
    }


def cycle_rows(judged: Judged) -> list[list[Any]]:
    """List the cycles: boundaries in s, confidence, whether it is kept, what is flagged."""
    cycles = judged.found.cycles
    times = np.stack([getattr(cycles, name) for name in BOUNDARIES], axis=1)
    rows = []
    for k in range(len(cycles)):
        flags = [name for name, values in judged.flags.items() if values[k]]
        flags += [ECTOPIC] if judged.ectopic[k] else []
        boundaries = [None if np.isnan(time) else round(time, 6) for time in times[k].tolist()]
        confidence = round(float(cycles.confidence[k]), 4)
        rows.append([*boundaries, confidence, bool(judged.kept[k]), " ".join(flags)])
    return rows


def _rounded(value: float | int) -> float | int | None:
    """Write a measure with the digits that it has; None where it is not known."""
    if isinstance(value, int):
        return value
    return round(value, 4) if np.isfinite(value) else None


def _share(part: float, whole: float) -> float:
    return round(min(part / whole, 1.0), 4) if whole > 0 else 0.0


def draw(job: Job, source: Source, judged: Judged, path: Path) -> None:
    """Draw the picture of one recording.

    Raises:
        OSError: It cannot be written.
    """
    from pahcl.reports.datasets import save
    from pahcl.reports.heart_sound import recording_figure

    save(recording_figure(view_of(job.listed.name, source, judged, job.excerpt)), path)


def view_of(
    name: str, source: Source, judged: Judged, excerpt: tuple[float, float] | None
) -> HeartSoundView:
    """Read what the picture of a recording shows."""
    from pahcl.reports.heart_sound_view import HeartSoundView, excerpt_of

    begin, end = excerpt_of(source.seconds, excerpt)
    return HeartSoundView(
        name, source.span(begin, end), source.fs, judged.found, begin, judged.kept
    )
