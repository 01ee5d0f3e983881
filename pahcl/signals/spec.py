"""What an encoder expects of its input."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from pahcl.errors import UsageError

Modality = Literal["ecg", "pcg"]
Normalisation = Literal["none", "zscore_lead", "zscore_record", "robust", "minmax"]
Pad = Literal["center", "end"]
"""Where a record shorter than its window lies: in the middle, or at the start."""


@dataclass(frozen=True)
class Filter:
    """Describe a zero-phase filter; None leaves that part out.

    Args:
        highpass: Lower cut-off in Hz, against baseline wander.
        lowpass: Upper cut-off in Hz.
        notch: Mains frequency to remove, in Hz (50 in Europe, 60 in the Americas).
    """

    highpass: float | None = None
    lowpass: float | None = None
    notch: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not value > 0:
                raise UsageError(f"Filter.{name} must be a positive frequency in Hz, got {value}.")
        if self.highpass and self.lowpass and self.highpass >= self.lowpass:
            raise UsageError(
                f"Filter passes nothing: highpass {self.highpass} Hz is not below lowpass "
                f"{self.lowpass} Hz."
            )

    @property
    def is_identity(self) -> bool:
        """Say whether nothing is filtered."""
        return self == _IDENTITY


_IDENTITY = Filter()


@dataclass(frozen=True)
class SignalSpec:
    """State an input contract: stored in every checkpoint and store, compared by name.

    Args:
        modality: `ecg` or `pcg`.
        fs: Sampling rate in Hz.
        length: Window in samples; None in a store of ragged records.
        leads: Lead names in order, canonical spelling (`I`, `aVR`, `V1`).
        unit: Physical unit of the samples before normalisation.
        filter: What was filtered.
        normalisation: What is normalised on the device.
    """

    modality: Modality
    fs: float
    length: int | None
    leads: tuple[str, ...]
    unit: str = "mV"
    filter: Filter = Filter()
    normalisation: Normalisation = "none"

    def differences(self, other: SignalSpec) -> list[str]:
        """Name each item in which the other contract differs, as `item: ours, not theirs`."""
        return [
            f"{field.name}: {getattr(self, field.name)}, not {getattr(other, field.name)}"
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Write the contract as plain types, as manifests and checkpoints keep it."""
        return {**asdict(self), "leads": list(self.leads)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SignalSpec:
        """Read what `to_dict` wrote."""
        return cls(
            **{**values, "leads": tuple(values["leads"]), "filter": Filter(**values["filter"])}
        )

    def digest(self) -> str:
        """Give twelve hexadecimal digits that name this contract, for cache folders."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
