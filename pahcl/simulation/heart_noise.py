"""What a stethoscope hears beside the heart: breath, skin, voices, knocks, and lost contact.

Every function draws on the whole recording at once and gives sound of a known size, and when it is
heard.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft

Generator = np.random.Generator
Sound = npt.NDArray[np.float32]
Spans = list[tuple[float, float]]
"""Begin and end of each event in seconds."""


def band_noise(rng: Generator, samples: int, fs: float, low: float, high: float) -> Sound:
    """Draw noise of a band in Hz with soft edges (24 dB an octave), root mean square 1."""
    size = fft.next_fast_len(samples, real=True)
    frequency = np.maximum(fft.rfftfreq(size, 1 / fs), 1e-3)
    gain = 1 / np.sqrt((1 + (low / frequency) ** 8) * (1 + (frequency / high) ** 8))
    gain[0] = 0
    spectrum = rng.standard_normal((len(gain), 2), dtype=np.float32).view(np.complex64)[:, 0]
    sound = fft.irfft(spectrum * gain.astype(np.float32), size)[:samples]
    return np.asarray(sound / max(float(sound.std()), 1e-12), dtype=np.float32)


def background(rng: Generator, samples: int, fs: float) -> Sound:
    """Draw the steady noise of room and amplifier: most of it low, root mean square 1."""
    low = band_noise(rng, samples, fs, 15, min(180, 0.3 * fs))
    wide = band_noise(rng, samples, fs, 30, 0.45 * fs)
    return np.asarray((low + 0.4 * wide) / np.float32(np.hypot(1, 0.4)))


def breathing(rng: Generator, samples: int, fs: float, breath: tuple[float, float]) -> Sound:
    """Draw breath sounds, louder breathing in than out; root mean square 1 at their loudest."""
    angle = 2 * np.pi * breath[0] * np.arange(samples) / fs + breath[1]
    flow = np.cos(angle)  # the lung's volume is largest where the sine is
    loudness = np.where(flow > 0, flow, 0.35 * -flow) ** 1.5
    sound = band_noise(rng, samples, fs, 90, min(650, 0.4 * fs))
    return np.asarray(sound * loudness.astype(np.float32))


def friction(rng: Generator, samples: int, fs: float, a_minute: float) -> tuple[Sound, Spans]:
    """Draw the rustle of a stethoscope that moves over skin or cloth; root mean square about 1."""
    sound = np.zeros(samples, dtype=np.float32)
    spans = _moments(rng, samples / fs, a_minute, (0.15, 0.9))
    for begin, end in spans:
        place = _slice(begin, end, fs, samples)
        size = place.stop - place.start
        low = rng.uniform(60, 200)
        rustle = band_noise(rng, size, fs, low, min(low * rng.uniform(3, 8), 0.45 * fs))
        # A rustle is many short slips, none like the other.
        knots = max(3, round(25 * (end - begin)))
        slips = np.interp(
            np.linspace(0, knots - 1, size), np.arange(knots), rng.gamma(0.7, 1.2, knots)
        )
        sound[place] += rustle * (slips * _swell(size)).astype(np.float32)
    return sound, spans


def speech(rng: Generator, samples: int, fs: float, a_minute: float) -> tuple[Sound, Spans]:
    """Draw something like voices or a child's cry: a pitch that glides, formants, syllables.

    Its root mean square is about 1 within a syllable.
    """
    sound = np.zeros(samples, dtype=np.float32)
    spans = _moments(rng, samples / fs, a_minute, (0.8, 2.5))
    for begin, end in spans:
        place = _slice(begin, end, fs, samples)
        size = place.stop - place.start
        syllables = max(2, round((end - begin) * rng.uniform(3, 5)))
        along = np.linspace(0, syllables - 1, size)
        knots = np.arange(syllables)
        pitch = rng.uniform(110, 380) * np.exp(rng.normal(0, 0.12, syllables))
        tone = np.interp(along, knots, pitch)
        formants = [
            np.interp(along, knots, rng.uniform(*limits, syllables))
            for limits in ((300, 800), (900, 2200))
        ]
        phase = 2 * np.pi * np.cumsum(tone) / fs
        voice = np.zeros(size)
        for harmonic in range(1, 13):
            height = harmonic * tone
            ring = sum(1 / (1 + ((height - peak) / 110) ** 2) for peak in formants)
            voice += np.where(height < 0.45 * fs, ring + 0.15 / harmonic, 0) * np.sin(
                harmonic * phase
            )
        voice *= np.abs(np.sin(np.pi * along)) ** 0.6 * _swell(size)
        sound[place] += (voice / max(float(voice.std()), 1e-12)).astype(np.float32)
    return sound, spans


def thumps(rng: Generator, samples: int, fs: float, a_minute: float) -> tuple[Sound, Spans]:
    """Draw knocks on the sensor: a click, then a slow swing; the largest sample is about 1."""
    sound = np.zeros(samples, dtype=np.float32)
    spans = _moments(rng, samples / fs, a_minute, (0.15, 0.35))
    for begin, end in spans:
        place = _slice(begin, end, fs, samples)
        time = np.arange(place.stop - place.start) / fs
        swing = np.sin(2 * np.pi * rng.uniform(14, 40) * time) * np.exp(
            -time / rng.uniform(0.03, 0.06)
        )
        click = rng.standard_normal(len(time)) * np.exp(-time / 0.004)
        knock = swing * rng.choice((-1, 1)) + 0.3 * click
        sound[place] += (knock * rng.uniform(0.6, 1.2)).astype(np.float32)
    return sound, spans


def dropouts(rng: Generator, duration: float, a_minute: float) -> Spans:
    """Draw when the sensor has no contact or the link is lost."""
    return _moments(rng, duration, a_minute, (0.05, 0.8))


def _moments(
    rng: Generator, duration: float, a_minute: float, length: tuple[float, float]
) -> Spans:
    """Draw events that do not touch; one at least, if there are any."""
    if a_minute <= 0:
        return []
    count = max(1, int(rng.poisson(a_minute * duration / 60)))
    spans: Spans = []
    for begin in np.sort(rng.uniform(0, duration, count)).tolist():
        begin = max(begin, spans[-1][1] + 0.02) if spans else begin
        end = min(begin + float(rng.uniform(*length)), duration)
        if end - begin >= 0.04:
            spans.append((begin, end))
    return spans or [(0.0, min(length[0], duration))]


def _slice(begin: float, end: float, fs: float, samples: int) -> slice:
    first = min(round(begin * fs), samples - 2)
    return slice(first, max(min(round(end * fs), samples), first + 2))


def _swell(size: int) -> npt.NDArray[np.float64]:
    """Rise and fall over a tenth of the length."""
    along = np.linspace(0, 1, size)
    return np.asarray(np.clip(np.minimum(along, 1 - along) / 0.1, 0, 1))
