"""Score a predictions table by the published rules of a challenge or a benchmark.

Several rows of a record or of a subject become one answer by the rule that --record and --subject
name. What each scorer needs, and what its traps are: docs/scorers.md.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pahcl.commands._common import write_json
from pahcl.errors import UsageError
from pahcl.evaluation.official import find_scorer, scorer_names

if TYPE_CHECKING:
    from rich.console import Console

    from pahcl.evaluation.official.base import Scorer
    from pahcl.evaluation.official_scores import OfficialScores

WIDE = 200
"""Columns of a table that is written to a file or a pipe."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; the options of a scorer are the fields of its class."""
    scorers = {name: find_scorer(name) for name in scorer_names()}
    width = max(map(len, scorers))
    listed = [
        f"  {name:<{width}}  {one.title}: {one.headline}, one answer a {one.unit}"
        for name, one in scorers.items()
    ]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "\n".join([__doc__ or "", "scorers:", *listed])
    add = parser.add_argument
    add("scorer", metavar="SCORER", help=", ".join(scorers))
    add("predictions", metavar="PREDICTIONS", help="predictions.parquet, or a run that has one")
    add(
        "--record",
        metavar="RULE",
        help="make one answer of several rows of a record (its cycles): mean, vote or max",
    )
    add(
        "--subject",
        metavar="RULE",
        help="make one answer of several records of a subject: mean, vote, max or any-site",
    )
    add(
        "--threshold",
        action="append",
        default=[],
        metavar="[CLASS=]T",
        help="of the probability after mean and max, where not the most probable class is taken; "
        "from validation (default: 0.5)",
    )
    add(
        "--labels",
        metavar="FILE",
        help="CSV or Parquet with what the scorer reads beside the predictions, by record_id or "
        "subject_id: quality, outcome or first_label; the publishers' REFERENCE-SQI.csv, "
        "training_data.csv and REFERENCE.csv are known",
    )
    for option, (field, names) in _options(scorers).items():
        metavar = field.metadata.get("metavar")
        add(
            f"--{option}",
            metavar=metavar or "VALUE",
            nargs=len(metavar) if metavar else None,
            type=float if metavar else str,
            help=f"({', '.join(names)}) {field.metadata['help']}",
        )
    add("--samples", type=int, default=1000, metavar="N", help="resamples of the subjects")
    add("--level", type=float, default=0.95, metavar="P", help="of the intervals")
    add("--seed", type=int, default=0, metavar="S", help="of the resamples")
    add("--json", metavar="FILE", help="also write the facts there")


def _options(
    scorers: dict[str, type[Scorer]],
) -> dict[str, tuple[dataclasses.Field[Any], list[str]]]:
    """Find the options of all scorers, each with the scorers that take it."""
    found: dict[str, tuple[dataclasses.Field[Any], list[str]]] = {}
    for name, scorer in scorers.items():
        for field in dataclasses.fields(scorer):
            if "help" in field.metadata:
                option = field.name.replace("_", "-")
                found.setdefault(option, (field, []))[1].append(name)
    return found


def run(arguments: argparse.Namespace) -> int:
    """Score the table, print what came out, and write it as JSON."""
    from rich.console import Console

    from pahcl import files
    from pahcl.evaluation.official_scores import score_predictions
    from pahcl.evaluation.predictions import read_predictions

    if arguments.seed < 0:
        raise UsageError(f"--seed must not be negative, got {arguments.seed}.")
    scorer = _scorer(arguments)
    path = Path(arguments.predictions)
    path = path / "predictions.parquet" if path.is_dir() else path
    threshold = _threshold(arguments.threshold)
    if arguments.threshold and not (arguments.record or arguments.subject):
        raise UsageError(
            "`--threshold` decides after `--record` or `--subject`; the decisions of the table "
            "are read as they are."
        )
    found = score_predictions(
        scorer,
        read_predictions(path),
        source=str(path),
        labels=arguments.labels,
        record=arguments.record,
        subject=arguments.subject,
        threshold=threshold,
        samples=arguments.samples,
        seed=arguments.seed,
        level=arguments.level,
    )
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    _show(scorer, found, path, arguments.level, console)
    asked = {
        "predictions": {"file": path.name, "sha256": files.sha256_file(path)},
        "options": dataclasses.asdict(scorer),
        "aggregation": {
            "record": arguments.record,
            "subject": arguments.subject,
            "threshold": threshold,
        },
        "labels": Path(arguments.labels).name if arguments.labels else None,
        "bootstrap": {
            "samples": arguments.samples,
            "level": arguments.level,
            "seed": arguments.seed,
        },
    }
    write_json(arguments.json, {**found.facts(scorer), **asked})
    return 0


def _scorer(arguments: argparse.Namespace) -> Scorer:
    """Make the scorer with its options; those of another one are refused."""
    chosen = find_scorer(arguments.scorer)
    scorers = {name: find_scorer(name) for name in scorer_names()}
    values = {}
    for option, (field, names) in _options(scorers).items():
        value = getattr(arguments, field.name)
        if value is None:
            continue
        if arguments.scorer not in names:
            raise UsageError(
                f"`--{option}` is an option of {', '.join(names)}, not of {arguments.scorer}."
            )
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return chosen(**values)


def _threshold(words: list[str]) -> float | dict[str, float]:
    """Read `T`, or `CLASS=T` once or several times."""
    from pahcl.evaluation.predictions import DEFAULT_THRESHOLD

    found: dict[str, float] = {}
    for word in words:
        name, _, number = word.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise UsageError(
                f"`--threshold` takes a number from 0 to 1, or CLASS=NUMBER; got {word!r}."
            )
        found[name] = value
    if "" in found and len(words) > 1:
        raise UsageError("`--threshold` takes one number for all classes, or CLASS=T for each.")
    return found.get("", found or DEFAULT_THRESHOLD)


def _show(
    scorer: Scorer, found: OfficialScores, path: Path, level: float, console: Console
) -> None:
    """Print the scores, the classes and what to know about them."""
    from rich.table import Table
    from rich.text import Text

    def draw(title: str, rows: list[list[str]]) -> None:
        table = Table(title=Text(title), title_justify="left")
        for k, name in enumerate(rows[0]):
            table.add_column(Text(name), justify="right" if k else "left", overflow="fold")
        for row in rows[1:]:
            table.add_row(*map(Text, row))
        console.print(table)

    counted = [f"{found.n_units} {scorer.unit}s", f"{found.n_subjects} subjects"]
    head = ", ".join([f"{scorer.title}: {path}", *dict.fromkeys(counted)])
    interval = f"{100 * level:g} % interval over subjects"
    scores = [["score", "value", interval]]
    for name, value in found.metrics.items():
        arrow = "↓" if name in scorer.lower_is_better else "↑"
        scores.append([f"{name} {arrow}", *_cells(value.value, value.low, value.high)])
    console.print(head, markup=False, soft_wrap=True, style="bold")
    draw("Scores", scores)
    names = list(next(iter(found.per_class.values())))
    counts = list(next(iter(found.support.values())))
    rows = [["class", *(name.replace("_", " ") for name in counts), *names]]
    for one, values in found.per_class.items():
        cells = [" ".join(_cells(v.value, v.low, v.high)).strip() for v in values.values()]
        rows.append([one, *(str(found.support[one][name]) for name in counts), *cells])
    draw("Classes", rows)
    for note in found.notes:
        console.print(f"- {note}", markup=False, soft_wrap=True)


def _cells(value: float, low: float, high: float) -> list[str]:
    """Write a value and its interval: costs in whole numbers, all else with three decimals."""

    def text(number: float) -> str:
        if number != number:
            return "–"
        return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3f}"

    return [text(value), "" if low != low or high != high else f"[{text(low)}, {text(high)}]"]
