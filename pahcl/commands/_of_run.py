"""A finished run as another verb needs it: its best checkpoint, and its data as its config says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from data_modules.base import SignalDataModule
from pahcl.errors import CheckpointError, PahclError, UsageError
from pahcl.evaluation.evidence import verify_evidence
from pahcl.evaluation.perturbed import Batch, Examined
from pahcl.evaluation.run import RunFolder
from pahcl.files import sha256_file, sha256_text
from pahcl.modules._supervised import Supervised
from pahcl.modules.checkpoint import load, read_checkpoint, refuse_other_input, refuse_other_task
from pahcl.signals import ToSignal

if TYPE_CHECKING:
    from collections.abc import Mapping


def choose_device(name: str) -> torch.device:
    """Find the device that is meant.

    Args:
        name: `auto`, or PyTorch's name of one.

    Raises:
        UsageError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"--device {name}: there is no such device here. Use auto, cpu, or cuda where "
            "`nvidia-smi` shows one."
        ) from error
    return device


def require_evidence(folder: RunFolder) -> None:
    """Refuse a run that was not tested, or that is another one since.

    Raises:
        UsageError: It has no best checkpoint, or no evidence.
        PahclError: Its evidence is of another checkpoint.
    """
    if not folder.best.is_file():
        raise UsageError(
            f"{folder.path} has no checkpoints/best.ckpt; `pahcl fit` writes it. Train the run "
            "first, or name another one."
        )
    if not folder.is_complete:
        raise UsageError(
            f"{folder.path} was not tested yet, so there is no evidence to compare with. Run "
            f"`pahcl test --config {folder.config}` first."
        )
    doubts = verify_evidence(folder)
    if doubts:
        raise PahclError(
            f"{folder.path}: {'; '.join(doubts)}. Run `pahcl test` again, so that evidence and "
            "checkpoint are of one run."
        )


def make_data(config: Mapping[str, Any], folder: RunFolder, **changed: object) -> SignalDataModule:
    """Make the data module of a run's config.

    Args:
        config: The resolved config.
        folder: The run, for errors.
        changed: Arguments of the data module to replace; None keeps what the config says.

    Raises:
        UsageError: The config has no data module, or one that cannot be made.
    """
    data = config.get("data")
    if not isinstance(data, dict) or "class_path" not in data:
        raise UsageError(f"{folder.config} names no data module (data.class_path).")
    given = {key: value for key, value in changed.items() if value is not None}
    arguments = {**(data.get("init_args") or {}), **given}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(SignalDataModule, "data")
    try:
        parsed = parser.parse_object({"data": {**data, "init_args": arguments}})
        made = parser.instantiate_classes(parsed).data
    except (ArgumentError, TypeError, ValueError) as error:
        raise UsageError(
            f"The data module of {folder.config} cannot be made: {error}. Was the run trained by "
            "another version of pahcl?"
        ) from error
    if not isinstance(made, SignalDataModule):
        raise UsageError(f"{folder.config}: {data['class_path']} is no data module.")
    return made


@dataclass(frozen=True)
class RunOnData:
    """Hold a run's network and the records of one split.

    Args:
        examined: The network, on the device.
        data: The data module, set up.
        split: Which records.
        device: Where batches go.
    """

    examined: Examined
    data: SignalDataModule
    split: str
    device: torch.device

    def batches(self) -> Iterator[Batch]:
        """Serve the split's labelled records in physical units, on the device."""
        loader = {"val": self.data.val_dataloader, "test": self.data.test_dataloader}[self.split]
        to_signal = ToSignal(replace(self.data.spec, normalisation="none"))
        for batch in loader():
            moved = {
                key: value.to(self.device) if isinstance(value, Tensor) else value
                for key, value in batch.items()
            }
            parts = (moved.pop(key) for key in ("samples", "scale", "start", "stop"))
            signal, mask = to_signal(*parts)
            yield {**moved, "signal": signal, "mask": mask}

    @property
    def record_ids(self) -> list[str]:
        """Name the records in their order."""
        return list(map(str, self.data.store.table["record_id"].iloc[self.rows]))

    @property
    def rows(self) -> Any:
        """Give the records' rows of the store."""
        return self.data.rows[self.split]

    def identity(self, folder: RunFolder, seed: int) -> dict[str, Any]:
        """Say what every outcome depends on: checkpoint, store, records, contract and seed."""
        return {
            "checkpoint": sha256_file(folder.best),
            "store": self.data.store.manifest.digest,
            "records": sha256_text("\n".join(self.record_ids)),
            "split": self.split,
            "spec": self.data.spec.to_dict(),
            "pad": self.data.pad,
            "seed": seed,
        }


def open_run(
    folder: RunFolder,
    split: str,
    device: torch.device,
    records: int | None = None,
    seed: int = 0,
    **changed: object,
) -> RunOnData:
    """Load a run's best checkpoint and the records of a split.

    Args:
        folder: The run.
        split: `val` or `test`.
        device: Where the network goes.
        records: How many records, drawn by the seed; None takes all.
        seed: Of that draw.
        changed: Arguments of the data module to replace.

    Raises:
        PahclError: The checkpoint or the data cannot be used.
    """
    network = load(folder.best)
    if not isinstance(network, Supervised) or network.task is None:
        raise CheckpointError(f"{folder.best} holds no network that answers a task.")
    data = make_data(folder.load_config(), folder, **changed)
    if data.cycles is not None:
        raise UsageError(
            f"{folder.path} reads heart cycles (data.init_args.cycles); only a network that reads "
            "records can be examined here."
        )
    data.prepare_data()
    data.setup("test")
    saved = read_checkpoint(folder.best)
    refuse_other_input(saved, data.spec)
    refuse_other_task(saved, data.task)
    if records is not None:
        data.rows[split] = draw_records(data, split, records, seed)
    regression = network.task.kind == "regression"
    network.to(device)
    examined = Examined(
        network,
        network.task,
        data.spec,
        network.thresholds.cpu().numpy(),
        network.target_mean if regression else None,
        network.target_std if regression else None,
    )
    return RunOnData(examined, data, split, device)


def draw_records(data: SignalDataModule, split: str, count: int, seed: int) -> Any:
    """Choose rows of a split by their ids and the seed, whatever else is in the store."""
    rows = data.rows[split]
    ids = data.store.table["record_id"].astype(str).iloc[rows]
    keys = [hashlib.sha256(f"{seed}/{name}".encode()).hexdigest() for name in ids]
    return np.sort(rows[np.argsort(keys, kind="stable")[:count]])
