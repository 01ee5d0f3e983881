"""The rules of the house, read from the imports of the code itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = {
    "pahcl.errors": 1, "pahcl.files": 1, "pahcl.task": 1, "pahcl.signals": 1,
    "pahcl.store": 2, "pahcl.simulation": 2, "pahcl.download": 2,
    "pahcl.encoders": 3, "pahcl.attacks": 3, "pahcl.objectives": 3, "pahcl.text": 3,
    "pahcl.transfer": 4, "pahcl.evaluation": 4,
    "pahcl.modules": 5, "data_modules": 5,
    "pahcl.reports": 6, "pahcl.commands": 6,
    "pahcl.cli": 7, "pahcl.__main__": 8,
}  # fmt: skip
KNOW_DATA_SETS = {"data_modules", "pahcl.cli", "pahcl.commands"}
"""Rooms that may import data modules; all others are given one, or read its store."""
TRAINER_WORLD = {"lightning", "wandb", "omegaconf", "jsonargparse"}
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FILES = sorted([*(ROOT / "pahcl").rglob("*.py"), *(ROOT / "data_modules").rglob("*.py")])


def room_of(module: str) -> str | None:
    parts = module.split(".")
    names = (".".join(parts[:count]) for count in (2, 1))
    return next((name for name in names if name in FLOORS), None)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_the_floors(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    room = room_of(module)
    if room is None:
        assert module == "pahcl", f"{module} stands outside the rooms of the house"
        return
    for target in imports(path):
        other = room_of(target)
        if other is not None:
            assert FLOORS[other] <= FLOORS[room], f"{module} imports {target}, which is above it"
            assert other != "data_modules" or room in KNOW_DATA_SETS, f"{module} imports {target}"
            assert room != "data_modules" or other != "pahcl.modules", f"{module} imports {target}"
        if FLOORS[room] <= 4:
            assert target.split(".")[0] not in TRAINER_WORLD, f"{module} imports {target}"


DEPENDENCY = re.compile(r'^  "([A-Za-z0-9-]+)[^"]*", +# (.+)$', re.MULTILINE)
IMPORTED_AS = {"pyyaml": "yaml", "scikit-learn": "sklearn"}


def test_dependencies_are_imported_or_say_why_not() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    text = text.split("\ndependencies = [\n")[1].split("\n]\n")[0]
    reasons = dict(DEPENDENCY.findall(text))
    assert len(reasons) == text.count(">="), "a dependency stands without its reason"
    used = {target.split(".")[0] for path in FILES for target in imports(path)}
    tested = {target.split(".")[0] for path in TESTS for target in imports(path)}
    for name, reason in reasons.items():
        module = IMPORTED_AS.get(name, name)
        if reason.startswith("not imported yet"):
            assert module not in used, f"{name} is imported now: say what for"
        elif reason.startswith("the tests"):
            assert module in tested - used, f"{name} is imported now: say what for"
        elif not reason.startswith("Lightning's logger"):
            assert module in used, f"{name}: nothing imports it"


def find_cycle(arrows: dict[str, set[str]]) -> list[str]:
    """Walk along the arrows, depth first; return one way that comes back to its start, or none."""
    done: set[str] = set()

    def walk(room: str, way: list[str]) -> list[str]:
        if room in way:
            return [*way[way.index(room) :], room]
        if room in done:
            return []
        found = (walk(other, [*way, room]) for other in sorted(arrows.get(room, ())))
        cycle = next((one for one in found if one), [])
        done.add(room)
        return cycle

    return next((cycle for room in sorted(arrows) if (cycle := walk(room, []))), [])


def test_a_cycle_is_found_however_long_it_is() -> None:
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    assert find_cycle({"a": {"b"}, "b": {"a"}}) == ["a", "b", "a"]
    assert find_cycle({"x": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for path in FILES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        room = room_of(module)
        if room is not None:
            found = {other for target in imports(path) if (other := room_of(target)) is not None}
            arrows.setdefault(room, set()).update(found - {room})
    assert not find_cycle(arrows)


def test_files_do_not_import_each_other_in_a_circle() -> None:
    """What only a type checker imports counts too: it is known all the same."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): set(imports(path))
        for path in FILES
        if path.name != "__init__.py"
    }
    assert not find_cycle({name: found & names.keys() for name, found in names.items()})
