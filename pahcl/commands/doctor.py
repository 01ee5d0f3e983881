"""Look for damage and leaks in a store.

Checks every byte against its checksum, the table against the samples and the counts, and names
equal samples of different subjects and subjects that lie in several folds.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pahcl.commands._common import write_json
from pahcl.errors import StoreError, UsageError

if TYPE_CHECKING:
    from pahcl.store import Finding

_SHOWN = 50


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("path", metavar="PATH", help="folder of a store")
    parser.add_argument("--json", metavar="FILE", help="also write the findings there")


def run(arguments: argparse.Namespace) -> int:
    """Examine the store: 0 if it is sound, 1 with findings.

    Raises:
        UsageError: There is nothing at the path.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    path = Path(arguments.path)
    if not path.is_dir():
        raise UsageError(f"There is no folder {path}; `pahcl doctor` wants the folder of a store.")
    console = Console()
    described, findings = examine(path)
    facts = {"path": str(path), "findings": [asdict(finding) for finding in findings]}
    write_json(arguments.json, facts)
    if not findings:
        console.print(f"{escape(described)}: sound, nothing was found.", highlight=False)
        return 0
    table = Table("finding", "where", "what", title=f"{len(findings)} finding(s)")
    for finding in findings[:_SHOWN]:
        table.add_row(*(escape(text) for text in (finding.kind, finding.where, finding.text)))
    if len(findings) > _SHOWN:
        table.add_row("…", f"{len(findings) - _SHOWN} more", "`--json FILE` holds them all")
    console.print(escape(described), highlight=False)
    console.print(table)
    return 1


def examine(path: Path) -> tuple[str, list[Finding]]:
    """Open and verify a store; one that cannot be opened is a finding too."""
    from pahcl.store import Finding, SignalStore, verify

    try:
        store = SignalStore(path)
        return f"{path}: {store.manifest.dataset}, {len(store)} records", verify(store)
    except StoreError as error:
        return str(path), [Finding("cannot be read", str(path), str(error))]
