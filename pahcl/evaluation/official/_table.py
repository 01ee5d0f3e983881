"""Read a predictions table as a scorer wants it, or say what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.errors import PahclError, UsageError
from pahcl.evaluation.aggregation import table_classes, unit_column
from pahcl.evaluation.official._labels import read_extras
from pahcl.evaluation.official.base import Answers, Floats, Names, Scorer, matches

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Read:
    """Hold the labelled units of a predictions table.

    Args:
        answers: What the scorer reads.
        subject: `[N]`, codes into `subjects`.
        subjects: Identifiers of the subjects, sorted.
        unlabelled: Units that were left out.
        notes: What was done to the table, in words.
    """

    answers: Answers
    subject: npt.NDArray[np.int64]
    subjects: Names
    unlabelled: int
    notes: list[str]


def with_numbers(table: pd.DataFrame, scorer: Scorer, source: str) -> pd.DataFrame:
    """Give a predictions table with float64 numbers, or refuse it.

    Raises:
        PahclError: A column that the scorer reads is missing, or holds something else than 0, 1
            and NaN (target), 0 and 1 (prediction), or a number from 0 to 1 (probability); or a
            row has no record or no subject.
    """
    for name in ("record_id", "subject_id"):
        empty = table[name].isna().to_numpy()
        if empty.any():
            raise PahclError(
                f"{source}: column `{name}` is empty in {int(empty.sum())} of {len(table)} rows "
                f"(the first is row {int(np.flatnonzero(empty)[0])}). Where subjects are not "
                "known, write the record as its own subject."
            )
    classes = _label_classes(table, scorer)
    if not classes:
        raise PahclError(
            f"{source} has no column `target/<class>`, so there is nothing to score against; it "
            f"has {', '.join(map(str, table.columns[:8]))}."
        )
    scorer.columns(classes)
    wanted = ["target"]
    wanted += ["prediction"] if scorer.reads_prediction else []
    wanted += ["probability"] if scorer.needs_probability else []
    numbers = {}
    for part in ("target", "prediction", "probability"):
        for name in {*table_classes(table, part), *(classes if part in wanted else ())}:
            numbers[f"{part}/{name}"] = _numbers(table, f"{part}/{name}", part, source)
    return table.assign(**numbers)


def _numbers(table: pd.DataFrame, column: str, part: str, source: str) -> Floats:
    if column not in table:
        raise PahclError(
            f"{source} lacks the column `{column}`, which the scorer reads; `pahcl test` and "
            "`pahcl predict` write it."
        )
    numeric = pd.to_numeric(table[column], errors="coerce")
    values = numeric.to_numpy(np.float64, na_value=np.nan)
    texts = np.isnan(values) & table[column].notna().to_numpy()
    if part == "probability":
        wrong, range_ = ~((values >= 0) & (values <= 1)), "a number from 0 to 1"
    else:
        wrong, range_ = ~np.isin(values, (0.0, 1.0)), "0 or 1"
        if part == "target":
            wrong &= ~np.isnan(values) | texts
            range_ = "0, 1 or NaN (not labelled)"
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise PahclError(
            f"{source}: column `{column}` must hold {range_}, but has "
            f"{table[column].iloc[first]} for record {table['record_id'].iloc[first]} and "
            f"{int(wrong.sum()) - 1} more. Write the predictions again."
        )
    return values


def _label_classes(table: pd.DataFrame, scorer: Scorer) -> list[str]:
    """List the classes with a target, answers that are no label left out."""
    return [
        name
        for name in table_classes(table)
        if not any(matches(name, answer, scorer.aliases) for answer in scorer.answers_only)
    ]


def read_answers(table: pd.DataFrame, scorer: Scorer, source: str) -> Read:
    """Read a table whose rows are the units that are scored.

    Args:
        table: Predictions table of `with_numbers`.
        scorer: Who asks.
        source: Name of the file, for sentences.

    Raises:
        PahclError: Labels or answers are not as the scorer needs them.
        UsageError: A unit has several rows.
    """
    _require_units(table, scorer, source)
    found = _label_classes(table, scorer)
    named = scorer.columns(found)
    target = _matrix(table, "target", named, scorer)
    labelled = _labelled(target, found, table, scorer, source)
    kept = table[labelled].reset_index(drop=True)
    target = target[labelled]
    _check_target(target, named, kept, scorer, source)
    extras = read_extras(kept, scorer.extras, source)
    extras |= _answers_only(kept, scorer)
    probability = None
    if all(f"probability/{name}" in table for name in found):
        probability = _matrix(kept, "probability", named, scorer)
    notes = [] if labelled.all() else [f"{int((~labelled).sum())} unlabelled row(s) left out"]
    notes += _about_classes(found, named, scorer)
    prediction = np.zeros_like(target)
    if scorer.reads_prediction:
        prediction = _matrix(kept, "prediction", named, scorer)
    if scorer.one_class:
        silent = extras.get("unsure", np.zeros(len(kept))) == 1
        prediction, said = _choose(prediction, probability, ~silent, scorer, source)
        notes += said
    codes, subjects = pd.factorize(kept["subject_id"], sort=True)
    return Read(
        Answers(tuple(named), target, prediction, probability, extras),
        codes.astype(np.int64),
        tuple(map(str, subjects)),
        int((~labelled).sum()),
        notes,
    )


def _require_units(table: pd.DataFrame, scorer: Scorer, source: str) -> None:
    ids = table[unit_column(table, scorer.unit)]
    several = ids[ids.duplicated()].unique()
    if len(several):
        rules = "mean, vote or max"
        rules += " or any-site" if scorer.unit == "subject" and scorer.severity else ""
        raise UsageError(
            f"{scorer.name} scores one answer a {scorer.unit}, and {source} has several rows for "
            f"{len(several)} of {ids.nunique()} {scorer.unit}s ({several[0]} …). Say how they "
            f"become one: `--{scorer.unit}` {rules}."
        )


def _matrix(table: pd.DataFrame, part: str, named: dict[str, Names], scorer: Scorer) -> Floats:
    """Read one part, classes in the scorer's order `[N, K]`."""
    columns = []
    for wanted, names in named.items():
        values = table[[f"{part}/{name}" for name in names]].to_numpy(np.float64)
        if names:
            columns.append(values.mean(axis=1) if part == "probability" else values.max(axis=1))
        elif wanted == scorer.complement:
            other = next(there for name, there in named.items() if name != wanted)
            columns.append(1 - table[f"{part}/{other[0]}"].to_numpy(np.float64))
        else:
            columns.append(np.zeros(len(table)))
    return np.stack(columns, axis=1)


def _labelled(
    target: Floats, found: list[str], table: pd.DataFrame, scorer: Scorer, source: str
) -> Bools:
    """Say which rows are labelled; those labelled in part belong to no side but `partial`'s."""
    known = ~np.isnan(table[[f"target/{name}" for name in found]].to_numpy(np.float64))
    some: Bools = known.any(axis=1) & ~np.isnan(target).all(axis=1)
    if not some.any():
        raise PahclError(
            f"{source} has no labelled row: every `target/<class>` is NaN. Score predictions of "
            "labelled records."
        )
    part = some & np.isnan(target).any(axis=1)
    if part.any() and not scorer.partial:
        raise PahclError(
            f"{source}: record {table['record_id'].iloc[int(np.flatnonzero(part)[0])]} and "
            f"{int(part.sum()) - 1} more are labelled for some classes alone; {scorer.name} needs "
            "all. Make their `target/<class>` all NaN to leave them out."
        )
    return some


def _check_target(
    target: Floats, named: dict[str, Names], table: pd.DataFrame, scorer: Scorer, source: str
) -> None:
    """Refuse units with no class, or with several where there must be one."""
    if not scorer.one_class:
        return
    count = target.sum(axis=1)
    wrong = np.flatnonzero(count != 1 if scorer.single_target else count == 0)
    if len(wrong):
        must = "exactly one" if scorer.single_target else "at least one"
        raise PahclError(
            f"{source}: record {table['record_id'].iloc[int(wrong[0])]} and {len(wrong) - 1} more "
            f"have {int(count[wrong[0]])} of the classes {', '.join(named)} as `target/<class>`; "
            f"{scorer.name} needs {must}. Make them all NaN to leave the record out."
        )


def _answers_only(table: pd.DataFrame, scorer: Scorer) -> dict[str, Floats]:
    """Read answers that are no label, such as `prediction/unsure`."""
    found = {}
    for answer in scorer.answers_only:
        for name in table_classes(table, "prediction"):
            if matches(name, answer, scorer.aliases):
                found[answer] = table[f"prediction/{name}"].to_numpy(np.float64)
    return found


def _about_classes(found: list[str], named: dict[str, Names], scorer: Scorer) -> list[str]:
    used = {name for names in named.values() for name in names}
    left = [name for name in found if name not in used]
    lacking = [name for name, there in named.items() if not there and name != scorer.complement]
    notes = []
    if left:
        notes.append(f"not among the scored classes, so left out: {', '.join(left)}")
    if lacking:
        notes.append(
            f"the table has {len(named) - len(lacking)} of the {len(named)} scored classes; the "
            f"others count as neither labelled nor predicted: {', '.join(lacking)}"
        )
    return notes


def _choose(
    prediction: Floats, probability: Floats | None, speaks: Bools, scorer: Scorer, source: str
) -> tuple[Floats, list[str]]:
    """Bring each row to one predicted class, and say for how many that was needed."""
    chosen = np.where(speaks[:, None], prediction, 0.0)
    unclear = speaks & (prediction.sum(axis=1) != 1)
    if not unclear.any():
        return chosen, []
    count = int(unclear.sum())
    if scorer.fallback is not None:
        chosen[unclear] = np.eye(len(scorer.classes))[scorer.classes.index(scorer.fallback)]
        how = f"as {scorer.fallback}, which is the publisher's rule"
    elif probability is None:
        raise PahclError(
            f"{source} predicts none or several classes for {count} row(s), where {scorer.name} "
            "needs one, and has no `probability/<class>` to choose by."
        )
    else:
        # Among the classes that are predicted, or among all where none is.
        candidates = np.where(
            prediction.sum(axis=1, keepdims=True) > 0, prediction * (1 + probability), probability
        )
        best = np.eye(prediction.shape[1])[candidates.argmax(axis=1)]
        chosen[unclear] = best[unclear]
        how = "by their most probable class"
    return chosen, [f"{count} row(s) with none or several predicted classes count {how}"]
