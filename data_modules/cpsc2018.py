"""CPSC2018: 6,877 12-lead ECGs of 6 to 144 s from eleven hospitals in China, nine classes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._challenge import by_reason, read_challenge
from data_modules._cpsc2018_parts import (
    CLASSES,
    FS,
    REFERENCE,
    index_table,
    list_records,
    read_original,
)
from data_modules._splits import record_strata
from data_modules._tables import counted, reject_rows
from data_modules.base import SignalDataModule
from pahcl.download.sources import PhysioNet
from pahcl.errors import DataError
from pahcl.signals.leads import STANDARD_12
from pahcl.signals.recording import Recording
from pahcl.store import Index
from pahcl.task import Task


class CPSC2018DataModule(SignalDataModule):
    """Serve the public part of CPSC2018 (Liu et al. 2018), in either form or in both at once.

    The publisher gives no split (the challenge's test set was never released) and no persons: each
    record counts as a subject of its own.

    Args:
        settings: Arguments that every data set has, see `SignalDataModule`.
    """

    name = "cpsc2018"
    title = "CPSC2018"
    version = "2018"
    licence = "CC-BY-4.0"
    homepage = "https://physionet.org/content/challenge-2021/1.0.3/"
    citation = (
        "Liu F, Liu C, Zhao L, et al. An open access database for evaluating the algorithms of "
        "electrocardiogram rhythm and morphology abnormality detection. Journal of Medical Imaging "
        "and Health Informatics 8(7), 1368-1373 (2018). doi:10.1166/jmihi.2018.2442"
    )
    folder = "cpsc2018"
    source = PhysioNet(slug="challenge-2021", version="1.0.3", below="training/cpsc_2018/")
    rates = (FS,)
    seconds = 10.0
    published_key = "filename"
    tasks: ClassVar[dict[str, Task]] = {
        "nine": Task("nine", "multilabel", CLASSES, CLASSES, "macro_auroc", scorer="cpsc2018"),
        "af": Task("af", "binary", ("AF",), ("AF",), primary_metric="auroc"),
        "sex": Task("sex", "binary", ("male",), ("male",), primary_metric="auroc"),
        "age": Task("age", "regression", ("age",), ("age",), "mae", unit="years"),
    }

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)

    @classmethod
    def index(cls, root: Path, fs: float) -> Index:
        """List the records of both forms, with labels, age and sex."""
        found, odd = list_records(root)
        if not any(one.file for one in found):
            raise DataError(
                f"{root} holds no record of {cls.title}: neither headers (A0001.hea) beside their "
                f"A0001.mat, nor the original A0001.mat with {REFERENCE}. Fetch it from "
                f"{cls.homepage} and unpack it there."
            )
        table, notes = index_table(found)
        order = [one.labels and not one.ordered and one.verdict is None for one in found]
        table, rejected = reject_rows(table, by_reason(one.verdict for one in found), REFERENCE)
        unknown = {"first of several labels unknown": sum(map(bool, order))}
        return Index(table, rejected, counted({**notes, **odd, **unknown}))

    @classmethod
    def read(cls, root: Path, row: Mapping[str, Any]) -> Recording:
        """Read one record: counts with the header's gain, or the original form's mV."""
        path, ids = root / row["file"], (row["record_id"], row["subject_id"])
        if row["form"] == "challenge":
            return read_challenge(path, *ids, FS)
        signal, data = read_original(path)
        digest = hashlib.sha256(data).hexdigest()
        return Recording(signal, FS, STANDARD_12, cls.unit, *ids, source_sha256=digest)

    def strata(self, table: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Balance a drawn split over the rarest class of each record."""
        task = self.tasks["nine"]
        return record_strata(task, task.targets(table))
