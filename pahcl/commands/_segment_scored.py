"""What was asked and what came of it when segmenters were held against annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pahcl.commands._segment_cases import Case
from pahcl.evaluation.heart_cycle_pool import PooledScore, pool
from pahcl.evaluation.heart_cycles import TOLERANCES, RecordingScore
from pahcl.signals.heart_cycles import SEGMENTERS


@dataclass(frozen=True)
class Question:
    """Hold what is to be scored.

    Args:
        path: The publisher's folder, a folder of sounds with `.tsv`, or one such sound.
        segmenters: Who is scored, by name.
        dataset: Name of the data set; None for sounds with a `.tsv` beside them.
        ecg: Whether an ECG that was recorded with a sound is given to the segmenters.
        learnt: Whether recordings that the weights have seen are scored too.
        weights: Weights of one's own for `learned`; None takes those of the package.
        tolerances: Of the middles of sounds, in seconds.
        workers: Processes at most; None takes one for each processor.
        samples: Resamples of the subjects, for the intervals.
        seed: Of the resamples.
    """

    path: Path
    segmenters: tuple[str, ...] = SEGMENTERS
    dataset: str | None = None
    ecg: bool = False
    learnt: bool = False
    weights: Path | None = None
    tolerances: tuple[float, ...] = TOLERANCES
    workers: int | None = 1
    samples: int = 1000
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Result:
    """Hold what came of one recording.

    Args:
        name: Its name.
        scores: One a segmenter; none where nothing is annotated or the file is damaged.
        found: What each said, in short.
        reason: Why it cannot be read.
    """

    name: str
    scores: tuple[RecordingScore, ...] = ()
    found: tuple[Mapping[str, Any], ...] = ()
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class Scored:
    """Hold the scores of all segmenters.

    Args:
        question: What was asked.
        cases: Those that were scored, by name.
        results: What came of each.
        headings: Under which they are grouped.
        pooled: By heading, group and segmenter; the heading `all` has the group `all`.
        left: How many recordings were scored, learnt from, not annotated, unreadable.
        unreadable: Name and reason of these.
        simulated: Whether a simulator wrote them.
    """

    question: Question
    cases: tuple[Case, ...]
    results: tuple[Result, ...]
    headings: tuple[str, ...]
    pooled: Mapping[str, Mapping[str, Mapping[str, PooledScore]]]
    left: Mapping[str, int]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False

    def facts(self) -> dict[str, Any]:
        """Lay everything out in plain types."""
        asked = self.question
        return {
            "path": asked.path.name,
            "dataset": asked.dataset,
            "simulated": self.simulated,
            "segmenters": list(asked.segmenters),
            "ecg": asked.ecg,
            "weights": asked.weights.name if asked.weights else None,
            "tolerances": list(asked.tolerances),
            "bootstrap": {"samples": asked.samples, "level": 0.95, "seed": asked.seed},
            "recordings": dict(self.left),
            "unreadable": dict(self.unreadable),
            "scores": {
                heading: {
                    group: {name: score.facts() for name, score in by_name.items()}
                    for group, by_name in groups.items()
                }
                for heading, groups in self.pooled.items()
            },
        }

    def table(self) -> pd.DataFrame:
        """Lay out one row for each recording and segmenter."""
        rows = []
        for case, result in zip(self.cases, self.results, strict=True):
            of_case = {"recording": case.name, "subject": case.subject, **case.groups}
            for name, score, said in zip(
                self.question.segmenters, result.scores, result.found, strict=True
            ):
                alone = pool([score], samples=0).metrics if case.heart else {}
                rows.append(
                    {
                        **of_case,
                        "segmenter": name,
                        **said,
                        "reference_rate": score.reference_rate,
                        **{metric: value.value for metric, value in alone.items()},
                        **score.counts,
                    }
                )
        return pd.DataFrame(rows)
