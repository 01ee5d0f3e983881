"""Look for what is wrong with recordings: stores, publishers' folders, one's own files, and runs.

Units by size, leads by the limb-lead identities, rates by heart rates; flat, clipped, missing and
cut-off signals; equal samples; tables that do not fit their files; damage of a store; and, of runs,
test subjects who were learnt from. Ends with 0 if nothing but hints was found, else with 1.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pahcl.commands._common import datasets, nearest, write_json
from pahcl.errors import UsageError

if TYPE_CHECKING:
    from pahcl.commands._doctor_examine import Examined

RECORDS = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "path",
        nargs="+",
        metavar="PATH",
        help="a store, a publisher's folder, one's own file or folder of recordings, or a run; "
        "several are also held against each other",
    )
    parser.add_argument(
        "--dataset",
        metavar="NAME",
        help="read folders as this data set (default: the one that they are, found by their files)",
    )
    parser.add_argument(
        "--records",
        type=int,
        default=RECORDS,
        metavar="N",
        help=f"read the signals of so many records, spread over the whole (default {RECORDS}; 0 = "
        "all); tables, checksums and files are looked at whole",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the findings there")


def run(arguments: argparse.Namespace) -> int:
    """Examine what lies at the paths: 0 without findings (hints are none), 1 with some.

    Raises:
        UsageError: There is nothing at a path that can be examined, or an argument cannot be.
    """
    _require_arguments(arguments)
    from rich.console import Console

    from pahcl.commands._doctor_examine import examine, examine_between, sort_out
    from pahcl.commands._doctor_show import lines_of, verdict

    console = Console()
    runs, folders = sort_out([Path(path) for path in arguments.path], arguments.dataset)
    examined: list[Examined] = [
        examine(folder, arguments.dataset, arguments.records) for folder in folders
    ]
    examined += examine_between(examined, runs)
    lines: list[str] = []
    for one in examined:
        lines.append(f"{one.described}: {verdict(one.findings)}")
        lines += lines_of(one.findings)
    for line in lines:  # whole, however narrow the terminal: paths are there to be copied
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    findings = [finding for one in examined for finding in one.findings]
    facts: dict[str, Any] = {
        "paths": list(arguments.path),
        "examined": [one.facts() for one in examined],
        "findings": [asdict(finding) for finding in findings],
    }
    write_json(arguments.json, facts)
    return 1 if any(finding.severity != "hint" for finding in findings) else 0


def _require_arguments(arguments: argparse.Namespace) -> None:
    if arguments.records < 0:
        raise UsageError(
            f"`--records {arguments.records}`: give how many records to read, or 0 for all."
        )
    if arguments.dataset is not None and arguments.dataset not in datasets():
        raise UsageError(
            f"There is no data set `{arguments.dataset}`"
            f"{nearest(arguments.dataset, datasets())}; there are: {', '.join(datasets())}."
        )
