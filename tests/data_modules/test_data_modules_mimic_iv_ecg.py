"""MIMIC-IV-ECG: tables joined without a guess, findings by phrases, rows that cost no object."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_modules import _mimic_findings, _streams
from data_modules._mimic_findings import FINDINGS, PHRASES_VERSION, TASKS, finding_columns
from data_modules.mimic_iv_ecg import MIMICIVECGDataModule
from pahcl.errors import DataError, UsageError
from pahcl.signals import STANDARD_12
from pahcl.store import SignalStore
from pahcl.text.reports import clean_report

simulator = importlib.import_module("pahcl.simulation.mimic_iv_ecg")
LIST, MEASURED = "record_list.csv", "machine_measurements.csv"
HEAD = (
    "subject_id,study_id,cart_id,ecg_time,report_0,report_1,bandwidth,filtering,rr_interval,"
    "p_onset,p_end,qrs_onset,qrs_end,t_end,p_axis,qrs_axis,t_axis\n"
)
NO_P = "700,29999,29999,170,258,518,29999,7,9"
TIMES = "659,40,128,170,258,518,81,77,79"


def listed(subject: int, study: int) -> str:
    path = f"files/p{str(subject)[:4]}/p{subject}/s{study}/{study}"
    return f"{subject},{study},{study},2180-07-23 08:44:00,{path}\n"


def measured(subject: int, study: int, first: str = "Sinus rhythm", times: str = TIMES) -> str:
    return f"{subject},{study},6848296,2180-07-23 08:44:00,{first},,0.005-150 Hz,60 Hz,{times}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two patients, three records, tables alone."""
    folder = tmp_path / "root"
    folder.mkdir()
    head = "subject_id,study_id,file_name,ecg_time,path\n"
    rows = [listed(10000032, 40689238), listed(10000032, 44458630), listed(10000117, 45090959)]
    (folder / LIST).write_text(head + "".join(rows))
    lines = [
        measured(
            10000117, 45090959, "Atrial fibrillation", "700,29999,29999,170,258,518,29999,7,9"
        ),
        measured(10000032, 40689238),
        measured(10000032, 44458630, "", "65535,40,128,170,170,518,81,77,29999"),
    ]
    (folder / MEASURED).write_text(HEAD + "".join(lines))
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mimic")
    simulator.write(folder, records=40, seed=4)
    return folder


@pytest.fixture(scope="module")
def store(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stores") / "mimic_iv_ecg"
    MIMICIVECGDataModule.prepare(corpus, out, progress=False)
    return out


def index_of(root: Path) -> pd.DataFrame:
    return MIMICIVECGDataModule.index(root, 500.0).table.set_index("record_id")


def add(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_tables_are_joined_by_study(root: Path) -> None:
    index = MIMICIVECGDataModule.index(root, 500.0)
    table = index.table
    assert table["record_id"].tolist() == ["40689238", "44458630", "45090959"]
    assert table["subject_id"].tolist() == ["10000032", "10000032", "10000117"]
    assert table["file"][0] == "files/p1000/p10000032/s40689238/40689238"
    assert table["report"].tolist() == ["sinus rhythm.", "empty", "atrial fibrillation."]
    assert table["report_words"].tolist() == [2, 0, 2]
    assert table["cart_id"].tolist() == ["6848296"] * 3
    assert table["p_onset"].tolist() == [40, 40, 29999]  # as the machine wrote it
    expected = [[659, 130, 88, 348], [np.nan, 130, np.nan, 348], [700, np.nan, 88, 348]]
    found = table[[f"interval/{name}" for name in ("rr", "pr", "qrs", "qt")]]
    np.testing.assert_array_equal(found, np.array(expected, dtype=np.float32))
    assert index.rejected == []
    assert index.notes == {
        "rr_interval outside 200 to 3000 ms": 1,
        "p_onset outside 0 to 2000 ms": 1,
        "p_end outside 0 to 2000 ms": 1,
        "p_axis outside -180 to 360 degrees": 1,
        "t_axis outside -180 to 360 degrees": 1,
        "report of fewer than 4 words": 3,
    }


def test_a_report_of_another_patient_is_not_taken(root: Path) -> None:
    edit(root / MEASURED, "10000117,45090959", "10000032,45090959")
    index = MIMICIVECGDataModule.index(root, 500.0)
    row = index.table.set_index("record_id").loc["45090959"]
    assert bool(row.isna()["report"])
    assert row["report_words"] == 0
    assert np.isnan(row["rr_interval"])
    assert index.notes[f"{MEASURED} gives this record to another patient"] == 1


def test_what_does_not_fit_between_the_tables_is_counted(root: Path) -> None:
    add(root / MEASURED, measured(10000032, 40689238, "Normal ECG") + measured(10000999, 49999999))
    add(root / LIST, listed(10000200, 46000000))
    index = MIMICIVECGDataModule.index(root, 500.0)
    assert index.table["report"][0] == "sinus rhythm."
    assert pd.isna(index.table["report"][3])
    for text in (
        f"{MEASURED} names a record again; the first row is taken",
        f"{MEASURED} names a record that {LIST} does not list",
        f"{MEASURED} has no row for this record",
    ):
        assert index.notes[text] == 1


def test_links_to_notes_are_joined_where_they_are(root: Path) -> None:
    assert "note_id" not in index_of(root)
    text = "subject_id,study_id,waveform_path,note_id,note_seq,charttime\n"
    (root / "waveform_note_links.csv").write_text(text + "10000032,44458630,x,10000032-EK-4,4,x\n")
    notes = index_of(root)["note_id"]
    assert notes["44458630"] == "10000032-EK-4"
    assert notes.isna().tolist() == [True, False, True]


BAD_ROWS = {
    "a path of another patient": (listed(10000032, 1).replace("p10000032", "p10000117"), "path"),
    "a path out of the folder": ("10000032,7,7,x,../../etc/passwd\n", "path"),
    "no path": ("10000032,7,7,x,\n", "names no file for this record"),
    "no patient": (",7,7,x,files/x\n", "the patient's id is missing or no whole number"),
    "a patient without a number": ("p1,7,7,x,files/x\n", "the patient's id is missing"),
    "no study": ("10000032,,7,x,files/x\n", "the record's number is missing"),
    "a study twice": (listed(10000032, 40689238), "the table names this record twice"),
    "too few cells": ("10000032,7\n", "the row has other cells than the header"),
    "too many cells": ("10000032,7,7,x,files/x,more\n", "the row has other cells"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_rows_that_are_no_use_are_named(root: Path, case: str) -> None:
    row, reason = BAD_ROWS[case]
    add(root / LIST, row)
    index = MIMICIVECGDataModule.index(root, 500.0)
    assert len(index.table) == 3
    assert len(index.rejected) == 1
    assert reason in index.rejected[0].reason


BAD_TABLES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no list": (LIST, lambda p: p.unlink(), "record_list.csv is missing"),
    "no measurements": (MEASURED, lambda p: p.unlink(), "machine_measurements.csv is missing"),
    "empty": (LIST, lambda p: p.write_text(""), "lacks the column"),
    "a web page": (LIST, lambda p: p.write_text("<html>\n"), "lacks the column"),
    "no path column": (LIST, lambda p: edit(p, ",path", ",way"), r"lacks the column\(s\) path"),
    "no report": (MEASURED, lambda p: edit(p, "report_0", "text_0"), "report_0"),
    "Latin-1": (
        MEASURED,
        lambda p: p.write_bytes(p.read_text().replace("Atrial", "\xe9").encode("latin-1")),
        "not the UTF-8 text",
    ),
    "UTF-16": (LIST, lambda p: p.write_text(p.read_text(), encoding="utf-16"), "not the UTF-8"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_tables_that_are_no_use_are_refused(root: Path, case: str) -> None:
    name, damage, says = BAD_TABLES[case]
    damage(root / name)
    with pytest.raises(DataError, match=says):
        MIMICIVECGDataModule.index(root, 500.0)


@pytest.mark.parametrize(
    ("rows", "says"),
    [("", "of 0. Fetch"), ("p1,7,7,x,files/x\n", "of 1, for the patient's id is missing")],
)
def test_a_list_without_a_record_is_refused(root: Path, rows: str, says: str) -> None:
    (root / LIST).write_text("subject_id,study_id,file_name,ecg_time,path\n" + rows)
    with pytest.raises(DataError, match=f"{LIST} lists no record that can be used, {says}"):
        MIMICIVECGDataModule.index(root, 500.0)


def test_blanks_in_a_heading_do_no_harm(root: Path) -> None:
    before = index_of(root)
    heading, _, rest = (root / LIST).read_text().partition("\n")
    (root / LIST).write_text(f"{heading.replace(',', ' , ')}\n{rest}")
    pd.testing.assert_frame_equal(index_of(root), before)


def test_quoted_line_breaks_and_carriage_returns_are_read(root: Path) -> None:
    edit(root / MEASURED, "Sinus rhythm", '"Sinus\nrhythm, slow"')
    (root / LIST).write_bytes((root / LIST).read_bytes().replace(b"\n", b"\r\n"))
    assert index_of(root)["report"]["40689238"] == "sinus rhythm, slow."


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cells=st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=3, max_size=7))
def test_any_row_is_kept_or_rejected(root: Path, cells: list[str]) -> None:
    text = (root / LIST).read_text().splitlines()[:4]
    odd = ",".join('"' + cell.replace('"', "") + '"' for cell in cells)
    odd = "".join(
        sign for sign in odd if sign not in "\r\n\x00" and not "\ud800" <= sign <= "\udfff"
    )
    (root / LIST).write_text("\n".join([*text, odd, ""]), encoding="utf-8")
    index = MIMICIVECGDataModule.index(root, 500.0)
    assert len(index.table) == 3
    assert len(index.rejected) == 1


def write_large(root: Path, rows: int) -> None:
    subjects = [10000000 + row // 5 for row in range(rows)]
    studies = range(40000000, 40000000 + rows)
    pairs = list(zip(subjects, studies, strict=True))
    head = "subject_id,study_id,file_name,ecg_time,path\n"
    (root / LIST).write_text(head + "".join(listed(*pair) for pair in pairs))
    (root / MEASURED).write_text(HEAD + "".join(measured(*pair) for pair in reversed(pairs)))


def test_rows_cost_no_python_objects(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python and NumPy take is a few numbers a row; the texts lie in Arrow's columns."""
    monkeypatch.setattr(_streams, "BLOCK", 1 << 16)
    rows = 40_000
    write_large(root, rows)
    tracemalloc.start()
    try:
        index = MIMICIVECGDataModule.index(root, 500.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(index.table) == rows
    assert index.table["report_words"].tolist() == [2] * rows
    # A Python text of a report alone would be 60 bytes and more, and there are 13 texts a row.
    assert peak / rows < 250


READ = {
    "Sinus rhythm": {"SR"},
    "Sinus rhythm with 1st degree A-V block": {"SR", "1AVB"},
    "Sinus rhythm with borderline 1st degree A-V block": {"SR", "1AVB?"},
    "Sinus bradycardia with PVC(s)": {"SB", "PVC"},
    "Sinus tachycardia with PAC(s)": {"ST", "PAC"},
    "Atrial fibrillation with rapid ventricular response": {"AF"},
    "Probable atrial fibrillation": {"AF?"},
    "Atrial flutter or tachycardia": {"AFL?"},
    "RBBB with left anterior fascicular block": {"RBBB"},
    "Incomplete right bundle branch block": set(),
    "Incomplete RBBB with LVH": {"LVH"},
    "Left bundle branch block": {"LBBB"},
    "Possible left ventricular hypertrophy": {"LVH?"},
    "Inferior infarct - age undetermined": {"MI"},
    "Cannot rule out anterior infarct": {"MI?"},
    "No evidence of atrial fibrillation": set(),
    "Compared to previous tracing atrial fibrillation is gone": set(),
    "Ventricular-paced rhythm": {"PACED"},
    "Prolonged QT interval": {"LQT"},
    "Package of pacs": {"PAC"},
    "Impact": set(),
    "Abnormal ECG": set(),
}


@pytest.mark.parametrize("line", READ)
def test_phrases_are_read_whole(line: str) -> None:
    marks = finding_columns(pd.Series([clean_report([line, "Abnormal ECG"])])).iloc[0]
    named = {name for name in FINDINGS if marks[f"finding/{name}"] == 1}
    open_ = {f"{name}?" for name in FINDINGS if np.isnan(marks[f"finding/{name}"])}
    assert named | open_ == READ[line]


def test_what_is_asserted_anywhere_is_not_in_doubt() -> None:
    both = clean_report(["Possible inferior infarct", "Anterior infarct - age undetermined"])
    found = finding_columns(pd.Series([both, "empty", None, "normal ecg."], index=[4, 5, 6, 7]))
    assert found["finding/MI"].tolist()[0] == 1
    assert found.loc[[5, 6]].isna().all(axis=None)
    assert (found.loc[7] == 0).all()
    assert found.index.tolist() == [4, 5, 6, 7]


PUBLISHED = {1: "38ccffee8e89"}
"""First letters of the digest of each version of the phrases; one that is out never changes."""


def test_a_version_of_the_phrases_that_is_out_never_changes() -> None:
    for version, digest in PUBLISHED.items():
        rows = [row for row in _mimic_findings.ROWS if int(row["since"]) <= version]
        text = json.dumps([[row["label"], row["phrase"]] for row in rows])
        assert hashlib.sha256(text.encode()).hexdigest()[:12] == digest
    assert max(PUBLISHED) == PHRASES_VERSION
    assert set(TASKS["code6"].columns) <= {f"finding/{name}" for name in FINDINGS}


def test_leads_are_stored_by_name_and_without_an_error(corpus: Path, store: Path) -> None:
    packed = SignalStore(store)
    assert packed.spec.leads == STANDARD_12
    clean = packed.table["quality/nan"] == 0
    for row in np.flatnonzero(clean)[:8]:
        signal, fields = wfdb.rdsamp(str(corpus / packed.table["file"][row]))
        assert fields["sig_name"][4:6] == ["aVF", "aVL"]
        expected = signal.T[[fields["sig_name"].index(lead) for lead in STANDARD_12]]
        np.testing.assert_array_equal(packed.read(row).signal, expected.astype(np.float32))


def test_the_simulated_corpus_is_accounted_for(corpus: Path, store: Path) -> None:
    packed = SignalStore(store)
    mark = json.loads((corpus / "simulation.json").read_text())
    assert packed.manifest.counts["kept"] == mark["counts"]["readable"]
    assert packed.manifest.counts["rejected"] == mark["counts"]["unreadable"]
    assert packed.manifest.counts["found"] == mark["counts"]["table_rows"]
    table = packed.table
    cases = table["record_id"].map(lambda study: mark["records"][study]["case"])
    assert (table["quality/nan"] > 0).tolist() == (cases == "invalid_samples").tolist()
    assert (table["quality/flat"][cases == "flat_lead"] > 0).all()
    good = (cases == "good").to_numpy()
    found = finding_columns(table["report"])[good]
    ids = table["record_id"][good]
    for finding, code in {"AF": "AFIB", "SB": "SBRAD", "RBBB": "CRBBB", "ST": "STACH"}.items():
        wanted = [code in mark["records"][study]["labels"] for study in ids]
        assert (found[f"finding/{finding}"] == 1).tolist() == wanted
    rr = [1000 * np.mean(mark["records"][study]["rr"]) for study in ids]
    np.testing.assert_allclose(table["interval/rr"][good], rr, atol=0.6)


def test_short_reports_are_left_out_only_where_that_is_asked_for(store: Path) -> None:
    whole, chosen = (
        MIMICIVECGDataModule(store=str(store), min_report_words=least) for least in (0, 4)
    )
    for module in (whole, chosen):
        module.prepare_data()
        module.setup()
    short = whole.store.table["report_words"] < 4
    assert whole.data_receipt()["left_out"] == 0
    assert chosen.data_receipt()["left_out"] == short.sum() > 0
    assert chosen.splits[short].isna().all()
    assert chosen.splits[~short].equals(whole.splits[~short])
    assert chosen.data_receipt()["options"] == {"phrases": 1, "min_report_words": 4}
    with pytest.raises(UsageError, match=r"min_report_words must be 0 or more, got -1"):
        MIMICIVECGDataModule(store=str(store), min_report_words=-1)


def test_two_in_a_hundred_patients_can_validate(root: Path) -> None:
    write_large(root, 1000)
    table = MIMICIVECGDataModule.index(root, 500.0).table
    sides = MIMICIVECGDataModule(val_fraction=0.02, test_fraction=0.02).split(table)
    assert table["subject_id"].groupby(sides).nunique().to_dict() == {
        "train": 192, "val": 4, "test": 4,
    }  # fmt: skip
    assert table.groupby("subject_id")["record_id"].count().eq(5).all()


def test_waveforms_that_are_not_there_are_named(corpus: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(corpus, tmp_path / "root"))
    first = MIMICIVECGDataModule.index(root, 500.0).table["file"][0]
    (root / f"{first}.dat").unlink()
    manifest = MIMICIVECGDataModule.prepare(root, tmp_path / "s", progress=False)
    assert manifest is not None
    reasons = {one.file: one.reason for one in manifest.rejected}
    assert reasons[first] == f"the file {Path(first).name}.dat is missing"
