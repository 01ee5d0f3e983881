"""The contract of every corpus, on simulated and on real recordings.

Index, read, prepare, resume, subjects on one side, targets of every task, and each record of the
store against its file. The real ones are those of `PAHCL_SAMPLES`, in folders named as below
`PAHCL_DATA`.
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from data_modules._splits import require_disjoint
from data_modules.base import SignalDataModule
from pahcl.commands._common import datasets, find_data_module
from pahcl.errors import DataError
from pahcl.signals import convert
from pahcl.store import SignalStore
from pahcl.store.manifest import MANIFEST

RECORDS = 24
"""Records of each simulated corpus, and most of a store's that are read again."""

KINDS = [(name, kind) for name in datasets() for kind in ("simulated", "real")]
Packed = tuple[type[SignalDataModule], Path, Path]


def real_root(name: str) -> Path:
    """Find the sample of a publisher's files, or skip."""
    samples = os.environ.get("PAHCL_SAMPLES")
    if not samples:
        pytest.skip("PAHCL_SAMPLES names no folder of real recordings")
    root = Path(samples) / find_data_module(name).folder
    if not root.is_dir():
        pytest.skip(f"there is no real sample of {name}")
    return root


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: "-".join(kind))
def packed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """One data set, packed from one kind of recordings at its lowest rate."""
    name, kind = cast("tuple[str, str]", request.param)
    cls = find_data_module(name)
    folder = tmp_path_factory.mktemp("packed")
    if kind == "real":
        root = real_root(name)
    else:
        root = folder / "root"
        importlib.import_module(f"pahcl.simulation.{name}").write(root, records=RECORDS, seed=11)
    try:
        cls.prepare(root, folder / "store", fs=min(cls.rates), progress=False, shard_records=7)
    except DataError as error:
        alone = ("no usable record", "could be kept")
        if kind == "real" and any(text in str(error) for text in alone):
            pytest.skip(f"the real sample of {name} holds tables alone")
        raise
    return cls, root, folder / "store"


def some_rows(store: SignalStore) -> list[int]:
    return np.unique(np.linspace(0, len(store) - 1, RECORDS).astype(int)).tolist()


def index_row(cls: type[SignalDataModule], root: Path) -> dict[str, Mapping[str, Any]]:
    table = cls.contents(root, min(cls.rates)).index.table
    return {
        str(row["record_id"]): {str(name): value for name, value in row.items()}
        for row in table.to_dict("records")
    }


def test_counts_add_up_and_the_index_is_the_same_again(packed: Packed) -> None:
    cls, root, out = packed
    manifest = SignalStore(out).manifest
    counts = manifest.counts
    assert counts["found"] == counts["kept"] + counts["rejected"]
    assert len(manifest.rejected) == counts["rejected"]
    assert all(one.file and one.reason for one in manifest.rejected)
    first, again = (cls.contents(root, min(cls.rates)).index for _ in range(2))
    assert first.table.equals(again.table)
    assert (first.rejected, first.notes) == (again.rejected, again.notes)
    assert first.found == counts["found"]


def test_each_record_of_the_store_is_that_of_its_file(packed: Packed) -> None:
    cls, root, out = packed
    store = SignalStore(out)
    rows = index_row(cls, root)
    for place in some_rows(store):
        record = str(store.table["record_id"].iloc[place])
        read = cls.read(root, rows[record])
        assert (read.record_id, read.subject_id) == (
            record,
            str(store.table["subject_id"].iloc[place]),
        )
        expected, _ = convert(read, store.spec)
        held = store.read(place)
        assert held.leads == store.spec.leads
        assert held.signal.shape == expected.shape
        # Half a step of the lead's scale: what the store states (and float32 in which it is told).
        step = store.scales[place].astype(np.float64)[:, None]
        allowed = 0.5 * step + 1e-6 * np.abs(expected)
        assert (np.abs(held.signal - expected) <= allowed).all(), record
        if (
            read.resolution is not None
            and read.fs == store.spec.fs
            and np.isfinite(read.signal).all()
        ):
            assert (np.abs(held.signal - expected) <= 1e-6 * np.abs(expected) + 1e-9).all(), record


def test_no_subject_is_on_two_sides_and_every_task_has_targets(packed: Packed) -> None:
    cls, _, out = packed
    for name, task in cls.tasks.items():
        module = cls(store=str(out), fs=min(cls.rates), task=name)
        store = SignalStore(out)
        split = module._split(store.table)
        require_disjoint(store.table["subject_id"], split)
        assert set(split.dropna()) <= {"train", "val", "test"}
        targets = task.targets(module.labels(store.table))
        assert len(targets) == len(store)
        if task.kind in ("binary", "multilabel"):
            assert set(np.unique(targets[np.isfinite(targets)])) <= {0.0, 1.0}


def test_a_packing_that_was_stopped_goes_on_to_the_same_bytes(
    packed: Packed, tmp_path: Path
) -> None:
    cls, root, out = packed
    options = {"fs": min(cls.rates), "progress": False, "shard_records": 7}
    assert (
        cls.prepare(root, tmp_path / "s", shard=(0, 2), **options) is None
        or len(SignalStore(out)) <= 7
    )
    cls.prepare(root, tmp_path / "s", **options)
    assert (tmp_path / "s" / MANIFEST).read_bytes() == (out / MANIFEST).read_bytes()
    shutil.rmtree(tmp_path / "s")
