"""What several verbs share."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pahcl import files
from pahcl.errors import UsageError

if TYPE_CHECKING:
    from data_modules.base import SignalDataModule

LONGEST = 240
"""Characters of a value or a text that is quoted in a sentence."""


def modules_in(package: str, leave_out: frozenset[str] = frozenset()) -> list[str]:
    """List the modules of a package by file name, without importing them."""
    found = importlib.import_module(package)
    names = {info.name for info in pkgutil.iter_modules(found.__path__)}
    return sorted(name for name in names - leave_out if not name.startswith("_"))


def datasets() -> list[str]:
    """List the data sets that have a data module."""
    return modules_in("data_modules", frozenset({"base"}))


def find_data_module(dataset: str) -> type[SignalDataModule]:
    """Find a data set's LightningDataModule by the name of its file in `data_modules/`.

    Raises:
        UsageError: No such data set.
    """
    if dataset not in datasets():
        raise UsageError(
            f"There is no data set `{dataset}`{nearest(dataset, datasets())}; there are: "
            f"{', '.join(datasets())}."
        )
    module = importlib.import_module(f"data_modules.{dataset}")
    base = importlib.import_module("data_modules.base").SignalDataModule
    for _, found in inspect.getmembers(module, inspect.isclass):
        if found.__module__ == module.__name__ and issubclass(found, base):
            return cast("type[SignalDataModule]", found)
    raise UsageError(f"{module.__file__} defines no SignalDataModule.")


def nearest(word: str, names: Iterable[str]) -> str:
    """Write the name that was perhaps meant, to follow a word that is none; "" if none is near."""
    near = difflib.get_close_matches(word, list(names), n=1)
    return f" (did you mean `{near[0]}`?)" if near else ""


def write_json(path: str | Path | None, facts: dict[str, Any]) -> None:
    """Write what a verb found out to `--json FILE`, atomically; None writes nothing."""
    if path is None:
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(target, facts)


def parse_shard(text: str | None) -> tuple[int, int] | None:
    """Read `i/n`.

    Raises:
        UsageError: It is not `i/n` with i from 0 to n - 1.
    """
    if text is None:
        return None
    first, _, count = text.partition("/")
    if not (first.isascii() and first.isdigit() and count.isascii() and count.isdigit()):
        raise UsageError(f"`--shard` is `i/n`, for example 0/4, got {text!r}.")
    if int(count) < 1:
        raise UsageError(f"`--shard {text}`: there must be at least one share, for example 0/4.")
    if int(first) >= int(count):
        raise UsageError(
            f"`--shard {text}`: i counts from 0 to n - 1, so that the last of {count} shares is "
            f"{int(count) - 1}/{count}."
        )
    return int(first), int(count)


def read_yaml(name: str, takes: str, holds: str) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Args:
        name: The file.
        takes: What is read there, for the sentence about a file that is not there.
        holds: What such a file holds, for the sentence about one that holds something else.

    Raises:
        UsageError: It cannot be read, or holds no keys.
    """
    import yaml
    from jsonargparse import get_loader

    path = Path(name)
    if not name or not path.is_file():
        what = f"{name} is a folder" if name and path.is_dir() else f"There is no file {name!r}"
        raise UsageError(f"{what}: {takes}.")
    try:
        text = path.read_text(encoding="utf-8")
        # jsonargparse reads 1e-4 as a number, and `key:` alone as a text.
        found = get_loader("yaml")(text)
        found = yaml.safe_load(text) if isinstance(found, str) else found
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name} is not UTF-8 (byte {error.start}): save it as UTF-8 text."
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{name}{line}: this is no YAML ({error.problem}).") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{name} is no YAML text ({error}).") from error
    if not isinstance(found, dict) or not found:
        what = "is empty" if not found else f"holds no keys ({shortened(found)})"
        raise UsageError(f"{name} {what}: {holds}.")
    return {str(key): value for key, value in found.items()}


def shortened(value: Any) -> str:
    """Write a value or a text on one line, without its end where it is long."""
    text = " ".join((value if isinstance(value, str) else repr(value)).split()).rstrip(".")
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
