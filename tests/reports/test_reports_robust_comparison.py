"""The section on robustness of a page of several runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_robustness import SIZES, fake_robustness, protocol
from fake_runs import TASKS, fake_run
from test_reports_page import check

from pahcl.cli import main
from pahcl.evaluation.predictions import read_predictions
from pahcl.evaluation.robust_curves import draw_curves
from pahcl.reports.comparison import compare_runs
from pahcl.reports.comparison_sections import comparison_page
from pahcl.reports.page import render_comparison
from pahcl.reports.robust_comparison import robustness_comparison
from pahcl.reports.runs import load_run
from pahcl.reports.section import Section

WEIGHTS = "runs/pretrain/adversarial/checkpoints/best.ckpt"
RUNS = ("scratch-0", "scratch-1", "robust-0", "robust-1")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give two starts of two seeds each; the curve of one falls less."""
    folder = tmp_path_factory.mktemp("runs") / "exp"
    for name in RUNS:
        start, seed = name.split("-")
        own = start == "robust"
        run = fake_run(folder / name, n=150, seed=int(seed), pretrained=WEIGHTS if own else None)
        fake_robustness(run, fall=0.2 if own else 0.8)
    return folder


@pytest.fixture
def runs(measured: Path, tmp_path: Path) -> Path:
    """Give a copy to change."""
    shutil.copytree(measured, tmp_path / "exp")
    return tmp_path / "exp"


def compared(folder: Path) -> Section | None:
    return robustness_comparison(compare_runs([load_run(folder / name) for name in RUNS]))


def found_in(folder: Path) -> Section:
    found = compared(folder)
    assert found is not None
    return found


def curve_of(run: Path, attack: str) -> dict[float, Any]:
    names = {size: f"{attack}-linf-{size:g}" if size else "clean" for size in SIZES}
    return {s: read_predictions(run / f"robustness/{name}.parquet") for s, name in names.items()}


def test_curves_are_laid_over_each_other_and_differences_are_paired(runs: Path) -> None:
    found = found_in(runs)
    assert "4 runs on the same 150 records of 75 people, test split, with APGD" in found.note
    assert found.remarks == ()
    differences, groups = found.tables
    assert [row[3].text for row in differences.rows] == ["APGD", "Worst of all attacks"]
    robust, scratch = (
        [runs / name for name in RUNS if name.startswith(start)] for start in ("robust", "scratch")
    )
    for row, attack in zip(differences.rows, ("apgd", "worst"), strict=True):
        tables = [curve_of(run, attack) for run in (*robust, *scratch)]
        told = draw_curves(TASKS["binary"], tables).difference([0, 1], [2, 3])
        assert told.difference > 0
        assert row[6].text == f"{told.difference:.3f}"
        assert row[6].below == f"{told.low:.3f}–{told.high:.3f}"
        assert row[8].text == "2 and 2"
    assert [row[0].text for row in groups.rows] == ["pretrain/adversarial", "from scratch"]
    assert [row[2].text for row in groups.rows] == ["2", "2"]
    assert groups.headers[4:6] == ("APGD: mean height", "at 0.1")


def test_the_page_is_whole_and_the_same_again(runs: Path) -> None:
    loaded = [load_run(runs / name) for name in RUNS]
    page = render_comparison(loaded)
    assert "robustness" in check(page).identifiers
    assert page == render_comparison(loaded)
    assert "AUROC under attack, of 4 runs, one line a start." in page


def test_runs_without_it_have_no_section(tmp_path: Path) -> None:
    made = [load_run(fake_run(tmp_path / f"e/{seed}", n=40, seed=seed)) for seed in (0, 1)]
    assert "robustness" not in {one.name for one in comparison_page(made).sections}


def test_what_cannot_be_compared_is_left_out_by_name(runs: Path) -> None:
    fake_robustness(runs / "robust-1", asked=protocol(steps=5))
    (runs / "scratch-1/robustness.json").unlink()
    found = found_in(runs)
    said = " ".join(found.remarks)
    assert "Left out, without a curve: exp/scratch-1." in said
    assert "Left out, attacked in another way than most: exp/robust-1." in said
    assert "2 runs on the same" in found.note
    assert found.tables[0].rows[0][8].text == "1 and 1"


def test_only_seeds_that_both_have_are_compared(runs: Path) -> None:
    (runs / "robust-1/robustness.json").unlink()
    found = found_in(runs)
    assert found.tables[0].rows[0][8].text == "1 and 1"
    assert [row[2].text for row in found.tables[1].rows] == ["1", "2"]
    (runs / "scratch-0/robustness.json").unlink()
    (groups,) = found_in(runs).tables  # robust-0 and scratch-1 share no seed
    assert len(groups.rows) == 2


def test_other_records_are_not_compared(runs: Path) -> None:
    fake_robustness(runs / "scratch-0", records=90)
    found = found_in(runs)
    assert "attacked on other records than most: exp/scratch-0" in " ".join(found.remarks)
    assert "3 runs on the same 150 records" in found.note


def test_lost_tables_are_named_and_end_in_one(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in RUNS:
        (runs / name / "robustness/apgd-linf-0.1.parquet").unlink()
    found = found_in(runs)
    assert found.note == "No curve can be drawn."
    assert "gone or were changed since: exp/robust-0" in " ".join(found.remarks)
    (runs / "robust-0/robustness.json").write_text("{ no")
    assert main(["report", str(runs)]) == 1
    said = capsys.readouterr().err
    assert str(runs / "robust-0/robustness.json") in said
    assert "scratch-1: 1 file beside robustness.json is gone" in said
    check((runs / "comparison.html").read_text(encoding="utf-8"))


def test_tables_of_another_task_are_left_out(runs: Path) -> None:
    for name in RUNS:
        run = runs / name
        facts = json.loads((run / "robustness.json").read_text())
        facts["sha256"]["files"] = {}  # nothing holds them to what was written
        (run / "robustness.json").write_text(json.dumps(facts))
    table = read_predictions(runs / "robust-0/robustness/apgd-linf-0.1.parquet")
    table["target/AF"] = np.nan
    table.to_parquet(runs / "robust-0/robustness/apgd-linf-0.1.parquet")
    (runs / "scratch-0/robustness/clean.parquet").write_bytes(b"no")
    found = found_in(runs)
    assert "Left out is exp/scratch-0" in " ".join(found.remarks)
    assert "The curves cannot be compared" in " ".join(found.remarks)


def test_warnings_of_runs_are_told_and_counted(tmp_path: Path) -> None:
    made = []
    for seed in range(3):
        run = fake_run(tmp_path / f"e/s{seed}", n=150, seed=seed)
        fake_robustness(run, force={"square": 3.0})
        made.append(load_run(run))
    found = robustness_comparison(compare_runs(made))
    assert found is not None
    each = [len(run.robustness.facts["warnings"]) for run in made]
    assert each[0] > 1
    assert found.warnings[0].startswith("e/s0: Square, which needs no gradients,")
    assert found.tables[-1].rows[0][-1].text == str(sum(each))


def test_shares_of_labels_have_panels_of_their_own(tmp_path: Path) -> None:
    made = []
    for share in (0.05, 0.2):
        run = fake_run(tmp_path / f"e/{share}", n=80, fraction=share)
        fake_robustness(run, asked=protocol(worst_case=False))
        made.append(load_run(run))
    found = robustness_comparison(compare_runs(made))
    assert found is not None
    assert "APGD, 5 % of the labels" in found.pictures[0].svg
    assert "APGD, 20 % of the labels" in found.pictures[0].svg
    assert "Worst of all attacks" not in found.pictures[0].svg
