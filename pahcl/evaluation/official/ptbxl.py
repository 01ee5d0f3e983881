"""PTB-XL benchmark: macro AUROC, and the largest F1 that one threshold reaches (Fmax)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pahcl.evaluation.official.base import Answers, Floats, Scorer, Scores, ratio

THRESHOLDS = np.linspace(0, 1, 101)
"""Of Fmax, the same for all classes, in steps of 0.01."""


@dataclass(frozen=True, kw_only=True)
class PTBXL(Scorer):
    """Score any set of statements without choosing thresholds."""

    title = "PTB-XL benchmark"
    source = (
        "Strodthoff et al., Deep learning for ECG analysis: benchmarks and insights from PTB-XL, "
        "IEEE J. Biomed. Health Inform. 25(5), 2021; Fmax as in Radivojac et al., Nat. Methods "
        "10, 2013"
    )
    partial = True
    ranked = True
    reads_prediction = False
    headline = "macro_auroc"
    means: ClassVar[Mapping[str, str]] = {"macro_auroc": "auroc", "macro_auprc": "auprc"}

    def summands(self, answers: Answers) -> dict[str, Floats]:
        """Add precision and recall of each record at each threshold.

        Precision is a mean over the records for which something is predicted, recall over all.
        """
        labels, probability = answers.target, answers.probability
        usable = _usable(labels)
        found = np.zeros((len(labels), 3, len(THRESHOLDS)))
        if probability is not None and usable.any():
            truth = labels[usable] == 1
            positives = truth.sum(axis=1)
            for t, threshold in enumerate(THRESHOLDS):
                said = probability[usable] >= threshold
                count, hits = said.sum(axis=1), (said & truth).sum(axis=1)
                found[usable, 0, t] = hits / np.maximum(count, 1)
                found[usable, 1, t] = count > 0
                found[usable, 2, t] = hits / positives
        return {
            "precision": found[:, 0],
            "answered": found[:, 1],
            "recall": found[:, 2],
            "records": usable[:, None].astype(np.float64),
        }

    def scores(self, sums: Mapping[str, Floats], whole: Mapping[str, Floats]) -> Scores:
        """Compute Fmax."""
        del whole
        # Where nothing is predicted at all, there is no hit either, and F1 is 0.
        precision = np.nan_to_num(ratio(sums["precision"], sums["answered"]))
        recall = ratio(sums["recall"], sums["records"])
        f1 = np.nan_to_num(ratio(2 * precision * recall, precision + recall))
        return Scores({"fmax": np.where(sums["records"][:, 0] > 0, f1.max(axis=1), np.nan)})

    def notes(self, answers: Answers) -> list[str]:
        """Say which records the benchmark would not know."""
        labels = answers.target
        open_rows = np.isnan(labels).any(axis=1)
        empty = ~open_rows & (labels == 0).all(axis=1)
        notes = []
        if empty.any():
            notes.append(
                f"{int(empty.sum())} record(s) carry none of the classes; the benchmark leaves "
                "such records out, here they count in AUROC and AUPRC, and not in Fmax"
            )
        if open_rows.any():
            notes.append(
                f"{int(open_rows.sum())} record(s) are not labelled for every class: Fmax leaves "
                "them out"
            )
        return notes


def _usable(labels: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Say which records are labelled for every class and carry at least one."""
    return np.asarray(~np.isnan(labels).any(axis=1) & (np.nansum(labels, axis=1) > 0))
