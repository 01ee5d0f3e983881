from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_runs import fake_run
from test_reports_page import check

from pahcl.reports.comparison import compare_runs, comparison_warnings, primary_of, sentences
from pahcl.reports.comparison_sections import comparison_page
from pahcl.reports.page import render_comparison
from pahcl.reports.runs import Run, load_run

WEIGHTS = "runs/pretrain/af/checkpoints/best.ckpt"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("runs") / "demo"
    made = []
    for start, skill in ((None, 0.6), (WEIGHTS, 2.5)):
        for fraction in (0.05, 0.1):
            for seed in (0, 1):
                name = f"{'pre' if start else 'scratch'}-{fraction}-seed{seed}"
                made.append(
                    fake_run(
                        folder / name,
                        n=200,
                        seed=seed,
                        fraction=fraction,
                        pretrained=start,
                        skill=skill,
                        epochs=3,
                    )
                )
    return [load_run(path) for path in made]


def test_runs_are_grouped_over_seeds_and_measured_against_scratch(runs: list[Run]) -> None:
    compared = compare_runs(runs)
    assert [(g.fraction, len(g.runs)) for g in compared.groups] == [
        (0.05, 2),
        (0.05, 2),
        (0.1, 2),
        (0.1, 2),
    ]
    assert [compared.label(g) for g in compared.groups] == ["pretrain/af", "from scratch"] * 2
    assert [a.fraction for a, _, _ in compared.differences] == [0.05, 0.1]
    for a, b, found in compared.differences:
        assert a.fraction == b.fraction
        assert found.difference > 0
        assert primary_of(a).value == pytest.approx(found.value_a)
    text = " ".join(sentences(compared))
    assert "8 runs in 4 groups of the task af" in text
    assert "With 5 % of the labels:" in text
    assert "unlikely to be chance" in text


def test_every_group_of_a_start_has_its_colour(runs: list[Run]) -> None:
    colours = compare_runs(runs).colours
    assert set(colours) == {"pretrain/af", "from scratch"}
    assert len(set(colours.values())) == 2


def test_the_page_of_several_runs_is_whole(runs: list[Run]) -> None:
    page = render_comparison(runs)
    checker = check(page)
    names = {"groups", "efficiency", "training", "ranking", "runs", "provenance"}
    assert names <= set(checker.identifiers)
    assert all(run.name in page for run in runs)
    assert page == render_comparison(runs)


def test_one_share_has_no_efficiency_plot(runs: list[Run]) -> None:
    page = comparison_page([run for run in runs if run.fraction == 0.1])
    assert "efficiency" not in {section.name for section in page.sections}


def test_single_runs_untested_runs_and_other_tasks_are_said(
    tmp_path: Path, runs: list[Run]
) -> None:
    more = [
        load_run(fake_run(tmp_path / "e/untested", tested=False)),
        load_run(fake_run(tmp_path / "e/age", "regression", 40)),
        load_run(fake_run(tmp_path / "e/alone", n=200, fraction=0.2, skill=1)),
    ]
    compared = compare_runs([*runs, *more])
    text = " ".join(comparison_warnings(compared))
    assert "Not compared: e/untested" in text
    assert "another task than af" in text
    assert "hold one run alone" in text
    assert text.count("Fewer than 20 positive records: AF") <= 1
    check(render_comparison([*runs, *more]))


def test_simulated_runs_beside_real_ones_are_marked(tmp_path: Path, runs: list[Run]) -> None:
    fake = [
        load_run(fake_run(tmp_path / f"sim/{seed}", n=60, seed=seed, version="simulated"))
        for seed in (0, 1)
    ]
    page = render_comparison([*runs, *fake])
    check(page)
    assert "The recordings of sim are simulated" in page
    assert "from scratch, CODE15 (simulated)" in page
    assert comparison_warnings(compare_runs(fake))[0].startswith("The recordings are simulated")
    assert not any("simulated" in text for text in comparison_warnings(compare_runs(runs)))


def test_few_positives_are_warned_of_once(tmp_path: Path) -> None:
    target = np.zeros((30, 1))
    target[:2] = 1
    paths = [fake_run(tmp_path / f"e/{s}", n=30, seed=s, targets=target) for s in (0, 1)]
    found = comparison_warnings(compare_runs([load_run(path) for path in paths]))
    assert (
        found.count(
            "Fewer than 20 positive records: AF (2). One record more or less moves these "
            "numbers visibly."
        )
        == 1
    )
    assert any("Only 15 people" in text for text in found)


def test_runs_without_results_still_have_a_page(tmp_path: Path) -> None:
    found = [load_run(fake_run(tmp_path / f"e/{i}", tested=False)) for i in "ab"]
    page = render_comparison(found)
    check(page)
    assert "none of which has been tested yet" in page


@pytest.mark.parametrize("kind", ["multilabel", "multiclass", "regression"])
def test_runs_of_every_kind_can_be_compared(tmp_path: Path, kind: str) -> None:
    found = [
        load_run(fake_run(tmp_path / f"e/{s}-{f}", kind, 80, pretrained=s, fraction=f, skill=k))
        for s, k in ((None, 1.0), ("w.ckpt", 2.0))
        for f in (0.1, 1.0)
    ]
    checker = check(render_comparison(found))
    assert {"groups", "efficiency", "training"} <= set(checker.identifiers)
