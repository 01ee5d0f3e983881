"""MIMIC-IV-ECG: 800,035 ten-second 12-lead ECGs of 161,352 patients of a hospital in Boston."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._mimic_findings import PHRASES_VERSION, TASKS, finding_columns
from data_modules._mimic_tables import RECORDS, index_tables
from data_modules._tables import reject_rows
from data_modules._wfdb import read_wfdb
from data_modules.base import SignalDataModule
from pahcl.download.sources import PhysioNet
from pahcl.errors import DataError, UsageError
from pahcl.signals.recording import Recording
from pahcl.store import Index, Rejection
from pahcl.task import Task
from pahcl.text.reports import long_enough

log = logging.getLogger(__name__)

FS = 500.0


class MIMICIVECGDataModule(SignalDataModule):
    """Serve MIMIC-IV-ECG (Gow et al. 2023), split by patient.

    The publisher gives no split. Its labels are read by the ECG machine, not by a cardiologist.

    Args:
        min_report_words: Leave out records whose report has fewer words, as pretraining on reports
            does (MERL: 4). 0 keeps all. The receipt counts who is left out.
        settings: Arguments that every data set has, see `SignalDataModule`.
    """

    name = "mimic_iv_ecg"
    title = "MIMIC-IV-ECG"
    version = "1.0"
    licence = "ODbL-1.0"
    homepage = "https://physionet.org/content/mimic-iv-ecg/1.0/"
    citation = (
        "Gow B, Pollard T, Nathanson LA, et al. MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched "
        "Subset (version 1.0). PhysioNet (2023). doi:10.13026/4nqg-sb35"
    )
    folder = "mimic-iv-ecg"
    source = PhysioNet(
        slug="mimic-iv-ecg",
        version="1.0",
        zipped=False,
        note="1.6 million small files, about 97 GB.",
    )
    rates = (FS,)
    seconds = 10.0
    tasks: ClassVar[dict[str, Task]] = TASKS

    def __init__(self, min_report_words: int = 0, **settings: Any) -> None:
        super().__init__(**settings)
        if min_report_words < 0:
            raise UsageError(
                f"data.init_args.min_report_words must be 0 or more, got {min_report_words}."
            )
        self.min_report_words = min_report_words
        self.label_options = {"phrases": PHRASES_VERSION, "min_report_words": min_report_words}

    @classmethod
    def index(cls, root: Path, fs: float) -> Index:
        """List the records with report, measurements and linked note."""
        table, foreign, broken, notes = index_tables(root)
        reasons = {"its path in the table is not that of this patient and study": foreign}
        table, rejected = reject_rows(table, reasons, RECORDS)
        odd = "the row has other cells than the header of the table"
        rejected += [Rejection(RECORDS, f"(row {text})", odd) for text in broken]
        if table.empty:
            why = f", for {rejected[0].reason}" if rejected else ""
            raise DataError(
                f"{root / RECORDS} lists no record that can be used, of {len(rejected)}{why}. "
                "Fetch the file again."
            )
        return Index(table, rejected, notes)

    @classmethod
    def read(cls, root: Path, row: Mapping[str, Any]) -> Recording:
        """Read one record: int16 counts of 5 µV, aVF before aVL."""
        return read_wfdb(root / row["file"], row["record_id"], row["subject_id"], FS)

    def labels(self, table: pd.DataFrame) -> pd.DataFrame:
        """Add the findings that the reports name."""
        return pd.concat([super().labels(table), finding_columns(table["report"])], axis=1)

    def strata(self, table: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Balance a drawn split over patients whose reports name atrial fibrillation.

        By the bare words, so that another version of the phrases moves nobody.
        """
        named = table["report"].str.contains("atrial fibrillation", regex=False)
        return np.asarray(named.fillna(False), dtype=np.int64)

    def usable(self, table: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Leave out records whose report is too short."""
        kept = long_enough(table["report_words"], self.min_report_words)
        if not kept.all():
            log.info(
                "%d of %d records are left out: fewer than %d words in the report.",
                (~kept).sum(), len(kept), self.min_report_words,
            )  # fmt: skip
        return kept
