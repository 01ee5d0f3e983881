"""`pahcl doctor` through the door: on stores, one's own files, publishers' folders and runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import soundfile
import wfdb

from pahcl.cli import main
from pahcl.commands._doctor_headers import examine_headers
from pahcl.evaluation.run import RunFolder
from pahcl.signals import Recording
from pahcl.signals.leads import STANDARD_12
from pahcl.simulation.ecg import simulate, twelve_leads
from pahcl.simulation.population import draw_cases
from pahcl.simulation.ptbxl import SITE, UGLY
from pahcl.store import Index, SignalStore, write_store

FS = 500.0
Signals = list[npt.NDArray[np.float32]]
Finding = dict[str, str]


@pytest.fixture(scope="module")
def signals() -> Signals:
    """Twelve-lead records in mV at 500 Hz, cleaner than most."""
    cases = draw_cases(SITE.population, 40, (3, SITE.number))
    made = (twelve_leads(one.signal) for one in simulate(SITE, cases, 10.0))
    calm = [signal for signal in made if np.abs(signal).max() < 6]
    return [np.round(signal, 3).astype(np.float32) for signal in calm[:24]]


def pack(
    out: Path,
    signals: Signals,
    leads: tuple[str, ...] = STANDARD_12,
    unit: str = "mV",
    fs: float = FS,
    dataset: str = "mine",
    **columns: Any,
) -> Path:
    """Pack signals into a store, each of a subject of its own."""
    names = [f"r{number:02d}" for number in range(len(signals))]
    table = pd.DataFrame({"record_id": names, "subject_id": names, "file": names, **columns})

    def read(row: Any) -> Recording:
        signal = signals[names.index(row["record_id"])]
        ids = row["record_id"], row["subject_id"]
        return Recording(signal, fs, leads, unit, *ids, np.full(len(leads), 1e-3))

    write_store(
        out, Index(table), read, dataset=dataset, dataset_version="1", modality="ecg", leads=leads,
        unit=unit, fs=fs, shard_records=8, progress=False,
    )  # fmt: skip
    return out


@pytest.fixture
def doctor(tmp_path: Path) -> Callable[..., tuple[int, list[Finding]]]:
    """Ask the doctor; gives the exit status and the findings."""

    def ask(*words: object) -> tuple[int, list[Finding]]:
        facts = tmp_path / "doctor.json"
        status = main(["doctor", *map(str, words), "--json", str(facts)])
        found: list[Finding] = json.loads(facts.read_text(encoding="utf-8"))["findings"]
        return status, found

    return ask


def of_kind(found: list[Finding], kind: str) -> list[Finding]:
    return [one for one in found if one["kind"] == kind]


def worse(found: list[Finding]) -> list[Finding]:
    return [one for one in found if one["severity"] != "hint"]


# Stores


def test_nothing_is_found_in_a_sound_store(signals, tmp_path, doctor, capsys) -> None:
    store = pack(tmp_path / "store", signals)
    assert doctor(store) == (0, [])
    assert "24 records: sound, nothing was found." in capsys.readouterr().out


def test_a_damaged_record_is_named(signals, tmp_path, doctor, capsys) -> None:
    store = pack(tmp_path / "store", signals[:10])
    path = store / "shards" / "00001.bin"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    status, found = doctor(store)
    assert status == 1
    assert [one["kind"] for one in worse(found)] == ["checksum", "damaged record"]
    assert found[1]["where"] == "r09"
    assert "2 error(s)" in capsys.readouterr().out


def test_an_incomplete_store_is_a_finding(signals, tmp_path, doctor) -> None:
    store = pack(tmp_path / "store", signals[:2])
    (store / "manifest.json").unlink()
    status, found = doctor(store)
    assert status == 1
    assert found[0]["kind"] == "cannot be read"


def test_paths_are_kept_whole(signals, tmp_path, doctor, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    store = pack(tmp_path / "store", signals[:2])
    (store / "records.parquet").unlink()
    assert doctor(store)[0] == 1
    said = capsys.readouterr().out
    assert f"Delete {store} and run" in said
    assert f"{store}: {store}/records.parquet is missing" in said


def test_exchanged_leads_are_told_once_for_a_data_set(signals, tmp_path, doctor) -> None:
    names = list(STANDARD_12)
    names[4], names[5] = names[5], names[4]
    store = pack(tmp_path / "store", signals, leads=tuple(names))
    status, found = doctor(store)
    assert status == 1
    (one,) = worse(found)
    assert (one["kind"], one["severity"]) == ("leads exchanged", "error")
    assert "aVL and aVF exchanged" in one["text"]


def test_exchanged_leads_of_one_record_are_told_of_it(signals, tmp_path, doctor) -> None:
    changed = [signal.copy() for signal in signals]
    changed[5][[0, 1]] = changed[5][[1, 0]]
    status, found = doctor(pack(tmp_path / "store", changed))
    assert status == 1
    (one,) = worse(found)
    assert (one["kind"], one["where"]) == ("leads exchanged", "r05")
    assert one["text"].endswith("I and II exchanged")


@pytest.mark.parametrize(("stated", "factor"), [("V", 1e-3), ("uV", 1e3), ("1e-4 V", 10)])
def test_a_wrong_unit_is_told(signals, tmp_path, doctor, stated, factor) -> None:
    store = pack(tmp_path / "store", [signal * np.float32(factor) for signal in signals])
    status, found = doctor(store)
    assert status == 1
    (one,) = of_kind(found, "unit")
    assert f"the numbers look like {stated}" in one["text"]


def test_a_wrong_rate_is_told(signals, tmp_path, doctor) -> None:
    status, found = doctor(pack(tmp_path / "store", signals, fs=100.0))
    assert status == 1
    (one,) = of_kind(found, "sampling rate")
    assert "stated is 100 Hz" in one["text"]
    assert "500" in one["text"]


def test_faults_of_single_records_are_named_with_their_leads(signals, tmp_path, doctor) -> None:
    changed = [signal.copy() for signal in signals]
    changed[0][7] = 0
    changed[1][9, 100] = -19.7
    changed[2] *= np.float32(1e-3)
    changed[3][2, 700] += 2
    changed[4] = changed[4][:, :300]
    changed[5][:] = 0
    status, found = doctor(pack(tmp_path / "store", changed))
    assert status == 1
    told = {(one["kind"], one["where"]): one["text"] for one in worse(found)}
    assert told[("flat", "r00")] == "flat: V2"
    assert "V4 (up to -19.7 mV)" in told[("artefact", "r01")]
    assert "another unit?" in told[("size unlike the others", "r02")]
    assert "III = II - I broken in 1 sample(s)" in told[("limb leads disagree", "r03")]
    assert told[("short", "r04")] == "300 samples, less than 1 s"
    assert told[("flat", "r05")].startswith("nothing is recorded")
    assert len(told) == 6


def test_ages_sexes_and_folds_of_a_store_are_looked_at(signals, tmp_path, doctor) -> None:
    columns = {"age": [140.0, 50.0, np.nan, 60.0], "sex": ["male", "female", None, "male"]}
    store = pack(tmp_path / "store", signals[:4], **columns)
    status, found = doctor(store)
    assert status == 1
    assert [(one["kind"], one["where"]) for one in worse(found)] == [("age", "r00")]
    (missing,) = of_kind(found, "age missing")
    assert "1 of 4" in missing["text"]


def test_a_sample_of_the_records_is_read(signals, tmp_path, doctor, capsys) -> None:
    changed = [signal.copy() for signal in signals]
    changed[7][7] = 0
    store = pack(tmp_path / "store", changed)
    assert doctor(store, "--records", "3") == (0, [])
    assert "24 records, 3 of them read" in capsys.readouterr().out
    assert [one["where"] for one in doctor(store, "--records", "0")[1]] == ["r07"]


def test_equal_samples_in_two_stores_are_told(signals, tmp_path, doctor) -> None:
    one = pack(tmp_path / "one", signals[:8], dataset="one")
    other = pack(tmp_path / "other", signals[6:12], dataset="other")
    status, found = doctor(one, other)
    assert status == 1
    (finding,) = found
    assert finding["kind"] == "content in two data sets"
    assert "2 record(s) of equal samples: r06 = r00, r07 = r01" in finding["text"]
    again = pack(tmp_path / "again", signals[:8], dataset="one")
    status, found = doctor(one, again)
    assert (status, found[0]["kind"]) == (0, "same records")


# One's own files


def write_wfdb(folder: Path, name: str, signal: npt.NDArray[np.float32], **how: Any) -> None:
    folder.mkdir(exist_ok=True)
    count = len(signal)
    wfdb.wrsamp(
        name, how.get("fs", FS), [how.get("unit", "mV")] * count, list(STANDARD_12[:count]),
        p_signal=signal.T.astype(np.float64), fmt=["16"] * count, adc_gain=[how.get("gain", 1000)]
        * count, baseline=[0] * count, write_dir=str(folder),
    )  # fmt: skip


def test_ones_own_wfdb_records_in_a_wrong_unit(signals, tmp_path, doctor) -> None:
    for number, signal in enumerate(signals):
        write_wfdb(tmp_path / "own", f"p{number}", signal, unit="uV")
    status, found = doctor(tmp_path / "own")
    assert status == 1
    (one,) = worse(found)
    assert one["kind"] == "unit"
    assert "stated is uV" in one["text"]
    assert "look like mV" in one["text"]


def test_headers_are_held_against_each_other(signals, tmp_path, doctor) -> None:
    folder = tmp_path / "own"
    for number, signal in enumerate(signals[:6]):
        write_wfdb(folder, f"p{number}", signal, gain=4880 if number == 2 else 1000)
    header = (folder / "p4.hea").read_text()
    (folder / "p4.hea").write_text(header.replace("p4 12", "q4 12", 1))
    status, found = doctor(folder)
    assert status == 1
    (gains,) = of_kind(found, "gains")
    assert "4880 in 1 (p2)" in gains["text"]
    assert [one["where"] for one in of_kind(found, "record name")] == ["p4.hea"]


def test_what_headers_say_stands_in_one_order(tmp_path) -> None:
    codes = [str(number) for number in range(60)]
    for number in range(3):
        text = f"r{number} 1 500 10\nr{number}.mat 16 {number + 1}/mV 16 0 0 0 0 I\n"
        (tmp_path / f"r{number}.hea").write_text(f"{text}#Dx: {','.join(reversed(codes))}\n")
    (tmp_path / "SNOMED.csv").write_text("Dx,Code\n")
    found = list(examine_headers(tmp_path, sorted(tmp_path.glob("*.hea"))))
    (unknown,) = [one.text for one in found if one.kind == "codes without a name"]
    assert unknown.endswith(f"{', '.join(f'{code} (3)' for code in sorted(codes)[:8])}, …")


def test_arrays_that_say_nothing_are_guessed_at(signals, tmp_path, doctor) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for number, signal in enumerate(signals):
        np.save(folder / f"p{number:02d}.npy", signal.T * 1000)
    status, found = doctor(folder)
    assert status == 0
    assert "it is uV" in of_kind(found, "unit")[0]["text"]
    assert "500" in of_kind(found, "sampling rate")[0]["text"]
    assert of_kind(found, "leads")
    swapped = [4, 1, 2, 3, 0, *range(5, 12)]
    for number, signal in enumerate(signals):
        np.save(folder / f"p{number:02d}.npy", signal[swapped].T * 1000)
    status, found = doctor(folder)
    assert status == 1
    assert "I and aVL exchanged" in of_kind(found, "leads exchanged")[0]["text"]


def test_sounds_that_are_silent_short_equal_or_cut_off(tmp_path, doctor) -> None:
    folder = tmp_path / "sounds"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        soundfile.write(folder / f"p{number}.wav", rng.normal(0, 0.1, 8000), 2000)
    soundfile.write(folder / "silent.wav", rng.normal(0, 5e-5, 8000), 2000)
    soundfile.write(folder / "short.wav", rng.normal(0, 0.1, 900), 2000)
    (folder / "copy.wav").write_bytes((folder / "p3.wav").read_bytes())
    whole = (folder / "p1.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.wav").write_bytes(b"")
    status, found = doctor(folder)
    assert status == 1
    told = {(one["kind"], one["where"]) for one in worse(found)}
    assert told == {
        ("near silence", "silent"),
        ("short", "short"),
        ("duplicate content", "copy, p3"),
        ("not usable", "cut"),
        ("not usable", "empty"),
    }


def test_a_table_of_ones_own_is_held_against_the_files(tmp_path, doctor) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c", "d"):
        soundfile.write(folder / f"{name}.wav", rng.normal(0, 0.1, 8000), 2000)
    rows = "path,subject,label,age\na.wav,1,x,30\nb.wav,1,y,300\ngone.wav,2,x,40\nc.wav,3,x,\n"
    (folder / "table.csv").write_text(rows)
    status, found = doctor(folder)
    assert status == 1
    kinds = {one["kind"] for one in worse(found)}
    assert {"not usable", "age"} <= kinds
    assert any("gone" in one["where"] + one["text"] for one in of_kind(found, "not usable"))
    assert any("d" in one["where"] for one in found if "not" in one["text"])


def test_a_table_that_leads_out_of_its_folder_is_told_and_not_followed(
    signals, tmp_path, doctor
) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
        wfdb.wrsamp(
            "rec", FS, ["mV"] * 12, list(STANDARD_12), signals[0].T.astype(np.float64),
            fmt=["16"] * 12, write_dir=str(folder),
        )  # fmt: skip
    soundfile.write(own / "b.wav", np.zeros(8000), 4000)
    lines = ["path,subject,label", "rec.hea,1,0", f"{other}/rec.hea,2,1", "../other/rec.hea,3,1"]
    (own / "t.csv").write_text("\n".join(lines))
    _, found = doctor(own)
    told = [one for one in found if "leads out of the folder" in one["text"]]
    assert len(told) == 2


def test_one_file_is_enough(signals, tmp_path, doctor) -> None:
    write_wfdb(tmp_path / "own", "p1", signals[0])
    write_wfdb(tmp_path / "own", "p2", np.full((3, 5000), 0.5, np.float32))
    assert doctor(tmp_path / "own" / "p1.hea") == (0, [])
    assert doctor(tmp_path / "own" / "p1.dat")[0] == 0
    status, found = doctor(tmp_path / "own" / "p2.hea")
    assert (status, found[0]["kind"]) == (1, "flat")


# Publishers' folders


def test_planted_faults_of_a_publishers_folder_are_found(corpora, doctor, capsys) -> None:
    status, found = doctor(corpora / "ptb-xl", "--records", "0")
    assert status == 1
    assert "ptbxl (publisher's folder)" in capsys.readouterr().out
    unusable = len(of_kind(found, "not usable"))
    assert unusable >= sum(UGLY[name] for name in ("truncated_dat", "header_without_dat"))
    assert len(of_kind(found, "row without file")) >= UGLY["row_without_file"]
    assert len(of_kind(found, "duplicate content")) == UGLY["duplicate_record"]
    assert len(of_kind(found, "flat")) >= UGLY["flat_lead"]
    assert len(of_kind(found, "missing samples")) >= UGLY["invalid_samples"]
    assert not of_kind(found, "unit") + of_kind(found, "leads exchanged")
    assert not of_kind(found, "sampling rate")


@pytest.mark.parametrize("folder", ["code15", "cpsc2018", "csn", "physionet2016", "circor"])
def test_every_publishers_folder_is_recognised(folder, corpora, doctor, capsys, tmp_path) -> None:
    elsewhere = tmp_path / "data"
    elsewhere.symlink_to(corpora / folder)
    doctor(elsewhere, "--records", "12")
    assert f"{elsewhere}: {folder} (publisher's folder)" in capsys.readouterr().out


def test_a_folder_is_read_as_the_data_set_that_is_named(corpora, tmp_path, capsys) -> None:
    assert main(["doctor", str(corpora / "code15"), "--dataset", "ptbxl"]) == 1
    assert "ptbxl_database.csv is missing" in capsys.readouterr().err


# What is asked wrongly


def test_what_cannot_be_examined_is_refused(signals, tmp_path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    store = pack(tmp_path / "stores" / "one", signals[:2])
    for words, said in (
        ([tmp_path / "none"], "There is no folder"),
        ([tmp_path / "empty"], "`pahcl prepare` wrote"),
        ([tmp_path / "stores"], f"by their own names: {store}."),
        ([store, "--records", "-1"], "--records"),
        ([store, "--dataset", "ptbx"], "did you mean `ptbxl`?"),
    ):
        assert main(["doctor", *map(str, words)]) == 2
        assert said in capsys.readouterr().err


# Runs


def write_run(
    folder: Path,
    splits: dict[str, str],
    dataset: str = "mine",
    store: Path | None = None,
    digests: list[str] | None = None,
) -> Path:
    """Write a run folder: the split of each record, which is the subject's name and a number."""
    folder.mkdir(parents=True)
    where = "" if store is None else f"data: {{init_args: {{store: {store}}}}}\n"
    (folder / "config.yaml").write_text(where or "seed_everything: 0\n")
    digest = "" if store is None else SignalStore(store).manifest.digest
    receipt = {"data": {"dataset": dataset, "store": digest}}
    (folder / "receipt.json").write_text(json.dumps(receipt))
    rows = [(record, record.split("-")[0], split) for record, split in splits.items()]
    table = pd.DataFrame(rows, columns=["record_id", "subject_id", "split"])
    if digests is not None:
        table["digest"] = digests
    table.to_parquet(RunFolder(folder).splits)
    return folder


def test_a_run_whose_splits_share_subjects_is_told(tmp_path, doctor) -> None:
    run = write_run(tmp_path / "runs" / "x" / "a", {"s1-1": "train", "s1-2": "test", "s2-1": "val"})
    status, found = doctor(run)
    assert status == 1
    (one,) = worse(found)
    assert (one["kind"], one["where"]) == ("subject in several splits", "s1")


def test_test_subjects_of_one_run_that_another_learnt_from(tmp_path, doctor, capsys) -> None:
    first = {"s1-1": "train", "s2-1": "val", "s3-1": "test"}
    clean = {"s4-1": "train", "s1-1": "train", "s3-1": "test"}
    leaking = {"s3-1": "train", "s1-1": "test", "s2-1": "test"}
    runs = tmp_path / "runs" / "x"
    one = write_run(runs / "a", first)
    assert doctor(one, write_run(runs / "b", clean))[0] == 0
    assert "between 2 runs: sound" in capsys.readouterr().out
    status, found = doctor(one, write_run(runs / "c", leaking))
    assert status == 1
    told = " ".join(one["text"] for one in worse(found))
    assert "test subjects of x/c are train subjects of x/a (mine): s1." in told
    assert "test subjects of x/c are val subjects of x/a (mine): s2." in told
    # The other way round it does no harm: weights go from the first to the second.
    hints = " ".join(one["text"] for one in found if one["severity"] == "hint")
    assert "test subjects of x/a are train subjects of x/c (mine): s3." in hints
    other = write_run(runs / "d", leaking, dataset="another")
    assert not worse(doctor(one, other)[1])
    assert doctor(tmp_path / "runs")[0] == 1  # all that lie below


def test_weights_go_where_the_configs_say(tmp_path, doctor) -> None:
    runs = tmp_path / "runs" / "x"
    pretrained = write_run(runs / "z", {"s1-1": "train", "s2-1": "test"})
    carried = write_run(runs / "a", {"s2-1": "train", "s3-1": "test"})
    start = f"model: {{init_args: {{pretrained: {runs}/z/checkpoints/best.ckpt}}}}\n"
    (carried / "config.yaml").write_text(start)
    assert doctor(carried, pretrained)[0] == 0  # what is learnt later does not flow back
    write_run(runs / "b", {"s2-1": "train", "s1-1": "test"})
    (runs / "b" / "config.yaml").write_text(start)
    status, found = doctor(runs / "b", pretrained)
    assert status == 1
    (leak,) = worse(found)
    assert "test subjects of x/b are train subjects of x/z" in leak["text"]


def test_subjects_of_two_folders_of_ones_own_are_not_the_same(tmp_path, doctor) -> None:
    first = write_run(tmp_path / "runs" / "a", {"1-1": "train", "2-1": "test"}, "folder")
    second = write_run(tmp_path / "runs" / "b", {"1-1": "test", "3-1": "train"}, "folder")
    for run, root in ((first, "one"), (second, "other")):
        (run / "config.yaml").write_text(f"data: {{init_args: {{root: {root}}}}}\n")
    assert not worse(doctor(first, second)[1])
    (second / "config.yaml").write_text("data: {init_args: {root: one}}\n")
    assert worse(doctor(first, second)[1])


def test_equal_samples_learnt_from_in_one_run_and_tested_in_another(
    signals, tmp_path, doctor
) -> None:
    one = pack(tmp_path / "stores" / "one", signals[:6], dataset="one")
    other = pack(tmp_path / "stores" / "other", signals[4:10], dataset="other")
    names = [f"r{number:02d}" for number in range(6)]
    splits = dict(zip(names, ("train", "val", "test") * 2, strict=True))
    first = write_run(tmp_path / "runs" / "a", splits, "one", one)
    second = write_run(tmp_path / "runs" / "b", dict.fromkeys(names, "test"), "other", other)
    status, found = doctor(first, second)
    assert status == 1
    (leak,) = worse(found)
    assert leak["kind"] == "test content learnt from"
    assert "1 test records of runs/b (other) have the samples of train or val" in leak["text"]
    assert leak["text"].endswith("r00")  # the fifth of the first: val; the sixth is a test record


def test_runs_that_know_their_samples_need_no_store(tmp_path, doctor) -> None:
    runs = tmp_path / "runs"
    one = {"s1-1": "train", "s2-1": "val", "s3-1": "test"}
    first = write_run(runs / "a", one, "one", digests=["x", "y", "z"])
    other = {"p1-1": "train", "p2-1": "test", "p3-1": "test"}
    second = write_run(runs / "b", other, "other", digests=["z", "w", "y"])
    status, found = doctor(first, second)
    assert status == 1
    assert sorted(one["text"].rsplit(" ", 1)[1] for one in worse(found)) == ["p3-1"]
    hints = [one["text"] for one in found if one["severity"] == "hint"]
    assert [text.rsplit(" ", 1)[1] for text in hints] == ["s3-1"]
    third = write_run(runs / "c", other, "other")
    (hint, _) = doctor(first, third)[1]
    assert hint["kind"] == "contents unknown"


def test_equal_samples_in_two_splits_of_a_run(signals, tmp_path, doctor) -> None:
    store = pack(tmp_path / "store", [*signals[:3], signals[0]])
    splits = dict(zip(("r00", "r01", "r02", "r03"), ("train", "val", "val", "test"), strict=True))
    status, found = doctor(write_run(tmp_path / "runs" / "a", splits, store=store))
    assert status == 1
    (one,) = worse(found)
    assert (one["kind"], one["where"]) == ("content in several splits", "r00, r03")


def test_a_run_that_says_nothing_of_its_splits(tmp_path, doctor) -> None:
    run = write_run(tmp_path / "runs" / "a", {"s1-1": "test"})
    (run / "splits.parquet").unlink()
    status, found = doctor(run)
    assert (status, found[0]["kind"]) == (1, "splits unknown")
    (run / "splits.parquet").write_bytes(b"PAR1")
    status, found = doctor(run)
    assert (status, found[0]["kind"]) == (1, "cannot be read")
