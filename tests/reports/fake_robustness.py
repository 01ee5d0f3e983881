"""What `pahcl robustness` leaves in a run's folder, made of the run's own predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from fake_runs import sigmoid, signal_of

from pahcl.attacks.base import Attack
from pahcl.evaluation.perturbed import Condition, Outcome, Shelf
from pahcl.evaluation.predictions import columns_of, predictions_table
from pahcl.evaluation.protocol import RobustnessProtocol, plan
from pahcl.evaluation.robustness import (
    keep_evidence,
    robustness_facts,
    telling_records,
    telling_size,
)
from pahcl.evaluation.run import RunFolder
from pahcl.files import sha256_file, write_atomically, write_json
from pahcl.signals.leads import STANDARD_12
from pahcl.signals.spec import SignalSpec
from pahcl.task import Task

SIZES = (0.0, 0.001, 0.01, 0.1)
FORCE = {
    "apgd": 1.0,
    "apgd-margin": 0.98,
    "pgd": 0.95,
    "fgsm": 0.6,
    "square": 0.5,
    "noise": 0.02,
}
"""How hard each attack strikes, measured by the reported one."""

FS, LENGTH = 100.0, 1000


def protocol(**changed: Any) -> RobustnessProtocol:
    settings = {"epsilons": SIZES, "steps": 3, "restarts": 1, "queries": 9, "samples": 30}
    return RobustnessProtocol(**{**settings, "corruptions": False, **changed})


def disturbed(task: Task, clean: pd.DataFrame, harm: float) -> Outcome:
    """Move every estimate away from its truth."""
    target, said = (clean[columns_of(task, part)].to_numpy() for part in ("target", "probability"))
    if task.kind == "regression":
        estimate = said + 4 * harm * np.where(said >= target, 1.0, -1.0)
        loss = np.abs(estimate - target).mean(axis=1)
    else:
        away = harm * (2 * np.nan_to_num(target, nan=0.5) - 1)
        inside = said.clip(1e-6, 1 - 1e-6)
        estimate = sigmoid(np.log(inside / (1 - inside)) - away)
        loss = np.nan_to_num(np.abs(estimate - target)).mean(axis=1)
    codes: npt.NDArray[Any] = target
    if task.kind == "multiclass":
        estimate = estimate / estimate.sum(axis=1, keepdims=True)
        codes = np.where(np.isnan(target[:, 0]), -1, np.nan_to_num(target).argmax(axis=1))
    names = list(clean["record_id"]), list(clean["subject_id"])
    table = predictions_table(task, *names, codes, estimate)
    frequency = np.linspace(0.5, FS / 2, 50)
    spectrum = {
        "frequency": frequency.tolist(),
        "signal": (1e-2 * np.exp(-frequency / 5)).tolist(),
        "perturbation": np.full(50, 1e-4).tolist(),
    }
    facts = {"gradient_calls": 4.0, "forward_calls": 0.0, "spectrum": spectrum}
    return Outcome(table.assign(loss=loss, largest=harm, length=harm), facts)


def harm_of(condition: Condition, fall: float, force: dict[str, float]) -> float:
    if condition.attack is None:
        return 0.05 * condition.severity
    attack: Attack = condition.attack
    name = condition.key.split(f"-{attack.norm}-")[0]
    return fall * force[name] * float(np.log1p(attack.epsilon / SIZES[1]))


def fake_robustness(
    run: Path,
    *,
    asked: RobustnessProtocol | None = None,
    fall: float = 1.0,
    force: dict[str, float] | None = None,
    split: str = "test",
    records: int | None = None,
    fs: float = FS,
    unit: str = "mV",
) -> dict[str, Any]:
    """Write robustness.json and what stands beside it, as the verb does."""
    folder, wanted = RunFolder(run), asked or protocol()
    task = folder.load_task()
    spec = SignalSpec("ecg", fs, LENGTH, STANDARD_12, unit=unit)
    conditions = plan(wanted, task, spec)
    clean = folder.load_predictions().head(records or 10**9)
    outcomes = {
        one.key: disturbed(task, clean, harm_of(one, fall, {**FORCE, **(force or {})}))
        for one in conditions.conditions
    }
    place = run / ("robustness" if split == "test" else f"robustness_{split}")
    shelf = Shelf(place, {"checkpoint": "x"})
    for one in conditions.conditions:
        shelf.keep(one, outcomes[one.key])
    facts = robustness_facts(task, spec, wanted, conditions, outcomes)
    kept = keep_evidence(shelf, task, wanted, conditions, outcomes)
    facts |= {"split": split, "examples": None}
    size = telling_size(task, facts)
    if size is not None:
        condition = conditions.attacks[size]["apgd"]
        names = telling_records(outcomes["clean"].predictions, outcomes[condition.key].predictions)
        kept.append(place / "examples.npz")
        write_examples(kept[-1], names, size)
        facts["examples"] = {
            "file": f"{place.name}/examples.npz",
            "epsilon": size,
            "condition": condition.key,
            "records": names,
            "fs": fs,
            "leads": list(STANDARD_12),
            "unit": unit,
        }
    facts["sha256"] = {
        "checkpoint": sha256_file(folder.best),
        "files": {f"{place.name}/{one.name}": sha256_file(one) for one in kept},
    }
    write_json(folder.evidence("robustness.json", split), facts)
    return facts


def write_examples(path: Path, names: list[str], size: float) -> None:
    rng = np.random.default_rng(0)
    clean = np.stack([signal_of(k, FS, LENGTH / FS) for k in range(len(names))])
    change = size * np.where(rng.random(clean.shape) < 0.5, -1.0, 1.0)
    mask = np.ones((len(names), LENGTH), bool)
    mask[0, 900:] = False
    arrays: dict[str, Any] = {
        "record_id": np.array(names, dtype=np.str_),
        "clean": (clean * mask[:, None]).astype(np.float32),
        "perturbation": (change * mask[:, None]).astype(np.float32),
        "mask": mask,
    }
    write_atomically(path, lambda stream: np.savez_compressed(stream, **arrays))
