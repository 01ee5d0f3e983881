"""The sections on robustness of a run's page: under attack, what the attack changes, in clinics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pahcl.evaluation.intervals import Interval
from pahcl.evaluation.robustness_file import CONTROL, REPORTED, WORST
from pahcl.evaluation.robustness_tables import TITLES, attack_names, primary, protocol_line
from pahcl.reports.attacked import attacked_records
from pahcl.reports.names import (
    count,
    digits_for,
    listing,
    metric_in_sentence,
    metric_title,
    number,
    with_interval,
)
from pahcl.reports.robust_figures import (
    corruption_panels,
    power_below,
    power_densities,
    robust_curve,
    shown_metrics,
)
from pahcl.reports.runs import Run
from pahcl.reports.section import Section, picture
from pahcl.reports.style import Picture
from pahcl.reports.tables import Cell, Table, metric_cell
from pahcl.reports.verdict import SPLITS
from pahcl.task import Task

NAME, TITLE = "robustness", "What is left of it under attack?"


def robustness_sections(run: Run, task: Task) -> list[Section]:
    """Make the sections of one run; where nothing was measured, one that says so."""
    facts = run.robustness.facts
    if not facts:
        return [Section(NAME, TITLE, note=run.robustness.note)]
    if not primary(facts, facts["clean"]).known:
        note = (
            f"The {metric_in_sentence(facts['metric'])} is not defined on the "
            f"{count(facts['n_records'], 'record')} that were attacked, so there is no curve."
        )
        return [Section(NAME, TITLE, note=note, warnings=warnings_of(facts))]
    made = [_under_attack(facts, task)]
    if facts["curve"]:
        drawn, attacked = _spectrum_pictures(facts), attacked_records(run, task)
        made.append(Section("attacked", "What does the attack add?", drawn, attacked=attacked))
    if facts["corruptions"] or facts["left_out"]:
        made.append(_in_clinics(facts))
    return made


def _under_attack(facts: Mapping[str, Any], task: Task) -> Section:
    warnings = warnings_of(facts)
    if facts["split"] != "test":
        warnings = (f"Measured on the {SPLITS[facts['split']]}, which flatters.", *warnings)
    if not facts["curve"]:
        return Section(NAME, TITLE, note="No size above 0 was attacked.", warnings=warnings)
    tables = [_curve_table(facts)]
    if len(task.classes) > 1:
        tables.append(_class_table(facts, task))
    return Section(NAME, TITLE, _curve_pictures(facts), tuple(tables), _said(facts), warnings)


def warnings_of(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the warnings, with the metric as people write it."""
    metric = facts["metric"]
    return tuple(text.replace(metric, metric_in_sentence(metric)) for text in facts["warnings"])


def _said(facts: Mapping[str, Any]) -> str:
    """Say in words what the curve shows."""
    metric, unit = facts["metric"], facts["unit"]
    digits = digits_for(metric)
    point = _told_point(facts)
    values = {
        name: with_interval(primary(facts, scores), digits)
        for name, scores in point["attacks"].items()
    }
    said = (
        f"Clean records give a {metric_in_sentence(metric)} of "
        f"{with_interval(primary(facts, facts['clean']), digits)}. An attacker who may add "
        f"epsilon = {point['epsilon']:g} {unit} leaves {values[REPORTED]}"
    )
    said += f"; the most harmful of all attacks {values[WORST]}" if WORST in values else ""
    said += f"; noise of that size {values[CONTROL]}" if CONTROL in values else ""
    area = facts["area"] or {}
    both = [with_interval(Interval.read(area.get(k)), digits) for k in ("logarithmic", "linear")]
    people = count(facts["n_subjects"], "person", "people")
    return (
        f"{said}. The mean height of the curve, which is the area under it over its width, is "
        f"{both[0]} on the axis of the figure and {both[1]} on a linear one. Measured on "
        f"{count(facts['n_records'], 'record')} of {people}, {SPLITS[facts['split']]}, with "
        f"{protocol_line(facts)}."
    )


def _told_point(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Choose the size of which the text speaks: the one whose perturbations are shown."""
    size = (facts["examples"] or {}).get("epsilon")
    found: Mapping[str, Any] = next(
        (point for point in facts["curve"] if point["epsilon"] == size), facts["curve"][-1]
    )
    return found


def _curve_pictures(facts: Mapping[str, Any]) -> tuple[Picture, ...]:
    metrics = shown_metrics(facts)
    caption = (
        "Curve: what is left, over the largest perturbation that an attacker may add, with "
        "intervals over people. Noise of equal size is the control: what the network loses beyond "
        "it is the attacker's doing. The worst case takes, record by record, the most harmful of "
        "all attacks; its intervals are in the table. A curve that stays where it is at sizes that "
        "would drown the signal tells of an attack that failed, not of a strong network."
    )
    lines = (
        "The dashed line is chance, which for the AUPRC is the share of positives. An attack goes "
        "below it, down to the dotted floor, because it turns the ranking round. With rare "
        "findings the AUPRC is the more sober of the two."
    )
    captions = (caption, lines) if len(metrics) > 1 else (caption,)
    drawn = []
    for metric, text in zip(metrics, captions, strict=True):
        heights = [
            (f"{point['epsilon']:g}", point["attacks"][REPORTED]["metrics"].get(metric))
            for point in facts["curve"]
        ]
        says = [f"{number(Interval.read(found).value)} at {size}" for size, found in heights]
        clean = number(Interval.read(facts["clean"]["metrics"].get(metric)).value)
        said = f"{metric_title(metric)} under attack: {clean} clean, {', '.join(says)}"
        drawn.append(
            picture(
                robust_curve(facts, metric),
                f"robust-{metric.replace('_', '-')}",
                f"{said} {facts['unit']}.",
                text,
            )
        )
    return tuple(drawn)


def _curve_table(facts: Mapping[str, Any]) -> Table:
    names, metric = attack_names(facts), facts["metric"]
    clean = metric_cell(primary(facts, facts["clean"]), metric)
    rows = [(Cell("0", "clean"), *(clean for _ in names))]
    for point in facts["curve"]:
        found = point["attacks"]
        cells = (
            metric_cell(primary(facts, found[name]), metric, strong=name == REPORTED)
            if name in found
            else Cell("")
            for name in names
        )
        rows.append((Cell(f"{point['epsilon']:g}"), *cells))
    cost = facts["curve"][-1]["attacks"][REPORTED]["gradient_calls"]
    caption = (
        f"{metric_title(metric)} by size and attack. The first attack is the reported one; it took "
        f"{cost:g} passes forward and back a record. APGD and PGD follow the gradient, noise and "
        "Square need none: were one of these stronger, the gradients would be masked."
    )
    headers = (f"epsilon [{facts['unit']}]", *(TITLES.get(name, name) for name in names))
    return Table(headers, tuple(rows), caption)


def _class_table(facts: Mapping[str, Any], task: Task) -> Table:
    """Lay out each class under the reported attack, by size."""
    metric = facts["metric"].removeprefix("macro_")
    if not any(metric in scores for scores in facts["clean"]["per_class"].values()):
        metric = "mae" if task.kind == "regression" else "auroc"
    columns = [facts["clean"], *(point["attacks"][REPORTED] for point in facts["curve"])]
    rows = [
        (
            Cell(name, strong=True),
            *(
                metric_cell(Interval.read(one["per_class"].get(name, {}).get(metric)), metric)
                for one in columns
            ),
        )
        for name in task.classes
    ]
    sizes = (f"{point['epsilon']:g}" for point in facts["curve"])
    caption = (
        f"{metric_title(metric)} of each class under the reported attack, by epsilon in "
        f"{facts['unit']}. It raises the loss of all classes together, so a class may be spared "
        "for another's sake: one that seems to bear it well was perhaps not aimed at."
    )
    return Table(("Class", "Clean", *sizes), tuple(rows), caption)


def _spectrum_pictures(facts: Mapping[str, Any]) -> tuple[Picture, ...]:
    point = _told_point(facts)
    spectrum = point["attacks"][REPORTED]["spectrum"]
    lengths = {len(spectrum[name]) for name in ("frequency", "signal", "perturbation")}
    if lengths == {0} or len(lengths) > 1:
        return ()
    half = {name: f"{_half(spectrum, name):.0f} Hz" for name in ("signal", "perturbation")}
    said = (
        f"half of the perturbation's power lies below {half['perturbation']}, half of the signal's "
        f"below {half['signal']}"
    )
    unit = facts["unit"]
    return (
        picture(
            power_densities(spectrum, unit),
            "robust-density",
            "Power density of signal and perturbation over frequency.",
            f"Spectrum of the perturbations of epsilon {point['epsilon']:g} {unit} and of the "
            "signals, mean over leads and records. White noise would be a level line.",
        ),
        picture(
            power_below(spectrum),
            "robust-below",
            f"Share of the power below each frequency: {said}.",
            f"The share of the power below each frequency: {said}. A perturbation where the heart "
            "has little power could be filtered out before the network; one in the band of the "
            "ECG could not.",
        ),
    )


def _half(spectrum: Mapping[str, Any], name: str) -> float:
    """Give the frequency below which half of the power lies."""
    power = np.cumsum(spectrum[name])
    place = int(np.searchsorted(power, power[-1] / 2).clip(0, len(power) - 1))
    return float(spectrum["frequency"][place])


def _in_clinics(facts: Mapping[str, Any]) -> Section:
    title = "What do the disturbances of a clinic take?"
    note = " ".join(f"{name} cannot occur here: {why}." for name, why in facts["left_out"].items())
    if not facts["corruptions"]:
        return Section("corruptions", title, note=note)
    metric = metric_title(facts["metric"])
    names = [kind["title"] for kind in facts["corruptions"]]
    drawn = picture(
        corruption_panels(facts),
        "robust-corruptions",
        f"{metric} under {listing(names, 12)}, by severity.",
        f"{metric} over five severities, with intervals over people; dashed the clean value. A "
        "record is disturbed in the same way at every severity, but for the size. What each "
        "severity does stands in the table.",
    )
    return Section("corruptions", title, (drawn,), (_corruption_table(facts),), note=note)


def _corruption_table(facts: Mapping[str, Any]) -> Table:
    metric = facts["metric"]
    digits = digits_for(metric)
    rows = []
    most = max(len(kind["severities"]) for kind in facts["corruptions"])
    for kind in facts["corruptions"]:
        cells = [
            Cell(number(primary(facts, scores).value, digits), scores["level"])
            for scores in kind["severities"]
        ]
        cells += [Cell("")] * (most - len(cells))
        rows.append((Cell(kind["title"], strong=True), *cells))
    clean = number(primary(facts, facts["clean"]).value, digits)
    caption = (
        f"{metric_title(metric)} by severity, {clean} on clean records; below each number what was "
        "done. The documentation (docs/robustness.md) gives the reasons for these sizes."
    )
    headers = ("Corruption", *(f"Severity {k}" for k in range(1, most + 1)))
    return Table(headers, tuple(rows), caption)
