"""Splits and fractions: by subject, seeded, nested, whatever the row order."""

from __future__ import annotations

import itertools
import random as randoms

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules._splits import (
    allot,
    k_folds,
    labelled,
    record_strata,
    require_disjoint,
    split_by_subject,
    subject_strata,
)
from data_modules._subsets import (
    fraction_of_subjects,
    nested_order,
    shots_of_classes,
    take_turns,
)
from pahcl.errors import DataError
from pahcl.task import Task

BINARY = Task("af", "binary", ("AF",), ("AF",), "auroc")
MULTILABEL = Task("two", "multilabel", ("a", "b"), ("a", "b"), "macro_auroc")
MULTICLASS = Task("three", "multiclass", ("x", "y", "z"), ("label",), "macro_auroc")
Corpus = tuple[pd.Series, np.ndarray]

AGE = Task("age", "regression", ("age",), ("age",), "mae")


@st.composite
def corpora(draw: st.DrawFn) -> tuple[pd.Series, np.ndarray]:
    """Records of subjects with one to several records each, and a stratum for every record."""
    records = draw(st.lists(st.integers(1, 4), min_size=3, max_size=60))
    subjects = [f"p{i}" for i, count in enumerate(records) for _ in range(count)]
    size = len(subjects)
    strata = draw(st.lists(st.integers(-1, 3), min_size=size, max_size=size))
    return pd.Series(subjects, dtype=object), np.array(strata, dtype=np.int64)


@settings(max_examples=60, deadline=None)
@given(corpora(), st.integers(0, 2**31), st.randoms(use_true_random=False))
def test_split_is_by_subject_complete_and_free_of_row_order(
    corpus: Corpus, seed: int, random: randoms.Random
) -> None:
    subjects, strata = corpus
    split = split_by_subject(subjects, strata, 0.1, 0.1, seed)
    require_disjoint(subjects, split)
    assert set(split) == {"train", "val", "test"}

    order = list(range(len(subjects)))
    random.shuffle(order)
    again = split_by_subject(subjects.iloc[order], strata[order], 0.1, 0.1, seed)
    assert again.sort_index().tolist() == split.tolist()


@settings(max_examples=60, deadline=None)
@given(corpora(), st.integers(0, 100), st.lists(st.floats(0.01, 1), min_size=2, max_size=5))
def test_fractions_are_nested_and_of_the_stated_size(
    corpus: Corpus, seed: int, fractions: list[float]
) -> None:
    by_subject = subject_strata(*corpus)
    order = nested_order(by_subject, seed)
    taken = [fraction_of_subjects(order, fraction) for fraction in sorted(fractions)]
    for small, large in itertools.pairwise(taken):
        assert small <= large
    for fraction, chosen in zip(sorted(fractions), taken, strict=True):
        assert len(chosen) == int(np.ceil(round(fraction * len(order), 9)))


def test_split_keeps_the_share_of_each_stratum() -> None:
    subjects = pd.Series([f"p{i}" for i in range(1000)])
    strata = (np.arange(1000) < 50).astype(np.int64)
    split = split_by_subject(subjects, strata, 0.1, 0.1, seed=3)
    assert split.value_counts().to_dict() == {"train": 800, "val": 100, "test": 100}
    assert split[strata == 1].value_counts().to_dict() == {"train": 40, "val": 5, "test": 5}


def test_somebody_added_moves_at_most_one_other_over_each_border() -> None:
    subjects = pd.Series([f"p{i}" for i in range(500)])
    strata = np.zeros(501, dtype=np.int64)
    before = split_by_subject(subjects, strata[:500], 0.1, 0.1, seed=0)
    after = split_by_subject(pd.concat([subjects, pd.Series(["new"])]), strata, 0.1, 0.1, seed=0)
    assert (before.to_numpy() != after.to_numpy()[:500]).sum() <= 2


def test_another_seed_draws_another_split() -> None:
    subjects = pd.Series([f"p{i}" for i in range(100)])
    strata = np.zeros(100, dtype=np.int64)
    first, second = (split_by_subject(subjects, strata, 0.1, 0.1, seed) for seed in (0, 1))
    assert not first.equals(second)


def test_too_few_subjects_are_refused_with_what_to_do() -> None:
    with pytest.raises(DataError, match=r"2 subject.*val_fraction"):
        split_by_subject(pd.Series(["a", "b"]), np.zeros(2, dtype=np.int64), 0.1, 0.1, 0)


def test_a_person_on_two_sides_is_named() -> None:
    with pytest.raises(DataError, match="such as p7"):
        require_disjoint(pd.Series(["p7", "p7", "p8"]), pd.Series(["train", "test", "train"]))
    # A record that is left out leaks nothing.
    require_disjoint(pd.Series(["p7", "p7"]), pd.Series(["train", None]))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.data())
def test_allotment_adds_up_and_stays_within_one_of_the_proportion(
    sizes: list[int], data: st.DataObject
) -> None:
    series = pd.Series(sizes)
    count = data.draw(st.integers(0, int(series.sum())))
    shares = allot(series, count)
    assert shares.sum() == count
    assert (abs(shares - series * count / series.sum()) < 1 + 1e-9).all()
    assert (shares <= series).all()


def test_fraction_of_the_whole_data_set_is_drawn_from_training() -> None:
    order = [f"p{i}" for i in range(80)]
    assert len(fraction_of_subjects(order, 0.1, of=100)) == 10
    assert fraction_of_subjects(order, 0.025, of=100) < fraction_of_subjects(order, 0.05, of=100)
    with pytest.raises(DataError, match="fraction_of: train"):
        fraction_of_subjects(order, 0.9, of=100)
    assert fraction_of_subjects(order, 1.0, of=100) == set(order)


def test_a_small_fraction_holds_every_stratum_first() -> None:
    by_subject = pd.Series([0] * 95 + [1] * 5, index=[f"p{i}" for i in range(100)])
    chosen = fraction_of_subjects(nested_order(by_subject, 0), 0.02)
    assert sorted(by_subject[list(chosen)]) == [0, 1]
    half = fraction_of_subjects(nested_order(by_subject, 0), 0.4)
    assert by_subject[list(half)].sum() == 2


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_every_beginning_holds_each_share_rounded_up_or_down(sizes: list[int]) -> None:
    turns = np.array(take_turns(dict(enumerate(sizes))))
    taken = np.cumsum(turns[:, None] == np.arange(len(sizes)), axis=0)
    shares = np.arange(1, len(turns) + 1)[:, None] * np.array(sizes) / sum(sizes)
    assert (abs(taken - shares) < 1 - 1e-9).all()
    assert taken[-1].tolist() == sizes


def test_many_rare_strata_do_not_crowd_out_the_common_one() -> None:
    strata = [0] * 160 + list(range(1, 41))
    by_subject = pd.Series(strata, index=[f"p{i}" for i in range(200)])
    chosen = fraction_of_subjects(nested_order(by_subject, 0), 0.1)
    assert len(chosen) == 20
    assert (by_subject[list(chosen)] == 0).sum() == 16


def test_strata_follow_the_kind_of_the_task() -> None:
    nan = np.nan
    assert record_strata(BINARY, np.array([[1.0], [0], [nan]])).tolist() == [0, -1, -1]
    # Class b is the rarer one, so a record with both is balanced as b.
    several = np.array([[1.0, 0], [1, 0], [1, 1], [0, 0]])
    assert record_strata(MULTILABEL, several).tolist() == [0, 0, 1, -1]
    assert record_strata(MULTICLASS, np.array([2, -1, 0])).tolist() == [2, -1, 0]
    ages = np.array([[10.0], [30], [50], [70], [nan]])
    assert record_strata(AGE, ages).tolist() == [0, 1, 2, 3, -1]
    assert record_strata(AGE, np.full((2, 1), nan)).tolist() == [-1, -1]


def test_a_subject_counts_as_its_rarest_stratum() -> None:
    strata = subject_strata(["a", "a", "b", "b", "c"], np.array([0, 1, 0, -1, -1]))
    assert strata.to_dict() == {"a": 1, "b": 0, "c": -1}


def test_rows_without_any_label_are_told_apart() -> None:
    assert labelled(MULTICLASS, np.array([0, -1])).tolist() == [True, False]
    partly = np.array([[np.nan, 1.0], [np.nan, np.nan]])
    assert labelled(MULTILABEL, partly).tolist() == [True, False]


@settings(max_examples=40, deadline=None)
@given(corpora(), st.integers(0, 2**31), st.integers(3, 5), st.randoms(use_true_random=False))
def test_over_all_folds_each_subject_tests_and_validates_once(
    corpus: Corpus, seed: int, folds: int, random: randoms.Random
) -> None:
    subjects, strata = corpus
    if subjects.nunique() < folds:
        with pytest.raises(DataError, match=r"data\.init_args\.folds"):
            k_folds(subjects, strata, folds, 0, seed)
        return
    splits = [k_folds(subjects, strata, folds, fold, seed) for fold in range(folds)]
    for split in splits:
        require_disjoint(subjects, split)
    for side in ("test", "val"):
        assert sum((split == side).astype(int) for split in splits).eq(1).all()
    by_subject = subject_strata(subjects, strata)
    for stratum in by_subject.unique():
        inside = subjects.isin(by_subject.index[by_subject == stratum])
        sizes = [subjects[inside & (split == "test")].nunique() for split in splits]
        assert max(sizes) - min(sizes) <= 1
    order = list(range(len(subjects)))
    random.shuffle(order)
    again = k_folds(subjects.iloc[order], strata[order], folds, 0, seed)
    assert again.sort_index().tolist() == splits[0].tolist()


@settings(max_examples=40, deadline=None)
@given(corpora(), st.integers(0, 2**31), st.integers(1, 4))
def test_shots_are_nested_and_give_each_class_its_number(
    corpus: Corpus, seed: int, shots: int
) -> None:
    subjects, strata = corpus
    targets = np.where(strata < 0, -1, strata % 3)
    few, short = shots_of_classes(MULTICLASS, subjects, targets, shots, seed)
    more, _ = shots_of_classes(MULTICLASS, subjects, targets, shots + 1, seed)
    assert few <= more
    for code, name in enumerate(MULTICLASS.classes):
        having = set(subjects[targets == code])
        assert len(having & few) >= min(shots, len(having))
        assert short.get(name) == (len(having) if len(having) < shots else None)
    assert few <= set(subjects[targets >= 0])


def test_shots_of_a_binary_task_count_both_sides() -> None:
    subjects = pd.Series([f"p{i}" for i in range(20)], dtype=object)
    targets = np.array([[1.0]] * 5 + [[0.0]] * 13 + [[np.nan]] * 2, dtype=np.float32)
    chosen, short = shots_of_classes(BINARY, subjects, targets, 4, 0)
    positive = {f"p{i}" for i in range(5)}
    assert (len(chosen & positive), len(chosen - positive)) == (4, 4)
    assert not chosen & {"p18", "p19"}
    assert short == {}
