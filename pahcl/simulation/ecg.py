"""Synthetic 12-lead ECG: cases in, leads in mV out, batch after batch.

Random numbers are drawn record by record, each from a stream of its own; what costs time runs on
whole batches. `pahcl.simulation.population` says who is recorded, `rhythm` when the heart beats,
`morphology` what a beat looks like, `site` what the recorder makes of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pahcl.simulation.morphology import (
    INDEPENDENT,
    Template,
    draw_template,
    stretch_repolarisation,
)
from pahcl.simulation.population import Case
from pahcl.simulation.rhythm import Beats, draw_beats
from pahcl.simulation.site import MARGIN, Disturbance, Signal, Site, draw_noise, record_leads

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

BATCH = 64
"""Records simulated at once; a batch takes about 130 MB, whatever the corpus."""

_BEFORE, _AFTER = 0.47, 0.63


@dataclass(frozen=True)
class Simulated:
    """Hold one synthetic record.

    Args:
        case: Who and what.
        signal: `[8, samples]` float32 in mV: I, II, V1 to V6.
        template: The beats, without noise.
        times: Times of the R waves within the record in seconds.
        kinds: Kinds of these beats.
        noise: The disturbances.
    """

    case: Case
    signal: Signal
    template: Template
    times: npt.NDArray[np.float64]
    kinds: npt.NDArray[np.int64]
    noise: Disturbance


def simulate(
    site: Site, cases: Iterable[Case], duration: float, batch: int = BATCH
) -> Iterator[Simulated]:
    """Simulate records of `duration` seconds at a site, `batch` of them at once."""
    remaining = iter(cases)
    while group := list(itertools.islice(remaining, batch)):
        yield from _simulate_batch(site, group, duration)


def twelve_leads(signal: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Derive all leads from I, II, V1 to V6 by Einthoven and Goldberger.

    Args:
        signal: `[..., 8, samples]`, in any unit.

    Returns:
        `[..., 12, samples]` in the order of `LEADS`.
    """
    eight = signal.astype(np.float64)
    one, two = eight[..., 0, :], eight[..., 1, :]
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.concatenate([np.stack(limb, axis=-2), eight[..., 2:, :]], axis=-2)


def _simulate_batch(site: Site, cases: list[Case], duration: float) -> list[Simulated]:
    """Simulate one batch."""
    samples = round((duration + 2 * MARGIN) * site.fs)
    beats, templates = [], []
    for case in cases:
        rng = case.stream(0)
        templates.append(draw_template(rng, case))
        beats.append(draw_beats(rng, case, duration, MARGIN))
    clean = _render(site.fs, cases, beats, templates, samples)
    noise = [draw_noise(site, case, samples) for case in cases]
    drawn = [one[0] for one in noise]
    signal = record_leads(
        site, clean, np.stack([one[1] for one in noise]), np.stack([one[2] for one in noise]), drawn
    )
    inside = [(record.times >= 0) & (record.times < duration) for record in beats]
    return [
        Simulated(
            case, signal[i], templates[i], beats[i].times[keep], beats[i].kind[keep], drawn[i]
        )
        for i, (case, keep) in enumerate(zip(cases, inside, strict=True))
    ]


def _render(
    fs: float, cases: list[Case], beats: list[Beats], templates: list[Template], samples: int
) -> Signal:
    """Draw all beats of a batch and lay them over each other, `[B, 8, samples]` in mV."""
    window = round((_BEFORE + _AFTER) * fs)
    buffer = np.zeros((len(cases), 8, samples + 2 * window), dtype=np.float32)
    for row, (case, record, template) in enumerate(zip(cases, beats, templates, strict=True)):
        centre = stretch_repolarisation(template.centre[record.kind], record.rr, case.rate)
        start = np.floor((record.times + MARGIN - _BEFORE) * fs).astype(np.int64)
        offset = start / fs - (record.times + MARGIN)
        swing = 1 + 0.04 * np.sin(2 * np.pi * record.breath[0] * record.times + record.breath[1])
        shape = _gaussians(fs, window, offset, centre, template, record.kind)
        amplitude = template.amplitude[record.kind].transpose(0, 2, 1) * swing[:, None, None]
        for place, wave in zip(start + window, amplitude.astype(np.float32) @ shape, strict=True):
            if 0 <= place <= samples + window:
                buffer[row, :, place : place + window] += wave
        if "AFIB" in case.truth:
            buffer[row, :, window:-window] += _fibrillation(case, template, fs, samples)
    return buffer[..., window:-window]


def _gaussians(
    fs: float,
    window: int,
    offset: npt.NDArray[np.float64],
    centre: npt.NDArray[np.float64],
    template: Template,
    kind: npt.NDArray[np.int64],
) -> Signal:
    """Evaluate the events of one record's beats, `[K, E, window]`."""
    time = (offset[:, None] + np.arange(window) / fs).astype(np.float32)
    gap = time[:, None, :] - centre.astype(np.float32)[:, :, None]
    left, right = (
        (1 / side[kind]).astype(np.float32)[:, :, None] for side in (template.left, template.right)
    )
    gap *= np.where(gap < 0, left, right)
    np.square(gap, out=gap)
    gap *= np.float32(-0.5)
    return np.asarray(np.exp(gap, out=gap))


def _fibrillation(case: Case, template: Template, fs: float, samples: int) -> Signal:
    """Draw fibrillatory waves of 4 to 9 Hz, `[8, samples]` in mV, largest in V1.

    Their frequency and size wander; the second harmonic makes them saw-toothed.
    """
    rng = case.stream(2)
    time = np.arange(samples) / fs
    knots = np.arange(0, time[-1] + 1, 0.5)
    frequency = np.interp(time, knots, rng.uniform(4.6, 7.6) + rng.normal(0, 0.5, len(knots)))
    size = np.interp(time, knots, np.exp(rng.normal(0, 0.35, len(knots))))
    phase = 2 * np.pi * np.cumsum(frequency) / fs + rng.uniform(0, 2 * np.pi)
    wave = np.stack([np.sin(phase), 0.3 * np.sin(2 * phase + 0.7), np.sin(0.93 * phase + 1.9)])
    height = float(np.exp(rng.normal(np.log(0.035), 0.55)))
    vectors = np.array([[-0.5, 0.5, -1.0], [-0.5, 0.5, -1.0], [0.5, 0.7, -0.2]])
    vectors = vectors + rng.normal(0, 0.15, vectors.shape)
    return np.asarray((template.leads @ vectors.T) @ (height * size * wave), dtype=np.float32)


__all__ = ["BATCH", "INDEPENDENT", "LEADS", "Simulated", "simulate", "twelve_leads"]
