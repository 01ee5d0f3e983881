"""The SNOMED CT codes of CSN, what they are called, and the tasks that are asked of them.

`_csn_codes.csv` is the map from codes to labels, in versions (column `since`): 1 holds the codes of
the publisher's `ConditionNames_SNOMED-CT.csv`, in which one code may have several names; 2 adds the
codes that stand in headers and not in that table, after the Challenge 2021 (`dx_mapping_*.csv` of
github.com/physionetchallenges/evaluation-2021), which scores some of them as one with those of the
table. A row that was published is never changed: another version adds rows, or is another file.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pahcl.errors import DataError
from pahcl.task import Task


def _read_map() -> list[dict[str, str]]:
    with Path(__file__).with_name("_csn_codes.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


_ROWS = _read_map()
MAP_VERSION = max(int(row["since"]) for row in _ROWS)
LABEL_OF = {row["code"]: row["label"] for row in _ROWS}
"""SNOMED CT code -> label; several codes may have one label."""

LABELS = tuple(dict.fromkeys(LABEL_OF.values()))
RHYTHMS = tuple(dict.fromkeys(row["label"] for row in _ROWS if row["group"] == "rhythm"))
"""The eleven rhythms of the publisher (Zheng et al. 2020)."""

MERL = (
    "AQW", "UW", "SR", "WPW", "2AVB", "AT", "VB", "ARS", "STTC", "SA", "STE", "VPB", "TWO", "STTU",
    "ALS", "APB", "2AVB1", "PRIE", "CCR", "CR", "AF", "AVB", "QTIE", "LBBB", "VEB", "SVT", "RBBB",
    "1AVB", "STDD", "MI", "AFIB", "TWC", "PWC", "ERV", "RVH", "LVH", "ST", "JEB",
)  # fmt: skip
"""The 38 classes of Liu et al., MERL (ICML 2024), in their order."""

CODE6 = {"1dAVb": "1AVB", "RBBB": "RBBB", "LBBB": "LBBB", "SB": "SB", "ST": "ST", "AF": "AFIB"}
"""CODE abnormality -> label. Atrial flutter (`AF` of the publisher) is not atrial fibrillation."""


def _columns(labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"dx/{label}" for label in labels)


def _multilabel(name: str, classes: Sequence[str], columns: Sequence[str]) -> Task:
    return Task(name, "multilabel", tuple(classes), tuple(columns), primary_metric="macro_auroc")


TASKS = {
    "rhythm": _multilabel("rhythm", RHYTHMS, [f"rhythm/{label}" for label in RHYTHMS]),
    "all": _multilabel("all", LABELS, _columns(LABELS)),
    "merl38": _multilabel("merl38", MERL, _columns(MERL)),
    "code6": _multilabel("code6", tuple(CODE6), _columns(tuple(CODE6.values()))),
    "af": Task("af", "binary", ("AF",), _columns(("AFIB",)), primary_metric="auroc"),
    "sex": Task("sex", "binary", ("male",), ("male",), primary_metric="auroc"),
    "age": Task("age", "regression", ("age",), ("age",), primary_metric="mae", unit="years"),
}


def label_columns(listed: Sequence[Sequence[str]]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Spread each record's codes over one column a label.

    Args:
        listed: The codes of each record.

    Returns:
        `codes` as they stand, and `dx/<label>` of 1 and 0, or NaN throughout where a record has no
        code that the map knows: such a record says nothing, and is not labelled. Notes: how often
        each unknown code occurs, and how many records have no diagnosis.
    """
    place = {label: column for column, label in enumerate(LABELS)}
    marks = np.zeros((len(listed), len(LABELS)), dtype=np.float32)
    notes: dict[str, int] = {}
    for row, codes in enumerate(listed):
        known = [code for code in codes if code in LABEL_OF]
        marks[row, [place[LABEL_OF[code]] for code in known]] = 1
        if not known:
            marks[row] = np.nan
        odd = [f"code {c[:40]} is not in the map" for c in codes if c not in LABEL_OF]
        for note in odd or ([] if codes else ["no diagnosis"]):
            notes[note] = notes.get(note, 0) + 1
    table = pd.DataFrame(marks, columns=list(_columns(LABELS)))
    table.insert(0, "codes", [",".join(codes) for codes in listed])
    return table, notes


def rhythm_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Answer the task `rhythm`: a record without any of the rhythms says nothing about them."""
    marks = table[list(_columns(RHYTHMS))].to_numpy(dtype=np.float32)
    marks = np.where((marks == 1).any(axis=1, keepdims=True), marks, np.nan).astype(np.float32)
    return pd.DataFrame(marks, columns=[f"rhythm/{label}" for label in RHYTHMS], index=table.index)


def own_labels(published: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Answer the classes of published split tables from the records' own codes.

    Args:
        published: Columns `published/<label>`, on the table's index.
        table: The store's table.

    Returns:
        The same columns; NaN where a record is not published.

    Raises:
        DataError: A class is no label of the map.
    """
    classes = [str(name).removeprefix("published/") for name in published]
    unknown = [name for name in classes if name not in LABELS]
    if unknown:
        raise DataError(
            f"The split tables name the class(es) {', '.join(unknown)}, which are no labels of "
            f"CSN's map of codes ({', '.join(LABELS[:8])} …). Use protocol: legacy, or others."
        )
    marks = table[list(_columns(classes))].set_axis(published.columns, axis=1)
    return marks.where(published.notna().any(axis=1))
