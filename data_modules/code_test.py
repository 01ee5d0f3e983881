"""CODE-test: 827 12-lead ECGs with a gold standard and the answers of those who read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_modules._code_test_parts import (
    READERS,
    TRACINGS,
    count_tracings,
    find_folder,
    limb_order,
    read_answers,
)
from data_modules._tables import counted
from data_modules.code15 import ABNORMALITIES, CODE15DataModule
from pahcl.download.sources import Zenodo
from pahcl.errors import UsageError
from pahcl.evaluation.predictions import predictions_table
from pahcl.signals.recording import Recording
from pahcl.store import Index


class CODETestDataModule(CODE15DataModule):
    """Serve CODE-test (Ribeiro et al. 2020), on which networks of CODE-15% are tested.

    All of it is the test split; the thresholds are those of the checkpoint that is tested.

    Args:
        keep_padding: Keep the zeros around exams shorter than 4,096 samples as if they were signal.
        settings: Arguments that every data set has, see `SignalDataModule`.
    """

    name = "code_test"
    title = "CODE-test"
    version = "1.0.3"
    licence = "CC-BY-4.0"
    homepage = "https://zenodo.org/records/3765780"
    citation = (
        "Ribeiro AH, Ribeiro MH, Paixao GMM, et al. Automatic diagnosis of the 12-lead ECG using a "
        "deep neural network. Nature Communications 11, 1760 (2020). "
        "doi:10.1038/s41467-020-15432-4"
    )
    folder = "code-test"
    source = Zenodo(record=3765780)
    sides = ("test",)

    @classmethod
    def index(cls, root: Path, fs: float, keep_padding: bool = False) -> Index:
        """List the tracings with the gold standard and every reader's answers.

        A few tracings are read, to tell the order of the leads.
        """
        prefix = find_folder(root)
        path = root / f"{prefix}{TRACINGS}"
        count = count_tracings(path)
        answers, notes = read_answers(path.parent, ABNORMALITIES, count)
        names = [str(row) for row in range(count)]
        own = pd.DataFrame(
            {
                "record_id": names,
                "subject_id": names,  # each tracing is another patient's
                "file": f"{prefix}{TRACINGS}",
                "file_bytes": path.stat().st_size,
                "_row": np.arange(count),
                "_keep_padding": keep_padding,
                "_leads": " ".join(limb_order(path, count)),
            }
        )
        return Index(pd.concat([own, answers], axis=1), [], counted(notes))

    @classmethod
    def read(cls, root: Path, row: Mapping[str, Any]) -> Recording:
        """Read one tracing, its leads in the order that was found in the file."""
        found = super().read(root, row)
        return replace(found, leads=tuple(row["_leads"].split()))

    def split(self, table: pd.DataFrame) -> pd.Series:
        """Put every record into the test split."""
        return pd.Series("test", index=table.index, dtype=object)

    def reader(self, name: str) -> pd.DataFrame:
        """Give a reader's answers to the task as a predictions table, as a model's are scored.

        Where the reader has not answered, nothing is scored.

        Args:
            name: One of `READERS`; `dnn` is the network of Ribeiro et al.

        Raises:
            UsageError: There is no such reader here, or nobody answered this task.
        """
        columns = [f"reader/{name}/{column}" for column in self.task.columns]
        table = self.store.table.iloc[self.rows["test"]]
        if any(column not in table for column in columns):
            there = [one for one in READERS if f"reader/{one}/{ABNORMALITIES[0]}" in table]
            raise UsageError(
                f"No reader {name!r} has answered the task `{self.task.name}` here. The tasks af "
                f"and code6 have the readers {', '.join(there) or 'none'}."
            )
        answers = table[columns].to_numpy(dtype=np.float64)
        ids = table["record_id"].tolist(), table["subject_id"].tolist()
        answered = np.isfinite(answers)
        target = np.where(answered, self.targets[self.rows["test"]], np.nan)
        half = np.full(len(columns), 0.5)
        return predictions_table(self.task, *ids, target, np.where(answered, answers, 0), half)
