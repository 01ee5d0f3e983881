"""Write a corpus of heart sounds whose states are known: what segmenters are held against.

It has no publisher: one folder with a `.wav` and, beside it, the states as a `.tsv` in the form of
CirCor (begin, end and number of the state, in seconds). Heart rates, murmurs and rates of sampling
are spread evenly and independently of each other, not as they come in people; some recordings hold
no heart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pahcl.signals.states import STATE_NAMES, HeartStates
from pahcl.simulation.corpus import claim_folder, write_mark
from pahcl.simulation.heart_cases import Extra, draw_heart, draw_murmur_words, draw_scene
from pahcl.simulation.heart_murmur import Murmur, Phase
from pahcl.simulation.heart_rhythm import Generator
from pahcl.simulation.heart_sound import Heart, HeartSound, Scene, simulate
from pahcl.simulation.sound_files import to_counts, wav

NUMBER = 12
"""Part of the random seed: this corpus among the others."""

SLOWEST, FASTEST = 40.0, 180.0
"""Heart rates in beats a minute, between which the hearts lie evenly."""

RATES = (2000, 4000, 44100)
"""Rates of sampling in Hz: PhysioNet's, CirCor's, and a phone's."""

_SHARES = (0.5, 0.4, 0.1)

MURMURS = ("none", "systolic", "diastolic")
"""Every other heart has no murmur; a third of those that have one have a diastolic one."""

UGLY: Mapping[str, int] = {
    "zeros": 1,
    "room": 2,
    "breath": 1,
    "friction": 1,
    "speech": 2,
    "knocks": 1,
}
"""Recordings without a heart, and the least number of each; a corpus of N hearts has N / 10."""

_LAYOUT = ("heart_*.wav", "heart_*.tsv", "quiet_*.wav", "quiet_*.tsv")
_SECONDS = (8.0, 24.0)


@dataclass(frozen=True)
class _Case:
    """Hold one recording, and what simulation.json says of it beside its sound's truth."""

    name: str
    sound: HeartSound
    facts: Mapping[str, Any]


def write(
    out: Path,
    records: int = 1000,
    seed: int = 0,
    ugly: bool = True,
    progress: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Write `records` recordings of hearts, and some without one beside them.

    Args:
        out: The folder; empty, new, or with this very corpus, which is left as it is if complete.
        records: Number of recordings with a heart.
        seed: The same seed gives the same bytes.
        ugly: Whether recordings without a heart are written, too.
        progress: Called with the number of hearts written since the last call.

    Returns:
        Counts: `records`, as many `subjects`, each case of `UGLY`, and `table_rows`, all of them.

    Raises:
        UsageError: `out` holds another corpus, or files that no simulator wrote.
        DataError: `out` cannot be made.
    """
    question = {"seed": seed, "records": records, "ugly": ugly}
    there = claim_folder(out, "heart_sounds", _LAYOUT, question)
    if there is not None:
        return there
    truth: dict[str, Any] = {}
    for place, rate in enumerate(_rates(records, seed)):
        _write_case(out, _draw_heart_case((seed, NUMBER, place), place, rate), truth)
        if progress is not None:
            progress(1)
    kinds = _quiet_kinds(records) if ugly else []
    for place, kind in enumerate(kinds):
        _write_case(out, _draw_quiet_case((seed, NUMBER, records + place), place, kind), truth)
    counts = {
        **{kind: kinds.count(kind) for kind in UGLY},
        "records": records,
        "subjects": records,
        "table_rows": records + len(kinds),
    }
    write_mark(
        out, "heart_sounds", question, {"complete": True, "counts": counts, "records": truth}
    )
    return counts


def _rates(records: int, seed: int) -> list[float]:
    """Spread heart rates evenly, in an order that says nothing."""
    even = SLOWEST + (FASTEST - SLOWEST) * (np.arange(records) + 0.5) / records
    return [float(rate) for rate in np.random.default_rng((seed, NUMBER)).permutation(even)]


def _quiet_kinds(records: int) -> list[str]:
    """Name the recordings without a heart: each kind in turn, the least number of each at least."""
    kinds = [kind for kind, least in UGLY.items() for _ in range(least)]
    return [kinds[place % len(kinds)] for place in range(max(len(kinds), round(records / 10)))]


def _draw_heart_case(names: tuple[int, ...], place: int, rate: float) -> _Case:
    """Draw a heart of a rate; every second one in turn has a murmur, whatever its rate."""
    rng = np.random.default_rng(names)
    murmurs = _draw_murmurs(rng, place)
    extra: Extra | None = None
    drawn = rng.random()
    if drawn < 0.3:
        extra = "third" if drawn < 0.15 else "fourth" if drawn < 0.25 else "click"
    extrasystoles = bool(rng.random() < 0.15)
    heart = draw_heart(
        rng, _age(rng, rate), murmurs=murmurs, extra=extra, extrasystoles=extrasystoles
    )
    heart = replace(heart, rhythm=replace(heart.rhythm, rate=rate))
    noise = float(rng.choice((0.3, 1.0)))
    scene = _draw_scene(rng, noise, heart)
    sound = simulate(heart, scene, names)
    facts = {
        "case": "heart",
        "rate": round(rate, 2),
        "murmur": murmurs[0].phase if murmurs else "none",
        "grade": murmurs[0].grade if murmurs else 0,
        "extra": extra or "none",
        "extrasystoles": extrasystoles,
        "noise": noise,
    }
    return _Case(f"heart_{place:05d}", sound, facts)


def _draw_murmurs(rng: Generator, place: int) -> tuple[Murmur, ...]:
    """Draw a murmur for every second heart: each grade from 1 to 5 as likely, in diastole to 4."""
    if place % 2 == 0:
        return ()
    phase: Phase = "diastolic" if place % 6 == 5 else "systolic"
    return (draw_murmur_words(rng, phase, (1,) * 5),)


def _age(rng: Generator, rate: float) -> float:
    """Draw an age that a rate befits: a fast heart is a child's, or one that has just run."""
    if rate < 80 or rng.random() < 0.5:
        return float(rng.uniform(15, 80))
    return float(np.interp(rate, (80, 110, 140, 180), (12, 4, 0.5, 0)))


def _draw_scene(rng: Generator, noise: float, heart: Heart) -> Scene:
    """Draw where and how one listens; a murmur is listened to where it is loudest."""
    fs = float(rng.choice(RATES, p=_SHARES))
    duration = round(float(rng.uniform(*_SECONDS)), 3)
    site = heart.murmurs[0].origin if heart.murmurs else "MV"
    return draw_scene(rng, fs, duration, site, noise, (20.0, min(1000.0, 0.4 * fs)))


def _draw_quiet_case(names: tuple[int, ...], place: int, kind: str) -> _Case:
    """Draw a recording in which no heart beats."""
    rng = np.random.default_rng(names)
    scene = _draw_scene(rng, 1.0, Heart())
    loud = float(rng.uniform(0.2, 0.6))
    room = {"zeros": 0.0, "room": loud}.get(kind, 0.02)
    scene = replace(
        scene,
        heart=0.0,
        background=room,
        breathing=loud if kind == "breath" else 0.0,
        friction=loud if kind == "friction" else 0.0,
        speech=loud if kind == "speech" else 0.0,
        thumps=1.5 if kind == "knocks" else 0.0,
        events_a_minute=float(rng.uniform(15, 40)),
        dropouts_a_minute=0.0,
    )
    return _Case(f"quiet_{place:05d}", simulate(Heart(), scene, names), {"case": kind})


def _write_case(out: Path, case: _Case, truth: dict[str, Any]) -> None:
    """Write sound and states, and put down what is true of them."""
    sound = case.sound
    fs = round(sound.fs)
    (out / f"{case.name}.wav").write_bytes(wav(to_counts(sound.signal), fs))
    rows = _rows(sound.states, len(sound.signal) / fs)
    (out / f"{case.name}.tsv").write_text(rows, encoding="ascii")
    truth[f"{case.name}.wav"] = {"fs": fs, **case.facts, **sound.truth()}


def _rows(states: HeartStates, duration: float) -> str:
    """Write states as CirCor does; a recording without a heart is one stretch without a state."""
    if not len(states):
        return f"0\t{duration:.6f}\t{STATE_NAMES.index('unannotated')}\n"
    rows = zip(states.start, states.end, states.state, strict=True)
    return "".join(f"{start:.6f}\t{end:.6f}\t{state}\n" for start, end, state in rows)
