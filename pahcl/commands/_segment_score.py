"""`pahcl segment PATH --score`: segmenters side by side, held against annotations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from pahcl import files
from pahcl.commands._segment_cases import Case, Cases, cases_at, is_annotated, learnt_from
from pahcl.commands._segment_one import chosen_segmenter
from pahcl.commands._segment_score_show import markdown_of, show
from pahcl.commands._segment_scored import Question, Result, Scored
from pahcl.errors import PahclError, RecordError, UsageError, told_by
from pahcl.evaluation.heart_cycle_pool import PooledScore, by_group
from pahcl.evaluation.heart_cycles import score_recording, score_without_heart
from pahcl.signals import heart_cycles
from pahcl.signals.heart_cycles import Segmentation, Segmenter
from pahcl.store.cycle_finders import one_thread
from pahcl.store.pool import work_off

CARD = "learned.json"
"""What the weights of the package were learnt from, beside them."""

TABLE, PAGE = "scores.csv", "scores.md"
"""The files in `--out`: a row for each recording and segmenter, and what is printed."""

SCORED, LEARNT, BARE, UNREADABLE = "scored", "learnt from", "not annotated", "unreadable"

ALL = "all"


@dataclass(frozen=True)
class Job:
    """Hold one recording and who is to segment it."""

    case: Case
    segmenters: tuple[Segmenter, ...]
    ecg: bool
    tolerances: tuple[float, ...]


def score(question: Question, console: Console) -> Scored:
    """Score segmenters on every annotated recording.

    Args:
        question: What is asked.
        console: Where the progress bar is drawn.

    Raises:
        UsageError: An unknown segmenter or data set, or no annotated recording.
        DataError: The publisher's folder is incomplete.
        StoreError: A worker process died.
    """
    cases = cases_at(question.path, question.dataset, question.ecg)
    seen = _seen(question)
    segmenters = tuple(chosen_segmenter(name, question.weights) for name in question.segmenters)
    chosen = [case for case in cases.cases if case.name not in seen]
    results = {one.name: one for one in _work(question, chosen, segmenters, console)}
    scored = [case for case in chosen if results[case.name].scores]
    unreadable = {
        case.name: reason for case in chosen if (reason := results[case.name].reason) is not None
    }
    if not scored:
        raise UsageError(
            f"No recording of {question.path} can be scored: {len(cases.cases)} are there, "
            f"{len(cases.cases) - len(chosen)} of them learnt from (`--score-learnt` scores "
            f"these), and {len(unreadable)} cannot be read; the others are not annotated."
        )
    counts = Counter(
        {
            SCORED: len(scored),
            LEARNT: len(cases.cases) - len(chosen),
            BARE: len(chosen) - len(scored) - len(unreadable),
            UNREADABLE: len(unreadable),
        }
    )
    ordered = tuple(results[case.name] for case in scored)
    return Scored(
        question=question,
        cases=tuple(scored),
        results=ordered,
        headings=cases.headings,
        pooled=_pooled(question, cases, scored, ordered),
        left=dict(counts),
        unreadable=unreadable,
        simulated=cases.simulated,
    )


def _seen(question: Question) -> frozenset[str]:
    """Name the recordings that the weights were trained or validated on.

    Raises:
        UsageError: Of weights of one's own nobody knows it.
    """
    if question.dataset is None or question.learnt:
        return frozenset()
    card = Path(heart_cycles.__file__).with_name(CARD)
    if question.weights is not None:
        card = question.weights.with_suffix(".json")
        if not card.is_file():
            raise UsageError(
                f"There is no {card} that says what {question.weights} was learnt from: put the "
                "one of its training there, or score everything with `--score-learnt`."
            )
    if not card.is_file():
        return frozenset()
    try:
        known = learnt_from(json.loads(card.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{card} does not say what {question.weights or 'the weights'} were learnt from "
            f"({type(error).__name__}: {error}): put the one of their training there, or score "
            "everything with `--score-learnt`."
        ) from error
    return known.get(question.dataset, frozenset())


def _work(
    question: Question,
    cases: Sequence[Case],
    segmenters: tuple[Segmenter, ...],
    console: Console,
) -> list[Result]:
    """Segment and score recordings in several processes."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    jobs = [Job(case, segmenters, question.ecg, question.tolerances) for case in cases]
    found = []
    columns = (TextColumn("score"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        line = bar.add_task("score", total=len(jobs))
        for result in work_off(work, jobs, len(jobs), question.workers):
            found.append(result)
            bar.advance(line)
    return found


def work(job: Job) -> Result:
    """Segment and score one recording; one that cannot be read is told by its reason."""
    case = job.case
    try:
        truth = case.truth()
        if truth is None or (case.heart and not is_annotated(truth)):
            return Result(case.name)
        with one_thread():
            segmented = case.segmented(job.segmenters, job.ecg)
    except (RecordError, OSError, ValueError, LookupError, EOFError) as error:
        reason = str(error) if isinstance(error, PahclError) else told_by(error)
        return Result(case.name, reason=reason)
    scores = tuple(
        score_recording(found, truth, job.tolerances)
        if case.heart
        else score_without_heart(found, job.tolerances)
        for found in segmented
    )
    return Result(case.name, scores, tuple(map(_said, segmented)))


def _said(found: Segmentation) -> dict[str, Any]:
    return {
        "heart_rate": found.heart_rate,
        "confidence": found.confidence,
        "refusal": found.refusal or "",
    }


def _pooled(
    question: Question, cases: Cases, scored: Sequence[Case], results: Sequence[Result]
) -> dict[str, dict[str, dict[str, PooledScore]]]:
    """Add recordings up: all of them, and the groups under each heading."""
    settings = {"samples": question.samples, "seed": question.seed}
    found: dict[str, dict[str, dict[str, PooledScore]]] = {}
    for heading in (ALL, *cases.headings):
        groups = [ALL if heading == ALL else case.groups.get(heading, "") for case in scored]
        kept = [k for k, group in enumerate(groups) if group]
        if heading != ALL and len({groups[k] for k in kept}) < 2:
            continue
        names = [groups[k] for k in kept]
        subjects = [scored[k].subject for k in kept]
        for place, segmenter in enumerate(question.segmenters):
            scores = [results[k].scores[place] for k in kept]
            for group, value in by_group(scores, names, subjects, **settings).items():
                found.setdefault(heading, {}).setdefault(group, {})[segmenter] = value
    return found


def run_score(question: Question, out: Path | None, console: Console) -> tuple[Scored, int]:
    """Score, print the tables, and write them.

    Args:
        question: What is asked.
        out: Folder of the files; None writes none.
        console: Where it is printed.

    Returns:
        The scores, and the exit status: 1 where recordings could not be read.

    Raises:
        UsageError: As for `score`.
        OSError: The table cannot be written.
    """
    found = score(question, console)
    show(found, console)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        text = found.table().to_csv(index=False, float_format="%.6g", lineterminator="\n")
        files.write_text(out / TABLE, text)
        files.write_text(out / PAGE, markdown_of(found))
        console.print(
            f"One row for each recording: {out / TABLE}; these tables: {out / PAGE}",
            soft_wrap=True,
            markup=False,
        )
    return found, int(bool(found.unreadable))
