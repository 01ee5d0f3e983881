"""ECG on millimetre paper: 25 mm/s and 10 mm/mV, as a cardiologist reads it.

A strip is laid out here in millimetres and drawn by the macro `strip` of `parts.html.j2`: vector
drawing of a few ten kilobytes, sharp in print and true to scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pahcl.signals.leads import STANDARD_12
from pahcl.signals.recording import Recording
from pahcl.signals.repair import repair
from pahcl.signals.resample import resample
from pahcl.signals.units import unit_factor

Array = npt.NDArray[np.float64]

MM_PER_SECOND = 25.0
MM_PER_MILLIVOLT = 10.0
MOST_SECONDS = 10.0
"""What a page of paper holds; a longer record shows its middle, where a centre crop lies."""

SHORTEST_FOR_COLUMNS = 6.0
"""Seconds below which four columns would show less than one and a half seconds each."""

DRAWN_FS = 250.0
"""Samples a second that are drawn: ten a millimetre, finer than a printed line."""

STEP_MM = 0.02
"""Height of a step of the drawn line in mm; 2 µV."""

MARGIN_MM = 5.0
MOST_AT_EDGE = 100.0
"""Room in mm that a tall wave has at the head and foot; more is no heart's voltage."""

PULSE_MM = 10.0
"""Room at the left for the calibration pulse."""

LABEL_MM = 3.4
"""Size of a lead's name."""

LABEL_PLACES = (8, 9, 10, 11, 12, 7, 6, 5, 13, 14, 15, 16, -7, -8, -9, -10, -11, 17, 18, 20, 22, 24)
"""Heights in mm above the baseline at which a name may stand, the best one first."""

LABEL_SHIFTS = (1.0, 5.0, 9.0)
"""Distances in mm from a lead's left end at which its name may begin."""

RHYTHM_LEAD = "II"
COLUMNS = (STANDARD_12[:3], STANDARD_12[3:6], STANDARD_12[6:9], STANDARD_12[9:])


@dataclass(frozen=True)
class Trace:
    """Hold one lead's line.

    Args:
        lead: Name written at its beginning.
        x: Left end in mm.
        y: Baseline in mm from the top.
        path: SVG path in samples and steps of `STEP_MM`.
        label: Where the name begins and stands, in mm from the left and from the top.
    """

    lead: str
    x: float
    y: float
    path: str
    label: tuple[float, float]


@dataclass(frozen=True)
class Line:
    """Hold one lead's line before it is drawn.

    Args:
        lead: The lead.
        x: Left end in mm.
        y: Baseline in mm from the top.
        step: Millimetres from one sample to the next.
        values: In mV.
    """

    lead: str
    x: float
    y: float
    step: float
    values: Array

    @property
    def lowest(self) -> float:
        """Give the lowest point in mm from the top."""
        return self.y - float(self.values.min(initial=0)) * MM_PER_MILLIVOLT

    def meets(self, left: float, right: float, top: float, bottom: float) -> bool:
        """Say whether the line runs through a box, given in mm of the sheet."""
        first = max(0, int((left - self.x) / self.step))
        inside = self.values[first : max(0, int((right - self.x) / self.step) + 2)]
        heights = self.y - inside * MM_PER_MILLIVOLT
        if len(heights) < 2:
            return False
        upper, lower = np.minimum(heights[:-1], heights[1:]), np.maximum(heights[:-1], heights[1:])
        return bool(((upper < bottom) & (lower > top)).any())


@dataclass(frozen=True)
class Strip:
    """Hold a sheet of paper.

    Args:
        width: In mm.
        height: In mm.
        traces: The lines.
        pulses: Baselines in mm of the rows, each with a calibration pulse at its left.
        mm_per_sample: Horizontal scale of the paths.
        seconds: Duration shown.
        note: What a reader must know: that the record is longer, or that samples were missing.
        gain: How many times as high the lines are as those of a record.
    """

    width: float
    height: float
    traces: tuple[Trace, ...]
    pulses: tuple[float, ...]
    mm_per_sample: float
    seconds: float
    note: str
    gain: float = 1.0

    @property
    def scale(self) -> str:
        """Write the scale, as it stands at the foot of the sheet; a pulse is 10 mm high."""
        height = "10 mm/mV" if self.gain == 1 else f"10 mm = {1000 / self.gain:,.3g} µV"
        return f"{MM_PER_SECOND:g} mm/s · {height}"

    @property
    def step(self) -> float:
        """Give the height of a step of the paths in mm."""
        return STEP_MM


def lay_out(recording: Recording, gain: float | None = None) -> Strip:
    """Lay a recording out on paper.

    Twelve leads stand in three rows of four columns over a rhythm strip of lead II, each column a
    quarter of the time, as printed by an electrocardiograph; other leads, and short records, stand
    one below the other over the whole time. Each lead is shifted so that its median lies on its
    baseline.

    Args:
        recording: Record in a unit of voltage.
        gain: For what was added to a record: how many times as high it is drawn, and no lead is
            shifted. None draws the record itself.

    Raises:
        SpecError: The unit is none of voltage.
    """
    signal, fs, notes = _prepare(recording)
    if gain is not None:
        signal = signal * gain
    elif signal.shape[1]:
        signal = signal - np.median(signal, axis=1, keepdims=True)
    seconds = signal.shape[1] / fs
    leads = recording.leads
    twelve = set(STANDARD_12) <= set(leads) and seconds >= SHORTEST_FOR_COLUMNS
    row_leads = _rows_of_columns() if twelve else [[(lead, 0.0, 1.0)] for lead in leads]
    rows = [[(lead, a, b, signal[leads.index(lead)]) for lead, a, b in row] for row in row_leads]
    width_of_time = seconds * MM_PER_SECOND
    lines: list[Line] = []
    pulses: list[float] = []
    bottom = baseline = MARGIN_MM
    for row in rows:
        pieces = [(lead, a, _cut(values, a, b)) for lead, a, b, values in row]
        up, down = _reach([values for _, _, values in pieces], row is rows[0])
        baseline = _snap(bottom + up)
        pulses.append(baseline)
        for lead, begin, values in pieces:
            x = MARGIN_MM + PULSE_MM + _first(begin, signal.shape[1]) * MM_PER_SECOND / fs
            lines.append(Line(lead, round(x, 3), baseline, MM_PER_SECOND / fs, values))
        bottom = baseline + down
    lowest = max((line.lowest for line in lines), default=bottom)
    bottom = max(bottom, min(lowest + 2, baseline + MOST_AT_EDGE))
    traces = [
        Trace(line.lead, line.x, line.y, _path(line.values), _place(line, lines)) for line in lines
    ]
    return Strip(
        width=_snap(2 * MARGIN_MM + PULSE_MM + width_of_time),
        height=_snap(bottom + MARGIN_MM),
        traces=tuple(traces),
        pulses=tuple(pulses),
        mm_per_sample=MM_PER_SECOND / fs,
        seconds=seconds,
        note="; ".join(notes),
        gain=1.0 if gain is None else gain,
    )


def _rows_of_columns() -> list[list[tuple[str, float, float]]]:
    rows = [
        [(COLUMNS[column][row], column / 4, (column + 1) / 4) for column in range(4)]
        for row in range(3)
    ]
    return [*rows, [(RHYTHM_LEAD, 0.0, 1.0)]]


def _prepare(recording: Recording) -> tuple[Array, float, list[str]]:
    """Bring a signal to mV, to the time that is shown, and to the rate that is drawn."""
    notes = []
    factor = unit_factor(recording.unit, "mV")
    signal, missing = repair(recording.signal)
    fs = float(recording.fs)
    if missing.any():
        notes.append(f"{int(missing.sum())} missing samples were interpolated")
    shown = round(MOST_SECONDS * fs)
    length = signal.shape[1]
    if length > round(1.05 * shown):
        begin = (length - shown) // 2
        signal = signal[:, begin : begin + shown]
        notes.append(f"the middle {MOST_SECONDS:g} s of {length / fs:.1f} s are shown")
    if fs > DRAWN_FS:
        signal, fs = resample(signal, fs, DRAWN_FS), DRAWN_FS
    return np.asarray(signal, dtype=np.float64) * factor, fs, notes


def _place(line: Line, lines: list[Line]) -> tuple[float, float]:
    """Find a place for a lead's name where no line runs through it, near the lead's beginning.

    That is above the line; below it, or further to the right, where a wave stands at the very
    beginning. Where all room is taken, the name stays at its usual place, under the line.
    """
    width = 0.8 * LABEL_MM * len(line.lead)
    for shift in LABEL_SHIFTS:
        for above in LABEL_PLACES:
            left, foot = line.x + shift, line.y - above
            top = foot - LABEL_MM
            box = (left - 0.6, left + width, top - 0.5, foot + 0.5)
            if top > MARGIN_MM / 2 and not any(other.meets(*box) for other in lines):
                return left, foot
    return line.x + LABEL_SHIFTS[0], line.y - LABEL_PLACES[0]


def _first(share: float, length: int) -> int:
    return round(share * length)


def _cut(values: Array, begin: float, end: float) -> Array:
    return values[_first(begin, len(values)) : _first(end, len(values))]


def _reach(pieces: list[Array], first: bool) -> tuple[float, float]:
    """Choose the room above and below a row's baseline in mm: never cramped, never wasted.

    Between two rows tall waves may cross, as on any recorder; those of the first have their room.
    """
    highest = max((float(values.max(initial=0)) for values in pieces), default=0.0)
    lowest = min((float(values.min(initial=0)) for values in pieces), default=0.0)
    up = float(np.clip(highest * MM_PER_MILLIVOLT + 2, 13, MOST_AT_EDGE if first else 30))
    down = float(np.clip(-lowest * MM_PER_MILLIVOLT + 2, 7, 25))
    return up, down


def _snap(value: float) -> float:
    """Round up to a whole large square, so that every baseline lies on the grid."""
    return float(np.ceil(round(value / 5, 6)) * 5)


def _path(values: Array) -> str:
    """Write a line as relative moves: one sample to the right, so many steps up or down."""
    if not len(values):
        return ""
    steps = np.round(-values * MM_PER_MILLIVOLT / STEP_MM).astype(int)
    moves = " ".join(f"1 {move}" for move in np.diff(steps).tolist()).replace(" -", "-")
    return f"M0 {steps[0]}" + (f"l{moves}" if moves else "")
