"""A sweep at work: how it runs, what it leaves behind, how it stops and goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from filelock import FileLock
from sweep_files import ARM, CONFIGS, QUICK, jobs_of, titles, values, write

from pahcl.cli import main
from pahcl.commands import _sweep_work
from pahcl.commands._run import one_writer
from pahcl.commands._sweep_file import read_sweep
from pahcl.commands._sweep_plan import RECORD, is_held, keep_record, plan, record
from pahcl.commands._sweep_results import _total
from pahcl.commands._sweep_work import Estimate, TerminatedError, Work, duration, environment
from pahcl.evaluation.run import RunFolder
from pahcl.files import sha256_file


@pytest.fixture
def place(corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder with simulated data in reach."""
    monkeypatch.setenv("PAHCL_DATA", str(corpora))
    monkeypatch.setenv("PAHCL_STORES", str(corpora.parent / "stores"))
    monkeypatch.setattr(_sweep_work, "HELD_S", 0.2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- the work -------------------------------------------------------------------------------------


def tiny(place: Path, **changes: Any) -> list[str]:
    """Write a sweep of one fraction and seed, and give its command."""
    fractions = [str(CONFIGS / "protocol/equal_epochs/1.0.yaml")]
    content = values(seeds=[0], **changes)
    content["transfer"]["fractions"] = fractions
    return ["sweep", str(write(place, content)), "--", *QUICK]


def test_a_sweep_end_to_end_and_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = tiny(place, metric="accuracy")
    facts = place / "facts.json"
    assert main([line[0], line[1], f"--json={facts}", "--workers=2", *line[2:]]) == 0
    said = capsys.readouterr().out
    assert said.count("pahcl fit --config") == 3
    assert "[3/3] transfer/" in said
    assert "3 of 3 runs are complete." in said
    folder = place / "runs/tiny"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.ckpt")}
    assert len(before) == 6
    receipt = RunFolder(folder / "transfer/clean-1.0-seed0").load_receipt()
    last = sha256_file(folder / "pretrain/clean-seed0/checkpoints/last.ckpt")
    assert receipt["pretrained"]["sha256"] == last

    table = pd.read_csv(folder / "sweep.csv")
    assert list(table["initialisation"]) == ["scratch", "clean"]
    assert table["accuracy_minus_scratch_low"].notna().tolist() == [False, True]
    told = json.loads((folder / "sweep.json").read_text())
    assert [(row["a"], row["b"], row["metric"]) for row in told["comparisons"]] == [
        ("transfer/clean-1.0-seed0", "transfer/none-1.0-seed0", "accuracy")
    ]
    assert {(row["arm"], row["stage"], row["runs"]) for row in told["cost"]} == {
        ("none", "transfer", 1),
        ("clean", "pretrain", 1),
        ("clean", "transfer", 1),
    }
    assert json.loads(facts.read_text())["complete"] == 3
    page = (folder / "sweep.html").read_text()
    assert "from scratch" in page
    assert "pahcl sweep" in page

    assert main(line) == 0  # nothing is run again
    said = capsys.readouterr().out
    assert "3 of 3 runs are done already." in said
    assert "pahcl fit" not in said
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.ckpt")}

    (folder / "pretrain/clean-seed0/receipt.json").unlink()
    assert main(line) == 0  # this one alone is tested again, and the transfer still fits to it
    said = capsys.readouterr().out
    assert said.count("pahcl fit") == 1
    assert "3 of 3 runs are complete." in said
    assert sha256_file(folder / "pretrain/clean-seed0/checkpoints/last.ckpt") == last

    # Another pretraining under the same name: what started from the old one is named.
    shutil.rmtree(folder / "pretrain/clean-seed0")
    other = [*line, "--trainer.limit_train_batches=1"]
    assert main([*other[:2], "--only", "pretraining", *other[2:]]) == 0
    assert main([*line[:2], "--report-only"]) == 1
    said = capsys.readouterr().out
    assert "Failed: transfer/clean-1.0-seed0: " in said
    assert "started from another checkpoint" in said


FAKE = """
import sys, time
from pathlib import Path
words = sys.argv[1:]
value = lambda key: words[words.index(key) + 1]
run = Path(value("--run.root"), value("--run.experiment"), value("--run.name"))
print("working", flush=True)
if "--slow" in words:
    time.sleep(60)
if "broken" in run.name:
    sys.exit("what was wrong and what to do")
for name in ("metrics.json", "predictions.parquet", "receipt.json"):
    (run / name).write_text("{}")
"""
"""Stands for `pahcl fit` where only the work around it is looked at."""


def pretend(
    place: Path, monkeypatch: pytest.MonkeyPatch, *words: str, workers: int = 2, **changes: Any
) -> tuple[Work, list[str]]:
    """Make the work of a sweep whose runs pretend, and the lines that it says."""
    (place / "fake.py").write_text(FAKE)
    monkeypatch.setattr(_sweep_work, "FIT", (sys.executable, str(place / "fake.py")))
    monkeypatch.setattr(_sweep_work, "LOOK_S", 0.02)
    file = read_sweep(write(place, values(**changes)))
    said: list[str] = []
    return Work(plan(file, Path("runs"), given=words), workers, said.append, lambda *_: None), said


def test_a_failed_run_is_named_and_the_others_go_on(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = [{**ARM, "name": "broken"}, {"name": "none"}, {**ARM, "name": "clean"}]
    work, said = pretend(place, monkeypatch, pretraining={"arms": arms})
    # The receipts of these pretended runs name no checkpoint.
    monkeypatch.setattr(_sweep_work, "require_start", lambda _job: None)
    outcome = work.run()
    assert titles(list(outcome.failed)) == ["pretrain/broken-seed0", "pretrain/broken-seed1"]
    assert all("broken" in title for title in titles(outcome.blocked))
    assert len(outcome.blocked) == 4
    assert len(outcome.done) == 2 + 2 * 4
    text = "\n".join(said)
    assert "pretrain/broken-seed0 FAILED: exit status 1" in text
    assert "what was wrong and what to do" in text
    log = (place / "runs/tiny/pretrain/broken-seed0/sweep.log").read_text()
    assert log.startswith("$ pahcl fit --config")
    assert "working" in log


def test_pretrainings_come_before_what_starts_from_them(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sweep_work, "require_start", lambda _job: None)
    work, _ = pretend(place, monkeypatch, workers=3)
    done = work.run().done
    assert len(done) == 10
    for job in done:
        assert job.needs is None or done.index(job.needs) < done.index(job)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handed_on_and_ends_all_children(
    sent: signal.Signals, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, said = pretend(place, monkeypatch, "--slow")

    def send_when_two_run() -> None:
        while len(work.children) < 2:
            time.sleep(0.01)
        time.sleep(0.5)
        os.kill(os.getpid(), sent)

    threading.Thread(target=send_when_two_run).start()
    with pytest.raises(KeyboardInterrupt if sent == signal.SIGINT else TerminatedError):
        work.run()
    assert len(work.children) == 2
    assert all(child.process.returncode is not None for child in work.children)
    assert sum(line.startswith(("pretrain/", "transfer/")) for line in said) == 2
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_share_leaves_the_table_to_the_end_and_a_changed_config_is_noticed(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = tiny(place, pretraining={"arms": [{"name": "none"}]})
    assert main([*line[:2], "--shard=0/2", *line[2:]]) == 0
    assert "When all have: `pahcl sweep" in capsys.readouterr().out
    assert not (place / "runs/tiny/sweep.csv").exists()
    assert main([*line[:2], "--report-only"]) == 0  # whatever the words that made the runs
    assert (place / "runs/tiny/sweep.csv").is_file()
    capsys.readouterr()

    assert main([*line, "--model.lr=0.5"]) == 1
    said = capsys.readouterr().out
    assert "transfer/none-1.0-seed0 FAILED: exit status 2" in said
    assert "model.init_args.lr: 0.0001 there, 0.5 now" in said


def test_report_of_nothing(place: Path) -> None:
    assert main(["sweep", str(write(place, values())), "--report-only"]) == 1


def test_a_run_of_another_process_is_waited_for(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, said = pretend(place, monkeypatch, seeds=[0], pretraining={"arms": [{"name": "none"}]})
    folder = work.jobs[0].folder
    folder.path.mkdir(parents=True)
    lock = FileLock(folder.path / ".lock", thread_local=False)
    lock.acquire()
    assert is_held(folder)
    threading.Timer(1.0, lock.release).start()
    outcome = work.run()
    assert [job.folder.name for job in outcome.done] == ["none-1.0-seed0", "none-0.1-seed0"]
    assert any("another process is at it; it is waited for" in line for line in said)
    assert not is_held(folder)


def test_ctrl_c_reaches_the_runs_and_the_next_command_goes_on(place: Path) -> None:
    sent = signal.SIGINT
    line = tiny(place, pretraining={"arms": [{"name": "none"}]})
    line = [word for word in line if "max_epochs" not in word]
    process = subprocess.Popen(
        [sys.executable, "-m", "pahcl", *line, "--trainer.max_epochs=500"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    folder = RunFolder(place / "runs/tiny/transfer/none-1.0-seed0")
    deadline = time.monotonic() + 120
    while not folder.last.is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(sent)
    said, wrong = process.communicate(timeout=60)
    assert process.returncode == 128 + sent
    assert "Traceback" not in wrong
    assert "transfer/none-1.0-seed0: Stopped after epoch" in said
    with one_writer(folder):  # nobody is left at it
        pass


# --- parts ----------------------------------------------------------------------------------------


def test_children_share_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(_sweep_work, "cores", lambda: 8)
    assert environment(3, 0, 0)["OMP_NUM_THREADS"] == "2"
    assert environment(16, 0, 0)["OMP_NUM_THREADS"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in environment(3, 0, 1)
    assert [environment(3, slot, 2)["CUDA_VISIBLE_DEVICES"] for slot in range(3)] == list("010")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert environment(2, 1, 2)["CUDA_VISIBLE_DEVICES"] == "7"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert environment(3, 0, 0)["OMP_NUM_THREADS"] == "5"


def test_the_rest_is_guessed_from_runs_of_the_same_kind(place: Path) -> None:
    jobs = jobs_of(place, seeds=[0])
    guess = Estimate(jobs, workers=2)
    assert guess.rest(jobs, {}) is None
    guess.learn(jobs[0], 100.0)
    guess.learn(jobs[1], 10.0)  # of the fraction 0.1
    assert guess.of(jobs[2]) == 10.0
    assert guess.of(jobs[3]) == 10.0  # another fraction: what is known of transfers
    assert guess.rest(jobs[2:], {jobs[0]: 40.0}) == pytest.approx((60 + 30) / 2)
    assert [duration(x) for x in (5.4, 61, 7300)] == ["5 s", "1 min", "2 h 1 min"]


def test_what_a_run_was_made_by_names_the_data(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs_of(place)[0]
    job.folder.path.mkdir(parents=True)
    keep_record(job)
    before = json.loads((job.folder.path / RECORD).read_text())
    assert before == record(job)
    assert before["environment"]["PAHCL_DATA"]
    monkeypatch.setenv("PAHCL_DATA", "elsewhere")
    assert before != record(job)


def test_passes_are_counted_over_all_kinds_of_steps() -> None:
    account = {
        "clean": {"steps": 3, "forward": 3, "backward": 3, "seconds": 1.0},
        "adversarial": {"steps": 2, "forward": 26, "backward": 24, "seconds": 5.0},
        "wall_time_ratio": 6.5,
    }
    assert _total(account, "forward") == 29
    assert _total({}, "forward") is None
