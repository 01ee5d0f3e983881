"""Nine corruptions that happen in clinics, by severity, batched on the device.

Amplitudes are in mV at the body and frequencies in Hz, whatever the recording's rate. What comes
from an electrode (wander, motion, mains, muscle) is added to the electrode's potential and reaches
every lead that is made of it, so III = II - I and the augmented leads hold afterwards; an amplitude
is that of the limb leads I, II and III, the difference of two electrodes. The draws of a record are
the same at every severity: only the size changes.

The kinds and orders of size follow Friesen et al. 1990 (doi 10.1109/10.43620), who disturb an
electrocardiogram by muscle, mains, respiration and abrupt shifts; the steps between mild and severe
are ours. They are chosen, not measured in a clinic: severity 3 disturbs a reader, 5 makes many
repeat the recording.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pahcl.errors import SpecError
from pahcl.signals.corruption import Corruption, Randomness, draw
from pahcl.signals.electrodes import LIMB_ELECTRODES, electrode_matrix, swap_matrix


def _to_leads(potential: Tensor, leads: Sequence[str]) -> Tensor:
    """Bring electrode potentials `[B, E, L]` to the leads `[B, C, L]`."""
    _, matrix = electrode_matrix(leads)
    return torch.as_tensor(matrix, device=potential.device) @ potential


def _electrodes(leads: Sequence[str]) -> int:
    return len(electrode_matrix(leads)[0])


def _times(signal: Tensor, fs: float) -> Tensor:
    return torch.arange(signal.shape[-1], device=signal.device, dtype=torch.float32) / fs


_APART = 1 / math.sqrt(2)
"""Share of a limb lead's amplitude that each of its two independent electrodes has."""


@dataclass(frozen=True, kw_only=True)
class BaselineWander(Corruption):
    """Let the baseline wander at 0.05 to 0.5 Hz, as breathing and slow electrode drift do.

    The sum of four sines a electrode, of random frequency and phase. Severity is the amplitude of
    a sine of equal power. Diagnostic recorders pass 0.05 Hz and above, and a wander of more than a
    millivolt moves the trace by a centimetre on paper. Friesen et al. take 15 % of the height of
    the ECG for respiration, which is between severity 2 and 3.
    """

    title: ClassVar[str] = "Baseline wander"
    sizes: ClassVar[tuple[float, ...]] = (0.1, 0.2, 0.4, 0.8, 1.5)
    size_unit: ClassVar[str] = "mV"
    additive: ClassVar[bool] = True
    band: ClassVar[tuple[float, float]] = (0.05, 0.5)
    sines: ClassVar[int] = 4

    def _corrupt(
        self, signal: Tensor, fs: float, severity: int, real: Tensor, generator: Randomness
    ) -> Tensor:
        drawn = draw(signal, generator, 2, self.sines, _electrodes(self.leads), 1)
        low, high = self.band
        time, wave = _times(signal, fs), signal.new_zeros(())
        for k in range(self.sines):
            frequency, phase = low + (high - low) * drawn[:, 0, k], drawn[:, 1, k]
            wave = wave + torch.sin(2 * math.pi * (frequency * time + phase))
        amplitude = self._volts(severity) * _APART / math.sqrt(self.sines)
        return signal + amplitude * _to_leads(wave, self.leads)


@dataclass(frozen=True, kw_only=True)
class ElectrodeMotion(Corruption):
    """Let electrodes slip: a jump of the potential that decays within a second.

    Three slips in ten seconds, each at one electrode, with a time constant of 0.1 to 0.5 s (the
    100 to 500 ms of Friesen et al.) and a random sign. Severity is the height of the jump at the
    electrode; half-cell potentials change by millivolts, so jumps may be higher than the ECG.
    """

    title: ClassVar[str] = "Electrode motion"
    sizes: ClassVar[tuple[float, ...]] = (0.25, 0.5, 1.0, 2.0, 4.0)
    size_unit: ClassVar[str] = "mV"
    additive: ClassVar[bool] = True
    slips_per_second: ClassVar[float] = 0.3
    time_constants: ClassVar[tuple[float, float]] = (0.1, 0.5)

    def _corrupt(
        self, signal: Tensor, fs: float, severity: int, real: Tensor, generator: Randomness
    ) -> Tensor:
        electrodes = _electrodes(self.leads)
        slips = max(1, round(self.slips_per_second * signal.shape[-1] / fs))
        drawn = draw(signal, generator, 4, slips, 1)
        start = real.to(torch.int64).argmax(dim=1, keepdim=True)  # of the one stretch of signal
        count = real.sum(dim=1, keepdim=True)
        sample = torch.arange(signal.shape[-1], device=signal.device)
        shortest, longest = self.time_constants
        wave = signal.new_zeros(len(signal), electrodes, signal.shape[-1])
        for k in range(slips):
            age = (sample - start - (drawn[:, 0, k] * count).floor()) / fs
            constant = shortest + (longest - shortest) * drawn[:, 1, k]
            sign = 1.0 - 2.0 * (drawn[:, 2, k] < 0.5)
            pulse = sign * torch.exp(-age.clamp_min(0.0) / constant) * (age >= 0)
            where = (drawn[:, 3, k] * electrodes).long().clamp_max(electrodes - 1)
            chosen = torch.nn.functional.one_hot(where, electrodes).to(wave)
            wave += chosen.transpose(1, 2) * pulse.unsqueeze(1)
        return signal + self._volts(severity) * _to_leads(wave, self.leads)


@dataclass(frozen=True, kw_only=True)
class Mains(Corruption):
    """Couple the mains into the electrodes: a sine of 50 or 60 Hz with a random phase at each.

    Severity is the amplitude in the limb leads. At 0.02 mV it is thinner than a printed line; 0.4
    mV is near the half of the ECG's height that Friesen et al. go up to.

    Args:
        frequency: Of the mains in Hz: 50 in most of the world, 60 in the Americas.
    """

    title: ClassVar[str] = "Mains"
    sizes: ClassVar[tuple[float, ...]] = (0.02, 0.05, 0.1, 0.2, 0.4)
    size_unit: ClassVar[str] = "mV"
    additive: ClassVar[bool] = True

    frequency: float = 50.0

    def cannot_occur(self, fs: float) -> str:
        """Say why it cannot occur: a recorder takes out what half its rate cannot hold."""
        if self.frequency >= fs / 2:
            return f"{self.frequency:g} Hz is not below half the rate of {fs:g} Hz"
        return super().cannot_occur(fs)

    def _corrupt(
        self, signal: Tensor, fs: float, severity: int, real: Tensor, generator: Randomness
    ) -> Tensor:
        phase = draw(signal, generator, _electrodes(self.leads), 1)
        # Whole turns are taken off before the product with 2 pi, which float32 rounds.
        turns = torch.arange(signal.shape[-1], dtype=torch.float64) * (self.frequency / fs)
        wave = torch.sin(2 * math.pi * ((turns % 1.0).to(signal) + phase))
        return signal + self._volts(severity) * _APART * _to_leads(wave, self.leads)


@dataclass(frozen=True, kw_only=True)
class Muscle(Corruption):
    """Add the noise of tense muscles: normal noise between 20 and 150 Hz, another each electrode.

    Surface electromyograms reach higher still, but 150 Hz is where diagnostic recorders end.
    Severity is the standard deviation in the limb leads over the whole band; of what lies above
    half the sampling rate a recording holds nothing, so at 100 Hz 48 % of it remain. Friesen et al.
    take 10 % of the height of the ECG, about severity 4.
    """

    title: ClassVar[str] = "Muscle"
    sizes: ClassVar[tuple[float, ...]] = (0.01, 0.025, 0.05, 0.1, 0.2)
    size_unit: ClassVar[str] = "mV"
    additive: ClassVar[bool] = True
    band: ClassVar[tuple[float, float]] = (20.0, 150.0)

    def cannot_occur(self, fs: float) -> str:
        """Say why it cannot occur: the recording holds nothing of the band."""
        if fs / 2 <= self.band[0]:
            return f"its band begins at {self.band[0]:g} Hz, half the rate of {fs:g} Hz or above"
        return super().cannot_occur(fs)

    def _corrupt(
        self, signal: Tensor, fs: float, severity: int, real: Tensor, generator: Randomness
    ) -> Tensor:
        length = signal.shape[-1]
        white = draw(signal, generator, _electrodes(self.leads), length, normal=True)
        low, high = self.band
        frequencies = torch.fft.rfftfreq(length, 1 / fs, device=signal.device)
        inside = (frequencies >= low) & (frequencies <= high)
        noise = torch.fft.irfft(torch.fft.rfft(white) * inside, n=length)
        # White noise of variance 1 has fs / 2 Hz to spread over, so it holds 2 / fs in each.
        amplitude = self._volts(severity) * _APART * math.sqrt(fs / 2 / (high - low))
        return signal + amplitude * _to_leads(noise, self.leads)


@dataclass(frozen=True, kw_only=True)
class LeadLoss(Corruption):
    """Let electrodes fall off; the leads that need one of them are flat, at 0 mV.

    Severity is the number of lost electrodes, of those that the leads are made of, in a random
    order. A chest electrode takes its own lead along. A limb electrode takes along the two bipolar
    leads that it belongs to and all three augmented ones; the chest leads are then measured against
    what is left of Wilson's terminal and stay as they are, until all three limbs are lost and there
    is nothing to measure against. Where there are fewer electrodes than the severity, all are lost.
    """

    title: ClassVar[str] = "Lead loss"
    sizes: ClassVar[tuple[float, ...]] = (1.0, 2.0, 3.0, 4.0, 6.0)
    size_unit: ClassVar[str] = "electrodes"

    def level(self, severity: int) -> str:
        """Say a severity in words, for tables."""
        return "1 electrode" if severity == 1 else super().level(severity)

    def _corrupt(
        self, signal: Tensor, fs: float, severity: int, real: Tensor, generator: Randomness
    ) -> Tensor:
        names, matrix = electrode_matrix(self.leads)
        needs = torch.as_tensor(matrix != 0, device=signal.device)
        limb = torch.tensor([name in LIMB_ELECTRODES for name in names], device=signal.device)
        own = needs & ~limb
        on_the_chest = own.any(dim=1)
        critical = torch.where(on_the_chest.unsqueeze(1), own, needs)
        against_terminal = on_the_chest & (needs & limb).any(dim=1)
        order = draw(signal, generator, len(names)).argsort(dim=1).argsort(dim=1)
        lost = order < self.size(severity)
        flat = (lost.unsqueeze(1) & critical).any(dim=2)
        no_terminal = (lost | ~limb).all(dim=1, keepdim=True)
        flat |= no_terminal & against_terminal
        return signal.masked_fill(flat.unsqueeze(2), 0.0)


@dataclass(frozen=True, kw_only=True)
class LeadSwap(Corruption):
    """Exchange cables, by the names of the leads.

    Severities are exchanges by how far they lead on real recordings (median root mean square
    difference of 83: 0.10, 0.11, 0.12, 0.15, 0.24 mV): V1 with V3, left arm with left leg, left
    arm with right arm (I turned over, II and III exchanged, aVR and aVL too; the most frequent
    one), right arm with left leg, and the arms together with the whole chest in reverse. 0.4 to 4 %
    of recordings have one (Rudiger et al. 2007). Nothing is drawn, so every record gets the same.
    """

    title: ClassVar[str] = "Lead swap"
    sizes: ClassVar[tuple[float, ...]] = (1.0, 2.0, 3.0, 4.0, 5.0)
    size_unit: ClassVar[str] = ""
    exchanges: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("V1/V3",),
        ("LA/LL",),
        ("LA/RA",),
        ("RA/LL",),
        ("LA/RA", "V1-V6"),
    )

    def level(self, severity: int) -> str:
        """Say which cables are exchanged."""
        return " and ".join(self.exchanges[severity - 1])

    def cannot_occur(self, fs: float) -> str:
        """Say why it cannot occur: a lead that is not there would take another's place."""
        try:
            for exchanges in self.exchanges:
                for one in exchanges:
                    swap_matrix(self.leads, one)
        except SpecError as error:
            return str(error).rstrip(".")
        return ""

    def _corrupt(
        self, signal: Tensor, fs: float, severity: int, real: Tensor, generator: Randomness
    ) -> Tensor:
        for one in self.exchanges[severity - 1]:
            signal = exchange_cables(signal, self.leads, one)
        return signal


def exchange_cables(signal: Tensor, leads: Sequence[str], swap: str) -> Tensor:
    """Record `[B, C, L]` again with two cables exchanged.

    Args:
        signal: `[B, C, L]`.
        leads: Names of its leads.
        swap: `LA/RA`, `LA/LL`, `RA/LL`, `V1/V2`, `V1/V3` or `V1-V6` (the chest in reverse).

    Raises:
        SpecError: The leads do not say what would be recorded.
    """
    return torch.as_tensor(swap_matrix(leads, swap), device=signal.device) @ signal


@dataclass(frozen=True, kw_only=True)
class Clipping(Corruption):
    """Clip at a rail of so many mV on either side of zero, as a saturated amplifier does.

    Recorders are asked to hold 5 mV (IEC 60601-2-25); rails lie lower where an electrode's offset
    eats the range. 2 mV cuts high R waves alone, 0.25 mV most of them.
    """

    title: ClassVar[str] = "Clipping"
    sizes: ClassVar[tuple[float, ...]] = (2.0, 1.5, 1.0, 0.5, 0.25)
    size_unit: ClassVar[str] = "mV"

    def _corrupt(
        self, signal: Tensor, fs: float, severity: int, real: Tensor, generator: Randomness
    ) -> Tensor:
        rail = self._volts(severity)
        return signal.clamp(-rail, rail)


@dataclass(frozen=True, kw_only=True)
class Gain(Corruption):
    """Scale all leads by a factor, or by its inverse, whichever is drawn.

    5 % is what recorders are allowed (IEC 60601-2-25); 2 is the wrong step of the 5, 10, 20 mm/mV
    switch, or a unit that was read wrongly.
    """

    title: ClassVar[str] = "Gain"
    sizes: ClassVar[tuple[float, ...]] = (1.05, 1.1, 1.25, 1.5, 2.0)
    size_unit: ClassVar[str] = "times or divided"

    def level(self, severity: int) -> str:
        """Say a severity in words, for tables."""
        return f"× or ÷ {self.size(severity):g}"

    def cannot_occur(self, fs: float) -> str:
        """Say why it cannot occur: never, in whatever unit."""
        return ""

    def _corrupt(
        self, signal: Tensor, fs: float, severity: int, real: Tensor, generator: Randomness
    ) -> Tensor:
        up = draw(signal, generator, 1, 1) < 0.5
        factor = self.size(severity)
        return signal * torch.where(up, factor, 1 / factor)


@dataclass(frozen=True, kw_only=True)
class TimeShift(Corruption):
    """Begin the recording a little earlier or later, whichever is drawn.

    What moves out of the window is lost, and its first or last sample is held where nothing moved
    in. The heart goes on as before, so a network that cares has learned where in the window it
    looks. Beats repeat, so a larger shift need not be a larger difference.
    """

    title: ClassVar[str] = "Time shift"
    sizes: ClassVar[tuple[float, ...]] = (0.02, 0.05, 0.1, 0.25, 0.5)
    size_unit: ClassVar[str] = "s"

    def cannot_occur(self, fs: float) -> str:
        """Say why it cannot occur: never, in whatever unit."""
        return ""

    def _corrupt(
        self, signal: Tensor, fs: float, severity: int, real: Tensor, generator: Randomness
    ) -> Tensor:
        later = draw(signal, generator, 1) < 0.5
        samples = max(1, round(self.size(severity) * fs))
        shift = torch.where(later, samples, -samples)
        first = real.to(torch.int64).argmax(dim=1, keepdim=True)
        last = (first + real.sum(dim=1, keepdim=True) - 1).clamp_min(0)
        source = torch.arange(signal.shape[-1], device=signal.device) + shift
        source = torch.minimum(torch.maximum(source, first), last)
        return signal.gather(2, source.unsqueeze(1).expand_as(signal))


ECG_CORRUPTIONS: tuple[type[Corruption], ...] = (
    BaselineWander,
    ElectrodeMotion,
    Mains,
    Muscle,
    LeadLoss,
    LeadSwap,
    Clipping,
    Gain,
    TimeShift,
)
"""All of them, in the order of tables."""
