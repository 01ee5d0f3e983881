"""From cycles to records, from records to subjects: one answer out of several, by a stated rule.

| rule | probability | prediction |
| --- | --- | --- |
| `mean` | mean of the rows | from that mean: most probable class, or the threshold |
| `max` | largest of the rows, class by class | from that |
| `vote` | share of the rows that say the class | most votes, or over half; ties by the mean |
| `any-site` | largest of the rows | what any row predicts: the gravest class, or each class |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.errors import UsageError
from pahcl.evaluation.predictions import DEFAULT_THRESHOLD

Unit = Literal["record", "subject"]
Rule = Literal["mean", "vote", "max", "any-site"]
RULES: Mapping[Unit, tuple[Rule, ...]] = {
    "record": ("mean", "vote", "max"),
    "subject": ("mean", "vote", "max", "any-site"),
}
PARTS = ("target", "probability", "prediction")
EXAMINATION = "examination_id"
"""Column of a predictions table that names what is labelled and scored in place of the subject,
where persons were examined more than once; `subject_id` stays the person."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def unit_column(table: pd.DataFrame, unit: Unit) -> str:
    """Name the column that tells units apart: where there are examinations, they are subjects."""
    return EXAMINATION if unit == "subject" and EXAMINATION in table else f"{unit}_id"


def table_classes(table: pd.DataFrame, part: str = "target") -> list[str]:
    """List the classes that a predictions table has a column `<part>/<class>` of."""
    start = f"{part}/"
    return [str(name).removeprefix(start) for name in table if str(name).startswith(start)]


def aggregate(
    table: pd.DataFrame,
    unit: Unit,
    rule: Rule,
    *,
    exclusive: bool = False,
    threshold: float | Mapping[str, float] = DEFAULT_THRESHOLD,
    severity: Sequence[str] = (),
) -> pd.DataFrame:
    """Make one row of all rows of a record or of a subject.

    Args:
        table: Predictions table; every class with all three columns, all numbers finite but for
            targets (NaN = not labelled).
        unit: What the rows of one new row share.
        rule: How they become one answer.
        exclusive: Exactly one class is predicted for a unit (of two or more classes).
        threshold: Of a class's probability after `mean` and `max`, and in a tied `vote`, where
            classes are not exclusive; one for all, or one a class.
        severity: Classes from the gravest on, for `any-site` with exclusive classes.

    Returns:
        One row a unit in the order of their first rows. `record_id` of a subject's row is the
        subject. A unit has the label of its labelled rows; by `any-site` the gravest of them, or
        each class that any of them has. Every other column must be the same in all rows.

    Raises:
        UsageError: The rule does not exist here, a column or a unit's name is missing, or rows of
            one unit differ in their label, their subject, or another column.
    """
    if unit not in RULES or rule not in RULES[unit]:
        raise UsageError(
            f"`{rule}` does not make one row of a {unit}: use one of "
            f"{', '.join(RULES.get(unit, get_args(Unit)))}."
        )
    classes = table_classes(table)
    missing = [f"{p}/{c}" for c in classes for p in PARTS if f"{p}/{c}" not in table]
    if missing or not classes:
        raise UsageError(
            f"To make one row of a {unit} the predictions table needs {', '.join(PARTS)} of every "
            f"class; it lacks {', '.join(missing[:6]) or 'all of them'}."
        )
    codes, names = pd.factorize(table[unit_column(table, unit)])
    if (codes < 0).any():
        raise UsageError(
            f"{int((codes < 0).sum())} row(s) of the predictions table have no "
            f"`{unit_column(table, unit)}`, so they are of no {unit}: fill it, or score rows."
        )
    rows = _Rows(unit, codes.astype(np.int64), [str(name) for name in names])
    one = exclusive and len(classes) > 1
    order = _order(classes, severity) if rule == "any-site" and one else []
    parts = {
        part: table[[f"{part}/{name}" for name in classes]].to_numpy(np.float64) for part in PARTS
    }
    target = rows.label(parts["target"], classes, order, joined=rule == "any-site")
    probability, prediction = _answer(rows, rule, parts, one, _limits(classes, threshold), order)
    found = {"target": target, "probability": probability, "prediction": prediction}
    return _lay_out(table, rows, found, classes)


def _lay_out(
    table: pd.DataFrame, rows: _Rows, found: Mapping[str, Floats], classes: Sequence[str]
) -> pd.DataFrame:
    """Write one row a unit, with the columns of the table in its order."""
    columns: dict[str, object] = {
        f"{part}/{name}": values[:, k]
        for part, values in found.items()
        for k, name in enumerate(classes)
    }
    for name in table.columns:
        if name in ("record_id", unit_column(table, rows.unit)):
            columns[name] = np.asarray(rows.names, dtype=object)
        elif name not in columns:
            columns[name] = rows.common(table[name])
    merged = pd.DataFrame({name: columns[name] for name in table.columns})
    return merged.astype({"record_id": "str", "subject_id": "str"})


class _Rows:
    """Know which rows belong to which unit."""

    def __init__(self, unit: Unit, codes: Ints, names: list[str]) -> None:
        self.unit = unit
        self.codes = codes
        self.names = names

    def sum(self, values: Floats) -> Floats:
        """Add up `[N, K]` to `[units, K]`."""
        found = np.zeros((len(self.names), values.shape[1]))
        np.add.at(found, self.codes, values)
        return found

    def max(self, values: Floats) -> Floats:
        """Take the largest of `[N, K]`, NaN left out; NaN where a unit has nothing else."""
        found = np.full((len(self.names), values.shape[1]), np.nan)
        np.fmax.at(found, self.codes, values)
        return found

    def label(
        self, target: Floats, classes: Sequence[str], order: Sequence[int], *, joined: bool
    ) -> Floats:
        """Give the label of each unit `[units, K]`."""
        high = self.max(target)
        if joined:
            return _gravest(high, order) if order else high
        differ = np.argwhere(high != -self.max(-target))
        for u, k in differ:
            if not np.isnan(high[u, k]):
                raise UsageError(
                    f"The rows of {self.unit} {self.names[u]} have different labels in "
                    f"`target/{classes[k]}`, so there is no label of the {self.unit}."
                    + (" With `any-site` it is the gravest." if self.unit == "subject" else "")
                )
        return high

    def common(self, column: pd.Series[Any]) -> npt.NDArray[np.object_]:
        """Give the one value of each unit, missing ones left out.

        Raises:
            UsageError: A unit has several.
        """
        known = column[column.notna()]
        values = known.groupby(self.codes[column.notna().to_numpy()])
        several = values.nunique()
        for u in several.index[several > 1]:
            raise UsageError(
                f"The rows of {self.unit} {self.names[u]} differ in `{column.name}`, so there is "
                f"no value of the {self.unit}; leave the column out, or score the rows as they are."
            )
        return np.asarray(values.first().reindex(range(len(self.names))).to_numpy(object))


def _order(classes: Sequence[str], severity: Sequence[str]) -> list[int]:
    lacking = [name for name in classes if name not in severity]
    if lacking:
        raise UsageError(
            f"`any-site` needs to know which class is the gravest, which nobody says of "
            f"{', '.join(lacking)}; use mean, vote or max."
        )
    return [classes.index(name) for name in severity if name in classes]


def _limits(classes: Sequence[str], threshold: float | Mapping[str, float]) -> Floats:
    """Give the threshold of each class."""
    if not isinstance(threshold, Mapping):
        return np.full(len(classes), float(threshold))
    unknown = [name for name in threshold if name not in classes]
    if unknown:
        raise UsageError(
            f"A threshold is given for {', '.join(unknown)}; the classes are {', '.join(classes)}."
        )
    return np.array([float(threshold.get(name, DEFAULT_THRESHOLD)) for name in classes])


def _answer(
    rows: _Rows,
    rule: Rule,
    parts: Mapping[str, Floats],
    one: bool,
    limits: Floats,
    order: Sequence[int],
) -> tuple[Floats, Floats]:
    """Give probability and prediction of each unit, both `[units, K]`."""
    count = rows.sum(np.ones((len(rows.codes), 1)))
    mean = rows.sum(parts["probability"]) / count
    if rule == "mean":
        return mean, _decide(mean, one, limits)
    high = rows.max(parts["probability"])
    if rule == "max":
        return high, _decide(high, one, limits)
    if rule == "any-site":
        said = rows.max(parts["prediction"])
        return high, _gravest(said, order) if one else said
    votes = rows.sum(parts["prediction"])
    if one:
        leading = votes == votes.max(axis=1, keepdims=True)
        return votes / count, _decide(np.where(leading, mean, -1.0), one, limits)
    tied = (2 * votes == count) & (mean >= limits)
    return votes / count, ((2 * votes > count) | tied).astype(np.float64)


def _decide(probability: Floats, one: bool, limits: Floats) -> Floats:
    if one:
        best: Floats = np.eye(probability.shape[1])[probability.argmax(axis=1)]
        return best
    return (probability >= limits).astype(np.float64)


def _gravest(present: Floats, order: Sequence[int]) -> Floats:
    """Keep of each row `[units, K]` the first class in order that is there; NaN rows stay."""
    found = np.where(np.isnan(present), np.nan, 0.0)
    left = np.ones(len(present), bool)
    for k in order:
        chosen = left & (present[:, k] == 1)
        found[chosen, k] = 1.0
        left &= ~chosen
    return found
