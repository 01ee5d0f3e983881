"""The file of a sweep and the plan that is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sweep_files import ARM, jobs_of, titles, values, write

from pahcl.cli import main
from pahcl.commands._sweep_file import read_sweep
from pahcl.commands._sweep_plan import chosen
from pahcl.errors import UsageError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- the plan -------------------------------------------------------------------------------------


def test_the_grid_goes_seed_by_seed_and_pretrains_first(place: Path) -> None:
    of_seed = [
        "pretrain/clean-seed{0}",
        "transfer/none-0.1-seed{0}",
        "transfer/clean-0.1-seed{0}",
        "transfer/none-1.0-seed{0}",
        "transfer/clean-1.0-seed{0}",
    ]
    jobs = jobs_of(place)
    assert titles(jobs) == [text.format(seed) for seed in (0, 1) for text in of_seed]
    transfer = jobs[2]
    assert transfer.needs is jobs[0]
    assert jobs[1].needs is None
    start = "runs/tiny/pretrain/clean-seed0/checkpoints/last.ckpt"
    assert transfer.words[-2:] == ("--model.pretrained", start)
    # Of two layers that say the same, the later one holds: experiment, size, fraction, the rest.
    configs = [word for word in transfer.words if word.endswith(".yaml")]
    assert [Path(word).stem for word in configs] == ["code15_af", "small", "cpu", "0.1"]


def test_one_pretraining_may_be_shared(place: Path) -> None:
    shared = {**values()["pretraining"], "seed": 42}
    jobs = jobs_of(place, pretraining=shared)
    assert [job.title for job in jobs if job.stage == "pretrain"] == ["pretrain/clean-seed42"]
    starts = {job.start for job in jobs if job.needs}
    assert starts == {Path("runs/tiny/pretrain/clean-seed42/checkpoints/last.ckpt")}


def test_dry_run_prints_lines_that_a_person_can_type(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(place, values())
    target = place / "lines.json"
    words = [f"--json={target}", "--seeds", "3", "--", "--data.batch_size=8"]
    assert main(["sweep", str(file), "--dry-run", *words]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "5 runs, 5 of them to be run."
    assert all(line.startswith("pahcl fit --config ") for line in said[:-1])
    assert all("--data.batch_size=8 --run.root runs/tiny" in line for line in said[:-1])
    assert all("--seed_everything 3" in line for line in said[:-1])
    lines = json.loads(target.read_text())["lines"]
    assert [line["done"] for line in lines] == [False] * 5
    assert not (place / "runs").exists()


def test_only_takes_arms_and_fractions_with_what_they_need(place: Path) -> None:
    jobs = jobs_of(place, seeds=[0])
    assert titles(chosen(jobs, ["clean", "0.1"], None)) == [
        "pretrain/clean-seed0",
        "transfer/clean-0.1-seed0",
    ]
    assert titles(chosen(jobs, ["pretraining"], None)) == ["pretrain/clean-seed0"]
    assert titles(chosen(jobs, ["none"], None)) == [
        "transfer/none-0.1-seed0",
        "transfer/none-1.0-seed0",
    ]
    with pytest.raises(UsageError, match=r"--only claen: there are .*0\.1.*clean\?"):
        chosen(jobs, ["claen"], None)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shares_hold_every_run_and_keep_chains_together(place: Path, count: int) -> None:
    jobs = jobs_of(place, seeds=[0, 1, 2])
    shares = [chosen(jobs, [], (i, count)) for i in range(count)]
    assert sorted(titles([job for share in shares for job in share])) == sorted(titles(jobs))
    for share in shares:
        assert all(job.needs in share for job in share if job.needs)


def test_paths_are_found_beside_the_file_and_where_one_stands(place: Path) -> None:
    (place / "sweeps").mkdir()
    (place / "near.yaml").write_text("seed_everything: 1\n")
    (place / "sweeps/beside.yaml").write_text("seed_everything: 1\n")
    path = write(place / "sweeps", values(layers=["near.yaml", "beside.yaml", "../near.yaml"]))
    found = read_sweep(path.relative_to(place)).layers if path.is_absolute() else ()
    assert found == (Path("near.yaml"), Path("sweeps/beside.yaml"), Path("near.yaml"))


# --- refusals -------------------------------------------------------------------------------------


def with_arms(*arms: Any, **more: Any) -> dict[str, Any]:
    return values(pretraining={"arms": list(arms), **more})


def with_transfer(**more: Any) -> dict[str, Any]:
    return values(transfer={**values()["transfer"], **more})


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["is empty", "pretraining, transfer and seeds"]),
        ("[1, 2]", ["holds no keys"]),
        ("a: [1", ["line", "no YAML"]),
        (values(seed=[0]), ["`seed`", "did you mean `seeds`?"]),
        (values(seeds=[]), ["`seeds`", "a list of numbers"]),
        (values(seeds=[0, 0]), ["has 0 twice"]),
        (values(seeds=[True]), ["whole numbers", "True"]),
        (values(seeds=[-1]), ["whole numbers", "-1"]),
        (values(seeds=None), ["`seeds`", "is missing"]),
        (values(metric="nope"), ["`metric`", "no metric: nope", "auprc"]),
        (values(transfer="x"), ["`transfer`", "mapping of config, fractions"]),
        (with_transfer(config="nowhere.yaml"), ["`transfer.config`", "nowhere.yaml", "neither"]),
        (with_transfer(confg=1), ["`transfer.confg`", "`transfer.config`?"]),
        (with_transfer(arguments=["--run.name=x"]), ["--run.name", "gives itself"]),
        (with_transfer(arguments=[3]), ["takes words", "3"]),
        (with_arms({"name": "a/b"}), ["arms[0].name", "a/b"]),
        (with_arms({"name": 0.5}), ["in quotes", "0.5"]),
        (with_arms(ARM, ARM), ["has a twice"]),
        (with_arms({"name": "a"}, {"name": "b"}), ["the same: a and b"]),
        (with_arms({**ARM, "checkpoint": "newest"}), ["`best`", "newest"]),
        (with_arms({**ARM, "checkpont": "last"}), ["arms[0].checkpont", "arms[0].checkpoint`?"]),
        (with_arms({"name": "a", "checkpoint": "last"}), ["no pretraining to belong to"]),
        (with_arms({"name": "pretraining"}), ["must be another one"]),
        (with_arms({**ARM, "name": "scratch"}), ["random weights"]),
        (with_arms({**ARM, "name": "0.1"}), ["`transfer.fractions`", "0.1 twice"]),
        (with_arms(ARM, seed="every"), ["`pretraining.seed`", "`each`", "every"]),
        (values(compare_with=["clen"]), ["`compare_with`", "none, clean"]),
        (values(name="../up"), ["`name`", "../up"]),
    ],
)
def test_a_bad_file_is_refused_in_a_sentence(
    content: Any, parts: list[str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", str(write(place, content)), "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert "tiny.yaml" in said
    assert said.count("\n") == 1
    for part in parts:
        assert part in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--workers=0"], "--workers must be at least 1"),
        (["--seeds", "-1"], "--seeds takes whole numbers"),
        (["--seeds", "1", "1"], "twice"),
        (["--shard", "2/2"], "i counts from 0"),
        (["--", "--seed_everything=3"], "--seed_everything is given by the sweep"),
        (["--", "--model.pretrained", "x"], "--model.pretrained is given by the sweep"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    words: list[str], says: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", str(write(place, values())), "--dry-run", *words]) == 2
    assert says in capsys.readouterr().err


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "nowhere.yaml"]) == 2
    assert "configs/sweep/" in capsys.readouterr().err
