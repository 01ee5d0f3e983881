"""EDF, EDF+ and BDF files, by pyedflib."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pyedflib

from data_modules._own.raw import MOST_VALUES, Raw, require_size
from pahcl.errors import RecordError
from pahcl.signals.leads import lead_modality
from pahcl.signals.units import is_voltage, unit_factor
from pahcl.store import is_machines_fault

_PREFIX = re.compile(r"^(ecg|ekg)[\s_-]+(?=\S)", re.IGNORECASE)
_ERRORS = (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, MemoryError)


def read(path: Path, key: str | None, row: int | None) -> Raw:
    """Read the signals of a file that have one rate: those of known leads, or all.

    Args:
        path: The file.
        key: Must be None.
        row: Must be None.

    Raises:
        RecordError: It is damaged, discontinuous, or its signals differ in rate or unit.
        OSError: The machine cannot read it now.
    """
    if row is not None or key is not None:
        raise RecordError("an EDF file holds one record, no rows and no data sets")
    require_size(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        with pyedflib.EdfReader(
            str(path), annotations_mode=pyedflib.DO_NOT_READ_ANNOTATIONS
        ) as file:
            return _signals(file, digest)
    except _ERRORS as error:
        if isinstance(error, OSError) and is_machines_fault(error):
            raise
        text = str(error).replace(str(path), path.name).replace("\n", " ")
        raise RecordError(f"not a readable EDF file ({text[:160]})") from error


def _signals(file: pyedflib.EdfReader, digest: str) -> Raw:
    labels = [_PREFIX.sub("", label.strip()) for label in file.getSignalLabels()]
    known = [at for at, label in enumerate(labels) if lead_modality(label) is not None]
    chosen = known or list(range(len(labels)))
    if not chosen:
        raise RecordError("the file holds no signal")
    rates = {float(file.getSampleFrequency(at)) for at in chosen}
    counts = {int(file.getNSamples()[at]) for at in chosen}
    if len(rates) != 1 or len(counts) != 1:
        raise RecordError(f"the signals differ in rate ({', '.join(f'{r:g}' for r in rates)} Hz)")
    if counts.copy().pop() * len(chosen) > MOST_VALUES:
        raise RecordError(f"it announces {counts.pop()} samples a signal, more than any record")
    units = [file.getPhysicalDimension(at).strip() for at in chosen]
    unit = units[0]
    if len(set(units)) > 1 and not all(map(is_voltage, units)):
        raise RecordError(f"the signals have different units: {', '.join(sorted(set(units)))}")
    rows, steps = [], []
    for at, own in zip(chosen, units, strict=True):
        factor = unit_factor(own, unit)
        lowest, highest = int(file.getDigitalMinimum(at)), int(file.getDigitalMaximum(at))
        span = float(file.getPhysicalMaximum(at)) - float(file.getPhysicalMinimum(at))
        if highest <= lowest or not np.isfinite(span) or span == 0:
            raise RecordError(f"the header states no step for {labels[at]}")
        step = span / (highest - lowest)
        zero = float(file.getPhysicalMaximum(at)) / step - float(highest)
        rows.append(file.readSignal(at) * factor)
        # Samples are multiples of the step only where a whole count means zero.
        steps.append(abs(step * factor) if abs(zero - round(zero)) < 1e-6 else np.nan)
    whole = bool(np.isfinite(steps).all())
    return Raw(
        np.stack(rows),
        rates.pop(),
        unit or None,
        tuple(labels[at] for at in chosen),
        digest,
        np.array(steps) if whole else None,
    )
