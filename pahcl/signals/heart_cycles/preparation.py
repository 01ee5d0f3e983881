"""Bring a heart sound to what a segmenter reads: one rate, one band, one scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal

from pahcl.signals.resample import rate_ratio, resample, resampled_length

ORDER = 4
"""Order of the Butterworth band-pass at each edge; it runs forward and backward."""

_FEWEST = 5
_LOUDEST = 1000.0
# Seconds by which the ends are continued: the filter then rings at e^-15 of its beginning.
_MARGIN = 0.25
_LARGEST_TERM = 1000
_SPIKE = 1e4


@dataclass(frozen=True, eq=False)
class Prepared:
    """Hold a heart sound that is ready to be segmented.

    Args:
        signal: `[L]` float32, band-passed; 1 is the usual height of its loud parts.
        fs: Sampling rate in Hz.
        duration: Length of the recording in seconds.
    """

    signal: npt.NDArray[np.float32]
    fs: float
    duration: float


@lru_cache(maxsize=16)
def band_pass_sections(fs: float, low: float, high: float) -> npt.NDArray[np.float64]:
    """Design the band-pass as second-order sections; edges lie within 0.001 and 0.999 Nyquist."""
    edges = np.clip(np.array([low, high]) / (fs / 2), 0.001, 0.999)
    return np.asarray(scipy.signal.butter(ORDER, edges, "bandpass", output="sos"))


def prepare(
    signal: npt.NDArray[np.floating],
    fs: float,
    to: float = 1000.0,
    band: tuple[float, float] = (25.0, 400.0),
) -> Prepared:
    """Resample, band-pass without shifting phase, and scale.

    The scale is robust: a knock on the sensor, however loud, does not make the heart quiet. Both
    steps are one product of spectra where that can be done, and otherwise a polyphase filter and
    second-order sections, which give the same but for the rounding and the edge of the band.

    Args:
        signal: `[L]` without NaN.
        fs: Its rate in Hz.
        to: Wanted rate in Hz.
        band: Pass band in Hz.
    """
    samples = np.asarray(signal, dtype=np.float32)
    filtered: npt.NDArray[np.floating] | None = _by_spectrum(samples, fs, to, band)
    if filtered is None:
        filtered = _both_ways(resample(samples, fs, to), to, band)
    return Prepared(scaled(filtered, to, samples), to, len(signal) / fs)


def _by_spectrum(
    samples: npt.NDArray[np.float32], fs: float, to: float, band: tuple[float, float]
) -> npt.NDArray[np.float32] | None:
    """Resample and band-pass in one product of spectra; None where that would not be exact.

    The ends are continued by turning them over, as in `_both_ways`, and then bent towards each
    other over what is left of the transform.
    """
    ratio = rate_ratio(fs, to)
    up, down = ratio.numerator, ratio.denominator
    # In whole periods of the ratio, so that a sample of the result lies on the first one.
    margin = math.ceil(_MARGIN * fs / down) * down
    if max(up, down) > _LARGEST_TERM or margin >= len(samples) or _has_spike(samples):
        return None
    whole = _fast_length(math.ceil((len(samples) + 3 * margin) / down))
    stop = margin + len(samples)
    longer = np.empty(whole * down, dtype=np.float32)
    longer[:margin] = 2 * samples[0] - samples[margin:0:-1]
    longer[margin:stop] = samples
    longer[stop : stop + margin] = 2 * samples[-1] - samples[-2 : -margin - 2 : -1]
    last = longer[stop + margin - 1]
    bent = np.arange(len(longer) - stop - margin, dtype=np.float32) * (np.pi / margin)
    longer[stop + margin :] = last + (longer[0] - last) * (1 - np.cos(np.minimum(bent, np.pi))) / 2
    spectrum = scipy.fft.rfft(longer)
    gain = _gain(whole * up // 2 + 1, to / 2, *band) * np.float32(ratio)
    kept = min(len(gain), len(spectrum))
    filtered = scipy.fft.irfft(spectrum[:kept] * gain[:kept], whole * up)
    first = margin // down * up
    return np.asarray(filtered[first : first + resampled_length(len(samples), fs, to)])


def _has_spike(samples: npt.NDArray[np.float32]) -> bool:
    """Say whether rounding would smear a spike over the quiet parts of the recording."""
    some = samples[:: max(len(samples) // 1024, 1)]
    middle = np.median(some)
    usual = float(np.median(np.abs(some - middle)))
    return float(max(samples.max() - middle, middle - samples.min())) > _SPIKE * usual


def _fast_length(least: int) -> int:
    """Give a length that is quick to transform, of few, so that gains can be kept."""
    step = 2 ** max(least.bit_length() - 5, 0)
    length: int = scipy.fft.next_fast_len(math.ceil(least / step) * step, real=True)
    return length


@lru_cache(maxsize=64)
def _gain(bins: int, nyquist: float, low: float, high: float) -> npt.NDArray[np.float32]:
    """Give what `band_pass_sections` let through forward and backward, from 0 to Nyquist."""
    edges = np.tan(np.pi / 2 * np.clip(np.array([low, high]) / nyquist, 0.001, 0.999))
    place = np.tan(np.pi / 2 * np.linspace(1e-9, 1 - 1e-9, bins))
    apart = (place**2 - edges[0] * edges[1]) / (place * (edges[1] - edges[0]))
    return np.asarray(1 / (1 + apart ** (2 * ORDER)), dtype=np.float32)


@lru_cache(maxsize=16)
def _settled(fs: float, low: float, high: float) -> npt.NDArray[np.float64]:
    """Give the state of the filter after a long stretch of ones."""
    return np.asarray(scipy.signal.sosfilt_zi(band_pass_sections(fs, low, high)))


def _both_ways(
    samples: npt.NDArray[np.float32], fs: float, band: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Filter as `scipy.signal.sosfiltfilt` does, with the state at rest computed but once."""
    if not len(samples):  # one sample at 44.1 kHz is none at 1 kHz
        return np.zeros(0)
    sections, settled = band_pass_sections(fs, *band), _settled(fs, *band)
    pad = min(len(samples) - 1, int(fs))
    before = 2 * samples[0] - samples[pad:0:-1]
    behind = 2 * samples[-1] - samples[-2 : -pad - 2 : -1]
    longer = np.concatenate([before, samples, behind], dtype=np.float64)
    for _ in range(2):
        longer, _ = scipy.signal.sosfilt(sections, longer, zi=settled * longer[0])
        longer = longer[::-1]
    return longer[pad : len(longer) - pad]


def scaled(
    signal: npt.NDArray[np.floating], fs: float, recorded: npt.NDArray[np.floating] | None = None
) -> npt.NDArray[np.float32]:
    """Divide by the usual height: the median, over the recording, of each second's loudest sample.

    A recording of less than `_FEWEST` seconds is divided into as many parts instead, so that knocks
    at both of its ends are still the fewer. Seconds in which nothing was recorded do not count:
    what rounding leaves there is no height.

    Args:
        signal: `[L]` as it is heard.
        fs: Its rate in Hz.
        recorded: The samples that it comes from, at whatever rate; constant where nothing was
            recorded.
    """
    pieces = max(len(signal) // int(fs), _FEWEST)
    width = len(signal) // pieces
    loudest = np.abs(signal[: pieces * width]).reshape(pieces, -1).max(axis=1, initial=0.0)
    if recorded is not None and len(recorded) >= pieces:
        parts = recorded[: len(recorded) // pieces * pieces].reshape(pieces, -1)
        loudest = loudest[parts.max(axis=1) > parts.min(axis=1)]
    height = float(np.median(loudest)) if len(loudest) else 0.0
    if height <= 0:
        return np.zeros(len(signal), dtype=np.float32)
    # What is far beyond any heart is a knock, of which the height says nothing more.
    return np.asarray(np.clip(signal / height, -_LOUDEST, _LOUDEST), dtype=np.float32)
