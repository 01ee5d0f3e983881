"""A store of simulated heart sounds; run as a script it finds their cycles, to be killed."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from pahcl.signals import HeartStates, Recording
from pahcl.signals.heart_cycles.cycles import whole_cycles
from pahcl.signals.heart_cycles.segmenter import Segmentation, Segmenter
from pahcl.simulation.heart_murmur import Murmur
from pahcl.simulation.heart_rhythm import Rhythm
from pahcl.simulation.heart_sound import Heart, Scene, simulate
from pahcl.store import Index, SignalStore, write_store
from pahcl.store.cycle_finders import ByAnnotation, BySegmenter
from pahcl.store.cycle_writer import write_cycles

FS = 1000.0
SECONDS = 4


def sound_of(number):
    """One patient in three has a murmur; each has a heart rate of their own."""
    murmurs = (Murmur(timing="holo", grade=3, origin="MV"),) if number % 3 == 0 else ()
    heart = Heart(rhythm=Rhythm(rate=60 + 5 * (number % 10)), murmurs=murmurs)
    return simulate(heart, Scene(fs=FS, duration=SECONDS + number % 4), seed=(9, number))


def states_of(row):
    """Truth of a record; every seventh has not been annotated."""
    number = int(row["record_id"][1:])
    return None if number % 7 == 5 else sound_of(number).states


def read(row):
    number = int(row["record_id"][1:])
    found = sound_of(number).signal
    signal = np.stack([found, np.zeros_like(found)])
    if number % 2:
        signal[1, :: int(FS)] = 1.0
    return Recording(signal, FS, ("PCG", "ECG"), "full scale", row["record_id"], row["subject_id"])


def make_store(out, records=20, leads=("PCG",)):
    ids = [f"r{number:03d}" for number in range(records)]
    table = pd.DataFrame(
        {
            "record_id": ids,
            "subject_id": [f"s {number // 2}" for number in range(records)],
            "file": [f"files/{name}.wav" for name in ids],
            "murmur": [("Present" if n % 3 == 0 else "Absent") if n % 8 else None
                       for n in range(records)],
        }
    )  # fmt: skip
    write_store(
        out,
        Index(table),
        read,
        dataset="hearts",
        dataset_version="1",
        modality="pcg",
        fs=FS,
        leads=leads,
        unit="full scale",
        shard_records=8,
        progress=False,
    )
    return SignalStore(out)


@dataclass(frozen=True, kw_only=True)
class Metronome(Segmenter):
    """Beats of one length, whatever is heard; recordings of 7 s are refused."""

    name: ClassVar = "metronome"
    beat: float = 0.8
    pause: float = 0.0

    def find(self, signal, fs, ecg):
        time.sleep(self.pause)
        duration = len(signal) / fs
        if duration >= 7:
            return Segmentation(
                NOTHING, whole_cycles(NOTHING), duration, self.name, "too long: 7 s"
            )
        share = np.array([0.15, 0.25, 0.12, 0.48]) * self.beat
        count = int(duration / self.beat)
        length = np.tile(share, count + 1)[: 4 * count + 1]
        start = np.concatenate([[0.0], np.cumsum(length)[:-1]])
        states = HeartStates(start, start + length, np.resize([1, 2, 3, 4], len(length)))
        notes = () if ecg is None else ("an ECG helps",)
        sure = np.full(len(states), 0.9)
        return Segmentation(states, whole_cycles(states, sure), duration, self.name, None, notes)


NOTHING = HeartStates(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int8))


def find(store, workers=1, pause=0.0, **options):
    segmenter = Metronome(pause=pause)
    return write_cycles(store, BySegmenter(segmenter), workers=workers, progress=False, **options)


def annotate(store, **options):
    return write_cycles(store, ByAnnotation(states_of), progress=False, **options)


if __name__ == "__main__":
    place, processes, wait = sys.argv[1:]
    find(SignalStore(Path(place)), int(processes), float(wait))
