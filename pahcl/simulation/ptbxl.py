"""Write a synthetic corpus in the layout of PTB-XL 1.0.3.

The layout follows Wagner et al., PTB-XL, Sci. Data 7:154, 2020 (doi 10.1038/s41597-020-0495-6):
German recorders at 500 Hz, a copy at 100 Hz, SCP-ECG statements, reports, ten folds by patient.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from pahcl.simulation.corpus import claim_folder, write_mark
from pahcl.simulation.ecg import Simulated, simulate, twelve_leads
from pahcl.simulation.population import Population, draw_cases
from pahcl.simulation.ptbxl_table import COLUMNS, Row, assign_folds, describe
from pahcl.simulation.scp import write_statements
from pahcl.simulation.site import Recorder, Site
from pahcl.simulation.wfdb_files import INVALID, write_header, write_record, write_samples

Steps = npt.NDArray[np.int16]

SITE = Site(
    name="ptbxl",
    number=1,
    fs=500.0,
    mains=50.0,
    hum=0.004,
    muscle=0.008,
    wander=0.035,
    spread=0.55,
    bursts=0.03,
    jumps=0.01,
    recorders=(Recorder(0.05, 1, 150, 2, notched=0.25), Recorder(0.05, 1, 120, 3, notched=0.25)),
    shares=(0.5, 0.5),
    population=Population(
        age_mean=60,
        age_sd=17,
        age_range=(10, 95),
        female=0.48,
        more_records=0.135,
        rate=69,
        prevalence={
            "AFIB": 0.07,
            "1AVB": 0.036,
            "CRBBB": 0.025,
            "CLBBB": 0.025,
            "IRBBB": 0.05,
            "LAFB": 0.07,
            "ASMI": 0.11,
            "IMI": 0.12,
            "LVH": 0.1,
            "NDT": 0.085,
            "ISC_": 0.09,
            "SBRAD": 0.03,
            "STACH": 0.038,
            "SARRH": 0.035,
            "PVC": 0.052,
            "PAC": 0.018,
        },
        missed=0.04,
        invented=0.04,
    ),
)
"""The German site; prevalences are near those that the publisher reports."""

SECONDS = 10
_RATES = ((100, "lr"), (500, "hr"))
_LAYOUT = ("records100", "records500", "ptbxl_database.csv", "scp_statements.csv")

UGLY: Mapping[str, int] = {
    "nan_age": 3,
    "masked_age": 2,
    "flat_lead": 2,
    "invalid_samples": 2,
    "short_record": 2,
    "truncated_dat": 2,
    "header_without_dat": 1,
    "row_without_file": 2,
    "file_without_row": 2,
    "duplicate_record": 2,
}
"""Ugly cases, and how many of each a corpus has beside its good records."""

UNREADABLE = frozenset({"truncated_dat", "header_without_dat", "row_without_file"})
"""Ugly cases with a row in the table and without a usable signal."""


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
        Counts: `records` (good ones), `subjects` of these, each case of `UGLY`, `table_rows`,
        `readable` and `unreadable` (rows of the table with and without a usable signal).

    Raises:
        UsageError: `out` holds another corpus, or files that no simulator wrote.
        DataError: `out` cannot be written.
    """
    question = {"seed": seed, "records": records, "ugly": ugly}
    there = claim_folder(out, "ptbxl", _LAYOUT, question)
    if there is not None:
        return there
    cases = draw_cases(SITE.population, records, (seed, SITE.number))
    rows: list[Row] = []
    for ecg_id, one in enumerate(simulate(SITE, cases, SECONDS), start=1):
        _write_signal(out, ecg_id, *_digitise(one))
        rows.append(describe(one, ecg_id, patient=1000 + one.case.subject.index))
        if progress is not None:
            progress(1)
    subjects = len({row.patient for row in rows})
    counts = dict.fromkeys(UGLY, 0)
    if ugly:
        counts = dict(UGLY)
        rows += _write_ugly(out, rows, seed)
    assign_folds(rows, seed)
    listed = [row for row in rows if row.kind != "file_without_row"]
    with (out / "ptbxl_database.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(row.cells() for row in listed)
    write_statements(out / "scp_statements.csv")
    unreadable = sum(counts[kind] for kind in UNREADABLE)
    counts |= {
        "records": records,
        "subjects": subjects,
        "table_rows": len(listed),
        "readable": len(listed) - unreadable,
        "unreadable": unreadable,
    }
    truth = {str(row.ecg_id): {"truth": row.truth, "rr": row.rr, "case": row.kind} for row in rows}
    facts = {"complete": True, "counts": counts, "records": truth}
    write_mark(out, "ptbxl", question, facts)
    return counts


def _digitise(one: Simulated) -> tuple[Steps, Steps]:
    """Convert to int16 steps of 1 µV at 100 Hz and 500 Hz, `[12, samples]`.

    The recorder converts I, II and V1 to V6 in steps of 5 µV; the other leads follow from these
    steps, so that III = II - I holds in the file. The copy at 100 Hz is rounded to 1 µV.
    """
    full = np.round(one.signal.astype(np.float64) * 200) * 5
    low = resample_poly(one.signal, 1, 5, axis=-1, window=("kaiser", 5.0), padtype="line")
    return _to_steps(np.round(low.astype(np.float64) * 1000)), _to_steps(full)


def _to_steps(eight: npt.NDArray[np.float64]) -> Steps:
    """Derive all leads from eight, within the range of int16 without its invalid value."""
    return np.clip(np.round(twelve_leads(eight)), -32767, 32767).astype(np.int16)


def _paths(out: Path, ecg_id: int) -> Iterator[tuple[Path, int]]:
    """Give the record's path without an extension at both rates, with the rate."""
    for fs, suffix in _RATES:
        folder = out / f"records{fs}" / f"{ecg_id // 1000 * 1000:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        yield folder / f"{ecg_id:05d}_{suffix}", fs


def _write_signal(out: Path, ecg_id: int, low: Steps, full: Steps) -> None:
    """Write one record at both rates."""
    for (path, fs), steps in zip(_paths(out, ecg_id), (low, full), strict=True):
        write_record(path, steps, fs)


def _write_ugly(out: Path, good: list[Row], seed: int) -> list[Row]:
    """Write the ugly cases behind the good records, each of a person of its own."""
    kinds = [kind for kind, count in UGLY.items() for _ in range(count)]
    cases = draw_cases(SITE.population, len(kinds), (seed, SITE.number, 1))
    rows = []
    for place, (kind, one) in enumerate(zip(kinds, simulate(SITE, cases, SECONDS), strict=True)):
        ecg_id = len(good) + 1 + place
        row = describe(one, ecg_id, patient=30000 + place)
        row.kind = kind
        pair = _digitise(one)
        if kind == "nan_age":
            row.age = None
        elif kind == "masked_age":
            row.age = 300.0
        elif kind == "duplicate_record" and good:
            _copy_signal(out, good[place % len(good)], row)
            rows.append(row)
            continue
        for (path, fs), steps in zip(_paths(out, ecg_id), pair, strict=True):
            _write_case(kind, path, steps, fs)
        rows.append(row)
    return rows


def _write_case(kind: str, path: Path, steps: Steps, fs: int) -> None:
    """Write one file of an ugly case; the harmless ones are written like any other."""
    if kind == "flat_lead":
        steps[6] = 0
    elif kind == "invalid_samples":
        steps[9, 2 * fs : 3 * fs] = INVALID
    elif kind == "short_record":
        steps = steps[:, : 4 * fs]
    if kind == "row_without_file":
        return
    write_header(path, steps, fs)
    if kind == "header_without_dat":
        return
    write_samples(path, steps[:, : steps.shape[1] // 2] if kind == "truncated_dat" else steps)


def _copy_signal(out: Path, source: Row, target: Row) -> None:
    """Give a record the samples, labels and report of another patient's record."""
    for (old, fs), (new, _) in zip(
        _paths(out, source.ecg_id), _paths(out, target.ecg_id), strict=True
    ):
        data = np.frombuffer(old.with_name(f"{old.name}.dat").read_bytes(), "<i2")
        write_record(new, data.reshape(-1, 12).T, fs)
    target.scp_codes, target.report = source.scp_codes, source.report
    target.truth, target.rr = source.truth, source.rr
