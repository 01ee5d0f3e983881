"""What the ECG machine's reports of MIMIC-IV-ECG name, by explicit phrases, and the tasks.

The labels are a machine's reading, with its mistakes, and no cardiologist has confirmed them: a
network that learns them learns to read like the machine. `_mimic_findings.csv` holds the phrases in
versions (column `since`); a row without a label is a phrase that means something else than the one
within it. A row that was published is never changed: another version adds rows, or is another file.

A report is taken apart into statements at full stops, and these at the word `with`. In a part that
doubts (`possible`, `probable`, `consider` …) a phrase leaves its label open; in a part that denies
or compares (`no`, `previous` …) it counts nothing. All other parts assert what they name.
"""

from __future__ import annotations

import csv
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from data_modules._mimic_tables import INTERVALS
from pahcl.task import Task
from pahcl.text.reports import EMPTY


def _read_phrases() -> list[dict[str, str]]:
    path = Path(__file__).with_name("_mimic_findings.csv")
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


ROWS = _read_phrases()
PHRASES_VERSION = max(int(row["since"]) for row in ROWS)
FINDINGS = tuple(dict.fromkeys(row["label"] for row in ROWS if row["label"]))

CODE6 = {"1dAVb": "1AVB", "RBBB": "RBBB", "LBBB": "LBBB", "SB": "SB", "ST": "ST", "AF": "AF"}
"""CODE abnormality -> finding."""


def _columns(findings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"finding/{name}" for name in findings)


def _multilabel(name: str, classes: tuple[str, ...], findings: tuple[str, ...]) -> Task:
    return Task(name, "multilabel", classes, _columns(findings), primary_metric="macro_auroc")


TASKS = {
    "findings": _multilabel("findings", FINDINGS, FINDINGS),
    "code6": _multilabel("code6", tuple(CODE6), tuple(CODE6.values())),
    "af": Task("af", "binary", ("AF",), _columns(("AF",)), primary_metric="auroc"),
    "intervals": Task(
        "intervals",
        "regression",
        tuple(INTERVALS),
        tuple(f"interval/{name}" for name in INTERVALS),
        primary_metric="mae",
        unit="ms",
    ),
}


def _any_of(phrases: list[str]) -> re.Pattern[str]:
    """Match whole phrases: `normal ecg` is not in `abnormal ecg`."""
    longest_first = sorted(phrases, key=len, reverse=True)
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(map(re.escape, longest_first))})(?![a-z0-9])")


_PATTERNS = [_any_of([row["phrase"] for row in ROWS if row["label"] == name]) for name in FINDINGS]
_MEANS_ELSE = _any_of([row["phrase"] for row in ROWS if not row["label"]])
_DOUBTS = _any_of(
    [
        "possible", "possibly", "probable", "probably", "consider", "suspect", "suggest",
        "suggests", "suggestive", "may", "might", "cannot", "can't", "rule out", "borderline", "or",
        "versus", "vs", "questionable",
    ]
)  # fmt: skip
_DENIES = _any_of(
    [
        "no", "not", "without", "absent", "absence", "resolved", "previous", "prior", "compared",
        "since", "replaced", "no longer",
    ]
)  # fmt: skip
_PART = re.compile(r"\.(?:\s+|$)|\swith\s")


@lru_cache(maxsize=1 << 16)
def _read_part(part: str) -> tuple[int, int]:
    """Give the findings that a part of a report asserts, and those it doubts, as bits."""
    words = _MEANS_ELSE.sub(" ", part)
    named = sum(1 << place for place, found in enumerate(_PATTERNS) if found.search(words))
    if not named or _DENIES.search(words):
        return 0, 0
    return (0, named) if _DOUBTS.search(words) else (named, 0)


def _read_report(report: str) -> tuple[int, int]:
    asserted = doubted = 0
    for part in _PART.split(report):
        sure, open_ = _read_part(part)
        asserted |= sure
        doubted |= open_
    return asserted, doubted


def finding_columns(reports: pd.Series) -> pd.DataFrame:
    """Read a column of cleaned reports, each different text once.

    Returns:
        `finding/<name>` on the same index: 1 where a report asserts it, NaN where it only doubts,
        else 0; NaN throughout where there is no report, or one that says nothing.
    """
    codes, texts = pd.factorize(reports)
    bits = np.array([(0, 0), *map(_read_report, texts)], dtype=np.int64)[codes + 1]
    place = np.arange(len(FINDINGS))
    asserted, doubted = ((bits[:, [side]] >> place) & 1 == 1 for side in (0, 1))
    marks = np.where(asserted, 1, np.where(doubted, np.nan, 0)).astype(np.float32)
    marks[(reports.isna() | (reports == EMPTY)).to_numpy(dtype=bool)] = np.nan
    return pd.DataFrame(marks, columns=list(_columns(FINDINGS)), index=reports.index)
