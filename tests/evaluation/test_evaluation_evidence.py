from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pahcl.errors import PahclError, UsageError
from pahcl.evaluation import evidence
from pahcl.evaluation.evidence import verify_evidence, write_evidence
from pahcl.evaluation.metrics import evaluate
from pahcl.evaluation.predictions import predictions_table
from pahcl.evaluation.receipt import (
    ReceiptParts,
    git_state,
)
from pahcl.evaluation.run import RunFolder
from pahcl.task import Task

TASK = Task("abn", "multilabel", ("AF", "RBBB"), ("AF", "RBBB"), "macro_auroc")
AGE = Task("age", "regression", ("age",), ("age",), "mae")
BEAT = Task("beat", "multiclass", ("N", "S", "V"), ("beat",), "macro_auroc")


def make(task=TASK, n=60):
    rng = np.random.default_rng(0)
    ids, who = [f"r{i}" for i in range(n)], [f"s{i // 2}" for i in range(n)]
    if task.kind == "multiclass":
        return predictions_table(
            task, ids, who, rng.integers(-1, 3, n), np.eye(3)[rng.integers(0, 3, n)]
        )
    if task.kind == "regression":
        return predictions_table(task, ids, who, rng.normal(60, 9, n), rng.normal(60, 9, n))
    target = (rng.random((n, 2)) < 0.3).astype(np.float32)
    target[:, 1] = 0  # a class without positives: undefined metrics become null
    return predictions_table(task, ids, who, target, rng.random((n, 2)), [0.4, 0.5])


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "runs" / "exp" / "seed0")
    folder.checkpoints.mkdir(parents=True)
    folder.config.write_text("seed_everything: 0\n")
    folder.best.write_bytes(b"weights")
    return folder


def write(run, task=TASK, **more):
    parts = ReceiptParts(
        data={"dataset": "code15", "split_sha256": "ab"},
        checkpoint=run.best,
        seed=3,
        wall_time_s=1.5,
    )
    return write_evidence(run, task, make(task), parts, samples=50, **more)


def strict(path):
    """Read JSON as other languages do: NaN is no number."""

    def refuse(name):
        raise AssertionError(name)

    return json.loads(path.read_text(), parse_constant=refuse)


def test_metrics_json_holds_what_evaluate_finds(run):
    facts = write(run, thresholds=np.array([0.4, 0.5], np.float32))
    found = strict(run.metrics)
    assert found == facts == run.load_metrics()
    points = evaluate(TASK, make())
    assert (found["format"], found["split"]) == (1, "test")
    assert (found["n_records"], found["n_subjects"]) == (60, 30)
    auroc = found["metrics"]["macro_auroc"]
    assert auroc["value"] == points.macro["macro_auroc"]
    assert auroc["low"] < auroc["value"] < auroc["high"]
    assert found["per_class"]["AF"]["auroc"]["value"] == points.per_class["AF"]["auroc"]
    assert found["per_class"]["AF"]["positives"] == points.per_class["AF"]["positives"]
    assert found["per_class"]["RBBB"]["auroc"] == {"value": None, "low": None, "high": None}
    assert found["per_class"]["AF"]["calibration_error"]["low"] is None
    assert found["classes_defined"]["macro_auroc"] == 1
    assert found["thresholds"] == {"AF": pytest.approx(0.4), "RBBB": 0.5}
    assert found["confusion"] == points.confusion.tolist()
    assert found["bootstrap"] == {
        "samples": 50, "level": 0.95, "seed": 0, "undefined": {"AF": 0, "RBBB": 0},
    }  # fmt: skip
    assert "RBBB" in found["notes"][0]
    assert run.load_task() == TASK
    assert run.load_predictions().equals(make())
    assert run.is_complete


@pytest.mark.parametrize("task", [AGE, BEAT], ids=lambda task: task.kind)
def test_other_kinds_have_evidence_too(run, task):
    write(run, task, thresholds=np.full(task.num_outputs, 0.5))
    found = strict(run.metrics)
    assert found["thresholds"] is None
    assert found["metrics"][task.primary_metric]["low"] is not None
    shape = None if task.kind == "regression" else (3, 3)
    assert (None if found["confusion"] is None else np.shape(found["confusion"])) == shape
    assert run.load_task() == task


def test_receipt_holds_digests_and_neither_paths_nor_names_of_machines(run):
    write(run)
    found = strict(run.receipt)
    for name, path in (
        ("predictions", run.predictions),
        ("metrics", run.metrics),
        ("checkpoint", run.best),
        ("config", run.config),
    ):
        assert found["sha256"][name] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["data"]["dataset"] == "code15"
    assert (found["seed"], found["wall_time_s"]) == (3, 1.5)
    assert found["support"]["AF"]["positives"] == int(make()["target/AF"].sum())
    assert found["libraries"]["torch"]
    assert found["hardware"]["device"] == "cpu"
    text = run.receipt.read_text()
    assert str(run.path) not in text
    assert str(Path.home()) not in text
    assert socket.gethostname() not in text


def test_the_receipt_counts_how_often_the_split_was_scored(run):
    write(run)
    write(run)
    assert run.load_receipt()["times_scored"] == 2
    run.receipt.write_text("damaged")
    write(run)
    assert run.load_receipt()["times_scored"] == 2


def test_another_split_leaves_the_test_evidence_alone(run):
    write(run)
    before = run.metrics.read_bytes()
    write(run, split="val")
    assert run.metrics.read_bytes() == before
    assert run.load_metrics("val")["split"] == "val"
    assert run.load_receipt("val")["times_scored"] == 1


def test_changed_evidence_is_found(run):
    write(run)
    assert verify_evidence(run) == []
    run.metrics.write_text(run.metrics.read_text().replace("0.", "0.9"))
    assert "metrics.json" in verify_evidence(run)[0]


def test_a_failure_on_the_way_leaves_no_half_file(run, monkeypatch):
    write(run)
    before = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evidence, "write_predictions", full)
    with pytest.raises(PahclError, match="No space left on device"):
        write(run)
    after = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    assert after == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_said_to_be_one(run):
    run.path.chmod(0o500)
    with pytest.raises(PahclError, match="cannot be written"):
        write(run)


def test_a_missing_checkpoint_is_refused_before_anything_is_written(run):
    run.best.unlink()
    with pytest.raises(UsageError, match=r"best\.ckpt"):
        write(run)
    assert not run.metrics.exists()


def test_git_state_is_that_of_the_packages_own_checkout(tmp_path):
    def git(*words):
        subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@t", *words],
            check=True, capture_output=True,
        )  # fmt: skip

    package = tmp_path / "package"
    package.mkdir()
    (package / "a.py").write_text("1")
    assert git_state(package) == {"commit": None, "dirty": None}
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    clean = git_state(package)
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (package / "a.py").write_text("2")
    assert git_state(package)["dirty"] is True
    # Installed inside a checkout of something else, the commit says nothing about the package.
    inside = package / "site-packages"
    inside.mkdir()
    assert git_state(inside)["commit"] is None
