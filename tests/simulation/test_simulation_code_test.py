"""The layout is that of CODE-test: a tracing and a row of each table for every patient."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from pahcl.simulation import code_test
from pahcl.simulation.code_test import CLASSES, LENGTHS, READERS, UGLY
from pahcl.simulation.ecg import LEADS


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "code-test"
    code_test.write(folder, records=70, seed=3)
    return folder


def table(root: Path, name: str) -> list[list[str]]:
    with (root / "data" / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def test_each_table_has_a_row_for_each_tracing(root: Path) -> None:
    with h5py.File(root / "data" / "ecg_tracings.hdf5") as file:
        assert list(file) == ["tracings"]
        assert file["tracings"].shape == (75, 4096, 12)
    assert [path.stem for path in sorted((root / "data" / "annotations").iterdir())] == sorted(
        ["gold_standard", *READERS]
    )
    for name in ("gold_standard", *READERS):
        header, *rows = table(root, f"annotations/{name}.csv")
        assert tuple(header) == CLASSES == ("1dAVb", "RBBB", "LBBB", "SB", "AF", "ST")
        assert len(rows) == 75
    header, *rows = table(root, "attributes.csv")
    assert header == ["age", "sex"]
    assert {row[1] for row in rows} == {"M", "F"}
    counts = json.loads((root / "simulation.json").read_text())["counts"]
    assert counts == {
        **UGLY, "records": 70, "subjects": 70, "table_rows": 75, "readable": 74, "unreadable": 1,
    }  # fmt: skip


def test_exams_are_padded_on_both_sides(root: Path) -> None:
    with h5py.File(root / "data" / "ecg_tracings.hdf5") as file:
        tracings = file["tracings"][:70]
    inside = (tracings != 0).any(axis=2)
    first, last = inside.argmax(axis=1), 4096 - inside[:, ::-1].argmax(axis=1)
    assert set(last - first) == set(LENGTHS)
    assert set(first) == {648, 48}


def test_the_gold_standard_is_what_two_agree_on_or_a_third_decides(root: Path) -> None:
    read = {
        name: np.array(table(root, f"annotations/{name}.csv")[1:])
        for name in ("gold_standard", "cardiologist1", "cardiologist2")
    }
    agree = read["cardiologist1"] == read["cardiologist2"]
    assert (read["gold_standard"] == read["cardiologist1"])[agree].all()
    assert 0 < (~agree).sum() < 40


def test_the_order_of_the_leads_can_be_chosen(tmp_path: Path) -> None:
    other = (*LEADS[:3], *LEADS[3:6][::-1], *LEADS[6:])
    for name, leads in (("a", LEADS), ("b", other)):
        code_test.write(tmp_path / name, records=2, seed=1, ugly=False, leads=leads)
    first, second = (
        h5py.File(tmp_path / name / "data" / "ecg_tracings.hdf5")["tracings"][:] for name in "ab"
    )
    np.testing.assert_array_equal(first[..., 3:6], second[..., 5:2:-1])


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        code_test.write(tmp_path / name, records=3, seed=5)
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
