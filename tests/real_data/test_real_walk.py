"""The whole walk on the publishers' own records, through the door: from their files to evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pahcl.cli import main
from pahcl.evaluation.evidence import verify_evidence
from pahcl.evaluation.run import RunFolder
from pahcl.evaluation.settings import recipe
from pahcl.files import sha256_file
from pahcl.store import SignalStore

ROOT = Path(__file__).parents[2]
SMALL = [
    *(f"--config={ROOT}/configs/{name}.yaml" for name in ("trainer/cpu", "size/small")),
    "--run.wandb=off",
    "--run.tensorboard=false",
    "--trainer.enable_model_summary=false",
    "--trainer.max_epochs=1",
]
EVIDENCE = ("config.yaml", "metrics.json", "predictions.parquet", "receipt.json")


@pytest.fixture(scope="module")
def place(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Walk once: prepare both corpora, train on the first, carry over to the second, report."""
    place = tmp_path_factory.mktemp("walk")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAHCL_DATA", str(samples))
        patch.setenv("PAHCL_STORES", "stores")
        patch.chdir(place)
        for name, folder, more in (("ptbxl", "ptb-xl", ["--fs=100"]), ("code15", "code15", [])):
            store = f"stores/{name}" + ("-100hz" if more else "")
            words = ["--root", str(samples / folder), "--out", store, "--json", f"{name}.json"]
            assert main(["prepare", name, *words, *more]) == 0
            assert main(["doctor", store, "--json", "doctor.json"]) in {0, 1}
            found = facts(Path("doctor.json"))["findings"]
            assert not [one for one in found if one["severity"] == "error"]
        pretrain = f"--config={ROOT}/configs/pretrain/supervised_ptbxl.yaml"
        ptbxl = "--data.init_args.store=stores/ptbxl-100hz"
        assert main(["fit", pretrain, *SMALL, ptbxl, "--run.name=ptbxl"]) == 0
        assert main(["test", "--config=runs/pretrain/ptbxl/config.yaml"]) == 0
        finetune = f"--config={ROOT}/configs/finetune/code15_age.yaml"
        for seed in range(2):
            words = [f"--run.name=age-seed{seed}", f"--seed_everything={seed}"]
            start = "--model.init_args.pretrained=runs/pretrain/ptbxl/checkpoints/best.ckpt"
            assert main(["fit", finetune, *SMALL, *words, start, "--run.test=true"]) == 0
        assert main(["report", "runs/pretrain/ptbxl", "--json", "report.json"]) == 0
        assert main(["report", "runs/finetune/age-seed0"]) == 0
        assert main(["summarize", "runs", "--json", "summary.json"]) == 0
    return place


def facts(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(
    ("name", "store", "found"), [("ptbxl", "ptbxl-100hz", 400), ("code15", "code15", 10)]
)
def test_every_record_is_accounted_for(place: Path, name: str, store: str, found: int) -> None:
    manifest = SignalStore(place / "stores" / store).manifest
    counts = facts(place / f"{name}.json")["counts"]
    assert counts == manifest.counts
    assert counts["found"] == counts["kept"] + counts["rejected"] == found
    assert counts["rejected"] == len(manifest.rejected)


def test_every_run_has_evidence_of_its_records(place: Path) -> None:
    for name, records in (("pretrain/ptbxl", 51), ("finetune/age-seed0", 1)):
        run = RunFolder(place / "runs" / name)
        for file in EVIDENCE:
            assert (run.path / file).is_file(), file
        assert verify_evidence(run) == []
        assert len(run.load_predictions()) == run.load_metrics()["n_records"] == records
        assert run.load_receipt()["data"]["dataset_version"] != "simulated"
        assert run.load_receipt()["times_scored"] == 1
    metrics = RunFolder(place / "runs/pretrain/ptbxl").load_metrics()
    auroc = metrics["metrics"]["auroc"]
    assert 0 <= auroc["low"] <= auroc["value"] <= auroc["high"] <= 1
    support = metrics["per_class"]["AF"]
    assert support["positives"] + support["negatives"] + support["unlabelled"] == 51


def test_the_transfer_knows_what_it_started_from(place: Path) -> None:
    start = RunFolder(place / "runs/pretrain/ptbxl")
    for seed in range(2):
        receipt = RunFolder(place / f"runs/finetune/age-seed{seed}").load_receipt()
        assert receipt["pretrained"] == {
            "sha256": sha256_file(start.best),
            "recipe": recipe(start.load_config()),
            "seed": 42,
        }


def test_pages_show_what_was_done_and_real_records_on_paper(place: Path) -> None:
    run = RunFolder(place / "runs/pretrain/ptbxl")
    people = run.load_metrics()["n_subjects"]
    page = run.report.read_text(encoding="utf-8")
    for text in (
        "A SmallResNet1d was trained on PTBXL for the task af",
        f"On the test split (51 records of {people} people) it reaches an AUROC of",
        "Fewer than 20 positive records: AF",
        "Signals as the network got them, before normalisation: 100 Hz, high-pass 0.8 Hz",
        'class="paper"',
    ):
        assert text in page, text
    assert "simulated" not in page
    value = facts(place / "report.json")["runs"][0]["value"]
    assert f"{value:.3f}" in page
    transferred = (place / "runs/finetune/age-seed0/report.html").read_text(encoding="utf-8")
    assert "pretrained weights of runs/pretrain/ptbxl/checkpoints/best.ckpt" in transferred
    assert "no interval: too few people" in transferred


def test_the_summary_groups_the_seeds(place: Path) -> None:
    rows = {row["name"]: row for row in facts(place / "summary.json")["groups"]}
    assert set(rows) == {"pretrain", "finetune"}
    assert rows["finetune"]["run_names"] == ["finetune/age-seed0", "finetune/age-seed1"]
    assert (rows["finetune"]["dataset"], rows["finetune"]["simulated"]) == ("CODE15", False)
    assert rows["finetune"]["initialisation"] == "pretrain/ptbxl"
    assert len(rows["finetune"]["metrics"]["mae"]["runs"]) == 2


@pytest.fixture(scope="module")
def attacked(place: Path, samples: Path) -> Path:
    """Walk on: pretrain against attacks, carry over, attack both runs, report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAHCL_DATA", str(samples))
        patch.setenv("PAHCL_STORES", "stores")
        patch.chdir(place)
        words = [
            *SMALL,
            "--run.experiment=attacked",
            "--run.test=true",
            "--data.init_args.store=stores/ptbxl-100hz",
            "--model.init_args.warmup_epochs=1",
            "--trainer.max_epochs=2",
        ]
        recipe_file = f"--config={ROOT}/configs/pretrain/adversarial_ptbxl.yaml"
        assert main(["fit", recipe_file, *words, "--run.name=ptbxl"]) == 0
        start = "--model.init_args.pretrained=runs/attacked/ptbxl/checkpoints/best.ckpt"
        for task in ("age", "af"):
            finetune = f"--config={ROOT}/configs/finetune/code15_{task}.yaml"
            more = ["--run.experiment=attacked", f"--run.name={task}", "--run.test=true"]
            assert main(["fit", finetune, *SMALL, *more, start]) == 0
        sizes = ["--epsilon", "0", "0.01", "--restarts", "1", "--queries", "20"]
        assert main(["robustness", "runs/attacked", *sizes, "--mains", "50"]) == 0
        assert main(["report", "runs/attacked/ptbxl"]) == 0
        assert main(["report", "runs/attacked", "--out", "attacked.html"]) == 0
    return place


def test_real_records_are_learned_under_attack(attacked: Path) -> None:
    run = RunFolder(attacked / "runs/attacked/ptbxl")
    assert verify_evidence(run) == []
    cost = run.load_receipt()["cost"]
    steps = cost["adversarial"]["steps"]
    assert steps == cost["clean"]["steps"] > 0
    assert cost["adversarial"]["backward"] == steps * 13
    assert cost["wall_time_ratio"] > 0  # no more: machines are shared
    for task in ("age", "af"):
        start = RunFolder(attacked / f"runs/attacked/{task}").load_receipt()["pretrained"]
        assert start["sha256"] == sha256_file(run.best)


def test_real_records_are_attacked_and_shown(attacked: Path) -> None:
    run = RunFolder(attacked / "runs/attacked/ptbxl")
    found = run.load_robustness()
    assert found["n_records"] == 51
    assert [point["epsilon"] for point in found["curve"]] == [0.01]
    assert found["corruptions"]
    page = run.report.read_text(encoding="utf-8")
    assert "What is left of it under attack?" in page
    assert "What does the attack add?" in page
    assert RunFolder(attacked / "runs/attacked/age").load_robustness()["metric"] == "mae"
    assert (attacked / "attacked.html").is_file()
