"""The bar that shows how far a store has been written."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn


class Bar:
    """Show records, records per second and the time left, on a terminal's error stream.

    Args:
        progress: Whether to show anything.
        name: What is written.
        rows: Records of each part of the work.
        left: Parts that have still to be written.
    """

    def __init__(self, progress: bool, name: str, rows: Mapping[int, int], left: list[int]) -> None:
        console = Console(stderr=True)
        self._left = sum(rows[number] for number in left)
        self._done = 0
        self._began = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            console=console,
            transient=False,
            disable=not (progress and console.is_terminal),
        )
        total = sum(rows.values())
        self._task: TaskID = self._progress.add_task(
            name, total=total, completed=total - self._left, pace=""
        )

    def advance(self, records: int) -> None:
        """Count records that are done."""
        self._done += records
        rate = self._done / max(time.monotonic() - self._began, 1e-9)
        seconds = round((self._left - self._done) / rate)
        pace = f"{rate:,.0f} records/s, {seconds // 60}:{seconds % 60:02d} left"
        self._progress.update(self._task, advance=records, pace=pace)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()
