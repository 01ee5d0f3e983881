"""What an ECG machine writes and measures: statements from the labels, times from the beat."""

from __future__ import annotations

import numpy as np

from pahcl.simulation.ecg import Simulated
from pahcl.simulation.morphology import EVENTS
from pahcl.simulation.rhythm import CONDUCTED

NOT_FOUND = 29999
"""What a machine writes for a wave that it did not find."""

_BEFORE = 0.45
"""Seconds before the R wave from which times within a beat count."""

_STATEMENTS = {
    "CRBBB": ("Right bundle branch block", "RBBB"),
    "CLBBB": ("Left bundle branch block",),
    "IRBBB": ("Incomplete right bundle branch block",),
    "LAFB": ("Left anterior fascicular block", "Left axis deviation"),
    "LVH": ("Left ventricular hypertrophy", "Possible left ventricular hypertrophy"),
    "ASMI": ("Anteroseptal infarct - age undetermined", "Possible anterior infarct"),
    "IMI": ("Inferior infarct - age undetermined", "Probable inferior infarct"),
    "NDT": ("Lateral T wave changes are nonspecific",),
    "ISC_": ("Lateral ST-T changes may be due to myocardial ischemia",),
}
"""Statements by condition; one of several is drawn."""

_RHYTHMS = {
    "SBRAD": "Sinus bradycardia",
    "STACH": "Sinus tachycardia",
    "SARRH": "Sinus arrhythmia",
}
_WITH = {"1AVB": "1st degree A-V block", "PVC": "PVC(s)", "PAC": "PAC(s)"}


def report_lines(one: Simulated) -> list[str | None]:
    """Write the report of a record, line by line, with a blank line before the summary."""
    labels, rng = one.case.labels, one.case.stream(6)
    lines: list[str | None] = [_rhythm(one)]
    found = [code for code in _STATEMENTS if code in labels]
    lines += [_STATEMENTS[code][int(rng.integers(len(_STATEMENTS[code])))] for code in found]
    quiet = not labels
    summary = "Normal ECG" if quiet else ("Abnormal ECG", "Borderline ECG")[int(not found)]
    if rng.random() < 0.03:
        lines.insert(0, "--- Warning: Data quality may affect interpretation ---")
    if rng.random() < 0.05:
        summary = summary.replace("ECG", "EKG")
    return [*lines, None, summary]


def _rhythm(one: Simulated) -> str:
    labels, rate = one.case.labels, one.case.rate
    if "AFIB" in labels:
        fast, slow = rate > 100, rate < 60
        how = "rapid" if fast else "slow"
        return "Atrial fibrillation" + f" with {how} ventricular response" * (fast or slow)
    rhythm = next((name for code, name in _RHYTHMS.items() if code in labels), "Sinus rhythm")
    added = next((text for code, text in _WITH.items() if code in labels), None)
    return f"{rhythm} with {added}" if added else rhythm


def measurements(one: Simulated) -> dict[str, int]:
    """Measure the beat: times in ms from a point before it, axes in degrees."""
    template, labels = one.template, one.case.truth
    at = {name: place for place, name in enumerate(EVENTS)}
    centre, right = template.centre[CONDUCTED], template.right[CONDUCTED]
    shown = np.abs(template.amplitude[CONDUCTED]).max(axis=1) > 0.02

    def end(*names: str) -> float:
        times = [centre[at[n]] + 2.4 * right[at[n]] for n in names if shown[at[n]]]
        return float(max(times, default=0.04))

    seconds = {
        "p_onset": centre[at["P1"]] - 0.04,
        "p_end": min(end("P1", "P2"), -0.045),
        "qrs_onset": -0.04,
        "qrs_end": end("R", "S", "late", "notch"),
        "t_end": end("T"),
    }
    found = {name: round(1000 * (value + _BEFORE)) for name, value in seconds.items()}
    rr = np.diff(one.times)
    found["rr_interval"] = round(1000 * float(rr.mean())) if len(rr) else NOT_FOUND
    for name, event in (("p_axis", "P2"), ("qrs_axis", "R"), ("t_axis", "T")):
        lead_1, lead_2 = template.amplitude[CONDUCTED, at[event], :2]
        found[name] = round(float(np.rad2deg(np.arctan2(lead_2 - lead_1 / 2, lead_1 * 0.866))))
    if not shown[at["T"]]:
        found["t_end"] = NOT_FOUND
    if "AFIB" in labels:
        found |= dict.fromkeys(("p_onset", "p_end", "p_axis"), NOT_FOUND)
    return found
