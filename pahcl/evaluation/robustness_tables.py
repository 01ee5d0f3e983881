"""What `robustness.json` holds, as rows of text and short sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pahcl.evaluation.intervals import Interval
from pahcl.evaluation.robustness_file import CONTROL, REPORTED, WORST

TITLES = {
    REPORTED: "APGD",
    WORST: "Worst of all attacks",
    CONTROL: "Noise of equal norm",
    "pgd": "PGD",
    "fgsm": "FGSM",
    "apgd-margin": "APGD, margin",
    "square": "Square",
}
NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}

Rows = list[list[str]]


def primary(facts: Mapping[str, Any], scores: Mapping[str, Any]) -> Interval:
    """Give the primary metric of one condition."""
    return Interval.read(scores["metrics"].get(facts["metric"]))


def attack_names(facts: Mapping[str, Any]) -> list[str]:
    """List the attacks of a curve, the reported one first, then worst case and control."""
    found = dict.fromkeys(name for point in facts["curve"] for name in point["attacks"])
    first = [name for name in (REPORTED, WORST, CONTROL) if name in found]
    return [*first, *(name for name in found if name not in first)]


def protocol_line(facts: Mapping[str, Any]) -> str:
    """Say how the reported attack was made."""
    asked = facts["protocol"]
    starts = f"{asked['restarts']} start{'s' if asked['restarts'] > 1 else ''}"
    steps, unit = asked["steps"], facts["unit"]
    bound = NORMS.get(asked["norm"], asked["norm"])
    leads = ", leads kept consistent" if asked["consistent_leads"] else ""
    return f"APGD of {steps} steps from {starts}, {bound}, epsilon in {unit}{leads}"


def curve_rows(facts: Mapping[str, Any]) -> Rows:
    """Lay out the primary metric by size and attack, header first."""
    names = attack_names(facts)
    rows = [[f"epsilon [{facts['unit']}]", *(TITLES.get(name, name) for name in names)]]
    clean = cell(primary(facts, facts["clean"]))
    rows.append(["0 (clean)", *(clean for _ in names)])
    for point in facts["curve"]:
        found = point["attacks"]
        cells = [cell(primary(facts, found[name])) if name in found else "" for name in names]
        rows.append([f"{point['epsilon']:g}", *cells])
    return rows


def corruption_rows(facts: Mapping[str, Any]) -> Rows:
    """Lay out the primary metric by corruption and severity, header first."""
    rows = [["Corruption", *(f"severity {k}" for k in range(1, 6))]]
    for kind in facts["corruptions"]:
        found = [
            f"{scores['level']}: {cell(primary(facts, scores))}" for scores in kind["severities"]
        ]
        rows.append([kind["title"], *found])
    rows += [[name, "cannot occur", *[""] * 4] for name in facts["left_out"]]
    return rows


def summary_lines(facts: Mapping[str, Any]) -> list[str]:
    """Say in words what the tables hold and what is beside them."""
    lines = [
        f"{facts['metric']} of {facts['n_records']:,} records of {facts['n_subjects']:,} people, "
        f"{facts['split']} split; {protocol_line(facts)}. Intervals resample people."
    ]
    area = facts["area"]
    if area is not None:
        both = {name: cell(Interval.read(area[name])) for name in ("logarithmic", "linear")}
        lines.append(
            f"Mean height of the curve (area over its width): {both['logarithmic']} over "
            f"log(1 + epsilon / smallest), {both['linear']} over epsilon."
        )
    bounds = facts["bounds"].get(facts["metric"], {})
    chance, floor = bounds.get("chance"), bounds.get("floor")
    if chance is not None and floor is not None:
        lines.append(f"Chance scores {chance:.3f}; all positives ranked last score {floor:.3f}.")
    lines += [f"{name} cannot occur: {why}." for name, why in facts["left_out"].items()]
    return lines


def cell(interval: Interval) -> str:
    """Write a value with its ends."""
    if not interval.known:
        return "–"
    ends = f" [{interval.low:.3f}, {interval.high:.3f}]" if interval.has_ends else ""
    return f"{interval.value:.3f}{ends}"
