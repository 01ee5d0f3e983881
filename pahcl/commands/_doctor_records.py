"""What `pahcl doctor` reads out of the signals: of each record, and of all that it has read."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pahcl.errors import SpecError
from pahcl.signals.amplitude import guess_unit, typical_amplitude
from pahcl.signals.beats import beats_per_minute, guess_rate
from pahcl.signals.lead_check import (
    LimbVerdict,
    arms_look_exchanged,
    check_limb_leads,
    chest_likeness,
    guess_chest_order,
)
from pahcl.signals.leads import CHEST_LEADS, canonical_lead, lead_modality
from pahcl.signals.quality import IMPLAUSIBLE_MILLIVOLT, flagged_leads
from pahcl.signals.recording import Recording
from pahcl.signals.repair import repair
from pahcl.signals.spec import Modality
from pahcl.signals.units import is_voltage, unit_factor
from pahcl.store.verify import Finding

SHARE_OF_ALL = 0.2
"""Share of the records that read above which a fault is one of the data set, not of records."""

FEWEST = 5
"""Records below which nothing is said of a data set as a whole."""

SHORTEST_S = 1.0
NEAR_SILENCE = 1e-3
"""A sound whose peak is below -60 dB of full scale: 33 of the 32,768 steps of 16 bits."""

UNLIKE = 30.0
"""Factor by which the size of one record may differ from the others' median: 486 real records of
four data sets lie within 4; mV and uV differ by 1,000."""

STEP_MV = 1e-3
"""Step in mV in which the contents of voltages are compared; other samples in 1/32768."""

_CHEST_AT_LEAST = 10


@dataclass
class Survey:
    """Gather what single records say, to judge the data set as a whole.

    Args:
        findings: What was found in single records.
        digests: Content of each record that was read, by its position in the table.
        unsaid: What the files do not say, of `unit`, `rate` and `leads`; it was assumed.
    """

    unsaid: frozenset[str] = frozenset()

    findings: list[Finding] = field(default_factory=list)
    digests: dict[int, bytes] = field(default_factory=dict)
    read: int = 0
    _sizes: dict[str, list[tuple[str, float]]] = field(default_factory=lambda: defaultdict(list))
    _beats: dict[tuple[float, Modality], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _limbs: dict[str, LimbVerdict] = field(default_factory=dict)
    _arms: dict[str, bool] = field(default_factory=dict)
    _chest: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((6, 6)))
    _chests: int = 0

    def add(self, position: int, recording: Recording) -> None:
        """Take in one record."""
        self.read += 1
        found = self.findings
        found += quality_of(recording, judge_size="unit" not in self.unsaid)
        if recording.signal.size == 0:
            return
        if (digest := content_digest(recording)) is not None:
            self.digests[position] = digest
        size = typical_amplitude(recording.signal)
        if np.isfinite(size):
            self._sizes[recording.unit].append((recording.record_id, size))
            beats = beats_per_minute(recording.signal, recording.fs)
            self._beats[recording.fs, _modality(recording)].append(beats)
        if _modality(recording) == "ecg":
            self._add_leads(recording)

    def _add_leads(self, recording: Recording) -> None:
        what = recording.signal, recording.leads, recording.fs
        verdict = check_limb_leads(*what)
        if verdict is not None:
            known = is_voltage(recording.unit) and "unit" not in self.unsaid
            factor = unit_factor(recording.unit, "mV") if known else 1.0
            self._limbs[recording.record_id] = replace(verdict, worst=verdict.worst * factor)
        arms = arms_look_exchanged(*what)
        if arms is not None:
            self._arms[recording.record_id] = arms
        likeness = chest_likeness(*what)
        if likeness is not None:
            self._chest += likeness
            self._chests += 1

    def conclude(self, name: str) -> Iterator[Finding]:
        """Say what the records tell together.

        Args:
            name: What the data set is called in a finding.
        """
        yield from self.findings
        yield from self._units(name)
        yield from self._rates(name)
        yield from self._limb_leads(name)
        yield from self._arm_cables(name)
        yield from self._chest_leads(name)

    def _units(self, name: str) -> Iterator[Finding]:
        for unit, named in self._sizes.items():
            sizes = [size for _, size in named]
            if not is_voltage(unit):
                continue
            guess = guess_unit(sizes, unit)
            if guess is None:
                continue
            if "unit" in self.unsaid:
                text = (
                    "the files do not say their unit; by a record's median size of "
                    f"{guess.amplitude:.3g} ({guess.records} records; hearts give about 1 mV) it "
                    f"is {guess.likely or 'none that is usual'}"
                )
                yield Finding("unit", name, text, "hint")
            elif not guess.plausible:
                likely = (
                    f"the numbers look like {guess.likely}"
                    if guess.likely
                    else ("no usual unit explains it")
                )
                text = (
                    f"stated is {unit}, but a record's median size is {guess.amplitude:.3g} {unit} "
                    f"({guess.records} records; hearts give about 1 mV): {likely}"
                )
                yield Finding("unit", name, text)
            yield from _unlike_others(named, unit)

    def _rates(self, name: str) -> Iterator[Finding]:
        for (fs, modality), beats in self._beats.items():
            guess = guess_rate(beats, fs, modality)
            if guess is None or (guess.plausible and "rate" not in self.unsaid):
                continue
            likely = " or ".join(f"{rate:g}" for rate in guess.likely)
            if "rate" in self.unsaid:
                text = (
                    "the files do not say their rate; hearts of a usual rate are in "
                    f"{guess.records} records at {likely or 'none of the common rates'} Hz"
                )
                yield Finding("sampling rate", name, text, "hint")
                continue
            text = (
                f"stated is {fs:g} Hz, at which the median heart rate of {guess.records} records "
                f"is {guess.beats_per_minute:.0f} beats a minute"
                + (f"; at {likely} Hz it would be usual" if likely else "")
            )
            # An implausible heart alone may be one: of sleeping mice, or of none at all.
            yield Finding("sampling rate", name, text, "error" if likely else "hint")

    def _limb_leads(self, name: str) -> Iterator[Finding]:
        said = Counter(verdict.exchanges for verdict in self._limbs.values() if verdict.exchanges)
        common = {
            exchanges
            for exchanges, count in said.items()
            if count >= FEWEST and count > SHARE_OF_ALL * len(self._limbs)
        }
        for exchanges in sorted(common):
            text = (
                f"III = II - I and aVR, aVL, aVF are contradicted in {said[exchanges]} of "
                f"{len(self._limbs)} records, and hold with {' (or: '.join(exchanges)}"
                + ")"
                * (len(exchanges) - 1)
            )
            yield Finding("leads exchanged", name, text)
        if "leads" in self.unsaid and not common and self._limbs:
            text = "the files do not name their channels; taken for I, II, III, aVR ... V6"
            yield Finding("leads", name, text, "hint")
        for record, verdict in self._limbs.items():
            if verdict.exchanges not in common:
                yield from _of_limbs(record, verdict, "" if "unit" in self.unsaid else " mV")

    def _arm_cables(self, name: str) -> Iterator[Finding]:
        turned = [record for record, exchanged in self._arms.items() if exchanged]
        seen = (
            "lead I goes against V6 and aVR points up: perhaps the arms' electrodes are exchanged"
        )
        if len(turned) >= FEWEST and len(turned) > SHARE_OF_ALL * len(self._arms):
            text = f"{seen} in {len(turned)} of {len(self._arms)} records, or leads are inverted"
            yield Finding("arm electrodes", name, text, "warning")
            return
        for record in turned:
            yield Finding("arm electrodes", record, f"{seen}, or it is a dextrocardia", "hint")

    def _chest_leads(self, name: str) -> Iterator[Finding]:
        if self._chests < _CHEST_AT_LEAST:
            return
        order = guess_chest_order(self._chest / self._chests)
        moved = [
            f"{called} like {true}"
            for called, true in zip(CHEST_LEADS, order, strict=False)
            if called != true
        ]
        if moved:
            text = (
                f"by their likeness to each other in {self._chests} records they stand in another "
                f"order: {', '.join(moved)}"
            )
            yield Finding("chest leads", name, text, "hint")


def _modality(recording: Recording) -> Modality:
    """Say what was recorded; what cannot be told may be a sound."""
    known = {lead_modality(name) for name in recording.leads}
    return "ecg" if "ecg" in known and "pcg" not in known else "pcg"


def _unlike_others(named: list[tuple[str, float]], unit: str) -> Iterator[Finding]:
    """Name records that are of quite another size than the others."""
    if len(named) < FEWEST:
        return
    usual = float(np.median([size for _, size in named]))
    for record, size in named:
        if not 1 / UNLIKE < size / usual < UNLIKE:
            text = f"its size is {size:.3g} {unit}, the others' median {usual:.3g}: another unit?"
            yield Finding("size unlike the others", record, text, "warning")


def _of_limbs(record: str, verdict: LimbVerdict, unit: str) -> Iterator[Finding]:
    if verdict.exchanges:
        text = f"the limb leads' identities hold with {', or '.join(verdict.exchanges)}"
        yield Finding("leads exchanged", record, text, "warning")
    elif verdict.is_broken:
        text = (
            f"{verdict.contradiction:.0%} of the limb leads' size contradicts III = II - I and the "
            "augmented leads, and no exchange of names explains it"
        )
        yield Finding("limb leads disagree", record, text, "warning")
    elif verdict.broken:
        text = (
            f"{', '.join(verdict.equations)} broken in {verdict.broken} sample(s), by up to "
            f"{verdict.worst:.2g}{unit} (at sample {verdict.at})"
        )
        yield Finding("limb leads disagree", record, text, "warning")


def quality_of(recording: Recording, judge_size: bool) -> Iterator[Finding]:
    """Say what is wrong with the leads of one record, each by name.

    Args:
        recording: The record.
        judge_size: Whether its unit is known, and what no heart makes can be told.
    """
    record, signal, leads = recording.record_id, recording.signal, recording.leads
    if signal.shape[1] < SHORTEST_S * recording.fs:
        text = f"{signal.shape[1]} samples, less than {SHORTEST_S:g} s"
        yield Finding("short", record, text, "warning")
    if not signal.size:
        return
    flagged = flagged_leads(signal, recording.fs, recording.unit)
    names = {flag: ", ".join(leads[lead] for lead in found) for flag, found in flagged.items()}
    if len(flagged["flat"]) == len(leads):
        yield Finding("flat", record, "nothing is recorded: every lead is flat", "warning")
    elif len(flagged["flat"]):
        yield Finding("flat", record, f"flat: {names['flat']}", "warning")
    if len(flagged["nan"]):
        share = 1 - float(np.isfinite(signal).mean())
        text = f"samples missing in {names['nan']} ({share:.2%} of all)"
        yield Finding("missing samples", record, text, "warning")
    if len(flagged["clipped"]):
        yield Finding("clipped", record, f"at a rail: {names['clipped']}", "hint")
    if len(flagged["implausible"]) and judge_size:
        worst = signal.flat[np.nanargmax(np.abs(np.nan_to_num(signal, posinf=0, neginf=0)))]
        worst = worst * unit_factor(recording.unit, "mV")
        limit = f"{IMPLAUSIBLE_MILLIVOLT:g} mV"
        text = f"beyond {limit} in {names['implausible']} (up to {worst:.3g} mV)"
        yield Finding("artefact", record, text, "warning")
    yield from _sound_of(recording)


def _sound_of(recording: Recording) -> Iterator[Finding]:
    if recording.unit != "full scale":
        return
    peak = float(np.nanmax(np.abs(recording.signal), initial=0.0))
    if peak > 1 + 1e-6:
        text = f"samples up to {peak:.3g} of full scale: counts rather than fractions of it?"
        yield Finding("unit", recording.record_id, text, "warning")
    elif 0 < peak < NEAR_SILENCE:
        text = f"its loudest sample is {peak:.2g} of full scale ({20 * np.log10(peak):.0f} dB)"
        yield Finding("near silence", recording.record_id, text, "warning")


def content_digest(recording: Recording) -> bytes | None:
    """Name the content of a record, whatever file, unit and order of leads it came in.

    Returns:
        16 bytes of SHA-256 over the samples in steps of a microvolt (of 1/32768 where the unit is
        none of voltage), lead after lead by name; None where nothing moves.
    """
    signal, _ = repair(recording.signal)
    if not (signal.shape[1] > 1 and np.ptp(signal, axis=1).any()):
        return None
    voltage = is_voltage(recording.unit)
    factor = unit_factor(recording.unit, "mV") / STEP_MV if voltage else 32768.0
    steps = np.clip(np.rint(signal.astype(np.float64) * factor), -(2**31), 2**31 - 1)
    names = [_spelt(name) for name in recording.leads]
    order = sorted(range(len(names)), key=names.__getitem__)
    content = hashlib.sha256(" ".join(names[lead] for lead in order).encode())
    content.update(steps[order].astype("<i4").tobytes())
    return content.digest()[:16]


def _spelt(name: str) -> str:
    try:
        return canonical_lead(name)
    except SpecError:
        return name
