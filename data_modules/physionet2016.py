"""PhysioNet 2016: heart sounds of six sources, normal or abnormal, with quality and states."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._challenge import by_reason
from data_modules._physionet2016_files import FS, REFERENCE, index_table, list_recordings
from data_modules._physionet2016_sets import SETS, set_strata, split_by_set
from data_modules._physionet2016_signals import States, read_recording, read_states
from data_modules._tables import counted, reject_rows
from data_modules.base import SignalDataModule
from pahcl.download.sources import PhysioNet
from pahcl.errors import UsageError
from pahcl.signals.recording import Recording
from pahcl.signals.sound import FULL_SCALE
from pahcl.signals.spec import Modality
from pahcl.signals.states import HeartStates
from pahcl.store import Index
from pahcl.task import Task


class PhysioNet2016DataModule(SignalDataModule):
    """Serve the training sets of the PhysioNet Challenge 2016 (Liu et al. 2016), sets a to f.

    The publisher gives no split and no persons: each recording counts as a subject of its own.

    Args:
        leave_out: The set (`a` to `f`) that tests as a whole, while the others train and validate;
            None draws from all sets.
        ecg: Keep the ECG of set a as a second lead, which is 0 where a recording has none.
        settings: Arguments that every data set has, see `SignalDataModule`.
    """

    name = "physionet2016"
    title = "PhysioNet 2016"
    version = "1.0.0"
    licence = "ODC-By-1.0"
    homepage = "https://physionet.org/content/challenge-2016/1.0.0/"
    citation = (
        "Liu C, Springer D, Li Q, et al. An open access database for the evaluation of heart sound "
        "algorithms. Physiological Measurement 37(12), 2181-2213 (2016). "
        "doi:10.1088/0967-3334/37/12/2181"
    )
    folder = "physionet2016"
    # Its folders lie there as archives as well.
    source = PhysioNet(slug="challenge-2016", version="1.0.0", leave_out=("*.zip", "*.tar.gz"))
    rates = (FS,)
    seconds = 5.0
    modality: ClassVar[Modality] = "pcg"
    unit = FULL_SCALE
    leads = ("PCG",)
    tasks: ClassVar[dict[str, Task]] = {
        "abnormal": Task(
            "abnormal", "binary", ("abnormal",), ("abnormal",), "auroc", scorer="cinc2016"
        ),
        "quality": Task("quality", "binary", ("clean",), ("quality",), primary_metric="auroc"),
    }

    def __init__(
        self,
        leave_out: Literal["a", "b", "c", "d", "e", "f"] | None = None,
        ecg: bool = False,
        **settings: Any,
    ) -> None:
        if settings.get("leads") is None:
            settings["leads"] = list(self.channels(ecg=ecg))
        super().__init__(**settings)
        if leave_out is not None and (leave_out not in SETS or self.selection.folds is not None):
            raise UsageError(
                f"data.init_args.leave_out names a set ({', '.join(SETS)}) that tests, and none "
                f"where data.init_args.folds chooses who does; got {leave_out}."
            )
        self.leave_out = leave_out
        self.prepare_options = {"ecg": ecg}
        self.label_options = {"leave_out": leave_out}

    @classmethod
    def channels(cls, **options: Any) -> tuple[str, ...]:
        """Name the leads of a store: the heart sound, and the ECG if that is asked for."""
        return (*cls.leads, "ECG") if options.get("ecg") else cls.leads

    @classmethod
    def index(cls, root: Path, fs: float, ecg: bool = False) -> Index:
        """List the recordings of all sets; of the validation set those that are no copies."""
        found, notes = list_recordings(root)
        table = index_table(found, cls.homepage, root, ecg)
        table, rejected = reject_rows(table, by_reason(one.verdict for one in found), REFERENCE)
        return Index(table, rejected, counted(notes))

    @classmethod
    def read(cls, root: Path, row: Mapping[str, Any]) -> Recording:
        """Read one recording, and its ECG where that was asked for."""
        ids = row["record_id"], row["subject_id"]
        return read_recording(root / row["file"], *ids, ecg=bool(row["_ecg"]))

    @classmethod
    def states(
        cls, root: Path, row: Mapping[str, Any], kind: States = "hand"
    ) -> HeartStates | None:
        """Read the states of one recording, corrected by hand or those of the algorithm."""
        return read_states(root, root / row["file"], kind)

    def strata(self, table: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Balance a drawn split over sets and labels."""
        return set_strata(table)

    def split(self, table: pd.DataFrame) -> pd.Series:
        """Draw by recording; or give a whole set to the test split and draw from the others."""
        if self.leave_out is None:
            return super().split(table)
        return split_by_set(table, self.strata(table), self.leave_out, self.selection)
