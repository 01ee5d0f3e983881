"""The learned segmenter: a small network says the states, durations put them in order.

The network (`state_network`) gives each frame's chances of S1, systole, S2, diastole and of no
heart at all; explicit-duration Viterbi (`decoding`) finds the best sequence, once with durations as
wide as hearts have them, and once more with those of the heart that was found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from pahcl.signals.heart_cycles.cycles import HeartCycles, whole_cycles
from pahcl.signals.heart_cycles.decoding import Nothing, decode, log_durations
from pahcl.signals.heart_cycles.decoding import Path as Decoded
from pahcl.signals.heart_cycles.ecg_aid import r_peaks, state_prior
from pahcl.signals.heart_cycles.preparation import prepare
from pahcl.signals.heart_cycles.segmenter import Segmentation, Segmenter
from pahcl.signals.heart_cycles.state_network import FRAME_RATE, FS
from pahcl.signals.heart_cycles.state_weights import read_network
from pahcl.signals.states import HeartStates

Array = npt.NDArray[np.float64]

USUAL = (
    (0.12, 0.19, 0.10, 0.40),
    (0.03, 0.07, 0.03, 0.25),
    (0.06, 0.05, 0.04, 0.07),
    (0.25, 0.50, 0.22, 1.50),
)
"""Durations in seconds of S1, systole, S2 and diastole: means, spreads, least and greatest ones.
They hold those of the annotations of PhysioNet 2016 and of hearts of 30 to 220 beats a minute."""

SHORTEST_NOTHING = 0.6
"""Seconds that a stretch without a heart lasts at least."""

FEWEST_CYCLES = 3
"""Cycles from which the durations of a heart are taken."""

CALIBRATION = (2.7, -3.2)
"""Slope and offset by which the odds of a cycle's chance become those of its being right: set by
hand, below the best fit on the recordings that validate, so that rhythmic noise is not trusted."""


@dataclass(frozen=True, kw_only=True)
class Learned(Segmenter):
    """Find cycles with a network that was trained on annotated recordings.

    Args:
        weights: `.safetensors` or checkpoint of another training; None takes those of the package.
        device: Where the network computes.
        doubt: How much likelier than a heart, as a logarithm for each frame, its absence has to be.
        leave: What it costs, as a logarithm, to say that the heart is no longer heard.
        adapt: Whether states are decoded a second time with the durations of the heart found.
        ecg_weight: How far an ECG is trusted: what a sound costs, as a logarithm for each frame,
            where no R wave or T wave lets one expect it.
    """

    name: ClassVar[str] = "learned"

    weights: str | Path | None = None
    device: str = "cpu"
    doubt: float = 1.0
    leave: float = 10.0
    adapt: bool = True
    ecg_weight: float = 1.0

    def find(
        self, signal: npt.NDArray[np.floating], fs: float, ecg: npt.NDArray[np.floating] | None
    ) -> Segmentation:
        """Segment `[L]` without missing samples in which something can be heard."""
        duration = len(signal) / fs
        scores = self.scores(prepare(signal, fs, to=FS).signal)
        hearts = scores[:, :4]
        notes: tuple[str, ...] = ()
        if ecg is not None and self.ecg_weight > 0:
            peaks, note = r_peaks(ecg, fs)
            hearts = hearts + state_prior(peaks, len(scores), FRAME_RATE, self.ecg_weight)
            notes = () if note is None else (note,)
        path = self.decoded(hearts, scores[:, 4] - self.doubt)
        states, cycles = _found(path, scores, duration)
        return Segmentation(states, cycles, duration, self.name, None, notes)

    def scores(self, prepared: npt.NDArray[np.float32]) -> Array:
        """Give the logarithms of each frame's chances, `[T, 5]`, of a prepared signal `[L]`."""
        network = read_network(self.weights, self.device)
        with torch.inference_mode():
            signal = torch.from_numpy(prepared)[None].to(self.device)
            chances = network(signal)[0].float().log_softmax(0)
        return np.asarray(chances.T.cpu().numpy(), dtype=np.float64)

    def decoded(self, hearts: Array, nothing: Array) -> Decoded:
        """Find the best states of scores `[T, 4]` and `[T]`."""
        absent = Nothing(nothing, self.leave, round(SHORTEST_NOTHING * FRAME_RATE))
        path = decode(hearts, log_durations(*USUAL, FRAME_RATE), absent)
        own = _own_durations(path)
        return path if own is None or not self.adapt else decode(hearts, own, absent)


def _own_durations(path: Decoded) -> Array | None:
    """Take the durations of a heart from its cycles; None where there are too few."""
    rows = np.arange(len(path.state) - 4)[:, None] + np.arange(5)
    rows = rows[(path.state[rows] == [0, 1, 2, 3, 0]).all(axis=1)]
    if len(rows) < FEWEST_CYCLES:
        return None
    mean = np.median(np.diff(path.begin[rows]), axis=0) / FRAME_RATE
    spread = (0.02, 0.03, 0.02, 0.1 * mean[3] + 0.02)
    longest = (0.22, mean[1] + 0.12, 0.2, 2.2 * mean[3] + 0.1)
    shortest = (0.06, max(0.4 * mean[1], 0.04), 0.04, max(0.4 * mean[3], 0.05))
    return log_durations(mean.tolist(), spread, shortest, longest, FRAME_RATE)


def _found(path: Decoded, scores: Array, duration: float) -> tuple[HeartStates, HeartCycles]:
    """Turn frames into seconds, and say how sure each cycle is."""
    time = np.minimum(path.begin / FRAME_RATE, duration)
    time[-1:] = duration
    heart = path.state >= 0
    states = HeartStates(time[:-1][heart], time[1:][heart], (path.state[heart] + 1).astype(np.int8))
    cycles = whole_cycles(states)
    frames = path.frames()
    own = np.take_along_axis(np.exp(scores), frames[:, None] % 5, axis=1)[:, 0]
    sums = np.concatenate([[0.0], np.cumsum(own)])
    edges = np.round(np.stack([cycles.start, cycles.end]) * FRAME_RATE).astype(np.int64)
    edges = np.minimum(edges, len(own))
    mean = np.diff(sums[edges], axis=0)[0] / np.maximum(np.diff(edges, axis=0)[0], 1)
    return states, replace(cycles, confidence=_calibrated(mean))


def _calibrated(chance: Array) -> npt.NDArray[np.float32]:
    """Turn the mean chance along a cycle into the share of such cycles that are right."""
    odds = np.log(np.clip(chance, 1e-4, 1 - 1e-4) / np.clip(1 - chance, 1e-4, 1))
    slope, offset = CALIBRATION
    return np.asarray(1 / (1 + np.exp(-(slope * odds + offset))), dtype=np.float32)
