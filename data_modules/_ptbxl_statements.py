"""The SCP-ECG statements of PTB-XL and the tasks that are asked of them.

Class lists are literal, so that a checkpoint's outputs never depend on the order of a file. They
are those of `scp_statements.csv` in PTB-XL 1.0.1 to 1.0.3 (Wagner et al. 2020, tables 5 and 6).
"""

from __future__ import annotations

import ast

import numpy as np
import pandas as pd

from pahcl.task import Task

DIAGNOSTIC: dict[str, dict[str, tuple[str, ...]]] = {
    "NORM": {"NORM": ("NORM",)},
    "MI": {
        "AMI": ("AMI", "ASMI", "ALMI", "INJAS", "INJAL", "INJLA"),
        "IMI": ("IMI", "ILMI", "IPMI", "IPLMI", "INJIN", "INJIL"),
        "LMI": ("LMI",),
        "PMI": ("PMI",),
    },
    "STTC": {
        "STTC": ("NDT", "DIG", "LNGQT", "ANEUR", "EL"),
        "NST_": ("NST_",),
        "ISC_": ("ISC_",),
        "ISCA": ("ISCAL", "ISCAS", "ISCLA", "ISCAN"),
        "ISCI": ("ISCIN", "ISCIL"),
    },
    "CD": {
        "LAFB/LPFB": ("LAFB", "LPFB"),
        "IRBBB": ("IRBBB",),
        "CRBBB": ("CRBBB",),
        "ILBBB": ("ILBBB",),
        "CLBBB": ("CLBBB",),
        "_AVB": ("1AVB", "2AVB", "3AVB"),
        "IVCD": ("IVCD",),
        "WPW": ("WPW",),
    },
    "HYP": {
        "LVH": ("LVH",),
        "RVH": ("RVH",),
        "SEHYP": ("SEHYP",),
        "LAO/LAE": ("LAO/LAE",),
        "RAO/RAE": ("RAO/RAE",),
    },
}
"""Superclass -> subclass -> statements."""

FORM = (
    "NDT", "NST_", "DIG", "LNGQT", "ABQRS", "PVC", "STD_", "VCLVH", "QWAVE", "LOWT", "NT_", "PAC",
    "LPR", "INVT", "LVOLT", "HVOLT", "TAB_", "STE_", "PRC(S)",
)  # fmt: skip
"""Statements on the form of the waves; the first four are diagnostic as well."""

RHYTHM = (
    "SR", "AFIB", "STACH", "SARRH", "SBRAD", "PACE", "SVARR", "BIGU", "AFLT", "SVTAC", "PSVT",
    "TRIGU",
)  # fmt: skip

SUBCLASSES = {
    f"{above}/{name}": codes for above, below in DIAGNOSTIC.items() for name, codes in below.items()
}
SUPERCLASSES = {
    above: tuple(code for codes in below.values() for code in codes)
    for above, below in DIAGNOSTIC.items()
}
DIAGNOSES = tuple(code for codes in SUPERCLASSES.values() for code in codes)
STATEMENTS = (*DIAGNOSES, *(code for code in FORM if code not in DIAGNOSES), *RHYTHM)

CODE6 = {
    "1dAVb": "1AVB",
    "RBBB": "CRBBB",
    "LBBB": "CLBBB",
    "SB": "SBRAD",
    "ST": "STACH",
    "AF": "AFIB",
}
"""CODE abnormality -> PTB-XL statement. Incomplete blocks and atrial flutter do not count."""

GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "superclass": SUPERCLASSES,
    "subclass": {name.split("/", 1)[1]: codes for name, codes in SUBCLASSES.items()},
    "diagnostic": {code: (code,) for code in DIAGNOSES},
    "form": {code: (code,) for code in FORM},
    "rhythm": {code: (code,) for code in RHYTHM},
    "all": {code: (code,) for code in STATEMENTS},
    "code6": {name: (code,) for name, code in CODE6.items()},
}
"""Task -> class -> statements of which any one makes the class true."""


def _multilabel(name: str) -> Task:
    classes = tuple(GROUPS[name])
    columns = tuple(f"{name}/{label}" for label in classes)
    # The benchmark of Strodthoff et al. asks all of them but `code6`.
    scorer = None if name == "code6" else "ptbxl"
    return Task(name, "multilabel", classes, columns, "macro_auroc", scorer=scorer)


TASKS = {
    **{name: _multilabel(name) for name in GROUPS},
    "af": Task("af", "binary", ("AF",), ("code6/AF",), primary_metric="auroc"),
    "sex": Task("sex", "binary", ("male",), ("male",), primary_metric="auroc"),
    "age": Task("age", "regression", ("age",), ("age",), primary_metric="mae", unit="years"),
}


def parse_statements(text: object) -> dict[str, float] | None:
    """Read one cell of `scp_codes`, as a literal and never as code; None if it is not one."""
    try:
        found = ast.literal_eval(str(text))
        return {str(code): float(likelihood) for code, likelihood in found.items()}
    except (ValueError, SyntaxError, TypeError, AttributeError, MemoryError, RecursionError):
        return None


def statement_columns(cells: pd.Series) -> tuple[pd.DataFrame, pd.Series, dict[str, int]]:
    """Spread `scp_codes` over one column a statement.

    Args:
        cells: The publisher's column, one dict literal a record.

    Returns:
        Columns `scp/<code>` float32 (likelihood in percent, 0 = unknown, NaN = not stated), a mask
        of the cells that cannot be read, and how often each statement occurs that is not known.
    """
    parsed = [parse_statements(cell) for cell in cells]
    values = np.full((len(parsed), len(STATEMENTS)), np.nan, dtype=np.float32)
    place = {code: column for column, code in enumerate(STATEMENTS)}
    unknown: dict[str, int] = {}
    for row, found in enumerate(parsed):
        for code, likelihood in (found or {}).items():
            if code in place:
                values[row, place[code]] = likelihood
            else:
                note = f"statement {code} is not among the {len(STATEMENTS)}"
                unknown[note] = unknown.get(note, 0) + 1
    columns = pd.DataFrame(
        values, columns=[f"scp/{code}" for code in STATEMENTS], index=cells.index
    )
    unreadable = pd.Series([found is None for found in parsed], index=cells.index)
    return columns, unreadable, unknown


def class_labels(table: pd.DataFrame, likelihood_threshold: float) -> pd.DataFrame:
    """Answer every task's questions from the statements.

    Args:
        table: Rows with the `scp/<code>` columns.
        likelihood_threshold: Least likelihood in percent at which a diagnostic statement counts,
            in all tasks but `form` and `rhythm`.

    Returns:
        One column `<task>/<class>` of 1, 0 or NaN. A record without any statement of a task's
        group is not labelled in that task (NaN), for its absence says nothing; `code6` and with it
        `af` are labelled everywhere, for there is always a reading of conduction and rhythm.
    """
    stated = {code: table[f"scp/{code}"].notna().to_numpy() for code in STATEMENTS}
    likely = dict(stated)
    for code in DIAGNOSES:
        likely[code] = (table[f"scp/{code}"] >= likelihood_threshold).to_numpy()
    labels = {}
    for task, classes in GROUPS.items():
        counts = stated if task in ("form", "rhythm") else likely
        answers = np.stack(
            [np.any([counts[c] for c in codes], axis=0) for codes in classes.values()]
        )
        known = answers.any(axis=0) | (task == "code6")
        for label, answer in zip(classes, answers, strict=True):
            labels[f"{task}/{label}"] = np.where(known, answer, np.nan).astype(np.float32)
    return pd.DataFrame(labels, index=table.index)
