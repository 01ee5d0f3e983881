"""Find the heart cycles of one's own heart sounds: states, a table, pictures.

Writes, for each recording, its states (S1, systole, S2, diastole) as .tsv in the form of the CirCor
data set, and for all of them summary.csv, a row a recording, and cycles.csv, a row a cycle. What is
done already, with the same settings, is not done again. Ends with 1 if a recording was refused.
With --score it writes no states: it holds segmenters against annotations.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pahcl.commands._common import write_json
from pahcl.commands._segment_score_options import (
    add_score_options,
    refuse_score_options,
    require_weights,
    run_score_verb,
)
from pahcl.errors import UsageError

if TYPE_CHECKING:
    from pahcl.commands._segment_files import Found
    from pahcl.commands._segment_journal import Journal
    from pahcl.commands._segment_one import Job, Settings

WIDE = 160
"""Columns of a table that is written to a file or a pipe."""

DEFAULT = "learned"
"""The segmenter where none is named."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add(
        "path",
        metavar="PATH",
        help="a sound file (wav, FLAC, whatever libsndfile reads), a WFDB header, or a folder of "
        "them, which is looked through with all folders below",
    )
    add("--out", metavar="DIR", help="folder of the results, below which paths are those below "
        "PATH; only a score does without")  # fmt: skip
    add(
        "--segmenter",
        nargs="+",
        metavar="NAME",
        help="learned (default), rhythm or upstream; a score takes several (default: all three)",
    )
    add(
        "--min-confidence",
        type=float,
        metavar="C",
        help="a cycle of less confidence has the flag low_confidence (default 0.3)",
    )
    add(
        "--reject",
        nargs="*",
        default=["low_confidence"],
        metavar="FLAG",
        help="flags for which a cycle is rejected: it stays in cycles.csv, is not measured, and is "
        "unannotated in the .tsv (default low_confidence; none: no cycle is rejected)",
    )
    add(
        "--ecg",
        action=argparse.BooleanOptionalAction,
        help="make use of an ECG that a WFDB header beside a sound tells of, as in PhysioNet 2016 "
        "(default), or not (default of a score)",
    )
    add(
        "--weights",
        metavar="FILE",
        help="of one's own training, for learned; to a score the .json beside them says what they "
        "have seen",
    )
    add("--pictures", action="store_true", help="draw each recording, as .png beside its .tsv")
    add(
        "--excerpt",
        nargs=2,
        type=float,
        metavar=("BEGIN", "END"),
        help="seconds that the pictures show, a minute at most (default: all, or the minute in the "
        "middle)",
    )
    add("--sheet", action="store_true", help="draw contact sheets of all recordings (sheet.png)")
    add("--workers", type=int, metavar="N", help="processes (default: one for each processor)")
    add("--json", metavar="FILE", help="also write what was found there")
    add_score_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Segment what lies at the path, or score it: 0 if all of it was, 1 if some was refused.

    Raises:
        UsageError: There is nothing to be segmented, or an argument cannot be.
    """
    if arguments.score:
        return run_score_verb(arguments)
    refuse_score_options(arguments)
    settings = _settings(arguments)
    from rich.console import Console

    from pahcl.commands._segment_files import find_recordings
    from pahcl.commands._segment_journal import Journal, one_writer
    from pahcl.commands._segment_show import show, title_of
    from pahcl.commands._segment_tables import write_sheets, write_tables

    path, out = Path(arguments.path), Path(arguments.out)
    found = find_recordings(path, out)
    _require_other_folder(found.root, out)
    began = time.monotonic()
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    with one_writer(out):
        journal = Journal(out, path)
        jobs = _jobs(arguments, found, out, settings)
        _require_free(journal, jobs)
        done = _segment(journal, jobs, arguments.workers)
        names = [one.name for one in found.recordings]
        write_tables(out, journal, names)
        facts = _facts(arguments, found, journal, settings)
        facts["counts"]["done_before"] = len(jobs) - done
        facts["seconds"] = round(time.monotonic() - began, 3)
        sheets = []
        if arguments.sheet:
            title = title_of(facts)
            sheets = list(write_sheets(out, journal, list(found.recordings), title))
        facts["sheets"] = [str(sheet) for sheet in sheets]
    show(console, facts)
    write_json(arguments.json, facts)
    return 1 if facts["refused"] else 0


def _settings(arguments: argparse.Namespace) -> Settings:
    """Read the settings out of the options, or refuse them before anything heavy is imported."""
    segmenter = _segmenter(arguments)
    if arguments.workers is not None and arguments.workers < 1:
        raise UsageError(f"`--workers` must be 1 or more, got {arguments.workers}.")
    if arguments.excerpt is not None and not 0 <= arguments.excerpt[0] < arguments.excerpt[1]:
        raise UsageError(
            "`--excerpt` is a begin and an end in seconds, got "
            f"{arguments.excerpt[0]:g} {arguments.excerpt[1]:g}."
        )
    if arguments.excerpt is not None and not arguments.pictures:
        raise UsageError("`--excerpt` chooses what pictures show: give `--pictures` too.")

    from pahcl.commands._segment_one import Settings
    from pahcl.signals.heart_cycles.digest import code_digest
    from pahcl.signals.heart_cycles.quality import Quality

    least = Quality.least_confidence
    least = least if arguments.min_confidence is None else arguments.min_confidence
    if not 0 <= least <= 1:
        raise UsageError(f"`--min-confidence` is from 0 to 1, got {least:g}.")
    reject = tuple(sorted({*arguments.reject} - {"none"}))
    unknown = [name for name in reject if name not in Quality.flags]
    if unknown:
        raise UsageError(
            f"`--reject {unknown[0]}`: there is no such flag; there are {', '.join(Quality.flags)}."
        )
    weights = arguments.weights
    code = code_digest(weights)
    return Settings(segmenter, least, reject, arguments.ecg is not False, code, weights)


def _segmenter(arguments: argparse.Namespace) -> str:
    """Name the one segmenter that is asked for, and see that its weights are there."""
    from pahcl.signals.heart_cycles import SEGMENTERS

    segmenter, *others = arguments.segmenter or [DEFAULT]
    if segmenter not in SEGMENTERS:
        raise UsageError(f"There is no segmenter `{segmenter}`; there are {', '.join(SEGMENTERS)}.")
    if others:
        raise UsageError("One `--segmenter` segments; several are compared by `--score`.")
    if arguments.weights is not None:
        require_weights(arguments.weights)
        if segmenter != "learned":
            raise UsageError(f"`--weights` are those of learned; {segmenter} has none.")
    return str(segmenter)


def _require_other_folder(root: Path, out: Path) -> None:
    """Keep annotations that lie beside the recordings from being overwritten."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"`--out {out}` is a file: name a folder.")
    if out.resolve() == root.resolve():
        raise UsageError(
            f"`--out {out}` is the folder of the recordings, where annotations of the same names "
            "may lie: name another one."
        )


def _jobs(arguments: argparse.Namespace, found: Found, out: Path, settings: Settings) -> list[Job]:
    from pahcl.commands._segment_one import Job

    excerpt = None if arguments.excerpt is None else tuple(arguments.excerpt)
    return [Job(one, out, settings, arguments.pictures, excerpt) for one in found.recordings]


def _require_free(journal: Journal, jobs: list[Job]) -> None:
    """Refuse to write over files, in a folder that holds no results of this verb.

    Raises:
        UsageError: With the first of them.
    """
    if not journal.is_new:
        return
    there = [job.out / name for job in jobs for name in job.results]
    there = [file for file in there if file.exists()]
    if there:
        journal.forget()
        raise UsageError(
            f"{there[0]} is there already and was not written by this verb ({len(there)} such "
            "files): give another `--out`."
        )


def _segment(journal: Journal, jobs: list[Job], workers: int | None) -> int:
    """Segment what is not done yet; give how many recordings that were."""
    from pahcl.commands._segment_one import work
    from pahcl.store.bar import Bar
    from pahcl.store.pool import work_off

    left = [job for job in jobs if not journal.is_done(job)]
    for job in left:
        journal.clear(job)
    rows = dict.fromkeys(range(len(jobs)), 1)
    modules = ["pahcl.signals.heart_cycles." + job.settings.segmenter for job in left[:1]]
    with journal.writing(), Bar(True, "segment", rows, list(range(len(left)))) as bar:
        for entry in work_off(work, left, len(left), workers, modules):
            journal.add(entry)
            bar.advance(1)
    return len(left)


def _facts(
    arguments: argparse.Namespace, found: Found, journal: Journal, settings: Settings
) -> dict[str, Any]:
    """Collect what was found, as plain types."""
    names = [one.name for one in found.recordings]
    rows = [entry["row"] for entry in journal.entries(names)]
    status = Counter(row["status"] for row in rows)
    refused = [{"file": row["file"], "reason": row["refusal"]} for row in rows if row["refusal"]]
    refused += [{"file": name, "reason": reason} for name, reason in found.refused]
    vanished = sorted({*journal.names()} - {*names})
    return {
        "path": str(arguments.path),
        "out": str(arguments.out),
        "segmenter": settings.segmenter,
        "min_confidence": settings.min_confidence,
        "reject": list(settings.reject),
        "ecg": settings.ecg,
        "counts": {
            "found": len(rows) + len(found.refused),
            **{name: status[name] for name in ("segmented", "refused", "unreadable")},
            "not_looked_at": len(found.refused),
            "other_files": len(found.others),
        },
        "recordings": rows,
        "refused": refused,
        "other_files": list(found.others),
        "segmented_before_but_gone": vanished,
    }
