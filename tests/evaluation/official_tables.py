"""Predictions tables for the official scorers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pahcl.evaluation.official import find_scorer
from pahcl.evaluation.official.base import Scorer
from pahcl.evaluation.official_scores import OfficialScores, score_predictions

WEIGHTS = """,426783006,164889003,713427006|59118001,427393009
426783006,1,0.25,0.35,0.45
164889003,0.25,1,0.4,0.3
713427006|59118001,0.35,0.4,1,0.4
427393009,0.45,0.3,0.4,1
"""
"""A table of weights in the publishers' form, with four classes."""
CODES = ("426783006", "164889003", "713427006", "427393009")


def weights_file(folder: Path) -> str:
    path = folder / "weights.csv"
    path.write_text(WEIGHTS, encoding="utf-8")
    return str(path)


def make(
    classes: Sequence[str],
    target: npt.ArrayLike,
    prediction: npt.ArrayLike,
    probability: npt.ArrayLike | None = None,
    subjects: Sequence[str] | None = None,
    records: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Write a table; without probabilities these are 0.9 and 0.1 by the prediction."""
    truth, said = np.atleast_2d(np.asarray(target, float)), np.atleast_2d(np.asarray(prediction))
    chance = 0.1 + 0.8 * said if probability is None else np.atleast_2d(np.asarray(probability))
    n = len(truth)
    table: dict[str, object] = {
        "record_id": [f"r{i}" for i in range(n)] if records is None else list(records),
        "subject_id": [f"s{i}" for i in range(n)] if subjects is None else list(subjects),
    }
    for k, name in enumerate(classes):
        table[f"target/{name}"] = truth[:, k]
        table[f"probability/{name}"] = chance[:, k].astype(float)
        table[f"prediction/{name}"] = said[:, k]
    return pd.DataFrame(table)


def one_hot(codes: Sequence[int], classes: int) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = np.eye(classes)[list(codes)]
    return found


def chosen(
    classes: Sequence[str], target: Sequence[int], prediction: Sequence[int], **more: object
) -> pd.DataFrame:
    """Write a table of one class a row, from indices."""
    k = len(classes)
    return make(classes, one_hot(target, k), one_hot(prediction, k), **more)  # type: ignore[arg-type]


def scorer_of(name: str, folder: Path | None = None, **options: object) -> Scorer:
    if folder is not None and name in ("cinc2020", "cinc2021"):
        options["weights"] = weights_file(folder)
    return find_scorer(name)(**options)


def score(
    name: str, table: pd.DataFrame, folder: Path | None = None, **options: object
) -> OfficialScores:
    """Score without resamples that would cost time."""
    return score_predictions(scorer_of(name, folder, **options), table, samples=2)


def values(found: OfficialScores) -> dict[str, float]:
    return {name: interval.value for name, interval in found.metrics.items()}
