"""The layout is that of MIMIC-IV-ECG, and every ugly case is counted."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb

from pahcl.errors import UsageError
from pahcl.simulation import mimic_iv_ecg
from pahcl.simulation.machine_report import NOT_FOUND
from pahcl.simulation.mimic_iv_ecg import ORDER, UGLY, UNREADABLE


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "mimic-iv-ecg"
    mimic_iv_ecg.write(folder, records=80, seed=3)
    return folder


def mark(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / "simulation.json").read_text()))


def rows(root: Path, name: str) -> list[dict[str, str]]:
    with (root / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_tables_have_the_publishers_columns(root: Path, samples: Path) -> None:
    for name in ("record_list.csv", "machine_measurements.csv", "waveform_note_links.csv"):
        headers = [
            (folder / name).read_text().splitlines()[0]
            for folder in (root, samples / "mimic-iv-ecg")
        ]
        assert headers[0] == headers[1]


def test_records_lie_in_the_publishers_folders(root: Path) -> None:
    listed = {row["path"] for row in rows(root, "record_list.csv") if row["path"]}
    for path in (root / "files").rglob("*.hea"):
        name = path.relative_to(root).with_suffix("").as_posix()
        found = re.fullmatch(r"files/p(\d{4})/p(\d{8})/s(\d{8})/(\d{8})", name)
        assert found is not None
        assert found[2].startswith(found[1])
        assert found[3] == found[4]
        assert name in listed or mark(root)["records"][found[3]]["case"] in UNREADABLE


def test_headers_are_as_the_publisher_writes_them(root: Path) -> None:
    path = next((root / "files").rglob("*.hea"))
    record = wfdb.rdrecord(str(path.with_suffix("")), physical=False)
    assert tuple(record.sig_name) == ORDER
    assert (record.fs, record.sig_len, set(record.adc_gain)) == (500, 5000, {200.0})
    assert record.base_date is not None
    one, two, three, _, avf, avl = record.d_signal.T[:6].astype(int)
    assert np.abs(three - (two - one)).max() <= 2  # each lead is rounded to its steps
    assert np.abs(avl - (one - two / 2)).max() <= 2
    assert np.abs(avf - (two - one / 2)).max() <= 2


def test_every_ugly_case_is_counted(root: Path) -> None:
    facts = mark(root)
    counts, records = facts["counts"], facts["records"]
    found = [one["case"] for one in records.values()]
    for kind, count in UGLY.items():
        assert found.count(kind) == counts[kind] == count
    assert counts["table_rows"] == len(rows(root, "record_list.csv")) == 80 + sum(UGLY.values())
    assert counts["unreadable"] == sum(UGLY[kind] for kind in UNREADABLE)
    assert counts["subjects"] < 80


def test_what_the_machine_measures_fits_to_what_it_writes(root: Path) -> None:
    records = mark(root)["records"]
    for row in rows(root, "machine_measurements.csv"):
        facts = records.get(row["study_id"], {"case": "stray"})
        if facts["case"] != "good":
            continue
        times = [int(row[name]) for name in ("qrs_onset", "qrs_end", "t_end")]
        assert times == sorted(times)
        assert (row["p_onset"] == str(NOT_FOUND)) == ("AFIB" in facts["truth"])
        lines = [row[f"report_{line}"] for line in range(18)]
        assert any("fibrillation" in line for line in lines) == ("AFIB" in facts["labels"])
        if "AFIB" not in facts["truth"]:
            pr = int(row["qrs_onset"]) - int(row["p_onset"])
            assert (pr > 200) == ("1AVB" in facts["truth"]) or 195 < pr < 212
        assert int(row["rr_interval"]) == pytest.approx(1000 * np.mean(facts["rr"]), abs=1)


def digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        mimic_iv_ecg.write(tmp_path / name, records=4, seed=seed)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert digests(tmp_path / "a") != digests(tmp_path / "c")


def test_a_corpus_is_left_as_it_is(root: Path) -> None:
    before = digests(root)
    assert mimic_iv_ecg.write(root, records=80, seed=3) == mark(root)["counts"]
    assert digests(root) == before
    with pytest.raises(UsageError):
        mimic_iv_ecg.write(root, records=81, seed=3)
