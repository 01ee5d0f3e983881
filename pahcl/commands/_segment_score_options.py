"""The options of `pahcl segment PATH --score`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pahcl.errors import UsageError

if TYPE_CHECKING:
    from pahcl.commands._segment_scored import Question

MILLISECONDS = (60.0, 100.0)

NOT_SCORED = ("pictures", "sheet", "excerpt", "min_confidence")
"""What is of no use to a score."""


def add_score_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group(
        "scoring",
        "Hold one or several segmenters against annotations: the .tsv beside each sound, or those "
        "of a data set. What the numbers mean: docs/heart_sounds_accuracy.md",
    )
    add = group.add_argument
    add("--score", action="store_true", help="score; --out gets scores.csv and scores.md")
    add(
        "--dataset",
        metavar="NAME",
        help="PATH is the publisher's folder: physionet2016 (corrected by hand), circor or pascal",
    )
    add(
        "--tolerance",
        type=float,
        nargs="+",
        default=list(MILLISECONDS),
        metavar="MS",
        help="how far the middle of a sound may be off, in milliseconds (default 60 100)",
    )
    add(
        "--score-learnt",
        action="store_true",
        help="score also recordings that the weights were trained or validated on",
    )
    add("--samples", type=int, default=1000, metavar="N", help="resamples for the intervals")
    add("--seed", type=int, default=0, metavar="S", help="of the resamples")


def refuse_score_options(arguments: argparse.Namespace) -> None:
    """Refuse options of a score where none is asked for, and a missing folder of results.

    Raises:
        UsageError: One was given, or no folder.
    """
    if arguments.out is None:
        raise UsageError("Give the folder of the results: `--out DIR`.")
    given = [name for name in ("dataset", "score_learnt") if getattr(arguments, name)]
    if given:
        option = given[0].replace("_", "-")
        raise UsageError(f"`--{option}` is an option of a score: give `--score` too.")


def require_weights(file: str) -> None:
    """Refuse weights that are not there.

    Raises:
        UsageError: There is no such file.
    """
    if not Path(file).is_file():
        raise UsageError(f"`--weights`: there is no file {file}.")


def question_of(arguments: argparse.Namespace) -> Question:
    """Read what is to be scored.

    Raises:
        UsageError: An option makes no sense.
    """
    from pahcl.commands._segment_scored import Question
    from pahcl.signals.heart_cycles import SEGMENTERS

    given = [name for name in NOT_SCORED if getattr(arguments, name, None)]
    if given:
        raise UsageError(
            f"`--{given[0].replace('_', '-')}` is of no use to a score: leave it out, or leave out "
            "`--score`."
        )
    segmenters = tuple(dict.fromkeys(arguments.segmenter or SEGMENTERS))
    unknown = [name for name in segmenters if name not in SEGMENTERS]
    if unknown:
        raise UsageError(
            f"There is no segmenter `{unknown[0]}`; there are {', '.join(SEGMENTERS)}."
        )
    if not all(0 < one <= 1000 for one in arguments.tolerance):
        raise UsageError("`--tolerance` takes milliseconds above 0, 1000 at most, such as 60 100.")
    if arguments.samples < 0 or arguments.seed < 0:
        raise UsageError("`--samples` and `--seed` must not be negative.")
    if arguments.weights is not None:
        require_weights(arguments.weights)
    if arguments.workers is not None and arguments.workers < 1:
        raise UsageError(f"`--workers` must be 1 or more, got {arguments.workers}.")
    return Question(
        path=Path(arguments.path),
        segmenters=segmenters,
        dataset=arguments.dataset,
        ecg=bool(arguments.ecg),
        learnt=arguments.score_learnt,
        weights=Path(arguments.weights) if arguments.weights else None,
        tolerances=tuple(sorted({one / 1000 for one in arguments.tolerance})),
        workers=arguments.workers,
        samples=arguments.samples,
        seed=arguments.seed,
    )


def run_score_verb(arguments: argparse.Namespace) -> int:
    """Score, print and write: 1 where recordings could not be read.

    Raises:
        UsageError: An option makes no sense, or nothing can be scored.
    """
    question = question_of(arguments)
    from rich.console import Console

    from pahcl.commands._common import write_json
    from pahcl.commands._segment_score import run_score

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    found, status = run_score(question, Path(arguments.out) if arguments.out else None, console)
    write_json(arguments.json, found.facts())
    return status


WIDE = 220
"""Columns of a table that is written to a file or a pipe."""
