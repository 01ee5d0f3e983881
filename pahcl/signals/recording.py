"""What a data set's reader returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pahcl.errors import RecordError


@dataclass
class Recording:
    """Hold one record in physical units.

    Args:
        signal: `[leads, samples]` float32 in `unit`; NaN where the publisher marks missing samples.
        fs: Sampling rate in Hz.
        leads: Names of the leads, in the order of `signal`.
        unit: Physical unit of the samples, for example `mV`.
        record_id: Identifier of the record, unique within its data set.
        subject_id: Identifier of the person.
        resolution: Step of the publisher's converter in `unit`, one a lead `[leads]`, where the
            samples are integer multiples of it; a store then keeps them without any error.
        source_sha256: Checksum of the publisher's bytes that this record was read from.
    """

    signal: npt.NDArray[np.float32]
    fs: float
    leads: tuple[str, ...]
    unit: str
    record_id: str
    subject_id: str
    resolution: npt.NDArray[np.float64] | None = None
    source_sha256: str | None = None

    def __post_init__(self) -> None:
        if self.signal.ndim != 2 or self.signal.shape[0] != len(self.leads):
            raise RecordError(
                f"the signal must have the shape [leads, samples] with {len(self.leads)} leads "
                f"({', '.join(self.leads)}), got {self.signal.shape}"
            )
        if not self.fs > 0:
            raise RecordError(f"the sampling rate must be positive, got {self.fs} Hz")
