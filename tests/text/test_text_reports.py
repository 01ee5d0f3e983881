"""Report cleaning: exact strings, against a plain reference that follows the published steps."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pahcl.errors import UsageError
from pahcl.text.reports import PRETRAINING_WORDS, clean_report, clean_reports, long_enough


def reference(lines: list[str | None]) -> tuple[str, int]:
    """The steps one by one, with the string methods of Python."""
    text = ". ".join(line for line in lines if line is not None)
    text = text.replace("EKG", "ECG").replace("ekg", "ecg")
    text = text.strip(" *").strip("=-").strip("=").lower()
    for sign in "\n\r\t":
        text = text.replace(sign, " ")
    words = len(text.split())
    return (text + ".", words) if words else ("empty", 0)


EXACT = {
    ("Sinus rhythm", "Possible right atrial abnormality", None, "Borderline ECG"): (
        "sinus rhythm. possible right atrial abnormality. borderline ecg."
    ),
    ("*** Consider acute ST elevation MI ***",): "consider acute st elevation mi.",
    ("Sinus rhythm", "Abnormal EKG"): "sinus rhythm. abnormal ecg.",
    ("ekg", "Ekg"): "ecg. ekg.",  # the published steps know two spellings
    ("--- Warning: Data quality may affect interpretation ---",): (
        " warning: data quality may affect interpretation ."
    ),
    (" =-= Normal ECG =-=* ",): " normal ecg .",
    ("Atrial\nfibrillation\tnow\r",): "atrial fibrillation now .",
    ("Normal ECG.",): "normal ecg..",
    ("ST-T changes = nonspecific",): "st-t changes = nonspecific.",
    (): "empty",
    (None, None): "empty",
    ("***", "   "): "..",  # the dot between two lines that say nothing
    ("***",): "empty",
    ("\n",): "empty",
}


@pytest.mark.parametrize("lines", EXACT, ids=repr)
def test_exact_texts(lines: tuple[str | None, ...]) -> None:
    assert clean_report(lines) == EXACT[lines]
    assert reference(list(lines))[0] == EXACT[lines]


BLANKS = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u202f\u3000"
WRITTEN = st.text(st.sampled_from("EKGekgaZ*=-.,:1\xe9" + BLANKS), max_size=12)


@given(st.lists(st.lists(st.none() | WRITTEN, min_size=3, max_size=3), min_size=1, max_size=6))
def test_columns_give_what_the_steps_give(rows: list[list[str | None]]) -> None:
    table = pd.DataFrame(rows, columns=["report_0", "report_1", "report_2"], dtype=object)
    found = clean_reports(table)
    expected = [reference(row) for row in rows]
    assert found["report"].tolist() == [text for text, _ in expected]
    assert found["report_words"].tolist() == [words for _, words in expected]
    assert [clean_report(row) for row in rows] == found["report"].tolist()


def test_the_table_keeps_its_index_and_takes_what_pandas_reads() -> None:
    table = pd.DataFrame(
        {"report_0": ["Sinus rhythm", math.nan], "report_1": [math.nan, math.nan]}, index=[7, 3]
    )
    found = clean_reports(table)
    assert found.index.tolist() == [7, 3]
    assert found["report"].tolist() == ["sinus rhythm.", "empty"]
    assert found["report_words"].tolist() == [2, 0]
    assert pd.api.types.is_integer_dtype(found["report_words"])


def test_many_rows_share_one_text_without_a_python_object_each() -> None:
    lines = pd.DataFrame({"report_0": ["Sinus rhythm"] * 5000, "report_1": ["Normal ECG"] * 5000})
    found = clean_reports(lines)
    assert found["report"].unique().tolist() == ["sinus rhythm. normal ecg."]


def test_the_rule_of_four_words_counts_before_the_final_dot() -> None:
    words = clean_reports(
        pd.DataFrame({"report_0": ["one two three", "one two three four", None]}, dtype=object)
    )["report_words"]
    assert long_enough(words, PRETRAINING_WORDS).tolist() == [False, True, False]
    assert long_enough(pd.Series([math.nan, 4.0]), 4).tolist() == [False, True]
    assert long_enough(words, 0).all()


def test_a_table_without_lines_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a column for each line"):
        clean_reports(pd.DataFrame(index=[0, 1]))
