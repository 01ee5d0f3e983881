"""`pahcl robustness`, walked as a user does on a small simulated run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from pahcl.cli import main
from pahcl.commands.robustness import _disagreement as disagreement
from pahcl.evaluation.metrics import evaluate
from pahcl.evaluation.robustness_file import lost_files
from pahcl.evaluation.run import RunFolder

ROOT = Path(__file__).parents[2]
QUICK = [
    "--epsilon", "0", "0.002", "0.02",
    "--attack-steps=2", "--restarts=1", "--queries=5", "--samples=20", "--device=cpu",
]  # fmt: skip
TRAIN = [
    "fit",
    f"--config={ROOT}/configs/finetune/ptbxl_superclass.yaml",
    f"--config={ROOT}/configs/trainer/cpu.yaml",
    f"--config={ROOT}/configs/size/small.yaml",
    "--run.wandb=off",
    "--run.tensorboard=false",
    "--run.name=a",
    "--run.test=true",
    "--trainer.enable_model_summary=false",
    "--trainer.num_sanity_val_steps=0",
    "--trainer.max_epochs=1",
]


@pytest.fixture(scope="module")
def trained(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train and test one run for all tests of this file."""
    place = tmp_path_factory.mktemp("robustness")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAHCL_DATA", str(corpora))
        patch.setenv("PAHCL_STORES", str(corpora.parent / "stores"))
        patch.chdir(place)
        assert main(TRAIN) == 0
    return place


@pytest.fixture
def run(trained: Path, corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """Give a copy of the run, in an empty folder with its data in reach."""
    monkeypatch.setenv("PAHCL_DATA", str(corpora))
    monkeypatch.setenv("PAHCL_STORES", str(corpora.parent / "stores"))
    shutil.copytree(trained / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return RunFolder(Path("runs/finetune/a"))


def facts_of(run: RunFolder) -> dict[str, object]:
    found: dict[str, object] = json.loads((run.path / "robustness.json").read_text())
    return found


def test_a_run_gets_its_robustness(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    before = run.receipt.read_bytes(), run.predictions.read_bytes()
    assert main(["robustness", str(run.path), *QUICK, "--json=all.json"]) == 0
    said = capsys.readouterr().out
    assert "epsilon [mV]" in said
    assert "Baseline wander" in said
    assert "APGD of 2 steps from 1 start, Linf, epsilon in mV" in said
    facts = json.loads((run.path / "robustness.json").read_text())
    assert [point["epsilon"] for point in facts["curve"]] == [0.002, 0.02]
    metrics = run.load_metrics()
    primary = facts["metric"]
    assert facts["n_records"] == metrics["n_records"]
    tested, clean = metrics["metrics"][primary], facts["clean"]["metrics"][primary]
    assert clean["value"] == pytest.approx(tested["value"], abs=1e-6)
    for point in facts["curve"]:
        attacked = point["attacks"]["apgd"]
        assert attacked["largest"] <= point["epsilon"] * (1 + 1e-4)
        assert attacked["loss"] > facts["clean"]["loss"]
        assert attacked["loss"] > point["attacks"]["noise"]["loss"]
    assert facts["left_out"].keys() == {"Mains"}  # 50 Hz at 100 Hz
    assert len(facts["corruptions"]) == 8
    assert facts["data"]["dataset_version"] == "simulated"
    assert not any("clean predictions" in text for text in facts["warnings"])
    assert (run.receipt.read_bytes(), run.predictions.read_bytes()) == before
    (in_all,) = json.loads(Path("all.json").read_text())["runs"]
    assert in_all["run"] == str(run.path)
    assert in_all["area"] == facts["area"]
    with np.load(run.path / facts["examples"]["file"]) as signals:
        assert signals["record_id"].tolist() == sorted(
            facts["examples"]["records"], key=signals["record_id"].tolist().index
        )
        assert signals["clean"].dtype == signals["perturbation"].dtype == np.float32
        largest = np.abs(signals["perturbation"]).max()
        assert 0 < largest <= facts["examples"]["epsilon"] * (1 + 1e-3)


def test_what_lies_beside_is_known_by_its_digest(run: RunFolder) -> None:
    assert main(["robustness", str(run.path), *QUICK, "--no-corruptions"]) == 0
    facts = run.load_robustness()
    kept = facts["sha256"]["files"]
    assert facts["examples"]["file"] in kept
    assert {f"robustness/{name}.parquet" for name in ("clean", "worst-linf-0.02")} <= kept.keys()
    assert lost_files(run.path, facts) == []
    worst = pd.read_parquet(run.path / "robustness/worst-linf-0.02.parquet")
    scored = evaluate(run.load_task(), worst).macro[facts["metric"]]
    (point,) = (one for one in facts["curve"] if one["epsilon"] == 0.02)
    told = point["attacks"]["worst"]["metrics"][facts["metric"]]["value"]
    assert scored == pytest.approx(told)


def test_a_walk_goes_on_where_it_stopped(run: RunFolder) -> None:
    line = ["robustness", str(run.path), *QUICK, "--no-corruptions"]
    assert main(line) == 0
    first = facts_of(run)
    tables = {path: path.stat().st_mtime_ns for path in run.path.glob("robustness/*.parquet")}
    assert len(tables) == 1 + 2 * 6  # the worst case of each size beside its five attacks
    stopped = run.path / "robustness/pgd-linf-0.02.parquet"
    before = pd.read_parquet(stopped)
    stopped.unlink()
    (run.path / "robustness.json").unlink()
    assert main(line) == 0
    assert facts_of(run) == first
    pd.testing.assert_frame_equal(pd.read_parquet(stopped), before)
    made = [path for path, when in tables.items() if path.stat().st_mtime_ns != when]
    assert {path for path in made if "worst" not in path.name} == {stopped}


def test_a_part_of_the_records_in_other_batches(run: RunFolder) -> None:
    line = ["robustness", str(run.path), *QUICK, "--no-corruptions", "--no-worst-case"]
    assert main([*line, "--records=6"]) == 0
    first = facts_of(run)
    assert first["n_records"] == 6
    shutil.rmtree(run.path / "robustness")
    assert main([*line, "--records=6", "--batch-size=4"]) == 0
    table = pd.read_parquet(run.path / "robustness/apgd-linf-0.02.parquet")
    assert len(table) == 6
    curves = first["curve"], facts_of(run)["curve"]
    for one, other in zip(*curves, strict=True):  # type: ignore[call-overload]
        for name in ("apgd", "noise"):
            a, b = one["attacks"][name], other["attacks"][name]
            assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
            assert "worst" not in one["attacks"]


def test_another_split_has_files_of_its_own(run: RunFolder) -> None:
    line = ["robustness", str(run.path), *QUICK, "--no-corruptions", "--no-worst-case"]
    assert main([*line, "--split=val"]) == 0
    assert (run.path / "robustness_val.json").is_file()
    assert (run.path / "robustness_val/clean.parquet").is_file()
    assert not (run.path / "robustness.json").exists()


def test_several_runs_at_once(run: RunFolder) -> None:
    shutil.copytree(run.path, "runs/finetune/b")
    line = [*QUICK, "--no-corruptions", "--no-worst-case", "--records=8"]
    assert main(["robustness", "runs/finetune", *line, "--json=all.json"]) == 0
    found = json.loads(Path("all.json").read_text())["runs"]
    assert [one["run"] for one in found] == ["runs/finetune/a", "runs/finetune/b"]


def test_changed_evidence_is_named(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    state = torch.load(run.best, weights_only=True)
    torch.save({**state, "more": 1}, run.best)
    assert main(["robustness", str(run.path), *QUICK]) == 1
    said = capsys.readouterr().err
    assert "best.ckpt is not the file of which the receipt holds the digest" in said
    assert "pahcl test" in said


def test_a_task_of_subjects_is_compared_record_by_record(run: RunFolder) -> None:
    facts = json.loads(run.metrics.read_text())
    facts["task"]["level"] = "subject"
    run.metrics.write_text(json.dumps(facts))
    records = pd.read_parquet(run.predictions)
    records.to_parquet(run.path / "predictions_records.parquet")
    people = records.drop_duplicates("subject_id")
    people.assign(record_id=people["subject_id"]).to_parquet(run.predictions)
    assert disagreement(run, records, "test") == []
    other = records.assign(**{name: 0.0 for name in records if name.startswith("probability/")})
    assert "differ by up to" in disagreement(run, other, "test")[0]


WRONG = [
    (["--epsilon", "0", "-0.1"], "An epsilon is a size, 0 or more, got -0.1"),
    (["--norm=l7"], "There is no norm 'l7'; use one of linf, l2, l1"),
    (["--attack-steps=0"], "steps must be 1 or more"),
    (["--records=0"], "--records must be 1 or more"),
    (["--device=nowhere"], "--device nowhere: there is no such device here"),
]


@pytest.mark.parametrize(("options", "says"), WRONG)
def test_wrong_options_are_refused(
    options: list[str], says: str, run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["robustness", str(run.path), *options]) == 2
    assert says in capsys.readouterr().err
    assert not (run.path / "robustness").exists()


def test_runs_that_cannot_be_examined_are_refused(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(status: int, says: str) -> None:
        assert main(["robustness", str(run.path), *QUICK]) == status
        assert says in capsys.readouterr().err

    nowhere = ["--root=nowhere/ptb-xl", "--store=nowhere"]
    assert main(["robustness", str(run.path), *QUICK, *nowhere]) == 1
    assert "There is no folder nowhere/ptb-xl" in capsys.readouterr().err
    run.receipt.rename("receipt.json")
    refused(2, "was not tested yet")
    run.best.unlink()
    refused(2, "has no checkpoints/best.ckpt")
    assert main(["robustness", "runs/nothing"]) == 2
    assert "There is no run at runs/nothing" in capsys.readouterr().err


def test_a_config_of_another_world_is_refused(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    config = run.load_config()
    config["data"]["init_args"]["unheard_of"] = 1
    run.config.write_text(yaml.safe_dump(config))
    receipt = run.load_receipt()
    receipt["sha256"].pop("config")
    run.receipt.write_text(json.dumps(receipt))
    assert main(["robustness", str(run.path), *QUICK]) == 2
    assert "The data module of" in capsys.readouterr().err
