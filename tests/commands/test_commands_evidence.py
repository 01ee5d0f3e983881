"""What a transfer leaves behind: a receipt without paths that knows its start, and its page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pahcl.cli import main
from pahcl.evaluation.run import RunFolder
from pahcl.evaluation.settings import recipe
from pahcl.files import sha256_file
from pahcl.reports.paper import find_store
from pahcl.reports.runs import load_run

ROOT = Path(__file__).parents[2]


def fit(*words: str) -> None:
    line = ["fit", f"--config={ROOT}/configs/finetune/ptbxl_superclass.yaml"]
    line += [f"--config={ROOT}/configs/{name}.yaml" for name in ("trainer/cpu", "size/small")]
    quiet = ["--run.wandb=off", "--run.tensorboard=false", "--trainer.enable_model_summary=false"]
    assert main([*line, *quiet, "--trainer.max_epochs=1", "--run.test=true", *words]) == 0


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def test_a_transfer_leaves_a_receipt_without_paths(
    corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work/deep"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setenv("PAHCL_DATA", str(corpora))
    monkeypatch.setenv("PAHCL_STORES", "../../stores")
    fit("--run.experiment=pretrain", "--run.name=a")
    start = RunFolder(Path("runs/pretrain/a"))
    fit("--run.name=b", f"--model.init_args.pretrained={start.best}")
    run = RunFolder(Path("runs/finetune/b"))
    receipt = run.load_receipt()
    assert start.load_receipt()["pretrained"] is None
    assert receipt["pretrained"] == {
        "sha256": sha256_file(start.best),
        "recipe": recipe(start.load_config()),
        "seed": start.load_config()["seed_everything"],
    }
    data = receipt["data"]
    assert data["dataset_version"] == "simulated"
    assert data["store_name"].startswith("ptbxl")
    folders = {str(path) for path in (corpora, *tmp_path.parents)} - {"/"}
    for text in texts(receipt):
        assert not text.startswith(("/", "..")), text
        assert not any(folder in text for folder in folders), text
    store, note = find_store(load_run(run))
    assert store is not None
    assert "as the network got them" in note
    assert main(["report", "runs"]) == 0
    assert "nothing here is evidence about patients" in Path("runs/comparison.html").read_text(
        encoding="utf-8"
    )
