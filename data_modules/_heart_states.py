"""What the learned segmenter is trained on: PhysioNet 2016, marked by hand, and simulations."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch.utils.data import DataLoader

from data_modules._dataset import Batch, Window, make_loader
from data_modules._heart_state_batches import StateDataset, classes_of, simulated_hearts
from data_modules.physionet2016 import PhysioNet2016DataModule
from pahcl.errors import RecordError, UsageError
from pahcl.signals.heart_cycles.state_network import CLASSES, FS
from pahcl.signals.states import HeartStates
from pahcl.task import Task

TENTHS = 10
TRAIN, VALIDATE = range(6), range(6, 7)
"""Tenths of the recordings, by the CRC-32 of their names, that train and validate; others test."""


def tenth(record_id: str) -> int:
    """Say in which tenth of the recordings one is: the same wherever it is asked."""
    return zlib.crc32(record_id.encode()) % TENTHS


class HeartStatesDataModule(PhysioNet2016DataModule):
    """Serve windows of heart sounds with the state of every frame (`target` `[B, T]`, -1 unknown).

    Recordings whose states somebody has corrected take part; what is marked as noise is not learned
    from. Both signals and annotations are read, so that the publisher's folder is needed. Six
    tenths of the recordings train, one validates, three test, by a checksum of their names; or a
    whole set tests.

    Args:
        simulated: Simulated recordings that training sees beside the real ones; a fifth of them
            are noise without a heart.
        windows: Windows of each recording in an epoch.
        settings: Arguments of `PhysioNet2016DataModule`.
    """

    tasks: ClassVar[dict[str, Task]] = {
        "heart_states": Task("heart_states", "multiclass", CLASSES, ("state",), "macro_f1")
    }

    def __init__(self, simulated: int = 0, windows: int = 1, **settings: Any) -> None:
        super().__init__(**settings)
        if self.spec.fs != FS or len(self.spec.leads) != 1:
            raise UsageError(
                f"The states are learned from the heart sound alone at {FS} Hz: set "
                f"data.init_args.fs to {FS} (now {self.spec.fs:g}) and leave `ecg` and `leads` out."
            )
        self.simulated, self.windows = simulated, windows
        self.label_options |= {"simulated": simulated, "windows": windows, "tenths": TENTHS}

    def labels(self, table: pd.DataFrame) -> pd.DataFrame:
        """Read the annotations; the label of a recording is the state that most of it is in."""
        self.states_of = [self._read(row) for row in table.to_dict("records")]
        longest = np.array([_longest(states) for states in self.states_of], dtype=object)
        return table.assign(state=longest)

    def _read(self, row: dict[Any, Any]) -> HeartStates | None:
        try:
            return self.states(self.root, row)
        except RecordError:  # damaged annotations are none
            return None

    def split(self, table: pd.DataFrame) -> pd.Series:
        """Divide by a checksum of the names, or give a whole set to the test split."""
        if self.leave_out is not None:
            return super().split(table)
        tenths = table["record_id"].map(tenth)
        sides = pd.Series("test", index=table.index, dtype=object)
        sides[tenths.isin(TRAIN)], sides[tenths.isin(VALIDATE)] = "train", "val"
        return sides

    def _loader(self, rows: npt.NDArray[np.int64], training: bool = False) -> DataLoader[Batch]:
        fs, length, seed = self.spec.fs, self.spec.length or 0, self.seed
        window = Window(length, self.pad, self.crop if training else "center", seed)
        lengths = np.asarray(self.store.lengths)[rows].tolist()
        none = HeartStates(*np.zeros((3, 0)))
        states = [
            classes_of(self.states_of[row] or none, fs, size)
            for row, size in zip(rows.tolist(), lengths, strict=True)
        ]
        made = simulated_hearts(self.simulated, self.spec, seed) if training else None
        windows = self.windows if training else 1
        dataset = StateDataset(self.store, rows, states, window, windows, made)
        return make_loader(dataset, training, seed, self.batch_size, self.num_workers, self.trainer)


def _longest(states: HeartStates | None) -> str | None:
    """Name the state that lasts longest in all; None where none is marked."""
    lasting: Counter[int] = Counter()
    if states is not None:
        for state, seconds in zip(states.state, states.end - states.start, strict=True):
            lasting[int(state)] += seconds
    del lasting[0]
    return CLASSES[lasting.most_common(1)[0][0] - 1] if lasting else None
