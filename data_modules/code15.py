"""CODE-15%: 345,779 12-lead ECGs of 233,770 patients of primary care in Minas Gerais, Brazil."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from data_modules._code15_parts import absence, locate_exams, tracing
from data_modules._tables import counted, flags, identifiers, read_table, reject_rows, texts
from data_modules.base import SignalDataModule
from pahcl.download.sources import Zenodo
from pahcl.errors import DataError, RecordError
from pahcl.signals.leads import STANDARD_12
from pahcl.signals.recording import Recording
from pahcl.store import Index
from pahcl.task import Task

ABNORMALITIES = ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF")
NEEDED = ("exam_id", "age", "is_male", "patient_id", *ABNORMALITIES)
KEPT = ("nn_predicted_age", "timey")
FLAGS = ("death", "normal_ecg")
FILE_UNIT = "0.5 mV"
"""Unit of the tracings: the authors' program doubled the millivolts of their recordings
(github.com/antonior92/ecg-preprocessing, README: `generate_h5.py --scale 2`)."""


class CODE15DataModule(SignalDataModule):
    """Serve CODE-15% (Ribeiro et al. 2021), split by patient.

    Args:
        keep_padding: Keep the zeros around exams shorter than 4,096 samples as if they were signal.
        settings: Arguments that every data set has, see `SignalDataModule`.
    """

    name = "code15"
    title = "CODE-15%"
    version = "1.0.0"
    licence = "CC-BY-4.0"
    homepage = "https://zenodo.org/records/4916206"
    citation = (
        "Ribeiro AH, Paixao GMM, Lima EM, et al. CODE-15%: a large scale annotated dataset of "
        "12-lead ECGs. Zenodo (2021). doi:10.5281/zenodo.4916206"
    )
    folder = "code15"
    source = Zenodo(record=4916206)
    rates = (400.0,)
    seconds = 10.24
    split_column = "AF"
    tasks: ClassVar[dict[str, Task]] = {
        "af": Task("af", "binary", ("AF",), ("AF",), primary_metric="auroc"),
        "code6": Task("code6", "multilabel", ABNORMALITIES, ABNORMALITIES, "macro_auroc"),
        "sex": Task("sex", "binary", ("male",), ("male",), primary_metric="auroc"),
        "age": Task("age", "regression", ("age",), ("age",), "mae", unit="years"),
    }

    def __init__(self, keep_padding: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.prepare_options = {"keep_padding": keep_padding}

    @classmethod
    def index(cls, root: Path, fs: float, keep_padding: bool = False) -> Index:
        """List the exams in the order in which the unpacked parts hold them."""
        exams = read_table(root / "exams.csv", NEEDED)
        parts = sorted(root.glob("exams_part*.hdf5"), key=lambda path: (len(path.name), path.name))
        if not parts:
            raise DataError(
                f"{root} holds exams.csv but no exams_part*.hdf5: fetch exams_part0.zip and the "
                f"others from {cls.homepage} and unpack them there."
            )
        ids = identifiers(exams["exam_id"])
        found = locate_exams(parts, set(ids.dropna()))
        age = pd.to_numeric(exams["age"], errors="coerce")
        male = flags(exams["is_male"])
        named = texts(exams.get("trace_file", pd.Series(None, exams.index, dtype=object)))
        place = [found.places.get(exam, (None, -1)) for exam in ids]
        part = pd.Series([name for name, _ in place], index=exams.index, dtype=object)
        table = pd.DataFrame(
            {
                "record_id": ids,
                "subject_id": identifiers(exams["patient_id"]),
                "file": part.where(part.notna(), named),
                "file_bytes": part.map({path.name: path.stat().st_size for path in parts}),
                "_row": [row for _, row in place],
                "_keep_padding": keep_padding,
                "age": age.where(age.between(0, 120)).astype(np.float32),
                "sex": pd.Series(male).map({1.0: "male", 0.0: "female"}),
                **{name: flags(exams[name]) for name in ABNORMALITIES},
                **{name: flags(exams[name]) for name in FLAGS if name in exams},
                **{name: exams[name] for name in KEPT if name in exams},
            }
        )
        reasons = absence(ids, named, found, {path.name for path in parts})
        table, missing = reject_rows(table, reasons, "exams.csv")
        table["file_bytes"] = table["file_bytes"].astype(np.int64)
        order = table["file"].map({path.name: place for place, path in enumerate(parts)})
        table = table.iloc[np.lexsort((table["_row"], order))].reset_index(drop=True)
        elsewhere = named.notna() & part.notna() & (named != part)
        notes = {
            "age missing": age.isna().sum(),
            "age outside 0 to 120": (age.notna() & ~age.between(0, 120)).sum(),
            "sex missing": np.isnan(male).sum(),
            "part other than exams.csv names": elsewhere.sum(),
            **dict.fromkeys(found.broken.values(), 1),
        }
        return Index(table, found.rejected + missing, counted(notes))

    @classmethod
    def read(cls, root: Path, row: Mapping[str, Any]) -> Recording:
        """Read one exam; zeros in all leads before and after it are padding and left out."""
        signal, digest = tracing(root / row["file"], int(row["_row"]))
        active = np.flatnonzero((signal != 0).any(axis=0))
        if not len(active):
            raise RecordError("all samples are zero")
        if not row["_keep_padding"]:
            signal = signal[:, active[0] : active[-1] + 1]
        ids = row["record_id"], row["subject_id"]
        return Recording(signal, 400.0, STANDARD_12, FILE_UNIT, *ids, source_sha256=digest)
