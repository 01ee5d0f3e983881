"""From the middles of heart sounds to where they begin and end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pahcl.signals.heart_cycles._rhythm_beats import middle_of
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, HeartStates

Floats = npt.NDArray[np.float32]
Times = npt.NDArray[np.float64]
Frames = npt.NDArray[np.int64]

RISE, FALL = 0.6, 0.3
"""Height between the valley before (after) a sound and its peak at which it begins (ends)."""

BEFORE = (0.02, 0.045), (0.02, 0.04)
AFTER = (0.075, 0.11), (0.055, 0.09)
"""Least and greatest time in seconds from the loudest moment of a first (second) sound back to its
begin and on to its end, at a usual rate; in the hand-corrected recordings of PhysioNet 2016 a first
sound lasts 0.10 to 0.16 s and a second one 0.08 to 0.12 s."""

USUAL_PERIOD = 0.8
"""Seconds: sounds of faster hearts are shorter, by the root of the period."""


def sound_edges(
    level: Floats, middles: Frames, period: float, rate: float, which: int
) -> tuple[Times, Times]:
    """Find begin and end of sounds in seconds, both `[K]`.

    Args:
        level: `[N]`, loudness by frame.
        middles: `[K]` frames, one within each sound.
        period: Usual time between beats in seconds.
        rate: Frames a second.
        which: 0 for first and 1 for second sounds.
    """
    pace = min(np.sqrt(period / USUAL_PERIOD), 1.0)
    least, most = (pace * np.array(limits) * rate for limits in (BEFORE[which], AFTER[which]))
    reach = int(np.ceil(max(least[1], most[1]))) + 1
    offset = np.arange(-reach, reach + 1)
    place = np.minimum(np.maximum(middles, -1), len(level))[:, None] + offset
    around = level[np.minimum(np.maximum(place, 0), len(level) - 1)]
    near = max(round(0.03 * pace * rate), 1)
    peak = around[:, reach - near : reach + near + 1].max(axis=1, keepdims=True)
    left, right = around[:, reach::-1], around[:, reach:]
    begin = _crossing(left, peak, RISE, *least)
    end = _crossing(right, peak, FALL, *most)
    # The middle of a frame stands for it.
    return (middles + 0.5 - begin) / rate, (middles + 0.5 + end) / rate


def _crossing(
    along: Floats, peak: Floats, height: float, least: float, most: float
) -> npt.NDArray[np.float64]:
    """Give how many frames on the level falls below a height between its least and its peak."""
    along = along[:, : int(np.ceil(most)) + 1]
    floor = along.min(axis=1, keepdims=True)
    below = along < floor + height * (peak - floor)
    below[:, : int(np.ceil(least))] = False
    first = np.where(below.any(axis=1), below.argmax(axis=1), most)
    return np.minimum(np.maximum(first, least), most).astype(np.float64)


def lay_states(
    level: Floats,
    first: Frames,
    second: Frames,
    believed: npt.NDArray[np.bool_],
    rate: float,
    duration: float,
) -> tuple[HeartStates, npt.NDArray[np.int64]]:
    """Give the states of beats, those that the recording cuts included.

    Args:
        level: `[N]`, loudness by frame.
        first: `[K]` frames in first sounds.
        second: `[K]` frames in the second sounds that follow them.
        believed: `[K]`, which beats are given; the first sound that ends one is given with it.
        rate: Frames a second.
        duration: Length of the recording in seconds.

    Returns:
        The states, and for each of them the number of its beat.
    """
    period = middle_of(np.diff(first)) / rate
    edges = np.stack(
        [
            *sound_edges(level, first, period, rate, 0),
            *sound_edges(level, second, period, rate, 1),
        ],
        axis=1,
    ).reshape(-1)
    # Sounds that follow each other closely share the time between them.
    begins, ends = edges[2::2], edges[1:-1:2]
    met = (begins + ends) / 2
    least = 0.01
    edges[2::2] = np.maximum(begins, met + least / 2)
    edges[1:-1:2] = np.minimum(ends, met - least / 2)
    edges = np.minimum(np.maximum(edges, 0), duration)
    order = np.array([S1, SYSTOLE, S2, DIASTOLE], dtype=np.int8)
    state = np.tile(order, len(first))[:-1]
    beat = np.repeat(np.arange(len(first)), 4)[:-1]
    ended = np.concatenate([[False], believed[:-1]])
    keep = (edges[1:] > edges[:-1]) & (believed[beat] | (ended[beat] & (state == S1)))
    return HeartStates(edges[:-1][keep], edges[1:][keep], state[keep]), beat[keep]
