"""Read what a sweep is: a YAML file of pretrainings, label fractions and seeds."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pahcl.commands._common import read_yaml, shortened
from pahcl.errors import UsageError

EACH = "each"
"""Value of `pretraining.seed` that pretrains anew with every seed of the sweep."""

CHECKPOINTS = ("best", "last")

PRETRAINING = "pretraining"
"""Word of `--only` for the pretrainings without their transfers; no arm may have this name."""

SCRATCH = "scratch"
"""What tables call a start from random weights."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names become names of folders."""

OWN = ("run", "seed_everything", "ckpt_path", "model.pretrained", "model.init_args.pretrained")
"""Options of `pahcl fit` that a sweep gives by itself, to each run another value."""

MAY_BE_GIVEN = ("run.wandb", "run.tensorboard", "run.patience", "run.compile")
"""Options of a run that are the same for all."""

KEYS: Mapping[str, Mapping[str, bool]] = {
    "": {"pretraining": True, "transfer": True, "seeds": True, "layers": False,
         "compare_with": False, "metric": False, "name": False},
    "pretraining": {"arms": True, "seed": False, "arguments": False},
    "transfer": {"config": True, "fractions": True, "arguments": False},
    "arm": {"name": True, "config": False, "checkpoint": False, "arguments": False},
}  # fmt: skip
"""The keys of each mapping, and whether it must have them."""


@dataclass(frozen=True)
class Arm:
    """Hold one way to begin a transfer.

    Args:
        name: Its name in tables and folders.
        configs: Configs of the pretraining, in their order; none begins from random weights.
        checkpoint: What a transfer starts from: `best` on validation, or the `last` one.
        arguments: Words for `pahcl fit` of the pretraining.
    """

    name: str
    configs: tuple[Path, ...] = ()
    checkpoint: str = ""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class SweepFile:
    """Hold what a sweep is.

    Args:
        path: The file.
        name: Name of the sweep, and of its folder.
        seeds: Seeds of the transfers.
        arms: The pretrainings to compare.
        pretraining_seed: Seed of the one pretraining of an arm that all its transfers share; None
            pretrains anew with each seed.
        pretraining_arguments: Words for `pahcl fit` of every pretraining.
        transfer: Configs of the transfer.
        fractions: Config of each label fraction, by its name.
        transfer_arguments: Words for `pahcl fit` of every transfer.
        layers: Configs that every run gets after its own.
        against: Names of the arms with which the others are compared.
        metric: What is compared and drawn; None takes the task's primary metric.
    """

    path: Path
    name: str
    seeds: tuple[int, ...]
    arms: tuple[Arm, ...]
    pretraining_seed: int | None
    pretraining_arguments: tuple[str, ...]
    transfer: tuple[Path, ...]
    fractions: Mapping[str, Path]
    transfer_arguments: tuple[str, ...]
    layers: tuple[Path, ...]
    against: tuple[str, ...]
    metric: str | None


def read_sweep(path: Path) -> SweepFile:
    """Read a sweep file.

    Raises:
        UsageError: It is not there, has an unknown key or lacks one, names a config that is not
            there, or does not mean anything.
    """
    values = read_yaml(
        str(path),
        "a sweep is a YAML file, such as those in configs/sweep/",
        "a sweep is a mapping with the keys pretraining, transfer and seeds",
    )
    return _Reader(path).sweep(values)


class _Reader:
    """Turn plain values into a sweep; every refusal names the key and the file.

    Args:
        path: The sweep file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def sweep(self, values: dict[str, Any]) -> SweepFile:
        """Read the whole file."""
        top = self.mapping(values, "", "")
        before = self.mapping(top["pretraining"], "pretraining", "pretraining")
        after = self.mapping(top["transfer"], "transfer", "transfer")
        arms = self.arms(before["arms"])
        return SweepFile(
            path=self.path,
            name=self.name(top.get("name", self.path.stem), "name"),
            seeds=self.seeds(top["seeds"]),
            arms=arms,
            pretraining_seed=self.pretraining_seed(before.get("seed", EACH)),
            pretraining_arguments=self.arguments(before, "pretraining"),
            transfer=self.files(after["config"], "transfer.config"),
            fractions=self.fractions(after["fractions"], arms),
            transfer_arguments=self.arguments(after, "transfer"),
            layers=self.files(top.get("layers") or [], "layers", empty=True),
            against=self.against(top.get("compare_with"), arms),
            metric=self.metric(top.get("metric")),
        )

    def metric(self, value: Any) -> str | None:
        """Take the name of a metric."""
        from pahcl.evaluation.metric_names import metric_names
        from pahcl.task import Kind

        if value is None:
            return None
        name, known = self.name(value, "metric"), dict[str, None]()
        for kind in get_args(Kind):
            known |= dict.fromkeys(metric_names(kind))
        if name not in known:
            raise self.refuse("metric", f"is no metric: {name}; there are {', '.join(known)}.")
        return name

    def refuse(self, key: str, says: str) -> UsageError:
        """Make the refusal of a key."""
        return UsageError(f"`{key}` ({self.path}) {says}")

    def mapping(self, values: Any, key: str, kind: str) -> dict[str, Any]:
        """Take a mapping whose keys are known and complete."""
        known = KEYS[kind]
        listed = ", ".join(known)
        if not isinstance(values, Mapping):
            raise self.refuse(key, f"must be a mapping of {listed}; got {shortened(values)}.")
        prefix = f"{key}." if key else ""
        for name in map(str, values):
            if name not in known:
                near = difflib.get_close_matches(name, list(known), n=1)
                hint = f"did you mean `{prefix}{near[0]}`?" if near else f"there are {listed}."
                raise self.refuse(f"{prefix}{name}", f"is no key of a sweep; {hint}")
        for name, needed in known.items():
            if needed and values.get(name) is None:
                raise self.refuse(f"{prefix}{name}", "is missing; configs/sweep/ has examples.")
        return {str(name): value for name, value in values.items()}

    def items(self, value: Any, key: str, of: str) -> list[Any]:
        """Take a list with something in it."""
        if not isinstance(value, list) or not value:
            raise self.refuse(key, f"must be a list of {of}, got {shortened(value)}.")
        return value

    def name(self, value: Any, key: str) -> str:
        """Take a name that a folder may have."""
        if not isinstance(value, str) or not NAME.fullmatch(value):
            raise self.refuse(
                key,
                "must be a name of letters, digits, `.`, `_` and `-` that begins with a letter or "
                f"digit (in quotes where it is a number), got {shortened(value)}.",
            )
        return value

    def seeds(self, value: Any) -> tuple[int, ...]:
        """Take distinct seeds."""
        found = tuple(self.seed(one, "seeds") for one in self.items(value, "seeds", "numbers"))
        self.once(list(map(str, found)), "seeds")
        return found

    def seed(self, value: Any, key: str) -> int:
        """Take a seed."""
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**32:
            raise self.refuse(key, f"takes whole numbers from 0 on, got {shortened(value)}.")
        return value

    def pretraining_seed(self, value: Any) -> int | None:
        """Take `each` or one seed."""
        if isinstance(value, str) and value != EACH:
            raise self.refuse(
                "pretraining.seed",
                f"is `{EACH}` (pretrained anew with each seed) or the number of one pretraining "
                f"that all seeds share, got {value}.",
            )
        return None if value == EACH else self.seed(value, "pretraining.seed")

    def once(self, names: Sequence[str], key: str) -> None:
        """Refuse a list that names something twice."""
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise self.refuse(key, f"has {twice[0]} twice.")

    def files(self, value: Any, key: str, *, empty: bool = False) -> tuple[Path, ...]:
        """Take the name of a config, or a list of them."""
        names = [value] if isinstance(value, str) else value
        if names == [] and empty:
            return ()
        return tuple(self.file(name, key) for name in self.items(names, key, "config files"))

    def file(self, value: Any, key: str) -> Path:
        """Find a config: seen from the sweep file, else from where one stands."""
        if not isinstance(value, str) or not value:
            raise self.refuse(key, f"takes names of config files, got {shortened(value)}.")
        places = [Path(os.path.normpath(place / value)) for place in (self.path.parent, Path())]
        for place in places:
            if place.is_file():
                return place
        looked = " nor ".join(dict.fromkeys(map(str, places)))
        raise self.refuse(key, f"names {value}, but there is neither {looked}.")

    def arms(self, value: Any) -> tuple[Arm, ...]:
        """Take the arms."""
        arms = tuple(
            self.arm(one, f"pretraining.arms[{i}]")
            for i, one in enumerate(self.items(value, "pretraining.arms", "arms"))
        )
        self.once([arm.name for arm in arms], "pretraining.arms")
        bare = [arm.name for arm in arms if not arm.configs]
        if len(bare) > 1:
            raise self.refuse(
                "pretraining.arms",
                f"has {len(bare)} arms without a pretraining, which are the same: {bare[0]} and "
                f"{bare[1]}.",
            )
        return arms

    def arm(self, value: Any, key: str) -> Arm:
        """Take one arm."""
        values = self.mapping(value, key, "arm")
        name = self.name(values["name"], f"{key}.name")
        config, checkpoint = values.get("config"), values.get("checkpoint")
        if name == PRETRAINING:
            raise self.refuse(f"{key}.name", f"must be another one: --only {PRETRAINING} needs it.")
        if name == SCRATCH and config is not None:
            raise self.refuse(f"{key}.name", "must be another one: tables call random weights so.")
        if config is None:
            for other in ("checkpoint", "arguments"):
                if values.get(other) is not None:
                    raise self.refuse(
                        f"{key}.{other}",
                        f"has no pretraining to belong to: give `{key}.config`, or remove it.",
                    )
            return Arm(name)
        if checkpoint not in CHECKPOINTS:
            raise self.refuse(
                f"{key}.checkpoint",
                "says what a transfer starts from, `best` on validation or `last`; got "
                f"{shortened(checkpoint)}.",
            )
        configs = self.files(config, f"{key}.config")
        return Arm(name, configs, checkpoint, self.arguments(values, key))

    def fractions(self, value: Any, arms: Sequence[Arm]) -> dict[str, Path]:
        """Take the configs of the label fractions, each named as its file."""
        key = "transfer.fractions"
        found = self.files(value, key)
        names = [self.name(file.stem, key) for file in found]
        self.once(names, key)
        self.once([*(arm.name for arm in arms), *names], key)  # --only takes both
        return dict(zip(names, found, strict=True))

    def arguments(self, values: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """Take words for `pahcl fit`."""
        given = values.get("arguments")
        if given is None:
            return ()
        words = self.items(given, f"{key}.arguments", "words such as --trainer.max_epochs=3")
        for word in words:
            if not isinstance(word, str):
                raise self.refuse(f"{key}.arguments", f"takes words, got {shortened(word)}.")
        for name in own_options(words):
            raise self.refuse(f"{key}.arguments", f"has --{name}, which the sweep gives itself.")
        return tuple(words)

    def against(self, value: Any, arms: Sequence[Arm]) -> tuple[str, ...]:
        """Take names of arms; without any, the first one."""
        names = [arm.name for arm in arms]
        if value is None:
            return (names[0],)
        for name in self.items(value, "compare_with", "names of arms"):
            if name not in names:
                raise self.refuse(
                    "compare_with", f"names {name}, but the arms are {', '.join(names)}."
                )
        self.once(value, "compare_with")
        return tuple(value)


def own_options(words: Sequence[str]) -> Iterator[str]:
    """Name the options among words for `pahcl fit` that a sweep gives itself."""
    for word in words:
        name = word.split("=")[0].removeprefix("--")
        if word.startswith("--") and name not in MAY_BE_GIVEN:
            yield from [name for own in OWN if name == own or name.startswith(f"{own}.")]
