"""What an export of heart cycles says of itself: counts by record, and what was left out by label.

The keys of `global_stats` and `per_recording_stats` are those of PA-HCL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pahcl.errors import StoreError
from pahcl.store.cycle_counts import Groups
from pahcl.store.cycles import CycleTable
from pahcl.store.reader import SignalStore

Mask = npt.NDArray[np.bool_]


def statistics(
    store: SignalStore,
    table: CycleTable,
    keep: Mask,
    fs: float,
    length: int | None,
    parts: int,
    seconds: Mapping[int, float],
) -> dict[str, Any]:
    """Count recordings and cycles.

    Args:
        store: The store.
        table: Its cycles.
        keep: `[len(table)]`: which of them were written.
        fs: Rate of the files in Hz.
        length: Their samples; None where each is as long as it is.
        parts: Parts of each cycle.
        seconds: Seconds that a record took, by row; none for what an earlier call had written.
    """
    ids = store.columns(["record_id", "subject_id", "file"])
    reasons = {one["record_id"]: one["reason"] for one in table.manifest.without}
    sums = np.concatenate([[0], np.cumsum(keep)])
    found, passed = np.diff(table.first), np.diff(sums[table.first])
    edges = _boundaries(table)
    recordings = []
    for row, (record_id, subject_id, file) in enumerate(ids.itertuples(index=False)):
        recordings.append(
            {
                "file_path": str(file),
                "subject_id": str(subject_id),
                "recording_id": str(record_id),
                "original_duration_sec": round(float(store.lengths[row]) / store.spec.fs, 6),
                "sample_rate": fs,
                "num_peaks_detected": int(edges[row]),
                "num_cycles_extracted": int(found[row]),
                "num_cycles_passed_quality": int(passed[row]),
                "num_cycles_failed_quality": int(found[row] - passed[row]),
                "processing_time_sec": seconds.get(row),
                "error": reasons.get(str(record_id)),
            }
        )
    return {
        "global_stats": {
            "total_recordings": len(ids),
            "successful_recordings": int((found > 0).sum()),
            "failed_recordings": int((found == 0).sum()),
            "total_cycles_extracted": int(found.sum()),
            "total_cycles_passed": int(passed.sum()),
            "total_cycles_failed": int(found.sum() - passed.sum()),
            "total_processing_time_sec": None,
            "sample_rate": fs,
            "target_cycle_length": length,
            "num_substructures": parts,
        },
        "per_recording_stats": recordings,
    }


def read_statistics(path: Path) -> dict[str, Any]:
    """Read what a complete export says of itself.

    Raises:
        StoreError: It is damaged.
    """
    try:
        stats: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if stats["global_stats"] and stats["rejected"]:
            return stats
    except (ValueError, KeyError, TypeError):
        pass
    raise StoreError(f"{path} is damaged. Delete it and give the same command again.")


def _boundaries(table: CycleTable) -> npt.NDArray[np.int64]:
    """Count the different begins and ends of the cycles of each record, `[records]`."""
    frame = table.frame
    record = frame["record"].to_numpy()
    start, end = frame["start"].to_numpy(), frame["end"].to_numpy()
    joined = np.zeros(len(frame), dtype=np.int64)
    joined[1:] = (record[1:] == record[:-1]) & (start[1:] == end[:-1])
    return np.bincount(record, 2 - joined, minlength=table.records).astype(np.int64)


def dropped_by_label(
    table: CycleTable, keep: Mask, flags: Sequence[str], groups: Groups
) -> dict[str, Any]:
    """Say which cycles were left out, for what, and whose they were.

    Args:
        table: The cycles.
        keep: `[len(table)]`: which of them were written.
        flags: Flags by which the others were left out.
        groups: Records by task and class.

    Returns:
        `cycles`, `by_flag` (a cycle may have several), `records_without_cycles_left`, and the same
        counts for each class of each task.
    """
    record = table.frame["record"].to_numpy()
    marked = {name: table.flagged([name]) for name in flags}
    left = np.bincount(record[keep], minlength=table.records)
    had = np.bincount(record, minlength=table.records)
    lost = (had > 0) & (left == 0)

    def of(records: Mask) -> dict[str, Any]:
        mine = records[record]
        dropped = int((mine & ~keep).sum())
        return {
            "cycles": int(mine.sum()),
            "dropped": dropped,
            "share": round(dropped / max(int(mine.sum()), 1), 6),
            "by_flag": {name: int((mine & flag).sum()) for name, flag in marked.items()},
            "records_without_cycles_left": int((lost & records).sum()),
        }

    return {
        "flags": list(flags),
        **of(np.ones(table.records, dtype=np.bool_)),
        "by_label": {
            task: {name: of(records) for name, records in classes.items()}
            for task, classes in groups.items()
        },
    }
