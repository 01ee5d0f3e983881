"""Cycles to records to subjects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from official_tables import make, one_hot

from pahcl.errors import UsageError
from pahcl.evaluation.aggregation import RULES, aggregate

RECORDS = ["a", "b", "a", "a", "b"]
CHANCE = np.array([0.9, 0.2, 0.4, 0.6, 0.3])


def binary(**more):
    said = (CHANCE >= 0.5).astype(int)
    table = make(["x"], [[1], [0], [1], [1], [0]], said[:, None], CHANCE[:, None], ["p"] * 5)
    return table.assign(record_id=RECORDS, **more)


@pytest.mark.parametrize(
    ("rule", "probability", "prediction"),
    [
        ("mean", [1.9 / 3, 0.25], [1, 0]),
        ("max", [0.9, 0.3], [1, 0]),
        ("vote", [2 / 3, 0.0], [1, 0]),
    ],
)
def test_one_class_of_a_record(rule, probability, prediction):
    found = aggregate(binary(), "record", rule)
    assert found["record_id"].tolist() == ["a", "b"]
    assert found["subject_id"].tolist() == ["p", "p"]
    assert found["probability/x"].tolist() == pytest.approx(probability)
    assert found["prediction/x"].tolist() == prediction
    assert found["target/x"].tolist() == [1, 0]


def test_thresholds_decide_after_the_mean():
    assert aggregate(binary(), "record", "mean", threshold=0.7)["prediction/x"].tolist() == [0, 0]
    found = aggregate(binary(), "record", "mean", threshold={"x": 0.2})
    assert found["prediction/x"].tolist() == [1, 1]
    with pytest.raises(UsageError, match="threshold is given for y"):
        aggregate(binary(), "record", "mean", threshold={"y": 0.2})


def test_a_tied_vote_follows_the_mean_probability():
    for chance, wanted in (([0.9, 0.3], 1), ([0.6, 0.1], 0)):
        table = make(["x"], [[1], [1]], [[1], [0]], np.array([chance]).T, ["p"] * 2, ["a"] * 2)
        assert aggregate(table, "record", "vote")["prediction/x"].tolist() == [wanted]


def test_exclusive_classes():
    said = one_hot([0, 1, 1, 2], 3)
    chance = np.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.2, 0.5, 0.3], [0.1, 0.4, 0.5]])
    table = make("xyz", one_hot([1] * 4, 3), said, chance, ["p"] * 4, ["a"] * 4)
    told = {"exclusive": True, "severity": ("z", "x", "y")}
    for rule, wanted in {"mean": 1, "max": 0, "vote": 1, "any-site": 2}.items():
        found = aggregate(table, "subject", rule, **told)
        row = found[["prediction/x", "prediction/y", "prediction/z"]].to_numpy()
        assert row.tolist() == one_hot([wanted], 3).tolist(), rule


def test_any_site_is_any_of_them_also_for_labels():
    table = binary(target=0).drop(columns="target")
    table["target/x"] = [1, 0, 0, np.nan, np.nan]
    table["subject_id"] = ["p", "q", "p", "p", "q"]
    found = aggregate(table, "subject", "any-site")
    assert found["record_id"].tolist() == ["p", "q"]
    assert found["target/x"].tolist() == [1, 0]
    assert found["prediction/x"].tolist() == [1, 0]
    with pytest.raises(UsageError, match=r"subject p have different labels.*any-site"):
        aggregate(table, "subject", "mean")


def test_exclusive_labels_of_any_site_are_the_gravest():
    table = make("xyz", one_hot([0, 2], 3), one_hot([0, 0], 3), None, ["p"] * 2)
    found = aggregate(table, "subject", "any-site", exclusive=True, severity=("z", "y", "x"))
    assert found[["target/x", "target/y", "target/z"]].to_numpy().tolist() == [[0, 0, 1]]
    with pytest.raises(UsageError, match="which class is the gravest"):
        aggregate(table, "subject", "any-site", exclusive=True, severity=("z", "y"))


def test_unlabelled_rows_do_not_unlabel_a_unit():
    table = binary()
    table["target/x"] = [np.nan, np.nan, 1, np.nan, np.nan]
    found = aggregate(table, "record", "mean")
    assert found["target/x"].tolist()[0] == 1
    assert np.isnan(found["target/x"].tolist()[1])


def test_rows_without_a_subject_are_of_nobody():
    table = binary(subject_id=["p", None, "q", "q", "p"])
    with pytest.raises(UsageError, match=r"1 row\(s\) .* have no `subject_id`"):
        aggregate(table, "subject", "mean")


def test_other_columns_must_agree():
    found = aggregate(binary(quality=[1, 0, 1, None, 0]), "record", "mean")
    assert found["quality"].tolist() == [1, 0]
    with pytest.raises(UsageError, match="record a differ in `quality`"):
        aggregate(binary(quality=[1, 0, 0, 1, 0]), "record", "mean")
    with pytest.raises(UsageError, match="record a differ in `subject_id`"):
        aggregate(binary().assign(subject_id=list("pqrpq")), "record", "mean")


@pytest.mark.parametrize(
    ("unit", "rule", "says"),
    [("record", "any-site", "mean, vote, max"), ("subject", "median", "any-site"),
     ("beat", "mean", "record")],
)  # fmt: skip
def test_rules_that_do_not_exist(unit, rule, says):
    with pytest.raises(UsageError, match=says):
        aggregate(binary(), unit, rule)
    with pytest.raises(UsageError, match="lacks probability/x"):
        aggregate(binary().drop(columns="probability/x"), "record", "mean")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["record", "subject"]), st.booleans())
def test_single_rows_and_repeated_rows_stay_as_they_are(seed, unit, exclusive):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    chance = rng.dirichlet(np.ones(3), n)
    said = one_hot(chance.argmax(axis=1), 3) if exclusive else (chance >= 0.5).astype(float)
    names = [f"u{i}" for i in range(n)]
    table = make("xyz", one_hot(rng.integers(0, 3, n), 3), said, chance, names, names)
    thrice = pd.concat([table] * 3, ignore_index=True)
    for rule in RULES[unit]:
        for rows in (table, thrice, thrice.iloc[rng.permutation(3 * n)]):
            found = aggregate(rows, unit, rule, exclusive=exclusive, severity="xyz")
            found = found.set_index("record_id").loc[names].reset_index()
            wanted = said if rule == "vote" else chance
            got = found[["probability/x", "probability/y", "probability/z"]].to_numpy()
            assert got == pytest.approx(wanted), rule
            for part in ("target", "prediction"):
                for name in "xyz":
                    column = f"{part}/{name}"
                    assert found[column].tolist() == table[column].tolist(), (rule, column)
