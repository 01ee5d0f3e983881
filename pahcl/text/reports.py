"""Reports of ECG machines: the lines that a machine wrote, cleaned to one text.

The rules are those of MERL (Liu et al., ICML 2024, `pretrain/preprocess.ipynb`), in their order, so
that a pretraining on the same data reads the same texts. They run column by column in Arrow: there
is no Python object a row, and 800,000 reports take seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pahcl.errors import UsageError

EMPTY = "empty"
"""The text of a report that says nothing. It has no final dot, and no word counts in it."""

PRETRAINING_WORDS = 4
"""Least words of a report that MERL pretrains on: 771,693 of the 800,035 of MIMIC-IV-ECG 1.0."""

_JOIN = ". "
_SPELLINGS = (("EKG", "ECG"), ("ekg", "ecg"))
_STRIPPED = (" *", "-=", "=")
"""Sets of characters that are taken off both ends, one set after the other."""

# What str.split() takes for the end of a word; RE2's \s knows blanks of ASCII alone.
_WORD = r"[^\t-\r\x1c-\x20\x{85}\pZ]+"


def clean_report(lines: Iterable[str | None]) -> str:
    """Clean one report.

    Args:
        lines: What the machine wrote, line by line; None where a line is missing.

    Returns:
        The lines joined by `. `, `EKG` as `ECG`, without blanks, stars, dashes and equals signs at
        the ends, in lower case, line breaks and tabs as blanks, with a final dot; `empty` if no
        word is left.
    """
    cells = list(lines) or [None]
    text, _ = clean_columns([pa.array([cell], pa.large_string()) for cell in cells])
    return str(text[0].as_py())


def clean_reports(lines: pd.DataFrame) -> pd.DataFrame:
    """Clean many reports as `clean_report` does.

    Args:
        lines: A row for each report, with one column for each line in their order, such as
            `report_0` to `report_17` of MIMIC-IV-ECG.

    Returns:
        On the same index `report`, and `report_words`: its words as blanks part them, without the
        final dot; 0 for `empty`.

    Raises:
        UsageError: There is no column.
    """
    if not len(lines.columns):
        raise UsageError("clean_reports needs a column for each line of a report; there is none.")
    cells = lines.astype("string").set_axis(range(lines.shape[1]), axis=1)
    table = pa.Table.from_pandas(cells, preserve_index=False)
    columns = [column.cast(pa.large_string()) for column in table.columns]
    text, words = clean_columns(columns)
    found = {"report": text.to_pandas(), "report_words": words.to_numpy()}
    return pd.DataFrame(found).set_index(lines.index)


def clean_columns(columns: Sequence[pa.Array]) -> tuple[pa.Array, pa.Array]:
    """Clean reports whose lines are Arrow columns of text, null where a line is missing.

    Args:
        columns: One for each line, in order, all of one length.

    Returns:
        The texts, and their words (int32), as `clean_reports` gives them.
    """
    # Arrow drops a row whose values are all null; an empty text before them keeps it.
    joined = pc.binary_join_element_wise(_text(""), *columns, _text(_JOIN), null_handling="skip")
    text = pc.utf8_slice_codeunits(joined, len(_JOIN))
    for old, new in _SPELLINGS:
        text = pc.replace_substring(text, old, new)
    for characters in _STRIPPED:
        text = pc.utf8_trim(text, characters)
    text = pc.replace_substring_regex(pc.utf8_lower(text), r"[\n\r\t]", " ")
    words = pc.count_substring_regex(text, _WORD).cast(pa.int32())
    dotted = pc.binary_join_element_wise(text, _text("."), _text(""))
    return pc.if_else(pc.equal(words, 0), _text(EMPTY), dotted), words


def _text(value: str) -> pa.Scalar:
    return pa.scalar(value, pa.large_string())


def long_enough(words: pd.Series, least: int) -> npt.NDArray[np.bool_]:
    """Say which reports have at least so many words; one that is missing has none."""
    return np.asarray(words.fillna(0) >= least, dtype=np.bool_)
