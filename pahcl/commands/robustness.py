"""Measure how a run's network bears attacks, noise and what happens in clinics.

Writes RUN/robustness.json and, for each condition, a predictions table into RUN/robustness/. What
is there already is not computed again: a walk that was stopped goes on with the same command.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pahcl.commands._common import write_json
from pahcl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.progress import Progress

    from pahcl.commands._of_run import RunOnData
    from pahcl.evaluation.protocol import Plan, RobustnessProtocol
    from pahcl.evaluation.run import RunFolder

WIDE = 200
"""Columns of a table that is written to a file or a pipe."""

AGREEMENT = 1e-3
"""Largest difference of a clean probability from that of the test; batches round differently."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="run folders, folders of runs, or patterns of them")
    add(
        "--epsilon",
        nargs="+",
        type=float,
        metavar="E",
        help="sizes of the attacks in the unit of the signal that the network reads: mV unless it "
        "is normalised (default: 0 0.001 0.005 0.01 0.05 0.1)",
    )
    add("--norm", default="linf", metavar="N", help="of the sizes: linf, l2 or l1")
    add("--attack-steps", type=int, default=20, metavar="N", help="of APGD and PGD")
    add("--restarts", type=int, default=2, metavar="N", help="starts of APGD")
    add("--queries", type=int, default=200, metavar="N", help="steps of Square, the black box")
    yes_no = argparse.BooleanOptionalAction
    add("--worst-case", action=yes_no, default=True, help="attack with PGD, margin and Square too")
    add("--corruptions", action=yes_no, default=True, help="corrupt the records as clinics do")
    add(
        "--consistent-leads",
        action="store_true",
        help="attacks keep III = II - I and the augmented leads",
    )
    add("--mains", type=float, default=50.0, metavar="HZ", help="frequency of the mains")
    add("--records", type=int, metavar="N", help="draw so many records (default: all)")
    add("--split", choices=("test", "val"), default="test", help="records that are disturbed")
    add("--seed", type=int, default=0, metavar="S", help="of all draws")
    add("--samples", type=int, default=1000, metavar="N", help="resamples of the subjects")
    add("--batch-size", type=int, metavar="N", help="records at a time (default: the config's)")
    add("--device", default="auto", metavar="D", help="auto, cpu or cuda")
    add("--root", metavar="DIR", help="the publisher's folder (default: the config's)")
    add("--store", metavar="DIR", help="the packed store (default: the config's)")
    add("--json", metavar="FILE", help="write the facts of all runs there too")


def run(arguments: argparse.Namespace) -> int:
    """Examine each run, write what came out, and print it."""
    from rich.console import Console

    from pahcl.commands._of_run import choose_device, require_evidence
    from pahcl.commands._run import one_writer
    from pahcl.evaluation.run import find_runs

    for name, value in (("records", arguments.records), ("batch-size", arguments.batch_size)):
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be 1 or more, got {value}.")
    protocol = _protocol(arguments)
    device = choose_device(arguments.device)
    folders = find_runs(arguments.runs)
    for folder in folders:
        require_evidence(folder)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    found = []
    for folder in folders:
        with one_writer(folder):
            facts = _examine(folder, arguments, protocol, device, console)
        _show(folder, facts, console)
        found.append({"run": str(folder.path), **facts})
    write_json(arguments.json, {"runs": found})
    return 0


def _protocol(arguments: argparse.Namespace) -> RobustnessProtocol:
    """Read the protocol out of the options, or refuse them."""
    from pahcl.evaluation.protocol import EPSILONS, RobustnessProtocol

    return RobustnessProtocol(
        epsilons=EPSILONS if arguments.epsilon is None else tuple(arguments.epsilon),
        norm=arguments.norm,
        steps=arguments.attack_steps,
        restarts=arguments.restarts,
        queries=arguments.queries,
        worst_case=arguments.worst_case,
        corruptions=arguments.corruptions,
        consistent_leads=arguments.consistent_leads,
        mains=arguments.mains,
        seed=arguments.seed,
        samples=arguments.samples,
    )


def _examine(
    folder: RunFolder,
    arguments: argparse.Namespace,
    protocol: RobustnessProtocol,
    device: Any,
    console: Console,
) -> dict[str, Any]:
    """Measure one run and write its files; the facts come last."""
    from pahcl import files
    from pahcl.commands._of_run import open_run
    from pahcl.evaluation.perturbed import FOLDER, Shelf
    from pahcl.evaluation.protocol import plan
    from pahcl.evaluation.robustness import keep_evidence, measure, robustness_facts

    opened = open_run(
        folder,
        arguments.split,
        device,
        arguments.records,
        protocol.seed,
        root=arguments.root,
        store=arguments.store,
        batch_size=arguments.batch_size,
    )
    task, spec = opened.examined.task, opened.examined.spec
    wanted = plan(protocol, task, spec)
    place = folder.path / (FOLDER if arguments.split == "test" else f"{FOLDER}_{arguments.split}")
    shelf = Shelf(place, opened.identity(folder, protocol.seed))
    with _progress(console) as progress:
        advance = _advance(progress, wanted, len(opened.rows))
        outcomes = measure(opened.examined, opened.batches, wanted, protocol.seed, shelf, advance)
    facts = robustness_facts(task, spec, protocol, wanted, outcomes)
    facts |= {"split": arguments.split, "data": opened.data.data_receipt()}
    facts["warnings"] += _disagreement(folder, outcomes["clean"].predictions, arguments.split)
    facts["examples"] = _examples(opened, wanted, facts, outcomes, place, protocol.seed)
    kept = keep_evidence(shelf, task, protocol, wanted, outcomes)
    kept += [folder.path / facts["examples"]["file"]] if facts["examples"] else []
    facts["sha256"] = {
        "checkpoint": shelf.identity["checkpoint"],
        "files": {f"{place.name}/{one.name}": files.sha256_file(one) for one in kept},
    }
    files.write_json(folder.evidence("robustness.json", arguments.split), facts)
    return facts


def _progress(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _advance(progress: Progress, wanted: Plan, records: int) -> Callable[[str, int], None]:
    """Make what tells the bar of work that was done, weighed by the passes that it takes."""
    weight = {one.key: float(_passes(one.attack)) for one in wanted.conditions}
    bar = progress.add_task("", total=records * sum(weight.values()))

    def advance(key: str, count: int) -> None:
        done = records if count < 0 else count
        progress.update(bar, description=key, advance=done * weight[key])

    return advance


def _passes(attack: object) -> int:
    """Estimate the passes that an attack takes, a pass forward and back counted as three."""
    steps = int(getattr(attack, "steps", 0)) * int(getattr(attack, "restarts", 1))
    return 1 + 3 * steps + int(getattr(attack, "queries", 0))


def _disagreement(folder: RunFolder, clean: Any, split: str) -> list[str]:
    """Compare the clean predictions with those of the test, record by record."""
    from pahcl.evaluation.predictions import columns_of, read_predictions

    if not folder.evidence("predictions.parquet", split).is_file():
        return []
    task = folder.load_task(split)
    records = "predictions.parquet" if task.level == "record" else "predictions_records.parquet"
    names = columns_of(task, "probability")
    tested = read_predictions(folder.evidence(records, split))
    both = clean.merge(tested, on="record_id", suffixes=("", "/tested"))
    gaps = [(both[name] - both[f"{name}/tested"]).abs().max() for name in names]
    most = max(gaps, default=0.0)
    if len(both) == len(clean) and most <= AGREEMENT:
        return []
    what = (
        f"differ by up to {most:.2g} from"
        if len(both) == len(clean)
        else "are of other records than"
    )
    return [
        f"The clean predictions {what} those of `pahcl test`: data or code changed since. "
        "Test the run again before its robustness is quoted."
    ]


def _examples(
    opened: RunOnData,
    wanted: Plan,
    facts: dict[str, Any],
    outcomes: dict[str, Any],
    place: Path,
    seed: int,
) -> dict[str, Any] | None:
    """Keep the signals of a few attacked records, for the report."""
    import numpy as np

    from pahcl import files
    from pahcl.evaluation.robustness import examples, telling_records, telling_size
    from pahcl.evaluation.robustness_file import REPORTED

    size = telling_size(opened.examined.task, facts)
    if size is None:
        return None
    condition = wanted.attacks[size][REPORTED]
    clean, attacked = outcomes["clean"].predictions, outcomes[condition.key].predictions
    names = telling_records(clean, attacked)
    signals = examples(opened.examined, condition, opened.batches, names, seed)
    spec = opened.examined.spec
    target = place / "examples.npz"
    files.write_atomically(
        target,
        lambda stream: np.savez_compressed(
            stream,
            record_id=signals["record_id"],
            clean=signals["clean"],
            perturbation=signals["perturbation"],
            mask=signals["mask"],
        ),
    )
    return {
        "file": f"{place.name}/{target.name}",
        "epsilon": size,
        "condition": condition.key,
        "records": names,
        "fs": spec.fs,
        "leads": list(spec.leads),
        "unit": spec.unit,
    }


def _show(folder: RunFolder, facts: dict[str, Any], console: Console) -> None:
    """Print the curve, the corruptions and the warnings."""
    from rich.table import Table
    from rich.text import Text

    from pahcl.evaluation.robustness_tables import corruption_rows, curve_rows, summary_lines

    for title, rows in (
        (f"{folder.path}: under attack", curve_rows(facts)),
        ("Under corruptions, by severity", corruption_rows(facts)),
    ):
        if len(rows) < 2:
            continue
        table = Table(title=Text(title), title_justify="left")
        for k, name in enumerate(rows[0]):
            table.add_column(Text(name), justify="right" if k else "left", overflow="fold")
        for row in rows[1:]:
            table.add_row(*(Text(one.replace(" [", "\n[").replace(": ", "\n")) for one in row))
        console.print(table)
    for line in summary_lines(facts):
        console.print(line, markup=False, soft_wrap=True)
    if not facts["warnings"]:
        return
    console.print("Read with care:", style="bold")
    for text in facts["warnings"]:
        console.print(f"  - {text}", markup=False, soft_wrap=True)
