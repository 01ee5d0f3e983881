from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pahcl.errors import told_by
from pahcl.files import (
    appearing,
    folder_appearing,
    is_temporary,
    plain,
    sha256_file,
    write_json,
    write_text,
)

ROOT = Path(__file__).parents[1]


def test_plain_values_stay_and_others_are_refused() -> None:
    values = {"a": (1, 2.5), "b": np.arange(2), "c": None, 3: {True}, "t": torch.ones(1)}
    assert plain(values) == {"a": [1, 2.5], "b": [0, 1], "c": None, "3": [True], "t": [1.0]}
    assert type(plain(torch.__version__)) is str
    assert plain({"x": np.float64("nan"), "y": [float("inf"), 1.0]}, finite=True) == {
        "x": None,
        "y": [None, 1.0],
    }
    with pytest.raises(TypeError, match="no plain form"):
        plain({"x": object()})


def test_json_holds_null_where_a_number_is_not_defined(tmp_path: Path) -> None:
    target = tmp_path / "facts.json"
    write_json(target, {"b": np.float32("nan"), "a": Path("x"), "é": 1})
    text = target.read_text(encoding="utf-8")
    assert json.loads(text) == {"b": None, "a": "x", "é": 1}
    assert list(json.loads(text)) == ["b", "a", "é"]
    write_json(target, {"b": 1, "a": 2}, sort_keys=True)
    assert list(json.loads(target.read_text(encoding="utf-8"))) == ["a", "b"]
    assert sha256_file(target) == hashlib.sha256(target.read_bytes()).hexdigest()


def test_a_file_that_cannot_be_finished_leaves_the_older_one(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    write_text(target, "whole")

    def fill_the_disk() -> None:
        with appearing(target) as temporary:
            assert is_temporary(temporary)
            temporary.write_text("ha")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk()
    with pytest.raises(TypeError):
        write_json(target, {"x": object()})
    assert target.read_text(encoding="utf-8") == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_files_alone_knows_how_a_file_appears_whole() -> None:
    """`Path.replace` takes one argument, `str.replace` two: one is a rename over another file."""
    renames = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in [*(ROOT / "pahcl").rglob("*.py"), *(ROOT / "data_modules").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"replace", "rename"}
        and len(node.args) == 1
        and not node.keywords
    ]
    # A store's plan is linked where that is possible, so that it never replaces another one; what
    # was downloaded is whole and on the disk already, and may be too large to be written again.
    expected = {
        "pahcl/files.py",
        "pahcl/store/plan.py",
        "pahcl/download/archive.py",
        "pahcl/download/fetch.py",
    }
    assert {place.split(":")[0] for place in renames} == expected, renames


def test_what_a_library_says_is_the_same_in_every_process() -> None:
    error = ValueError(f"malformed node: {object()!r}\nand more")
    assert told_by(error) == "malformed node: <object object>"
    assert told_by(KeyError()) == "KeyError"


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    with folder_appearing(target) as draft:
        (draft / "one").write_text("1")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["one"]
    with pytest.raises(FileNotFoundError), folder_appearing(target) as draft:
        (draft / "missing" / "two").write_text("2")
    assert not target.exists(), "what was there was given up"
    assert not list(target.parent.iterdir()), "nothing is left behind"
