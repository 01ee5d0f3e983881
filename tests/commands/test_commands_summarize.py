from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import yaml

from pahcl.cli import main
from pahcl.evaluation.evidence import write_evidence
from pahcl.evaluation.metrics import evaluate
from pahcl.evaluation.predictions import predictions_table
from pahcl.evaluation.receipt import ReceiptParts
from pahcl.evaluation.run import RunFolder, find_runs
from pahcl.evaluation.settings import recipe
from pahcl.evaluation.summary import summarize
from pahcl.evaluation.tables import cell, escape_latex, group_cells, to_latex, to_markdown
from pahcl.task import Task

TASK = Task("abn", "multilabel", ("AF", "1dAVb"), ("AF", "1dAVb"), "macro_auroc")
NOTHING = ReceiptParts()
SIMULATED = ReceiptParts(data={"dataset_version": "simulated"})
AGE = Task("age", "regression", ("age",), ("age",), "mae")


def config(name, seed, pretrained=None, fraction=0.05, experiment="demo", data=None, **more):
    return {
        "seed_everything": seed,
        "run": {"experiment": experiment, "name": name, "root": "runs"},
        "data": {
            "class_path": "data_modules.code15.CODE15DataModule",
            "init_args": {
                **{"task": "abn", "fraction": fraction, "seed": seed, "split_seed": 0},
                **(data or {}),
            },
        },
        "model": {
            "class_path": "pahcl.modules.finetuning.Finetuning",
            "init_args": {
                "pretrained": pretrained,
                "strategy": {"class_path": "pahcl.transfer.strategies.Full"},
                **more,
            },
        },
        "trainer": {"max_epochs": 3, "default_root_dir": f"runs/{experiment}/{name}"},
        "ckpt_path": None,
    }


def predict(task, skill, seed, subjects=60):
    rng = np.random.default_rng(0)
    ids, who = [f"r{i}" for i in range(2 * subjects)], [f"s{i // 2}" for i in range(2 * subjects)]
    noise = np.random.default_rng([seed, 5])
    if task.kind == "regression":
        target = rng.normal(60, 10, len(ids))
        return predictions_table(task, ids, who, target, target + noise.normal(0, 9, len(ids)))
    target = (rng.random((len(ids), 2)) < 0.3).astype(np.float32)
    score = skill * target + (1 - skill) * noise.random(target.shape)
    return predictions_table(task, ids, who, target, score)


def put(root, name, seed, skill, task=TASK, experiment="demo", parts=NOTHING, subjects=60, **more):
    folder = RunFolder(root / experiment / name)
    folder.path.mkdir(parents=True)
    folder.config.write_text(yaml.safe_dump(config(name, seed, experiment=experiment, **more)))
    write_evidence(folder, task, predict(task, skill, seed, subjects), parts, samples=10)
    return folder


@pytest.fixture
def runs(tmp_path):
    """Two groups of three seeds, one lone run of another fraction, one run without evidence."""
    root = tmp_path / "runs"
    for seed in range(3):
        put(root, f"scratch-seed{seed}", seed, 0.1)
        start = "runs/pretrain/ptbxl_af/checkpoints/best.ckpt"
        put(root, f"transfer-seed{seed}", seed, 0.3, pretrained=start)
    put(root, "tenth", 0, 0.3, fraction=0.1)
    started = RunFolder(root / "demo" / "started")
    started.path.mkdir()
    started.config.write_text(yaml.safe_dump(config("started", 9)))
    return root


def test_runs_that_differ_in_their_seed_are_one_row(runs):
    found = summarize(find_runs([runs]), samples=60)
    rows = {group.name: group for group in found.groups}
    assert set(rows) == {"demo/scratch", "demo/transfer", "demo/tenth"}
    transfer = rows["demo/transfer"]
    assert transfer.initialisation == "pretrain/ptbxl_af"
    assert rows["demo/scratch"].initialisation == "scratch"
    assert (transfer.fraction, rows["demo/tenth"].fraction) == (0.05, 0.1)
    assert (len(transfer.runs), transfer.n_records, transfer.n_subjects) == (3, 120, 60)
    values = [evaluate(TASK, table).macro["macro_auroc"] for table in transfer.tables]
    auroc = transfer.values["macro_auroc"]
    assert auroc.value == pytest.approx(np.mean(values))
    assert auroc.runs == tuple(values)
    assert auroc.low < auroc.value < auroc.high
    assert (transfer.covers, rows["demo/tenth"].covers) == ("subjects and seeds", "subjects")
    # The same data, task and fraction: transfer against scratch, and nothing else.
    assert [(a, b) for a, b, _ in found.comparisons] == [("demo/transfer", "demo/scratch")]
    assert found.comparisons[0][2].low > 0
    assert [(run.name, why) for run, why in found.unfinished] == [
        ("started", "no metrics.json, predictions.parquet, receipt.json")
    ]


def test_a_single_run_has_the_interval_of_its_metrics_json(runs):
    folder = RunFolder(runs / "demo" / "tenth")
    found = summarize([folder], samples=10).groups[0].values["macro_auroc"]
    facts = folder.load_metrics()["metrics"]["macro_auroc"]
    assert (found.value, found.low, found.high) == (facts["value"], facts["low"], facts["high"])


def test_group_by_takes_config_keys(runs):
    found = summarize(find_runs([runs]), group_by=["data.init_args.fraction"], samples=10)
    assert sorted(len(group.runs) for group in found.groups) == [1, 6]
    assert "scratch, pretrain/ptbxl_af" in {group.initialisation for group in found.groups}
    whole = summarize(find_runs([runs]), group_by=["experiment"], samples=10)
    assert [group.name for group in whole.groups] == ["demo"]


def test_another_setting_is_another_group(runs):
    put(runs, "scratch-seed7", 7, 0.1, lr=0.1)
    names = [group.name for group in summarize(find_runs([runs]), samples=10).groups]
    assert names == ["demo/scratch", "demo/scratch-seed7", "demo/tenth", "demo/transfer"]


def test_runs_whose_pretraining_differs_in_its_seed_are_one_row(tmp_path):
    for seed in range(3):
        start = f"runs/pretrain/adv-seed{seed}/checkpoints/best.ckpt"
        origin = {"recipe": recipe(config(f"adv-seed{seed}", seed)), "seed": seed}
        parts = ReceiptParts(pretrained=origin)
        put(tmp_path, f"a-{seed}", seed, 0.3, pretrained=start, parts=parts)
    other = {"recipe": recipe(config("adv-hard", 0, epsilon=0.05)), "seed": 0}
    start = "runs/pretrain/adv-hard/checkpoints/best.ckpt"
    put(tmp_path, "b-0", 0, 0.3, pretrained=start, parts=ReceiptParts(pretrained=other))
    found = summarize(find_runs([tmp_path]), samples=10).groups
    assert [(group.name, group.initialisation) for group in found] == [
        ("demo/a", "pretrain/adv"),
        ("demo/b-0", "pretrain/adv-hard"),
    ]
    assert len(found[0].runs) == 3


def test_a_recipe_leaves_out_seeds_and_follows_the_start_of_the_start():
    assert recipe(config("a", 0)) == recipe(config("b", 1))
    assert recipe(config("a", 0)) != recipe(config("a", 0, lr=1.0))
    chained = [config("a", seed, pretrained=f"{seed}.ckpt") for seed in range(2)]
    assert recipe(chained[0]) != recipe(chained[1])
    assert recipe(chained[0], "x") == recipe(chained[1], "x")
    assert recipe(chained[0], "x") != recipe(chained[0], "y")
    assert recipe(chained[0], "x") != recipe(config("a", 0))


def test_one_strategy_has_one_name(tmp_path):
    put(tmp_path, "said", 0, 0.1)
    put(tmp_path, "not-said", 1, 0.1, strategy=None)
    put(tmp_path, "probe", 0, 0.1, strategy={"class_path": "LinearProbe"})
    found = summarize(find_runs([tmp_path]), samples=10).groups
    assert sorted((group.strategy, len(group.runs)) for group in found) == [
        ("Full", 2),
        ("LinearProbe", 1),
    ]


@pytest.mark.parametrize(
    ("data", "subjects", "said"),
    [
        ({"fraction_of": "dataset"}, 60, "fraction_of"),
        ({"split_seed": 1}, 60, "split_seed"),
        ({"folds": 5, "fold": 2}, 60, "fold"),
        ({"crop": "center"}, 50, "test subjects"),
    ],
)
def test_rows_of_another_question_are_not_compared(runs, data, subjects, said):
    start = "runs/pretrain/x/checkpoints/best.ckpt"
    put(runs, "other", 0, 0.3, pretrained=start, data=data, subjects=subjects)
    found = summarize(find_runs([runs]), samples=10)
    assert [(a, b) for a, b, _ in found.comparisons] == [("demo/transfer", "demo/scratch")]
    (note,) = found.notes
    assert "demo/other" in note
    assert note.endswith(f"differ in {said}.")
    asked = summarize(find_runs([runs]), compare=("demo/other", "demo/scratch"), samples=10)
    assert asked.comparisons
    assert asked.notes == (f"demo/other and demo/scratch differ in {said}.",)


def test_default_comparisons_are_over_the_seeds_of_both(tmp_path):
    for seed in range(3):
        put(tmp_path, f"scratch-seed{seed}", seed, 0.1)
    start = "runs/pretrain/x/checkpoints/best.ckpt"
    for seed in (1, 2, 7):
        put(tmp_path, f"transfer-seed{seed}", seed, 0.3, pretrained=start)
    put(tmp_path, "late-seed9", 9, 0.3, pretrained=start, lr=1.0)
    found = summarize(find_runs([tmp_path]), samples=10)
    ((a, b, compared),) = found.comparisons
    assert (a, b, compared.runs_a, compared.runs_b) == ("demo/transfer", "demo/scratch", 2, 2)
    assert any("seeds of both: 1, 2" in note for note in found.notes)
    assert any("late-seed9" in note and "no seed in common" in note for note in found.notes)
    whole = summarize(find_runs([tmp_path]), compare=(a, b), samples=10).comparisons[0][2]
    assert (whole.runs_a, whole.runs_b) == (3, 3)


def test_simulated_rows_say_so(runs, capsys, tmp_path):
    put(runs, "fake", 0, 0.5, experiment="sim", parts=SIMULATED)
    target = tmp_path / "facts.json"
    assert main(["summarize", str(runs), "--samples", "10", "--json", str(target)]) == 0
    shown = capsys.readouterr().out
    assert "CODE15 (simulated)" in " ".join(shown.split())
    assert "not to be set beside rows of real recordings" in " ".join(shown.split())
    marked = {row["name"]: row["simulated"] for row in json.loads(target.read_text())["groups"]}
    assert {name for name, simulated in marked.items() if simulated} == {"sim"}
    for form in ("markdown", "latex"):
        assert main(["summarize", str(runs), "--samples", "10", "--format", form]) == 0
        assert "CODE15 (simulated)" in capsys.readouterr().out
    assert main(["summarize", str(runs), "--samples", "10", "--format", "csv"]) == 0
    rows = {row["group"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert rows["sim"]["simulated"] == "True"
    assert main(["summarize", str(runs / "sim"), "--samples", "10"]) == 0
    assert "nothing here is evidence about patients" in capsys.readouterr().out


def test_the_same_config_on_simulated_recordings_is_a_row_of_its_own(tmp_path):
    put(tmp_path, "a", 0, 0.5)
    put(tmp_path, "b", 0, 0.5, parts=SIMULATED)
    found = summarize(find_runs([tmp_path]), samples=10)
    assert [(group.data, len(group.runs)) for group in found.groups] == [
        ("CODE15", 1),
        ("CODE15 (simulated)", 1),
    ]
    assert not found.comparisons


def test_text_names_everything(runs, capsys):
    assert main(["summarize", str(runs), "--samples", "40"]) == 0
    shown = capsys.readouterr().out
    for word in ("demo/transfer", "pretrain/ptbxl_af", "5 %", "10 %", "macro_auroc ↑", "[0.",
                 "subjects and seeds", "Not finished", "demo/started", "Differences"):  # fmt: skip
        assert word in shown, word


def test_csv_is_numbers(runs, capsys):
    words = ["summarize", str(runs), "--samples", "20", "--format", "csv", "--metric", "macro_f1"]
    assert main(words) == 0
    rows = {row["group"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert float(rows["demo/transfer"]["macro_f1_low"]) <= float(rows["demo/transfer"]["macro_f1"])
    assert rows["demo/transfer"]["runs"] in {"3", "3.0"}
    assert rows["demo/started"]["status"].startswith("not finished")
    assert "macro_auroc" not in rows["demo/transfer"]
    assert main([*words, "--compare", "demo/tenth", str(runs / "demo" / "scratch-seed0")]) == 0
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["a"], row["b"], row["metric"]) for row in found] == [
        ("demo/tenth", "demo/scratch", "macro_f1")
    ]


def test_markdown_and_latex_hold_the_same_cells(runs, capsys):
    for form, marks in (("markdown", "| --- "), ("latex", r"\toprule")):
        assert main(["summarize", str(runs), "--samples", "20", "--format", form]) == 0
        text = capsys.readouterr().out
        assert "demo/transfer" in text
        assert "Not finished: demo/started" in text
        assert marks in text or form == "markdown"
    assert "5 \\%" in text
    assert r"macro\_auroc $\uparrow$" in text
    assert "\n% Not finished" in text


def test_json_holds_the_same_facts(runs, tmp_path):
    target = tmp_path / "facts.json"
    assert main(["summarize", str(runs), "--samples", "20", "--json", str(target)]) == 0
    facts = json.loads(target.read_text())
    rows = {group["name"]: group for group in facts["groups"]}
    assert rows["demo/transfer"]["runs"] == 3
    assert rows["demo/transfer"]["run_names"][0] == "demo/transfer-seed0"
    assert len(rows["demo/transfer"]["metrics"]["macro_auroc"]["runs"]) == 3
    assert facts["comparisons"][0]["difference"] > 0
    assert facts["unfinished"][0]["run"] == "demo/started"


def test_tasks_of_different_kinds_share_a_table(runs):
    for seed in range(2):
        put(runs, f"age-{seed}", seed, 0.1, task=AGE, experiment="age")
    found = summarize(find_runs([runs]), samples=10)
    assert "mae" in found.metrics
    head, *rows = group_cells(found)
    age = next(row for row in rows if row[0] == "age")
    assert age[head.index("macro_auroc ↑")] == ""
    assert age[head.index("mae ↓")]


def test_damaged_evidence_is_listed_and_ends_in_one(runs, capsys):
    (runs / "demo" / "tenth" / "metrics.json").write_text("{}")
    assert main(["summarize", str(runs), "--samples", "10"]) == 1
    assert "metrics.json is not the file" in capsys.readouterr().out


def test_only_unfinished_runs_end_in_one(runs, capsys):
    assert main(["summarize", str(runs / "demo" / "started")]) == 1
    assert "Not finished" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--metric", "auc"], "No run has a metric `auc`"),
        (["--compare", "demo/transfer", "nothing"], "There is no group `nothing`"),
        (["--compare", "demo/transfer", "demo/transfer"], "two groups"),
        (["--group-by", "fraction"], "Is `data.init_args.fraction` meant?"),
        (["--group-by", "foo"], "experiment, data.init_args.fraction"),
        (["--samples", "0"], "at least one resample"),
        (["--level", "95"], "between 0 and 1"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_wrong_questions_are_answered(runs, words, text, capsys):
    assert main(["summarize", str(runs), *words]) == 2
    assert text in capsys.readouterr().err


def test_no_run_at_all(tmp_path, capsys):
    assert main(["summarize", str(tmp_path / "none")]) == 2
    assert "There is no run at" in capsys.readouterr().err


def test_escapes():
    assert escape_latex("a_b & 5 % \\x") == r"a\_b \& 5 \% \textbackslash{}x"
    assert r"a\|b m_f1 \_x" in to_markdown([["h"], ["a|b m_f1 _x"]])
    assert to_latex([["h", "i"], ["1", "2"]], "c").count(r"\\") == 2
    assert cell(None) == ""


def test_few_shots_are_told_in_place_of_a_share(tmp_path):
    put(tmp_path, "few", 0, 0.1, data={"shots": 5, "fraction": 1.0})
    (group,) = summarize(find_runs([tmp_path]), samples=10).groups
    assert (group.fraction, group.labels) == (None, "5 a class")
