"""A page of runs that are compared with more than one start, as a sweep writes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import fake_run
from test_reports_page import check

from pahcl.evaluation.run import RunFolder
from pahcl.evaluation.summary import summarize
from pahcl.reports.comparison import compare_runs, sentences
from pahcl.reports.page import render_comparison
from pahcl.reports.runs import load_run
from pahcl.reports.section import Section
from pahcl.reports.tables import Cell, Table

STARTS = {"scratch": 0.4, "clean": 1.5, "robust": 3.0}


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """Make a run of each start at three shares of labels; both pretrained ones from one file."""
    folder = tmp_path_factory.mktemp("runs") / "demo"
    made = {}
    for name, skill in STARTS.items():
        for fraction in (0.025, 0.05, 0.1):
            weights = None if name == "scratch" else "runs/pretrain/af/checkpoints/best.ckpt"
            path = folder / f"{name}-{fraction}"
            fake_run(path, n=150, fraction=fraction, pretrained=weights, skill=skill, epochs=2)
            made[path] = name
    return made


def test_each_start_is_compared_with_each_that_is_named(starts: dict[Path, str]) -> None:
    folders = [RunFolder(path) for path in starts]
    summary = summarize(folders, starts=starts, against=["scratch", "clean"], samples=50)
    assert len(summary.groups) == 9, "named starts are groups of their own"
    by_name = {group.name: group for group in summary.groups}
    pairs = [
        (by_name[a].initialisation, by_name[b].initialisation) for a, b, _ in summary.comparisons
    ]
    of_one_share = {("clean", "scratch"), ("robust", "scratch"), ("robust", "clean")}
    assert set(pairs) == of_one_share
    assert len(pairs) == 9
    for a, b, _ in summary.comparisons:
        assert by_name[a].fraction == by_name[b].fraction


def test_a_page_draws_paired_differences(starts: dict[Path, str]) -> None:
    runs = [load_run(path) for path in starts]
    summary = summarize(
        [run.folder for run in runs], starts=starts, against=["scratch", "clean"], samples=50
    )
    table = Table(("Arm", "Time"), ((Cell("clean"), Cell("3 s")),), "Nothing.")
    more = Section("cost", "What did it cost?", tables=(table,))
    page = render_comparison(runs, summary, (more,), "Sweep x", ("pahcl sweep x.yaml",))
    checker = check(page)
    assert {"efficiency", "cost", "runs"} <= set(checker.identifiers)
    assert any(name.startswith("differences-") for name in checker.identifiers)
    assert "against training from scratch" in page
    assert "against clean" in page
    assert "pahcl sweep x.yaml" in page
    said = sentences(compare_runs(runs, summary))
    assert len(said) == 2, "nine differences are told by the table"
    assert "9 paired differences" in said[1]
