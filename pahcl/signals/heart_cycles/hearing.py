"""What of a heart sound can be heard: missing samples, dropouts, silence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pahcl.signals.heart_cycles.preparation import prepare
from pahcl.signals.repair import repair

Samples = npt.NDArray[np.floating]
Still = npt.NDArray[np.bool_]

SHORTEST_SECONDS = 0.5
"""A shorter recording holds no whole heart cycle, at 120 beats a minute."""

LOWEST_RATE = 100.0
"""Below this rate in Hz only the lower edge of a heart sound's band is left."""

MOST_MISSING = 0.5
"""Share of missing samples above which a recording says too little to be guessed."""

FRAME = 0.025
"""Seconds within which a signal is still or moves: a part of a heart sound."""

DROPOUT_SECONDS = 2.0
"""A longer stillness interrupts a recording: no heart above 30 beats a minute pauses so long."""

PAUSE_SECONDS = 0.1
"""A shorter stillness lies within what is clipped or coarsely quantised."""

# A frame that moves by fewer steps of the converter, or by a smaller share of the usual height of
# the sounds around, is still: that of dither is two steps and four.
_DITHER_STEPS = 4
_INAUDIBLE = 1e-3
# Only what is quieter than this, in shares of full scale or in steps, is suspected of silence.
_QUIET = 2e-3
_QUIET_STEPS = 64
_STEADY_FRAME = 50
# Below these `steadiness` nothing is a beat: what is loud is given the benefit of the doubt.
_QUIET_STEADY = 2.0
_STEADY = 1.6


@dataclass(frozen=True, eq=False)
class Heard:
    """Say what can be heard in a piece of a recording.

    Args:
        signal: `[L]` float32, missing samples bridged.
        missing: How many samples were.
        still: `[L // frame]`, whether nothing moves in each frame.
        frame: Length of a frame in samples.
        fs: Rate in Hz.
        refusal: Why nothing is to be looked for; None where something is.
    """

    signal: npt.NDArray[np.float32]
    missing: int
    still: Still
    frame: int
    fs: float
    refusal: str | None = None

    def stretches(self) -> list[tuple[int, int]]:
        """Give begin and stop, in samples, of what lies between dropouts and is long enough."""
        silent = self._silences(DROPOUT_SECONDS)
        edges = [0, *(edge for run in silent for edge in run), len(self.signal)]
        shortest = SHORTEST_SECONDS * self.fs
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return [(begin, stop) for begin, stop in pairs if stop - begin >= shortest]

    def pauses(self) -> npt.NDArray[np.float64]:
        """Give begin and end in seconds, `[N, 2]`, of where no sound can be."""
        silent = self._silences(PAUSE_SECONDS)
        return np.array(silent, dtype=np.float64).reshape(-1, 2) / self.fs

    def _silences(self, seconds: float) -> list[tuple[int, int]]:
        edges = np.flatnonzero(np.diff(self.still.astype(np.int8), prepend=0, append=0))
        samples = edges.reshape(-1, 2) * self.frame
        long = samples[:, 1] - samples[:, 0] >= seconds * self.fs * 0.999
        return [(int(begin), int(stop)) for begin, stop in samples[long]]


def hear(signal: Samples, fs: float, step: float = 0.0) -> Heard:
    """Find what can be heard in `[L]`, at least `SHORTEST_SECONDS` of them, NaN where missing.

    Args:
        signal: `[L]` in any scale.
        fs: Rate in Hz.
        step: Step of the converter, where it is known; it may be coarser than its file's.
    """
    samples = as_float32(signal)
    repaired, missing = repair(samples[None])
    frame = max(round(FRAME * fs), 1)
    if missing[0] > MOST_MISSING * len(samples):
        share = 100 * missing[0] / len(samples)
        still = np.ones(len(samples) // frame, dtype=np.bool_)
        why = f"{share:.0f} % of the samples are missing"
        return Heard(repaired[0], int(missing[0]), still, frame, fs, why)
    height = _heights(repaired[0], frame)
    step = max(_step(repaired[0]), step)
    loud = _usual_height(height, frame, fs)
    still = height <= max(_DITHER_STEPS * step, _INAUDIBLE * loud)
    if missing[0]:
        # What bridges a gap moves in a straight line and is no sound.
        gaps = ~np.isfinite(samples[: len(height) * frame]).reshape(-1, frame)
        still |= gaps.mean(axis=1) > MOST_MISSING
    refusal = _silence(repaired[0], fs, height, step, still)
    return Heard(repaired[0], int(missing[0]), still, frame, fs, refusal)


def as_float32(signal: Samples) -> npt.NDArray[np.float32]:
    """Bring samples of any kind and scale to float32, where their squares are numbers too.

    An offset that would swallow them there is taken away.
    """
    samples = np.asarray(signal)
    if samples.dtype in (np.float16, np.float32, np.int8, np.uint8, np.int16, np.uint16):
        samples = samples.astype(np.float32, copy=False)
    else:
        samples = samples.astype(np.float64)
        finite = samples[np.isfinite(samples)]
        samples = samples - (
            np.median(finite[:: max(len(finite) // 4096, 1)]) if len(finite) else 0
        )
    with np.errstate(invalid="ignore"):
        peak = _peak(samples)
    if peak > 1e12 or 0 < peak < 1e-12:
        samples = samples / peak
    return samples.astype(np.float32, copy=False)


def _peak(samples: Samples) -> float:
    peak = float(np.maximum(samples.max(initial=0.0), -samples.min(initial=0.0)))
    if np.isfinite(peak):
        return peak
    return float(np.max(np.abs(samples), initial=0.0, where=np.isfinite(samples)))


def _heights(signal: Samples, frame: int) -> npt.NDArray[np.float32]:
    """Give the difference of the highest and the lowest sample of each frame, `[L // frame]`."""
    pieces = signal[: len(signal) // frame * frame].reshape(-1, frame)
    return np.asarray(pieces.max(axis=1) - pieces.min(axis=1), dtype=np.float32)


def _step(signal: Samples) -> float:
    """Estimate the step of the converter by the nearest two of some thousand values."""
    some = np.unique(signal[:: max(len(signal) // 4096, 1)])
    return float(np.diff(some).min()) if len(some) > 1 else 0.0


def _usual_height(height: npt.NDArray[np.float32], frame: int, fs: float) -> float:
    """Give the median over the seconds of their loudest frame, of those seconds that sound."""
    second = max(round(fs / frame), 1)
    starts = np.arange(0, len(height), second)
    loudest = np.maximum.reduceat(height, starts)
    return float(np.median(loudest[loudest > 0])) if loudest.any() else 0.0


def _silence(
    signal: Samples, fs: float, height: npt.NDArray[np.float32], step: float, still: Still
) -> str | None:
    if not height.any():
        return "the signal is constant"
    if still.all():
        return "near silence: nothing moves but the lowest steps of the converter"
    loud = _usual_height(height[~still], max(round(FRAME * fs), 1), fs)
    if loud <= max(_QUIET, _QUIET_STEPS * step):
        if steadiness(signal, fs) > _QUIET_STEADY:
            return None
        return f"near silence: steady noise, {loud:.2g} from crest to trough, and no sound above it"
    low, high = np.quantile(height, (0.25, 0.95))
    if high > 2 * low or steadiness(signal, fs) > _STEADY:
        return None
    return "steady noise: no sound stands out of it"


def steadiness(signal: Samples, fs: float) -> float:
    """Give how far loud moments stand out of quiet ones in the band of heart sounds.

    It is the loudness that a twentieth of all frames exceeds over that of the quietest quarter: 1.3
    for white noise, 1.7 for brown, 3 and more for nearly every heart.
    """
    samples = prepare(signal, fs).signal
    frames = samples[: len(samples) // _STEADY_FRAME * _STEADY_FRAME].reshape(-1, _STEADY_FRAME)
    loudness = np.sqrt(np.square(frames, dtype=np.float64).mean(axis=1))
    low, high = np.quantile(loudness, (0.25, 0.95))
    return float(high / low) if low else np.inf
