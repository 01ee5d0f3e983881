"""Write a synthetic corpus in the layout of CODE-15%.

The layout follows Ribeiro et al., CODE-15%: a large scale annotated dataset of 12-lead ECGs
(Zenodo, doi 10.5281/zenodo.4916206): Brazilian telehealth, 400 Hz, HDF5 parts of `(N, 4096, 12)`
float32 with zeros before and after shorter exams, and `exams.csv` with six abnormalities.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from pahcl.simulation.corpus import claim_folder, write_mark
from pahcl.simulation.ecg import Simulated, simulate, twelve_leads
from pahcl.simulation.population import Population, draw_cases
from pahcl.simulation.site import Recorder, Site

SITE = Site(
    name="code15",
    number=2,
    fs=400.0,
    mains=60.0,
    hum=0.012,
    muscle=0.009,
    wander=0.07,
    spread=0.75,
    bursts=0.08,
    jumps=0.05,
    recorders=(Recorder(0.5, 2, 90, 4, notched=0.6), Recorder(0.03, 1, 110, 3, notched=0.6)),
    shares=(0.6, 0.4),
    population=Population(
        age_mean=53,
        age_sd=18,
        age_range=(16, 98),
        female=0.6,
        more_records=0.3,
        rate=72,
        prevalence={
            "AFIB": 0.03,
            "1AVB": 0.022,
            "CRBBB": 0.032,
            "CLBBB": 0.022,
            "IRBBB": 0.03,
            "LAFB": 0.04,
            "ASMI": 0.02,
            "IMI": 0.02,
            "LVH": 0.06,
            "NDT": 0.09,
            "ISC_": 0.03,
            "SBRAD": 0.022,
            "STACH": 0.028,
            "SARRH": 0.02,
            "PVC": 0.04,
            "PAC": 0.02,
        },
        missed=0.07,
        invented=0.07,
    ),
)
"""The Brazilian site: younger, healthier, noisier; labels come from a wider set of readers."""

COLUMNS = (
    "exam_id",
    "age",
    "is_male",
    "nn_predicted_age",
    "1dAVb",
    "RBBB",
    "LBBB",
    "SB",
    "ST",
    "AF",
    "patient_id",
    "death",
    "timey",
    "normal_ecg",
    "trace_file",
)
"""Columns of `exams.csv` in the publisher's order."""

ABNORMALITIES: Mapping[str, str] = {
    "1dAVb": "1AVB",
    "RBBB": "CRBBB",
    "LBBB": "CLBBB",
    "SB": "SBRAD",
    "ST": "STACH",
    "AF": "AFIB",
}
"""The six labels by the SCP-ECG code of the simulated condition."""

SAMPLES = 4096
VALUE_OF_MV = 2.3
"""What 1 mV of the simulation is in the file: 2 by the publisher's scale, and 1.15 because ten of
his exams are by that much larger than PTB-XL (`docs/simulation.md`)."""

UGLY: Mapping[str, int] = {
    "nan_age": 3,
    "zero_exam": 1,
    "artefact_exam": 1,
    "duplicate_record": 2,
    "row_without_part": 2,
    "exam_without_row": 2,
}
"""Ugly cases, and how many of each a corpus has beside its good exams (and a dummy row a part)."""

_SECONDS = SAMPLES / SITE.fs
_SHORTEST, _USUAL = 2800, 2934
_ARTEFACT = -19.7
_LAYOUT = ("exams.csv", "exams_part*.hdf5")


@dataclass
class _Exam:
    """Hold one exam's row; `part` -1 is a part that does not exist."""

    exam_id: int
    patient: int
    age: int | None
    male: bool
    labels: frozenset[str]
    visit: int
    truth: list[str]
    rr: list[float]
    guess: float
    kind: str = "good"
    part: int = -1


def write(
    out: Path,
    records: int = 1000,
    seed: int = 0,
    ugly: bool = True,
    progress: Callable[[int], None] | None = None,
    part_exams: int = 20000,
) -> dict[str, int]:
    """Write `records` good exams, and a few ugly ones beside them, in at least three parts.

    Args:
        out: The folder; empty, new, or with this very corpus, which is left as it is if complete.
        records: Number of good exams.
        seed: The same seed gives the same bytes.
        ugly: Whether the ugly cases and the dummy last rows are written, too.
        progress: Called with the number of good exams written since the last call.
        part_exams: Most exams in a part.

    Returns:
        Counts: `records` and their `subjects`, each case of `UGLY`, `dummy_row`, `parts`,
        `table_rows`, `stored_exams` (no dummies), `readable` and `unreadable` rows of the table.

    Raises:
        UsageError: `out` holds another corpus, or files that no simulator wrote.
        DataError: `out` cannot be made.
    """
    question = {"seed": seed, "records": records, "ugly": ugly, "part_exams": part_exams}
    there = claim_folder(out, "code15", _LAYOUT, question)
    if there is not None:
        return there
    kinds = [kind for kind, count in UGLY.items() for _ in range(count)] if ugly else []
    stored = records + len(kinds) - kinds.count("row_without_part")
    parts = _Parts(out, stored, min(part_exams, -(-stored // 3)), dummy=ugly)
    ids = iter(_exam_ids(records + len(kinds), seed))
    exams: list[_Exam] = []
    first: list[npt.NDArray[np.float32]] = []
    for one in simulate(SITE, draw_cases(SITE.population, records, (seed, SITE.number)), _SECONDS):
        exam = _describe(one, next(ids), patient=500_000 + one.case.subject.index)
        tracing = _tracing(one, exam)
        first += [tracing] if len(first) < UGLY["duplicate_record"] else []
        exam.part = parts.add(exam.exam_id, tracing)
        exams.append(exam)
        if progress is not None:
            progress(1)
    exams += _write_ugly(kinds, ids, seed, exams[: len(first)], first, parts)
    parts.close()
    rows = [exam for exam in exams if exam.kind != "exam_without_row"]
    _write_table(out / "exams.csv", rows, parts.count, seed)
    counts = {
        **_counts(exams, rows),
        "dummy_row": parts.count if ugly else 0,
        "parts": parts.count,
        "stored_exams": stored,
    }
    truth = {str(e.exam_id): {"truth": e.truth, "rr": e.rr, "case": e.kind} for e in exams}
    facts = {"complete": True, "counts": counts, "records": truth}
    write_mark(out, "code15", question, facts)
    return counts


def _counts(exams: list[_Exam], rows: list[_Exam]) -> dict[str, int]:
    """Count all exams by kind, and the rows of the table by whether they can be read."""
    kinds = [exam.kind for exam in exams]
    unreadable = kinds.count("zero_exam") + kinds.count("row_without_part")
    return {
        **{kind: kinds.count(kind) for kind in UGLY},
        "records": kinds.count("good"),
        "subjects": len({exam.patient for exam in exams if exam.kind == "good"}),
        "table_rows": len(rows),
        "readable": len(rows) - unreadable,
        "unreadable": unreadable,
    }


class _Parts:
    """Write tracings one after another into HDF5 parts of a fixed size."""

    def __init__(self, out: Path, exams: int, size: int, dummy: bool) -> None:
        self.out, self.size, self.dummy = out, size, dummy
        self.left, self.count, self.row = exams, 0, 0
        self.file: h5py.File | None = None

    def add(self, exam_id: int, tracing: npt.NDArray[np.float32]) -> int:
        """Append one tracing `[12, samples]`, padded on both sides; return the number of its part.

        The publisher's parts are contiguous and end with a row of zeros whose exam is 0.
        """
        if self.file is None or self.row == self.size:
            self.close()
            rows = min(self.size, self.left) + int(self.dummy)
            self.file = h5py.File(self.out / f"exams_part{self.count}.hdf5", "w", track_order=False)
            self.file.create_dataset("exam_id", data=np.zeros(rows, np.int64), track_times=False)
            self.file.create_dataset(
                "tracings", (rows, SAMPLES, 12), np.float32, fillvalue=0.0, track_times=False
            )
            self.count, self.row = self.count + 1, 0
        padded = np.zeros((SAMPLES, 12), dtype=np.float32)
        start = (SAMPLES - tracing.shape[1]) // 2
        padded[start : start + tracing.shape[1]] = tracing.T
        self.file["tracings"][self.row] = padded
        self.file["exam_id"][self.row] = exam_id
        self.row, self.left = self.row + 1, self.left - 1
        return self.count - 1

    def close(self) -> None:
        """Finish the current part."""
        if self.file is not None:
            self.file.close()


def _exam_ids(count: int, seed: int) -> list[int]:
    """Draw distinct exam numbers in no order."""
    rng = np.random.default_rng([seed, SITE.number, 20])
    return [int(number) for number in rng.permutation(np.cumsum(rng.integers(1, 13, count)))]


def _describe(one: Simulated, exam_id: int, patient: int) -> _Exam:
    """Write down an exam from its labels; the network's age is a guess with 10 years of error."""
    rng = one.case.stream(3)
    return _Exam(
        exam_id=exam_id,
        patient=patient,
        age=int(one.case.age),
        male=not one.case.subject.female,
        labels=one.case.labels,
        visit=one.case.visit,
        truth=sorted(one.case.truth),
        rr=[],
        guess=float(0.8 * one.case.age + 0.2 * SITE.population.age_mean + rng.normal(0, 8)),
    )


def _tracing(one: Simulated, exam: _Exam) -> npt.NDArray[np.float32]:
    """Cut the exam to its length, `[12, samples]` in the file's unit, and note its RR intervals.

    Seven seconds are usual for the recorder with the higher cut-off, ten for the other.
    """
    rng = one.case.stream(4)
    length = int(rng.integers(_SHORTEST, 4001))
    if rng.random() < 0.75:
        length = (_USUAL, SAMPLES)[one.noise.recorder]
    times = one.times[one.times < length / SITE.fs]
    exam.rr = [round(float(rr), 4) for rr in np.diff(times)]
    return (twelve_leads(one.signal[:, :length]) * VALUE_OF_MV).astype(np.float32)


def _write_ugly(
    kinds: list[str],
    ids: Iterator[int],
    seed: int,
    good: list[_Exam],
    first: list[npt.NDArray[np.float32]],
    parts: _Parts,
) -> list[_Exam]:
    """Write the ugly cases behind the good exams, each of a person of its own."""
    cases = draw_cases(SITE.population, len(kinds), (seed, SITE.number, 1))
    exams = []
    for place, (kind, one) in enumerate(zip(kinds, simulate(SITE, cases, _SECONDS), strict=True)):
        exam = _describe(one, next(ids), patient=900_000 + place)
        exam.kind = kind
        tracing = _tracing(one, exam)
        if kind == "nan_age":
            exam.age = None
        elif kind == "zero_exam":
            tracing[:] = 0
        elif kind == "artefact_exam":
            # A saturated amplifier in one limb lead: III = II - I no longer holds.
            tracing[1, 1000:1040] = _ARTEFACT
        elif kind == "duplicate_record" and good:
            source = place % len(good)
            tracing = first[source]
            exam.labels, exam.truth, exam.rr = (
                good[source].labels,
                good[source].truth,
                good[source].rr,
            )
        if kind != "row_without_part":
            exam.part = parts.add(exam.exam_id, tracing)
        exams.append(exam)
    return exams


def _write_table(path: Path, exams: list[_Exam], parts: int, seed: int) -> None:
    """Write `exams.csv`, its rows in no order."""
    rng = np.random.default_rng([seed, SITE.number, 21])
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for place in rng.permutation(len(exams)):
            writer.writerow(_cells(exams[place], parts, rng))


def _cells(exam: _Exam, parts: int, rng: np.random.Generator) -> list[str]:
    """Write one row; follow-up is known for some first exams alone, and means nothing here."""
    six = [str(code in exam.labels) for code in ABNORMALITIES.values()]
    followed = exam.visit == 0 and rng.random() < 0.66
    years = f"{rng.uniform(0.1, 8):.6f}"
    part = exam.part if exam.part >= 0 else parts
    return [
        str(exam.exam_id),
        "" if exam.age is None else str(exam.age),
        str(exam.male),
        f"{exam.guess:.6f}",
        *six,
        str(exam.patient),
        str(bool(rng.random() < 0.03)) if followed else "",
        years if followed else "",
        str(not exam.labels),
        f"exams_part{part}.hdf5",
    ]
