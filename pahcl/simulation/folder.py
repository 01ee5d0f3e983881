"""The folder that a simulated corpus is written to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pahcl import __version__
from pahcl.errors import DataError, UsageError

MARK = "simulation.json"
"""Says that a folder was written here and holds the truth; no reader of the layout looks at it."""


def claim_folder(out: Path, dataset: str, layout: tuple[str, ...]) -> None:
    """Make a folder for a corpus; an older corpus of the same simulator is replaced.

    Args:
        out: The folder.
        dataset: Name of the simulator.
        layout: Patterns of the files and folders that the simulator writes into `out`; nothing
            else is removed.

    Raises:
        UsageError: The folder holds files that no simulator wrote.
        DataError: The folder cannot be written.
    """
    try:
        if out.is_dir() and any(out.iterdir()):
            _require_mark(out, dataset)
            for found in [path for pattern in layout for path in out.glob(pattern)]:
                if found.is_dir() and not found.is_symlink():
                    shutil.rmtree(found)
                else:
                    found.unlink()
        out.mkdir(parents=True, exist_ok=True)
        # Written first, so that a corpus that was interrupted can be replaced, too.
        write_mark(out, dataset, {"complete": False})
    except OSError as error:
        raise DataError(
            f"The corpus cannot be written to {out} ({error.strerror or error}). Give another "
            "folder with --out."
        ) from error


def write_mark(out: Path, dataset: str, facts: Mapping[str, Any]) -> None:
    """Write what was simulated: seed, counts, and the truth behind the labels."""
    text = json.dumps({"simulation": dataset, "version": __version__, **facts}, sort_keys=True)
    (out / MARK).write_text(text + "\n", encoding="utf-8")


def _require_mark(out: Path, dataset: str) -> None:
    """Refuse a folder that was not written here."""
    try:
        found = json.loads((out / MARK).read_text(encoding="utf-8")).get("simulation")
    except (OSError, ValueError, AttributeError):
        found = None
    if found != dataset:
        raise UsageError(
            f"{out} is not empty and was not written by `pahcl simulate {dataset}`, so it is left "
            "alone. Give an empty or new folder with --out."
        )
