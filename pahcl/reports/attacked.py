"""Attacked records on paper: clean, the perturbation alone, both together."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pahcl.errors import PahclError
from pahcl.evaluation.predictions import columns_of, read_predictions
from pahcl.reports.names import number
from pahcl.reports.runs import Run
from pahcl.reports.strips import DRAWN_FS, Strip, lay_out
from pahcl.signals.recording import Recording
from pahcl.signals.units import is_voltage, unit_factor
from pahcl.task import Task

FACTORS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
SHOWN_MV = 0.5
"""Height in mV up to which a perturbation is magnified on paper."""

ROUNDING = 1.02
"""A perturbation of 10 µV is one also where float32 makes it a little more."""

MOST_CLASSES = 3
"""Classes of a record whose change is told, those that changed most."""


@dataclass(frozen=True)
class AttackedRecord:
    """Hold one attacked record on paper.

    Args:
        title: Which record.
        text: What was said of it before and after.
        strips: Sheets with their headings.
    """

    title: str
    text: str
    strips: tuple[tuple[str, Strip], ...]


@dataclass(frozen=True)
class Attacked:
    """Hold the attacked records of a page, or the reason why there are none.

    Args:
        records: One each.
        note: How they were chosen, or why there are none.
    """

    records: tuple[AttackedRecord, ...]
    note: str


def attacked_records(run: Run, task: Task) -> Attacked:
    """Draw the attacked records that `pahcl robustness` kept."""
    facts = run.robustness.facts
    shown = facts["examples"]
    if shown is None:
        return Attacked((), "No size above 0 was attacked, so there is no perturbation to show.")
    again = f"Run `pahcl robustness {run.folder.path.as_posix()}` again."
    folder = Path(shown["file"]).parent
    tables = [f"{folder.as_posix()}/{name}.parquet" for name in ("clean", shown["condition"])]
    lost = sorted({shown["file"], *tables} & run.robustness.lost)
    if lost:
        return Attacked((), f"{lost[0]} is gone or was changed since. {again}")
    if not is_voltage(shown["unit"]):
        return Attacked((), f"These recordings are in {shown['unit']}; only ECGs stand on paper.")
    try:
        with np.load(run.folder.path / shown["file"]) as signals:
            arrays = {name: signals[name] for name in signals.files}
        told = _told(task, [run.folder.path / name for name in tables], arrays["record_id"])
        order = {name: k for k, name in enumerate(shown["records"])}
        rows = sorted(range(len(told)), key=lambda row: order.get(str(arrays["record_id"][row]), 0))
        found = tuple(_one(arrays, row, shown, told[row]) for row in rows)
    except (OSError, ValueError, LookupError, zipfile.BadZipFile, PahclError) as error:
        return Attacked((), f"{shown['file']} cannot be read ({error}). {again}")
    return Attacked(found, _choice(facts))


def _choice(facts: Mapping[str, Any]) -> str:
    shown = facts["examples"]
    largest = facts["curve"][-1]["epsilon"] if facts["curve"] else shown["epsilon"]
    size = (
        "the largest size"
        if shown["epsilon"] == largest
        else "the smallest size that takes half of what can be taken"
    )
    said = (
        f"At epsilon {shown['epsilon']:g} {facts['unit']}, {size}: the record whose loss the "
        "attack raised most, one in the middle, and one between them. 25 mm are a second. The "
        "rectangle at the left of each row is 10 mm high: 1 mV beside a record; beside a "
        "perturbation, which is magnified by the factor above it, what stands at the foot of the "
        "sheet."
    )
    if shown["fs"] > DRAWN_FS:
        said += (
            f" Lines are drawn with {DRAWN_FS:g} samples a second, so what a perturbation has "
            f"above {DRAWN_FS / 2:g} Hz is in the spectrum alone."
        )
    return said


def _one(
    arrays: Mapping[str, npt.NDArray[Any]], row: int, shown: Mapping[str, Any], text: str
) -> AttackedRecord:
    """Lay out clean signal, magnified perturbation and both together."""
    real = arrays["mask"][row]
    clean, change = (arrays[name][row][:, real] for name in ("clean", "perturbation"))
    record, leads, unit = str(arrays["record_id"][row]), tuple(shown["leads"]), shown["unit"]
    factor = magnification(float(np.abs(change).max(initial=0.0)) * unit_factor(unit, "mV"))

    def strip(signal: npt.NDArray[np.float32], gain: float | None = None) -> Strip:
        return lay_out(Recording(signal, float(shown["fs"]), leads, unit, record, record), gain)

    sheets = (
        ("Clean", strip(clean)),
        (f"The perturbation alone, {factor:,} times as high", strip(change, factor)),
        ("Attacked: both together", strip(clean + change)),
    )
    return AttackedRecord(f"Record {record}", text, sheets)


def magnification(peak: float) -> int:
    """Choose the round factor that brings a perturbation of so many mV near to what is shown."""
    return max((f for f in FACTORS if f * peak <= SHOWN_MV * ROUNDING), default=1)


def _told(task: Task, files: list[Path], record_ids: npt.NDArray[Any]) -> list[str]:
    """Say of each record what the network said before and after."""
    regression = task.kind == "regression"
    digits, unit = (1, f" {task.unit}" if task.unit else "") if regression else (3, "")
    clean, attacked = (read_predictions(file).set_index("record_id") for file in files)
    found = []
    for name in map(str, record_ids):
        truth = clean.loc[name, columns_of(task, "target")].to_numpy(float)
        before, after = (
            table.loc[name, columns_of(task, "probability")].to_numpy(float)
            for table in (clean, attacked)
        )
        parts = []
        for k in np.argsort(-np.abs(after - before), kind="stable")[:MOST_CLASSES]:
            if np.isnan(truth[k]):
                label = "not labelled"
            elif regression:
                label = f"truly {number(truth[k], digits)}{unit}"
            else:
                label = "truly positive" if truth[k] else "truly negative"
            change = f"{number(before[k], digits)} → {number(after[k], digits)}{unit}"
            parts.append(f"{task.classes[k]} ({label}): {change}")
        found.append("; ".join(parts))
    return found
