"""Say in a sentence what is wrong with a config: the key, where it stands, the nearest valid one.

jsonargparse tells of a wrong key how each type was tried, and shows the whole mapping around it.
When it refuses, the layers (files and command line) are walked here in their order, against the
signatures of the classes that they name, until the entry that does not fit is found.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import os
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import yaml
from jsonargparse import ArgumentError, ArgumentParser, get_loader
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from pahcl.commands._common import read_yaml, shortened
from pahcl.commands._run import Run
from pahcl.errors import UsageError

COMMAND_LINE = "command line"
OPTIONS = ("--config", "-c")
OF_A_CLASS = frozenset({"class_path", "init_args", "dict_kwargs"})
ENVIRONMENT = re.compile(r"\$\{oc\.env:\s*(\w+)\s*\}")
"""An environment variable in a config that has no default."""

ANY = inspect.Parameter.empty
TYPES = {"data": LightningDataModule, "model": LightningModule, "trainer": Trainer, "run": Run}
"""Top-level keys that hold more than a plain value."""


class Layer(NamedTuple):
    """What one file or one word of the command line gives, as nested mappings."""

    where: str
    values: dict[str, Any]


def layers_of(words: Sequence[str]) -> list[Layer]:
    """Read the config files and the options of a command line, in their order.

    Raises:
        UsageError: A file is missing, a folder, empty, not UTF-8, no YAML or no mapping.
    """
    layers = []
    rest = list(words)
    while rest:
        option, given, value = rest.pop(0).partition("=")
        if not option.startswith("-"):
            continue
        if not given and rest and not rest[0].startswith("--"):
            value = rest.pop(0)
        if option in OPTIONS:
            layers.append(Layer(value, read_config(value)))
        elif not option.endswith(".help"):
            nested: Any = read_value(value)
            for key in reversed(option.lstrip("-").removesuffix("+").split(".")):
                nested = {key: nested}
            layers.append(Layer(COMMAND_LINE, nested))
    return layers


def read_value(text: str) -> Any:
    """Read a mapping as YAML does; what is none stays the text that it is."""
    try:
        found = get_loader("yaml")(text)
    except yaml.YAMLError:
        return text
    return found if isinstance(found, dict) else text


def read_config(name: str) -> dict[str, Any]:
    """Read a config file.

    Raises:
        UsageError: It cannot be read, or holds no keys.
    """
    found = read_yaml(
        name,
        "--config takes a YAML file, such as those in configs/",
        "a config is a mapping of keys such as `data`, `model` and `trainer`",
    )
    for key in ("data", "model"):
        if key in found and not found[key]:
            raise UsageError(
                f"`{key}` in {name} is empty: give it a `class_path` and `init_args`, or remove "
                f"the key. {known_classes(TYPES[key])}"
            )
    return found


def explain(
    error: Exception, verb: str, layers: Sequence[Layer], keys: Iterable[str]
) -> UsageError:
    """Make of a refusal the sentence that a person can act on.

    Args:
        error: What jsonargparse, OmegaConf or a class has raised.
        verb: The training verb.
        layers: What was given.
        keys: The top-level keys of the verb.
    """
    if isinstance(error, OmegaConfBaseException):
        return UsageError(unresolved(error, verb, layers))
    walk = Walk(verb)
    known = {key: TYPES.get(key, ANY) for key in keys}
    for layer in layers:
        for text in walk.mapping(layer.values, known, "", layer.where):
            return UsageError(text)
    missing = [key for key in ("data", "model") if key not in walk.chosen]
    if missing:
        key = missing[0]
        return UsageError(
            f"Nothing says which `{key}` to use: give an experiment by --config (such as those of "
            f"configs/finetune/), or --{key} CLASS. {known_classes(TYPES[key])}"
        )
    return UsageError(f"{shortened(innermost(error))}. {advice(verb)}")


def unresolved(error: OmegaConfBaseException, verb: str, layers: Sequence[Layer]) -> str:
    """Say which `${...}` leads nowhere."""
    key = str(error.full_key or "").removeprefix(f"{verb}.")
    for layer in reversed(layers):
        for name, value in leaves(layer.values):
            if name.endswith(key) and "${" in str(value):
                unset = [name for name in ENVIRONMENT.findall(str(value)) if name not in os.environ]
                if unset:
                    return (
                        f"`{name}` ({layer.where}) reads the environment variable {unset[0]}, "
                        f"which is not set: `export {unset[0]}=...`, or give --{name}."
                    )
                return (
                    f"`{name}` ({layer.where}) refers to `{value}`, which leads to no key of the "
                    f"config: correct it, or give --{name}."
                )
    return f"`{key}`: {shortened(str(error).splitlines()[0])}. {advice(verb)}"


def leaves(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """List the dotted keys of nested mappings with their values."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


class Walk:
    """Compare what layers give with what the classes that they name take.

    Args:
        verb: The training verb, for the advice.

    Attributes:
        chosen: The class that each dotted key names so far; a later layer may name another one.
    """

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.chosen: dict[str, type] = {}

    def mapping(
        self, values: Mapping[str, Any], known: Mapping[str, Any], prefix: str, where: str
    ) -> Iterator[str]:
        """Say which keys are unknown, and look into the values of the others."""
        for key, value in values.items():
            if key in known:
                yield from self.value(f"{prefix}{key}", value, known[key], where)
            elif not any(name.startswith(key) for name in known) or where != COMMAND_LINE:
                yield self.unknown(key, prefix, known, where)  # options may be shortened

    def unknown(self, key: str, prefix: str, known: Mapping[str, Any], where: str) -> str:
        """Name the nearest key that there is."""
        near = difflib.get_close_matches(key, list(known), n=1)
        hint = f"; did you mean `{prefix}{near[0]}`?" if near else "."
        if not near and len(known) <= 8:
            hint = f"; there are {', '.join(known)}."
        owner = self.chosen.get(prefix.removesuffix(".").removesuffix(".init_args"))
        of = f"argument of {owner.__name__}" if owner else "key of a config"
        return f"`{prefix}{key}` ({where}) is no {of}{hint} {advice(self.verb, prefix, owner)}"

    def value(self, name: str, value: Any, kind: Any, where: str) -> Iterator[str]:
        """Look at one value: a group of keys, a class with its arguments, or a plain one."""
        base, item = class_in(kind), item_in(kind)
        if item is not None and isinstance(value, list):
            for number, one in enumerate(value):
                yield from self.value(f"{name}[{number}]", one, item, where)
        elif value is None or base is None:
            yield from self.plain(name, value, kind, where)
        elif not is_open(base):
            if isinstance(value, Mapping):
                yield from self.mapping(value, parameters(base), f"{name}.", where)
        else:
            yield from self.open_class(name, value, base, where)

    def open_class(self, name: str, value: Any, base: type, where: str) -> Iterator[str]:
        """Look at a key that names a class and its arguments."""
        given = value if isinstance(value, Mapping) else {"class_path": value}
        path = given.get("class_path")
        if path is not None:
            found = find(str(path), base)
            if isinstance(found, str):
                yield f"`{name}` ({where}): {found} {advice(self.verb)}"
                return
            self.chosen[name] = found
        if name not in self.chosen:
            return
        known = parameters(self.chosen[name])
        more = {key: item for key, item in given.items() if key not in OF_A_CLASS}
        # `--model.lr` is short for `--model.init_args.lr`
        for arguments in (given.get("init_args") or {}, more):
            yield from self.mapping(arguments, known, f"{name}.init_args.", where)

    def plain(self, name: str, value: Any, kind: Any, where: str) -> Iterator[str]:
        """Try a value on its type alone."""
        if kind is ANY or "${" in str(value):
            return
        parser = ArgumentParser(exit_on_error=False)
        try:
            parser.add_argument("--value", type=kind)
        except (TypeError, ValueError):
            return  # a type that only jsonargparse's own resolution knows
        try:
            if where == COMMAND_LINE and isinstance(value, str):
                parser.parse_args([f"--value={value}"])
            else:
                parser.parse_object({"value": value})
        except ArgumentError:
            yield (
                f"`{name}` ({where}) must be {words_for(kind)}, got {shortened(value)}. "
                f"{advice(self.verb)}"
            )


def parameters(kind: type) -> dict[str, Any]:
    """List what a class takes, those of its bases that it hands on included, with their types."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return {item.name: hints[item.name] for item in dataclasses.fields(kind)}
    names = ArgumentParser().add_class_arguments(kind, fail_untyped=False)
    found: dict[str, Any] = dict.fromkeys(names, ANY)
    for ancestor in reversed(kind.__mro__):
        try:
            hints = typing.get_type_hints(ancestor.__init__)  # type: ignore[misc]  # of a class
        except (NameError, AttributeError, TypeError):
            continue
        found.update({name: hint for name, hint in hints.items() if name in found})
    return found


def class_in(kind: Any) -> type | None:
    """Find the class with arguments of its own in a type such as `Encoder | None`."""
    several = typing.get_origin(kind) in (typing.Union, types.UnionType)
    for option in typing.get_args(kind) if several else (kind,):
        if isinstance(option, type) and (
            option is Trainer or dataclasses.is_dataclass(option) or is_open(option)
        ):
            return option
    return None


def item_in(kind: Any) -> type | None:
    """Find the class of which a list or tuple has any number, as in `list[Encoder] | None`."""
    several = typing.get_origin(kind) in (typing.Union, types.UnionType)
    for option in typing.get_args(kind) if several else (kind,):
        items = typing.get_args(option)
        as_many = items and (items[1:] == (...,) or typing.get_origin(option) is list)
        if typing.get_origin(option) in (list, tuple) and as_many:
            return class_in(items[0])
    return None


def is_open(kind: type) -> bool:
    """Say whether a config chooses among the subclasses of a class."""
    return issubclass(kind, nn.Module | LightningDataModule) or (
        kind.__module__.startswith("pahcl.") and inspect.isabstract(kind)
    )


def subclasses(base: type) -> dict[str, type]:
    """List pahcl's classes below a base that can be made, by name."""
    found: dict[str, type] = {}
    below: list[type] = base.__subclasses__()
    for kind in below:
        found.update(subclasses(kind))
        words = kind.__module__.split(".")
        ours = words[0] in ("pahcl", "data_modules") and not words[-1].startswith("_")
        if ours and not is_abstract(kind):
            found[kind.__name__] = kind
    return dict(sorted(found.items()))


def is_abstract(kind: type) -> bool:
    """Say whether a class leaves a method to its subclasses, by whatever metaclass."""
    members = (inspect.getattr_static(kind, name, None) for name in dir(kind))
    return any(getattr(member, "__isabstractmethod__", False) for member in members)


def known_classes(base: type) -> str:
    """List the classes that a key may name."""
    return f"There are: {', '.join(subclasses(base))}."


def find(path: str, base: type) -> type | str:
    """Find a class by its name or its dotted path, or say what is wrong with that."""
    module, _, name = path.rpartition(".")
    known = subclasses(base)
    if not module and name in known:
        return known[name]
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    if not module:
        return f"there is no class `{path}`.{hint} {known_classes(base)}"
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        return f"`{path}` cannot be imported ({error}).{hint} {known_classes(base)}"
    if not isinstance(found, type):
        return f"there is no class `{path}`.{hint} {known_classes(base)}"
    if not issubclass(found, base):
        return f"`{path}` is no {base.__name__}. {known_classes(base)}"
    return found


def words_for(kind: Any) -> str:
    """Write a type for people."""
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(kind)))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " or ".join(words_for(option) for option in typing.get_args(kind))
    if kind is type(None):
        return "null"
    return kind.__name__ if type(kind) is type else re.sub(r"\w+\.", "", str(kind))


def advice(verb: str, prefix: str = "", owner: type | None = None) -> str:
    """Say where the valid keys are listed."""
    root = prefix.split(".")[0]
    if owner is not None and prefix == f"{root}.init_args.":
        return f"`pahcl {verb} --{root}.help {owner.__name__}` lists them."
    return f"`pahcl {verb} ... --print_config` shows every key."


def innermost(error: BaseException) -> str:
    """Give the text of the error that the others are wrapped around."""
    while error.__cause__ is not None or (error.__context__ and not error.__suppress_context__):
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # one is there
    return str(error)
