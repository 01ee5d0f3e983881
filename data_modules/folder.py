"""Own recordings: a folder of WFDB, EDF, HDF5, npy, wav or FLAC files, with a table or without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._corpus import Contents
from data_modules._own.find import find_out, read_row
from data_modules._own.known import contents_of, known_of, placed, require_same_table, store_of
from data_modules._own.options import Options
from data_modules._splits import record_strata
from data_modules.base import SignalDataModule
from pahcl.signals.recording import Recording
from pahcl.signals.spec import Modality
from pahcl.store import Index
from pahcl.task import Kind, Task


class FolderDataModule(SignalDataModule):
    """Serve one's own recordings; what files and table say is found out, and told.

    Args:
        root: The folder. What its store says is enough once it is packed.
        store: The packed store; None takes the folder's name in `$PAHCL_STORES`, or in `stores/`.
        table: CSV or Parquet file below `root`; None takes the one that lies in it, `none` none.
        path: Column that names the files.
        row: Column of row numbers, where one npy or HDF5 file holds many records.
        key: Data set of the HDF5 files that holds the samples.
        subject: Column of the persons, who are kept out of two splits.
        subject_from: Regular expression that finds the person in a file's path, in its first group.
        labels: Columns to learn from; without a table the names of the folders.
        kind: binary, multiclass, multilabel or regression; None finds out from what they hold.
        classes: Classes in order; of a binary question the one that is asked for.
        split: Column that says train, val or test; None draws by subject.
        modality: ecg or pcg (heart sounds), where the files do not tell.
        recorded_fs: Rate in Hz of files that do not say theirs (npy, HDF5).
        unit: Unit of the samples of files that do not say theirs.
        channels: Leads of the channels in order, or `NAME=LEAD` for those that a file names.
        settings: Arguments that every data set has, see `SignalDataModule`.
    """

    name = "folder"
    title = "Own recordings"
    version = "as given"
    licence = "as their owner says"
    homepage = "https://github.com/pahcl/pahcl/blob/main/docs/own_data.md"
    citation = "Your own; how to bring it: https://github.com/pahcl/pahcl/blob/main/docs"
    folder = "folder"
    rates = (4000.0,)
    seconds = 5.0
    modality = "pcg"
    unit = "full scale"
    leads = ("PCG",)
    tasks: ClassVar[dict[str, Task]] = {}
    found: tuple[str, ...] = ()

    def __init__(
        self,
        root: str | None = None,
        store: str | None = None,
        table: str | None = None,
        path: str | None = None,
        row: str | None = None,
        key: str | None = None,
        subject: str | None = None,
        subject_from: str | None = None,
        labels: list[str] | None = None,
        kind: Kind | None = None,
        classes: list[str] | None = None,
        split: str | None = None,
        modality: Modality | None = None,
        recorded_fs: float | None = None,
        unit: str | None = None,
        channels: list[str] | None = None,
        **settings: Any,
    ) -> None:
        options = Options(
            table=table, path=path, row=row, key=key, subject=subject, subject_from=subject_from,
            labels=labels, kind=kind, classes=classes, split=split, modality=modality,
            recorded_fs=recorded_fs, unit=unit, channels=channels,
        )  # fmt: skip
        options = placed(options, root)
        packed = store_of(root, store, self.name)
        # Every folder is a data set of its own: what others say as classes, this one says here.
        vars(self).update(known_of(type(self), root, packed, options))
        super().__init__(root=root, store=str(packed), **settings)
        self.prepare_options = options.given()
        self.own_root = Path(root).resolve() if root else None
        require_same_table(packed, root)

    @classmethod
    def index(cls, root: Path, fs: float, **options: Any) -> Index:
        """List the records with their labels; `options` are the class's own arguments."""
        return find_out(root, Options(**options)).index

    @classmethod
    def contents(cls, root: Path, fs: float | None, **options: Any) -> Contents:
        """List the records and say what they are, as their files and their table do."""
        return contents_of(root, fs, Options(**options))

    @classmethod
    def read(cls, root: Path, row: Mapping[str, Any]) -> Recording:
        """Read one record by the reader of its kind of file."""
        return read_row(root, row)

    def split(self, table: pd.DataFrame) -> pd.Series:
        """Give the split that the table names, or draw one by subject."""
        return table["split"] if "split" in table else super().split(table)

    def strata(self, table: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Balance a drawn split over the classes of the first task."""
        task = next(iter(self.tasks.values()))
        return record_strata(task, task.targets(table))
