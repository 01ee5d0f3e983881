"""The run folder: where a training verb writes, and whether it starts or goes on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pahcl.errors import UsageError
from pahcl.evaluation.run import RunFolder

NAME_FROM_PARENT = "PAHCL_RUN_NAME"
"""Environment variable that tells the processes of one DDP run their common name."""

MAY_DIFFER = (
    "run",
    "trainer",
    "ckpt_path",
    "config",
    "verbose",
    "weights_only",
    "return_predictions",
)
"""Top-level keys that a resumed run may change; `trainer` too, to go on for more epochs."""


@dataclass
class Run:
    """Say where a run lives and what is kept beside the numbers.

    Args:
        experiment: Folder of runs that belong together.
        name: The run's own folder. `fit` with the name of an interrupted run goes on with it; None
            takes date and time, so that every start is a run of its own.
        root: Where experiments live.
        wandb: `auto` logs to Weights & Biases online when logged in, else offline.
        tensorboard: Also write TensorBoard events.
        patience: Stop when the primary metric has not improved for so many validations.
        compile: Compile the encoder with torch.compile.
        test: After `fit`, measure the best checkpoint on the test split.
    """

    experiment: str = "default"
    name: str | None = None
    root: str = "runs"
    wandb: Literal["auto", "online", "offline", "off"] = "auto"
    tensorboard: bool = True
    patience: int | None = None
    compile: bool = False
    test: bool = False

    def __post_init__(self) -> None:
        for key in ("experiment", "name"):
            value = getattr(self, key)
            if value is not None and (
                not value or Path(value).is_absolute() or ".." in Path(value).parts
            ):
                raise UsageError(f"run.{key} must be a folder name inside run.root, got {value!r}.")


def choose_name(name: str | None) -> str:
    """Settle a run's name: the given one, the parent process's, or date and time."""
    if "LOCAL_RANK" in os.environ and NAME_FROM_PARENT in os.environ:
        return os.environ[NAME_FROM_PARENT]
    chosen = name or datetime.now().astimezone().strftime("%Y%m%d-%H%M%S-%f")
    os.environ[NAME_FROM_PARENT] = chosen
    return chosen


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Write a nested mapping as one of dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat


def changed_keys(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """List what differs between two resolved configs, but for what a resumed run may change."""
    old, new = (
        flatten({key: value for key, value in config.items() if key not in MAY_DIFFER})
        for config in (before, now)
    )
    return [
        f"{key}: {old.get(key)!r} there, {new.get(key)!r} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def checkpoint_to_resume(folder: RunFolder, config: dict[str, Any]) -> Path | None:
    """Find the checkpoint from which `fit` goes on in a folder that already holds this run.

    Args:
        folder: The run's folder.
        config: The resolved config of this start.

    Returns:
        The last checkpoint, or None for a fresh start.

    Raises:
        UsageError: The folder holds a run of another config.
    """
    if not folder.config.is_file():
        return None
    changed = changed_keys(folder.load_config(), config)
    if changed:
        shown = "; ".join(changed[:4]) + (
            f"; and {len(changed) - 4} more" if len(changed) > 4 else ""
        )
        raise UsageError(
            f"{folder.path} holds a run of another config ({shown}). Nothing was overwritten: give "
            "this run another --run.name, or remove that folder."
        )
    return folder.last if folder.last.is_file() else None
