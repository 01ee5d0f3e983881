"""Options of single data sets on the command line, read from the source of their data modules.

`index` says what a data set takes besides its folder; where it takes `**options`, they are the
class's own arguments. The source is parsed and not imported, so that help answers at once.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pahcl.commands._common import datasets, nearest
from pahcl.errors import UsageError

_OF_EVERY_ONE = frozenset({"self", "cls", "root", "fs", "store", "settings"})
_DEST = "of_dataset_"


@dataclass(frozen=True)
class IndexOption:
    """Describe one option.

    Args:
        name: Its name in configs.
        kind: Its annotation without `None`.
        says: What it is, from the data module's docstring.
    """

    name: str
    kind: str
    says: str

    @property
    def flag(self) -> str:
        """Give its name on the command line."""
        return f"--{self.name.replace('_', '-')}"

    def convert(self, value: Any) -> Any:
        """Read what argparse gives.

        Raises:
            UsageError: It is no number.
        """
        if self.kind not in ("int", "float"):
            return value
        try:
            return int(value) if self.kind == "int" else float(value)
        except ValueError as error:
            raise UsageError(f"{self.flag} must be a number, got {value!r}.") from error


def index_options(dataset: str) -> list[IndexOption]:
    """List what a data set's `index` takes besides folder and rate."""
    found = importlib.util.find_spec("data_modules")
    folders = found.submodule_search_locations if found is not None else None
    path = Path(next(iter(folders or ["data_modules"]))) / f"{dataset}.py"
    if not path.is_file():
        return []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            methods = {one.name: one for one in node.body if isinstance(one, ast.FunctionDef)}
            if "index" in methods:
                return list(_options(node, methods))
    return []


def _options(owner: ast.ClassDef, methods: dict[str, ast.FunctionDef]) -> Iterator[IndexOption]:
    method = methods["index"]
    if method.args.kwarg is not None and "__init__" in methods:
        method = methods["__init__"]
    says = _documented(ast.get_docstring(owner) or "")
    for argument in (*method.args.args, *method.args.kwonlyargs):
        if argument.arg not in _OF_EVERY_ONE:
            kind = ast.unparse(argument.annotation) if argument.annotation else "str"
            kind = kind.removesuffix(" | None")
            yield IndexOption(argument.arg, kind, says.get(argument.arg, ""))


def _documented(doc: str) -> dict[str, str]:
    """Read the arguments' sentences from a docstring."""
    _, _, part = inspect.cleandoc(doc).partition("Args:\n")
    found = re.findall(r"^    (\w+): ((?:.+)(?:\n {5,}.+)*)", part, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def add_index_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of all data sets, each in the group of its own."""
    seen: set[str] = set()
    for dataset in datasets():
        options = [one for one in index_options(dataset) if one.name not in seen]
        if not options:
            continue
        group = parser.add_argument_group(f"only for {dataset}")
        for one in options:
            seen.add(one.name)
            says = one.says.replace("%", "%%")
            settings: dict[str, Any] = {"dest": f"{_DEST}{one.name}", "help": says}
            if one.kind == "bool":
                settings["action"] = argparse.BooleanOptionalAction
            else:
                settings["metavar"] = one.name.upper()
                # Given twice, it adds to what was given before.
                many = {"nargs": "+", "action": "extend"}
                settings |= many if one.kind.startswith("list") else {}
            group.add_argument(one.flag, default=None, **settings)


def given_options(dataset: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Give the options of a data set that stand on the command line.

    Raises:
        UsageError: One is no option of this data set.
    """
    known = {one.name: one for one in index_options(dataset)}
    given = {
        name.removeprefix(_DEST): value
        for name, value in vars(arguments).items()
        if name.startswith(_DEST) and value is not None
    }
    for name in given:
        if name not in known:
            owners = [one for one in datasets() if name in {o.name for o in index_options(one)}]
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{flag} is no option of {dataset}{nearest(name, known)}; it is one of "
                f"{', '.join(owners)}."
            )
    return {name: known[name].convert(value) for name, value in given.items()}
