"""How heart sounds are changed in training, so that no device, room or body is learned by heart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pahcl.signals.heart_cycles.state_network import CLASSES, FS

NOTHING = CLASSES.index("nothing")
_BENDS = 6  # points between which the colour of a device is drawn
_LOWEST = 20.0
_GRID = 64


@dataclass(frozen=True)
class SoundChanges:
    """Change the sounds of a batch, each sample in its own way, where the batch lies.

    Args:
        colour: Standard deviation in dB of the gain of a device, drawn anew every half octave or
            so between 20 and 500 Hz.
        noise: Chance of steady noise between white and brown, `quietest` to 0 dB below the sound.
        disturbance: Chance of another sample of the batch in which no heart beats being added, from
            30 dB below the sound to 3 dB above it.
        quietest: Most dB that steady noise is below the sound.
        bands: Chance that up to three neighbouring bands are left out.
        gaps: Most gaps of 50 to 400 ms in which the features say nothing.
    """

    colour: float = 4.0
    noise: float = 0.5
    disturbance: float = 0.3
    quietest: float = 35.0
    bands: float = 0.5
    gaps: int = 3

    def sounds(self, signal: Tensor, target: Tensor) -> Tensor:
        """Change sounds.

        Args:
            signal: `[B, L]` at 1000 Hz.
            target: `[B, T]` classes of their frames, by which samples without a heart are known.

        Returns:
            `[B, L]`.
        """
        size, length = signal.shape
        spread = signal.std(1, keepdim=True)
        spectrum = torch.fft.rfft(signal)
        frequency = torch.linspace(0, FS / 2, spectrum.shape[1], device=signal.device)
        frequency = frequency.clamp(min=_LOWEST)
        gain = 10 ** (self._colours(size, frequency) / 20)
        tilt = -1.5 * torch.rand(size, 1, device=signal.device)
        white = torch.fft.rfft(torch.randn_like(signal))
        noise = torch.fft.irfft(white * (frequency / 100) ** tilt, length)
        noise = noise / noise.std(1, keepdim=True)
        changed: Tensor = torch.fft.irfft(spectrum * gain, length)
        below = self.quietest * torch.rand(size, 1, device=signal.device)
        changed = changed + self._for_some(size, self.noise, signal) * spread * noise * _gain(below)
        return changed + self._disturbances(signal, target, spread)

    def _colours(self, size: int, frequency: Tensor) -> Tensor:
        drawn = torch.randn(size, 1, _BENDS, device=frequency.device) * self.colour
        grid = F.interpolate(drawn, _GRID, mode="linear", align_corners=True)[:, 0]
        place = torch.log(frequency / _LOWEST) / math.log(FS / 2 / _LOWEST) * (_GRID - 1)
        left = place.long().clamp(0, _GRID - 2)
        return torch.lerp(grid[:, left], grid[:, left + 1], place - left)

    def _disturbances(self, signal: Tensor, target: Tensor, spread: Tensor) -> Tensor:
        heartless = (target == NOTHING).all(1).nonzero()[:, 0]
        size = len(signal)
        if not len(heartless):
            return torch.zeros_like(signal)
        chosen = heartless[torch.randint(len(heartless), (size,), device=signal.device)]
        other = signal[chosen] / signal[chosen].std(1, keepdim=True).clamp(min=1e-9)
        below = 33 * torch.rand(size, 1, device=signal.device) - 3
        return self._for_some(size, self.disturbance, signal) * spread * other * _gain(below)

    def features(self, features: Tensor) -> Tensor:
        """Leave bands and moments of features `[B, K, T]` out."""
        size, bands, frames = features.shape
        device = features.device
        first = torch.randint(bands - 1, (size, 1), device=device)
        count = torch.randint(1, 4, (size, 1), device=device)
        band = torch.arange(bands, device=device)
        out = (band >= first) & (band < first + count)
        out &= self._for_some(size, self.bands, features) > 0
        features = features.masked_fill(out.unsqueeze(-1), 0.0)
        if self.gaps == 0 or frames < 50:
            return features
        gaps = torch.randint(self.gaps + 1, (size, 1), device=device)
        begin = torch.randint(frames, (size, self.gaps), device=device)
        long = torch.randint(5, 40, (size, self.gaps), device=device)
        long = long * (torch.arange(self.gaps, device=device) < gaps)
        time = torch.arange(frames, device=device)[:, None, None]
        quiet = ((time >= begin) & (time < begin + long)).any(-1).T
        return torch.where(quiet.unsqueeze(1), 0.7 * torch.randn_like(features), features)

    def _for_some(self, size: int, chance: float, like: Tensor) -> Tensor:
        return (torch.rand(size, 1, device=like.device) < chance).to(like.dtype)


def _gain(decibels_below: Tensor) -> Tensor:
    return torch.exp(-decibels_below * (math.log(10) / 20))
