"""What a checkpoint says of its model, in plain types."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from torch import Tensor

from pahcl import __version__
from pahcl.encoders.base import Encoder
from pahcl.encoders.heads import Head
from pahcl.encoders.pooling import Pooling
from pahcl.errors import CheckpointError
from pahcl.files import plain
from pahcl.signals.spec import SignalSpec
from pahcl.task import Task

KEY = "pahcl"
FORMAT = 1

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """Name a class and the plain arguments that make an object of it.

    Args:
        class_path: Dotted name.
        init_args: Keyword arguments.
    """

    class_path: str
    init_args: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, module: Encoder | Pooling | Head) -> Part:
        """Describe an encoder, a pooling or a head."""
        kind = type(module)
        return cls(f"{kind.__module__}.{kind.__qualname__}", module.config())

    def differences(self, other: Part, ignore: Iterable[str] = ()) -> list[str]:
        """Name what differs from another part, as `item: ours, not theirs`."""
        if self.class_path != other.class_path:
            return [f"class: {self.class_path}, not {other.class_path}"]
        mine, theirs = self.init_args, other.init_args
        return [
            f"{key}: {mine.get(key)}, not {theirs.get(key)}"
            for key in sorted(mine.keys() | theirs.keys())
            if key not in set(ignore) and mine.get(key) != theirs.get(key)
        ]


@dataclass(frozen=True)
class SavedModel:
    """Hold what a checkpoint says of its model.

    Args:
        method: Class path of the LightningModule.
        encoder: The encoder.
        pooling: The pooling, None where the method has none.
        head: The head, None where the method has none.
        spec: The input contract.
        cycles: How heart cycles, or windows, were shown (the data module's `cycles`); None where
            records were.
        task: The question, None where the method was trained without labels.
        label_statistics: Of the training split.
        thresholds: One a class, from validation.
        config: The resolved config of the run.
        origin: What the weights started from, as `origin_of` tells it; empty = random weights.
        code_version: Version of pahcl that wrote it.
        state: Weights and buffers by name; not part of the dict.
        source: Where it was read, for error texts.
    """

    method: str
    encoder: Part
    spec: SignalSpec
    pooling: Part | None = None
    head: Part | None = None
    cycles: dict[str, Any] | None = None
    task: Task | None = None
    label_statistics: dict[str, Any] = field(default_factory=dict)
    thresholds: list[float] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    code_version: str = __version__
    state: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)
    source: str = field(default="the checkpoint", compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Write everything but the weights as plain types."""
        task = self.task
        return {
            "format": FORMAT,
            "method": self.method,
            "encoder": asdict(self.encoder),
            "pooling": asdict(self.pooling) if self.pooling else None,
            "head": asdict(self.head) if self.head else None,
            "spec": self.spec.to_dict(),
            "cycles": plain(self.cycles),
            "task": task.to_dict() if task else None,
            "classes": list(task.classes) if task else [],
            "label_statistics": plain(self.label_statistics),
            "thresholds": list(self.thresholds),
            "config": plain(self.config),
            "origin": plain(self.origin),
            "code_version": self.code_version,
        }

    @classmethod
    def from_checkpoint(cls, checkpoint: dict[str, Any], source: str) -> SavedModel:
        """Read the `pahcl` part of a loaded checkpoint.

        Raises:
            CheckpointError: There is none, it is of another format, or it is damaged.
        """
        values = checkpoint.get(KEY) if isinstance(checkpoint, dict) else None
        if not isinstance(values, dict) or "state_dict" not in checkpoint:
            raise CheckpointError(
                f"{source} is no checkpoint of pahcl: it has no `{KEY}` part. Name one that "
                "`pahcl fit` wrote (RUN/checkpoints/best.ckpt)."
            )
        if values.get("format") != FORMAT:
            raise CheckpointError(
                f"{source} has the checkpoint format {values.get('format')!r}; pahcl {__version__} "
                f"reads {FORMAT}. Use the pahcl that wrote it "
                f"({values.get('code_version', 'unknown')})."
            )
        optional = {key: values.get(key) for key in ("pooling", "head", "task")}
        try:
            return cls(
                method=values["method"],
                encoder=Part(**values["encoder"]),
                spec=SignalSpec.from_dict(values["spec"]),
                pooling=Part(**optional["pooling"]) if optional["pooling"] else None,
                head=Part(**optional["head"]) if optional["head"] else None,
                cycles=values.get("cycles"),
                task=Task.from_dict(optional["task"]) if optional["task"] else None,
                label_statistics=values["label_statistics"],
                thresholds=values["thresholds"],
                config=values["config"],
                origin=values.get("origin") or {},
                code_version=values["code_version"],
                state=checkpoint["state_dict"],
                source=source,
            )
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"The `{KEY}` part of {source} is damaged ({error!r}); train the model again, or "
                "take another checkpoint of the run."
            ) from error

    def build(self, part: Part, base: type[T]) -> T:
        """Make an object that the checkpoint names; only classes of pahcl or imported ones.

        Raises:
            CheckpointError: There is no such class, or it does not take these arguments.
        """
        kind = find_class(part.class_path, base, self.source)
        try:
            return kind(**part.init_args)
        except TypeError as error:
            raise CheckpointError(
                f"{part.class_path} does not take what {self.source} stores for it ({error}); it "
                f"was written by pahcl {self.code_version}, this is {__version__}."
            ) from error

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """Give the weights and buffers of one part, without its name."""
        start = f"{prefix}."
        return {
            name.removeprefix(start): value
            for name, value in self.state.items()
            if name.startswith(start)
        }


def find_class(class_path: str, base: type[T], source: str) -> type[T]:
    """Find a class by its dotted name without importing code from outside the package."""
    module_name, _, name = class_path.rpartition(".")
    if module_name.split(".")[0] == "pahcl":
        try:
            importlib.import_module(module_name)
        except ImportError as error:
            raise CheckpointError(
                f"{source} names {class_path}, which pahcl {__version__} does not have."
            ) from error
    kind = getattr(sys.modules.get(module_name), name, None)
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise CheckpointError(
            f"{source} names {class_path}, which is no {base.__name__} known here; if it is a "
            "class of yours, import its module first."
        )
    return kind
