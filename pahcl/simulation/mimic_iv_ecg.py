"""Write a synthetic corpus in the layout of MIMIC-IV-ECG 1.0.

The layout follows Gow et al., MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched Subset (PhysioNet,
doi 10.13026/4nqg-sb35): ten seconds at 500 Hz with 200 steps a mV, aVF before aVL, a folder for
each patient and study, and tables of what the ECG machine wrote and measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pahcl.simulation.corpus import claim_folder, write_mark
from pahcl.simulation.ecg import LEADS, Simulated, simulate, twelve_leads
from pahcl.simulation.machine_report import measurements, report_lines
from pahcl.simulation.mimic_tables import TABLES, write_tables
from pahcl.simulation.population import Case, Population, draw_cases
from pahcl.simulation.site import Recorder, Site
from pahcl.simulation.wfdb_files import INVALID, write_header, write_samples

SITE = Site(
    name="mimic_iv_ecg",
    number=5,
    fs=500.0,
    mains=60.0,
    hum=0.006,
    muscle=0.008,
    wander=0.05,
    spread=0.65,
    bursts=0.06,
    jumps=0.03,
    recorders=(Recorder(0.05, 1, 150, 2, notched=0.9), Recorder(0.15, 2, 100, 3, notched=0.9)),
    shares=(0.8, 0.2),
    population=Population(
        age_mean=63,
        age_sd=17,
        age_range=(18, 98),
        female=0.5,
        more_records=0.5,
        rate=76,
        prevalence={
            "AFIB": 0.1,
            "1AVB": 0.06,
            "CRBBB": 0.07,
            "CLBBB": 0.04,
            "IRBBB": 0.03,
            "LAFB": 0.05,
            "ASMI": 0.06,
            "IMI": 0.07,
            "LVH": 0.08,
            "NDT": 0.15,
            "ISC_": 0.05,
            "SBRAD": 0.12,
            "STACH": 0.12,
            "SARRH": 0.02,
            "PVC": 0.06,
            "PAC": 0.05,
        },
        missed=0.05,
        invented=0.05,
    ),
)
"""A hospital in which most people are ill; prevalences are set by hand."""

ORDER = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
GAIN = 200

UGLY = {
    "missing_file": 2,
    "truncated_dat": 1,
    "header_without_dat": 1,
    "other_path": 1,
    "bad_subject": 1,
    "listed_twice": 1,
    "short_row": 1,
    "invalid_samples": 2,
    "flat_lead": 1,
    "empty_report": 2,
    "short_report": 2,
    "absurd_measurement": 2,
    "not_measured": 1,
    "measured_as_another": 1,
    "duplicate_record": 2,
}
"""Ugly cases, and how many of each a corpus has beside its good records. One row more of
`machine_measurements.csv` belongs to no record."""

UNREADABLE = frozenset(
    {
        "missing_file", "truncated_dat", "header_without_dat", "other_path", "bad_subject",
        "listed_twice", "short_row",
    }
)  # fmt: skip
"""Ugly cases that a reader has to reject."""

SECONDS = 10.0
_START = "08:44:00 23/07/2180"


@dataclass
class Row:
    """Hold what the tables say of one record.

    Args:
        subject: Number of the patient.
        study: Number of the record.
        kind: `good`, or the ugly case.
        lines: The machine's report.
        measured: The machine's measurements.
    """

    subject: int
    study: int
    kind: str
    lines: list[str | None]
    measured: dict[str, int]

    @property
    def path(self) -> str:
        """Path of the record without a suffix."""
        return f"files/p{str(self.subject)[:4]}/p{self.subject}/s{self.study}/{self.study}"


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
        Counts: `records` and their `subjects`, each case of `UGLY`, `table_rows` of the list of
        records, `readable` and `unreadable` of these.

    Raises:
        UsageError: `out` holds another corpus, or files that no simulator wrote.
        DataError: `out` cannot be made.
    """
    question = {"seed": seed, "records": records, "ugly": ugly}
    there = claim_folder(out, "mimic_iv_ecg", ("files", *TABLES), question)
    if there is not None:
        return there
    kinds = [kind for kind, count in UGLY.items() for _ in range(count)] if ugly else []
    studies = iter(_studies(records + len(kinds), seed))
    rows: list[Row] = []
    truth: dict[str, dict[str, object]] = {}
    first: list[Simulated] = []
    good = draw_cases(SITE.population, records, (seed, SITE.number))
    bad = draw_cases(SITE.population, len(kinds), (seed, SITE.number, 1))
    for kind, one in _all(kinds, good, bad):
        # The ugly ones have patients of their own.
        number = one.case.subject.index if kind == "good" else 9_000 + len(rows)
        source = first[len(rows) % len(first)] if kind == "duplicate_record" and first else one
        row = _row(source, 10_000_032 + 37 * number, next(studies), kind)
        first += [one] if len(first) < 2 else []
        rows.append(row)
        _write_signal(out, row, source)
        truth[str(row.study)] = _truth(source, row)
        if progress is not None and kind == "good":
            progress(1)
    write_tables(out, rows, (seed, SITE.number, 21))
    counts = _counts(records, kinds, len({row.subject for row in rows if row.kind == "good"}))
    facts = {"complete": True, "counts": counts, "records": truth}
    write_mark(out, "mimic_iv_ecg", question, facts)
    return counts


def _all(
    kinds: list[str], good: Iterable[Case], bad: Iterable[Case]
) -> Iterable[tuple[str, Simulated]]:
    for one in simulate(SITE, good, SECONDS):
        yield "good", one
    yield from zip(kinds, simulate(SITE, bad, SECONDS), strict=True)


def _studies(count: int, seed: int) -> list[int]:
    """Draw distinct numbers of studies in no order."""
    rng = np.random.default_rng([seed, SITE.number, 20])
    return [int(n) for n in 40_000_000 + rng.permutation(np.cumsum(rng.integers(1, 90, count)))]


def _counts(records: int, kinds: list[str], subjects: int) -> dict[str, int]:
    unreadable = sum(kind in UNREADABLE for kind in kinds)
    return {
        **{kind: kinds.count(kind) for kind in UGLY},
        "records": records,
        "subjects": subjects,
        "table_rows": records + len(kinds),
        "readable": records + len(kinds) - unreadable,
        "unreadable": unreadable,
    }


def _row(one: Simulated, subject: int, study: int, kind: str) -> Row:
    lines = report_lines(one)
    measured = measurements(one)
    if kind == "empty_report":
        lines = [None, None]
    elif kind == "short_report":
        lines = ["Normal ECG", None]
    elif kind == "absurd_measurement":
        measured |= {"rr_interval": 65535, "qrs_end": measured["qrs_onset"], "t_axis": 29999}
    return Row(subject, study, kind, lines, measured)


def _write_signal(out: Path, row: Row, one: Simulated) -> None:
    """Write header and samples, damaged in the way of the case."""
    if row.kind in {"missing_file", "listed_twice", "short_row"}:
        return
    twelve = twelve_leads(one.signal)[[LEADS.index(lead) for lead in ORDER]]
    steps: npt.NDArray[np.int16] = np.clip(np.round(twelve * GAIN), -32767, 32767).astype(np.int16)
    if row.kind == "invalid_samples":
        steps[4, 700:760] = INVALID
    elif row.kind == "flat_lead":
        steps[9] = 0
    path = out / row.path
    path.parent.mkdir(parents=True)
    write_header(path, steps, int(SITE.fs), ORDER, GAIN, _START)
    if row.kind != "header_without_dat":
        write_samples(path, steps[:, :2000] if row.kind == "truncated_dat" else steps)


def _truth(one: Simulated, row: Row) -> dict[str, object]:
    intervals = [round(float(rr), 4) for rr in np.diff(one.times)]
    case = one.case
    return {
        "truth": sorted(case.truth),
        "labels": sorted(case.labels),
        "rr": intervals,
        "case": row.kind,
    }
