"""The sets of PhysioNet 2016 as domains: balanced over, or left out of training as a whole."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._selection import Selection
from data_modules._splits import split_by_subject
from pahcl.errors import DataError

SETS = "abcdef"


def set_strata(table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Give each recording one stratum for its set and its label."""
    abnormal = table["abnormal"].to_numpy(dtype=np.float64)
    label = np.where(np.isnan(abnormal), 2, abnormal > 0).astype(np.int64)
    return np.array([SETS.index(name) for name in table["domain"]], dtype=np.int64) * 3 + label


def split_by_set(
    table: pd.DataFrame, strata: npt.NDArray[np.int64], left_out: str, selection: Selection
) -> pd.Series:
    """Let one set test as a whole, and draw who validates from the others.

    Args:
        table: The store's table, with `domain` and `subject_id`.
        strata: `[N]` stratum of each record.
        left_out: The set.
        selection: Share that validates, and the key of the draw.

    Returns:
        `train`, `val` or `test` for each record, on the table's index.

    Raises:
        DataError: The store holds no record of this set, or of no other one.
    """
    others = (table["domain"] != left_out).to_numpy()
    if others.all() or not others.any():
        there = ", ".join(sorted(set(table["domain"])))
        raise DataError(
            f"data.init_args.leave_out: set {left_out} cannot test beside other sets that train, "
            f"for the store holds the set(s) {there}. Name another set, or pack more of them."
        )
    sides = pd.Series("test", index=table.index, dtype=object)
    shares = selection.val_fraction, 0.0, selection.split_seed
    sides[others] = split_by_subject(table["subject_id"][others], strata[others], *shares)
    return sides
