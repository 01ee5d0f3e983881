"""`pahcl score`: numbers through the door, and sentences for what cannot be scored."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pahcl.cli import main
from pahcl.evaluation.official import scorer_names
from pahcl.evaluation.predictions import predictions_table, write_predictions
from pahcl.task import Task

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))
from official_tables import CODES, chosen, make, one_hot, weights_file

MURMUR = ("Present", "Unknown", "Absent")
FAST = ["--samples", "20"]


@pytest.fixture(autouse=True)
def _stand_in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def saved(table, name="p.parquet"):
    write_predictions(name, table)
    return name


def patients():
    """Write the training set of 2022 with every patient called Present, outcomes beside it."""
    truth = np.repeat([0, 1, 2], [179, 68, 695])
    outcome = ["Abnormal"] * 456 + ["Normal"] * 486
    table = chosen(MURMUR, truth, [0] * 942)
    ids = table["subject_id"]
    pd.DataFrame({"Patient ID": ids, "Murmur": "x", "Outcome": outcome}).to_csv("t.csv")
    return table


def test_help_lists_the_scorers(capsys):
    assert main(["score", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in scorer_names())
    assert "(cinc2016)" in said


def test_the_training_set_of_2022_through_the_door(capsys):
    words = ["score", "cinc2022_murmur", saved(patients()), "--labels", "t.csv", "--json", "s.json"]
    assert main([*words, *FAST]) == 0
    said = capsys.readouterr().out
    assert "weighted_accuracy ↑" in said
    assert "cost ↓" in said
    assert "p.parquet, 942 subjects\n" in said  # once, not as many units and as many subjects
    facts = json.loads(Path("s.json").read_text())
    assert round(facts["metrics"]["weighted_accuracy"]["value"], 3) == 0.499
    assert round(facts["metrics"]["cost"]["value"]) == 14851
    low, high = (facts["metrics"]["cost"][end] for end in ("low", "high"))
    assert low < 14851 < high
    assert next(iter(facts["metrics"])) == facts["headline"] == "weighted_accuracy"
    assert facts["lower_is_better"] == ["cost"]
    assert facts["per_class"]["Unknown"]["positives"] == 68
    assert facts["per_class"]["Unknown"]["predicted"] == 0
    assert facts["per_class"]["Unknown"]["precision"]["value"] is None
    assert facts["confusion"]["counts"][2] == [695, 0, 0]
    assert facts["n_subjects"] == facts["n_units"] == 942
    assert facts["bootstrap"] == {"samples": 20, "level": 0.95, "seed": 0}
    assert len(facts["predictions"]["sha256"]) == 64


def test_a_table_of_ours_and_a_run_folder_are_read(capsys):
    task = Task("two", "multilabel", ("a", "b"), ("a", "b"), "macro_auroc")
    table = predictions_table(
        task, ["1", "2", "3"], ["s", "t", "u"],
        [[1, 0], [0, 1], [np.nan, np.nan]], [[0.9, 0.2], [0.3, 0.8], [0.5, 0.5]],
    )  # fmt: skip
    Path("run").mkdir()
    assert main(["score", "ptbxl", "run", *FAST]) == 2
    saved(table, "run/predictions.parquet")
    assert main(["score", "ptbxl", "run", *FAST]) == 0
    assert "1 unlabelled row(s) left out" in capsys.readouterr().out


def test_sites_of_a_patient_become_one_answer(capsys):
    sites = chosen(
        MURMUR, [0, 0, 2, 2], [2, 0, 2, 1],
        subjects=["p", "p", "q", "q"], records=["p_AV", "p_MV", "q_AV", "q_MV"],
    )  # fmt: skip
    path = saved(sites)
    assert main(["score", "cinc2022_murmur", path]) == 2
    said = capsys.readouterr().err
    assert "several rows for 2 of 2 subjects (p …)" in said
    assert "`--subject` mean, vote or max or any-site" in said
    words = ["score", "cinc2022_murmur", path, "--subject", "any-site", "--json", "s.json", *FAST]
    assert main(words) == 0
    facts = json.loads(Path("s.json").read_text())
    assert facts["confusion"]["counts"] == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert facts["aggregation"] == {"record": None, "subject": "any-site", "threshold": 0.5}
    assert "4 rows became 2, one a subject, by `any-site`" in facts["notes"]


def test_cycles_to_records_to_patients_with_a_threshold(capsys):
    chance = np.array([[0.9], [0.3], [0.2], [0.1], [0.6], [0.1]])
    cycles = make(
        ["Abnormal"], [[1]] * 4 + [[0]] * 2, chance >= 0.5, chance,
        subjects=["p"] * 4 + ["q"] * 2, records=["a", "a", "b", "b", "c", "c"],
    )  # fmt: skip
    words = ["score", "cinc2022_outcome", saved(cycles), "--record", "mean", "--subject", "max"]
    assert main([*words, "--json", "half.json", *FAST]) == 0
    assert main([*words, "--json", "low.json", "--threshold", "0.3", *FAST]) == 0
    assert main([*words, "--threshold", "Abnormal=0.7", "--json", "high.json", *FAST]) == 0
    # Means of the records: a 0.6, b 0.15, c 0.35.
    tables = {n: json.loads(Path(f"{n}.json").read_text()) for n in ("half", "low", "high")}
    found = {n: facts["confusion"]["counts"] for n, facts in tables.items()}
    assert found == {"half": [[1, 0], [0, 1]], "low": [[1, 0], [1, 0]], "high": [[0, 1], [0, 1]]}
    assert "decided after `max` by the threshold 0.3" in tables["low"]["notes"]


def test_the_publishers_file_of_qualities_is_known(capsys):
    table = make(["Abnormal"], [[1], [1], [0]], [[1], [0], [0]], [[0.9], [0.5], [0.2]],
                 records=["a0001", "a0002", "a0003"])  # fmt: skip
    Path("REFERENCE-SQI.csv").write_text("a0001,1,1\na0002,1,0\na0003,-1,1\n")
    words = ["score", "cinc2016", saved(table), "--labels", "REFERENCE-SQI.csv"]
    assert main([*words, "--unsure", "0.4", "0.6", "--json", "s.json", *FAST]) == 0
    facts = json.loads(Path("s.json").read_text())
    assert facts["metrics"]["macc"]["value"] == 1
    assert facts["options"]["unsure"] == [0.4, 0.6]
    assert facts["labels"] == "REFERENCE-SQI.csv"


def test_the_weights_of_2020_are_named_by_the_user(tmp_path, capsys):
    path = saved(make(CODES, np.eye(4), np.eye(4)))
    assert main(["score", "cinc2021", path, *FAST]) == 0
    assert "challenge_metric" in capsys.readouterr().out
    assert main(["score", "cinc2020", path]) == 2
    said = capsys.readouterr().err
    assert "take weights.csv from https://github.com/physionetchallenges/evaluation-2020" in said
    assert main(["score", "cinc2021", path, "--weights", "w.csv"]) == 2
    assert "There is no table of weights at w.csv" in capsys.readouterr().err
    assert main(["score", "cinc2021", path, "--weights", weights_file(tmp_path), *FAST]) == 0
    assert "challenge_metric ↑ │ 1.000" in capsys.readouterr().out


def broken(change):
    table = chosen(MURMUR, [0, 1, 2, 2], [0, 1, 2, 0])
    change(table)
    return table


def put(column, row, value):
    def change(table):
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        if isinstance(value, float):
            table[column] = table[column].astype(float)
        elif "/" in column:
            table[column] = table[column].astype(str)

    return change


def drop(*columns):
    return lambda table: table.drop(columns=list(columns), inplace=True)


def unlabel(rows):
    def change(table):
        table.loc[rows, [f"target/{name}" for name in MURMUR]] = np.nan

    return change


def rename(old, new):
    def change(table):
        table.columns = [str(name).replace(old, new) for name in table.columns]

    return change


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        (drop("prediction/Absent"), 1, "p.parquet lacks the column `prediction/Absent`"),
        (drop("probability/Present"), 1, "p.parquet lacks the column `probability/Present`"),
        (drop(*[f"target/{n}" for n in MURMUR]), 1, "p.parquet has no column `target/<class>`"),
        (rename("Unknown", "Maybe"), 2, "lacks Unknown and has Present, Maybe, Absent"),
        (put("probability/Absent", 2, np.nan), 1, "`probability/Absent` must hold a number"),
        (put("probability/Absent", 2, 1.5), 1, "but has 1.5 for record r2 and 0 more"),
        (put("prediction/Absent", 1, np.nan), 1, "`prediction/Absent` must hold 0 or 1"),
        (put("target/Absent", 1, 2.0), 1, "`target/Absent` must hold 0, 1 or NaN"),
        (put("target/Absent", 3, np.nan), 1, "record r3 and 0 more are labelled for some"),
        (put("target/Present", 3, 1.0), 1, "record r3 and 0 more have 2 of the classes"),
        (put("target/Absent", 3, 0.0), 1, "record r3 and 0 more have 0 of the classes"),
        (unlabel([0, 1, 2, 3]), 1, "p.parquet has no labelled row"),
        (put("subject_id", 2, None), 1, "column `subject_id` is empty in 1 of 4 rows"),
        (lambda table: table.drop(index=range(4), inplace=True), 1, "has no labelled row"),
        (put("prediction/Absent", 1, "yes"), 1, "but has yes for record r1 and 0 more"),
        (drop("subject_id"), 1, "p.parquet is no predictions table: it lacks ['subject_id']"),
    ],
)
def test_a_wrong_table_ends_in_a_sentence(change, status, says, capsys):
    assert main(["score", "cinc2022_murmur", saved(broken(change))]) == status
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a table at all", None])
def test_a_damaged_file_ends_in_a_sentence(content, capsys):
    whole = Path(saved(broken(lambda table: None))).read_bytes()
    Path("p.parquet").write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert main(["score", "cinc2022_murmur", "p.parquet"]) == 1
    assert "p.parquet cannot be read as Parquet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["cinc2022", "p.parquet"],
            "no scorer `cinc2022`. Did you mean cinc2022_murmur or",
        ),
        (["cinc2022_murmur", "q.parquet"], "There is no predictions table at q.parquet"),
        (["cinc2022_murmur", "p.parquet", "--unsure", "0", "1"], "option of cinc2016, not of"),
        (["cinc2016", "p.parquet", "--unsure", "0.6", "0.4"], "LOW is above HIGH"),
        (["cinc2016", "p.parquet", "--clean-shares", "2", "0"], "two numbers from 0 to 1"),
        (["cinc2022_murmur", "p.parquet", "--threshold", "x"], "takes a number from 0 to 1"),
        (["cinc2022_murmur", "p.parquet", "--threshold", "1", "--threshold", "a=1"], "CLASS=T"),
        (["cinc2022_murmur", "p.parquet", "--threshold", "0.3"], "decides after `--record`"),
        (["cinc2022_murmur", "p.parquet", "--threshold", "0.3", "--record", "mean"], "leave it"),
        (["cinc2022_murmur", "p.parquet", "--subject", "best"], "use one of mean, vote, max, any"),
        (["cinc2022_murmur", "p.parquet", "--record", "any-site"], "use one of mean, vote, max."),
        (["cinc2022_murmur", "p.parquet", "--seed", "-1"], "--seed must not be negative"),
        (["cinc2022_murmur", "p.parquet", "--samples", "0"], "at least one resample"),
        (["cinc2022_murmur", "p.parquet", "--level", "95"], "lies between 0 and 1"),
        (["cinc2022_murmur", "p.parquet", "--labels", "l.csv"], "no file of labels at l.csv"),
        (["ptbxl", "p.parquet", "--labels", "l.csv"], "leave `--labels` out"),
    ],
)
def test_a_wrong_question_is_refused(words, says, capsys):
    saved(broken(lambda table: None))
    assert main(["score", *words]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("record_id,x\nr0,1\n", "lacks a column `outcome`"),
        ("name,outcome\nr0,1\n", "lacks a column `record_id` or `subject_id`"),
        ("record_id,outcome\nz,1\n", "No `record_id` of the predictions (r0, r1, r2)"),
        ("record_id,outcome\nr0,Normal\nr0,Abnormal\n", "says different things of r0"),
        ("record_id,outcome\nr0,Normal\nr1,1\nr2,0\n", "has nan for 1 of 4 rows (record r3)"),
        ("record_id,outcome\nr0,Normal\nr1,1\nr2,0\nr3,ill\n", "has ill for 1 of 4"),
        ("", "cannot be read as a table of labels"),
    ],
)
def test_wrong_labels_end_in_a_sentence(text, says, capsys):
    Path("l.csv").write_text(text)
    words = ["score", "cinc2022_murmur", saved(broken(lambda t: None)), "--labels", "l.csv"]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said


def test_whole_numbers_with_gaps_are_read(capsys):
    table = broken(unlabel([3]))
    names = [name for name in table if str(name).startswith(("target", "prediction"))]
    table[names] = table[names].astype("Int64")
    assert main(["score", "cinc2022_murmur", saved(table), *FAST]) == 0
    assert "weighted_accuracy ↑ │ 1.000" in capsys.readouterr().out


def test_unlabelled_rows_need_no_outcome(capsys):
    Path("l.csv").write_text("record_id,outcome\nr0,Normal\nr1,1\nr2,0\n")
    path = saved(broken(unlabel([3])))
    assert main(["score", "cinc2022_murmur", path, "--labels", "l.csv", *FAST]) == 0
    assert "1 unlabelled row(s) left out" in capsys.readouterr().out


def test_damaged_parquet_labels_end_in_a_sentence(capsys):
    Path("l.parquet").write_bytes(b"PAR1 no")
    words = ["score", "cinc2022_murmur", saved(broken(lambda t: None)), "--labels", "l.parquet"]
    assert main(words) == 1
    assert "l.parquet cannot be read" in capsys.readouterr().err


def test_records_scored_by_subject_are_not_official(capsys):
    table = chosen(("normal", "murmur", "extrasystole"), [0, 0, 1], [0, 1, 1],
                   subjects=["p", "p", "q"])  # fmt: skip
    words = ["score", "pascal_b", saved(table), "--subject"]
    assert main([*words, "vote", *FAST]) == 0
    assert "one answer a subject is not official" in capsys.readouterr().out
    assert main([*words, "any-site", *FAST]) == 2
    assert "which class is the gravest" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_facts():
    rng = np.random.default_rng(0)
    table = make("ab", one_hot(rng.integers(0, 2, 40), 2), np.zeros((40, 2)), rng.random((40, 2)))
    path = saved(table)
    for name in ("one.json", "two.json"):
        assert main(["score", "ptbxl", path, "--json", f"out/{name}", "--samples", "50"]) == 0
    assert Path("out/one.json").read_bytes() == Path("out/two.json").read_bytes()
