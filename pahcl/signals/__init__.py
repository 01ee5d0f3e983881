"""Leads, units, filters, resampling, normalisation and quality of signals.

What needs torch (`ToSignal`, `normalise`, `filter_batch`) is imported when it is first asked for,
so that workers which only read and pack records start without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pahcl.signals.convert import convert, convert_record
from pahcl.signals.filters import filter_signal
from pahcl.signals.leads import STANDARD_12, canonical_lead, lead_modality, select_leads
from pahcl.signals.quality import quality_flags
from pahcl.signals.recording import Recording
from pahcl.signals.repair import repair
from pahcl.signals.resample import resample, resampled_length
from pahcl.signals.spec import Filter, Modality, Normalisation, Pad, SignalSpec
from pahcl.signals.states import HeartStates
from pahcl.signals.units import is_voltage, unit_factor
from pahcl.signals.window import crop_or_pad, window_bounds

if TYPE_CHECKING:
    from pahcl.signals.device import ToSignal
    from pahcl.signals.frequency import filter_batch
    from pahcl.signals.normalisation import normalise

__all__ = [
    "STANDARD_12",
    "Filter",
    "HeartStates",
    "Modality",
    "Normalisation",
    "Pad",
    "Recording",
    "SignalSpec",
    "ToSignal",
    "canonical_lead",
    "convert",
    "convert_record",
    "crop_or_pad",
    "filter_batch",
    "filter_signal",
    "is_voltage",
    "lead_modality",
    "normalise",
    "quality_flags",
    "repair",
    "resample",
    "resampled_length",
    "select_leads",
    "unit_factor",
    "window_bounds",
]

_NEEDS_TORCH = {
    "ToSignal": "pahcl.signals.device",
    "filter_batch": "pahcl.signals.frequency",
    "normalise": "pahcl.signals.normalisation",
}


def __getattr__(name: str) -> object:
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_NEEDS_TORCH[name]), name)
