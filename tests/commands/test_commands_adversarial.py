"""Adversarial training through the door."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pahcl.cli import main
from pahcl.evaluation.run import RunFolder

ROOT = Path(__file__).parents[2]


def test_two_processes_train_against_an_attack(place: Path) -> None:
    line = [
        "fit",
        f"--config={ROOT}/configs/finetune/ptbxl_superclass.yaml",
        f"--config={ROOT}/configs/trainer/cpu.yaml",
        f"--config={ROOT}/configs/size/small.yaml",
        "--run.wandb=off",
        "--run.tensorboard=false",
        "--run.name=attacked",
        "--trainer.devices=2",
        "--trainer.strategy=ddp",
        "--model=AdversarialPretraining",
        "--model.encoder=SmallResNet1d",
        "--model.pooling=MaskedMeanPool",
        "--model.attack=APGD",
        "--model.attack.steps=2",
        "--model.warmup_epochs=1",
        "--model.separate_norm=true",
        "--trainer.max_epochs=3",
        "--data.init_args.batch_size=16",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pahcl", *line],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    run = RunFolder(place / "runs/finetune/attacked")
    kept = torch.load(run.last, weights_only=True)
    assert kept["cost"]["adversarial"]["steps"] == 2 * kept["cost"]["clean"]["steps"]
    assert all(value.isfinite().all() for value in kept["state_dict"].values())


RECIPE = [
    "fit",
    f"--config={ROOT}/configs/pretrain/adversarial-fast_ptbxl.yaml",
    f"--config={ROOT}/configs/trainer/cpu.yaml",
    f"--config={ROOT}/configs/size/small.yaml",
    "--run.wandb=off",
    "--run.tensorboard=false",
    "--trainer.enable_model_summary=false",
    "--trainer.max_epochs=2",
    "--model.warmup_epochs=1",
]


def test_a_recipe_leaves_evidence_of_its_cost(place: Path) -> None:
    words = ["--run.test=true", "--run.name=a", "--trainer.callbacks+=EMA"]
    assert main([*RECIPE, *words, "--trainer.callbacks.decay=0.9"]) == 0
    run = RunFolder(place / "runs/pretrain/a")
    receipt = run.load_receipt()
    steps = receipt["cost"]["adversarial"]["steps"]
    assert receipt["cost"]["clean"]["steps"] == steps > 0
    # Clean on one half; three gradients and one pass that is learned from on the other.
    assert receipt["cost"]["adversarial"]["backward"] == pytest.approx(steps * 2.5, rel=0.02)
    best, last = (torch.load(path, weights_only=True) for path in (run.best, run.last))
    assert best["epoch"] == last["epoch"] == 1, "the last epoch is kept, not one of the warm-up"
    kept, trained = best["state_dict"], best["current_model_state"]
    assert any(not torch.equal(kept[name], trained[name]) for name in kept)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model.warmup_epochs=2"], "nothing would be attacked"),
        (["--model.warmup_epochs=-1"], "warmup_epochs must be 0 or more"),
        (["--model.attack=APDG"], "APDG"),
        (["--model.attack.epsilon=-1"], "`epsilon` must be 0 or more"),
        (["--model.attack.epsilon=0"], "ends above 0"),
        (["--model.attack.norm=l3"], "l3"),
        (["--model.attack.epsilonn=3"], "`model.init_args.attack.init_args.epsilon`"),
        (["--model.objective=TRADES", "--model.attack=FGSM"], "starts at random"),
        (["--trainer.precision=64-true"], "trainer.precision"),
        (["--model.attack.loss=dlr"], "DLR compares three classes"),
        (["--model.guard.action=panic"], "panic"),
        (["--model.guard.records=0"], "`records` of 1 or more"),
        (
            ["--model.consistent_leads=true", "--data.normalisation=zscore_lead"],
            "scales each lead by itself",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused_in_a_sentence(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert main([*RECIPE, *words]) in (1, 2)
    said = capsys.readouterr().err
    assert says in said, said
    assert "Traceback" not in said
