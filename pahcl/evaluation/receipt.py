"""The receipt of a run: what its numbers came from, in digests that anyone can compute again.

No absolute path and no host name is written, so a receipt can be published.
"""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import pahcl
from pahcl.files import sha256_file

FORMAT = 1
LIBRARIES = ("torch", "lightning", "torchmetrics", "numpy", "scipy", "pandas", "pyarrow", "h5py")
GIT_SECONDS = 10

SIMULATED = "simulated"
"""Version of a data set whose recordings a simulator made, as manifests and receipts hold it."""

NO_EVIDENCE = "The recordings are simulated: nothing here is evidence about patients."


@dataclass(frozen=True)
class ReceiptParts:
    """Hand in what only the caller of a test knows.

    Args:
        data: The data module's `data_receipt()`: data set, version, store and split digests,
            counts per class.
        config: File of the resolved config; None leaves its digest out.
        checkpoint: File of the weights that were tested.
        seed: Seed of the run.
        wall_time_s: Duration of training so far, in seconds.
        device: Device that predicted, as torch names it (`cpu`, `cuda:0`).
        pretrained: What the weights started from (`pahcl.modules.checkpoint.origin_of`); empty =
            random weights.
        cost: Steps, passes and seconds of the training (`pahcl.modules._cost.Cost`).
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    config: Path | None = None
    checkpoint: Path | None = None
    seed: int | None = None
    wall_time_s: float | None = None
    device: str = "cpu"
    pretrained: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)


def is_simulated(receipt: Mapping[str, Any]) -> bool:
    """Say whether a receipt is one of simulated recordings."""
    data = receipt.get("data")
    return isinstance(data, Mapping) and data.get("dataset_version") == SIMULATED


def git_state(package: Path | None = None) -> dict[str, Any]:
    """Tell commit and cleanliness of the checkout that the package runs from.

    Returns:
        `commit` and `dirty` (tracked files differ from it); both None where the package is
        installed rather than run from its own checkout, or git is not there.
    """
    folder = Path(pahcl.__file__).resolve().parent if package is None else package.resolve()
    unknown: dict[str, Any] = {"commit": None, "dirty": None}
    top = _git(folder, "rev-parse", "--show-toplevel")
    # An environment may lie inside a checkout of something else, whose commit says nothing.
    if top is None or Path(top).resolve() != folder.parent:
        return unknown
    commit = _git(folder, "rev-parse", "HEAD")
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def library_versions() -> dict[str, str]:
    """Give the versions of Python and of the libraries that numbers depend on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware(device: str) -> dict[str, Any]:
    """Tell the class of the machine: processor architecture, threads, accelerator, CUDA version."""
    facts: dict[str, Any] = {
        "system": platform.system(),
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "device": torch.device(device).type,
    }
    if facts["device"] == "cuda" and torch.cuda.is_available():
        facts |= {"accelerator": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    return facts


def build_receipt(
    parts: ReceiptParts, files: Mapping[str, Path], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write down what the numbers of a test came from.

    Args:
        parts: What the caller knows.
        files: Files of evidence by the name under which their digest is kept.
        facts: Facts of the evaluation (task, split, counts per class).

    Returns:
        Plain types for `receipt.json`.
    """
    inputs = {"config": parts.config, "checkpoint": parts.checkpoint, **files}
    return {
        "format": FORMAT,
        **facts,
        "seed": parts.seed,
        "data": dict(parts.data),
        "pretrained": dict(parts.pretrained) or None,
        "sha256": {name: sha256_file(path) for name, path in inputs.items() if path is not None},
        "code": {"version": pahcl.__version__, **git_state()},
        "libraries": library_versions(),
        "hardware": hardware(parts.device),
        "wall_time_s": parts.wall_time_s,
        "cost": dict(parts.cost) or None,
    }
