"""Where the heart cycles of a store come from: a segmenter, an annotation, or a clock."""

from __future__ import annotations

import contextlib
import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pahcl.errors import RecordError
from pahcl.files import canonical_json, sha256_file
from pahcl.signals import HeartStates, Recording
from pahcl.signals.heart_cycles.cycles import HeartCycles, whole_cycles
from pahcl.signals.heart_cycles.quality import Quality, QualityCheck, UpstreamQuality
from pahcl.signals.heart_cycles.segmenter import Segmenter
from pahcl.signals.heart_cycles.windows import HOP, WINDOW, fixed_windows
from pahcl.signals.states import DIASTOLE, SYSTOLE
from pahcl.store.cycles import plain_settings

SOUND, AID = "PCG", "ECG"
"""Leads of a heart sound, and of an ECG that was recorded with it."""

_SETTINGS_TOLD = 4

Samples = npt.NDArray[np.float32]


class Found(NamedTuple):
    """Hold what was found in one record.

    Args:
        cycles: The cycles.
        refusal: Why there are none, as a sentence's end; None where there are some.
        notes: What else is to be told.
    """

    cycles: HeartCycles
    refusal: str | None = None
    notes: tuple[str, ...] = ()


class Finder(ABC):
    """Find the cycles of a record; picklable, and the same in every process."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name the table."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Give what the cycles depend on, as plain types."""

    @abstractmethod
    def find(self, recording: Recording, row: Mapping[str, Any]) -> Found:
        """Find the cycles of one record, given by its row of the store's table as well."""

    def checks(self) -> tuple[QualityCheck, ...]:
        """Say how these cycles are judged."""
        return (Quality(),)


@dataclass(frozen=True)
class BySegmenter(Finder):
    """Let a segmenter find the cycles; an ECG in the store is its aid."""

    segmenter: Segmenter

    @property
    def name(self) -> str:
        """Name the table as the segmenter."""
        return self.segmenter.name

    def settings(self) -> dict[str, Any]:
        """Give the segmenter's settings; weights by their checksum, wherever they lie."""
        settings = plain_settings(self.segmenter)
        if "weights" in settings:
            given = getattr(self.segmenter, "weights", None)
            # Those of the package lie beside the module, under its name.
            own = Path(inspect.getfile(type(self.segmenter))).with_suffix(".safetensors")
            path = own if given is None else Path(given)
            settings["weights"] = {"sha256": sha256_file(path) if path.is_file() else None}
        return settings

    def find(self, recording: Recording, row: Mapping[str, Any]) -> Found:
        """Segment the record."""
        sound, aid = sound_of(recording), _aid_of(recording)
        step = None
        if recording.resolution is not None:
            step = float(recording.resolution[recording.leads.index(SOUND)])
        with one_thread():
            found = self.segmenter.in_pieces(
                lambda begin, stop: sound[begin:stop],
                len(sound),
                recording.fs,
                None if aid is None else lambda begin, stop: aid[begin:stop],
                step,
            )
        return Found(found.cycles, found.refusal, found.notes)

    def checks(self) -> tuple[QualityCheck, ...]:
        """Judge the original's cycles also as the original did."""
        ours = super().checks()
        return (*ours, UpstreamQuality()) if self.name == "upstream" else ours


@dataclass(frozen=True)
class ByAnnotation(Finder):
    """Take the cycles that the publisher's annotators marked.

    Args:
        states: Reads the states of a row of the store's table; None where nobody marked them.
    """

    states: Callable[[Mapping[str, Any]], HeartStates | None]

    @property
    def name(self) -> str:
        """Name the table."""
        return "annotated"

    def settings(self) -> dict[str, Any]:
        """Give no settings: there are none."""
        return {}

    def find(self, recording: Recording, row: Mapping[str, Any]) -> Found:
        """Read the whole cycles of the record's states."""
        try:
            states = self.states(row)
        except RecordError as error:
            return Found(HeartCycles.empty(), f"unusable annotation: {error.reason}")
        if states is None or not len(states):
            return Found(HeartCycles.empty(), "not annotated")
        if not np.isin(states.state, (SYSTOLE, DIASTOLE)).any():
            return Found(
                HeartCycles.empty(), "no whole cycle: sounds are marked, not what lies between them"
            )
        cycles = whole_cycles(states)
        return Found(cycles, None if len(cycles) else "no whole cycle: the annotation is too short")


@dataclass(frozen=True)
class ByClock(Finder):
    """Cut fixed windows, whatever the heart does.

    Args:
        seconds: Of a window.
        hop: From one window to the next, in seconds.
    """

    seconds: float = WINDOW
    hop: float = HOP

    @property
    def name(self) -> str:
        """Name the table."""
        return "windows"

    def settings(self) -> dict[str, Any]:
        """Give both times."""
        return plain_settings(self)

    def find(self, recording: Recording, row: Mapping[str, Any]) -> Found:
        """Cut the record."""
        return Found(
            fixed_windows(recording.signal.shape[1] / recording.fs, self.seconds, self.hop)
        )

    def checks(self) -> tuple[QualityCheck, ...]:
        """Do not ask whether windows are alike: they begin anywhere in the beat."""
        return (Quality(least_repeatability=-2.0),)


def sound_of(recording: Recording) -> Samples:
    """Give the samples of the heart sound, `[L]`."""
    samples: Samples = recording.signal[recording.leads.index(SOUND)]
    return samples


def _aid_of(recording: Recording) -> Samples | None:
    """Give those of the ECG; None where the recording has none, which a store fills with 0."""
    if AID not in recording.leads:
        return None
    samples: Samples = recording.signal[recording.leads.index(AID)]
    return samples if np.any(samples) else None


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch, where it was loaded, work in one thread.

    Sums in another order have other last digits, and a table must not depend on the machine's
    number of processors; besides, every worker would take all of them.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def settings_apart(ours: object, asked: object) -> str:
    """Say which settings of a table are not those that are asked for; no others."""
    there, wanted = _flat(ours), _flat(asked)
    names = [name for name in {**there, **wanted} if there.get(name) != wanted.get(name)]
    told = [
        f"{name} {there.get(name, 'not set')}, not {wanted.get(name, 'set')}"
        for name in names[:_SETTINGS_TOLD]
    ]
    return "; ".join(
        [*told, f"and {len(names) - _SETTINGS_TOLD} more"] if len(names) > _SETTINGS_TOLD else told
    )


def _flat(values: object, name: str = "") -> dict[str, str]:
    """Write each setting below its path."""
    if isinstance(values, dict):
        pairs = [(str(key), value) for key, value in values.items()]
    elif isinstance(values, list):
        pairs = [(str(number), value) for number, value in enumerate(values)]
    else:
        return {name: canonical_json(values)}
    below = [_flat(value, f"{name}.{key}" if name else key) for key, value in pairs]
    return {path: text for one in below for path, text in one.items()}
