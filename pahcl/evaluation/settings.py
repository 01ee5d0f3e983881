"""What a resolved config says of its run: one word for one thing, in tables and on pages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pahcl.evaluation.run import lookup
from pahcl.files import canonical_json, sha256_text

SCRATCH = "scratch"
"""Initialisation of a run that started from random weights."""

FULL = "Full"
"""Strategy of a run that learned every weight; modules take None for it, too."""

SEED_KEYS = ("seed_everything", "data.init_args.seed")

NOT_EXPERIMENT = ("run", "ckpt_path", "config", "verbose", "weights_only", "return_predictions")
"""Top-level keys that say under which name something ran, not what."""

NOT_DATA = tuple(
    f"data.init_args.{key}" for key in ("num_workers", "prepare_workers", "predict_split")
)
"""Keys that say how the data are read, but not what a number means."""

NOT_TRAINING = ("default_root_dir", "logger", "enable_progress_bar", "enable_model_summary")

PRETRAINED = "model.init_args.pretrained"
STRATEGY = "model.init_args.strategy"


class Configured:
    """Read out of a resolved config the few facts that tell runs apart.

    Attributes:
        config: The config; empty where a run has none, and then nothing is known.
        start: A name for the start of the encoder, where whoever made the run has one.
    """

    config: dict[str, Any]
    start: str = ""

    def setting(self, dotted: str) -> object:
        """Read a config value by its dotted key; None where it is not set."""
        return lookup(self.config, dotted)

    def short_class(self, dotted: str) -> str:
        """Name the class that a config key chooses, without its package; "" where it is not set."""
        path = self.setting(f"{dotted}.class_path")
        return path.rsplit(".", 1)[-1] if isinstance(path, str) else ""

    @property
    def dataset(self) -> str:
        """Name the data set by its data module."""
        return self.short_class("data").removesuffix("DataModule")

    @property
    def encoder(self) -> str:
        """Name the network."""
        return self.short_class("model.init_args.encoder")

    @property
    def strategy(self) -> str:
        """Name how the weights were learned."""
        return self.short_class(STRATEGY) or (FULL if self.config else "")

    @property
    def pretrained(self) -> str | None:
        """Locate the checkpoint that the encoder started from; None = random weights."""
        value = self.setting(PRETRAINED)
        return str(value) if value else None

    @property
    def initialisation(self) -> str:
        """Name the start of the encoder: `scratch`, a run as experiment and name, or a file."""
        if self.start:
            return self.start
        if self.pretrained is None:
            return SCRATCH if self.config else ""
        parts = Path(self.pretrained).parts
        # runs/<experiment>/<name>/checkpoints/best.ckpt
        of_run = parts[-2:-1] == ("checkpoints",) and len(parts) > 3
        return "/".join(parts[-4:-2]) if of_run else parts[-1]

    @property
    def fraction(self) -> float | None:
        """Give the share of subjects whose labels were used; None where a number was, or none."""
        value = self.setting("data.init_args.fraction")
        if self.shots is not None or not isinstance(value, int | float):
            return None
        return float(value)

    @property
    def shots(self) -> int | None:
        """Give the number of subjects of each class whose labels were used, if that was given."""
        return _whole(self.setting("data.init_args.shots"))

    @property
    def fold(self) -> str:
        """Write which fold of a cross-validation was tested: `1 of 5`, "" where there was none."""
        folds = _whole(self.setting("data.init_args.folds"))
        fold = _whole(self.setting("data.init_args.fold")) or 0
        return f"{fold} of {folds}" if folds else ""

    @property
    def fraction_of(self) -> str:
        """Say what the share refers to: the `train` split or the whole `dataset`."""
        return str(self.setting("data.init_args.fraction_of") or "train")

    @property
    def labels(self) -> str:
        """Write which labels were used: `5 %`, `5 % of the data set`, `10 a class`."""
        if self.shots is not None:
            return f"{self.shots} a class"
        if self.fraction is None:
            return ""
        of = " of the data set" if self.fraction_of == "dataset" else ""
        return f"{100 * self.fraction:.4g} %{of}"

    @property
    def split_seed(self) -> int | None:
        """Give what chose the subjects of each split and of each fraction."""
        return _whole(self.setting("data.init_args.split_seed"))

    @property
    def seed(self) -> int | None:
        """Give the run's seed."""
        return _whole(self.setting("seed_everything"))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def without_seed(config: Mapping[str, Any], start: str | None = None) -> dict[str, Any]:
    """Leave out of a config its seeds, and where, how and under which name it ran.

    Args:
        config: The resolved config.
        start: The recipe of the pretraining, which then stands for the path of its checkpoint: of
            runs that were pretrained with other seeds, each names a file of its own.
    """
    kept: dict[str, Any] = json.loads(json.dumps(config, default=str))
    left_out = [*NOT_EXPERIMENT, *NOT_DATA, *(f"trainer.{name}" for name in NOT_TRAINING)]
    for key in (*left_out, *SEED_KEYS):
        _drop(kept, key)
    strategy = lookup(kept, STRATEGY)
    named = str(strategy.get("class_path")) if isinstance(strategy, Mapping) else FULL
    if named.rsplit(".", 1)[-1] == FULL:
        _drop(kept, STRATEGY)  # None means the same
    if start is not None and lookup(kept, PRETRAINED):
        _drop(kept, PRETRAINED)
        kept["pretrained"] = start
    return kept


def _drop(config: dict[str, Any], dotted: str) -> None:
    *way, last = dotted.split(".")
    place = lookup(config, ".".join(way)) if way else config
    if isinstance(place, dict):
        place.pop(last, None)


def recipe(config: Mapping[str, Any], start: str | None = None) -> str:
    """Give a digest that runs share which differ in their seed alone, the pretraining's too.

    Args:
        config: The resolved config.
        start: The recipe of the pretraining, where there was one.
    """
    return sha256_text(canonical_json(without_seed(config, start)))


def dotted_keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Walk through a config: each dotted key with its value, those of sections included."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        yield name, value
        if isinstance(value, Mapping):
            yield from dotted_keys(value, f"{name}.")
