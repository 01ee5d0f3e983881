"""The bench of loading: what it measures is there, and its goals decide the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import wfdb
import yaml

from pahcl.cli import main
from pahcl.commands import _bench_attack, _bench_data
from pahcl.commands._bench import Figure
from pahcl.commands._bench_data import multiply

CONFIGS = Path(__file__).parents[2] / "configs"


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
        monkeypatch.setattr(_bench_data, "measure", lambda figures=figures, **_: figures)
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


def test_recipes_are_timed_weighed_and_attacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def weigh(settings: object, name: str) -> float:
        return 2.0 if name == "clean" else 3.0

    monkeypatch.setattr(_bench_attack, "weigh_step", weigh)
    target = tmp_path / "bench.json"
    small = ["--records=500", "--seeds=1", "--epochs=2", "--rounds=1"]
    words = ["--recipes", "paper", "fast", *small]
    status = main(["bench", "attack", *words, "--json", str(target)])
    facts = json.loads(target.read_text())
    found = facts["figures"]
    assert facts["bench"] == "attack"
    goals = {name: found[name]["goal"] for name in ("fast_ratio", "fast_gap", "memory_ratio")}
    assert goals == {"fast_ratio": 2.5, "fast_gap": 0.02, "memory_ratio": 1.3}
    assert found["memory_ratio"]["value"] == 1.5
    assert found["paper_ratio"]["value"] > found["fast_ratio"]["value"] > 1
    gap = found["paper/robust_auprc"]["value"] - found["fast/robust_auprc"]["value"]
    assert found["fast_gap"]["value"] == pytest.approx(gap)
    assert all(0 <= figure["value"] <= 1 for name, figure in found.items() if "auprc" in name)
    assert status == 1  # the memory's goal
    assert "APGD-10, (clean + adversarial) / 2" in capsys.readouterr().out


def test_a_step_is_weighed_in_a_process_of_its_own() -> None:
    settings = _bench_attack.Settings((), 60, 0, 2, 0.01, "small", 8, 1)
    assert _bench_attack.weigh_step(settings, "clean") > 16 * 12 * 4096 * 4


@pytest.mark.parametrize(("name", "file"), [("paper", "adversarial"), ("fast", "adversarial-fast")])
def test_the_recipes_are_those_of_the_configs(name: str, file: str) -> None:
    text = (CONFIGS / "pretrain" / f"{file}_ptbxl.yaml").read_text(encoding="utf-8")
    asked = yaml.safe_load(text)["model"]["init_args"]
    epsilon = asked["attack"]["init_args"]["epsilon"]
    settings = _bench_attack.Settings((), 60, 0, 2, epsilon, "small", 8, 1)
    module = _bench_attack.make(settings, name, "small", warmup=asked["warmup_epochs"])
    for key in ("attack", "objective"):
        made = getattr(module, key)
        assert f"{type(made).__module__}.{type(made).__name__}" == asked[key]["class_path"]
        for option, value in asked[key]["init_args"].items():
            assert getattr(made, option) == value, option
    assert module.epsilon_schedule.start == asked["epsilon_schedule"]["init_args"]["start"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--recipes", "fats"], "no recipe 'fats'"),
        (["--records", "3"], "at least 50 records"),
        (["--epsilon", "0"], "epsilon above 0"),
    ],
)
def test_an_attack_bench_that_cannot_be_is_refused(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "attack", *words]) == 2
    assert says in capsys.readouterr().err
