"""The array of docs/preparing.md, submitted as it stands to a stand-in for SLURM."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from store_corpus import tree

from pahcl.cli import main
from pahcl.simulation import csn

PAGE = (Path(__file__).parents[2] / "docs" / "preparing.md").read_text(encoding="utf-8")

SBATCH = """#!/bin/bash
for last; do :; done
case "$*" in
  *--dependency=afterok:4711*) bash -c "$last" ;;
  *) count=$(sed -n 's/^#SBATCH --array=0-//p' "$last")
     for i in $(seq 0 "$count"); do SLURM_ARRAY_TASK_ID=$i bash "$last"; done
     echo 4711 ;;
esac
"""
NOTE = '#!/bin/bash\necho "$@" >> "$NOTES"\n'
"""Stands for `pahcl`, which would import torch nine times: the lines are typed below."""


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    """Submit the page's script and give the `pahcl` lines that the nodes ran."""
    scripts = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert len(scripts) == 2
    (tmp_path / "pack.sh").write_text(scripts[0])
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("pahcl", NOTE)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PAHCL_DATA": str(tmp_path / "data"),
        "PAHCL_STORES": str(tmp_path / "stores"),
        "NOTES": str(tmp_path / "notes"),
    }
    subprocess.run(["bash", "-euc", scripts[1]], env=environment, cwd=tmp_path, check=True)
    return (tmp_path / "notes").read_text().splitlines()


def test_the_array_of_the_page_makes_the_store_of_one_process(
    tmp_path: Path, lines: list[str]
) -> None:
    assert len(lines) == 9
    csn.write(tmp_path / "data" / "csn", records=16, seed=3)
    root, out = str(tmp_path / "data" / "csn"), tmp_path / "stores" / "csn"
    small = ["--shard-records", "2", "--workers", "1"]
    *shares, last = [shlex.split(line) for line in lines]
    assert len({share[-1] for share in shares}) == 8
    for words in reversed(shares):
        assert main([*words, *small]) == 0
        assert not (out / "manifest.json").exists()
    assert main(last) == 0
    assert main(["prepare", "csn", "--root", root, "--out", str(tmp_path / "one"), *small]) == 0
    assert tree(out) == tree(tmp_path / "one")
    assert len([*(out / "shards").iterdir()]) > 8


def test_a_merge_that_comes_too_early_names_what_is_missing(
    tmp_path: Path, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    csn.write(tmp_path / "data" / "csn", records=10, seed=3)
    small = ["--shard-records", "2", "--workers", "1"]
    assert main([*shlex.split(lines[0]), *small]) == 0
    assert main(shlex.split(lines[-1])) != 0
    assert "still lacks" in " ".join(capsys.readouterr().err.split())
