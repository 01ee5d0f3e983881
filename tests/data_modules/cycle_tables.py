"""Tables of heart cycles for tests, as a store keeps them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pahcl.files import sha256_file
from pahcl.store import SignalStore
from pahcl.store.cycles import CycleManifest, cycle_paths, schema_of

FLAGS = ("clipped", "noise")


def steady_cycles(
    store: SignalStore, seconds: float = 0.8, known: bool = True, skip: tuple[int, ...] = ()
) -> pd.DataFrame:
    """List cycles of one duration through every record but some, every third one flagged."""
    rows = []
    for record, samples in enumerate(store.lengths):
        number = int((samples / store.spec.fs - 0.1) / seconds)
        if record in skip:
            continue
        for cycle in range(number):
            start = 0.1 + cycle * seconds
            unknown = 0.0 if known else np.nan
            inner = [start + share * seconds + unknown for share in (0.15, 0.4, 0.52)]
            rows.append(
                {
                    "record": record,
                    "record_id": store.table["record_id"].iloc[record],
                    "cycle": cycle,
                    "start": start,
                    "systole": inner[0],
                    "s2": inner[1],
                    "diastole": inner[2],
                    "end": start + seconds,
                    "confidence": 0.2 if cycle == 1 else 0.9,
                    "quality/clipped": cycle % 3 == 0,
                    "quality/noise": False,
                }
            )
    return pd.DataFrame(rows)


def write_cycles(path: Path, name: str, frame: pd.DataFrame, without: dict[str, str]) -> None:
    """Write a table of cycles into a store."""
    table, manifest = cycle_paths(path, name)
    table.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pandas(frame, schema_of((), FLAGS), preserve_index=False), table)
    held = CycleManifest(
        name=name,
        store=SignalStore(path).manifest.digest,
        finder={"name": name},
        checks=[],
        counts={},
        heart_rate={},
        flags={},
        labels={},
        without=[{"record_id": key, "reason": reason} for key, reason in without.items()],
        notes=[],
        table_sha256=sha256_file(table),
    )
    manifest.write_text(json.dumps(held.to_dict()))
