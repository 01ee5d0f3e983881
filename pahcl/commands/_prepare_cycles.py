"""What `pahcl prepare` does with heart cycles: finds them in a store, counts them, exports them."""

from __future__ import annotations

import argparse
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pahcl.commands._common import nearest
from pahcl.errors import DataError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from data_modules.base import SignalDataModule
    from pahcl.store import CycleTable, SignalStore
    from pahcl.store.cycle_finders import Finder

KINDS = ("upstream", "rhythm", "learned", "annotated", "windows")
"""Where cycles come from: the segmenters, the publisher's annotation, or a clock."""

_LENGTH, _FS = 4000, 5000.0
_SHOWN = 3
_OF_EXPORT = ("export_fs", "export_length", "export_parts", "reject_cycles")


def add_cycle_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of heart cycles."""
    group = parser.add_argument_group("heart cycles (heart sounds alone)")
    group.add_argument(
        "--cycles",
        metavar="NAME",
        help="also find the heart cycles of every record, and write them as a table beside the "
        "records: by a segmenter (upstream, rhythm, learned), from the publisher's annotation "
        "(annotated), or as fixed windows of 2 s (windows); nothing is dropped, flags say what is "
        "wrong with a cycle. A store that is complete needs no --root for it, but for annotated",
    )
    group.add_argument(
        "--export-cycles",
        metavar="DIR",
        help="also write the store's cycles (those of --cycles, or the only ones) as PA-HCL does, "
        "subject_x/rec_y/cycle_000.npy, band-passed from 25 to 400 Hz and divided by the "
        "recording's spread, with processing_stats.json, their places and their labels",
    )
    group.add_argument(
        "--export-fs", type=float, metavar="HZ", help=f"rate of the files (default {_FS:g})"
    )
    group.add_argument(
        "--export-length",
        type=int,
        metavar="N",
        help=f"samples of a file: the middle of a longer cycle, zeros around a shorter one "
        f"(default {_LENGTH}; 0 = as long as the cycle)",
    )
    group.add_argument(
        "--export-parts",
        type=int,
        metavar="K",
        help="also write each cycle in K equal parts (cycle_000_sub_0.npy …)",
    )
    group.add_argument(
        "--reject-cycles",
        nargs="+",
        metavar="FLAG",
        help="leave cycles with one of these flags out of the export, and say whose they were; "
        "without it all are written",
    )


def wants_cycles(arguments: argparse.Namespace) -> bool:
    """Say whether anything is asked of heart cycles."""
    return arguments.cycles is not None or arguments.export_cycles is not None


def require_cycle_options(arguments: argparse.Namespace, module: type[SignalDataModule]) -> None:
    """Refuse what cannot be before anything is packed.

    Raises:
        UsageError: With what to ask instead.
    """
    for name in _OF_EXPORT:
        if getattr(arguments, name) is not None and arguments.export_cycles is None:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"`{flag}` says how cycles are exported: give `--export-cycles DIR`.")
    if not wants_cycles(arguments):
        return
    if module.name != "folder" and module.modality != "pcg":  # a folder says so when it is packed
        raise _no_sounds(module.title)
    if arguments.shard is not None:
        raise UsageError(
            "Heart cycles are found in a complete store: write the shares with `--shard` alone, "
            f"then give `--cycles {arguments.cycles or 'NAME'}` with `--merge`."
        )
    if arguments.cycles is not None and arguments.cycles not in KINDS:
        raise UsageError(
            f"There are no heart cycles `{arguments.cycles}`{nearest(arguments.cycles, KINDS)}; "
            f"there are: {', '.join(KINDS)}."
        )
    if arguments.cycles == "annotated" and not hasattr(module, "states"):
        raise UsageError(
            f"{module.title} has no annotated heart cycles: find them with `--cycles rhythm` or "
            "`--cycles learned`."
        )
    if arguments.export_cycles is not None:
        _settings(arguments)


def _no_sounds(title: str) -> UsageError:
    return UsageError(
        f"{title} holds ECGs: `--cycles` and `--export-cycles` find heart cycles in heart sounds "
        "(circor, physionet2016, pascal, or folder)."
    )


def _settings(arguments: argparse.Namespace) -> Any:
    from pahcl.store.cycle_export import ExportSettings

    length = _LENGTH if arguments.export_length is None else arguments.export_length
    return ExportSettings(
        fs=_FS if arguments.export_fs is None else arguments.export_fs,
        length=None if length == 0 else length,
        parts=arguments.export_parts or 0,
        reject=tuple(dict.fromkeys(arguments.reject_cycles or ())),
    )


def cycles_of(
    console: Console, module: type[SignalDataModule], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Find the cycles of a complete store and export them, as asked; show what came of it.

    Returns:
        `cycles`: what the table says of itself; `export`: what was written, without its records.
    """
    from pahcl.store import SignalStore
    from pahcl.store.cycle_export import export_cycles
    from pahcl.store.cycle_writer import write_cycles

    store = SignalStore(arguments.out)
    if store.spec.modality != "pcg":
        raise _no_sounds(str(store.path))
    tasks, labels, groups = _labels(module, store)
    if arguments.cycles is None:
        table = store.cycles()
    else:
        if arguments.engine == "ray":
            console.print("Heart cycles are found by the processors of this machine alone.")
        finder = _finder(module, arguments)
        table = write_cycles(store, finder, groups=groups, workers=arguments.workers)
    _show(console, store, table)
    facts: dict[str, Any] = {"cycles": table.manifest.to_dict()}
    if arguments.export_cycles is None:
        return facts
    columns = list(dict.fromkeys(column for task in tasks for column in task.columns))
    named = labels[columns].rename(columns=lambda name: str(name).removeprefix("label/"))
    settings = _settings(arguments)
    stats = export_cycles(
        store,
        table,
        arguments.export_cycles,
        settings,
        groups=groups,
        labels=named,
        workers=arguments.workers,
    )
    _show_export(console, Path(arguments.export_cycles), stats)
    facts["export"] = {key: stats[key] for key in ("global_stats", "rejected")}
    return facts


def _finder(module: type[SignalDataModule], arguments: argparse.Namespace) -> Finder:
    """Give what finds the cycles.

    Raises:
        DataError: The publisher's annotations are not there.
    """
    from pahcl.signals.heart_cycles import segmenter_named
    from pahcl.store.cycle_finders import ByAnnotation, ByClock, BySegmenter

    if arguments.cycles == "windows":
        return ByClock()
    if arguments.cycles != "annotated":
        return BySegmenter(segmenter_named(arguments.cycles))
    root = Path(arguments.root or Path(os.environ.get("PAHCL_DATA", "data")) / module.folder)
    if not root.is_dir():
        raise DataError(
            f"There is no folder {root} with the annotations of {module.title}: set `--root` to "
            "where they are."
        )
    states: Any = module
    return ByAnnotation(functools.partial(states.states, root))


def _labels(module: type[SignalDataModule], store: SignalStore) -> tuple[list[Any], Any, Any]:
    """Give the tasks of a store, their label columns, and who is in which class."""
    from pahcl.store.cycle_counts import label_groups

    made = module(store=str(store.path))
    tasks = list(made.tasks.values())
    labels = made.labels(store.table)
    return tasks, labels, label_groups(tasks, labels)


def _show(console: Console, store: SignalStore, table: CycleTable) -> None:
    """Print what was found, and whose cycles are flagged."""
    from rich.table import Table

    manifest = table.manifest
    counts, rate = manifest.counts, manifest.heart_rate
    facts = Table(title=f"heart cycles: {manifest.name}", show_header=False)
    facts.add_row("cycles", f"{counts['cycles']:,}")
    without = counts["records_without_cycles"]
    facts.add_row(
        "records with cycles", f"{counts['records'] - without:,} of {counts['records']:,}"
    )
    if rate["median"] is not None and manifest.name != "windows":
        facts.add_row(
            "heart rate of a record",
            f"{rate['median']:.0f} a minute ({rate['p5']:.0f} to {rate['p95']:.0f} in 90 %)",
        )
    facts.add_row("flagged", _share(counts["flagged"], counts["cycles"]))
    for flag, count in manifest.flags.items():
        if count:
            facts.add_row(f"flag: {flag}", _share(count, counts["cycles"]))
    console.print(facts)
    for reason, names in manifest.refusals().items():
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        text = f"without cycles {len(names):,}: {reason}\n    {', '.join(names[:_SHOWN])}{more}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    for task, classes in manifest.labels.items():
        console.print(_by_label(task, classes))
    where = f"{store.path}/cycles/{manifest.name}.parquet"
    console.print(f"The cycles are a table of the store: {where}", highlight=False, soft_wrap=True)


def _by_label(task: str, classes: dict[str, dict[str, Any]]) -> Any:
    """Make a table of the classes of a task: who lost cycles, and whose are flagged."""
    from rich.markup import escape
    from rich.table import Table

    shown = Table("", *map(escape, classes), title=escape(task))
    for name in ("records", "records_without_cycles", "cycles"):
        shown.add_row(name.replace("_", " "), *(f"{one[name]:,}" for one in classes.values()))
    found = list(classes.values())
    flags = [flag for flag in found[0]["flags"] if any(one["flags"][flag] for one in found)]
    shown.add_row("flagged", *(_share(one["flagged"], one["cycles"]) for one in found))
    for flag in flags:
        shown.add_row(
            f"flag: {flag}", *(_share(one["flags"][flag], one["cycles"]) for one in found)
        )
    return shown


def _share(count: int, of: int) -> str:
    return f"{count:,} ({100 * count / max(of, 1):.1f} %)"


def _show_export(console: Console, out: Path, stats: dict[str, Any]) -> None:
    """Print what was written, and what was left out, by flag and by label."""
    told, dropped = stats["global_stats"], stats["rejected"]
    lines = [
        f"{told['total_cycles_passed']:,} cycles of {told['successful_recordings']:,} recordings "
        f"at {told['sample_rate']:g} Hz are in {out}; none was left out."
    ]
    if dropped["flags"]:
        lines[0] = lines[0].removesuffix("none was left out.") + (
            f"{_share(dropped['dropped'], dropped['cycles'])} were left out by --reject-cycles, "
            f"{dropped['records_without_cycles_left']:,} recordings have none left."
        )
        lines += [f"    {flag}: {count:,}" for flag, count in dropped["by_flag"].items()]
        for task, classes in dropped["by_label"].items():
            whose = (
                f"{name} {_share(one['dropped'], one['cycles'])}" for name, one in classes.items()
            )
            lines.append(f"    left out by {task}: {', '.join(whose)}")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
