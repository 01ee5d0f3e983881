"""Where it is recorded: electrodes, mains, noise and the band of a recorder.

Noise arises at the nine electrodes and reaches the leads as differences, so that Einthoven's law
holds for signal and noise alike. A site is a settings object; two of them make a domain shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from pahcl.simulation.population import Case, Population

Floats = npt.NDArray[np.float64]
Signal = npt.NDArray[np.float32]

MARGIN = 1.0
"""Seconds simulated before and after a record, so that filters have settled within it."""

ELECTRODES = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")


def _lead_matrix() -> Floats:
    """Give `[8, 9]`: leads I, II, V1 to V6 as differences of electrodes (Wilson's terminal)."""
    matrix = np.zeros((8, 9))
    matrix[0, :2] = -1, 1
    matrix[1, [0, 2]] = -1, 1
    for chest in range(6):
        matrix[2 + chest, :3] = -1 / 3
        matrix[2 + chest, 3 + chest] = 1
    return matrix


LEADS_FROM_ELECTRODES = _lead_matrix()


@dataclass(frozen=True)
class Recorder:
    """Describe a recorder's analogue and digital filters.

    Args:
        highpass: Lower cut-off in Hz.
        highpass_order: Steepness of the lower cut-off.
        lowpass: Upper cut-off in Hz.
        lowpass_order: Steepness of the upper cut-off.
        notched: Share of the records whose mains filter is on.
    """

    highpass: float
    highpass_order: int
    lowpass: float
    lowpass_order: int
    notched: float

    def response(self, frequency: Floats, mains: float | None) -> Floats:
        """Give the gain at each frequency in Hz; `mains` is removed where it is given."""
        low = np.maximum(frequency, 1e-6)
        gain = 1 / np.sqrt(1 + (self.highpass / low) ** (2 * self.highpass_order))
        gain /= np.sqrt(1 + (frequency / self.lowpass) ** (2 * self.lowpass_order))
        if mains is not None:
            gain *= 1 - np.exp(-0.5 * ((frequency - mains) / 0.8) ** 2)
        return np.asarray(gain)


@dataclass(frozen=True)
class Site:
    """Describe a place where ECGs are recorded.

    Args:
        name: Short name.
        number: Part of the random seed, so that two sites with one seed differ.
        fs: Sampling rate in Hz.
        mains: Frequency of the power line in Hz.
        hum: Median amplitude of the power line at an electrode in mV.
        muscle: Median muscle noise at an electrode in mV (root mean square, 20 Hz and above).
        wander: Median baseline wander at an electrode in mV (root mean square, below 0.6 Hz).
        spread: Standard deviation of the logarithm of these three from record to record.
        bursts: Share of the records with a burst of muscle noise.
        jumps: Share of the records in which an electrode moves.
        recorders: The recorders in use.
        shares: Share of the records of each recorder.
        population: Who comes here.
    """

    name: str
    number: int
    fs: float
    mains: float
    hum: float
    muscle: float
    wander: float
    spread: float
    bursts: float
    jumps: float
    recorders: tuple[Recorder, ...]
    shares: tuple[float, ...]
    population: Population


@dataclass(frozen=True)
class Disturbance:
    """Hold the noise of one record.

    Args:
        recorder: Number of the recorder in `Site.recorders`.
        notched: Whether the mains filter is on.
        wander: Baseline wander in mV.
        muscle: `[9]` muscle noise of the electrodes in mV.
        burst: Electrode with a burst of muscle noise, if there is one.
        jump: Electrode that moves, if there is one.
    """

    recorder: int
    notched: bool
    wander: float
    muscle: Floats
    burst: int | None
    jump: int | None


def draw_noise(site: Site, case: Case, samples: int) -> tuple[Disturbance, Signal, Signal]:
    """Draw the noise of one record.

    Returns:
        What was drawn; white noise `[8, samples]` at the leads, to be shaped to muscle noise and
        wander by `shape_noise` and scaled to muscle noise; hum and jumps `[8, samples]` in mV.
    """
    rng = case.stream(1)
    recorder = int(rng.choice(len(site.recorders), p=site.shares))
    notched = bool(rng.random() < site.recorders[recorder].notched)
    hum, muscle, wander = (
        float(level * np.exp(rng.normal(0, site.spread)))
        for level in (site.hum, site.muscle, site.wander)
    )
    # One bad contact among good ones is the rule.
    contact = np.exp(rng.normal(0, 0.45, 9))
    white = rng.standard_normal((9, samples), dtype=np.float32)
    white *= (muscle * contact)[:, None].astype(np.float32)
    time = np.arange(samples) / site.fs
    burst = int(rng.integers(9)) if rng.random() < site.bursts else None
    if burst is not None:
        middle, length = rng.uniform(MARGIN, time[-1] - MARGIN), rng.uniform(0.3, 1.5)
        envelope = 1 + rng.uniform(4, 10) * np.exp(-0.5 * ((time - middle) / length) ** 2)
        white[burst] *= envelope.astype(np.float32)
    steady = _hum(rng, site, hum * contact, time)
    jump = int(rng.integers(9)) if rng.random() < site.jumps else None
    if jump is not None:
        moment, fall = rng.uniform(MARGIN, time[-1] - MARGIN), rng.uniform(0.3, 1.5)
        late = np.maximum(time - moment, 0)
        steady[jump] += (time > moment) * rng.normal(0, 0.6) * np.exp(-late / fall)
    matrix = LEADS_FROM_ELECTRODES.astype(np.float32)
    drawn = Disturbance(recorder, notched, wander, muscle * contact, burst, jump)
    return drawn, matrix @ white, matrix @ steady.astype(np.float32)


def _hum(rng: np.random.Generator, site: Site, level: Floats, time: Floats) -> Floats:
    """Draw the power line `[9, samples]`: one frequency, a third harmonic, nine couplings."""
    angle = 2 * np.pi * (site.mains + rng.normal(0, 0.02)) * time
    phase = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.4, 9)
    couple = np.stack([level * np.cos(phase), level * np.sin(phase)], axis=1)
    wave = couple @ np.stack([np.sin(angle), np.cos(angle)])
    return np.asarray(wave + 0.2 * couple @ np.stack([np.sin(3 * angle), np.cos(3 * angle)]))


def record_leads(
    site: Site, clean: Signal, white: Signal, steady: Signal, drawn: list[Disturbance]
) -> Signal:
    """Add the noise to clean leads and pass both through each record's recorder.

    Args:
        site: Where it is recorded.
        clean: `[B, 8, T]` leads in mV, with `MARGIN` on both sides.
        white: `[B, 8, T]` white noise, in mV of muscle noise.
        steady: `[B, 8, T]` hum and jumps in mV.
        drawn: The disturbances of the records.

    Returns:
        `[B, 8, T']` in mV without the margins.
    """
    samples = clean.shape[-1]
    frequency = fft.rfftfreq(samples, 1 / site.fs)
    muscle = _unit_noise(1 / (1 + (22 / np.maximum(frequency, 0.1)) ** 4))
    wander = _unit_noise(
        (frequency > 0.04) * np.exp(-0.5 * (frequency / 0.28) ** 2) + 0.02 / (1 + frequency**2)
    )
    gain = np.stack(
        [
            site.recorders[one.recorder].response(frequency, site.mains if one.notched else None)
            for one in drawn
        ]
    )
    ratio = np.array([one.wander / np.median(one.muscle) for one in drawn])
    shape = (muscle + ratio[:, None] * wander) * gain
    spectrum = fft.rfft(clean + steady, axis=-1) * gain[:, None].astype(np.float32)
    spectrum += fft.rfft(white, axis=-1) * shape[:, None].astype(np.float32)
    edge = round(MARGIN * site.fs)
    return np.asarray(fft.irfft(spectrum, samples, axis=-1)[..., edge : samples - edge], np.float32)


def _unit_noise(gain: Floats) -> Floats:
    """Scale a gain so that white noise of unit variance keeps it."""
    return np.asarray(gain / np.sqrt(np.mean(gain**2)))
