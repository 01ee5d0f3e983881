"""The annotated recordings that segmenters are scored on: a data set's, or sounds with `.tsv`."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_modules._circor_files import read_states
from pahcl.commands._common import datasets, find_data_module
from pahcl.commands._segment_files import Listed, find_recordings
from pahcl.commands._segment_source import open_recording
from pahcl.errors import UsageError
from pahcl.signals.heart_cycles import Segmentation, Segmenter
from pahcl.signals.states import UNANNOTATED, HeartStates
from pahcl.simulation.corpus import MARK

BANDS = (40, 60, 80, 100, 120, 140, 160, 180)
"""Heart rates in beats a minute between which recordings are scored together."""


@dataclass(frozen=True, kw_only=True)
class Case(ABC):
    """Hold one recording that may be scored.

    Args:
        name: The data set's record_id, or the file's name below the folder.
        subject: Who is heard.
        groups: Name of the recording's group under each heading (`set`, `heart rate`, `murmur`).
        heart: Whether a heart beats in it.
    """

    name: str
    subject: str
    groups: Mapping[str, str] = field(default_factory=dict)
    heart: bool = True

    @abstractmethod
    def truth(self) -> HeartStates | None:
        """Read the annotation; None where nobody has made one.

        Raises:
            RecordError: It is damaged.
            OSError: The machine cannot read it now.
        """

    @abstractmethod
    def segmented(self, segmenters: Sequence[Segmenter], ecg: bool) -> list[Segmentation]:
        """Segment the recording with each of them.

        Args:
            segmenters: Who segments.
            ecg: Whether an ECG that was recorded with it is given to them.

        Raises:
            RecordError: The recording is damaged.
            OSError: The machine cannot read it now.
        """


@dataclass(frozen=True, kw_only=True)
class OfDataset(Case):
    """Hold a recording of a data set.

    Args:
        dataset: Its name.
        root: The publisher's folder.
        row: The recording's row of the index.
    """

    dataset: str
    root: Path
    row: Mapping[str, Any]

    def truth(self) -> HeartStates | None:
        """Read the annotation; of PhysioNet 2016 the one that was corrected by hand."""
        states: HeartStates | None = _states_of(self.dataset)(self.root, self.row)
        return states

    def segmented(self, segmenters: Sequence[Segmenter], ecg: bool) -> list[Segmentation]:
        """Segment the first lead; the ECG is the second one where there is one."""
        recording = find_data_module(self.dataset).read(self.root, self.row)
        aid = recording.signal[1] if ecg and len(recording.leads) > 1 else None
        aid = None if aid is None or np.isnan(aid).all() else aid
        return [one(recording.signal[0], recording.fs, aid) for one in segmenters]


@dataclass(frozen=True, kw_only=True)
class OfFile(Case):
    """Hold a sound with a `.tsv` beside it.

    Args:
        listed: The files.
    """

    listed: Listed

    def truth(self) -> HeartStates | None:
        """Read the `.tsv`."""
        return None if self.listed.truth is None else read_states(self.listed.truth)

    def segmented(self, segmenters: Sequence[Segmenter], ecg: bool) -> list[Segmentation]:
        """Segment the file, as `pahcl segment` does."""
        source = open_recording(self.listed, ecg)
        return [source.segmented(one) for one in segmenters]


@dataclass(frozen=True)
class Cases:
    """Hold the recordings of one place.

    Args:
        cases: By name; those without an annotation are among them.
        headings: Under which they are grouped.
        simulated: Whether they were simulated.
    """

    cases: tuple[Case, ...]
    headings: tuple[str, ...] = ()
    simulated: bool = False


def cases_at(path: Path, dataset: str | None, ecg: bool) -> Cases:
    """List the recordings of a publisher's folder, or the sounds that have a `.tsv`.

    Args:
        path: The folder, or one sound.
        dataset: Name of the data set; None for sounds of one's own.
        ecg: Whether ECGs are read too.

    Raises:
        UsageError: There is no such data set, it has no annotations, or nothing is there.
        DataError: The publisher's folder is incomplete.
    """
    return _of_folder(path) if dataset is None else _of_dataset(path, dataset, ecg)


def _states_of(dataset: str) -> Any:
    return getattr(find_data_module(dataset), "states", None)


def _of_dataset(root: Path, dataset: str, ecg: bool) -> Cases:
    module = find_data_module(dataset)
    if _states_of(dataset) is None:
        known = [name for name in datasets() if _states_of(name) is not None]
        raise UsageError(
            f"{dataset} has no annotated heart cycles; `--dataset` takes {', '.join(known)}."
        )
    if not root.is_dir():
        raise UsageError(f"There is no folder {root}: give the one of {module.title}.")
    options = {"ecg": True} if ecg and dataset == "physionet2016" else {}
    table = module.index(root, module.rates[0], **options).table
    sets = "domain" in table.columns
    cases = [
        OfDataset(
            name=row["record_id"],
            subject=row["subject_id"],
            groups={"set": f"{dataset} {row['domain']}" if sets else dataset},
            dataset=dataset,
            root=root,
            row=row,
        )
        for row in (
            {str(name): value for name, value in row.items()} for row in table.to_dict("records")
        )
    ]
    return Cases(tuple(sorted(cases, key=lambda case: case.name)), ("set",))


def _of_folder(path: Path) -> Cases:
    found = find_recordings(path, Path("/nonexistent"))
    known = _simulated(found.root)
    cases = tuple(_of_listed(one, known.get(one.name)) for one in found.recordings)
    if not any(one.truth for one in found.recordings):
        raise UsageError(
            f"No sound of {path} has states beside it: a `.tsv` of the same name with begin, end "
            "and state (1 to 4) in every line, as CirCor has. For a data set give `--dataset`."
        )
    if not known:
        return Cases(cases)
    headings = [name for name in ("heart rate", "murmur") if any(name in c.groups for c in cases)]
    return Cases(cases, tuple(headings), simulated=True)


def _simulated(root: Path) -> Mapping[str, Any]:
    """Read what a simulator says of its recordings; nothing where none wrote the folder."""
    try:
        mark = json.loads((root / MARK).read_text(encoding="utf-8"))
        records = mark["records"]
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return records if isinstance(records, dict) else {}


def _of_listed(listed: Listed, facts: Any) -> OfFile:
    if not isinstance(facts, dict):
        return OfFile(name=listed.name, subject=listed.name, listed=listed)
    groups = {}
    heart = facts.get("case") == "heart" or bool(facts.get("first_sounds"))
    if heart and isinstance(facts.get("rate"), float):
        groups["heart rate"] = _band(facts["rate"])
    if heart and isinstance(facts.get("murmur"), str):
        groups["murmur"] = _loudness(facts["murmur"], facts.get("grade"))
    subject = str(facts.get("subject", listed.name))
    return OfFile(name=listed.name, subject=subject, groups=groups, heart=heart, listed=listed)


def _band(rate: float) -> str:
    """Name the band of a heart rate, so that names sort by rate."""
    place = int(np.clip(np.searchsorted(BANDS, rate, side="right"), 1, len(BANDS) - 1))
    return f"{BANDS[place - 1]:3d} to {BANDS[place]}"


def _loudness(murmur: str, grade: Any) -> str:
    """Name a murmur by its phase and its grade."""
    if not isinstance(grade, int) or not grade:
        return murmur
    return f"{murmur}, grade {'1 to 3' if grade <= 3 else '4 and more'}"


def is_annotated(states: HeartStates | None) -> bool:
    """Say whether anything is annotated."""
    return states is not None and bool((states.state != UNANNOTATED).any())


def learnt_from(card: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Read which recordings weights have seen, by data set: trained and validated on."""
    found: dict[str, Counter[str]] = {}
    for dataset, parts in dict(card.get("recordings", {})).items():
        seen = found.setdefault(str(dataset), Counter())
        for part in ("train", "validate"):
            seen.update(map(str, parts.get(part, ())))
    return {dataset: frozenset(names) for dataset, names in found.items()}
