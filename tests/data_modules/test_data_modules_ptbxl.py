"""PTB-XL: statements, versions, and every file accounted for."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import wfdb

from data_modules._ptbxl_statements import (
    GROUPS,
    STATEMENTS,
    class_labels,
    parse_statements,
    statement_columns,
)
from data_modules.ptbxl import PTBXLDataModule
from pahcl.errors import DataError, RecordError, UsageError
from pahcl.store import SignalStore


@pytest.fixture
def root(tmp_path: Path, corpora: Path) -> Path:
    """A table of six records whose signals are links to simulated ones."""
    folder = tmp_path / "ptb-xl"
    folder.mkdir()
    for name in ("records100", "records500"):
        (folder / name).symlink_to(corpora / "ptb-xl" / name)
    table = pd.read_csv(corpora / "ptb-xl" / "ptbxl_database.csv").head(6)
    table.to_csv(folder / "ptbxl_database.csv", index=False)
    return folder


def edit(root: Path, **cells: Any) -> None:
    """Change cells of the first row."""
    path = root / "ptbxl_database.csv"
    table = pd.read_csv(path).astype(object)
    for name, value in cells.items():
        table.loc[0, name] = value
    table.to_csv(path, index=False)


def row_of(table: pd.DataFrame, place: int) -> dict[str, Any]:
    return {str(name): value for name, value in table.iloc[place].items()}


@pytest.mark.parametrize(
    "form", ["../other/{name}", "records100/../../other/{name}", "{place}/{name}"]
)
def test_a_table_cannot_lead_out_of_the_folder(root: Path, tmp_path: Path, form: str) -> None:
    place = tmp_path / "other"
    place.mkdir()
    inside = pd.read_csv(root / "ptbxl_database.csv")["filename_lr"].iloc[0]
    name = Path(inside).name
    for suffix in (".hea", ".dat"):
        shutil.copy((root / inside).with_name(f"{name}{suffix}"), place)
    edit(root, filename_lr=form.format(name=name, place=place))
    index = PTBXLDataModule.index(root, 100)
    assert len(index.table) == 5
    assert "outside of the data set's folder" in index.rejected[0].reason


def test_class_lists_have_the_published_sizes() -> None:
    sizes = {name: len(task.classes) for name, task in PTBXLDataModule.tasks.items()}
    assert sizes == {
        "superclass": 5,
        "subclass": 23,
        "diagnostic": 44,
        "form": 19,
        "rhythm": 12,
        "all": 71,
        "code6": 6,
        "af": 1,
        "sex": 1,
        "age": 1,
    }
    assert len(set(STATEMENTS)) == 71
    assert PTBXLDataModule.tasks["code6"].classes == ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF")


def test_statements_are_read_as_literals_and_never_run() -> None:
    assert parse_statements("{'NORM': 100.0, 'SR': 0}") == {"NORM": 100.0, "SR": 0.0}
    for text in ("__import__('os').getcwd()", "{'NORM': 1", "['NORM']", "nan", "", "{'SR': 'x'}"):
        assert parse_statements(text) is None


def test_statement_columns_hold_likelihoods_and_count_what_is_unknown() -> None:
    columns, unreadable, unknown = statement_columns(
        pd.Series(["{'NORM': 80.0, 'NEW': 1}", "{'SR': 0.0, 'NEW': 5}", "broken"])
    )
    assert columns["scp/NORM"].tolist()[0] == 80
    assert columns["scp/SR"].tolist()[1] == 0
    assert columns.notna().sum().sum() == 2
    assert unreadable.tolist() == [False, False, True]
    assert unknown == {"statement NEW is not among the 71": 2}


def labels_of(threshold: float, *cells: str) -> pd.DataFrame:
    return class_labels(statement_columns(pd.Series(cells))[0], threshold)


def test_labels_follow_the_statements() -> None:
    labels = labels_of(0, "{'IMI': 35.0, 'SR': 0.0}", "{'AFIB': 0.0}", "{'IRBBB': 100.0}")
    assert labels["superclass/MI"].tolist()[:1] == [1]
    assert np.isnan(labels["superclass/MI"][1])  # no diagnostic statement: nothing is known
    assert labels["superclass/CD"].tolist()[2] == 1
    assert labels["subclass/IMI"][0] == 1
    assert labels["code6/AF"].tolist() == [0, 1, 0]  # labelled everywhere
    assert labels["code6/RBBB"].tolist() == [0, 0, 0]  # an incomplete block is none
    assert labels["all/AFIB"].tolist() == [0, 1, 0]
    assert labels["rhythm/SR"][0] == 1


def test_a_threshold_concerns_diagnostic_statements_alone() -> None:
    cells = "{'IMI': 35.0, 'NORM': 100.0, 'SR': 0.0, 'PVC': 0.0, 'LVH': 0.0}"
    labels = labels_of(50, cells)
    assert labels["superclass/MI"].tolist() == [0]
    assert labels["superclass/NORM"].tolist() == [1]
    assert labels["superclass/HYP"].tolist() == [0]  # 0 means unknown
    assert labels["rhythm/SR"].tolist() == [1]
    assert labels["form/PVC"].tolist() == [1]
    assert labels_of(0, cells)["superclass/HYP"].tolist() == [1]
    assert np.isnan(labels_of(101, cells)["superclass/MI"]).all()


def test_a_threshold_leaves_form_and_rhythm_as_they_are() -> None:
    cells = ("{'NDT': 50.0, 'NORM': 100.0, 'SR': 0.0}", "{'DIG': 0.0, 'LNGQT': 15.0, 'NST_': 0.0}")
    labels, whole = labels_of(100, *cells), labels_of(0, *cells)
    assert labels["form/NDT"].tolist() == [1, 0]
    assert labels["form/NST_"].tolist() == [0, 1]
    assert labels["diagnostic/NDT"][0] == labels["all/NDT"][0] == 0
    assert whole["diagnostic/NDT"][0] == whole["all/NDT"][0] == 1
    for group in ("form/", "rhythm/"):
        columns = [name for name in labels if str(name).startswith(group)]
        pd.testing.assert_frame_equal(labels[columns], whole[columns])


def test_every_class_is_made_of_known_statements() -> None:
    for classes in GROUPS.values():
        assert {code for codes in classes.values() for code in codes} <= set(STATEMENTS)


def test_index_reads_patients_ages_and_reports(root: Path) -> None:
    edit(root, age=300.0, patient_id="15709.0", sex=1)
    index = PTBXLDataModule.index(root, 100.0)
    row = index.table.iloc[0]
    assert row["subject_id"] == "15709"
    assert row["sex"] == "female"
    assert np.isnan(row["age"])
    assert index.notes["age over 89, masked as 300 by the publisher"] == 1
    assert row["report"]
    assert row["file"].endswith("_lr")
    assert PTBXLDataModule.index(root, 500.0).table["file"][0].endswith("_hr")


def test_ages_of_the_first_version_are_kept_and_noted(root: Path) -> None:
    edit(root, age=93.0)
    index = PTBXLDataModule.index(root, 100.0)
    assert index.table["age"][0] == 93
    assert index.notes["age over 89, not masked (version 1.0.1)"] == 1


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"scp_codes": "{'NORM': "}, "scp_codes"),
        ({"patient_id": None}, "patient's id is missing"),
        ({"ecg_id": 2}, "names this record twice"),
        ({"ecg_id": None}, "number is missing or no whole number"),
        ({"ecg_id": "A1"}, "number is missing or no whole number"),
        ({"ecg_id": 1.5}, "number is missing or no whole number"),
        ({"ecg_id": np.inf}, "number is missing or no whole number"),
        ({"patient_id": "unknown"}, "patient's id is missing"),
        ({"filename_lr": None}, "ptbxl_database.csv names no file"),
    ],
)
def test_rows_that_cannot_be_used_are_rejected_by_name(
    root: Path, cells: dict[str, Any], reason: str
) -> None:
    edit(root, **cells)
    listed = PTBXLDataModule.index(root, 100.0)
    rejected = [item for item in listed.rejected if "does not list" not in item.reason]
    assert len(rejected) == 1
    assert reason in rejected[0].reason
    nameless = "ecg_id" in cells and cells["ecg_id"] != 2
    assert rejected[0].record_id == ("(row 0)" if nameless else str(cells.get("ecg_id", 1)))
    assert rejected[0].file.startswith("ptbxl_database" if "filename_lr" in cells else "records100")
    assert len(listed.table) == 5


def test_rows_without_numbers_do_not_stop_the_corpus(root: Path, tmp_path: Path) -> None:
    path = root / "ptbxl_database.csv"
    table = pd.read_csv(path).astype(object)
    table.loc[0, "ecg_id"] = table.loc[3, "ecg_id"] = None
    table.loc[1, "patient_id"] = table.loc[2, "filename_lr"] = None
    table.to_csv(path, index=False)
    manifest = PTBXLDataModule.prepare(root, tmp_path / "store", 100, progress=False)
    assert manifest is not None
    counts = manifest.counts
    assert counts["kept"] == 2
    assert counts["found"] == counts["kept"] + counts["rejected"]
    named = {item.record_id for item in manifest.rejected if "does not list" not in item.reason}
    assert named == {"(row 0)", "2", "3", "(row 3)"}


@pytest.mark.parametrize(("encoding", "guess"), [("utf-16", "UTF-16"), ("latin-1", "Latin-1")])
def test_a_table_in_another_encoding_says_what_to_do(root: Path, encoding: str, guess: str) -> None:
    edit(root, report="vorhofflimmern mit ventrikul\u00e4ren extrasystolen")
    path = root / "ptbxl_database.csv"
    path.write_text(path.read_text(encoding="utf-8"), encoding=encoding)
    with pytest.raises(DataError, match=rf"UTF-8 .*{guess}.*Fetch the file again, or save"):
        PTBXLDataModule.index(root, 100.0)


def test_a_table_that_the_machine_cannot_read_is_no_other_version(root: Path) -> None:
    path = root / "ptbxl_database.csv"
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        PTBXLDataModule.index(root, 100.0)


def test_signals_that_the_machine_cannot_read_are_not_the_records_fault(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = row_of(PTBXLDataModule.index(root, 100.0).table, 0)

    def failing(*_: Any, **__: Any) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(wfdb, "rdrecord", failing)
    with pytest.raises(OSError, match="Stale file handle"):
        PTBXLDataModule.read(root, row)


def test_a_table_of_another_version_is_refused(root: Path) -> None:
    path = root / "ptbxl_database.csv"
    pd.read_csv(path).drop(columns="strat_fold").to_csv(path, index=False)
    with pytest.raises(DataError, match="strat_fold"):
        PTBXLDataModule.index(root, 100.0)
    path.unlink()
    with pytest.raises(DataError, match=r"data\.init_args\.root"):
        PTBXLDataModule.index(root, 100.0)


def test_reading_checks_the_publishers_checksum(root: Path, tmp_path: Path) -> None:
    row = row_of(PTBXLDataModule.index(root, 100.0).table, 0)
    recording = PTBXLDataModule.read(root, row)
    assert recording.signal.shape == (12, 1000)
    assert recording.fs == 100
    assert recording.unit == "mV"
    assert recording.resolution is not None
    steps = recording.signal / recording.resolution[:, None]
    np.testing.assert_allclose(steps, np.round(steps), atol=0.01)
    assert len(recording.source_sha256 or "") == 64

    source = root / row["file"]
    for suffix in (".hea", ".dat"):
        shutil.copy(source.with_suffix(suffix), tmp_path / (source.name + suffix))
    damaged = tmp_path / f"{source.name}.dat"
    content = bytearray(damaged.read_bytes())
    content[100] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(RecordError, match="checksum in lead"):
        PTBXLDataModule.read(tmp_path, {**row, "file": source.name})


def change_header(root: Path, target: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Copy the first record into a folder and write the lines of its header anew."""
    source = root / PTBXLDataModule.index(root, 100.0).table["file"][0]
    target.mkdir()
    shutil.copy(source.with_suffix(".dat"), target / f"{source.name}.dat")
    lines = change(source.with_suffix(".hea").read_text().splitlines())
    (target / "1_lr.hea").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: ["1_lr 0 100 1000"], "the header lists no signal"),
        (lambda lines: ["1_lr 12 100 1000"], "not a readable WFDB record"),
        (lambda lines: [], "not a readable WFDB record"),
        (
            lambda lines: [lines[0], *(line.replace(".dat 16", ".dat 99") for line in lines[1:])],
            "the header names 99 as format of the samples",
        ),
        (lambda lines: ["1_lr 12", *lines[1:]], "states 250 Hz .* gives 100 Hz"),
        (lambda lines: ["1_lr 12 500 1000", *lines[1:]], "states 500 Hz .* gives 100 Hz"),
    ],
)
def test_headers_that_cannot_be_used_are_named_in_words(
    root: Path, tmp_path: Path, change: Callable[[list[str]], list[str]], reason: str
) -> None:
    change_header(root, tmp_path / "changed", change)
    row = {"file": "1_lr", "record_id": "1", "subject_id": "2"}
    with pytest.raises(RecordError, match=reason):
        PTBXLDataModule.read(tmp_path / "changed", row)


def test_the_corpus_is_accounted_for(corpora: Path, tmp_path: Path) -> None:
    manifest = PTBXLDataModule.prepare(corpora / "ptb-xl", tmp_path / "s", 100, progress=False)
    assert manifest is not None
    counts = manifest.counts
    assert counts["found"] == counts["kept"] + counts["rejected"]
    found = {item.reason for item in manifest.rejected}
    assert any("missing" in reason for reason in found)
    assert any("does not list" in reason for reason in found)
    assert manifest.notes["age missing"] == 3
    ages = pd.read_csv(corpora / "ptb-xl" / "ptbxl_database.csv")["age"]
    masked = manifest.notes["age over 89, masked as 300 by the publisher"]
    assert masked == (ages == 300).sum() >= 2
    store = SignalStore(tmp_path / "s")
    assert (store.table["quality/nan"] > 0).sum() == 2
    exact = store.read(0)
    again = PTBXLDataModule.read(corpora / "ptb-xl", row_of(store.table, 0))
    np.testing.assert_allclose(exact.signal, again.signal, atol=1e-7)


def test_validated_by_human_leaves_the_others_out() -> None:
    table = pd.DataFrame({"fold": [1, 9, 10, 2, np.nan], "validated_by_human": [1, 1, 1, 0, 1]})
    assert PTBXLDataModule().split(table).tolist()[:4] == ["train", "val", "test", "train"]
    assert PTBXLDataModule().usable(table).all()
    chosen = PTBXLDataModule(validated_by_human=True).usable(table)
    assert chosen.tolist() == [True, True, True, False, True]


def test_a_likelihood_outside_percent_is_refused() -> None:
    with pytest.raises(UsageError, match="percentage"):
        PTBXLDataModule(likelihood_threshold=200)
