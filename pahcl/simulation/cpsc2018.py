"""Write a synthetic corpus in the layout of CPSC2018, in either of its forms.

The challenge's own form (Liu et al., J. Med. Imaging Health Inform. 8(7), 2018, doi
10.1166/jmihi.2018.2442) is a MATLAB struct a record, and `REFERENCE.csv` with up to three labels of
nine; that of the PhysioNet Challenges 2020 and 2021 a header and counts, with SNOMED CT codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from pahcl.errors import UsageError
from pahcl.simulation.challenge_files import (
    INVALID,
    Steps,
    header,
    matlab_4,
    matlab_5,
    said_of,
    to_steps,
    write_record,
)
from pahcl.simulation.corpus import claim_folder, write_mark
from pahcl.simulation.ecg import Simulated, simulate, twelve_leads
from pahcl.simulation.population import Case, Population, draw_cases
from pahcl.simulation.site import Recorder, Site

Form = Literal["challenge", "original", "both"]
FORMS = get_args(Form)

SITE = Site(
    name="cpsc2018",
    number=3,
    fs=500.0,
    mains=50.0,
    hum=0.006,
    muscle=0.009,
    wander=0.05,
    spread=0.65,
    bursts=0.06,
    jumps=0.03,
    recorders=(Recorder(0.05, 1, 150, 2, notched=0.5), Recorder(0.5, 2, 100, 3, notched=0.5)),
    shares=(0.6, 0.4),
    population=Population(
        age_mean=60,
        age_sd=19,
        age_range=(1, 95),
        female=0.46,
        more_records=0.0,
        rate=74,
        prevalence={
            "AFIB": 0.24,
            "1AVB": 0.2,
            "CLBBB": 0.04,
            "CRBBB": 0.36,
            "PAC": 0.14,
            "PVC": 0.115,
            "ISC_": 0.19,
            "STE_": 0.05,
            "SBRAD": 0.04,
            "STACH": 0.05,
            "SARRH": 0.03,
        },
        missed=0.05,
        invented=0.05,
    ),
)
"""Eleven hospitals as one site; those of the eight abnormal classes are near `REFERENCE.csv`."""

CLASSES: Mapping[str, tuple[int, str]] = {
    "": (1, "426783006"),
    "AFIB": (2, "164889003"),
    "1AVB": (3, "270492004"),
    "CLBBB": (4, "164909002"),
    "CRBBB": (5, "59118001"),
    "PAC": (6, "284470004"),
    "PVC": (7, "164884008"),
    "ISC_": (8, "429622005"),
    "STE_": (9, "164931005"),
}
"""Number and SNOMED CT code of each class by the condition that stands for it; none is normal."""

UGLY: Mapping[str, tuple[int, str]] = {
    "nan_age": (2, "either"),
    "unknown_sex": (1, "challenge"),
    "flat_lead": (1, "challenge"),
    "invalid_samples": (1, "challenge"),
    "nan_samples": (1, "original"),
    "longest_record": (1, "either"),
    "duplicate_record": (2, "either"),
    "truncated_mat": (2, "either"),
    "unknown_label": (2, "either"),
    "header_without_mat": (1, "challenge"),
    "no_gain": (1, "challenge"),
    "other_rate": (1, "challenge"),
    "row_without_file": (2, "original"),
    "file_without_row": (1, "original"),
    "both_forms": (1, "both"),
}
"""Ugly cases, how many of each a corpus has beside its good records, and of which form."""

UNREADABLE = frozenset(
    {
        "truncated_mat", "unknown_label", "header_without_mat", "no_gain", "other_rate",
        "row_without_file", "file_without_row", "both_forms",
    }
)  # fmt: skip
"""Ugly cases that a reader has to reject."""

MOST_RECORDS = 9900
LONGEST = 144.0
_LAYOUT = ("WFDB_CPSC2018", "TrainingSet", "REFERENCE.csv")
_DATE = "12-May-2020 12:33:59"
_PACED = "10370003"


@dataclass
class _Record:
    """Hold what is written of one record beside its signal."""

    name: str
    case: Case
    conditions: tuple[str, ...]
    rr: list[float]
    form: str
    kind: str = "good"
    rows: list[str] = field(default_factory=list)

    @property
    def age(self) -> float | None:
        return None if self.kind == "nan_age" else self.case.age

    @property
    def sex(self) -> str:
        if self.kind == "unknown_sex":
            return "Unknown"
        return "Female" if self.case.subject.female else "Male"


def write(
    out: Path,
    records: int = 1000,
    seed: int = 0,
    ugly: bool = True,
    progress: Callable[[int], None] | None = None,
    form: Form = "both",
) -> dict[str, int]:
    """Write `records` good records, and a few ugly ones beside them.

    Args:
        out: The folder; empty, new, or with this very corpus, which is left as it is if complete.
        records: Number of good records.
        seed: The same seed gives the same bytes.
        ugly: Whether the ugly cases are written, too.
        progress: Called with the number of good records written since the last call.
        form: The Challenge's (`WFDB_CPSC2018/`), the original (`TrainingSet/` and `REFERENCE.csv`),
            or every other record in each.

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
            f"--records must be at most {MOST_RECORDS}, for the records of CPSC2018 have numbers "
            f"of four digits; got {records}."
        )
    question = {"seed": seed, "records": records, "ugly": ugly, "form": form}
    there = claim_folder(out, "cpsc2018", _layout(form), question)
    if there is not None:
        return there
    written: list[_Record] = []
    for one in _simulated(records, (seed, SITE.number)):
        record = _describe(one, len(written), form)
        _write_files(out, record, one)
        written.append(record)
        if progress is not None:
            progress(1)
    kinds = _ugly_kinds(form) if ugly else []
    written += _write_ugly(out, kinds, written, seed, form)
    if form != "challenge":
        rows = [row for record in written for row in record.rows]
        text = "\r\n".join(["Recording,First_label,Second_label,Third_label", *rows, ""])
        (out / "REFERENCE.csv").write_bytes(text.encode("ascii"))
    counts = _counts(written)
    facts = {"complete": True, "counts": counts, "records": _truth(written)}
    write_mark(out, "cpsc2018", question, facts)
    return counts


def _layout(form: Form) -> tuple[str, ...]:
    """Name what a form writes."""
    return {"challenge": _LAYOUT[:1], "original": _LAYOUT[1:], "both": _LAYOUT}[form]


def _truth(written: list[_Record]) -> dict[str, dict[str, object]]:
    """Give what is behind each record, for those who score against it."""
    return {
        f"{one.form}/{one.name}": {
            "truth": sorted(one.case.truth),
            "labels": list(one.conditions),
            "rr": one.rr,
            "case": one.kind,
        }
        for one in written
    }


def _counts(written: list[_Record]) -> dict[str, int]:
    kinds = [one.kind for one in written]
    unreadable = sum(kind in UNREADABLE for kind in kinds)
    return {
        **{kind: kinds.count(kind) for kind in UGLY},
        "records": kinds.count("good"),
        "subjects": kinds.count("good"),
        "table_rows": len(kinds),
        "readable": len(kinds) - unreadable,
        "unreadable": unreadable,
    }


def _simulated(
    records: int, seed: tuple[int, ...], seconds: float | None = None
) -> Iterator[Simulated]:
    """Simulate records one by one, for each has a length of its own."""
    for case in draw_cases(SITE.population, records, seed):
        yield from simulate(SITE, [case], seconds or _draw_seconds(case))


def _draw_seconds(case: Case) -> float:
    """Draw a length: 10 s is the most common one, 6 s the least, few are near a minute."""
    rng = case.stream(4)
    if rng.random() < 0.35:
        return 10.0
    return round(float(np.clip(6 + rng.gamma(1.5, 5.5), 6, 60)), 2)


def _describe(one: Simulated, place: int, form: Form, kind: str = "good") -> _Record:
    """Choose form and labels; the first of several is drawn, as a reader's main finding is."""
    only = UGLY[kind][1] if kind in UGLY else "either"
    shape = form if only == "either" else only
    if shape == "both":
        shape = ("challenge", "original")[place % 2]
    found = [code for code in CLASSES if code in one.case.labels] or [""]
    one.case.stream(3).shuffle(found)
    rr = [round(float(interval), 4) for interval in np.diff(one.times)]
    return _Record(f"A{place + 1:04d}", one.case, tuple(found[:3]), rr, shape, kind)


def _ugly_kinds(form: Form) -> list[str]:
    """List the ugly cases that a form can have."""
    fits = {"either", form, *(("challenge", "original") if form == "both" else ())}
    return [kind for kind, (count, only) in UGLY.items() if only in fits for _ in range(count)]


def _write_ugly(
    out: Path, kinds: list[str], good: list[_Record], seed: int, form: Form
) -> list[_Record]:
    """Write the ugly cases behind the good records."""
    found = []
    cases = draw_cases(SITE.population, len(kinds), (seed, SITE.number, 1))
    for place, (kind, case) in enumerate(zip(kinds, cases, strict=True), start=len(good)):
        again = kind in {"duplicate_record", "both_forms"} and good
        source = good[place % len(good) // 2 * 2] if again else None
        seconds = LONGEST if kind == "longest_record" else _draw_seconds(case)
        case = source.case if source else case
        seconds = _draw_seconds(case) if source else seconds
        (one,) = simulate(SITE, [case], seconds)
        record = _describe(one, place, form, kind)
        if kind == "both_forms" and source:
            # The record of the Challenge form, in the original form as well.
            record.name, record.form = source.name, "original"
        if source:
            record.conditions = source.conditions
        if kind == "duplicate_record" and source:
            record.form = source.form
        _write_files(out, record, one)
        if kind == "both_forms":
            record.rows = []
        found.append(record)
    return found


def _write_files(out: Path, record: _Record, one: Simulated) -> None:
    """Write the files of a record, and its row of the labels."""
    numbers = [str(CLASSES[code][0]) for code in record.conditions]
    if record.kind == "unknown_label":
        numbers[0] = "10"
    if record.kind != "file_without_row":
        cells = [*numbers, "", ""][:3]
        record.rows.append(",".join([record.name, *cells]))
    if record.kind == "row_without_file":
        return
    if record.form == "challenge":
        _write_challenge(out / _LAYOUT[0] / record.name, record, to_steps(one.signal))
    else:
        _write_original(out / _LAYOUT[1] / f"{record.name}.mat", record, one.signal)


def _write_challenge(path: Path, record: _Record, steps: Steps) -> None:
    """Write header and counts, damaged in the way of the case."""
    if record.kind == "flat_lead":
        steps[8] = 0
    elif record.kind == "invalid_samples":
        steps[9, 500:900] = INVALID
    codes = [CLASSES[code][1] for code in record.conditions]
    if record.kind == "unknown_label":
        codes[0] = _PACED
    rate = 250 if record.kind == "other_rate" else 500
    said = said_of(record.age, record.sex, sorted(codes, key=int))
    text = header(record.name, steps, said, fs=rate, date=_DATE)
    if record.kind == "no_gain":
        text = text.replace(" 1000/mV", "")
    samples = matlab_4(steps)
    if record.kind == "truncated_mat":
        samples = samples[: len(samples) // 2]
    write_record(path, text, samples)
    if record.kind == "header_without_mat":
        path.with_name(f"{path.name}.mat").unlink()


def _write_original(path: Path, record: _Record, signal: npt.NDArray[np.float32]) -> None:
    """Write the struct: steps of 1 µV, each lead without its mean."""
    data = twelve_leads(np.round(signal.astype(np.float64) * 1000)) / 1000
    data -= data.mean(axis=1, keepdims=True)
    if record.kind == "nan_samples":
        data[4, 300:420] = np.nan
    age = np.nan if record.age is None else float(int(record.age))
    samples = matlab_5({"ECG": {"sex": record.sex, "age": age, "data": data}})
    if record.kind == "truncated_mat":
        samples = samples[: len(samples) // 2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(samples)
