"""Score a predictions table by an official scorer, with intervals over subjects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.errors import PahclError, UsageError
from pahcl.evaluation.aggregation import Rule, aggregate, table_classes
from pahcl.evaluation.intervals import (
    FEW_SUBJECTS,
    Interval,
    check_bootstrap,
    percentile_interval,
    widened,
)
from pahcl.evaluation.official import find_scorer
from pahcl.evaluation.official._labels import add_labels
from pahcl.evaluation.official._table import Read, read_answers, with_numbers
from pahcl.evaluation.official.base import Floats, Names, Scorer, Scores
from pahcl.evaluation.predictions import DEFAULT_THRESHOLD, Scored
from pahcl.evaluation.resampling import CHUNK, Ranking, complete, subject_counts
from pahcl.task import Task


@dataclass(frozen=True)
class Confusion:
    """Hold counts of truth (rows) against prediction (columns)."""

    rows: Names
    columns: Names
    counts: npt.NDArray[np.float64]


@dataclass(frozen=True)
class OfficialScores:
    """Hold what an official scorer says of a predictions table.

    Args:
        metrics: The scores of the whole table by name, the publisher's headline first.
        per_class: Scores by class and name.
        support: For each class its positives, negatives, positive subjects, and how often it was
            predicted (only where decisions are read).
        classes_defined: For each score that is a mean over classes the number of these.
        confusion: Truth against prediction, where the scorer counts it.
        n_units: Units that were scored.
        unlabelled: Units that were left out.
        n_subjects: Subjects behind them.
        notes: What a reader must know, in words.
    """

    metrics: dict[str, Interval]
    per_class: dict[str, dict[str, Interval]]
    support: dict[str, dict[str, int]]
    classes_defined: dict[str, int]
    confusion: Confusion | None
    n_units: int
    unlabelled: int
    n_subjects: int
    notes: tuple[str, ...]

    def facts(self, scorer: Scorer) -> dict[str, Any]:
        """Lay the scores out as plain types, as `--json` and `metrics.json` hold them."""
        confusion = self.confusion
        return {
            "scorer": scorer.name,
            "title": scorer.title,
            "source": scorer.source,
            "unit": scorer.unit,
            "headline": scorer.headline,
            "lower_is_better": sorted(scorer.lower_is_better & set(self.metrics)),
            "metrics": {name: vars(value) for name, value in self.metrics.items()},
            "classes_defined": self.classes_defined,
            "per_class": {
                name: {**{key: vars(value) for key, value in scores.items()}, **self.support[name]}
                for name, scores in self.per_class.items()
            },
            "confusion": vars(confusion) if confusion else None,
            "n_units": self.n_units,
            "unlabelled": self.unlabelled,
            "n_subjects": self.n_subjects,
            "notes": list(self.notes),
        }


def score_predictions(
    scorer: Scorer,
    predictions: pd.DataFrame,
    *,
    source: str = "the predictions table",
    labels: str | None = None,
    record: Rule | None = None,
    subject: Rule | None = None,
    threshold: float | Mapping[str, float] = DEFAULT_THRESHOLD,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> OfficialScores:
    """Score a predictions table by a published rule.

    Args:
        scorer: The rule.
        predictions: Table of `predictions_table`, one row a cycle, record or subject.
        source: What the table is called in sentences.
        labels: A file with what the scorer reads beside the predictions.
        record: How several rows of a record become one; None: there is one a record.
        subject: How several records of a subject become one; None: records are not merged.
        threshold: As in `aggregate`.
        samples: Number of resamples of the subjects.
        seed: Seed of the draws.
        level: Nominal coverage of the intervals.

    Raises:
        UsageError: The question does not fit the table.
        PahclError: The table or the file of labels cannot be used.
    """
    check_bootstrap(samples, level)
    table = predictions if labels is None else add_labels(predictions, labels, scorer.extras)
    table = with_numbers(table, scorer, source)
    table, notes = _merged(table, scorer, {"record": record, "subject": subject}, threshold)
    found = read_answers(table, scorer, source)
    measure = _Measure(scorer, found)
    points = measure.at(np.ones((1, len(found.subjects))))
    notes += found.notes + scorer.notes(found.answers)
    if len(found.subjects) < 2:
        drawn = None
        notes.append("no intervals: 1 subject, of which at least 2 are needed")
    else:
        drawn = measure.resample(samples, seed)
    whole, defined, said = _whole(scorer, points, drawn, level, seed, found.answers.classes)
    support = _support(scorer, found)
    notes += said + _rare(support)
    return OfficialScores(
        metrics=whole,
        per_class=_classes(points, drawn, level, found.answers.classes),
        support=support,
        classes_defined=defined,
        confusion=_confusion(scorer, found, measure.rows),
        n_units=len(found.answers),
        unlabelled=found.unlabelled,
        n_subjects=len(found.subjects),
        notes=tuple(notes),
    )


def with_extras(
    task: Task, predictions: pd.DataFrame, table: pd.DataFrame, unit: str = "subject_id"
) -> pd.DataFrame:
    """Add to a predictions table what its task's official scorer reads beside it.

    Args:
        task: What was asked.
        predictions: One row a scored unit.
        table: The store's table, which may hold such columns (signal quality, for example).
        unit: Column of that table that names what a task of level `subject` scores.
    """
    if task.scorer is None:
        return predictions
    units = table.groupby(table[unit if task.level == "subject" else "record_id"].astype(str))
    for extra in find_scorer(task.scorer).extras:
        there = [name for name in (extra.name, *extra.aliases) if name in table]
        if there and extra.name not in predictions and units[there[0]].nunique().max() <= 1:
            values = predictions["record_id"].map(units[there[0]].first())
            predictions = predictions.assign(**{extra.name: values})
    return predictions


def official_facts(
    task: Task, predictions: pd.DataFrame, samples: int, seed: int, level: float
) -> dict[str, Any] | None:
    """Score a test's predictions as the data set's publisher does.

    Returns:
        What `OfficialScores.facts` gives; `scorer` and `failed`, a sentence, where the table
        cannot be scored; None where the task has no official scorer.
    """
    if task.scorer is None:
        return None
    try:
        scorer = find_scorer(task.scorer)()
        found = score_predictions(scorer, predictions, samples=samples, seed=seed, level=level)
    except PahclError as error:
        return {"scorer": task.scorer, "failed": str(error)}
    return found.facts(scorer)


def _merged(
    table: pd.DataFrame,
    scorer: Scorer,
    rules: Mapping[Any, Rule | None],
    threshold: float | Mapping[str, float],
) -> tuple[pd.DataFrame, list[str]]:
    """Make one row of several, first those of a record, then those of a subject."""
    notes: list[str] = []
    for unit, rule in rules.items():
        if rule is None:
            continue
        classes = table_classes(table)
        named = scorer.columns([name for name in classes if name not in scorer.answers_only])
        severity = [name for wanted in scorer.severity for name in named.get(wanted, ())]
        if scorer.one_class and len(classes) > 1 and threshold != DEFAULT_THRESHOLD:
            raise UsageError(
                f"{scorer.name} takes the most probable of the classes {', '.join(classes)}, so a "
                "threshold decides nothing: leave it out."
            )
        before = len(table)
        table = aggregate(
            table,
            unit,
            rule,
            exclusive=scorer.one_class,
            threshold=threshold,
            severity=severity,
        )
        notes.append(f"{before} rows became {len(table)}, one a {unit}, by `{rule}`")
        if rule in ("mean", "max") and not (scorer.one_class and len(classes) > 1):
            notes.append(f"decided after `{rule}` by the threshold {_told(threshold)}")
        if unit == "subject" and scorer.unit == "record":
            notes.append(f"{scorer.name} scores records; one answer a subject is not official")
    return table, notes


def _told(threshold: float | Mapping[str, float]) -> str:
    if not isinstance(threshold, Mapping):
        return f"{threshold:g}"
    given = ", ".join(f"{name} {value:g}" for name, value in threshold.items())
    return f"{given}, others {DEFAULT_THRESHOLD:g}"


class _Measure:
    """Score one table under many weightings of its subjects."""

    def __init__(self, scorer: Scorer, found: Read) -> None:
        self.scorer = scorer
        self.rows = scorer.summands(found.answers)
        n = len(found.subjects)
        self.sums = {}
        for name, values in self.rows.items():
            self.sums[name] = np.zeros((n, values.shape[1]))
            np.add.at(self.sums[name], found.subject, values)
        self.whole = {n: values.sum(axis=0, keepdims=True) for n, values in self.sums.items()}
        self.subjects = n
        self.width = max(n, len(found.answers), *(v.shape[1] for v in self.sums.values()))
        answers = found.answers
        self.rankings: list[Ranking] = []
        if scorer.ranked and answers.probability is not None:
            scored = Scored(
                answers.target,
                answers.probability,
                answers.prediction,
                found.subject,
                found.subjects,
            )
            self.rankings = [Ranking(scored, k) for k in range(len(answers.classes))]

    def at(self, counts: Floats) -> Scores:
        """Score the weightings `[S, subjects]`."""
        sums = {name: counts @ values for name, values in self.sums.items()}
        found = self.scorer.scores(sums, self.whole)
        if not self.rankings:
            return found
        with np.errstate(divide="ignore", invalid="ignore"):
            both = [ranking.score(counts) for ranking in self.rankings]
        ranked = {
            "auroc": np.stack([auroc for auroc, _ in both], axis=1),
            "auprc": np.stack([auprc for _, auprc in both], axis=1),
        }
        return Scores(found.whole, {**found.classes, **ranked})

    def resample(self, samples: int, seed: int) -> Scores:
        """Score resamples of the subjects, some at a time."""
        rows = max(1, CHUNK // self.width)
        parts = [self.at(counts) for counts in subject_counts(self.subjects, samples, seed, rows)]
        return Scores(
            {n: np.concatenate([part.whole[n] for part in parts]) for n in parts[0].whole},
            {n: np.concatenate([part.classes[n] for part in parts]) for n in parts[0].classes},
        )


def _whole(
    scorer: Scorer, points: Scores, drawn: Scores | None, level: float, seed: int, classes: Names
) -> tuple[dict[str, Interval], dict[str, int], list[str]]:
    """Give each score of the whole table its interval, means over classes among them."""
    values = {name: float(value[0]) for name, value in points.whole.items()}
    resamples = dict(drawn.whole) if drawn else {}
    defined: dict[str, int] = {}
    notes = []
    for name, source in scorer.means.items():
        each = points.classes[source][0]
        there = ~np.isnan(each)
        defined[name] = int(there.sum())
        values[name] = float(each[there].mean()) if there.any() else float("nan")
        if drawn:
            filled = complete(drawn.classes[source][None, :, there], seed)[0]
            resamples[name] = filled.mean(axis=1) if filled.size else np.full(len(filled), np.nan)
        if not there.all():
            lost = [one for one, known in zip(classes, there, strict=True) if not known]
            notes.append(
                f"{name} is the mean over {defined[name]} of {len(classes)} classes; not defined "
                f"for {', '.join(lost)}"
            )
    order = [scorer.headline, *(name for name in values if name != scorer.headline)]
    found = {}
    for name in order:
        samples = resamples.get(name, np.empty(0))
        found[name] = percentile_interval(values[name], samples, level)
        if widened(found[name], samples, level):
            notes.append(
                f"{name}: the percentiles of the resamples left the value out; the interval was "
                "widened up to it"
            )
        undefined = int(np.isnan(samples).sum())
        if undefined and not np.isnan(values[name]):
            notes.append(
                f"{name}: {undefined} of {len(samples)} resamples do not define it and were left "
                "out of its interval"
            )
    return found, defined, notes


def _classes(
    points: Scores, drawn: Scores | None, level: float, classes: Names
) -> dict[str, dict[str, Interval]]:
    """Give each class its scores with intervals, over the resamples that define them."""
    return {
        name: {
            score: percentile_interval(
                float(value[0, k]), drawn.classes[score][:, k] if drawn else [], level
            )
            for score, value in points.classes.items()
        }
        for k, name in enumerate(classes)
    }


def _support(scorer: Scorer, found: Read) -> dict[str, dict[str, int]]:
    """Count for each class what its scores rest on."""
    answers = found.answers
    support = {}
    for k, name in enumerate(answers.classes):
        positive = answers.target[:, k] == 1
        support[name] = {
            "positives": int(positive.sum()),
            "negatives": int((answers.target[:, k] == 0).sum()),
            "positive_subjects": len(np.unique(found.subject[positive])),
        }
        if scorer.reads_prediction:
            support[name]["predicted"] = int(answers.prediction[:, k].sum())
    return support


def _rare(support: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Name the classes whose intervals rest on very few subjects."""
    few = [
        f"{name} ({counts['positive_subjects']})"
        for name, counts in support.items()
        if 0 < counts["positive_subjects"] < FEW_SUBJECTS
    ]
    if not few:
        return []
    return [
        f"fewer than {FEW_SUBJECTS} positive subjects, so the interval is narrower than the "
        f"doubt: {', '.join(few)}"
    ]


def _confusion(scorer: Scorer, found: Read, rows: Mapping[str, Floats]) -> Confusion | None:
    if "confusion" not in rows:
        return None
    truth, said = scorer.confusion_names(found.answers)
    counts = rows["confusion"].sum(axis=0).reshape(len(truth), len(said))
    return Confusion(truth, said, counts)
