"""How far a beat that was laid over a heart sound is to be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.special

from pahcl.signals.heart_cycles._rhythm_beats import Beats, middle_of, usual_of, usual_systole
from pahcl.signals.heart_cycles._rhythm_rate import Recurrence
from pahcl.signals.heart_cycles._rhythm_sound import FRAME_RATE, LEVELS, Heard

Floats = npt.NDArray[np.float32]
Frames = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

_CLEAR = 3.0
"""Contrast in nepers above which a sound is as clear as can be."""

_ODDEST = 0.3
"""Logarithm of an interval over the usual one beyond which it is as odd as can be."""

_PITCH = np.log([60.0, 200.0])
"""Frequencies in Hz beyond which first sounds are as low as any, or as high as no heart's."""

_LOUDER = 3.0
"""Nepers beyond which a first sound is as much louder or quieter than the others as can be."""

_BEFORE = 0.06
"""Seconds before a first sound from which on beats are compared."""

_COMPARED = 0.9
"""Share of the period over which they are."""

_ENOUGH = 4
"""Whole beats from which on their number says nothing."""

_ONE_BEAT = 0.6
"""Likeness that stands for that of a beat where there is no other."""


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Weigh what speaks for a beat; the logistic function of the sum is its confidence.

    The numbers are those of a logistic regression, rounded, on the cycles of hand-corrected
    recordings of PhysioNet 2016 (those whose CRC-32 of the name, modulo 10, is 0 to 5), of
    simulated hearts, and of simulated speech, breathing, friction, thumps and noise, in which no
    cycle is right; the last one was raised by hand. Speech has a rhythm now and then, too; but its
    sounds are higher than those of valves, and no beat is like the one before.

    Args:
        base: What speaks against any beat.
        loud: For the level of the weaker of the first sounds at either end.
        alike: For the autocorrelation one beat later.
        contrast: For each neper by which loud parts are above quiet ones, 3 at most.
        uneven: Against each neper by which the beat is longer or shorter than those around.
        systole: Against each neper by which systole is longer or shorter than usual at the rate.
        likeness: For the correlation of the beats of the recording with each other.
        pitch: Against each neper by which the first sounds of the recording are higher than 60 Hz.
        unequal: Against each neper by which its first sounds differ in energy.
        few: Against each neper by which there are fewer than four whole beats.
    """

    base: float = -5.35
    loud: float = 3.3
    alike: float = 0.6
    contrast: float = 1.3
    uneven: float = 7.5
    systole: float = 3.2
    likeness: float = 5.6
    pitch: float = 3.4
    unequal: float = 1.9
    few: float = 1.5

    def of(self, beats: Beats, level: Floats, heard: Heard, found: Recurrence) -> Values:
        """Give the confidence of each beat, `[K]`; the last has that of the one before.

        Args:
            beats: At least two beats.
            level: `[N]`, loudness averaged over the length of a sound, by frame.
            heard: What can be heard.
            found: Autocorrelation of the recording.
        """
        interval = np.diff(beats.first).astype(np.float64)
        usual = usual_of(np.diff(beats.first))
        systole = (beats.second - beats.first)[:-1] / FRAME_RATE
        loud = level[np.clip(beats.first, 0, len(level) - 1)].astype(np.float64)
        alike = found.near(beats.first[:-1], np.rint(usual).astype(np.int64))
        uneven = np.abs(np.log(interval / usual))
        strange = np.abs(np.log(systole / usual_systole(usual / FRAME_RATE)))
        sum_ = (
            self.base
            + self._of_sounds(beats, heard)
            + self.loud * np.minimum(loud[:-1], loud[1:])
            + self.alike * alike
            - self.uneven * np.minimum(uneven, _ODDEST)
            - self.systole * np.minimum(strange, _ODDEST)
        )
        sure = scipy.special.expit(sum_)
        return np.concatenate([sure, sure[-1:]])

    def _of_sounds(self, beats: Beats, heard: Heard) -> Values:
        """Weigh what the sounds around each beat and those of all beats have in common, `[K-1]`.

        What speaks less for a heart counts: a passage without one lies in a recording of one, and
        some knocks in a row are alike by chance.
        """
        first = beats.first[:-1]
        inside = (first >= 0) & (beats.first[1:] < len(heard.level))
        if not inside.any():
            inside[:] = True
        at = np.clip(first, 0, len(heard.level) - 1)
        pitch, energy = heard.pitch[at], heard.energy[at]
        low, high = _PITCH
        strays = np.minimum(np.abs(energy - middle_of(energy[inside])), _LOUDER)
        like = likenesses(heard.level, first, inside, middle_of(np.diff(beats.first)))
        usual = middle_of(pitch[inside])
        higher = np.minimum(np.maximum(_around(pitch, inside, usual), low), high) - low
        few = np.log(max(_ENOUGH / inside.sum(), 1))
        return np.asarray(
            self.contrast * min(heard.contrast, _CLEAR)
            - self.likeness * _around(-like, inside, -float(like[inside].mean()))
            - self.pitch * higher
            - self.unequal * _around(strays, inside, float(strays[inside].mean()))
            - self.few * few
        )


def _around(values: Floats, known: Mask, usual: float) -> Floats:
    """Give the median of what is around each beat, or the usual value where that is greater."""
    around: Floats = usual_of(np.where(known, values, np.float32(usual)))
    return np.asarray(np.maximum(around, np.float32(usual)))


def likenesses(level: Floats, first: Frames, known: Mask, period: float) -> Floats:
    """Give the correlation of each beat with the mean of the others, `[K]`.

    Args:
        level: `[N]`, loudness by frame.
        first: `[K]` frames of the first sounds of beats.
        known: `[K]`, which beats make up the mean.
        period: Usual interval between them in frames.
    """
    others = known.sum() - known
    begin = -round(_BEFORE * FRAME_RATE)
    offset = np.arange(begin, max(round(_COMPARED * period), 10) + begin)
    heard = np.minimum(np.maximum(level, np.float32(LEVELS[0])), np.float32(LEVELS[1]))
    rows = heard[np.clip(first[:, None] + offset, 0, len(level) - 1)]
    rows -= rows.mean(axis=1, keepdims=True)
    shape = known @ rows - rows * known[:, None]
    product = np.einsum("kt,kt->k", rows, shape)
    size = np.einsum("kt,kt->k", rows, rows) * np.einsum("kt,kt->k", shape, shape)
    like = product / np.sqrt(size + np.float32(1e-9))
    return np.asarray(np.where(others > 0, like, _ONE_BEAT), dtype=np.float32)
