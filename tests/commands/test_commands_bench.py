"""The bench of loading: what it measures is there, and its goals decide the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import wfdb

from pahcl.cli import main
from pahcl.commands import _bench_data
from pahcl.commands._bench_data import Figure, multiply


def test_figures_land_in_the_json_form(tmp_path: Path) -> None:
    target = tmp_path / "bench.json"
    words = [
        "bench",
        "data",
        "--records",
        "60",
        "--rounds",
        "1",
        "--batch-size",
        "8",
        "--memory-records",
        "0",
        "--json",
    ]
    status = main([*words, str(target)])
    facts = json.loads(target.read_text())
    assert facts["bench"] == "data"
    assert {"wfdb_ratio", "gather_ratio", "ready_ratio"} <= set(facts["figures"])
    assert facts["figures"]["wfdb_ratio"]["goal"] == 100
    assert facts["figures"]["gather_ratio"]["goal"] == 0.8
    assert all({"value", "unit", "goal"} <= set(figure) for figure in facts["figures"].values())
    assert facts["machine"]["cores"]
    met = all(Figure(**figure).is_met for figure in facts["figures"].values())
    assert status == (0 if met else 1)


def test_a_missed_goal_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, status in ((99.0, 1), (100.0, 0)):
        figures = {"wfdb_ratio": Figure(value, "x", goal=100)}
        monkeypatch.setattr(_bench_data, "measure", lambda figures=figures, **_: (figures, {}))
        assert main(["bench", "data"]) == status
    assert Figure(1.3, "x", goal=1.2, better="lower").is_met is False


def test_nothing_to_measure_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "data", "--records", "3"]) == 2
    assert "at least 50 records" in capsys.readouterr().err


@pytest.mark.parametrize("fs", [100, 500])
def test_a_multiplied_corpus_reads_like_its_source(corpora: Path, tmp_path: Path, fs: int) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("records100", "records500"):
        (source / name).symlink_to(corpora / "ptb-xl" / name)
    given = pd.read_csv(corpora / "ptb-xl" / "ptbxl_database.csv").head(5)
    given.to_csv(source / "ptbxl_database.csv", index=False)
    out = multiply(source, 12, tmp_path / "out", fs)
    table = pd.read_csv(out / "ptbxl_database.csv")
    column = "filename_lr" if fs == 100 else "filename_hr"
    assert len(table) == table["ecg_id"].nunique() == table[column].nunique() == 12
    assert table["patient_id"].nunique() >= 10
    mine, fields = wfdb.rdsamp(str(out / table[column][7]))
    theirs, _ = wfdb.rdsamp(str(source / given[column][2]))
    assert (mine == theirs).all()
    assert fields["fs"] == fs
