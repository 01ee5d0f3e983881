"""PASCAL: heart sounds of a phone (set A) and a digital stethoscope (set B), 2011."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_modules._challenge import by_reason
from data_modules._pascal_files import (
    Which,
    index_table,
    list_sounds,
    read_instants,
    require_rate_of,
)
from data_modules._pascal_names import ARCHIVES, CLASSES, RATES
from data_modules._sound import read_heart_sound
from data_modules._tables import counted, reject_rows
from data_modules.base import SignalDataModule
from pahcl.download.sources import Site
from pahcl.errors import UsageError
from pahcl.signals.recording import Recording
from pahcl.signals.sound import FULL_SCALE
from pahcl.signals.spec import Modality
from pahcl.signals.states import HeartStates
from pahcl.store import Index
from pahcl.task import Task


class PASCALDataModule(SignalDataModule):
    """Serve the PASCAL Classifying Heart Sounds Challenge (Bentley et al. 2011), split by person.

    Persons are known in set B; in set A the minute of the recording stands for one.

    Args:
        which: `both` sets, resampled to the rate of set B where need be, or `a` or `b`: `a` alone
            is also served at its own 44,100 Hz.
        settings: Arguments that every data set has, see `SignalDataModule`.
    """

    name = "pascal"
    title = "PASCAL heart sounds"
    version = "2011"
    licence = "free with attribution"
    homepage = "https://www.peterjbentley.com/heartchallenge/index.html"
    citation = (
        "Bentley P, Nordehn G, Coimbra M, Mannor S. The PASCAL Classifying Heart Sounds Challenge "
        "2011 (CHSC2011) results. http://www.peterjbentley.com/heartchallenge/index.html"
    )
    folder = "pascal"
    source = Site(origin="http://www.peterjbentley.com/heartchallenge/wav/", files=ARCHIVES)
    rates = (RATES["b"], RATES["a"])
    seconds = 5.0
    modality: ClassVar[Modality] = "pcg"
    unit = FULL_SCALE
    leads = ("PCG",)
    tasks: ClassVar[dict[str, Task]] = {
        "three": Task("three", "multiclass", CLASSES["b"], ("three",), "macro_f1"),
        "set_a": Task(
            "set_a", "multiclass", CLASSES["a"], ("set_a",), "macro_f1", scorer="pascal_a"
        ),
        "set_b": Task(
            "set_b", "multiclass", CLASSES["b"], ("set_b",), "macro_f1", scorer="pascal_b"
        ),
    }

    def __init__(self, which: Which = "both", **settings: Any) -> None:
        super().__init__(**settings)
        require_rate_of(which, self.spec.fs)
        if {"set_a": "b", "set_b": "a"}.get(self.task.name) == which:
            raise UsageError(
                f"data.init_args.task `{self.task.name}` asks for the other set than "
                f"data.init_args.which ({which}) keeps: take that one, or both."
            )
        self.prepare_options = {"which": which}

    @classmethod
    def index(cls, root: Path, fs: float, which: Which = "both") -> Index:
        """List the sounds of the tables, or of the archives where there are no tables."""
        require_rate_of(which, fs)
        found = list_sounds(root, which)
        reasons = by_reason(one.verdict for one in found)
        table, rejected = reject_rows(index_table(found), reasons, "the table of its set")
        notes = {
            "label of no class": table["_unknown"].sum(),
            "unlabelled": (table["label"].isna() & ~table["_unknown"]).sum(),
        }
        return Index(table, rejected, counted(notes))

    @classmethod
    def read(cls, root: Path, row: Mapping[str, Any]) -> Recording:
        """Read one sound at the rate of its set."""
        ids = row["record_id"], row["subject_id"]
        return read_heart_sound(root / row["file"], RATES[row["domain"]], *ids)

    @classmethod
    def states(cls, root: Path, row: Mapping[str, Any]) -> HeartStates | None:
        """Read where first and second sounds were marked: instants, for some normal ones of set A.

        An interval ends where it begins; systole and diastole are not marked.
        """
        return read_instants(root, str(row["file"]))

    def labels(self, table: pd.DataFrame) -> pd.DataFrame:
        """Give the answers of each task, missing where another set or another class is asked."""
        own = {f"set_{name}": table["label"].where(table["domain"] == name) for name in CLASSES}
        three = table["label"].where(table["label"].isin(CLASSES["b"]))
        return super().labels(table).assign(**own, three=three)

    def strata(self, table: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Balance a drawn split over sets and classes."""
        names = table["domain"] + "/" + table["label"].fillna("")
        return pd.Categorical(names).codes.astype(np.int64)
