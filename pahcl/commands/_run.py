"""The run folder: where a training verb writes, and whether it starts or goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator

from pahcl.errors import UsageError
from pahcl.evaluation.run import RunFolder
from pahcl.evaluation.settings import NOT_DATA, NOT_EXPERIMENT, dotted_keys
from pahcl.files import sha256_file, write_json

NAME_FROM_PARENT = "PAHCL_RUN_NAME"
"""Environment variable that tells the processes of one DDP run their common name."""

MAY_DIFFER = (*NOT_EXPERIMENT, "trainer")
"""Top-level keys that a resumed run may change; `trainer` too, to go on for more epochs."""

WHERE_AND_HOW = frozenset((*NOT_DATA, "data.init_args.root"))
"""Keys that say where the data lie and how they are read, but not what a number means."""

FINISHED = "finished.json"
"""File of a run folder whose training came to its end, not to an interruption."""

SEVERAL = ("WORLD_SIZE", "SLURM_NTASKS")
"""Environment variables by which a launcher says how many processes it started."""


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
    """Settle a run's name: the given one, the parent process's, or date and time.

    Raises:
        UsageError: A launcher started several processes, which would each take another time.
    """
    if "LOCAL_RANK" in os.environ and NAME_FROM_PARENT in os.environ:
        return os.environ[NAME_FROM_PARENT]
    if name is None and any(int(os.environ.get(key) or 1) > 1 for key in SEVERAL):
        raise UsageError(
            "A launcher (torchrun, srun) started several processes: give them one --run.name."
        )
    chosen = name or datetime.now().astimezone().strftime("%Y%m%d-%H%M%S-%f")
    os.environ[NAME_FROM_PARENT] = chosen
    return chosen


def changed_keys(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """List what differs between two resolved configs, but for what a resumed run may change."""
    old, new = (
        {
            name: value
            for name, value in dotted_keys(config)
            if name.split(".")[0] not in MAY_DIFFER and not (isinstance(value, dict) and value)
        }
        for config in (before, now)
    )
    return [
        f"{key}: {old.get(key)!r} there, {new.get(key)!r} now"
        for key in sorted((old.keys() | new.keys()) - WHERE_AND_HOW)
        if old.get(key) != new.get(key)
    ]


def require_same_run(folder: RunFolder, config: dict[str, Any]) -> None:
    """Refuse to write into the folder of a run that another config describes.

    A folder in which a start failed before its first checkpoint holds no run yet.

    Raises:
        UsageError: With the keys that differ.
    """
    if not folder.config.is_file() or not (folder.last.is_file() or folder.metrics.is_file()):
        return
    changed = changed_keys(folder.load_config(), config)
    if changed:
        more = f"; and {len(changed) - 4} more" if len(changed) > 4 else ""
        raise UsageError(
            f"{folder.path} holds a run of another config ({'; '.join(changed[:4])}{more}). "
            "Nothing was overwritten: give this run another --run.name, or remove that folder."
        )


def require_hardware(accelerator: object, sync_batchnorm: bool) -> None:
    """Refuse what needs a GPU where there is none.

    Raises:
        UsageError: With what to use instead.
    """
    cuda, mps = CUDAAccelerator.is_available(), MPSAccelerator.is_available()
    if not {"gpu": cuda or mps, "cuda": cuda, "mps": mps}.get(str(accelerator), True):
        raise UsageError(
            f"There is no GPU here (trainer.accelerator is `{accelerator}`): use "
            "configs/trainer/cpu.yaml (`make ... TRAINER=cpu`)."
        )
    if sync_batchnorm and (accelerator == "cpu" or not cuda):
        raise UsageError(
            "There is no GPU here to share BatchNorm statistics between (trainer.sync_batchnorm): "
            "use configs/trainer/cpu.yaml (`make ... TRAINER=cpu`), or for several processes on "
            "the CPU --trainer.accelerator cpu --trainer.sync_batchnorm false."
        )


def mark_finished(folder: RunFolder, epochs: int) -> None:
    """Note that training came to its end with the config that lies in the folder."""
    write_json(folder.path / FINISHED, {"epochs": epochs, "config": sha256_file(folder.config)})


def finished_epochs(folder: RunFolder, config: dict[str, Any]) -> int | None:
    """Say after how many epochs a run came to its end; None where more of it is asked for.

    Args:
        folder: The run, of the same `data` and `model`.
        config: The resolved config of this start, which may ask for a longer training.
    """
    marker = folder.path / FINISHED
    if not (marker.is_file() and folder.config.is_file() and folder.last.is_file()):
        return None
    facts = json.loads(marker.read_text(encoding="utf-8"))
    before = folder.load_config()
    same = before.get("trainer") == config.get("trainer") and (
        before.get("run", {}).get("patience") == config.get("run", {}).get("patience")
    )
    if not same or facts["config"] != sha256_file(folder.config):
        return None
    return int(facts["epochs"])


def require_own_checkpoint(folder: RunFolder, path: Path) -> None:
    """Refuse to write the evidence of a foreign checkpoint into the folder of a trained run.

    Raises:
        UsageError: The folder has checkpoints of its own, and this is none of them.
    """
    if folder.best.is_file() and path.resolve().parent != folder.checkpoints.resolve():
        raise UsageError(
            f"{path} is not a checkpoint of {folder.path}, whose evidence it would overwrite. Give "
            "this evaluation a --run.name of its own."
        )


@contextmanager
def one_writer(folder: RunFolder) -> Iterator[None]:
    """Keep two processes from training into one folder; the ranks of one run share it.

    Raises:
        UsageError: Another process is at it.
    """
    if int(os.environ.get("LOCAL_RANK") or 0) or int(os.environ.get("SLURM_PROCID") or 0):
        yield
        return
    folder.path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"Another process is writing to {folder.path}. Wait for it, or give this run another "
            "--run.name."
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # a system that keeps files which are open
            (folder.path / ".lock").unlink()
        lock.release()
