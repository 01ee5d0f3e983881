"""Find heart cycles by their rhythm: no weights, no training, only what hearts have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from pahcl.signals.heart_cycles._rhythm_beats import Beats, Intervals, judge, lay_beats
from pahcl.signals.heart_cycles._rhythm_rate import (
    Recurrence,
    likely_periods,
    local_periods,
    recurrence,
)
from pahcl.signals.heart_cycles._rhythm_sound import FRAME_RATE, Heard, hear
from pahcl.signals.heart_cycles.cycles import HeartCycles, whole_cycles
from pahcl.signals.heart_cycles.preparation import prepare
from pahcl.signals.heart_cycles.segmenter import Samples, Segmentation, Segmenter
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, HeartStates

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Rhythm(Segmenter):
    """Find the heart's period and lay beats over the sound by dynamic programming.

    The level of the sound between 28 and 125 Hz, where heart sounds are louder than murmurs, is
    judged against what is around. It is most like itself one beat later; for each of several
    periods that come into question the best sequence of beats is laid, and the one that explains
    the sound best is kept. First and second sounds are told apart by the lengths of systole and
    diastole.

    Args:
        slowest: Least heart rate in beats a minute.
        fastest: Greatest heart rate in beats a minute.
        band: Band of heart sounds in Hz.
        high: Band in Hz against which that is held for the pitch.
        frame: Length in seconds of the frames whose spectrum is taken.
        around: Seconds over which quiet and loud are judged.
        window: Seconds over which the period is sought; it may drift from one to the next.
        periods: Number of periods that are tried.
        weight: Score of a sound of full level, against the logarithms of the likelihoods of
            intervals.
        threshold: Level, 0 to 1, from which on a sound speaks for a beat.
        systole_spread: Standard deviation of the logarithm of systole at a rate.
        beat_spread: Standard deviation of the logarithm of the interval between beats.
        echo: Cost a second of a period whose half or third is as good.
    """

    name: ClassVar[str] = "rhythm"

    slowest: float = 30.0
    fastest: float = 220.0
    band: tuple[float, float] = (28.0, 125.0)
    high: tuple[float, float] = (80.0, 200.0)
    frame: float = 0.064
    around: float = 3.0
    window: float = 6.0
    periods: int = 4
    weight: float = 8.0
    threshold: float = 0.45
    systole_spread: float = 0.13
    beat_spread: float = 0.13
    echo: float = 2.0

    def find(self, signal: Samples, fs: float, ecg: Samples | None) -> Segmentation:
        """Segment `[L]`; the ECG is not used."""
        prepared = prepare(signal, fs)
        duration = prepared.duration
        heard = hear(prepared.signal, prepared.fs, self.frame, self.band, self.high, self.around)
        beats = self._beats(heard)
        if beats is None or len(beats.first) < 2:
            nothing = HeartStates(np.zeros(0), np.zeros(0), np.zeros(0, np.int8))
            why = "no rhythm of a heart is heard"
            return Segmentation(nothing, HeartCycles.empty(), duration, self.name, why)
        states, sure = _states(beats, heard, duration)
        return Segmentation(states, whole_cycles(states, sure), duration, self.name)

    def _beats(self, heard: Heard) -> Beats | None:
        """Lay beats by each period that comes into question, and keep the best."""
        found = recurrence(heard.level, round(self.window * FRAME_RATE), round(3 * FRAME_RATE))
        shortest, longest = (60 * FRAME_RATE / rate for rate in (self.fastest, self.slowest))
        tried = likely_periods(found, int(shortest), int(np.ceil(longest)) + 2, self.periods)
        law = Intervals(systole_spread=self.systole_spread, beat_spread=self.beat_spread)
        strict = Intervals(
            systole_spread=self.systole_spread, beat_spread=self.beat_spread, odd=0.001
        )
        best: Beats | None = None
        most = -np.inf
        for period in tried.tolist():
            first, second = self._scores(heard, period)
            local = local_periods(found, period, len(heard.level))
            beats = lay_beats(first, second, local, period, FRAME_RATE, law)
            score = judge(beats, first, second, FRAME_RATE, strict)
            score -= self._echo(found, beats, len(heard.level))
            if score > most:
                best, most = beats, score
        return best

    def _scores(self, heard: Heard, period: int) -> tuple[Floats, Floats]:
        """Score first and second sounds at each frame."""
        above = np.clip(heard.level, -0.5, 1.4) - np.float32(self.threshold)
        widths = (max(round(share * FRAME_RATE), 1) for share in (0.12, 0.10))
        first, second = (
            np.float32(self.weight) * scipy.ndimage.uniform_filter1d(above, width)
            for width in widths
        )
        return first, second

    def _echo(self, found: Recurrence, beats: Beats, frames: int) -> float:
        """Charge a period that is a multiple of one which is as good."""
        if len(beats.first) < 2:
            return 0.0
        period = float(np.median(np.diff(beats.first)))
        here = max(found.at(period), 0.1)
        half = max(found.at(period / 2) / here - 0.6, 0.0) if period > 0.6 * FRAME_RATE else 0.0
        third = max(found.at(period / 3) / here - 0.6, 0.0)
        return self.echo * frames / FRAME_RATE * (half + third)


def _states(
    beats: Beats, heard: Heard, duration: float
) -> tuple[HeartStates, npt.NDArray[np.float64]]:
    """Give the four states of each beat, and how sure each is."""
    middle = np.stack([beats.first, beats.second], axis=1).reshape(-1) / FRAME_RATE
    half = np.tile([0.06, 0.05], len(beats.first))
    room = np.diff(middle, append=middle[-1] + 1.0)
    reach = np.minimum(half, 0.35 * np.minimum(room, np.concatenate([room[:1], room[:-1]])))
    begin, end = middle - reach, middle + reach
    edges = np.stack([begin, end], axis=1).reshape(-1)
    edges = np.clip(edges, 0, duration)
    state = np.tile(np.array([S1, SYSTOLE, S2, DIASTOLE], dtype=np.int8), len(beats.first))[:-1]
    level = heard.level[np.clip(np.rint(middle * FRAME_RATE), 0, len(heard.level) - 1).astype(int)]
    sure = np.repeat(np.clip(level, 0, 1).astype(np.float64), 2)[:-1]
    keep = edges[1:] > edges[:-1]
    return HeartStates(edges[:-1][keep], edges[1:][keep], state[keep]), sure[keep]
