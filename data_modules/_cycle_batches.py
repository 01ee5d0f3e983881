"""Batches of heart cycles: one gather a batch, and one length on the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from data_modules._augment import SEEDS, Augmenter
from data_modules._cycles import Cycles, ServedCycles
from data_modules._dataset import SHIPPED, Batch, BatchDataset, Window, uniform
from pahcl.signals import ToSignal
from pahcl.signals.heart_cycles.lengths import fit_length
from pahcl.signals.heart_cycles.parts import split_parts
from pahcl.signals.normalisation import normalise_
from pahcl.signals.spec import SignalSpec
from pahcl.store import SignalStore

Integers = npt.NDArray[np.int64]

MARGIN = 16
"""Samples around a cycle that are gathered with it, for reading between samples at its ends."""

STEP = 32
"""Blocks are whole multiples of so many samples, so that few sizes occur."""


class CycleDataset(BatchDataset):
    """Serve whole batches of heart cycles as int16 with scales.

    An epoch holds every cycle of every record, or `per_record` of each: then the record's cycles
    are dealt out in order into so many runs of (about) equal length, turned by a drawn number, and
    one is drawn of each. So none comes twice, each is as likely, and they are spread over the
    recording. The draw is a function of seed, epoch and record in every worker process.

    Args:
        served: The cycles of all records of the store.
        store: Where the signals are.
        rows: `[N]` rows of the store that are served, in order; those without a cycle are not.
        targets: `[N]` or `[N, K]` their targets.
        seed: Key of the draw.
        training: Whether `per_record` holds; else every cycle is served.
    """

    def __init__(
        self,
        served: ServedCycles,
        store: SignalStore,
        rows: Integers,
        targets: npt.NDArray[Any],
        seed: int,
        training: bool,
    ) -> None:
        cycles, per_record = served.rows, served.settings.per_record if training else None
        counts = np.bincount(cycles.record, minlength=len(store))
        first = np.cumsum(counts) - counts
        slots = counts[rows] if per_record is None else np.minimum(counts[rows], per_record)
        record = np.repeat(np.arange(len(rows)), slots)
        super().__init__(store, rows[record], targets[record], Window(1, seed=seed))
        self.cycles = cycles
        self.first, self.count = first[self.rows], counts[self.rows]
        self.slots = slots[record]
        self.slot = np.arange(len(record)) - np.repeat(np.cumsum(slots) - slots, slots)
        spans = cycles.times[:, [0, 4]] * store.spec.fs
        self.begin = np.floor(spans[:, 0]).astype(np.int64) - MARGIN
        self.blocks = np.ceil(spans[:, 1]).astype(np.int64) + MARGIN - self.begin

    def chosen(self, epochs: Integers, positions: Integers) -> Integers:
        """Give the cycle, as a row of `cycles`, that each position of an epoch shows."""
        count, slots, slot = (x[positions] for x in (self.count, self.slots, self.slot))
        low, high = slot * count // slots, (slot + 1) * count // slots
        first, seed = self.first[positions], self.window.seed
        own = uniform(seed, epochs, first + slot + len(self.store))
        turn = (uniform(seed, epochs, self.rows[positions]) * count).astype(np.int64)
        drawn = (low + (own * (high - low)).astype(np.int64) + turn) % count
        return first + np.where(slots < count, drawn, slot)

    def _serve(self, indices: Integers, size: int) -> Iterator[Batch]:
        epochs, positions = np.divmod(indices, len(self.rows))
        rows, cycle = self.rows[positions], self.chosen(epochs, positions)
        begin = self.begin[cycle]
        length = -(-int(self.blocks[cycle].max()) // STEP) * STEP
        found = self.store.windows(rows, length, begin=begin)
        bounds = self.cycles.times[cycle] * self.store.spec.fs - begin[:, None]
        record_ids = self.record_ids[positions].tolist()
        subject_ids = self.subject_ids[positions].tolist()
        shipped: dict[str, npt.NDArray[Any]] = {
            "scale": found.scale,
            "start": found.start,
            "stop": found.stop,
            "target": self.targets[positions],
            "cycle": self.cycles.number[cycle],
        }
        for first in range(0, len(indices), size):
            part = slice(first, first + size)
            yield {
                "samples": torch.from_numpy(found.samples(part)),
                **{name: torch.from_numpy(array[part]) for name, array in shipped.items()},
                "bounds": bounds[part].astype(np.float32),  # no tensor: it stays on this side
                "record_id": record_ids[part],
                "subject_id": subject_ids[part],
            }


class CyclesOnDevice:
    """Make signal, mask and parts of a batch of cycles where it lies; the other entries stay.

    Args:
        spec: The input contract; its length is that of every cycle.
        settings: How cycles come to it, and their parts, which are cut after augmentation.
        augmenter: What is done to training batches.
    """

    def __init__(self, spec: SignalSpec, settings: Cycles, augmenter: Augmenter) -> None:
        self.spec, self.settings, self._augmenter = spec, settings, augmenter
        self._to_signal = ToSignal(replace(spec, length=None, normalisation="none"))

    def __call__(self, batch: Batch) -> Batch:
        """Cast, scale, bring to one length, normalise, and cut parts.

        Returns:
            `signal` float32 `[B, C, length]`, `mask` bool `[B, length]`, and what is known of the
            records; where parts are asked for, `parts` `[B, K, C, P]` and `parts_mask` `[B, K, P]`.
        """
        rest = {
            key: value for key, value in batch.items() if key not in (*SHIPPED, SEEDS, "bounds")
        }
        wanted = self.settings
        block, real = self._to_signal(*(batch[key] for key in SHIPPED))
        how = wanted.length, wanted.shares, wanted.kernel
        bounds = torch.from_numpy(batch["bounds"])
        fitted = fit_length(block, real, bounds, self.spec.length or 1, *how)
        signal = normalise_(fitted.signal, fitted.mask, self.spec.normalisation)
        signal, mask = self._augmenter(signal, fitted.mask, batch)
        found = {"signal": signal, "mask": mask, **rest}
        if wanted.parts is not None:
            parts = split_parts(
                signal,
                mask,
                fitted.bounds,
                wanted.parts,
                wanted.parts_by,
                kernel=wanted.kernel,
            )
            found |= {"parts": parts.signal, "parts_mask": parts.mask}
        return found
