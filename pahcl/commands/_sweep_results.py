"""What a sweep has shown: the table of its cells, paired differences, and what each arm cost."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from pahcl.commands._sweep_file import SweepFile
from pahcl.commands._sweep_plan import PRETRAIN, TRANSFER, Job
from pahcl.errors import UsageError
from pahcl.evaluation.metric_names import metric_names
from pahcl.evaluation.run import RunFolder
from pahcl.evaluation.settings import SCRATCH
from pahcl.evaluation.summary import Summary, summarize
from pahcl.evaluation.tables import to_facts, to_frame
from pahcl.files import write_json, write_text
from pahcl.task import Kind

EVIDENCE = "EvidenceWriter"
"""Key under which Lightning keeps the state of the callback that counts a training's seconds."""

COST_CAPTION = (
    "Means over the runs of an arm, of training alone and all of its epochs (where a run's last "
    "checkpoint was removed: up to the one that was tested). Runs side by side on one machine slow "
    "each other down."
)


@dataclass(frozen=True)
class Cost:
    """Hold what the runs of one arm and stage took.

    Args:
        arm: The arm.
        stage: `pretrain` or `transfer`.
        runs: Number of complete runs.
        seconds: Wall time of training, the mean over them; None where no receipt tells it.
        forward: Forward passes over a batch, the mean; None where no receipt counts them.
        backward: Backward passes over a batch, the mean.
        ratio: Wall time of an adversarial step in clean ones, the mean.
        devices: Kinds of devices that they ran on.
    """

    arm: str
    stage: str
    runs: int
    seconds: float | None
    forward: float | None
    backward: float | None
    ratio: float | None
    devices: tuple[str, ...]


def tabulate(file: SweepFile, jobs: Sequence[Job]) -> Summary:
    """Group the complete transfers of a sweep, and compare its arms at each fraction.

    Args:
        file: The sweep.
        jobs: Its complete runs.
    """
    names = {arm.name: arm.name if arm.configs else SCRATCH for arm in file.arms}
    transfers = [job for job in jobs if job.stage == TRANSFER]
    summary = summarize(
        [job.folder for job in transfers],
        starts={job.folder.path: names[job.arm] for job in transfers},
        against=[names[name] for name in file.against],
        lead=file.metric,
    )
    order = list(names.values())
    groups = sorted(
        summary.groups, key=lambda g: (g.fraction or 0.0, order.index(g.initialisation))
    )
    rank = {group.name: i for i, group in enumerate(groups)}
    found = sorted(summary.comparisons, key=lambda row: (rank[row[0]], rank[row[1]]))
    notes = (*summary.notes, *_about_pretraining(file, transfers))
    return replace(summary, groups=tuple(groups), comparisons=tuple(found), notes=notes)


def require_metric(name: str | None) -> None:
    """Refuse a metric that no task has, before anything is run.

    Raises:
        UsageError: With the nearest one.
    """
    known = list(dict.fromkeys(found for kind in get_args(Kind) for found in metric_names(kind)))
    if name is not None and name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
        raise UsageError(f"`metric`: no task has a metric {name}; {hint}")


def _about_pretraining(file: SweepFile, transfers: Sequence[Job]) -> Iterator[str]:
    """Say what the intervals leave out where all transfers share one pretraining."""
    if file.pretraining_seed is not None and any(job.needs for job in transfers):
        yield (
            f"All transfers of an arm start from one pretraining (seed {file.pretraining_seed}): "
            "the intervals do not cover pretraining again."
        )


def costs(file: SweepFile, jobs: Sequence[Job]) -> list[Cost]:
    """Sum up what the complete runs of each arm took, by their receipts."""
    found = []
    for arm in file.arms:
        for stage in (PRETRAIN, TRANSFER):
            of_arm = [job for job in jobs if (job.arm, job.stage) == (arm.name, stage)]
            if of_arm:
                found.append(_cost(arm.name, stage, [taken_by(job.folder) for job in of_arm]))
    return found


def taken_by(folder: RunFolder) -> dict[str, Any]:
    """Read what a training took: `wall_time_s`, `cost`, and the receipt's `hardware`.

    The receipt tells it of the tested checkpoint, which may be an early one; the last checkpoint,
    where it is still there, of the whole training.
    """
    receipt = folder.load_receipt()
    found = {name: receipt.get(name) for name in ("wall_time_s", "cost", "hardware")}
    if not folder.last.is_file():
        return found
    import torch

    last = torch.load(folder.last, map_location="cpu", weights_only=True, mmap=True)
    seconds = _mapping(_mapping(last.get("callbacks")).get(EVIDENCE)).get("seconds")
    whole = {"wall_time_s": seconds, "cost": last.get("cost")}
    return {**found, **{name: value for name, value in whole.items() if value is not None}}


def _cost(arm: str, stage: str, receipts: Sequence[Mapping[str, Any]]) -> Cost:
    accounts = [_mapping(receipt.get("cost")) for receipt in receipts]
    devices = [_mapping(r.get("hardware")) for r in receipts]
    return Cost(
        arm=arm,
        stage=stage,
        runs=len(receipts),
        seconds=_mean([receipt.get("wall_time_s") for receipt in receipts]),
        forward=_mean([_total(account, "forward") for account in accounts]),
        backward=_mean([_total(account, "backward") for account in accounts]),
        ratio=_mean([account.get("wall_time_ratio") for account in accounts]),
        devices=tuple(
            dict.fromkeys(str(d.get("accelerator") or d.get("device") or "?") for d in devices)
        ),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _total(account: Mapping[str, Any], name: str) -> float | None:
    """Add a count over the kinds of steps of an account."""
    counts = [_mapping(kind).get(name) for kind in account.values()]
    known = [count for count in counts if isinstance(count, int | float)]
    return float(sum(known)) if known else None


def _mean(values: Sequence[object]) -> float | None:
    known = [float(value) for value in values if isinstance(value, int | float)]
    return sum(known) / len(known) if known else None


def frame(summary: Summary) -> pd.DataFrame:
    """Lay out one row a cell: its metrics, and its paired difference to each arm compared with."""
    table = to_frame(summary)
    base = {group.name: group.initialisation for group in summary.groups}
    for name, against, found in summary.comparisons:
        values = {"": found.difference, "_low": found.low, "_high": found.high, "_p": found.p_value}
        for ending, value in values.items():
            column = f"{found.metric}_minus_{base[against]}{ending}"
            table.loc[table["group"] == name, column] = value
    return table


def write_tables(folder: Path, summary: Summary, spent: Sequence[Cost]) -> dict[str, Any]:
    """Write `sweep.csv` and `sweep.json` into the sweep's folder.

    Returns:
        What `sweep.json` holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "sweep.csv", frame(summary).to_csv(index=False))
    facts = {**to_facts(summary), "cost": [vars(one) for one in spent]}
    write_json(folder / "sweep.json", facts)
    return facts


def cost_cells(spent: Sequence[Cost]) -> list[list[str]]:
    """Lay the cost out as text, the header first; columns that no receipt fills are left out."""
    head = ["arm", "stage", "runs", "training of a run", "forward passes", "backward passes",
            "adversarial step / clean step", "device"]  # fmt: skip
    rows = [
        [
            one.arm,
            one.stage,
            str(one.runs),
            _seconds(one.seconds),
            "" if one.forward is None else f"{one.forward:,.0f}",
            "" if one.backward is None else f"{one.backward:,.0f}",
            "" if one.ratio is None else f"{one.ratio:.2f}",
            ", ".join(one.devices),
        ]
        for one in spent
    ]
    kept = [i for i in range(len(head)) if any(row[i] for row in rows)]
    return [[row[i] for i in kept] for row in (head, *rows)]


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f} s" if value < 7200 else f"{value / 3600:,.1f} h"


def write_sweep_page(
    folder: Path, jobs: Sequence[Job], summary: Summary, spent: Sequence[Cost], command: str
) -> Path:
    """Write `sweep.html`: the page of several runs, with the cost of each arm.

    Args:
        folder: The sweep's folder.
        jobs: Its complete runs.
        summary: Its table.
        spent: What the arms took.
        command: What makes the page again.
    """
    from pahcl.reports.page import render_comparison, write_page
    from pahcl.reports.runs import load_run
    from pahcl.reports.section import Section
    from pahcl.reports.tables import Cell, Table

    runs = [load_run(job.folder) for job in jobs if job.stage == TRANSFER]
    head, *rows = cost_cells(spent)
    cells = tuple(
        tuple(Cell(text or "–", strong=i == 0) for i, text in enumerate(row)) for row in rows
    )
    words = frozenset(i for i, name in enumerate(head) if name in ("arm", "stage", "device"))
    table = Table(tuple(name.capitalize() for name in head), cells, COST_CAPTION, words)
    cost = Section("cost", "What did it cost?", tables=(table,))
    target = folder / "sweep.html"
    title = f"Sweep {folder.name}: {len(runs)} transfers"
    write_page(target, render_comparison(runs, summary, (cost,), title, (command,)))
    return target
