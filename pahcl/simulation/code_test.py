"""Write a synthetic corpus in the layout of CODE-test.

The layout follows the test set of Ribeiro et al. (Nature Communications 11, 1760, 2020; Zenodo, doi
10.5281/zenodo.3765780): one HDF5 file of `(N, 4096, 12)` with zeros before and after, and tables
whose i-th row belongs to the i-th tracing. The people and recorders are those of CODE-15%.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from pahcl.simulation.code15 import ABNORMALITIES, SAMPLES, VALUE_OF_MV
from pahcl.simulation.code15 import SITE as CODE15
from pahcl.simulation.corpus import claim_folder, write_mark
from pahcl.simulation.ecg import LEADS, Simulated, simulate, twelve_leads
from pahcl.simulation.population import draw_cases

SITE = replace(CODE15, name="code_test", number=6)
CLASSES = ("1dAVb", "RBBB", "LBBB", "SB", "AF", "ST")
"""The abnormalities in the order of the publisher's tables, which is not that of `exams.csv`."""

READERS: Mapping[str, tuple[float, float]] = {
    "cardiologist1": (0.06, 0.002),
    "cardiologist2": (0.06, 0.002),
    "cardiology_residents": (0.12, 0.004),
    "emergency_residents": (0.18, 0.004),
    "medical_students": (0.16, 0.008),
    "dnn": (0.06, 0.003),
}
"""Who reads the tracings: share of the abnormalities that are missed, and share of the tracings
without one in which it is seen. Set by hand, in the order of skill that the paper reports."""

UGLY: Mapping[str, int] = {"zero_exam": 1, "artefact_exam": 1, "nan_age": 2, "unanswered": 1}
"""Ugly cases, and how many of each a corpus has beside its good tracings."""

LENGTHS = (2800, 4000)
"""Samples of an exam of seven and of ten seconds."""

_LAYOUT = ("data",)


@dataclass
class _Row:
    """Hold what the tables say of one tracing."""

    one: Simulated
    kind: str
    length: int

    @property
    def true(self) -> list[bool]:
        return [ABNORMALITIES[name] in self.one.case.truth for name in CLASSES]


def write(
    out: Path,
    records: int = 1000,
    seed: int = 0,
    ugly: bool = True,
    progress: Callable[[int], None] | None = None,
    leads: Sequence[str] = LEADS,
) -> dict[str, int]:
    """Write `records` good tracings, and a few ugly ones behind them.

    Args:
        out: The folder; empty, new, or with this very corpus, which is left as it is if complete.
        records: Number of good tracings.
        seed: The same seed gives the same bytes.
        ugly: Whether the ugly cases are written, too.
        progress: Called with the number of good tracings written since the last call.
        leads: Order of the leads; the publisher's texts name two.

    Returns:
        Counts: `records` and their `subjects`, each case of `UGLY`, `table_rows`, `readable` and
        `unreadable` of these.

    Raises:
        UsageError: `out` holds another corpus, or files that no simulator wrote.
        DataError: `out` cannot be made.
    """
    question = {"seed": seed, "records": records, "ugly": ugly, "leads": list(leads)}
    there = claim_folder(out, "code_test", _LAYOUT, question)
    if there is not None:
        return there
    kinds = [kind for kind, count in UGLY.items() for _ in range(count)] if ugly else []
    population = replace(SITE.population, more_records=0.0)  # each tracing is another patient's
    cases = draw_cases(population, records + len(kinds), (seed, SITE.number))
    folder = out / "data"
    (folder / "annotations").mkdir(parents=True)
    rows: list[_Row] = []
    with h5py.File(folder / "ecg_tracings.hdf5", "w", track_order=False) as file:
        tracings = file.create_dataset(
            "tracings", (records + len(kinds), SAMPLES, 12), np.float32, track_times=False
        )
        for place, one in enumerate(simulate(SITE, cases, SAMPLES / SITE.fs)):
            good = place < records
            kind = "good" if good else kinds[place - records]
            row = _Row(one, kind, int(one.case.stream(4).choice(LENGTHS)))
            tracings[place] = _tracing(row, leads)
            rows.append(row)
            if progress is not None and good:
                progress(1)
    _write_tables(folder, rows, seed)
    counts = _counts(records, kinds)
    truth = {str(place): _truth(row) for place, row in enumerate(rows)}
    facts = {"complete": True, "counts": counts, "records": truth}
    write_mark(out, "code_test", question, facts)
    return counts


def _counts(records: int, kinds: list[str]) -> dict[str, int]:
    rows, unreadable = records + len(kinds), kinds.count("zero_exam")
    return {
        **{kind: kinds.count(kind) for kind in UGLY},
        "records": records,
        "subjects": records,
        "table_rows": rows,
        "readable": rows - unreadable,
        "unreadable": unreadable,
    }


def _truth(row: _Row) -> dict[str, object]:
    times = row.one.times[row.one.times < row.length / SITE.fs]
    intervals = [round(float(rr), 4) for rr in np.diff(times)]
    return {"truth": sorted(row.one.case.truth), "rr": intervals, "case": row.kind}


def _tracing(row: _Row, leads: Sequence[str]) -> npt.NDArray[np.float32]:
    """Give `[4096, 12]` in the file's unit, with zeros before and after."""
    signal = twelve_leads(row.one.signal[:, : row.length]) * VALUE_OF_MV
    if row.kind == "zero_exam":
        signal[:] = 0
    elif row.kind == "artefact_exam":
        signal[1, 1000:1040] = -19.7  # a saturated amplifier in one limb lead
    padded = np.zeros((SAMPLES, 12), dtype=np.float32)
    start = (SAMPLES - row.length) // 2
    order = [LEADS.index(lead) for lead in leads]
    padded[start : start + row.length] = signal[order].T
    return padded


def _write_tables(folder: Path, rows: list[_Row], seed: int) -> None:
    """Write who the patients are, what each reader answers, and what is taken for true."""
    true = np.array([row.true for row in rows])
    answers = {}
    for number, (name, (missed, invented)) in enumerate(READERS.items()):
        rng = np.random.default_rng([seed, SITE.number, 20, number])
        drawn = rng.random(true.shape)
        answers[name] = np.where(true, drawn >= missed, drawn < invented)
    first, second = answers["cardiologist1"], answers["cardiologist2"]
    # Where the two disagree, a third one decides, who is right here.
    gold = np.where(first == second, first, true)
    for name, given in {"gold_standard": gold, **answers}.items():
        cells = given.astype(np.int64).astype(str).tolist()
        if name == "medical_students":
            cells = [
                [""] * len(CLASSES) if row.kind == "unanswered" else line
                for row, line in zip(rows, cells, strict=True)
            ]
        _write_table(folder / "annotations" / f"{name}.csv", CLASSES, cells)
    people = [
        [
            "" if row.kind == "nan_age" else str(int(row.one.case.age)),
            "F" if row.one.case.subject.female else "M",
        ]
        for row in rows
    ]
    _write_table(folder / "attributes.csv", ("age", "sex"), people)


def _write_table(path: Path, header: Sequence[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
