"""What a task scores: records, or subjects by the mean of their records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pahcl.errors import UsageError
from pahcl.evaluation.aggregation import aggregate
from pahcl.evaluation.official import find_scorer
from pahcl.evaluation.official._labels import add_labels
from pahcl.evaluation.official_scores import official_facts, with_extras
from pahcl.evaluation.predictions import predictions_table
from pahcl.evaluation.units import Units, scored_units, with_examinations
from pahcl.task import Task

MURMUR = Task(
    "murmur", "multiclass", ("Present", "Unknown", "Absent"), ("murmur",), "macro_auroc",
    level="subject", scorer="cinc2022_murmur",
)  # fmt: skip
RECORDS = ["a1", "b1", "a2", "c1", "b2"]
SUBJECTS = ["a", "b", "a", "c", "b"]


def units(task, targets, seed=0):
    shares = np.random.default_rng(seed).dirichlet(np.ones(task.num_outputs), len(RECORDS))
    return Units(RECORDS, SUBJECTS, np.asarray(targets), shares.astype(np.float32))


def test_records_stay_as_they_are_where_records_are_scored():
    records = units(replace(MURMUR, level="record"), [0, 2, 0, 1, 2])
    assert scored_units(replace(MURMUR, level="record"), records) is records


def test_a_subject_is_the_mean_of_its_records_as_the_aggregation_says():
    records = units(MURMUR, [0, 2, 0, 1, 2])
    found = scored_units(MURMUR, records)
    assert found.record_ids == found.subject_ids == ["a", "b", "c"]
    assert found.targets.tolist() == [0, 2, 1]
    table = aggregate(
        predictions_table(MURMUR, *records), "subject", "mean", exclusive=True
    ).sort_values("subject_id")
    names = [f"probability/{name}" for name in MURMUR.classes]
    np.testing.assert_allclose(found.estimates, table[names].to_numpy(), atol=1e-6)


def test_a_record_without_a_label_takes_its_subjects():
    assert scored_units(MURMUR, units(MURMUR, [-1, 2, 0, -1, -1])).targets.tolist() == [0, 2, -1]
    outcome = Task("o", "binary", ("Abnormal",), ("o",), "auroc", level="subject")
    column = np.array([[np.nan], [1.0], [0.0], [np.nan], [1.0]], dtype=np.float32)
    found = scored_units(outcome, units(outcome, column)).targets[:, 0]
    np.testing.assert_array_equal(found, [0.0, 1.0, np.nan])


def test_each_class_takes_the_label_of_the_record_that_has_one():
    task = Task("f", "multilabel", ("A", "B"), ("A", "B"), "macro_auroc", level="subject")
    said = np.array([[1, np.nan], [0, 1], [np.nan, 0], [np.nan] * 2, [np.nan, 1]], np.float32)
    records = Units(RECORDS, SUBJECTS, said, np.full((5, 2), 0.5, np.float32))
    found = scored_units(task, records).targets
    np.testing.assert_array_equal(found, [[1, 0], [0, 1], [np.nan, np.nan]])


def test_records_of_one_subject_that_contradict_each_other_are_named():
    with pytest.raises(UsageError, match=r"records of b are labelled differently"):
        scored_units(MURMUR, units(MURMUR, [0, 2, 0, 1, 1]))


def test_examinations_of_one_person_are_scored_each_for_itself():
    records = units(MURMUR, [0, 2, 0, 1, 1])
    unit_of = {"a1": "a", "a2": "a", "b1": "b-2014", "b2": "b-2015", "c1": "c"}
    found = scored_units(MURMUR, records, unit_of)
    assert found.record_ids == ["a", "b-2014", "b-2015", "c"]
    assert found.subject_ids == ["a", "b", "b", "c"]
    assert found.targets.tolist() == [0, 2, 1, 1]
    np.testing.assert_array_equal(found.estimates[1], records.estimates[1])
    store = pd.DataFrame(
        {
            "record_id": RECORDS,
            "subject_id": SUBJECTS,
            "patient": [unit_of[name] for name in RECORDS],
            "outcome": ["Normal", "Abnormal", "Normal", "Normal", "Normal"],
        }
    )
    table = predictions_table(MURMUR, *found)
    extended = with_extras(MURMUR, table, store, "patient")
    assert extended["outcome"].tolist() == ["Normal", "Abnormal", "Normal", "Normal"]
    assert "outcome" not in with_extras(MURMUR, table, store)


def test_a_publishers_labels_are_those_of_the_examination(tmp_path):
    unit_of = {"a1": "a", "a2": "a", "b1": "b", "b2": "b2", "c1": "c"}
    found = scored_units(MURMUR, units(MURMUR, [0, 2, 0, 1, 1]), unit_of)
    table = predictions_table(MURMUR, *found).assign(examination_id=found.record_ids)
    path = tmp_path / "training_data.csv"
    path.write_text("Patient ID,Outcome\na,Normal\nb,Abnormal\nb2,Normal\nc,Normal\n")
    added = add_labels(table, path, find_scorer("cinc2022_murmur").extras)
    assert added["outcome"].tolist() == ["Normal", "Abnormal", "Normal", "Normal"]


def test_an_official_score_takes_examinations_for_subjects_and_draws_persons():
    records = units(MURMUR, [0, 2, 0, 1, 1])
    unit_of = {"a1": "a", "a2": "a", "b1": "b-2014", "b2": "b-2015", "c1": "c"}
    tables = (
        predictions_table(MURMUR, *found)
        for found in (scored_units(MURMUR, records, unit_of), records)
    )
    scored, single = with_examinations(*tables, unit_of)
    facts = official_facts(MURMUR, scored, samples=20, seed=0, level=0.95)
    assert facts is not None
    assert (facts["n_units"], facts["n_subjects"]) == (4, 3)
    merged = aggregate(single, "subject", "mean", exclusive=True)
    assert merged["examination_id"].tolist() == ["a", "b-2014", "c", "b-2015"]
    assert merged["subject_id"].tolist() == ["a", "b", "c", "b"]
    same = with_examinations(scored, single, None)
    assert same[0] is scored
    assert same[1] is single


def test_the_official_score_stands_beside_the_metrics():
    task = replace(MURMUR, level="record", classes=("Present", "Unknown", "Absent"))
    rng = np.random.default_rng(3)
    people = [f"p{i}" for i in range(30)]
    truth = rng.integers(0, 3, 30)
    table = predictions_table(task, people, people, truth, np.eye(3)[truth])
    facts = official_facts(MURMUR, table, samples=20, seed=0, level=0.95)
    assert facts is not None
    assert facts["metrics"][facts["headline"]]["value"] == 1.0
    assert official_facts(replace(MURMUR, scorer=None), table, 20, 0, 0.95) is None
    other = official_facts(replace(MURMUR, scorer="cpsc2018"), table, 20, 0, 0.95)
    assert other is not None
    assert "cpsc2018 scores the classes" in other["failed"]


def test_what_a_scorer_reads_beside_the_predictions_comes_from_the_store():
    task = Task("abnormal", "binary", ("abnormal",), ("abnormal",), "auroc", scorer="cinc2016")
    table = predictions_table(task, ["r1", "r2"], ["s1", "s2"], [[1.0], [0.0]], [[0.9], [0.2]])
    store = pd.DataFrame({"record_id": ["r2", "r1"], "subject_id": ["s2", "s1"], "quality": [0, 1]})
    assert with_extras(task, table, store)["quality"].tolist() == [1, 0]
    assert with_extras(replace(task, scorer=None), table, store) is table
