"""A corpus for the store's tests; run as a script it writes one, to be killed from outside."""

from __future__ import annotations

import functools
import hashlib
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from pahcl.errors import RecordError
from pahcl.signals import STANDARD_12, Recording
from pahcl.store import Index, Rejection, write_store

LEADS = STANDARD_12[:3]


def make_index(records=20, **columns):
    ids = [f"r{number:03d}" for number in range(records)]
    table = pd.DataFrame(
        {
            "record_id": ids,
            "subject_id": [f"s{number // 2}" for number in range(records)],
            "file": [f"files/{name}.dat" for name in ids],
            "age": np.arange(records, dtype=np.float64),
            **columns,
        }
    )
    return Index(table, [Rejection("files/x.dat", "x", "the file is missing")], {"age missing": 1})


def steps_of(row, ragged=True):
    """Integers in 1/1000 mV, different for every record, of several lengths."""
    number = int(row["record_id"][1:])
    length = 40 + (number % 5) * 7 if ragged else 50
    return np.random.default_rng(number).integers(-3000, 3000, (len(LEADS), length))


def read(row, ragged=True, pause=0.0, resolution=True):
    number = int(row["record_id"][1:])
    if number % 9 == 4:
        raise RecordError("the file is truncated")
    time.sleep(pause)
    return Recording(
        signal=(steps_of(row, ragged) / 1000).astype(np.float32),
        fs=100.0,
        leads=LEADS,
        unit="mV",
        record_id=row["record_id"],
        subject_id=row["subject_id"],
        resolution=np.full(len(LEADS), 1e-3) if resolution else None,
        source_sha256=hashlib.sha256(row["file"].encode()).hexdigest(),
    )


def write(out, index=None, reader=read, **options):
    settings = {
        "dataset": "corpus",
        "dataset_version": "1",
        "modality": "ecg",
        "fs": 100.0,
        "leads": LEADS,
        "unit": "mV",
        "shard_records": 4,
        "progress": False,
    }
    return write_store(out, make_index() if index is None else index, reader, **settings | options)


def put_sum(store, results):
    results.put(int(store.gather([0, 5, 9], 60).samples.astype(np.int64).sum()))


def tree(folder):
    """Name and checksum every file, whatever it is called."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


if __name__ == "__main__":
    target, workers, total, wait = sys.argv[1:]
    write(
        Path(target),
        make_index(int(total)),
        functools.partial(read, pause=float(wait)),
        workers=int(workers),
    )
