"""CirCor DigiScope: heart sounds of children at up to five sites, murmurs and clinical outcome."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._circor_files import FS, SITES, check_header, read_states
from data_modules._circor_index import build_index
from data_modules._circor_table import TASKS
from data_modules._sound import read_heart_sound
from data_modules.base import SignalDataModule
from pahcl.download.sources import PhysioNet
from pahcl.errors import UsageError
from pahcl.signals.recording import Recording
from pahcl.signals.sound import FULL_SCALE
from pahcl.signals.spec import Modality
from pahcl.signals.states import HeartStates
from pahcl.store import Index
from pahcl.task import Task


class CirCorDataModule(SignalDataModule):
    """Serve the CirCor DigiScope data set (Oliveira et al. 2022), split by person.

    A patient has up to six recordings, one label of each task, and at times two numbers.

    Args:
        locations: Places of the chest whose recordings are used (AV, PV, TV, MV, Phc); None takes
            all.
        settings: Arguments that every data set has, see `SignalDataModule`.
    """

    name = "circor"
    title = "CirCor DigiScope"
    version = "1.0.3"
    licence = "ODC-By-1.0"
    homepage = "https://physionet.org/content/circor-heart-sound/1.0.3/"
    citation = (
        "Oliveira J, Renna F, Costa PD, et al. The CirCor DigiScope dataset: from murmur detection "
        "to murmur classification. IEEE Journal of Biomedical and Health Informatics 26(6), "
        "2524-2535 (2022). doi:10.1109/JBHI.2021.3137048"
    )
    source = PhysioNet(slug="circor-heart-sound", version="1.0.3")
    folder = "circor"
    rates = (FS,)
    seconds = 5.0
    modality: ClassVar[Modality] = "pcg"
    unit = FULL_SCALE
    leads = ("PCG",)
    unit_column = "patient_id"
    tasks: ClassVar[dict[str, Task]] = TASKS

    def __init__(self, locations: list[str] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        if locations is not None and not (locations and set(locations) <= set(SITES)):
            raise UsageError(
                f"data.init_args.locations holds some of {', '.join(SITES)}, got {locations}."
            )
        self.label_options = {"locations": locations}

    @classmethod
    def index(cls, root: Path, fs: float) -> Index:
        """List the recordings of the table and of the folder, with what is known of the patient."""
        return build_index(root, f"Fetch them from {cls.homepage} and unpack them there.")

    @classmethod
    def read(cls, root: Path, row: Mapping[str, Any]) -> Recording:
        """Read one recording, whose header must be its own, where it has one."""
        path = root / row["file"]
        recording = read_heart_sound(path, FS, row["record_id"], row["subject_id"])
        check_header(path, recording.signal.shape[1])
        return recording

    @classmethod
    def states(cls, root: Path, row: Mapping[str, Any]) -> HeartStates | None:
        """Read the states of one recording; None where nobody has marked them."""
        return read_states((root / row["file"]).with_suffix(".tsv"))

    def strata(self, table: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Balance a drawn split over murmur and outcome together."""
        pair = table["murmur"].fillna("?") + "/" + table["outcome"].fillna("?")
        return pd.Categorical(pair).codes.astype(np.int64)

    def usable(self, table: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Leave recordings of other places out."""
        return table["location"].isin(self.label_options["locations"] or SITES).to_numpy()
