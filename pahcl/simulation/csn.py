"""Write a synthetic corpus in the layout of CSN, the Chapman-Shaoxing-Ningbo database 1.0.0.

The layout follows Zheng et al., A large scale 12-lead electrocardiogram database for arrhythmia
study (PhysioNet, doi 10.13026/wgex-er52): ten seconds at 500 Hz, a header with SNOMED CT codes and
a MATLAB file for each record, in two styles of headers, one record a patient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pahcl.errors import UsageError
from pahcl.simulation.challenge_files import (
    INVALID,
    Style,
    header,
    matlab_4,
    said_of,
    to_steps,
    write_record,
)
from pahcl.simulation.corpus import claim_folder, write_mark
from pahcl.simulation.ecg import Simulated, simulate
from pahcl.simulation.population import Population, draw_cases
from pahcl.simulation.site import Recorder, Site

SITE = Site(
    name="csn",
    number=4,
    fs=500.0,
    mains=50.0,
    hum=0.005,
    muscle=0.008,
    wander=0.04,
    spread=0.6,
    bursts=0.04,
    jumps=0.02,
    recorders=(Recorder(0.05, 1, 150, 2, notched=0.6), Recorder(0.5, 2, 100, 3, notched=0.6)),
    shares=(0.5, 0.5),
    population=Population(
        age_mean=58,
        age_sd=19,
        age_range=(1, 95),
        female=0.44,
        more_records=0.0,
        rate=70,
        prevalence={
            "SBRAD": 0.37,
            "STACH": 0.16,
            "AFIB": 0.08,
            "SARRH": 0.06,
            "1AVB": 0.025,
            "CRBBB": 0.04,
            "CLBBB": 0.012,
            "IRBBB": 0.006,
            "LAFB": 0.035,
            "LVH": 0.1,
            "NDT": 0.16,
            "ISC_": 0.04,
            "ASMI": 0.004,
            "IMI": 0.004,
            "PAC": 0.03,
            "PVC": 0.03,
        },
        missed=0.05,
        invented=0.05,
    ),
)
"""The hospitals as one site; prevalences are set by hand, bradycardia leading as it does there."""

SINUS = ("426783006", "sinus rhythm", "SR")
CODES: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "SBRAD": (("426177001", "sinus bradycardia", "SB"),),
    "STACH": (("427084000", "sinus tachycardia", "ST"),),
    "AFIB": (("164889003", "atrial fibrillation", "AFIB"),),
    "SARRH": (("427393009", "sinus irregularity", "SA"),),
    "1AVB": (("270492004", "first-degree atrioventricular block", "1AVB"),),
    "CRBBB": (
        ("59118001", "right bundle branch block", "RBBB"),
        ("713427006", "complete right bundle branch block", ""),
    ),
    "CLBBB": (("164909002", "left bundle branch block", "LBBB"),),
    "IRBBB": (("713426002", "incomplete right bundle branch block", ""),),
    "LAFB": (("39732003", "left axis deviation", "ALS"),),
    "LVH": (
        ("164873001", "left ventricular hypertrophy", "LVH"),
        ("55827005", "high left ventricular voltage", ""),
    ),
    "NDT": (("164934002", "T wave change", "TWC"),),
    "ISC_": (("429622005", "ST depression", "STDD"),),
    "ASMI": (("164865005", "myocardial infarction", "MI"),),
    "IMI": (("164865005", "myocardial infarction", "MI"),),
    "PAC": (("284470004", "atrial premature beat", "APB"),),
    "PVC": (
        ("17338001", "ventricular premature beat", "VPB"),
        ("427172004", "premature ventricular contraction", ""),
    ),
}
"""Code, meaning and acronym by condition; one of several is drawn. Without an acronym it is not in
the publisher's table, as in the real headers."""

UGLY: Mapping[str, int] = {
    "nan_age": 2,
    "no_diagnosis": 1,
    "unknown_code": 3,
    "flat_chest": 3,
    "invalid_samples": 1,
    "duplicate_record": 2,
    "truncated_mat": 2,
    "empty_header": 1,
    "header_without_mat": 1,
    "mat_without_header": 1,
    "no_gain": 1,
    "other_rate": 1,
}
"""Ugly cases, and how many of each a corpus has beside its good records."""

UNREADABLE = frozenset(
    {
        "truncated_mat", "empty_header", "header_without_mat", "mat_without_header", "no_gain",
        "other_rate",
    }
)  # fmt: skip
"""Ugly cases that a reader has to reject."""

UNKNOWN_CODE = "999000001"
MOST_RECORDS = 98_000
SECONDS = 10.0
_TABLE = "ConditionNames_SNOMED-CT.csv"
_LAYOUT = ("WFDBRecords", _TABLE)
_RHYTHMS = frozenset({"SBRAD", "STACH", "AFIB", "SARRH"})
_STYLES: tuple[Style, Style] = ("plain", "long")
_DATE = "23-Mar-2021 20:20:47"


@dataclass
class _Record:
    """Hold what is written of one record beside its signal."""

    number: int
    one: Simulated
    codes: list[str]
    kind: str = "good"

    @property
    def name(self) -> str:
        return f"JS{self.number:05d}"


def write(
    out: Path,
    records: int = 1000,
    seed: int = 0,
    ugly: bool = True,
    progress: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Write `records` good records, and a few ugly ones beside them.

    Args:
        out: The folder; empty, new, or with this very corpus, which is left as it is if complete.
        records: Number of good records.
        seed: The same seed gives the same bytes.
        ugly: Whether the ugly cases are written, too.
        progress: Called with the number of good records written since the last call.

    Returns:
        Counts: `records` and their `subjects`, each case of `UGLY`, `table_rows` (all records,
        ugly ones included), `readable` and `unreadable` of these.

    Raises:
        UsageError: `out` holds another corpus, or files that no simulator wrote; or there are not
            as many numbers as records.
        DataError: `out` cannot be made.
    """
    if records > MOST_RECORDS:
        raise UsageError(
            f"--records must be at most {MOST_RECORDS}, for the records of CSN have numbers of "
            f"five digits; got {records}."
        )
    question = {"seed": seed, "records": records, "ugly": ugly}
    there = claim_folder(out, "csn", _LAYOUT, question)
    if there is not None:
        return there
    truth: dict[str, dict[str, object]] = {}
    first: list[_Record] = []
    cases = draw_cases(SITE.population, records, (seed, SITE.number))
    for number, one in enumerate(simulate(SITE, cases, SECONDS), start=1):
        record = _Record(number, one, _codes(one))
        first += [record] if number <= UGLY["duplicate_record"] else []
        truth[record.name] = _write_files(out, record)
        if progress is not None:
            progress(1)
    kinds = [kind for kind, count in UGLY.items() for _ in range(count)] if ugly else []
    cases = draw_cases(SITE.population, len(kinds), (seed, SITE.number, 1))
    ugly_ones = zip(kinds, simulate(SITE, cases, SECONDS), strict=True)
    for place, (kind, one) in enumerate(ugly_ones):
        record = _Record(records + 1 + place, one, _codes(one), kind)
        if kind == "duplicate_record" and first:
            source = first[place % len(first)]
            record.one, record.codes = source.one, source.codes
        truth[record.name] = _write_files(out, record)
    _write_table(out / _TABLE)
    counts = _counts(records, kinds)
    write_mark(out, "csn", question, {"complete": True, "counts": counts, "records": truth})
    return counts


def _counts(records: int, kinds: list[str]) -> dict[str, int]:
    unreadable = sum(kind in UNREADABLE for kind in kinds)
    return {
        **{kind: kinds.count(kind) for kind in UGLY},
        "records": records,
        "subjects": records,
        "table_rows": records + len(kinds),
        "readable": records + len(kinds) - unreadable,
        "unreadable": unreadable,
    }


def _codes(one: Simulated) -> list[str]:
    """Write down the labels as codes, the rhythm among the others."""
    rng = one.case.stream(3)
    labels = [code for code in CODES if code in one.case.labels]
    drawn = [CODES[code][int(rng.integers(len(CODES[code])))][0] for code in labels]
    if not _RHYTHMS & one.case.labels:
        drawn.append(SINUS[0])
    codes = list(dict.fromkeys(drawn))
    rng.shuffle(codes)
    return codes


def _write_files(out: Path, record: _Record) -> dict[str, object]:
    """Write header and samples, damaged in the way of the case; give what is true of the record."""
    case, steps = record.one.case, to_steps(record.one.signal)
    if record.kind == "flat_chest":
        steps[6:] = 0
    elif record.kind == "invalid_samples":
        steps[9, 1000:1500] = INVALID
    extra = {"no_diagnosis": [], "unknown_code": [UNKNOWN_CODE, *record.codes]}
    codes = extra.get(record.kind, record.codes)
    style = _STYLES[record.number % 2]
    said = said_of(
        None if record.kind == "nan_age" else case.age,
        "Female" if case.subject.female else "Male",
        codes,
    )
    rate = 1000 if record.kind == "other_rate" else 500
    text = header(record.name, steps, said, style, rate, _DATE if style == "plain" else "")
    samples = matlab_4(steps)
    if record.kind == "no_gain":
        text = text.replace("1000/mV", "0/mV").replace("1000.0(0)/mV", "0(0)/mV")
    elif record.kind == "empty_header":
        text = ""
    elif record.kind == "truncated_mat":
        samples = samples[: len(samples) // 2]
    path = _path(out, record)
    write_record(path, text, samples)
    if record.kind == "header_without_mat":
        path.with_name(f"{path.name}.mat").unlink()
    elif record.kind == "mat_without_header":
        path.with_name(f"{path.name}.hea").unlink()
    intervals = [round(float(rr), 4) for rr in np.diff(record.one.times)]
    return {"truth": sorted(case.truth), "codes": codes, "rr": intervals, "case": record.kind}


def _path(out: Path, record: _Record) -> Path:
    """Give the record's place: a thousand in a folder, a hundred in a folder of that."""
    thousand, hundred = record.number // 1000 + 1, record.number % 1000 // 100
    return out / "WFDBRecords" / f"{thousand:02d}" / f"{thousand:02d}{hundred}" / record.name


def _write_table(path: Path) -> None:
    """Write the publisher's table of conditions, cut to what occurs, with its byte order mark."""
    known = dict.fromkeys(one for codes in (*CODES.values(), (SINUS,)) for one in codes if one[2])
    rows = [f"{acronym},{meaning},{code}" for code, meaning, acronym in known]
    text = "\n".join(["AcronymName,FullName,Snomed_CT", *rows, ""])
    path.write_bytes(text.encode("utf-8-sig"))
