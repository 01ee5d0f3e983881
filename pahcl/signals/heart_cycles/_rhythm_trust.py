"""How far a beat that was laid over a heart sound is to be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.special

from pahcl.signals.heart_cycles._rhythm_beats import Beats, usual_interval, usual_systole
from pahcl.signals.heart_cycles._rhythm_rate import Recurrence

Floats = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]

_CLEAR = 3.0
"""Contrast in nepers above which a sound is as clear as can be."""

_ODDEST = 0.3
"""Logarithm of an interval over the usual one beyond which it is as odd as can be."""


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Weigh what speaks for a beat; the logistic function of the sum is its confidence.

    The numbers started from a logistic regression on the cycles of hand-corrected recordings of
    PhysioNet 2016 (those whose CRC-32 of the name, modulo 10, is 0 to 6), of simulated noise, where
    no cycle is right, and of simulated hearts. They were then rounded by hand, and one input of
    little weight was left out without fitting the others again.

    Args:
        base: What speaks against any beat.
        loud: For the level of the weaker of the first sounds at either end.
        usual_loud: For the mean of that over the recording.
        alike: For the autocorrelation one beat later.
        contrast: For each neper by which loud parts are above quiet ones, 3 at most.
        uneven: Against each neper by which the beat is longer or shorter than those around.
        systole: Against each neper by which systole is longer or shorter than usual at the rate.
    """

    base: float = -7.8
    loud: float = 3.4
    usual_loud: float = 3.6
    alike: float = 4.0
    contrast: float = 1.2
    uneven: float = 5.0
    systole: float = 5.3

    def of(
        self, beats: Beats, level: Floats, contrast: float, found: Recurrence, rate: float
    ) -> Values:
        """Give the confidence of each beat, `[K]`; the last has that of the one before.

        Args:
            beats: At least two beats.
            level: `[N]`, loudness averaged over the length of a sound, by frame.
            contrast: Nepers by which loud frames are above quiet ones.
            found: Autocorrelation of the recording.
            rate: Frames a second.
        """
        interval = np.diff(beats.first).astype(np.float64)
        usual = usual_interval(np.diff(beats.first))
        systole = (beats.second - beats.first)[:-1] / rate
        heard = level[np.clip(beats.first, 0, len(level) - 1)].astype(np.float64)
        weaker = np.minimum(heard[:-1], heard[1:])
        alike = found.near(beats.first[:-1], np.rint(usual).astype(np.int64))
        uneven = np.abs(np.log(interval / usual))
        strange = np.abs(np.log(systole / usual_systole(usual / rate)))
        sum_ = (
            self.base
            + self.loud * weaker
            + self.usual_loud * weaker.mean()
            + self.alike * alike
            + self.contrast * min(contrast, _CLEAR)
            - self.uneven * np.minimum(uneven, _ODDEST)
            - self.systole * np.minimum(strange, _ODDEST)
        )
        sure = scipy.special.expit(sum_)
        return np.concatenate([sure, sure[-1:]])
