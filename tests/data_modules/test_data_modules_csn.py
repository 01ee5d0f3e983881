"""CSN: codes to labels without a guess, both styles of headers, every malformed file named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_modules import _csn_labels
from data_modules._csn_labels import CODE6, LABEL_OF, LABELS, MERL, RHYTHMS, TASKS, label_columns
from data_modules.csn import CSNDataModule
from pahcl.errors import DataError
from pahcl.signals import STANDARD_12
from pahcl.store import SignalStore

SAMPLES = 600
STYLES = {"plain": ("16+24 1000/mV", "#"), "long": ("16x1+24 1000.0(0)/mV", "# ")}


def counts(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(-900, 900, (12, SAMPLES)).astype(np.int16)


def write_record(root: Path, name: str, codes: str, style: str = "plain", age: str = "59") -> Path:
    number = int(name[2:])
    folder = root / "WFDBRecords" / f"{number // 1000 + 1:02d}" / f"{number // 100:03d}"
    folder.mkdir(parents=True, exist_ok=True)
    gain, sign = STYLES[style]
    steps = counts(number)
    lines = [f"{name} 12 500 {SAMPLES}"]
    for lead, row in zip(STANDARD_12, steps.astype(int), strict=True):
        lines.append(f"{name}.mat {gain} 16 0 {row[0]} {row.sum()} 0 {lead}")
    lines += [f"{sign}Age: {age}", f"{sign}Sex: Female", f"{sign}Dx: {codes}", f"{sign}Rx: Unknown"]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    scipy.io.savemat(folder / f"{name}.mat", {"val": steps}, format="4")
    return folder / name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    write_record(place, "JS00001", "164889003,59118001,164934002")
    write_record(place, "JS00002", "426177001", "long")
    write_record(place, "JS20000", "284470004,427084000,698252002,55930002", "long", age="NaN")
    write_record(place, "JS20001", "164909002,427172004")
    return place


def labels_of(table: pd.DataFrame, name: str) -> set[str]:
    row = table.set_index("record_id").loc[name]
    return {label for label in LABELS if row[f"dx/{label}"] == 1}


def reasons(root: Path) -> dict[str, str]:
    return {item.record_id: item.reason for item in CSNDataModule.index(root, 500.0).rejected}


def test_both_styles_of_headers_are_read(root: Path, tmp_path: Path) -> None:
    index = CSNDataModule.index(root, 500.0)
    table = index.table
    assert table["record_id"].tolist() == ["JS00001", "JS00002", "JS20000", "JS20001"]
    assert table["subject_id"].tolist() == table["record_id"].tolist()
    assert labels_of(table, "JS00001") == {"AFIB", "RBBB", "TWC"}
    assert labels_of(table, "JS00002") == {"SB"}
    assert labels_of(table, "JS20000") == {"APB", "ST", "IVB", "STC"}
    assert labels_of(table, "JS20001") == {"LBBB", "VPB"}
    assert table["codes"][1] == "426177001"
    assert table["sex"].tolist() == ["female"] * 4
    assert index.notes == {"age missing": 1}
    CSNDataModule.prepare(root, tmp_path / "s", progress=False)
    store = SignalStore(tmp_path / "s")
    for row, name in enumerate(table["record_id"]):
        expected = (counts(int(name[2:])) / 1000).astype(np.float32)
        np.testing.assert_array_equal(store.read(row).signal, expected)


def test_unknown_codes_are_counted_and_the_record_stays(root: Path) -> None:
    write_record(root, "JS00003", "426177001,4242,4242,abc")
    write_record(root, "JS00004", "4242")
    write_record(root, "JS00005", "Unknown")
    write_record(root, "JS00006", "")
    index = CSNDataModule.index(root, 500.0)
    assert index.rejected == []
    assert index.notes == {
        "age missing": 1,
        "code 4242 is not in the map": 2,
        "code abc is not in the map": 1,
        "no diagnosis": 2,
    }
    assert labels_of(index.table, "JS00003") == {"SB"}
    table = index.table.set_index("record_id")
    for name in ("JS00004", "JS00005", "JS00006"):
        assert table.loc[name, [f"dx/{label}" for label in LABELS]].isna().all()


def test_a_code_is_compared_whole() -> None:
    """`AF` within `AFIB`, `VB` within `LVB` and the like made false labels elsewhere."""
    table, _ = label_columns([["164889003"], ["164890007"], ["270492004"], ["233917008"]])
    assert table["dx/AFIB"].tolist() == [1, 0, 0, 0]
    assert table["dx/AF"].tolist() == [0, 1, 0, 0]
    assert table["dx/1AVB"].tolist() == [0, 0, 1, 0]
    assert table["dx/AVB"].tolist() == [0, 0, 0, 1]


def test_a_record_without_a_rhythm_is_not_labelled_in_that_task(root: Path, tmp_path: Path) -> None:
    CSNDataModule.prepare(root, tmp_path / "s", progress=False)
    table = SignalStore(tmp_path / "s").table
    module = CSNDataModule(store=str(tmp_path / "s"))
    rhythm = TASKS["rhythm"].targets(module.labels(table))
    assert np.isnan(rhythm).all(axis=1).tolist() == [False, False, False, True]
    assert np.isfinite(TASKS["all"].targets(module.labels(table))).all()


def test_tasks_are_asked_of_labels_that_exist() -> None:
    assert len(RHYTHMS) == 11
    assert len(MERL) == len(set(MERL)) == 38
    assert set(MERL) | set(CODE6.values()) <= set(LABELS)
    assert TASKS["code6"].columns[-1] == TASKS["af"].columns[0] == "dx/AFIB"


PUBLISHED = {1: "0281e96c3d97", 2: "233d735e36a3"}
"""First letters of the digest of each version of the map; a version that is out never changes."""


def test_a_version_of_the_map_that_is_out_never_changes() -> None:
    for version, digest in PUBLISHED.items():
        rows = [row for row in _csn_labels._ROWS if int(row["since"]) <= version]
        text = json.dumps([[row["code"], row["label"], row["group"]] for row in rows])
        assert hashlib.sha256(text.encode()).hexdigest()[:12] == digest
    assert max(PUBLISHED) == _csn_labels.MAP_VERSION
    assert list(LABEL_OF)[:2] == ["426177001", "426783006"]
    assert all(code.isdecimal() for code in LABEL_OF)
    assert len(_csn_labels._ROWS) == len(LABEL_OF)


def test_the_map_is_named_in_the_receipt(root: Path) -> None:
    module = CSNDataModule(root=str(root))
    assert module.label_options == {"code_map": 2}


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


DAMAGE: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "truncated mat": (lambda h, m: cut(m, 900), "not a readable MATLAB file"),
    "mat missing": (lambda h, m: m.unlink(), "the file JS00002.mat is missing"),
    "header missing": (lambda h, m: h.unlink(), "the file JS00002.hea is missing"),
    "empty header": (lambda h, m: cut(h, 0), "the file JS00002.hea is empty"),
    "comments alone": (lambda h, m: h.write_text("# Dx: 426177001\n"), "the header is empty"),
    "no gain": (lambda h, m: edit(h, " 1000.0(0)/mV", ""), "without gain, checksum or name"),
    "gain 0": (lambda h, m: edit(h, "1000.0(0)/mV", "0.0(0)/mV"), "states no gain for lead I"),
    "other rate": (lambda h, m: edit(h, "12 500 ", "12 400 "), "states 400 Hz"),
    "other samples": (
        lambda h, m: scipy.io.savemat(m, {"val": counts(3)}, format="4"),
        "do not match the header's checksum",
    ),
    "fewer leads": (
        lambda h, m: scipy.io.savemat(m, {"val": counts(2)[:8]}, format="4"),
        "`val` has the shape (8, 600), but the header states (12, 600)",
    ),
    "two samples a frame": (lambda h, m: edit(h, "16x1+24", "16x2+24"), "the format 16x2+24"),
    "a web page": (lambda h, m: h.write_text("<html>Not found</html>"), "that of record <html>Not"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_malformed_records_are_named(root: Path, tmp_path: Path, case: str) -> None:
    damage, reason = DAMAGE[case]
    path = root / "WFDBRecords" / "01" / "000" / "JS00002"
    damage(path.with_suffix(".hea"), path.with_suffix(".mat"))
    manifest = CSNDataModule.prepare(root, tmp_path / "s", progress=False)
    assert manifest is not None
    assert manifest.counts == {"found": 4, "kept": 3, "rejected": 1}
    assert manifest.rejected[0].record_id == "JS00002"
    assert reason in manifest.rejected[0].reason


def test_a_record_twice_and_files_of_other_names_are_named(root: Path) -> None:
    source = root / "WFDBRecords" / "01" / "000" / "JS00001"
    for copy in ("02/JS00001", "02/._JS00001", "02/E00001"):
        for suffix in (".hea", ".mat"):
            target = root / "WFDBRecords" / f"{copy}{suffix}"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(source.with_suffix(suffix).read_bytes())
    found = reasons(root)
    assert found.pop("JS00001") == "the same record is taken from WFDBRecords/01/000/JS00001"
    assert set(found) == {"._JS00001", "E00001"}
    assert all("not named like a record of Chapman" in reason for reason in found.values())


def test_a_folder_of_something_else_says_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no WFDBRecords/01/010/JS00001\.hea"):
        CSNDataModule.index(tmp_path, 500.0)


def test_the_split_is_drawn_by_patient_and_balanced_over_rhythms(corpora: Path) -> None:
    table = CSNDataModule.index(corpora / "csn", 500.0).table
    module = CSNDataModule(val_fraction=0.25, test_fraction=0.25)
    sides = module.split(table)
    assert sides.value_counts().to_dict() == {"train": 54, "val": 28, "test": 28}
    slow = (table["dx/SB"] == 1).to_numpy()
    assert sides[slow].value_counts()["test"] / slow.sum() == pytest.approx(0.25, abs=0.06)
    assert sides.equals(
        CSNDataModule(task="af", val_fraction=0.25, test_fraction=0.25).split(table)
    )


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(max_size=60))
def test_any_text_as_a_diagnosis_is_counted(tmp_path: Path, text: str) -> None:
    path = write_record(tmp_path, "JS00001", "426177001").with_suffix(".hea")
    path.write_text(path.read_text().replace("426177001", text), "utf-8")
    index = CSNDataModule.index(tmp_path, 500.0)
    assert len(index.table) + len(index.rejected) == 1


def test_the_simulated_corpus_is_accounted_for(corpora: Path, tmp_path: Path) -> None:
    manifest = CSNDataModule.prepare(corpora / "csn", tmp_path / "s", progress=False)
    assert manifest is not None
    simulated: dict[str, Any] = json.loads((corpora / "csn" / "simulation.json").read_text())
    wanted = simulated["counts"]
    assert manifest.counts["kept"] == wanted["readable"]
    assert manifest.counts["rejected"] == wanted["unreadable"]
    table = SignalStore(tmp_path / "s").table.set_index("record_id")
    for name in table.index:
        codes = simulated["records"][name]["codes"]
        expected = {LABEL_OF[code] for code in codes if code in LABEL_OF}
        assert {label for label in LABELS if table.loc[name, f"dx/{label}"] == 1} == expected
