"""docs/own_data.md, typed as it stands: simulated sounds and arrays of numbers become reports."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from pahcl.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "own_data.md").read_text(encoding="utf-8")
SMALL = ["--trainer.accelerator=cpu", "--trainer.devices=1", "--run.tensorboard=false"]


def blocks(text: str) -> list[tuple[str, str]]:
    return re.findall(r"```(bash|python)\n(.*?)```", text, re.DOTALL)


def type_line(line: str) -> None:
    program, *words = shlex.split(line, comments=True)
    assert program == "pahcl"
    quick = [*SMALL, "--run.wandb=off"] if words[0] == "fit" else []
    assert main([*words, *quick]) == 0, line


@pytest.mark.parametrize(
    ("chapter", "store", "kept"),
    [("## Sounds and a table", "my_sounds", 49), ("## Arrays and a table", "my_ecgs", 40)],
)
def test_a_newcomer_walks_from_a_folder_to_a_report(
    chapter: str, store: str, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAHCL_DATA")
    Path("configs").symlink_to(ROOT / "configs")
    text = PAGE.split(chapter)[1].split("\n## ")[0]
    lines = 0
    for kind, block in blocks(text):
        if kind == "python":
            exec(compile(block, "own_data.md", "exec"), {})
            continue
        for line in block.replace("\\\n", " ").splitlines():
            type_line(line)
            lines += 1
    assert lines >= 4
    manifest = json.loads(Path("stores", store, "manifest.json").read_text())
    assert manifest["counts"]["kept"] == kept
    run = Path("runs/finetune", store)
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0 <= metrics["metrics"]["auroc"]["value"] <= 1 if "metrics" in metrics else metrics
    assert "<html" in (run / "report.html").read_text().lower()
