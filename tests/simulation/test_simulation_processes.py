"""A seed gives the same corpus in every process, whatever the order of its sets."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest


def tree(folder: Path) -> str:
    total = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


@pytest.mark.parametrize("dataset", ["ptbxl", "code15", "cpsc2018", "csn"])
def test_other_hash_seeds_give_the_same_bytes(dataset: str, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        words = ["simulate", dataset, "--out", seed, "--records", "64", "--seed", "7"]
        subprocess.run(
            [sys.executable, "-m", "pahcl", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        )
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
