from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pahcl.cli import main
from pahcl.evaluation.evidence import write_evidence
from pahcl.evaluation.predictions import predictions_table
from pahcl.evaluation.run import RunFolder
from pahcl.task import Task

TASK = Task("af", "binary", ("AF",), ("AF",), "auroc")


def make_run(folder: Path, skill: float = 1.0) -> Path:
    """Write a run folder with evidence of 60 records."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    target = (np.arange(60) % 3 == 0).astype(float)
    probability = 1 / (1 + np.exp(1 - 2 * skill * target - rng.normal(size=60)))
    names = [f"r{i}" for i in range(60)]
    (folder / "config.yaml").write_text(
        f"seed_everything: 0\ntrainer: {{max_epochs: 1}}\nskill: {skill}\n"
    )
    table = predictions_table(TASK, names, names, target, probability, [0.5])
    write_evidence(RunFolder(folder), TASK, table, thresholds=[0.5], samples=50)
    return folder


def test_one_run_gets_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "exp/one")
    assert main(["report", str(run), "--json", str(tmp_path / "facts.json")]) == 0
    page = run / "report.html"
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert str(page) in capsys.readouterr().out
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["page"] == str(page)
    (found,) = facts["runs"]
    assert (found["task"], found["metric"], found["split"]) == ("af", "auroc", "test")
    assert found["low"] <= found["value"] <= found["high"]


def test_several_runs_get_one_page_beside_them(tmp_path: Path) -> None:
    make_run(tmp_path / "exp/one")
    make_run(tmp_path / "exp/two", 2.0)
    assert main(["report", str(tmp_path / "exp")]) == 0
    page = (tmp_path / "exp/comparison.html").read_text(encoding="utf-8")
    assert "exp/one" in page
    assert "exp/two" in page
    assert not (tmp_path / "exp/one/report.html").exists()


@pytest.mark.parametrize("file", ["metrics.json", "receipt.json", "predictions.parquet"])
@pytest.mark.parametrize("content", [b"{ no", b"\xff\x00", b"[1]"])
def test_a_damaged_file_ends_in_one_and_the_other_runs_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, content: bytes
) -> None:
    make_run(tmp_path / "exp/one")
    broken = make_run(tmp_path / "exp/two", 2.0) / file
    broken.write_bytes(content)
    assert main(["report", str(broken.parent)]) == 1
    said = capsys.readouterr().err
    assert str(broken) in said
    assert "Traceback" not in said
    assert (broken.parent / "report.html").is_file()
    assert main(["report", str(tmp_path / "exp")]) == 1
    assert str(broken) in capsys.readouterr().err
    page = (tmp_path / "exp/comparison.html").read_text(encoding="utf-8")
    assert "Not compared: exp/two" in page
    assert "1 run in 1 group" in page


def test_evidence_without_a_task_or_changed_since_ends_in_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "exp/one")
    whole = (run / "metrics.json").read_text()
    (run / "metrics.json").write_text(whole.replace('"n_records": 60', '"n_records": 61'))
    assert main(["report", str(run)]) == 1
    assert "metrics.json is not the file of which the receipt" in capsys.readouterr().err
    for task in ("{}", '{"task": 3}', '{"task": {"name": "x"}}'):
        (run / "metrics.json").write_text(task)
        assert main(["report", str(run)]) == 1
        assert "names no task that can be understood" in capsys.readouterr().err
    (run / "metrics.json").write_text(whole)
    assert main(["report", str(run)]) == 0


def test_the_place_of_the_page_can_be_chosen(tmp_path: Path) -> None:
    run = make_run(tmp_path / "exp/one")
    target = tmp_path / "pages/new/page.html"
    assert main(["report", str(run), "--out", str(target)]) == 0
    assert target.is_file()


def test_a_folder_as_place_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "exp/one")
    assert main(["report", str(run), "--out", str(tmp_path)]) == 2
    assert "name a file in it" in capsys.readouterr().err


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "nothing")]) == 2
    assert "There is no run at" in capsys.readouterr().err


def test_help_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--help"]) == 0
    assert "--out FILE" in capsys.readouterr().out
