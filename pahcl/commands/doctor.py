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
_NAMED = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("path", metavar="PATH", help="folder of a store")
    parser.add_argument("--json", metavar="FILE", help="also write the findings there")


def run(arguments: argparse.Namespace) -> int:
    """Examine the store: 0 if it is sound, 1 with findings.

    Raises:
        UsageError: There is nothing at the path, or no store.
    """
    from rich.console import Console

    path = Path(arguments.path)
    require_store(path)
    console = Console()
    described, findings = examine(path)
    facts = {"path": str(path), "findings": [asdict(finding) for finding in findings]}
    write_json(arguments.json, facts)
    verdict = f"{len(findings)} finding(s)" if findings else "sound, nothing was found."
    lines = [f"{described}: {verdict}"]
    lines += [f"{finding.kind}: {finding.where}: {finding.text}" for finding in findings[:_SHOWN]]
    if len(findings) > _SHOWN:
        lines.append(f"{len(findings) - _SHOWN} more; `--json FILE` holds them all")
    for line in lines:  # whole, however narrow the terminal: paths are there to be copied
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 1 if findings else 0


def require_store(path: Path) -> None:
    """Refuse what is no store, complete or not, and say what to examine instead.

    Raises:
        UsageError: There is no folder, or it holds nothing that a store is made of.
    """
    from pahcl.evaluation.run import RunFolder
    from pahcl.store.manifest import MANIFEST, SHARDS
    from pahcl.store.plan import PLAN

    def is_store(folder: Path) -> bool:
        return any((folder / name).exists() for name in (MANIFEST, PLAN, SHARDS))

    if not path.is_dir():
        raise UsageError(f"There is no folder {path}; `pahcl doctor` wants the folder of a store.")
    if is_store(path):
        return
    below = sorted(folder for folder in path.glob("*") if folder.is_dir())
    hint = "Give the folder that `pahcl prepare` wrote with `--out`."
    if stores := [str(folder) for folder in below if is_store(folder)]:
        more = ", …" if len(stores) > _NAMED else ""
        hint = f"It holds stores, to be examined one by one: {', '.join(stores[:_NAMED])}{more}."
    elif any(RunFolder(folder).is_run for folder in (path, *below, *path.glob("*/*"))):
        hint += " These are runs: `pahcl summarize` and `pahcl report` are for them."
    raise UsageError(f"{path} is not the folder of a store. {hint}")


def examine(path: Path) -> tuple[str, list[Finding]]:
    """Open and verify a store; one that cannot be opened is a finding too."""
    from pahcl.store import Finding, SignalStore, verify

    try:
        store = SignalStore(path)
        return f"{path}: {store.manifest.dataset}, {len(store)} records", verify(store)
    except StoreError as error:
        return str(path), [Finding("cannot be read", str(path), str(error))]
