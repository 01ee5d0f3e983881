"""The files of CODE-test: tables that belong to the tracings by their row, and the leads' order.

The publisher's texts name two orders of the augmented leads: `AVL, AVF, AVR` with the test set,
`AVR, AVL, AVF` with the network that was tested on it. The file itself names none. So the order is
measured: aVR = -(I + II)/2, aVL = I - II/2 and aVF = II - I/2 hold for one of them alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from data_modules._code15_parts import reading_part, tracing, tracings_in
from data_modules._tables import flags, read_table, texts
from pahcl.errors import DataError, RecordError
from pahcl.signals.leads import CHEST_LEADS, LIMB_LEADS, select_leads

TRACINGS = "ecg_tracings.hdf5"
GOLD = "gold_standard"
READERS = (
    "cardiologist1", "cardiologist2", "cardiology_residents", "emergency_residents",
    "medical_students", "dnn",
)  # fmt: skip
"""Whose answers are published beside the gold standard: five readers and Ribeiro's network."""

ORDERS = (LIMB_LEADS, ("I", "II", "III", "aVL", "aVF", "aVR"))
MEASURED = 48
"""Tracings by which the order is told, spread over the file."""

MOST_ERROR = 0.2
"""Relative error of the augmented leads at which an order still fits; in a wrong one it is 1 or
more, in the right one that of the file's numbers."""


def find_folder(root: Path) -> str:
    """Say where the files are: in the root, or in `data/` as the publisher's archive has them.

    Returns:
        What stands before a file's name.

    Raises:
        DataError: They are in neither.
    """
    for prefix in ("", "data/"):
        if (root / f"{prefix}{TRACINGS}").is_file():
            return prefix
    raise DataError(
        f"{root} holds neither {TRACINGS} nor data/{TRACINGS}. data.init_args.root (`--root`) must "
        "name the folder that the archive of CODE-test unpacks to."
    )


def count_tracings(path: Path) -> int:
    """Count the tracings.

    Raises:
        DataError: The file is no use.
    """
    try:
        with reading_part(path) as part:
            return tracings_in(part, path)
    except RecordError as error:
        raise DataError(f"{path.parent}: {error.reason}.") from error


def limb_order(path: Path, count: int) -> tuple[str, ...]:
    """Tell in which order the leads stand.

    Args:
        path: The file of tracings.
        count: Tracings in it.

    Returns:
        The names of the twelve leads.

    Raises:
        DataError: The limb leads fit to neither of the two orders.
    """
    rows = np.unique(np.linspace(0, count - 1, min(MEASURED, count)).astype(np.int64))
    errors = [found for row in rows if (found := _errors(path, int(row))) is not None]
    if not errors:
        raise DataError(f"{path} holds no tracing by which the order of its leads can be told.")
    typical = np.median(np.array(errors), axis=0)
    best = int(typical.argmin())
    if typical[best] > MOST_ERROR:
        told = "; ".join(
            f"{' '.join(order[3:])}: {error:.0%}"
            for order, error in zip(ORDERS, typical, strict=True)
        )
        raise DataError(
            f"The augmented leads of {path} do not follow from I and II in either of the orders "
            f"that are published (relative errors {told}). Fetch the file again."
        )
    return (*ORDERS[best], *CHEST_LEADS)


def _errors(path: Path, row: int) -> list[float] | None:
    """Give the relative error of aVR, aVL and aVF in each order; None where all is zero."""
    signal, _ = tracing(path, row)
    signal = np.nan_to_num(signal[:6], posinf=0, neginf=0)
    wanted = ORDERS[0][3:]
    with np.errstate(over="ignore", invalid="ignore"):  # numbers of a damaged file
        derived = select_leads(signal[:2], ORDERS[0][:2], wanted).astype(np.float64)
        size = np.square(derived).sum()
        found = [
            np.square(select_leads(signal, order, wanted) - derived).sum() / size if size else 0.0
            for order in ORDERS
        ]
    return np.sqrt(found).tolist() if 0 < size < np.inf else None


def read_answers(
    folder: Path, classes: tuple[str, ...], count: int
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read the gold standard, what the readers answered, and age and sex.

    Args:
        folder: The folder of the tables.
        classes: The abnormalities.
        count: Tracings, to which the rows belong in their order.

    Returns:
        Columns `<class>` (the gold standard), `reader/<name>/<class>`, `age` and `sex`; notes of
        what is odd.

    Raises:
        DataError: A table has not a row for each tracing, or the gold standard is missing.
    """
    columns: dict[str, object] = {}
    notes: dict[str, int] = {}
    for name in (GOLD, *READERS):
        path = folder / "annotations" / f"{name}.csv"
        if name != GOLD and not path.is_file():
            notes[f"annotations/{name}.csv is missing"] = 1
            continue
        table = _of_tracings(path, classes, count)
        prefix = "" if name == GOLD else f"reader/{name}/"
        for label in classes:
            columns[f"{prefix}{label}"] = flags(table[label])
        unread = sum(int(np.isnan(flags(table[label])).sum()) for label in classes)
        if unread:
            notes[f"answer of {name} is neither 0 nor 1"] = unread
    people = _of_tracings(folder / "attributes.csv", ("age", "sex"), count)
    age = pd.to_numeric(people["age"], errors="coerce")
    sex = texts(people["sex"]).str.upper().map({"M": "male", "F": "female"})
    columns["age"] = age.where(age.between(0, 120)).astype(np.float32)
    columns["sex"] = sex
    odd = {
        "age missing": age.isna(),
        "age outside 0 to 120": age.notna() & ~age.between(0, 120),
        "sex missing": sex.isna(),
    }
    notes |= {text: int(mask.sum()) for text, mask in odd.items() if mask.any()}
    return pd.DataFrame(columns), notes


def _of_tracings(path: Path, columns: tuple[str, ...], count: int) -> pd.DataFrame:
    table = read_table(path, columns)
    if len(table) != count:
        raise DataError(
            f"{path} has {len(table)} rows, but {TRACINGS} holds {count} tracings: rows and "
            "tracings belong together by their order, so one of the two is not whole. Fetch both "
            "again."
        )
    return table
