"""Official scorers: published values, slow formulas, properties."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from official_tables import CODES, chosen, make, one_hot, score, scorer_of, values, weights_file
from sklearn import metrics as sk

from pahcl.errors import PahclError, UsageError
from pahcl.evaluation.official import find_scorer, scorer_names
from pahcl.evaluation.official._challenge import read_credits
from pahcl.evaluation.official._pascal import discriminant_power
from pahcl.evaluation.official.cpsc2018 import CLASSES as NINE
from pahcl.evaluation.official_scores import score_predictions

MURMUR = ("Present", "Unknown", "Absent")
SET_A = ("normal", "murmur", "extrasound", "artifact")
SET_B = ("normal", "murmur", "extrasystole")


# ---- published values -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patients", "abnormal", "cost", "accuracy"),
    [(942, 456, 14851, 0.824), (149, 57, 13836, 0.756), (477, 242, 15083, 0.837)],
    ids=["train", "validation", "test"],
)
def test_outcome_of_calling_everyone_abnormal(patients, abnormal, cost, accuracy):
    truth = [0] * abnormal + [1] * (patients - abnormal)
    found = values(score("cinc2022_outcome", chosen(("Abnormal", "Normal"), truth, [0] * patients)))
    assert round(found["cost"]) == cost
    assert round(found["weighted_accuracy"], 3) == accuracy


@pytest.mark.parametrize(
    ("counts", "accuracy"),
    [((179, 68, 695), 0.499), ((27, 16, 106), 0.467), ((99, 35, 343), 0.525)],
    ids=["train", "validation", "test"],
)
def test_murmur_of_calling_everyone_present(counts, accuracy):
    truth = np.repeat([0, 1, 2], counts)
    found = values(score("cinc2022_murmur", chosen(MURMUR, truth, [0] * len(truth))))
    assert round(found["weighted_accuracy"], 3) == accuracy


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "natural", "decimal"),
    [(0.22, 0.82, 0.14, 0.06), (0.19, 0.84, 0.11, 0.05), (0.51, 0.59, 0.22, 0.10)],
    ids=["J48", "MLP", "UCL"],
)
def test_discriminant_power_of_the_published_rates(sensitivity, specificity, natural, decimal):
    rates = np.array([sensitivity]), np.array([specificity])
    assert discriminant_power(*rates)[0] == pytest.approx(natural, abs=0.005)
    assert discriminant_power(*rates, np.log10)[0] == pytest.approx(decimal, abs=0.005)


@pytest.mark.parametrize(
    ("precisions", "total"),
    [
        ((0.25, 0.47, 0.27, 0.71), 1.71),
        ((0.35, 0.67, 0.18, 0.92), 2.12),
        ((0.46, 0.31, 0.11, 0.58), 1.47),
        ((0.72, 0.32, 0.33), 1.37),
        ((0.70, 0.30, 0.67), 1.67),
        ((0.77, 0.37, 0.17), 1.31),
    ],
)
def test_total_precision_is_the_sum_of_the_published_precisions(precisions, total):
    name, classes = ("pascal_a", SET_A) if len(precisions) == 4 else ("pascal_b", SET_B)
    truth, said = [], []
    for k, precision in enumerate(precisions):
        right = round(100 * precision)
        said += [k] * 100
        truth += [k] * right + [(k + 1) % len(classes)] * (100 - right)
    found = score(name, chosen(classes, truth, said))
    assert values(found)["total_precision"] == pytest.approx(total, abs=0.011)
    for one, precision in zip(classes, precisions, strict=True):
        assert found.per_class[one]["precision"].value == pytest.approx(precision)


# ---- slow formulas ----------------------------------------------------------------------------


def test_murmur_cost_is_of_the_outcome_and_refers_unknown():
    truth, said = [0, 1, 2, 2, 0], [0, 2, 1, 2, 2]
    table = chosen(MURMUR, truth, said).assign(outcome=["Abnormal", "Normal", "Normal", "1", 1.0])
    tp, fp, fn, n = 1, 1, 2, 5  # ill and sent: r0; well and sent: r2; ill and not sent: r3, r4
    x = (tp + fp) / n
    expert = 25 + 397 * x - 1718 * x**2 + 11296 * x**4
    wanted = 10 + expert + (10000 * tp + 50000 * fn) / n
    found = values(score("cinc2022_murmur", table))
    assert found["cost"] == pytest.approx(wanted)
    assert found["uar"] == pytest.approx((1 / 2 + 0 + 1 / 2) / 3)


def test_2016_by_the_published_formula():
    # Label, quality and answer: Aa1 Aq1 An1 Aa2 Aq2 An2, Nn1 Nq1 Na1 Nn2 Nq2 Na2
    counts = {"A": [[6, 1, 3], [2, 4, 1]], "N": [[11, 2, 1], [3, 5, 2]]}
    truth, clean, said = [], [], []
    for label, grades in counts.items():
        for grade, row in enumerate(grades):
            for answer, count in zip("aqn" if label == "A" else "nqa", row, strict=True):
                truth += [label == "A"] * count
                clean += [1 - grade] * count
                said += [answer] * count
    table = make(["abnormal"], np.array([truth]).T, np.array([[s == "a" for s in said]]).T)
    table["prediction/unsure"] = [int(s == "q") for s in said]
    table["quality"] = clean
    (aa1, aq1, an1), (aa2, aq2, an2) = counts["A"]
    (nn1, nq1, na1), (nn2, nq2, na2) = counts["N"]
    for shares in (None, (0.7, 0.4)):
        wa1, wn1 = shares or (10 / 17, 14 / 24)
        se = wa1 * aa1 / (aa1 + aq1 + an1) + (1 - wa1) * (aa2 + aq2) / (aa2 + aq2 + an2)
        sp = wn1 * nn1 / (na1 + nq1 + nn1) + (1 - wn1) * (nn2 + nq2) / (nn2 + nq2 + na2)
        found = score("cinc2016", table, clean_shares=shares)
        assert values(found)["sensitivity"] == pytest.approx(se)
        assert values(found)["specificity"] == pytest.approx(sp)
        assert values(found)["macc"] == pytest.approx((se + sp) / 2)
    assert found.confusion is not None
    assert found.confusion.counts.tolist() == [[6, 1, 3], [2, 4, 1], [1, 2, 11], [2, 5, 3]]
    alone = score("cinc2016", table.drop(columns="quality"))
    assert values(alone)["sensitivity"] == pytest.approx((aa1 + aa2) / 17)
    assert "every recording counts as clean" in " ".join(alone.notes)


def test_2016_unsure_by_probability():
    table = make(["Abnormal"], [[1], [0], [1]], [[1], [0], [1]], [[0.9], [0.1], [0.55]])
    assert values(score("cinc2016", table))["sensitivity"] == 1
    assert values(score("cinc2016", table, unsure=(0.4, 0.6)))["sensitivity"] == 0.5
    noisy = table.assign(quality=[1, 1, 0])
    found = values(score("cinc2016", noisy, unsure=(0.4, 0.6)))
    assert found["sensitivity"] == 1
    assert found["unsure_share"] == pytest.approx(1 / 3)


def slow_cpsc(labels, answers):
    """Fill the nine by nine table record by record, labels as lists with the first one first."""
    table = np.zeros((9, 9))
    for known, said in zip(labels, answers, strict=True):
        table[said if said in known else known[0], said] += 1

    def f1(*members):
        hits = sum(table[m, m] for m in members)
        return 2 * hits / sum(table[m].sum() + table[:, m].sum() for m in members)

    mean = np.mean([f1(k) for k in range(9)])
    return {"f1": mean, "f1_af": f1(1), "f1_block": f1(2, 3, 4),
            "f1_premature": f1(5, 6), "f1_st": f1(7, 8)}  # fmt: skip


def cpsc_table(rng, n=200):
    labels = [list(rng.permutation(9)[: rng.integers(1, 4)]) for _ in range(n)]
    answers = rng.integers(0, 9, n)
    target = np.array([one_hot(known, 9).sum(axis=0) for known in labels])
    return labels, answers, make(NINE, target, one_hot(answers, 9))


def test_cpsc2018_against_a_loop():
    labels, answers, table = cpsc_table(np.random.default_rng(0))
    first = [known[0] for known in labels]
    wanted = slow_cpsc(labels, answers)
    for spelt in ([k + 1 for k in first], [NINE[k] for k in first], [str(k + 1) for k in first]):
        assert values(score("cpsc2018", table.assign(first_label=spelt))) == pytest.approx(wanted)
    in_order = score("cpsc2018", table)
    assert values(in_order) == pytest.approx(slow_cpsc([sorted(k) for k in labels], answers))
    assert "the publisher's order" in " ".join(in_order.notes)


def test_cpsc2018_takes_the_first_label_where_it_is_known():
    labels, answers, table = cpsc_table(np.random.default_rng(1))
    known = [k[0] + 1 if i % 2 else None for i, k in enumerate(labels)]
    mixed = [k if i % 2 else sorted(k) for i, k in enumerate(labels)]
    found = score("cpsc2018", table.assign(first_label=known))
    assert values(found) == pytest.approx(slow_cpsc(mixed, answers))
    with pytest.raises(PahclError, match="not among their labels"):
        score("cpsc2018", table.assign(first_label=[k[-1] % 9 + 1 for k in labels[::-1]]))


def test_cpsc2018_chooses_one_class():
    target = one_hot([0, 1, 2], 9)
    said = one_hot([0, 1, 2], 9)
    said[1, 4] = 1  # two classes said: the more probable one, of these two
    said[2] = 0  # none: the most probable one
    chance = np.full((3, 9), 0.2)
    chance[1, [1, 4, 7]] = [0.5, 0.6, 0.9]
    chance[2, 2] = 0.3
    found = score("cpsc2018", make(NINE, target, said, chance))
    assert found.confusion is not None
    assert found.confusion.counts[1, 4] == 1
    assert found.confusion.counts[2, 2] == 1
    assert "2 row(s) with none or several predicted classes" in " ".join(found.notes)


@pytest.mark.parametrize("name", ["AFIB VPC NORM 1AVB CRBBB STE PAC CLBBB STD"])
def test_cpsc2018_knows_other_spellings_in_any_order(name):
    spelt = name.split()
    table = make(spelt, np.eye(9), np.eye(9))
    assert values(score("cpsc2018", table))["f1"] == 1


def slow_challenge(weights, normal, labels, said):
    def credit(answers):
        total = 0.0
        for truth, answer in zip(labels, answers, strict=True):
            share = max(sum(a or b for a, b in zip(truth, answer, strict=True)), 1)
            for j, known in enumerate(truth):
                for k, one in enumerate(answer):
                    total += weights[j, k] / share if known and one else 0.0
        return total

    idle = np.zeros_like(labels)
    idle[:, normal] = 1
    return (credit(said) - credit(idle)) / (credit(labels) - credit(idle))


def test_challenge_metric_against_a_loop(tmp_path):
    rng = np.random.default_rng(2)
    labels, said = rng.random((60, 4)) < 0.4, rng.random((60, 4)) < 0.4
    credits_ = read_credits(weights_file(tmp_path))
    chance = rng.random((60, 4))
    found = score("cinc2021", make(CODES, labels, said, chance), tmp_path)
    wanted = slow_challenge(credits_.values, 0, labels.astype(int), said.astype(int))
    assert values(found)["challenge_metric"] == pytest.approx(wanted)
    assert values(found)["macro_f1"] == pytest.approx(sk.f1_score(labels, said, average="macro"))
    assert values(found)["macro_auroc"] == pytest.approx(sk.roc_auc_score(labels, chance))
    assert values(found)["macro_auprc"] == pytest.approx(sk.average_precision_score(labels, chance))
    assert values(found)["accuracy"] == pytest.approx((labels == said).all(axis=1).mean())
    idle = np.tile([1, 0, 0, 0], (60, 1))
    assert values(score("cinc2020", make(CODES, labels, idle), tmp_path))["challenge_metric"] == 0


def test_challenge_metric_joins_equivalent_classes_and_leaves_others_out(tmp_path):
    classes = ["426783006", "59118001", "713427006", "164889003", "999"]
    target = [[1, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]
    said = [[1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 1]]
    found = score("cinc2021", make(classes, target, said), tmp_path)
    assert values(found)["challenge_metric"] == 1
    notes = " ".join(found.notes)
    assert "left out: 999" in notes
    assert "3 of the 4 scored classes" in notes
    assert found.support["713427006|59118001"]["positives"] == 2


def test_weights_with_equivalent_classes_apart(tmp_path):
    names = ("426783006", "713427006", "59118001")
    rows = ["," + ",".join(names), "426783006,1,.5,.5", "713427006,.5,1,1", "59118001,.5,1,1"]
    (tmp_path / "w.csv").write_text("\n".join(rows))
    found = read_credits(tmp_path / "w.csv")
    assert found.values.tolist() == [[1, 0.5], [0.5, 1]]
    (tmp_path / "w.csv").write_text("\n".join([*rows[:3], "59118001,.4,1,1"]))
    with pytest.raises(PahclError, match="one class, but have different weights"):
        read_credits(tmp_path / "w.csv")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read as a table of weights"),
        (",a,b\na,1,2\n", "first row and its first column"),
        (",a,b\na,1,x\nb,1,1\n", "cannot be read"),
        (",a,b\na,1,nan\nb,1,1\n", "no finite number"),
        (",a,b\na,1,0\nb,0,1\n", "--normal"),
        (b"\xff\xfe\x00,", "cannot be read"),
    ],
)
def test_damaged_weights_end_in_a_sentence(tmp_path, text, says):
    path = tmp_path / "weights.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PahclError, match=says):
        read_credits(path)


def slow_fmax(target, probability):
    best = 0.0
    for threshold in np.linspace(0, 1, 101):
        precisions, recalls = [], []
        for truth, chance in zip(target, probability, strict=True):
            said = chance >= threshold
            hits = (said & (truth == 1)).sum()
            recalls.append(hits / truth.sum())
            if said.any():
                precisions.append(hits / said.sum())
        if precisions and np.mean(precisions) + np.mean(recalls) > 0:
            p, r = np.mean(precisions), np.mean(recalls)
            best = max(best, 2 * p * r / (p + r))
    return best


def test_ptbxl_against_a_loop_and_sklearn():
    rng = np.random.default_rng(3)
    target = (rng.random((80, 5)) < 0.3).astype(float)
    target[target.sum(axis=1) == 0, 0] = 1
    chance = np.clip(0.3 * target + 0.6 * rng.random((80, 5)), 0, 1)
    table = make("abcde", target, target, chance)
    no_decisions = table[[name for name in table if not str(name).startswith("prediction")]]
    found = values(score("ptbxl", no_decisions))
    assert found["fmax"] == pytest.approx(slow_fmax(target, chance))
    assert found["macro_auroc"] == pytest.approx(sk.roc_auc_score(target, chance))


def test_ptbxl_says_what_the_benchmark_would_leave_out():
    target = np.array([[1, 0], [0, 1], [0, 0], [1, np.nan]])
    found = score("ptbxl", make("ab", target, np.nan_to_num(target)))
    assert values(found) == {"macro_auroc": 1, "fmax": 1, "macro_auprc": 1}
    notes = " ".join(found.notes)
    assert "1 record(s) carry none of the classes" in notes
    assert "1 record(s) are not labelled for every class" in notes


def test_pascal_sets_by_hand():
    truth = [3, 3, 3, 0, 1, 2, 0]
    said = [3, 3, 0, 3, 1, 0, 0]
    found = values(score("pascal_a", chosen(SET_A, truth, said)))
    assert found["total_precision"] == pytest.approx(1 / 3 + 1 + 0 + 2 / 3)
    assert found["artifact_sensitivity"] == pytest.approx(2 / 3)
    assert found["artifact_specificity"] == pytest.approx(3 / 4)
    assert found["artifact_youden"] == pytest.approx(2 / 3 + 3 / 4 - 1)
    binary = np.array(truth) == 3, np.array(said) == 3
    assert found["artifact_f0.9"] == pytest.approx(sk.fbeta_score(*binary, beta=0.9))
    # Another problem than the true one is still a problem.
    found = values(score("pascal_b", chosen(SET_B, [0, 0, 1, 2, 2], [0, 1, 2, 2, 0])))
    assert found["problem_sensitivity"] == pytest.approx(2 / 3)
    assert found["problem_specificity"] == pytest.approx(1 / 2)
    assert found["discriminant_power"] == pytest.approx(math.sqrt(3) / math.pi * math.log(2))


def test_pascal_takes_the_publishers_spellings():
    table = chosen(("artifact", "extrahls", "murmur", "normal"), [0, 1, 2, 3], [0, 1, 2, 3])
    assert values(score("pascal_a", table))["total_precision"] == 4
    table = chosen(("extrastole", "murmur", "normal"), [0, 1, 2], [0, 1, 2])
    found = score("pascal_b", table)
    assert values(found)["discriminant_power"] == math.inf
    assert "infinite" in " ".join(found.notes)


# ---- properties -------------------------------------------------------------------------------

BEST = {
    "cinc2016": ("macc", 1.0),
    "cinc2020": ("challenge_metric", 1.0),
    "cinc2021": ("challenge_metric", 1.0),
    "cinc2022_murmur": ("weighted_accuracy", 1.0),
    "cinc2022_outcome": ("weighted_accuracy", 1.0),
    "cpsc2018": ("f1", 1.0),
    "pascal_a": ("total_precision", 4.0),
    "pascal_b": ("total_precision", 3.0),
    "ptbxl": ("fmax", 1.0),
}
CLASSES = {
    "cinc2016": ("abnormal", "normal"),
    "cinc2020": CODES,
    "cinc2021": CODES,
    "cinc2022_murmur": MURMUR,
    "cinc2022_outcome": ("Abnormal", "Normal"),
    "cpsc2018": NINE,
    "pascal_a": SET_A,
    "pascal_b": SET_B,
    "ptbxl": tuple("abcde"),
}


def test_every_scorer_is_tested_here_and_explains_itself():
    assert set(BEST) == set(CLASSES) == set(scorer_names())
    for name in scorer_names():
        scorer = find_scorer(name)
        assert scorer.title
        assert scorer.source
        assert scorer.headline


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@st.composite
def tables(draw):
    name = draw(st.sampled_from(sorted(BEST)))
    classes = CLASSES[name]
    n, seed = draw(st.integers(1, 25)), draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    k = len(classes)
    truth = [*range(k), *rng.integers(0, k, n)]  # every class occurs
    said = rng.integers(0, k, len(truth))
    people = [f"p{i}" for i in rng.integers(0, 8, len(truth))]
    if scorer_unit(name) == "subject":
        people = [f"p{i}" for i in range(len(truth))]
    chance = rng.dirichlet(np.ones(k), len(truth))
    table = make(classes, one_hot(truth, k), one_hot(said, k), chance, people)
    perfect = make(classes, one_hot(truth, k), one_hot(truth, k), None, people)
    return name, table, perfect, rng


def scorer_unit(name):
    return find_scorer(name).unit


@settings(max_examples=50, deadline=None)
@given(tables())
def test_perfect_answers_score_the_maximum(folder, drawn):
    name, table, perfect, _ = drawn
    headline, most = BEST[name]
    best, other = values(score(name, perfect, folder)), values(score(name, table, folder))
    assert best[headline] == pytest.approx(most)
    assert other[headline] <= most + 1e-12
    if "cost" in best:
        ill = (table["target/Abnormal"] == 1).mean()
        x = float(ill)
        assert best["cost"] == pytest.approx(
            10 + 25 + 397 * x - 1718 * x**2 + 11296 * x**4 + 10000 * x
        )


@settings(max_examples=40, deadline=None)
@given(tables())
def test_the_order_of_rows_and_classes_changes_nothing(folder, drawn):
    name, table, _, rng = drawn
    shuffled = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
    scorer = scorer_of(name, folder)
    one, two = (score_predictions(scorer, t, samples=10) for t in (table, shuffled))
    for metric, interval in one.metrics.items():
        other = two.metrics[metric]
        wanted = (interval.value, interval.low, interval.high)
        assert (other.value, other.low, other.high) == pytest.approx(wanted, nan_ok=True), metric
    # Classes that a resample lost are drawn again in their order, so that intervals may differ.
    turned = shuffled[[*table.columns[:2], *rng.permutation(table.columns[2:])]]
    three = score(name, turned, folder)
    assert values(three) == pytest.approx(values(one), nan_ok=True)
    assert one.support == two.support == {each: three.support[each] for each in one.support}


@settings(max_examples=30, deadline=None)
@given(tables())
def test_the_interval_holds_the_value_and_twice_the_people_change_no_score(folder, drawn):
    name, table, _, _ = drawn
    found = score_predictions(scorer_of(name, folder), table, samples=10)
    for interval in found.metrics.values():
        if interval.has_ends and math.isfinite(interval.value):
            assert interval.low <= interval.value <= interval.high
    twice = make_twice(table)
    assert values(score(name, twice, folder)) == pytest.approx(
        {n: i.value for n, i in found.metrics.items()}, nan_ok=True
    )


def make_twice(table):
    other = table.assign(record_id=table["record_id"] + "x", subject_id=table["subject_id"] + "x")
    return pd.concat([table, other], ignore_index=True)


def test_one_subject_has_scores_and_no_interval():
    table = chosen(SET_B, [0, 1, 2], [0, 1, 2], subjects=["s"] * 3)
    found = score("pascal_b", table)
    assert found.metrics["total_precision"].value == 3
    assert not found.metrics["total_precision"].has_ends
    assert "no intervals" in " ".join(found.notes)


def test_a_class_that_nobody_has_is_named():
    found = score("cpsc2018", chosen(NINE, [0, 1, 2], [0, 1, 1]))
    assert found.classes_defined == {"f1": 3}
    assert "f1 is the mean over 3 of 9 classes" in " ".join(found.notes)
    assert values(found)["f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_2022_none_or_several_count_as_the_positive_class():
    table = make(MURMUR, one_hot([0, 2, 2], 3), [[0, 0, 0], [0, 1, 1], [0, 0, 1]])
    found = score("cinc2022_murmur", table)
    assert found.confusion is not None
    assert found.confusion.counts.tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 1]]
    assert "as Present, which is the publisher's rule" in " ".join(found.notes)


def test_outcome_needs_only_the_positive_class():
    both = chosen(("Abnormal", "Normal"), [0, 1, 1, 0], [0, 0, 1, 1])
    one = both.drop(columns=[c for c in both if str(c).endswith("/Normal")])
    assert values(score("cinc2022_outcome", one)) == values(score("cinc2022_outcome", both))


def test_the_rules_need_neither_torch_nor_pandas():
    code = (
        "import sys; from pahcl.evaluation.official import find_scorer, scorer_names;"
        "[find_scorer(name) for name in scorer_names()];"
        "heavy = {'torch', 'pandas', 'torchmetrics'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_scorer_names_the_nearest():
    with pytest.raises(UsageError, match=r"Did you mean cpsc2018\?"):
        find_scorer("cpsc2008")
    with pytest.raises(UsageError, match=r"weights\.csv.*--weights"):
        scorer_of("cinc2020")


def test_the_weights_of_2021_are_those_of_the_publisher():
    held = find_scorer("cinc2021")().credits
    assert len(held.groups) == 24
    assert held.groups[held.normal] == ("426783006",)
    values_ = held.values
    assert np.array_equal(values_, values_.T)
    assert np.array_equal(np.diag(values_), np.ones(24))
    # Answers that lead to the same treatment earn half; missing a Q wave by normal rhythm least.
    place = {code: k for k, group in enumerate(held.groups) for code in group}
    assert values_[place["164934002"], place["59931005"]] == 0.5  # T wave abnormal and inverted
    assert values_[place["164917005"], place["426783006"]] == 0.15 == values_.min()
    assert np.sort(np.unique(values_))[-2] == 0.5
    perfect = make([group[0] for group in held.groups], np.eye(24), np.eye(24))
    assert values(score_predictions(find_scorer("cinc2021")(), perfect, samples=10))[
        "challenge_metric"
    ] == pytest.approx(1.0)
