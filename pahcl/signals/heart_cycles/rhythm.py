"""Find heart cycles by their rhythm: no network, only what hearts have in common.

The settings were chosen on hand-corrected recordings of PhysioNet 2016 and on simulated hearts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from pahcl.signals.heart_cycles._rhythm_beats import Beats, Intervals, judge, lay_beats, middle_of
from pahcl.signals.heart_cycles._rhythm_rate import (
    Recurrence,
    likely_periods,
    local_periods,
    recurrence,
)
from pahcl.signals.heart_cycles._rhythm_sound import FRAME_RATE, LEVELS, Heard, hear
from pahcl.signals.heart_cycles._rhythm_states import lay_states
from pahcl.signals.heart_cycles._rhythm_trust import Trust
from pahcl.signals.heart_cycles.cycles import HeartCycles, whole_cycles
from pahcl.signals.heart_cycles.preparation import prepare
from pahcl.signals.heart_cycles.segmenter import Samples, Segmentation, Segmenter
from pahcl.signals.states import HeartStates

Floats = npt.NDArray[np.float32]

LONGEST_LAG = 3.0
"""Seconds of the autocorrelation: three beats at 60 a minute, one and a half at 30."""


@dataclass(frozen=True, kw_only=True)
class Rhythm(Segmenter):
    """Find the heart's period and lay beats over the sound by dynamic programming.

    The level of the sound is judged against what is around. It is most like itself one beat later;
    for each of several periods that come into question the best sequence of beats is laid, and the
    one that explains the sound best is kept. First and second sounds are told apart by the lengths
    of systole and diastole, and by the first ones being longer.

    Args:
        slowest: Least heart rate in beats a minute.
        fastest: Greatest heart rate in beats a minute.
        frame: Seconds over which energy is averaged.
        around: Seconds over which quiet and loud are judged.
        window: Seconds over which the period is sought; it may drift from one to the next.
        periods: Number of periods that are tried.
        alike: Share of the greatest autocorrelation that a period has to have to be tried.
        sound: Length of a heart sound in seconds over which the level is averaged.
        sound_share: Greatest share of a period that this takes.
        weight: Score of a sound of full level, against the logarithms of the likelihoods of
            intervals.
        threshold: Level, 0 to 1, from which on a sound speaks for a beat.
        longer: Score for a first sound of being longer than others, and against a second one.
        intervals: How far systole and the time between beats stray.
        echo: Cost a second of a period whose half or third is as good.
        trust: What the confidence in a beat is made of.
        least: Confidence below which a beat is not given at all.
    """

    name: ClassVar[str] = "rhythm"

    slowest: float = 30.0
    fastest: float = 220.0
    frame: float = 0.05
    around: float = 2.5
    window: float = 5.0
    periods: int = 4
    alike: float = 0.4
    sound: float = 0.09
    sound_share: float = 0.15
    weight: float = 7.0
    threshold: float = 0.45
    longer: float = 0.08
    intervals: Intervals = field(default_factory=Intervals)
    echo: float = 2.0
    trust: Trust = field(default_factory=Trust)
    least: float = 0.15

    def find(self, signal: Samples, fs: float, ecg: Samples | None) -> Segmentation:
        """Segment `[L]`; the ECG is not used."""
        prepared = prepare(signal, fs)
        duration = prepared.duration
        heard = hear(prepared.signal, prepared.fs, self.frame, self.around)
        frames = round(self.window * FRAME_RATE), round(LONGEST_LAG * FRAME_RATE)
        found = recurrence(heard.level, *frames)
        beats = self._beats(heard, found)
        if beats is None or len(beats.first) < 2:
            return self._nothing(duration, "no rhythm of a heart is heard")
        width = round(self.sound * FRAME_RATE) | 1
        level = scipy.ndimage.uniform_filter1d(_within(heard.level), width)
        sure = self.trust.of(beats, level, heard, found)
        believed = sure >= self.least
        if not believed.any():
            why = f"no beat is surer than {sure.max():.2f}: this may be noise"
            return self._nothing(duration, why)
        sounds = beats.first, beats.second
        states, beat = lay_states(heard.level, *sounds, believed, FRAME_RATE, duration)
        cycles = whole_cycles(states, sure[beat])
        # A first sound that the recording cuts begins no whole cycle.
        cycles = cycles.take(cycles.start > 0)
        return Segmentation(states, cycles, duration, self.name)

    def _nothing(self, duration: float, why: str) -> Segmentation:
        none = HeartStates(np.zeros(0), np.zeros(0), np.zeros(0, np.int8))
        return Segmentation(none, HeartCycles.empty(), duration, self.name, why)

    def _beats(self, heard: Heard, found: Recurrence) -> Beats | None:
        """Lay beats by each period that comes into question, and keep the best."""
        shortest, longest = (60 * FRAME_RATE / rate for rate in (self.fastest, self.slowest))
        limits = int(shortest), int(np.ceil(longest)) + 2
        tried = likely_periods(found, limits, self.periods, self.alike)
        best: Beats | None = None
        most = -np.inf
        scores: dict[float, tuple[Floats, Floats]] = {}
        for period in tried.tolist():
            width = min(self.sound * FRAME_RATE, self.sound_share * period)
            if width not in scores:
                scores[width] = self._scores(heard, width)
            first, second = scores[width]
            local = local_periods(found, period, len(heard.level))
            beats = lay_beats(first, second, local, period, FRAME_RATE, self.intervals)
            score = judge(beats, first, second, FRAME_RATE, self.intervals)
            score -= self._echo(found, beats, len(heard.level))
            if score > most:
                best, most = beats, score
        return best

    def _scores(self, heard: Heard, width: float) -> tuple[Floats, Floats]:
        """Score first and second sounds of about `width` frames at each frame."""
        level = _within(heard.level)
        # An odd number of frames has a middle.
        mean = scipy.ndimage.uniform_filter1d(level, round(width) | 1)
        wide = scipy.ndimage.uniform_filter1d(level, round(1.4 * width) | 1)
        loud = mean > 0.6
        usual = np.float32(middle_of(wide[loud])) if loud.any() else np.float32(0)
        longer = np.float32(self.longer) * (wide - usual) * np.minimum(np.maximum(mean, 0), 1)
        above = mean - np.float32(self.threshold)
        weight = np.float32(self.weight)
        return weight * (above + longer), weight * (above - longer)

    def _echo(self, found: Recurrence, beats: Beats, frames: int) -> float:
        """Charge a period that is a multiple of one which is as good."""
        if len(beats.first) < 2:
            return 0.0
        period = middle_of(np.diff(beats.first))
        here = max(found.at(period), 0.1)
        # A fast heart has systole as long as diastole: half its period is no error.
        parts = (2, 3) if period > 0.6 * FRAME_RATE else (3,)
        excess = sum(max(found.at(period / part) / here - 0.6, 0.0) for part in parts)
        return self.echo * frames / FRAME_RATE * excess


def _within(level: Floats) -> Floats:
    low, top = LEVELS
    return np.minimum(np.maximum(level, np.float32(low)), np.float32(top))
