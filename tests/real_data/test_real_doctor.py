"""`pahcl doctor` on the publishers' own files finds what is known to be odd about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pahcl.cli import main

Finding = dict[str, str]
Ask = Callable[[str], list[Finding]]

TOGETHER = ("challenge2021/WFDB_PTBXL", "ptb-xl")
"""Folders that hold some of the same records."""
BETWEEN = "between"


@pytest.fixture(scope="module")
def ask(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Ask the doctor about folders of the samples, about each once; gives its findings."""
    facts = tmp_path_factory.mktemp("doctor") / "facts.json"
    known: dict[str, list[Finding]] = {}

    def findings(folder: str) -> list[Finding]:
        if folder not in known:
            folders = TOGETHER if folder in (*TOGETHER, BETWEEN) else (folder,)
            words = [str(samples / folder) for folder in folders]
            status = main(["doctor", *words, "--json", str(facts)])
            said = json.loads(facts.read_text(encoding="utf-8"))
            assert status == any(one["severity"] != "hint" for one in said["findings"])
            for name, one in zip((*folders, BETWEEN), said["examined"], strict=False):
                known[name] = one["findings"]
        return known[folder]

    return findings


def told(found: list[Finding], kind: str) -> dict[str, str]:
    return {one["where"]: one["text"] for one in found if one["kind"] == kind}


@pytest.mark.parametrize(
    "folder",
    ["ptb-xl", "code15", "csn", "cpsc2018", "circor", "physionet2016", "challenge2021/WFDB_Ga"],
)
def test_no_published_data_set_is_taken_for_wrong_as_a_whole(ask: Ask, folder: str) -> None:
    assert not [one for one in ask(folder) if one["severity"] == "error"]


def test_records_of_ptbxl_that_are_there_twice(ask: Ask) -> None:
    twice = told(ask("ptb-xl"), "duplicate content")
    assert set(twice) == {"137, 138", "143, 144", "456, 457"}
    assert all("of one subject" in text for text in twice.values())


def test_ages_of_ptbxl_that_are_missing_or_not_masked(ask: Ask) -> None:
    (missing,) = told(ask("ptb-xl"), "age missing").values()
    assert missing == "3 of 400 records have no usable age: 108, 256, 346"
    (note,) = [one["text"] for one in ask("ptb-xl") if one["kind"] == "note"]
    assert note == "age over 89, not masked (version 1.0.1): 3"


def test_chest_leads_of_csn_that_are_flat(ask: Ask) -> None:
    flat = told(ask("csn"), "flat")
    chest = "flat: V1, V2, V3, V4, V5, V6"
    assert {record for record, text in flat.items() if text == chest} == {
        "JS11438", "JS45542", "JS45544",
    }  # fmt: skip
    assert set(flat) > {"JS20008", "JS45551"}


def test_codes_of_csn_that_its_table_does_not_name(ask: Ask) -> None:
    (text,) = told(ask("csn"), "codes without a name").values()
    assert text.startswith("10 codes of diagnoses, in 30 records, are not in ConditionNames")
    assert "55827005 (9)" in text


def test_exam_438277_of_code15(ask: Ask) -> None:
    found = ask("code15")
    assert "-9.83 mV" in told(found, "artefact")["438277"]
    assert "III = II - I" in told(found, "limb leads disagree")["438277"]
    assert set(told(found, "limb leads disagree")) == {"438277", "358121"}


def test_headers_of_georgia(ask: Ask) -> None:
    found = ask("challenge2021/WFDB_Ga")
    names = told(found, "record name")
    assert len(names) == 8
    assert "the record E00015.mat" in names["E00015.hea"]
    (gains,) = told(found, "gains").values()
    assert "4880 in 2 (E00015, E00793)" in gains
    (ages,) = told(found, "age missing").values()
    assert "E00001, E00003" in ages


def test_units_and_gains_of_ptbxl_in_the_challenges_form(ask: Ask) -> None:
    found = ask("challenge2021/WFDB_PTBXL")
    (units,) = told(found, "units").values()
    assert "mv in 37 of 39 headers, mV in 2 (HR00599, HR20715)" in units
    (gains,) = told(found, "gains").values()
    assert "200 in 2 (HR00599, HR20715)" in gains


def test_ptbxl_is_recognised_in_the_challenges_form(ask: Ask) -> None:
    (text,) = told(ask(BETWEEN), "content in two data sets").values()
    assert text.startswith("8 record(s) of equal samples: HR00001 = 1, HR00002 = 2")


def test_rows_of_cpsc2018_without_files(ask: Ask) -> None:
    unusable = told(ask("cpsc2018"), "not usable")
    assert len(unusable) == 6859
    assert set(unusable.values()) == {"no file of this record is in the folder"}


def test_records_of_shandong_that_say_neither_unit_nor_rate(ask: Ask) -> None:
    found = ask("sph")
    assert "it is mV" in next(iter(told(found, "unit").values()))
    assert "500 Hz" in next(iter(told(found, "sampling rate").values()))
    assert not [one for one in found if one["severity"] != "hint"]


def test_the_ptb_record_has_lower_case_leads_and_three_more(ask: Ask) -> None:
    assert not [one for one in ask("ptbdb") if one["severity"] != "hint"]


def test_mimic_lists_its_leads_in_another_order_by_name(ask: Ask) -> None:
    found = ask("mimic-iv-ecg")
    assert {one["kind"] for one in found if one["severity"] != "hint"} == {
        "not usable", "row without file",
    }  # fmt: skip


def test_states_of_circor_have_gaps_overlap_and_stop_early(ask: Ask) -> None:
    found = ask("circor")
    assert told(found, "states end early") == {"9983_AV": "states end at 5.26 s of 23.06 s"}
    (gaps,) = told(found, "gaps between states").values()
    (overlaps,) = told(found, "overlaps between states").values()
    assert gaps.startswith("7 gaps between states in 4 of 10")
    assert overlaps.startswith("4 overlaps between states in 4 of 10")


def test_patients_of_circor_without_audio(ask: Ask) -> None:
    notes = [one["text"] for one in ask("circor") if one["kind"] == "note"]
    assert any(text.endswith(": 939") for text in notes)


def test_validation_records_of_physionet2016_are_copies(ask: Ask) -> None:
    unusable = told(ask("physionet2016"), "not usable")
    copies = [text for text in unusable.values() if text.startswith("the same samples are taken")]
    assert len(copies) == 9


def test_records_of_physionet2016_without_an_ecg(ask: Ask) -> None:
    (text,) = told(ask("physionet2016"), "signals").values()
    assert "1 in 4 (a0041, a0117, a0220, a0233)" in text


def test_a_sound_of_pascal_that_is_near_silence(ask: Ask) -> None:
    unusable = told(ask("pascal"), "not usable")
    (silent,) = [name for name, text in unusable.items() if "near silence" in text]
    assert "201106120928" in silent


def test_patients_of_pascal_with_two_classes(ask: Ask) -> None:
    torn = told(ask("pascal"), "subjects of several classes")
    assert torn["task set_b"].startswith("35 of ")


def test_names_of_pascals_tables_that_are_no_files(ask: Ask) -> None:
    names = told(ask("pascal"), "names of files")
    assert names["set_b.csv"].startswith("656 of 656 names in the column `fname`")
