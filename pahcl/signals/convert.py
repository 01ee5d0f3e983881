"""The one way by which a recording is brought to an input contract."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pahcl.errors import SpecError
from pahcl.signals.filters import filter_signal
from pahcl.signals.leads import Row, apply_plan, lead_modality, lead_plan
from pahcl.signals.recording import Recording
from pahcl.signals.repair import repair
from pahcl.signals.resample import resample
from pahcl.signals.spec import Modality, Pad, SignalSpec
from pahcl.signals.units import unit_factor
from pahcl.signals.window import crop_or_pad


@functools.lru_cache
def known_plan(have: tuple[str, ...], want: tuple[str, ...]) -> tuple[Row, ...]:
    """Give `lead_plan`, which is the same for most records of a corpus, from memory."""
    return tuple(lead_plan(have, want))


@functools.lru_cache
def _modalities(leads: tuple[str, ...]) -> frozenset[Modality]:
    return frozenset(kind for kind in map(lead_modality, leads) if kind is not None)


def _require_modality(recording: Recording, spec: SignalSpec) -> None:
    found = _modalities(tuple(recording.leads))
    if found and spec.modality not in found:
        raise SpecError(
            f"Record {recording.record_id} does not fit the contract: modality: it records "
            f"{' and '.join(sorted(map(str, found)))} ({', '.join(recording.leads)}), not "
            f"{spec.modality}."
        )


def _resolution(
    resolution: npt.NDArray[np.float64] | None, plan: Sequence[Row], factor: float
) -> npt.NDArray[np.float64] | None:
    """Follow the converter's steps through lead selection; None where a lead has none."""
    if resolution is None:
        return None
    if all(len(row) == 1 for row in plan):  # no lead is derived
        return np.asarray(resolution[[row[0][0] for row in plan]] * factor, dtype=np.float64)
    steps = []
    for row in plan:
        sources = {float(resolution[index]) for index, _ in row}
        halves = [2.0 * weight for _, weight in row]
        if len(sources) > 1 or any(half != round(half) for half in halves):
            return None
        # Sums and halves of multiples of a step are multiples of half the step.
        odd = any(half % 2 for half in halves)
        steps.append(sources.pop() * factor * (0.5 if odd else 1.0))
    return np.array(steps, dtype=np.float64)


def convert_record(recording: Recording, spec: SignalSpec) -> Recording:
    """Bring a whole record to a contract: leads, unit, missing samples, rate, filter; no window.

    Leads are chosen by name and derived first, so that a lead derived from missing samples is
    missing there too; then missing samples are repaired along time (`quality_flags` and `repair`
    on the recording itself tell which they were). `spec.length` and `spec.normalisation` are left
    to the window and to the device. The filter is applied whatever was filtered before: a caller
    whose samples are filtered already passes a contract without one.

    Args:
        recording: `[C, L]`, NaN where samples are missing.
        spec: The contract.

    Returns:
        A recording with the contract's leads, unit and rate, without NaN. It shares memory with the
        input where nothing had to change. `resolution` is kept only while samples are multiples of
        it: it ends with resampling and filtering.

    Raises:
        SpecError: An item of the contract cannot be met; the text names record and item.
    """
    _require_modality(recording, spec)
    try:
        plan = known_plan(tuple(recording.leads), spec.leads)
        factor = unit_factor(recording.unit, spec.unit)
        signal = apply_plan(recording.signal, plan)
        if factor != 1.0:
            signal = signal * np.float32(factor)
        signal = resample(repair(signal)[0], recording.fs, spec.fs)
        if not spec.filter.is_identity:
            signal = filter_signal(signal, spec.fs, spec.filter)
    except SpecError as error:
        raise SpecError(
            f"Record {recording.record_id} does not fit the contract: {error}"
        ) from error
    exact = recording.fs == spec.fs and spec.filter.is_identity
    return Recording(
        signal=signal,
        fs=spec.fs,
        leads=spec.leads,
        unit=spec.unit,
        record_id=recording.record_id,
        subject_id=recording.subject_id,
        resolution=_resolution(recording.resolution, plan, factor) if exact else None,
        source_sha256=recording.source_sha256,
    )


def convert(
    recording: Recording, spec: SignalSpec, pad: Pad = "center"
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Bring one record to a contract's window: all of the contract but normalisation.

    Normalisation is the device's work (`ToSignal`, `normalise`) and counts real samples alone.

    Args:
        recording: `[C, L0]`.
        spec: The contract; without a length the whole record is the window.
        pad: Where padding goes if the record is shorter than the window.

    Returns:
        `signal` float32 `[C, L]` and `mask` bool `[L]` (true = real signal).

    Raises:
        SpecError: An item of the contract cannot be met; the text names record and item.
    """
    converted = convert_record(recording, spec)
    length = converted.signal.shape[1] if spec.length is None else spec.length
    return crop_or_pad(converted.signal, length, pad)
