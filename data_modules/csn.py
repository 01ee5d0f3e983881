"""CSN: 45,152 ten-second 12-lead ECGs of as many patients of Chapman, Shaoxing and Ningbo."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._challenge import by_reason, list_headers, people, read_challenge
from data_modules._csn_labels import (
    MAP_VERSION,
    TASKS,
    label_columns,
    own_labels,
    rhythm_labels,
)
from data_modules._splits import record_strata
from data_modules._tables import counted, reject_rows
from data_modules.base import SignalDataModule
from pahcl.download.sources import PhysioNet
from pahcl.errors import DataError
from pahcl.signals.recording import Recording
from pahcl.store import Index
from pahcl.task import Task

FS = 500.0
NUMBER = r"JS\d{5}"


class CSNDataModule(SignalDataModule):
    """Serve the Chapman-Shaoxing-Ningbo database (Zheng et al. 2022), split by patient.

    The publisher gives one record a patient, and no split.

    Args:
        settings: Arguments that every data set has, see `SignalDataModule`.
    """

    name = "csn"
    title = "Chapman-Shaoxing-Ningbo"
    version = "1.0.0"
    licence = "CC-BY-4.0"
    homepage = "https://physionet.org/content/ecg-arrhythmia/1.0.0/"
    citation = (
        "Zheng J, Guo H, Chu H. A large scale 12-lead electrocardiogram database for arrhythmia "
        "study (version 1.0.0). PhysioNet (2022). doi:10.13026/wgex-er52"
    )
    folder = "csn"
    source = PhysioNet(slug="ecg-arrhythmia", version="1.0.0")
    rates = (FS,)
    seconds = 10.0
    published_key = "ecg_path"
    tasks: ClassVar[dict[str, Task]] = TASKS

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.label_options = {"code_map": MAP_VERSION}

    @classmethod
    def index(cls, root: Path, fs: float) -> Index:
        """List the records with their diagnoses, age and sex."""
        found = list_headers(root, FS, NUMBER, f"a record of {cls.title} (JS00001 and on)")
        if not found:
            raise DataError(
                f"{root} holds no record of {cls.title}: no WFDBRecords/01/010/JS00001.hea and "
                f".mat, or others. Fetch them from {cls.homepage} and unpack them there."
            )
        good = [one for one in found if one.verdict is None]
        who, _ = people([one.said for one in found])
        labels, _ = label_columns([one.codes for one in found])
        names = [one.record_id for one in found]
        own = pd.DataFrame(
            {"record_id": names, "subject_id": names, "file": [one.file for one in found]}
        )
        table, rejected = reject_rows(
            pd.concat([own, who, labels], axis=1),
            by_reason(one.verdict for one in found),
            "the folder",
        )
        _, odd = people([one.said for one in good])
        _, unknown = label_columns([one.codes for one in good])
        return Index(table, rejected, counted({**odd, **unknown}))

    @classmethod
    def read(cls, root: Path, row: Mapping[str, Any]) -> Recording:
        """Read one record: counts with the gain, baseline and unit of its header."""
        return read_challenge(root / row["file"], row["record_id"], row["subject_id"], FS)

    def labels(self, table: pd.DataFrame) -> pd.DataFrame:
        """Add the answers of the task `rhythm` to the columns `dx/<label>`."""
        return pd.concat([super().labels(table), rhythm_labels(table)], axis=1)

    def strata(self, table: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Balance a drawn split over the rarest rhythm of each record."""
        task = self.tasks["rhythm"]
        return record_strata(task, task.targets(rhythm_labels(table)))

    def published_labels(self, labels: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
        """Read the classes of MERL's tables from the records' own codes.

        Raises:
            DataError: A class is no label of the map.
        """
        return own_labels(labels, table)
