"""CSN as it is published: every file accounted for, every code known, both styles of headers."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import wfdb

from data_modules._csn_labels import _ROWS, LABEL_OF, LABELS
from data_modules.csn import CSNDataModule
from pahcl.store import SignalStore


@pytest.fixture(scope="module")
def store(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("real") / "csn"
    CSNDataModule.prepare(samples / "csn", out, progress=False)
    return out


def test_every_record_is_in_the_store_without_an_error(samples: Path, store: Path) -> None:
    root = samples / "csn"
    packed = SignalStore(store)
    for suffix in (".hea", ".mat"):
        files = {p.relative_to(root).with_suffix("").as_posix() for p in root.rglob(f"*{suffix}")}
        assert set(packed.table["file"]) == files
    assert packed.manifest.counts == {"found": 58, "kept": 58, "rejected": 0}
    assert packed.manifest.notes == {}
    for row in range(len(packed)):
        expected, fields = wfdb.rdsamp(str(root / packed.table["file"][row]))
        np.testing.assert_array_equal(packed.read(row).signal, expected.T.astype(np.float32))
        assert fields["fs"] == packed.spec.fs


def test_both_styles_of_headers_are_among_them(samples: Path) -> None:
    texts = [path.read_text() for path in (samples / "csn").rglob("*.hea")]
    assert sum("16x1+24" in text for text in texts) == 13
    table = CSNDataModule.index(samples / "csn", 500.0).table
    assert table["age"].notna().all()
    assert set(table["sex"]) == {"male", "female"}


def test_labels_are_the_codes_of_the_headers(samples: Path, store: Path) -> None:
    table = SignalStore(store).table
    for row, file in enumerate(table["file"]):
        lines = (samples / "csn" / f"{file}.hea").read_text().splitlines()
        (diagnoses,) = [line.split(": ")[1] for line in lines if "Dx:" in line]
        expected = {LABEL_OF[code] for code in diagnoses.split(",")}
        assert {label for label in LABELS if table[f"dx/{label}"][row] == 1} == expected


def test_version_1_of_the_map_is_the_publishers_table(samples: Path) -> None:
    path = samples / "csn" / "ConditionNames_SNOMED-CT.csv"
    names: dict[str, set[str]] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream):
            names.setdefault(row["Snomed_CT"], set()).add(row["AcronymName"])
    assert all(LABEL_OF[code] in known for code, known in names.items())
    assert list(LABEL_OF)[: len(names)] == sorted(names, key=list(LABEL_OF).index)
    assert {row["code"] for row in _ROWS if row["since"] == "1"} == set(names)


def test_flat_chest_leads_are_flagged(store: Path) -> None:
    table = SignalStore(store).table.set_index("record_id")
    flat = table["quality/flat"][table["quality/flat"] > 0]
    assert set(flat.index) == {"JS11438", "JS20008", "JS45542", "JS45544", "JS45551"}


@pytest.mark.parametrize("task", list(CSNDataModule.tasks))
def test_a_few_records_make_splits_and_batches(store: Path, task: str) -> None:
    module = CSNDataModule(store=str(store), task=task, batch_size=8)
    module.prepare_data()
    module.setup()
    assert all(len(rows) >= 5 for rows in module.rows.values())
    for shipped in module.train_dataloader():
        batch = module.on_after_batch_transfer(shipped, 0)
        assert torch.isfinite(batch["signal"]).all()
        assert batch["signal"].shape[1:] == (12, 5000)
