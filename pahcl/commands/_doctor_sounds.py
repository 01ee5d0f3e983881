"""What `pahcl doctor` says of annotated heart sounds: gaps, overlaps, and where states end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pahcl.errors import PahclError
from pahcl.signals.recording import Recording
from pahcl.signals.states import DIASTOLE, SYSTOLE, HeartStates
from pahcl.store import Finding

TOLERANCE_S = 1e-6
"""Publishers write times with six decimals."""

EARLY_S = 2.0
"""Seconds without any state before a record ends, beyond which its annotation stops early: more
than a heart cycle."""

_NAMED = 8


@dataclass
class States:
    """Gather what the states of single records show."""

    findings: list[Finding] = field(default_factory=list)
    annotated: int = 0
    _gaps: Counter[str] = field(default_factory=Counter)
    _overlaps: Counter[str] = field(default_factory=Counter)
    _widest: float = 0.0

    def add(self, module: Any, root: Path, row: Mapping[str, Any], recording: Recording) -> None:
        """Take in the states of one record, where its data set has any."""
        record = recording.record_id
        try:
            states: HeartStates | None = module.states(root, row)
        except (PahclError, OSError, ValueError, KeyError) as error:
            self.findings.append(Finding("states", record, str(error), "warning"))
            return
        if states is None or not len(states):
            return
        self.annotated += 1
        if not np.isin(states.state, (SYSTOLE, DIASTOLE)).any():
            return  # the sounds alone were marked, so that there is something between them
        between = states.start[1:] - states.end[:-1]
        self._gaps[record] += int((between > TOLERANCE_S).sum())
        self._overlaps[record] += int((between < -TOLERANCE_S).sum())
        self._widest = max(self._widest, float(np.abs(between).max(initial=0.0)))
        seconds = recording.signal.shape[1] / recording.fs
        last = float(states.end.max())
        if last > seconds + 1 / recording.fs:
            text = f"states run to {last:.2f} s, but the sound ends at {seconds:.2f} s"
            self.findings.append(Finding("states", record, text, "warning"))
        elif seconds - last > EARLY_S:
            text = f"states end at {last:.2f} s of {seconds:.2f} s"
            self.findings.append(Finding("states end early", record, text, "hint"))

    def conclude(self, name: str) -> Iterator[Finding]:
        """Say what the states tell together."""
        yield from self.findings
        for kind, counts in (("gaps", self._gaps), ("overlaps", self._overlaps)):
            records = [record for record, count in counts.items() if count]
            if records:
                shown = ", ".join(records[:_NAMED]) + (", …" if len(records) > _NAMED else "")
                text = (
                    f"{counts.total()} {kind} between states in {len(records)} of "
                    f"{self.annotated} annotated records ({shown}); gaps and overlaps are at most "
                    f"{1000 * self._widest:.3g} ms"
                )
                yield Finding(f"{kind} between states", name, text, "hint")
