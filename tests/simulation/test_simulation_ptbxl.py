"""The layout is PTB-XL's to the byte, and every ugly case is counted."""

import ast
import csv
import hashlib
import json
import re

import numpy as np
import pytest
import wfdb

from pahcl.errors import UsageError
from pahcl.simulation import ptbxl
from pahcl.simulation.ptbxl_table import COLUMNS, FINDINGS, RHYTHM_WORDS
from pahcl.simulation.scp import STATEMENTS

RECORDS = 70


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("simulated") / "ptb-xl"
    done = []
    counts = ptbxl.write(out, records=RECORDS, seed=11, progress=done.append)
    assert sum(done) == RECORDS
    return out, counts, rows_of(out / "ptbxl_database.csv")


def test_table_has_the_publishers_columns_and_styles(corpus):
    _, counts, rows = corpus
    assert tuple(rows[0]) == COLUMNS
    assert len(COLUMNS) == 28
    assert len(rows) == counts["table_rows"]
    for row in rows:
        assert row["patient_id"].endswith(".0")
        assert row["sex"] in ("0", "1")
        assert row["age"] in ("", "300.0") or 10 <= float(row["age"]) <= 89
        assert isinstance(ast.literal_eval(row["scp_codes"]), dict)
        assert row["validated_by_human"] in ("True", "False")
        assert row["filename_lr"] == f"records100/00000/{int(row['ecg_id']):05d}_lr"
    assert {row["sex"] for row in rows} == {"0", "1"}


def test_statements_are_the_publishers_71(corpus):
    out, _, rows = corpus
    statements = rows_of(out / "scp_statements.csv")
    assert len(statements) == len(STATEMENTS) == 71
    assert next(iter(statements[0])) == ""
    assert sum(row["diagnostic"] == "1.0" for row in statements) == 44
    assert sum(row["form"] == "1.0" for row in statements) == 19
    assert sum(row["rhythm"] == "1.0" for row in statements) == 12
    classes = {row["diagnostic_class"] for row in statements} - {""}
    assert classes == {"NORM", "MI", "STTC", "CD", "HYP"}
    used = {code for row in rows for code in ast.literal_eval(row["scp_codes"])}
    assert used <= set(STATEMENTS)


def test_wfdb_reads_what_was_written(corpus):
    out, _, rows = corpus
    for row in rows[:3]:
        for column, fs in (("filename_lr", 100), ("filename_hr", 500)):
            path = out / row[column]
            record = wfdb.rdrecord(str(path), physical=False)
            stored = np.frombuffer(path.with_suffix(".dat").read_bytes(), "<i2").reshape(-1, 12)
            np.testing.assert_array_equal(record.d_signal, stored)
            assert (record.fs, record.sig_len) == (fs, 10 * fs)
            assert record.adc_gain == [1000.0] * 12
            assert record.units == ["mV"] * 12
            assert record.sig_name[3:6] == ["AVR", "AVL", "AVF"]
            assert [value % 65536 for value in record.calc_checksum()] == record.checksum


def test_lead_identities_hold_in_the_file(corpus):
    out, _, rows = corpus
    for row in rows[:RECORDS]:
        for column in ("filename_lr", "filename_hr"):
            bytes_ = (out / row[column]).with_suffix(".dat").read_bytes()
            one, two, three, avr, avl, avf = (
                np.frombuffer(bytes_, "<i2").reshape(-1, 12)[:, :6].T.astype(int)
            )
            np.testing.assert_array_equal(three, two - one)
            assert np.abs(2 * avr + one + two).max() <= 1
            assert np.abs(avr + avl + avf).max() <= 2


def test_100_hz_is_a_copy_of_500_hz(corpus):
    out, _, rows = corpus
    low = wfdb.rdrecord(str(out / rows[0]["filename_lr"])).p_signal
    full = wfdb.rdrecord(str(out / rows[0]["filename_hr"])).p_signal
    for signal in range(12):
        assert np.corrcoef(low[:, signal], full[::5, signal])[0, 1] > 0.97


def test_reports_agree_with_the_statements(corpus):
    _, _, rows = corpus
    for row in rows:
        codes = ast.literal_eval(row["scp_codes"])
        for code, words in {**FINDINGS, **RHYTHM_WORDS}.items():
            found = re.search(rf"(?<!\w){re.escape(words)}", row["report"])
            assert bool(found) == (code in codes), (code, row["report"])
        assert ("normales ekg" in row["report"]) == ("NORM" in codes)
        rhythms = [code for code in codes if "r" in STATEMENTS[code].kinds]
        assert len(rhythms) == 1
        if "NORM" in codes:
            diagnoses = [code for code in codes if "d" in STATEMENTS[code].kinds]
            assert diagnoses == ["NORM"]


def test_folds_keep_patients_together(corpus):
    _, _, rows = corpus
    folds = {}
    for row in rows:
        folds.setdefault(row["patient_id"], set()).add(row["strat_fold"])
        if row["strat_fold"] in ("9", "10"):
            assert row["validated_by_human"] == "True"
    assert all(len(found) == 1 for found in folds.values())
    assert {int(row["strat_fold"]) for row in rows} == set(range(1, 11))


def test_ugly_cases_are_there_and_counted(corpus):
    out, counts, rows = corpus
    truth = json.loads((out / "simulation.json").read_text())["records"]
    kinds = {}
    for ecg_id, facts in truth.items():
        kinds.setdefault(facts["case"], []).append(f"{int(ecg_id):05d}_hr")
    files = {path.stem: path for path in (out / "records500").rglob("*.hea")}
    listed = {row["filename_hr"].split("/")[-1]: row for row in rows}
    for kind, count in ptbxl.UGLY.items():
        assert counts[kind] == count == len(kinds[kind])
    assert all(listed[name]["age"] == "" for name in kinds["nan_age"])
    assert all(listed[name]["age"] == "300.0" for name in kinds["masked_age"])
    assert all(name not in files for name in kinds["row_without_file"])
    assert all(name not in listed and name in files for name in kinds["file_without_row"])
    assert not any(files[n].with_suffix(".dat").exists() for n in kinds["header_without_dat"])
    for name in kinds["truncated_dat"]:
        assert files[name].with_suffix(".dat").stat().st_size == 60_000
    for name in kinds["flat_lead"]:
        assert np.ptp(wfdb.rdrecord(str(files[name].with_suffix(""))).p_signal[:, 6]) == 0
    for name in kinds["invalid_samples"]:
        assert np.isnan(wfdb.rdrecord(str(files[name].with_suffix(""))).p_signal).sum() == 500
    for name in kinds["short_record"]:
        assert wfdb.rdheader(str(files[name].with_suffix(""))).sig_len == 2000
    sums = [path.with_suffix(".dat") for path in files.values()]
    contents = [path.read_bytes() for path in sums if path.exists()]
    assert len(contents) - len(set(contents)) == counts["duplicate_record"]
    assert counts["readable"] + counts["unreadable"] == counts["table_rows"] == len(rows)


def test_without_ugly_cases_there_are_only_good_records(tmp_path):
    counts = ptbxl.write(tmp_path / "out", records=3, ugly=False)
    assert counts["table_rows"] == counts["readable"] == 3
    assert len(list((tmp_path / "out").rglob("*.dat"))) == 6


def test_same_seed_same_bytes_and_another_seed_others(tmp_path):
    folders = [tmp_path / name for name in "abc"]
    for folder, seed in zip(folders, (5, 5, 6), strict=True):
        ptbxl.write(folder, records=4, seed=seed)
    first, second, other = (digests(folder) for folder in folders)
    assert first == second
    assert first != other


def test_a_foreign_folder_is_refused(tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "ptbxl_database.csv").write_text("mine")
    with pytest.raises(UsageError, match="left alone"):
        ptbxl.write(foreign, records=1)
    assert (foreign / "ptbxl_database.csv").read_text() == "mine"


def test_a_corpus_that_was_interrupted_is_begun_again(tmp_path):
    def interrupted(done):
        raise KeyboardInterrupt

    own = tmp_path / "own"
    with pytest.raises(KeyboardInterrupt):
        ptbxl.write(own, records=2, ugly=False, progress=interrupted)
    (own / "notes.txt").write_text("kept")
    (own / "records500" / "00000" / "00009_hr.dat").write_text("left over")
    with pytest.raises(UsageError, match=r"an unfinished corpus of 2 records, seed 0, not of 3"):
        ptbxl.write(own, records=3, ugly=False)
    ptbxl.write(own, records=2, ugly=False)
    assert len(list(own.rglob("*.dat"))) == 4
    assert (own / "notes.txt").read_text() == "kept"
