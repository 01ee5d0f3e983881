"""What a beat looks like: Gaussian events of a heart vector, seen from eight leads.

That an ECG is a sum of Gaussian events around each R wave is the idea of ECGSYN (McSharry,
Clifford, Tarassenko, Smith: A dynamical model for generating synthetic electrocardiogram signals,
IEEE Trans. Biomed. Eng. 50(3), 2003). Here each event is a vector in Frank's axes (x to the left,
y to the feet, z to the back), so that twelve leads agree with one heart, and a lead is its
projection by Dower's coefficients (Dower, Machado, Osborne: On deriving the electrocardiogram from
vectorcardiographic leads, Clin. Cardiol. 3, 1980), varied from chest to chest. Amplitudes are mV,
times are seconds after the R wave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pahcl.simulation.population import Case, Generator
from pahcl.simulation.rhythm import ATRIAL, CONDUCTED, VENTRICULAR

Floats = npt.NDArray[np.float64]

INDEPENDENT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
"""The leads that carry all information; the other four follow from I and II."""

DOWER = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
"""`[8, 3]` leads of `INDEPENDENT` seen by a heart vector in Frank's axes."""

EVENTS = ("P1", "P2", "Q", "R", "S", "late", "notch", "scar", "ST", "T", "T2")
"""Slots of a beat, in order of time; an event that a beat lacks has the amplitude 0."""

_AT = {name: place for place, name in enumerate(EVENTS)}
_REPOLARISATION = (_AT["ST"], _AT["T"], _AT["T2"])


@dataclass(frozen=True)
class Template:
    """Hold the beats of one record by kind (`CONDUCTED`, `VENTRICULAR`, `ATRIAL`).

    Args:
        centre: `[3, E]` centres in seconds after the R wave.
        left: `[3, E]` width before the centre (standard deviation, seconds).
        right: `[3, E]` width after the centre.
        amplitude: `[3, E, 8]` amplitudes in mV at the leads of `INDEPENDENT`.
        leads: `[8, 3]` lead vectors of this subject.
    """

    centre: Floats
    left: Floats
    right: Floats
    amplitude: Floats
    leads: Floats

    def beat(self, fs: float = 1000.0) -> Floats:
        """Draw the conducted beat alone, `[8, samples]` in mV from -0.45 s to 0.65 s."""
        time = np.arange(-0.45, 0.65, 1 / fs)
        gap = time[:, None] - self.centre[CONDUCTED]
        width = np.where(gap < 0, self.left[CONDUCTED], self.right[CONDUCTED])
        shape: Floats = np.exp(-0.5 * (gap / width) ** 2)
        return np.asarray(self.amplitude[CONDUCTED].T @ shape.T)


class _Sketch:
    """Collect the events of one kind of beat in Frank's axes."""

    def __init__(self) -> None:
        self.centre = np.zeros(len(EVENTS))
        self.left = np.full(len(EVENTS), 0.02)
        self.right = np.full(len(EVENTS), 0.02)
        self.vector = np.zeros((len(EVENTS), 3))

    def put(
        self,
        name: str,
        centre: float,
        width: float | tuple[float, float],
        vector: tuple[float, float, float],
    ) -> None:
        """Place an event: centre and width in seconds, vector `(x, y, z)` in mV."""
        place = _AT[name]
        left, right = width if isinstance(width, tuple) else (width, width)
        self.centre[place], self.left[place], self.right[place] = centre, left, right
        self.vector[place] = vector

    def scale(self, name: str, factor: float | tuple[float, float, float]) -> None:
        """Multiply the vector of an event, in all directions or in each."""
        self.vector[_AT[name]] *= factor

    def add(self, name: str, x: float, y: float, z: float) -> None:
        """Add to the vector of an event."""
        self.vector[_AT[name]] += (x, y, z)


def draw_template(rng: Generator, case: Case) -> Template:
    """Draw the beats of a record: its subject's heart, changed by the conditions in `truth`."""
    leads = DOWER + case.subject.build * np.abs(DOWER).mean(axis=1, keepdims=True)
    conducted = _normal_beat(rng, case)
    _block(conducted, rng, case)
    _hypertrophy(conducted, rng, case)
    _ischaemia(conducted, rng, case)
    local = _infarction(conducted, rng, case)
    atrial = _atrial_beat(conducted, rng)
    ventricular = _ventricular_beat(rng)
    kinds = {CONDUCTED: conducted, VENTRICULAR: ventricular, ATRIAL: atrial}
    order = [kinds[kind] for kind in sorted(kinds)]
    amplitude = np.stack([sketch.vector @ leads.T for sketch in order])
    amplitude[[CONDUCTED, ATRIAL]] += local
    # What a single dipole cannot explain: each event is a little different in each lead.
    amplitude *= 1 + rng.normal(0, 0.08, amplitude.shape[1:])
    amplitude *= case.subject.voltage * np.exp(rng.normal(0, 0.05))
    return Template(
        np.stack([sketch.centre for sketch in order]),
        np.stack([sketch.left for sketch in order]),
        np.stack([sketch.right for sketch in order]),
        amplitude,
        leads,
    )


def stretch_repolarisation(centre: Floats, rr: Floats, rate: float) -> Floats:
    """Move ST and T of each beat with the interval before it.

    Args:
        centre: `[K, E]` centres of the events of each beat in seconds.
        rr: `[K]` intervals before the beats in seconds.
        rate: Mean rate in beats per minute, for which the template was made.
    """
    moved = centre.copy()
    factor = np.clip(rr * rate / 60, 0.6, 1.5) ** 0.3
    moved[:, _REPOLARISATION] *= factor[:, None]
    return moved


def _normal_beat(rng: Generator, case: Case) -> _Sketch:
    """Draw a narrow beat after the subject's habits; PR, QT and T follow age, sex and rate."""
    subject, style = case.subject, case.subject.style
    decades = (case.age - 50) / 10
    beat = _Sketch()
    pr = float(
        np.clip(0.156 + 0.004 * decades + 0.019 * style[0] - (case.rate - 70) * 2e-4, 0.1, 0.206)
    )
    if "1AVB" in case.truth:
        pr = 0.203 + 0.028 * rng.gamma(1.6, 0.8 * min(case.severity, 1.6))
    # The PR interval ends with the onset of QRS, about 40 ms before the R wave.
    start = -(pr + 0.04)
    broad = 0.019 + 0.001 * decades + 0.0015 * style[1]
    high = 0.085 * np.exp(0.25 * style[2]) * (0.0 if "AFIB" in case.truth else 1.0)
    beat.put("P1", start + 0.04, broad, (0.35 * high, 0.9 * high, -0.5 * high))
    beat.put("P2", start + 0.068 + 0.002 * decades, broad, (0.75 * high, 0.6 * high, 0.4 * high))
    narrow = 1 + 0.09 * style[3] - (0.05 if subject.female else 0)
    beat.put("Q", -0.023 * narrow, 0.0075 * narrow, (-0.11 - 0.05 * style[4], -0.06, -0.31))
    turn = np.deg2rad(subject.axis)
    x, y = _turned(1.05 + 0.12 * style[5], 0.72, turn)
    beat.put("R", 0.0, (0.0105 * narrow, 0.0115 * narrow), (x, y, 0.3 + 0.2 * style[6]))
    x, y = _turned(-0.2, -0.1 + 0.1 * style[7], 0.6 * turn)
    beat.put("S", 0.024 * narrow, 0.0115 * narrow, (x, y, 0.82 + 0.18 * style[8]))
    qtc = 0.4 + (0.008 if subject.female else 0) + 0.002 * decades + 0.016 * style[9]
    peak = (qtc - 0.125) * np.sqrt(60 / case.rate) ** 0.85
    tall = np.exp(0.28 * style[10] - 0.05 * decades) * rng.uniform(0.88, 1.12)
    front = 0.24 if subject.female else 0.34
    x, y = _turned(0.27, 0.17, 0.35 * turn)
    beat.put(
        "T", peak, (0.055, 0.036), (x * tall, y * tall, -front * tall * (1 - 0.25 * style[11]))
    )
    beat.put("T2", peak + 0.17, 0.03, (0.012, 0.012, -0.02))
    rise = 0.0 if subject.female else 0.035
    beat.put("ST", 0.13, (0.045, 0.06), (rise, 0.01, -rise * rng.uniform(0.5, 1.8)))
    return beat


def _block(beat: _Sketch, rng: Generator, case: Case) -> None:
    """Widen QRS: late forces to the right and front, or slow notched ones to the left and back."""
    strength = float(np.clip(case.severity, 0.7, 1.5))
    if "CLBBB" in case.truth:
        wide = rng.uniform(0.9, 1.15)
        beat.scale("Q", 0.0 if rng.random() < 0.7 else 0.25)
        fall = 0.28 + 0.005 * float(np.clip(case.subject.axis, -60, 40))
        beat.put("R", 0.0, (0.021 * wide, 0.022), (0.75, fall, 0.65))
        beat.put("S", 0.034 * wide, 0.02, (0.35, 0.1, 0.75))
        beat.put("late", 0.064 * wide, 0.019 * wide, (0.62 * strength, 0.25, 0.75))
        slope = rng.uniform(0.7, 1.3)
        beat.put("ST", 0.15, (0.05, 0.07), (-0.12 * slope, -0.03, -0.22 * slope))
        beat.scale("T", (-0.8 * slope, -0.5, 1.4 * slope))
    elif "CRBBB" in case.truth:
        wide = rng.uniform(0.9, 1.2)
        beat.scale("S", (0.6, 0.8, 0.45))
        front = -0.6 * strength * rng.uniform(0.65, 1.3)
        beat.put("late", 0.058 * wide, 0.0165 * wide, (-0.38 * strength, 0.02, front))
        beat.put("notch", 0.085 * wide, 0.016 * wide, (-0.2 * strength, 0.02, 0.4 * front))
        beat.add("T", 0.05, 0.0, 0.32 * rng.uniform(0.5, 1.4))
    elif "IRBBB" in case.truth:
        beat.scale("S", (0.9, 1.0, 0.75))
        beat.put("late", 0.046, 0.0095, (-0.24 * strength, -0.05, -0.36 * strength))


def _hypertrophy(beat: _Sketch, rng: Generator, case: Case) -> None:
    """Raise the left and posterior voltage; the strain pattern comes with half of them."""
    if "LVH" not in case.truth:
        return
    gain = 1.25 + 0.35 * case.severity
    beat.scale("R", (gain, 0.85 * gain, gain))
    beat.scale("S", (1.0, 1.0, gain))
    if rng.random() < 0.5:
        strain = rng.uniform(0.3, 1.0) * case.severity
        beat.add("ST", -0.09 * strain, -0.02 * strain, -0.06 * strain)
        beat.add("T", -0.42 * strain, -0.08 * strain, -0.05 * strain)


def _ischaemia(beat: _Sketch, rng: Generator, case: Case) -> None:
    """Flatten or invert T (`NDT`), press ST down (`ISC_`), or raise it (`STE_`)."""
    if "NDT" in case.truth:
        beat.scale("T", rng.uniform(-0.25, 0.4))
    if "ISC_" in case.truth:
        depth = case.severity * rng.uniform(0.6, 1.3)
        beat.add("ST", -0.085 * depth, -0.06 * depth, 0.03 * depth)
        beat.scale("T", rng.uniform(-0.5, 0.6))
    if "STE_" in case.truth:
        # Of the wall that is concerned: the front (V1 to V4), or below (II, III, aVF).
        rise = 0.16 * case.severity * rng.uniform(0.7, 1.4)
        front = rng.random() < 0.65
        beat.add("ST", *((0.2 * rise, 0.1 * rise, -rise) if front else (-0.2 * rise, rise, 0.0)))


def _infarction(beat: _Sketch, rng: Generator, case: Case) -> Floats:
    """Add Q waves, ST elevation and T inversion over the dead territory.

    Returns:
        `[E, 8]` local potentials in mV that no dipole explains: anterior scars face V1 to V4.
    """
    local = np.zeros((len(EVENTS), 8))
    if "ASMI" in case.truth:
        fresh, depth = rng.random() < 0.3, min(1.6, case.severity * rng.uniform(0.6, 1.2))
        reach = np.array([0.0, 0.0, 0.75, 1.0, 0.9, 0.5, rng.uniform(0, 0.3), 0.05])
        beat.scale("Q", (1.0, 1.0, float(np.clip(0.7 - 0.5 * depth, 0.0, 1.0))))
        beat.put("scar", -0.012, 0.012, (0.0, 0.0, 0.05))
        local[_AT["scar"]] -= 0.42 * depth * reach
        local[_AT["R"]] -= 0.2 * depth * reach
        local[_AT["ST"]] += (0.28 if fresh else 0.06) * depth * reach
        local[_AT["T"]] += (0.0 if fresh else -0.42) * depth * reach
    if "IMI" in case.truth:
        fresh, depth = rng.random() < 0.25, case.severity * rng.uniform(0.6, 1.2)
        place = beat.vector[_AT["scar"]]
        beat.put("scar", -0.02, 0.0125, (place[0] + 0.06, place[1] - 0.36 * depth, place[2]))
        beat.scale("R", (1.0, float(np.clip(1 - 0.4 * depth, 0.3, 1)), 1.0))
        rise = (0.17 if fresh else 0.03) * depth
        beat.add("ST", -0.3 * rise, rise, 0.3 * rise)
        beat.add("T", 0.0, (0.05 if fresh else -0.26) * depth, 0.0)
    return local


def _atrial_beat(conducted: _Sketch, rng: Generator) -> _Sketch:
    """Copy the conducted beat with a P wave from another place of the atria."""
    beat = _Sketch()
    for name in ("centre", "left", "right", "vector"):
        getattr(beat, name)[:] = getattr(conducted, name)
    for name in ("P1", "P2"):
        beat.scale(name, tuple(rng.uniform(-1.0, 0.9, 3)))
    return beat


def _ventricular_beat(rng: Generator) -> _Sketch:
    """Draw a broad beat from a focus in either ventricle, without P, with T against QRS."""
    beat = _Sketch()
    side = 1.0 if rng.random() < 0.6 else -1.0
    x, y = side * rng.uniform(0.4, 0.9), rng.uniform(-0.9, 1.1)
    z = side * rng.uniform(0.5, 1.1)
    beat.put("R", 0.0, (0.022, 0.024), (x, y, z))
    beat.put("S", 0.045, 0.026, (0.7 * x, 0.6 * y, 0.9 * z))
    beat.put("T", 0.3, (0.06, 0.05), (-0.42 * x, -0.42 * y, -0.5 * z))
    beat.put("ST", 0.16, (0.05, 0.06), (-0.12 * x, -0.12 * y, -0.14 * z))
    return beat


def _turned(x: float, y: float, angle: float) -> tuple[float, float]:
    """Rotate a frontal vector by an angle in radians, positive to the right (clockwise)."""
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    return x * cos - y * sin, x * sin + y * cos
