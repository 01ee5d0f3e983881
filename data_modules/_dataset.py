"""Batches from a store: one gather a batch, and the order in which records come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import Trainer
from torch.utils.data import BatchSampler, DataLoader, Dataset, DistributedSampler

from data_modules._augment import SEEDS, Augmenter, RecordSeeds
from pahcl.signals import Pad, SignalSpec, ToSignal, window_bounds
from pahcl.store import SignalStore

Batch = dict[str, Any]

SHIPPED = ("samples", "scale", "start", "stop")
"""What of a batch becomes signal and mask on the device."""

BATCHES_AT_ONCE = 64
"""Batches whose labels are looked up together."""


@dataclass(frozen=True)
class Window:
    """Say which part of a record is shown.

    Args:
        length: Samples of the window.
        pad: Where a shorter record lies in it.
        crop: Part of a longer record: its centre, or one drawn anew in every epoch.
        seed: Key of the draw.
    """

    length: int
    pad: Pad = "center"
    crop: Literal["random", "center"] = "center"
    seed: int = 0


def uniform(
    seed: int, epochs: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Draw one number in [0, 1) for each record and epoch, whatever batch or worker it falls into.

    Args:
        seed: Key of the draw.
        epochs: `[B]`.
        rows: `[B]` rows of the store.

    Returns:
        `[B]` float64: a counter hashed by the finaliser of SplitMix64 (Steele et al. 2014).
    """
    with np.errstate(over="ignore"):
        state = rows.astype(np.uint64) + np.uint64(1)
        for key in (epochs.astype(np.uint64), np.full(len(rows), seed % 2**64, dtype=np.uint64)):
            state = state * np.uint64(0x9E3779B97F4A7C15) + key
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


class BatchDataset(Dataset[Batch]):
    """Serve whole batches of a store's records as int16 with scales.

    An index may carry its epoch: `epoch * len + position`. So a random crop is a function of seed,
    epoch and record in every worker process.

    Args:
        store: Where the signals are.
        rows: `[N]` rows of the store that are served, in order.
        targets: `[N]` or `[N, K]` their targets.
        window: Which part of a record is shown.
    """

    seeds: RecordSeeds | None = None
    """Of what is augmented; None where nothing is."""

    def __init__(
        self,
        store: SignalStore,
        rows: npt.NDArray[np.int64],
        targets: npt.NDArray[Any],
        window: Window,
    ) -> None:
        self.store = store
        self.rows = rows
        self.targets = targets
        self.window = window
        self.record_ids = store.table["record_id"].to_numpy(dtype=object)[rows]
        self.subject_ids = store.table["subject_id"].to_numpy(dtype=object)[rows]
        lengths = np.asarray(store.lengths, dtype=np.int64)[rows]
        first, start, _ = window_bounds(lengths, window.length, window.pad)
        self.spare = np.maximum(lengths - window.length, 0)
        self.begin = first - start
        self.draws = window.crop == "random" and bool(self.spare.any())

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        """Serve one record as a batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Serve a batch.

        Returns:
            `samples` int16 `[B, C, L]`, `scale` `[B, C]`, `start` and `stop` `[B]`, `target`,
            `record_id`, `subject_id`.
        """
        return next(self._seeded(np.asarray(indices, dtype=np.int64), max(len(indices), 1)))

    def batches(self, order: npt.NDArray[np.int64], size: int) -> Iterator[Batch]:
        """Serve indices in batches of a size; the last one may be smaller.

        What is not signal is looked up for many batches at once, for a look-up of a few numbers
        costs as much as one of thousands.
        """
        for first in range(0, len(order), size * BATCHES_AT_ONCE):
            yield from self._seeded(order[first : first + size * BATCHES_AT_ONCE], size)

    def _seeded(self, indices: npt.NDArray[np.int64], size: int) -> Iterator[Batch]:
        """Serve indices in batches of a size, with seeds where they are to be augmented."""
        batches = self._serve(indices, size)
        return batches if self.seeds is None else self.seeds.added(batches, indices, size)

    def _serve(self, indices: npt.NDArray[np.int64], size: int) -> Iterator[Batch]:
        """Look up what belongs to indices, and gather the signals batch by batch."""
        epochs, positions = np.divmod(indices, len(self.rows))
        rows = self.rows[positions]
        begin = None
        if self.draws:
            spare = self.spare[positions]
            drawn = (uniform(self.window.seed, epochs, rows) * (spare + 1)).astype(np.int64)
            begin = np.where(spare > 0, drawn, self.begin[positions])
        found = self.store.windows(rows, self.window.length, self.window.pad, begin)
        record_ids = self.record_ids[positions].tolist()
        subject_ids = self.subject_ids[positions].tolist()
        arrays = found.scale, found.start, found.stop, self.targets[positions]
        tensors = (torch.split(torch.from_numpy(array), size) for array in arrays)
        for number, (scale, start, stop, target) in enumerate(zip(*tensors, strict=True)):
            part = slice(number * size, (number + 1) * size)
            yield {
                "samples": torch.from_numpy(found.samples(part)),
                "scale": scale,
                "start": start,
                "stop": stop,
                "target": target,
                "record_id": record_ids[part],
                "subject_id": subject_ids[part],
            }


class OnDevice:
    """Make signal and mask of a batch where it lies; the other entries stay.

    Args:
        spec: The input contract.
        augmenter: What is done to training batches.
    """

    def __init__(self, spec: SignalSpec, augmenter: Augmenter) -> None:
        self._to_signal, self._augmenter = ToSignal(spec), augmenter

    def __call__(self, batch: Batch) -> Batch:
        """Give `signal`, `mask`, and what is known of the records."""
        rest = {key: value for key, value in batch.items() if key not in (*SHIPPED, SEEDS)}
        signal, mask = self._to_signal(*(batch[key] for key in SHIPPED))
        signal, mask = self._augmenter(signal, mask, batch)
        return {"signal": signal, "mask": mask, **rest}


def as_is(batch: Any) -> Any:
    """Pass on what is a batch already (the loader's collate function)."""
    return batch


class EpochSampler(DistributedSampler[int]):
    """Order records by seed and epoch alone, and deal them out to the processes of a run.

    Being a DistributedSampler it is left in place by Lightning, which calls `set_epoch`. Global
    batch k of several processes holds the same records as batch k of one process with the batch
    size of all; short ends are filled from the start, so that all processes take equal steps.

    Args:
        dataset: What is served.
        shuffle: Shuffle anew in every epoch; otherwise keep the order.
        seed: Key of the order.
        batch_size: With it, one record is left out of an epoch whose last batch would hold it
            alone: batch normalisation has no variance there. Another one is left out next time.
        world_size: Number of processes.
        rank: Number of this process.
    """

    def __init__(
        self,
        dataset: BatchDataset,
        shuffle: bool,
        seed: int = 0,
        batch_size: int | None = None,
        world_size: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(dataset, num_replicas=world_size, rank=rank, shuffle=shuffle, seed=seed)
        self.records = len(dataset)
        share = self.num_samples
        if batch_size is not None and batch_size > 1 and share > 1 and share % batch_size == 1:
            self.num_samples = share - 1
            self.total_size = self.num_samples * world_size

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        """Give this process's indices of the epoch, see `BatchDataset`."""
        return iter(self.order().tolist())

    def order(self) -> npt.NDArray[np.int64]:
        """Give the same as one array."""
        order = np.arange(self.records)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        order = np.resize(order, self.total_size)[self.rank :: self.num_replicas]
        return order + self.epoch * self.records * self.shuffle


class BatchLoader(DataLoader[Batch]):
    """Load batches, in the main process without what PyTorch does for each of them.

    A gather of 64 records takes some 100 µs, to which PyTorch's iterator adds half. Worker
    processes, pinned memory and samplers that somebody else has put in place are PyTorch's.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # a generator serves as well
        """Iterate over the batches of the sampler's epoch."""
        sampler, dataset = self.sampler, self.dataset
        in_place = self.num_workers == 0 and not self.pin_memory
        if (
            in_place
            and type(self.batch_sampler) is BatchSampler
            and isinstance(sampler, EpochSampler)
            and isinstance(dataset, BatchDataset)
        ):
            return dataset.batches(sampler.order(), self.batch_size or 1)
        return super().__iter__()


def make_loader(
    dataset: BatchDataset,
    training: bool,
    seed: int,
    batch_size: int,
    num_workers: int,
    trainer: Trainer | None,
) -> BatchLoader:
    """Load a split's batches in this process of a run.

    Args:
        dataset: What is served.
        training: In a new order in every epoch, see `EpochSampler`; otherwise as it stands.
        seed: Key of the order.
        batch_size: Records in a batch.
        num_workers: Processes that load; 0 loads in this one.
        trainer: What the batches are for, where there is one.
    """
    sampler = EpochSampler(
        dataset,
        shuffle=training,
        seed=seed,
        batch_size=batch_size if training else None,
        world_size=trainer.world_size if trainer else 1,
        rank=trainer.global_rank if trainer else 0,
    )
    if trainer:  # a resumed run's first iterator is made before Lightning calls set_epoch
        progress: Any = trainer.fit_loop.epoch_progress.current
        sampler.set_epoch(progress.processed)
    return BatchLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=as_is,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=num_workers > 0,
    )
