"""Augmentation of training batches, where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from pahcl.signals.augment import Augmentation, View, record_seeds

Batch = dict[str, Any]

SEEDS = "augment_seeds"
"""Entry of a batch: int64 `[B]`. Training batches have it where they are to be augmented."""


class RecordSeeds:
    """Give each record of an epoch its own seed, whatever batch, process or order it comes in.

    Args:
        seed: Of the run.
        rows: `[N]` rows of the store that are served; the cycles of a record are told apart by
            their order.
    """

    def __init__(self, seed: int, rows: npt.NDArray[np.int64]) -> None:
        self.seed = seed
        self.rows = torch.tensor(rows)
        self.repeats = torch.tensor(pd.Series(rows).groupby(rows).cumcount().to_numpy())

    def added(
        self, batches: Iterable[Batch], indices: npt.NDArray[np.int64], size: int
    ) -> Iterator[Batch]:
        """Add to batches of a size the seeds of the indices that they hold."""
        epochs, positions = (torch.from_numpy(x) for x in np.divmod(indices, len(self.rows)))
        seeds = record_seeds(self.seed, epochs, self.rows[positions], self.repeats[positions])
        for batch, part in zip(batches, torch.split(seeds, size), strict=True):
            yield {**batch, SEEDS: part}


class Augmenter:
    """Augment the batches that carry seeds, which are those of training; leave all others.

    It comes after normalisation: a scaling before it would be undone, and 0, by which masks
    replace what they take, is the middle of a normalised signal.

    Args:
        augmentation: None leaves training batches as they are, too.
        fs: Sampling rate of the batches in Hz.

    Raises:
        SpecError: It cannot be done at this rate.
    """

    def __init__(self, augmentation: Augmentation | None, fs: float) -> None:
        self.augmentation, self.fs = augmentation, fs
        if augmentation is not None:
            augmentation.require_rate(fs)

    def __call__(self, signal: Tensor, mask: Tensor, batch: Batch) -> View:
        """Augment signals `[B, C, L]` with masks `[B, L]` by the seeds of their batch."""
        if self.augmentation is None or SEEDS not in batch:
            return signal, mask
        return self.augmentation(signal, self.fs, mask, batch[SEEDS])
