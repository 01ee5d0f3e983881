"""The `pahcl` part of a checkpoint: what was trained, on what input, for which question.

Everything is plain types and tensors, so that `torch.load(..., weights_only=True)` reads it, and
enough to make the network again without its config or its data.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from pahcl import __version__
from pahcl.encoders.base import Encoder
from pahcl.encoders.heads import Head
from pahcl.encoders.pooling import Pooling
from pahcl.errors import CheckpointError
from pahcl.evaluation.settings import recipe
from pahcl.files import sha256_file
from pahcl.modules._saved import Part, SavedModel, find_class
from pahcl.signals.spec import SignalSpec
from pahcl.task import Task


@dataclass(frozen=True)
class LoadReport:
    """Say which tensors came from a checkpoint.

    Args:
        loaded: Names of the tensors that were loaded.
        missing: Tensors of the model that start afresh.
        unexpected: Tensors of the checkpoint that were left there.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"took over {_by_part(self.loaded)}; new here: {_by_part(self.missing)}; "
            f"not taken from it: {_by_part(self.unexpected)}"
        )


IN_WORDS = {
    "thresholds": "decision thresholds",
    "target_mean": "scale of the target",
    "target_std": "scale of the target",
}


def _by_part(names: Iterable[str]) -> str:
    """Name the parts of a model that tensors belong to, with how many tensors each has."""
    counts = Counter(name.split(".")[0] for name in names)
    parts = [IN_WORDS.get(part, f"{part} ({_tensors(count)})") for part, count in counts.items()]
    return ", ".join(dict.fromkeys(parts)) or "nothing"


def _tensors(count: int) -> str:
    return "1 tensor" if count == 1 else f"{count} tensors"


def read_checkpoint(path: str | Path) -> SavedModel:
    """Read a checkpoint without running any code that it may hold.

    Raises:
        CheckpointError: There is no file, or it is no whole checkpoint of pahcl.
    """
    if not Path(path).is_file():
        raise CheckpointError(
            f"There is no checkpoint at {path}; a run keeps them in RUN/checkpoints/."
        )
    _require_unchanged(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of foreign files, which the error below refuses
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        RuntimeError,
        OSError,
        EOFError,
        KeyError,
        ValueError,
        AttributeError,
        IndexError,
        UnicodeDecodeError,
    ) as error:
        whole = isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(path)
        reason = (
            "it holds objects other than tensors and plain values, which could run code, and is "
            "not opened"
            if whole
            else "it is damaged or no checkpoint at all"
        )
        raise CheckpointError(
            f"{path} cannot be read: {reason}. Name a checkpoint that `pahcl fit` wrote."
        ) from error
    return SavedModel.from_checkpoint(checkpoint, str(path))


def _require_unchanged(path: str | Path) -> None:
    """Check every tensor of the file against its checksum, which torch writes but does not read.

    Raises:
        CheckpointError: Bytes have changed since it was written.
    """
    if not zipfile.is_zipfile(path):
        return  # which `torch.load` refuses
    try:
        with zipfile.ZipFile(path) as archive:
            changed = archive.testzip()
    except (zipfile.BadZipFile, RuntimeError, OSError, EOFError, ValueError):
        changed = "its table of contents"
    if changed is not None:
        raise CheckpointError(
            f"{path} is damaged: {changed} is not what was written. Copy it again, or take "
            "another checkpoint of the run."
        )


def origin_of(saved: SavedModel, path: str | Path) -> dict[str, Any]:
    """Say what weights that start from a checkpoint started from.

    Returns:
        `sha256` of the file, and `recipe` and `seed` of the run that made it. A recipe is the same
        for runs that differ in their seed alone; a checkpoint without a config has one of its own.
    """
    digest = sha256_file(Path(path))
    made = recipe(saved.config, saved.origin.get("recipe")) if saved.config else digest
    return {"sha256": digest, "recipe": made, "seed": saved.config.get("seed_everything")}


def refuse_other_input(saved: SavedModel, spec: SignalSpec) -> None:
    """Refuse a model that was trained on another input contract than the data module gives.

    Raises:
        CheckpointError: Names each item that differs.
    """
    differences = saved.spec.differences(spec)
    if differences:
        raise CheckpointError(
            f"{saved.source} was trained on another input than the data module gives "
            f"({'; '.join(differences)}). Set these arguments of the data module to what the "
            "checkpoint expects."
        )


def refuse_other_cycles(saved: SavedModel, cycles: dict[str, Any] | None) -> None:
    """Refuse a model that was trained on another cut of the recordings than the data module shows.

    Who found the cycles, and which are left out, may differ: that is a question one may ask.

    Raises:
        CheckpointError: Says what the model was trained on, and what it would be shown.
    """
    trained, shown = _cut(saved.cycles), _cut(cycles)
    if trained != shown:
        raise CheckpointError(
            f"{saved.source} was trained on {trained}, the data module shows {shown}. Set "
            "data.init_args.cycles to what the checkpoint expects."
        )


def _cut(cycles: dict[str, Any] | None) -> str:
    """Name in words what is shown of a recording."""
    if cycles is None:
        return "whole recordings (`cycles` null)"
    if cycles.get("table") == "windows":
        return "windows (`cycles.table` windows)"
    length = cycles.get("length")
    shares = f", shares {cycles.get('shares')}" if length == "phase" else ""
    return f"heart cycles (`cycles.length` {length}{shares})"


def refuse_other_task(saved: SavedModel, task: Task) -> None:
    """Refuse a model that answers another question than the data module asks.

    Raises:
        CheckpointError: Names kind, classes or unit, where they differ.
    """
    if saved.task is None:
        raise CheckpointError(
            f"{saved.source} was trained without a task and has no head to load; leave "
            "`load_head` off."
        )
    differences = [
        f"{name}: {getattr(saved.task, name)}, not {getattr(task, name)}"
        for name in ("kind", "classes", "unit")
        if getattr(saved.task, name) != getattr(task, name)
    ]
    if differences:
        raise CheckpointError(
            f"{saved.source} was trained for the task `{saved.task.name}`, the data module asks "
            f"`{task.name}` ({'; '.join(differences)}). Set the data module's `task`, or carry the "
            "encoder over with `--model.pretrained` and a fresh head."
        )


def refuse_other_network(saved: SavedModel, name: str, module: Encoder | Pooling | Head) -> None:
    """Refuse weights of another network; only its dropout may differ.

    Raises:
        CheckpointError: Names each argument that differs.
    """
    stored: Part | None = getattr(saved, name)
    if stored is None:
        raise CheckpointError(f"{saved.source} has no {name} to load.")
    differences = stored.differences(Part.of(module), ignore=("dropout",))
    if differences:
        raise CheckpointError(
            f"The {name} of {saved.source} is another one than the config's "
            f"({'; '.join(differences)}). Set `model.{name}` to the checkpoint's."
        )


def load_weights(module: nn.Module, saved: SavedModel, parts: Iterable[str]) -> LoadReport:
    """Copy some parts of a checkpoint into a model and say what was copied.

    Args:
        module: The model; every tensor of `parts` must be in both.
        saved: The checkpoint.
        parts: First words of the tensors' names, for example `encoder`.

    Raises:
        CheckpointError: A tensor of these parts is missing, superfluous or of another shape.
    """
    wanted = set(parts)
    own = module.state_dict()
    chosen = {name: x for name, x in saved.state.items() if name.split(".")[0] in wanted}
    expected = {name for name in own if name.split(".")[0] in wanted}
    wrong = sorted(
        {name for name in chosen.keys() & expected if chosen[name].shape != own[name].shape}
        | (chosen.keys() ^ expected)
    )
    if wrong:
        raise CheckpointError(
            f"{saved.source} does not fit the model: {len(wrong)} tensor(s) are missing, "
            f"superfluous or of another shape, for example {wrong[0]}."
        )
    module.load_state_dict(chosen, strict=False)
    return LoadReport(
        loaded=tuple(chosen),
        missing=tuple(name for name in own if name not in chosen),
        unexpected=tuple(name for name in saved.state if name not in chosen),
    )


def load_encoder(path: str | Path) -> Encoder:
    """Make a checkpoint's encoder with its weights and its input contract, in evaluation mode.

    Raises:
        CheckpointError: The checkpoint cannot be used.
    """
    saved = read_checkpoint(path)
    # The build is guarded by the base class; Encoder itself is abstract, its subclasses are not.
    encoder: Encoder = saved.build(saved.encoder, Encoder)  # type: ignore[type-abstract]
    encoder.spec = saved.spec
    _load_strictly(encoder, saved.tensors("encoder"), saved)
    return encoder.eval()


def load(path: str | Path) -> LightningModule:
    """Make a checkpoint's whole model, ready to predict, without config or data.

    Args:
        path: A checkpoint that `pahcl fit` wrote.

    Returns:
        A module of the method that was trained, in evaluation mode.

    Raises:
        CheckpointError: The checkpoint cannot be used.
    """
    saved = read_checkpoint(path)
    method = find_class(saved.method, LightningModule, saved.source)
    restore = getattr(method, "from_saved", None)
    if restore is None:
        raise CheckpointError(
            f"{saved.source} holds the method {saved.method}, which cannot be made again without "
            "its config; load_encoder() gives its encoder."
        )
    module: LightningModule = restore(saved)
    _load_strictly(module, saved.state, saved)
    return module.eval()


def _load_strictly(module: nn.Module, state: dict[str, Tensor], saved: SavedModel) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(
            f"The weights in {saved.source} do not fit the model that it describes; it was written "
            f"by pahcl {saved.code_version}, this is {__version__}."
        ) from error
