"""The layout is that of CODE-15%, and every ugly case is counted."""

import csv
import hashlib
import json

import h5py
import numpy as np
import pytest

from pahcl.simulation import code15

RECORDS = 50


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("simulated") / "code15"
    counts = code15.write(out, records=RECORDS, seed=3)
    with (out / "exams.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    tracings = {}
    for path in sorted(out.glob("exams_part*.hdf5")):
        with h5py.File(path) as part:
            for exam, tracing in zip(part["exam_id"][:], part["tracings"][:], strict=True):
                tracings.setdefault((path.name, int(exam)), tracing)
    cases = json.loads((out / "simulation.json").read_text())["records"]
    return out, counts, rows, tracings, cases


def named(corpus, kind):
    return [exam for exam, facts in corpus[4].items() if facts["case"] == kind]


def test_parts_are_contiguous_and_end_with_a_dummy(corpus):
    out, counts, *_ = corpus
    paths = sorted(out.glob("exams_part*.hdf5"))
    assert [path.name for path in paths] == [f"exams_part{i}.hdf5" for i in range(counts["parts"])]
    assert len(paths) >= 3
    stored = 0
    for path in paths:
        with h5py.File(path) as part:
            tracings, exams = part["tracings"], part["exam_id"]
            assert tracings.shape == (len(exams), 4096, 12)
            assert tracings.dtype == np.float32
            assert exams.dtype == np.int64
            assert tracings.chunks is None
            assert tracings.compression is None
            assert exams[-1] == 0
            assert not tracings[-1].any()
            stored += len(exams) - 1
    assert stored == counts["stored_exams"]


def test_table_has_the_publishers_columns_and_styles(corpus):
    _, counts, rows, tracings, _ = corpus
    assert tuple(rows[0]) == code15.COLUMNS
    assert len(rows) == counts["table_rows"]
    for row in rows:
        assert {row[name] for name in ("is_male", *code15.ABNORMALITIES)} <= {"True", "False"}
        assert row["age"] == "" or 16 <= int(row["age"]) <= 105
        if row["normal_ecg"] == "True":
            assert not any(row[name] == "True" for name in code15.ABNORMALITIES)
    assert len({row["exam_id"] for row in rows}) == len(rows)
    there = [row for row in rows if (row["trace_file"], int(row["exam_id"])) in tracings]
    assert len(rows) - len(there) == counts["row_without_part"] == 2


def test_exams_are_padded_on_both_sides_alike(corpus):
    _, _, rows, tracings, cases = corpus
    lengths = set()
    for row in rows:
        if cases[row["exam_id"]]["case"] != "good":
            continue
        active = tracings[row["trace_file"], int(row["exam_id"])].any(axis=1).nonzero()[0]
        before, after = active[0], 4095 - active[-1]
        assert abs(before - after) <= 1
        lengths.add(4096 - before - after)
    assert min(lengths) >= 2800
    assert {2934, 4096} <= lengths


def test_leads_obey_einthoven(corpus):
    _, _, _, tracings, cases = corpus
    for (_, exam), tracing in tracings.items():
        if exam and cases[str(exam)]["case"] == "good":
            np.testing.assert_allclose(tracing[:, 2], tracing[:, 1] - tracing[:, 0], atol=1e-5)


def test_ugly_cases_are_there_and_counted(corpus):
    _, counts, rows, tracings, _ = corpus
    table = {row["exam_id"]: row for row in rows}
    by_exam = {exam: tracing for (_, exam), tracing in tracings.items()}
    for kind, count in code15.UGLY.items():
        assert counts[kind] == count == len(named(corpus, kind))
    assert all(table[exam]["age"] == "" for exam in named(corpus, "nan_age"))
    assert all(exam not in table for exam in named(corpus, "exam_without_row"))
    assert all(int(exam) not in by_exam for exam in named(corpus, "row_without_part"))
    for exam in named(corpus, "zero_exam"):
        assert not by_exam[int(exam)].any()
    for exam in named(corpus, "artefact_exam"):
        assert by_exam[int(exam)].min() == pytest.approx(-19.7)
    contents = [t.tobytes() for t in by_exam.values() if t.any()]
    assert len(contents) - len(set(contents)) == counts["duplicate_record"]
    for exam in named(corpus, "duplicate_record"):
        twin = next(
            other
            for other, tracing in by_exam.items()
            if other != int(exam) and np.array_equal(tracing, by_exam[int(exam)])
        )
        assert table[str(twin)]["patient_id"] != table[exam]["patient_id"]
    assert counts["readable"] + counts["unreadable"] == len(rows)


def test_same_seed_same_bytes(tmp_path):
    found = []
    for name in "ab":
        code15.write(tmp_path / name, records=4, seed=9, part_exams=3)
        files = sorted((tmp_path / name).iterdir())
        found.append([(f.name, hashlib.sha256(f.read_bytes()).hexdigest()) for f in files])
    assert found[0] == found[1]
    assert len(found[0]) == 2 + 5


def test_without_ugly_cases_there_is_no_dummy(tmp_path):
    counts = code15.write(tmp_path, records=4, ugly=False)
    assert counts["dummy_row"] == 0
    assert counts["readable"] == counts["stored_exams"] == 4
