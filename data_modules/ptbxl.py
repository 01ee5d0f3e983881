"""PTB-XL: 21,799 ten-second 12-lead ECGs of 18,869 patients, with report and 71 statements."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._ptbxl_statements import TASKS, class_labels, statement_columns
from data_modules._splits import record_strata
from data_modules._tables import counted, flags, identifiers, read_table, reject_rows, texts
from data_modules._wfdb import read_wfdb, unlisted
from data_modules.base import SignalDataModule
from pahcl.download.sources import PhysioNet
from pahcl.errors import UsageError
from pahcl.signals.recording import Recording
from pahcl.store import Index
from pahcl.task import Task

TABLE = "ptbxl_database.csv"
NEEDED = (
    "ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold", "validated_by_human",
)  # fmt: skip
KEPT = ("height", "weight", "site", "device", "report", "heart_axis", "pacemaker")


class PTBXLDataModule(SignalDataModule):
    """Serve PTB-XL (Wagner et al. 2020): folds 1 to 8 train, 9 validates, 10 tests.

    Args:
        likelihood_threshold: Least likelihood in percent at which a diagnostic statement counts. 0
            takes every statement listed, as Strodthoff et al. 2021 do; any other value also drops
            those whose likelihood is unknown (written as 0). The tasks `form` and `rhythm` take
            every statement, those of form that are diagnostic as well included.
        validated_by_human: Use only records whose statements a person has validated.
        settings: Arguments that every data set has, see `SignalDataModule`.
    """

    name = "ptbxl"
    title = "PTB-XL"
    version = "1.0.1 to 1.0.3"
    licence = "CC-BY-4.0"
    homepage = "https://physionet.org/content/ptb-xl/1.0.3/"
    citation = (
        "Wagner P, Strodthoff N, Bousseljot R-D, et al. PTB-XL, a large publicly available "
        "electrocardiography dataset. Scientific Data 7, 154 (2020). doi:10.1038/s41597-020-0495-6"
    )
    folder = "ptb-xl"
    source = PhysioNet(slug="ptb-xl", version="1.0.3")
    rates = (500.0, 100.0)
    seconds = 10.0
    published_key = "ecg_id"
    tasks: ClassVar[dict[str, Task]] = TASKS

    def __init__(
        self, likelihood_threshold: float = 0.0, validated_by_human: bool = False, **settings: Any
    ) -> None:
        super().__init__(**settings)
        if not 0 <= likelihood_threshold <= 100:
            raise UsageError(
                "data.init_args.likelihood_threshold is a percentage between 0 and 100, got "
                f"{likelihood_threshold}."
            )
        self.likelihood_threshold = likelihood_threshold
        self.validated_by_human = validated_by_human
        self.label_options = {
            "likelihood_threshold": likelihood_threshold,
            "validated_by_human": validated_by_human,
        }

    @classmethod
    def index(cls, root: Path, fs: float) -> Index:
        """List the records at 100 or 500 Hz with statements, report and patient."""
        suffix, part = ("lr", "records100") if fs == 100 else ("hr", "records500")
        raw = read_table(root / TABLE, (*NEEDED, f"filename_{suffix}"))
        statements, unreadable, unknown = statement_columns(raw["scp_codes"])
        age = pd.to_numeric(raw["age"], errors="coerce")
        sex = pd.to_numeric(raw["sex"], errors="coerce").map({0: "male", 1: "female"})
        own = pd.DataFrame(
            {
                "record_id": identifiers(raw["ecg_id"]),
                "subject_id": identifiers(raw["patient_id"]),
                "file": texts(raw[f"filename_{suffix}"]),
                "fold": pd.to_numeric(raw["strat_fold"], errors="coerce"),
                "age": age.where(age <= 120).astype(np.float32),
                "sex": sex,
                "validated_by_human": flags(raw["validated_by_human"]),
            }
        )
        table = pd.concat([own, raw[[name for name in KEPT if name in raw]], statements], axis=1)
        no_codes = {"scp_codes is not a list of statements with likelihoods": unreadable}
        table, rejected = reject_rows(table, no_codes, TABLE)
        rejected += unlisted(root, f"{part}/*/*.hea", set(own["file"]), TABLE)
        notes = {
            "age missing": age.isna().sum(),
            "age over 89, masked as 300 by the publisher": (age == 300).sum(),
            "age over 89, not masked (version 1.0.1)": age.between(90, 120).sum(),
            "sex missing": sex.isna().sum(),
            "fold missing": (~own["fold"].between(1, 10)).sum(),
        }
        return Index(table, rejected, counted({**notes, **unknown}))

    @classmethod
    def read(cls, root: Path, row: Mapping[str, Any]) -> Recording:
        """Read one record: int16 counts of a thousandth of a millivolt."""
        file = row["file"]
        fs = 100.0 if file.startswith("records100/") or file.endswith("_lr") else 500.0
        return read_wfdb(root / file, row["record_id"], row["subject_id"], fs)

    def labels(self, table: pd.DataFrame) -> pd.DataFrame:
        """Answer every task from the statements at the chosen likelihood."""
        return pd.concat(
            [super().labels(table), class_labels(table, self.likelihood_threshold)], axis=1
        )

    def strata(self, table: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Balance folds of one's own over the rarest superclass of each record."""
        task = self.tasks["superclass"]
        return record_strata(task, task.targets(class_labels(table, self.likelihood_threshold)))

    def split(self, table: pd.DataFrame) -> pd.Series:
        """Give the publisher's split."""
        return table["fold"].map({**dict.fromkeys(range(1, 9), "train"), 9: "val", 10: "test"})

    def usable(self, table: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Leave records out that nobody has validated, if so asked; folds 9 and 10 hold none."""
        return (table["validated_by_human"] == 1).to_numpy() | (not self.validated_by_human)
