"""The training verbs, walked as a user does: fit, resume, test, and what goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from data_modules.ptbxl import PTBXLDataModule
from pahcl.cli import main
from pahcl.commands._run import one_writer
from pahcl.evaluation.evidence import verify_evidence
from pahcl.evaluation.run import RunFolder
from pahcl.modules.callbacks import EpochLine

ROOT = Path(__file__).parents[2]
SMALL = [
    f"--config={ROOT}/configs/trainer/cpu.yaml",
    f"--config={ROOT}/configs/size/small.yaml",
    "--run.wandb=off",
    "--run.tensorboard=false",
    "--trainer.enable_model_summary=false",
    "--trainer.num_sanity_val_steps=0",
]


def fit_line(name: str, *more: str, experiment: str = "finetune/ptbxl_superclass") -> list[str]:
    config = f"--config={ROOT}/configs/{experiment}.yaml"
    return ["fit", config, *SMALL, f"--run.name={name}", "--trainer.max_epochs=1", *more]


def weights(path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, Any] = torch.load(path, weights_only=True)
    return dict(found["state_dict"])


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_fit_test_and_resume_share_a_run_folder(place: Path) -> None:
    assert main(fit_line("a", "--run.tensorboard=true", "--run.wandb=offline")) == 0
    run = RunFolder(place / "runs/finetune/a")
    config = run.load_config()
    assert config["run"]["name"] == "a"
    assert config["data"]["init_args"]["fs"] == 100
    assert not run.is_complete
    assert main(["test", f"--config={run.config}"]) == 0
    assert run.is_complete
    metrics = run.load_metrics()
    assert metrics["n_records"] > 0
    assert "macro_auroc" in metrics["metrics"]
    receipt = run.load_receipt()
    assert receipt["data"]["dataset"] == "ptbxl"
    before = weights(run.last)
    wandb_id = (run.path / "wandb_id").read_text()

    longer = fit_line("a", "--run.tensorboard=true", "--run.wandb=offline")
    assert main([*longer, "--trainer.max_epochs=2"]) == 0
    assert torch.load(run.last, weights_only=True)["epoch"] == 1
    assert not same(before, weights(run.last))
    assert (run.path / "wandb_id").read_text() == wandb_id
    keys = {key for file in run.path.rglob("metrics.csv") for key in file.read_text().split(",")}
    assert {"train/loss", "val/loss", "val/macro_auroc"} <= keys
    assert list(run.path.rglob("events.out.tfevents*"))
    assert list(run.path.rglob("*.wandb"))


def test_a_second_run_neither_aborts_nor_overwrites(place: Path) -> None:
    unnamed = [word for word in fit_line("x") if not word.startswith("--run.name")]
    assert main(unnamed) == 0
    assert main(unnamed) == 0
    assert len(list((place / "runs/finetune").iterdir())) == 2


def test_another_config_under_the_same_name_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_line("a")) == 0
    before = (place / "runs/finetune/a/checkpoints/last.ckpt").read_bytes()
    assert main(fit_line("a", "--model.init_args.lr=0.5")) == 2
    said = capsys.readouterr().err
    assert "model.init_args.lr: 0.0001 there, 0.5 now" in said
    assert "--run.name" in said
    assert (place / "runs/finetune/a/checkpoints/last.ckpt").read_bytes() == before


def test_the_command_line_beats_what_a_checkpoint_stores(place: Path) -> None:
    assert main(fit_line("a")) == 0
    run = RunFolder(place / "runs/finetune/a")
    line = ["test", f"--config={run.config}", "--run.name=b", f"--ckpt_path={run.best}"]
    assert main([*line, "--model.init_args.lr=0.5", "--data.init_args.batch_size=7"]) == 0
    config = RunFolder(place / "runs/finetune/b").load_config()
    assert config["model"]["init_args"]["lr"] == 0.5
    assert config["data"]["init_args"]["batch_size"] == 7


def test_same_seed_same_bits(place: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert main(fit_line(name, f"--seed_everything={seed}")) == 0
    a, b, c = (weights(place / f"runs/finetune/{name}/checkpoints/last.ckpt") for name in "abc")
    assert same(a, b)
    assert not same(a, c)


def test_a_killed_fit_goes_on_to_the_same_weights(place: Path) -> None:
    whole = fit_line("whole", "--trainer.max_epochs=4")
    assert main(whole) == 0
    line = fit_line("killed", "--trainer.max_epochs=4")
    last = place / "runs/finetune/killed/checkpoints/last.ckpt"
    process = subprocess.Popen([sys.executable, "-m", "pahcl", *line], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not last.is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert last.is_file()
    assert main(line) == 0
    assert torch.load(last, weights_only=True)["epoch"] == 3
    assert same(weights(last), weights(place / "runs/finetune/whole/checkpoints/last.ckpt"))


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_fit_says_where_it_stands_and_goes_on(sent: signal.Signals, place: Path) -> None:
    line = fit_line("stopped", "--trainer.max_epochs=500")
    last = place / "runs/finetune/stopped/checkpoints/last.ckpt"
    process = subprocess.Popen(
        [sys.executable, "-m", "pahcl", *line], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not last.is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + sent
    assert "Traceback" not in said
    done = torch.load(last, weights_only=True)["epoch"] + 1
    assert f"Stopped after epoch {done} of 500; the same command goes on." in said


def test_a_fit_stopped_without_a_name_says_how_to_go_on(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(self: EpochLine, *_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(EpochLine, "on_train_start", interrupt)
    before = signal.getsignal(signal.SIGINT)
    unnamed = [word for word in fit_line("x") if not word.startswith("--run.name")]
    assert main(unnamed) == 130
    (folder,) = (place / "runs/finetune").iterdir()
    assert f"the same command with --run.name {folder.name} starts again" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


def test_fit_says_what_it_learns_from(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(fit_line("a", "--run.test=true")) == 0
    splits = RunFolder(place / "runs/finetune/a").load_receipt()["data"]["splits"]
    train, val, test = (splits[name] for name in ("train", "val", "test"))
    assert (
        f"train {train['records']} records of {train['subjects']} subjects, "
        f"val {val['records']} of {val['subjects']}, test {test['records']} of {test['subjects']}."
    ) in capsys.readouterr().err.splitlines()


def test_a_finished_run_is_left_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fit_line("a")
    run = RunFolder(place / "runs/finetune/a")
    assert main(line) == 0
    written = run.last.stat().st_mtime_ns
    capsys.readouterr()
    assert main(line) == 0
    said = capsys.readouterr().err
    assert f"{run.path.relative_to(place)} is finished after 1 epoch(s) and not tested" in said
    assert main([*line, "--run.test=true"]) == 0
    assert run.is_complete
    capsys.readouterr()
    assert main([*line, "--run.test=true"]) == 0
    said = capsys.readouterr().err
    assert "its evidence is in runs/finetune/a/metrics.json" in said
    assert "Going on" not in said
    assert run.last.stat().st_mtime_ns == written
    assert main([*line, "--trainer.max_epochs=2"]) == 0
    assert "Going on" in capsys.readouterr().err


def test_two_processes_train_and_test_together(place: Path) -> None:
    assert main(fit_line("one")) == 0  # packs the store
    line = fit_line(
        "two",
        "--trainer.devices=2",
        "--trainer.strategy=ddp",
        "--run.test=true",
        "--data.init_args.batch_size=16",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pahcl", *line],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PAHCL_RUN_NAME": "left over from another run"},
    )
    assert done.returncode == 0, done.stderr
    two = RunFolder(place / "runs/finetune/two")
    assert two.is_complete
    assert main(["test", f"--config={place}/runs/finetune/one/config.yaml"]) == 0
    one = RunFolder(place / "runs/finetune/one")
    ids = [sorted(run.load_predictions()["record_id"]) for run in (one, two)]
    assert ids[0] == ids[1]
    assert [path.name for path in (place / "runs/finetune").iterdir() if "left" in path.name] == []


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--model.init_args.lrr=1"], 2, "`model.init_args.lr`?"),
        (["--data.class_path=NoSuchDataModule"], 2, "NoSuchDataModule"),
        (["--data.class_path=no.such.Module"], 2, "No module named"),
        (["--trainer.max_epochs=many"], 2, "many"),
        (["--config=nowhere.yaml"], 2, "nowhere.yaml"),
        (["--data.init_args.task=murmur"], 2, "murmur"),
        (["--data.init_args.root=nowhere", "--data.init_args.store=none"], 1, "nowhere"),
        (["--model.init_args.pretrained=nowhere.ckpt"], 1, "nowhere.ckpt"),
        (["--run.name=../escape"], 2, "run.name"),
        ([f"--config={ROOT}/configs/trainer/gpu.yaml"], 2, "There is no GPU here"),
        ([f"--config={ROOT}/configs/trainer/ddp.yaml"], 2, "There is no GPU here"),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence(
    words: list[str],
    status: int,
    says: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "GPU" in says and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert main(fit_line("a", *words)) == status
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said
    assert len(said.splitlines()[-1]) < 700


def test_testing_without_a_checkpoint_says_how(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [word for word in fit_line("never") if not word.startswith("--trainer.max_epochs")]
    assert main(["test", *line[1:]]) == 2
    assert "There is no checkpoint at runs/finetune/never" in capsys.readouterr().err


def test_predict_leaves_the_test_split_alone_unless_it_is_named(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_line("a")) == 0
    run = RunFolder(place / "runs/finetune/a")
    assert main(["predict", f"--config={run.config}"]) == 0
    assert (run.path / "predicted_val.parquet").is_file()
    assert not (run.path / "predicted_test.parquet").exists()
    assert "test split" not in capsys.readouterr().err
    named = "--data.init_args.predict_split=test"
    assert main(["predict", f"--config={run.config}", named]) == 0
    assert (run.path / "predicted_test.parquet").is_file()
    assert "choose nothing by these predictions" in capsys.readouterr().err


def test_evidence_of_other_options_does_not_replace_a_runs_own(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_line("a", "--run.test=true")) == 0
    run = RunFolder(place / "runs/finetune/a")
    before = run.metrics.read_bytes()
    asked = ["test", f"--config={run.config}"]
    assert main([*asked, "--data.init_args.likelihood_threshold=50"]) == 2
    assert "likelihood_threshold" in capsys.readouterr().err
    assert main(fit_line("b")) == 0
    other = place / "runs/finetune/b/checkpoints/best.ckpt"
    assert main([*asked, f"--ckpt_path={other}"]) == 2
    assert "--run.name" in capsys.readouterr().err
    assert run.metrics.read_bytes() == before


def test_a_finished_run_is_not_tested_again_and_a_longer_one_is(place: Path) -> None:
    line = fit_line("a", "--run.test=true")
    run = RunFolder(place / "runs/finetune/a")
    for _ in range(2):
        assert main(line) == 0
        assert run.load_receipt()["times_scored"] == 1
        assert verify_evidence(run) == []
    assert run.load_receipt()["wall_time_s"] > 0
    longer = [*fit_line("a"), "--trainer.max_epochs=2"]
    assert main(longer) == 0
    assert any("config.yaml" in text for text in verify_evidence(run))


def test_validate_leaves_evidence_of_its_own(place: Path) -> None:
    assert main(fit_line("a")) == 0
    run = RunFolder(place / "runs/finetune/a")
    assert main(["validate", f"--config={run.config}"]) == 0
    assert run.load_metrics("val")["split"] == "val"
    assert not run.metrics.exists()


def test_a_start_that_failed_does_not_keep_its_name(place: Path) -> None:
    assert main(fit_line("a", "--model.init_args.pretrained=nowhere.ckpt")) == 1
    assert main(fit_line("a")) == 0


def test_two_writers_of_one_run_are_kept_apart(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(place / "runs/finetune/a")
    with one_writer(folder):
        assert main(fit_line("a")) == 2
    assert "Another process is writing" in capsys.readouterr().err
    assert main(fit_line("a")) == 0


def test_ranks_of_a_launcher_need_a_common_name(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    unnamed = [word for word in fit_line("x") if not word.startswith("--run.name")]
    assert main(unnamed) == 2
    assert "--run.name" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_not_gone_on_with(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_line("a")) == 0
    last = place / "runs/finetune/a/checkpoints/last.ckpt"
    assert not list(last.parent.glob("*.tmp"))
    last.write_bytes(last.read_bytes()[:1000])
    assert main([*fit_line("a"), "--trainer.max_epochs=2"]) == 1
    said = capsys.readouterr().err
    assert "last.ckpt" in said
    assert "Traceback" not in said


def test_without_positives_in_validation_the_loss_chooses(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = PTBXLDataModule.setup

    def without_positives(self: PTBXLDataModule, stage: str | None = None) -> None:
        setup(self, stage)
        self.targets = self.targets.copy()
        self.targets[self.rows["val"]] = 0

    monkeypatch.setattr(PTBXLDataModule, "setup", without_positives)
    line = fit_line("a", "--run.patience=1", "--run.test=true", experiment="finetune/ptbxl_af")
    assert main([*line, "--trainer.max_epochs=3"]) == 0
    said = capsys.readouterr().err
    assert said.count("The best checkpoint is chosen by the smallest val/loss instead") == 1
    assert "On the validation split auroc is undefined (AF: no positives" in said
    assert RunFolder(place / "runs/finetune/a").is_complete


def test_a_network_of_nans_leaves_no_evidence(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_line("a")) == 0
    run = RunFolder(place / "runs/finetune/a")
    checkpoint = torch.load(run.best, weights_only=True)
    for name, tensor in checkpoint["state_dict"].items():
        if name.startswith("head."):
            tensor.fill_(float("nan"))
    torch.save(checkpoint, run.best)
    assert main(["test", f"--config={run.config}"]) == 1
    assert "records of the test split" in capsys.readouterr().err
    assert not run.metrics.exists()
    assert not run.receipt.exists()
