"""What a network says of disturbed records: one predictions table for each condition.

A condition is no disturbance, an attack of some size, or a corruption of some severity. Every
record has a generator of its own, seeded by the seed and the record's id, so that what is drawn
does not depend on batches or processes. A condition that is done lies in the run's folder
`robustness/` and is not computed again while its digest is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Generator, Tensor, nn

from pahcl import __version__
from pahcl.attacks.base import Attack
from pahcl.attacks.oracle import takes_mask
from pahcl.errors import PahclError
from pahcl.evaluation.predictions import predictions_table, read_predictions, write_predictions
from pahcl.files import canonical_json, plain, sha256_text, write_json
from pahcl.objectives.supervised import loss_terms, probabilities
from pahcl.signals.corruption import Corruption
from pahcl.signals.frequency import filter_batch
from pahcl.signals.normalisation import normalise
from pahcl.signals.spec import SignalSpec
from pahcl.task import Task

FORMAT = 1
FOLDER = "robustness"

SPECTRUM_BINS = 100
"""Most frequencies at which spectra are kept."""

Batch = Mapping[str, Any]
"""`signal` float32 `[B, C, L]` before normalisation, `mask` `[B, L]`, `target`, `record_id`,
`subject_id`, all tensors on one device."""

Batches = Callable[[], Iterable[Batch]]
"""Starts a pass over the same records in the same order."""


@dataclass(frozen=True)
class Examined:
    """Hold the network that is examined, and how its outputs are read.

    Args:
        model: From a normalised signal `[B, C, L]`, and a `mask` `[B, L]` if it takes one, to
            outputs `[B, K]`: logits, or standardised estimates of a regression. In evaluation mode.
        task: What it answers.
        spec: Its input contract.
        thresholds: `[K]`, from validation; None = 0.5.
        target_mean: `[K]` of a regression's targets.
        target_std: `[K]` of the same.
    """

    model: nn.Module
    task: Task
    spec: SignalSpec
    thresholds: npt.NDArray[np.float32] | None = None
    target_mean: Tensor | None = None
    target_std: Tensor | None = None

    def standardised(self, target: Tensor) -> Tensor:
        """Bring targets to the scale of the outputs."""
        if self.target_mean is None or self.target_std is None:
            return target
        return (target - self.target_mean.to(target)) / self.target_std.to(target)

    def estimates(self, outputs: Tensor) -> Tensor:
        """Turn outputs `[B, K]` into probabilities, or estimates in the task's unit."""
        if self.target_mean is None or self.target_std is None:
            return probabilities(self.task.kind, outputs)
        return outputs * self.target_std.to(outputs) + self.target_mean.to(outputs)

    def outputs(self, signal: Tensor, mask: Tensor) -> Tensor:
        """Compute the outputs `[B, K]` without a gradient."""
        with torch.no_grad():
            knows = {"mask": mask} if takes_mask(self.model) else {}
            found: Tensor = self.model(signal, **knows)
        return found.float()

    def losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Compute each record's mean loss over its labels `[B]`, NaN where it has none."""
        sums, weights = loss_terms(self.task.kind, outputs, self.standardised(target))
        return sums / weights

    def normalised(self, signal: Tensor, mask: Tensor) -> Tensor:
        """Make of physical units what the network reads."""
        return normalise(signal, mask, self.spec.normalisation)


@dataclass(frozen=True)
class Condition:
    """Name a disturbance; without attack and corruption it is none.

    Args:
        key: Name of its files.
        attack: What is done to the signal that the network reads.
        corruption: What is done to the signal in physical units.
        severity: Of the corruption.
    """

    key: str
    attack: Attack | None = None
    corruption: Corruption | None = None
    severity: int = 0

    def settings(self) -> dict[str, Any]:
        """Write as plain types all that the outcome depends on."""
        return {
            "attack": described(self.attack),
            "corruption": described(self.corruption),
            "severity": self.severity,
        }


@dataclass(frozen=True)
class Disturbed:
    """Hold a batch after a disturbance.

    Args:
        clean: `[B, C, L]` as the network reads it.
        signal: The same, disturbed.
        gradient_calls: Passes forward and back that it took, for the batch.
        forward_calls: Further passes forward.
    """

    clean: Tensor
    signal: Tensor
    gradient_calls: int = 0
    forward_calls: int = 0


@dataclass(frozen=True)
class Outcome:
    """Hold what came out of a condition.

    Args:
        predictions: A predictions table with, for each record, the `loss` (mean over its labels)
            and the `largest` absolute change and the `length` (L2) of the change, in the unit of
            the signal that the network reads.
        facts: `gradient_calls` and `forward_calls` a record; for attacks `spectrum`.
    """

    predictions: pd.DataFrame
    facts: dict[str, Any] = field(default_factory=dict)


def described(thing: object) -> dict[str, Any] | None:
    """Write an attack or a corruption as class path and arguments."""
    if thing is None or not is_dataclass(thing) or isinstance(thing, type):
        return None
    arguments = {one.name: getattr(thing, one.name) for one in fields(thing)}
    kind = type(thing)
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": plain(arguments)}


def record_generators(seed: int, record_ids: Sequence[str]) -> list[Generator]:
    """Make each record its generator, a function of the seed and its id alone."""
    made = []
    for name in record_ids:
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        made.append(Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1))
    return made


def disturb(examined: Examined, condition: Condition, batch: Batch, seed: int) -> Disturbed:
    """Disturb a batch.

    Where the contract filters, what a corruption adds is filtered too: it would have come through
    the same filter, which is linear. A corruption that changes the signal itself is not.
    """
    physical, mask = batch["signal"], batch["mask"]
    clean = examined.normalised(physical, mask)
    if condition.attack is not None:
        done = condition.attack(
            examined.model,
            clean,
            examined.standardised(batch["target"]),
            mask,
            record_generators(seed, batch["record_id"]),
        )
        return Disturbed(clean, done.signal.detach(), done.gradient_calls, done.forward_calls)
    if condition.corruption is None:
        return Disturbed(clean, clean)
    fs, kind = examined.spec.fs, condition.corruption
    own = record_generators(seed, batch["record_id"])
    corrupted = kind(physical, fs, condition.severity, mask, own)
    if kind.additive and not examined.spec.filter.is_identity:
        added = filter_batch(corrupted - physical, fs, examined.spec.filter, mask)
        corrupted = physical + added
    return Disturbed(clean, examined.normalised(corrupted, mask))


def examine(
    examined: Examined,
    condition: Condition,
    batches: Batches,
    seed: int = 0,
    advance: Callable[[int], None] | None = None,
) -> Outcome:
    """Let a network predict all records under one condition, batch by batch.

    Args:
        examined: The network.
        condition: What happens to the records.
        batches: Starts a pass over them.
        seed: With a record's id the seed of what is drawn for it.
        advance: Is told the number of records that are done.
    """
    found = _Collected(examined)
    calls = np.zeros(2)
    spectrum = _Spectrum(examined.spec.fs) if condition.attack is not None else None
    for batch in batches():
        done = disturb(examined, condition, batch, seed)
        found.add(batch, done)
        size = len(batch["record_id"])
        calls += size * np.array([done.gradient_calls, done.forward_calls])
        if spectrum is not None:
            spectrum.add(done, batch["mask"])
        if advance is not None:
            advance(size)
    each = (calls / max(len(found.record_ids), 1)).tolist()
    facts: dict[str, Any] = {"gradient_calls": each[0], "forward_calls": each[1]}
    if spectrum is not None:
        facts["spectrum"] = spectrum.facts()
    return Outcome(found.table(), facts)


class _Collected:
    """What is kept of each batch: a few numbers a record."""

    def __init__(self, examined: Examined) -> None:
        self.examined = examined
        self.record_ids: list[str] = []
        self.subject_ids: list[str] = []
        self.parts: dict[str, list[Tensor]] = {}

    def add(self, batch: Batch, done: Disturbed) -> None:
        """Let the network predict a batch."""
        target = batch["target"]
        outputs = self.examined.outputs(done.signal, batch["mask"])
        change = (done.signal - done.clean).flatten(1)
        kept = {
            "target": target,
            "estimate": self.examined.estimates(outputs),
            "loss": self.examined.losses(outputs, target),
            "largest": torch.linalg.vector_norm(change, float("inf"), dim=1),
            "length": torch.linalg.vector_norm(change, dim=1),
        }
        for name, values in kept.items():
            self.parts.setdefault(name, []).append(values.cpu())
        self.record_ids += batch["record_id"]
        self.subject_ids += batch["subject_id"]

    def table(self) -> pd.DataFrame:
        """Lay out all records."""
        arrays = {name: torch.cat(parts).numpy() for name, parts in self.parts.items()}
        table = predictions_table(
            self.examined.task,
            self.record_ids,
            self.subject_ids,
            arrays["target"],
            arrays["estimate"],
            self.examined.thresholds,
        )
        return table.assign(**{name: arrays[name] for name in ("loss", "largest", "length")})


class _Spectrum:
    """Mean power density of signal and perturbation, over leads and records."""

    def __init__(self, fs: float) -> None:
        self.fs = fs
        self.sums: Tensor | None = None
        self.records = 0

    def add(self, done: Disturbed, mask: Tensor) -> None:
        """Add a batch; what is outside the mask is 0 in both."""
        seconds = mask.sum(dim=1).clamp_min(1) / self.fs
        both = torch.stack([done.clean, done.signal - done.clean]) * mask.unsqueeze(1)
        power = torch.fft.rfft(both.float()).abs().square().mean(dim=2)
        power = 2.0 * power / (self.fs**2 * seconds.unsqueeze(1))
        if mask.shape[1] % 2 == 0:
            power[..., -1] /= 2  # half the rate has no twin among the negative frequencies
        found = power.double().sum(dim=1).cpu()
        self.sums = found if self.sums is None else self.sums + found
        self.records += len(mask)

    def facts(self) -> dict[str, list[float]]:
        """Give the densities in unit²/Hz, neighbouring frequencies averaged to at most 100."""
        if self.sums is None or self.sums.shape[1] < 2:
            return {"frequency": [], "signal": [], "perturbation": []}
        count = self.sums.shape[1]
        edges = np.unique(np.linspace(1, count, min(SPECTRUM_BINS, count - 1) + 1).astype(int))
        frequency = np.linspace(0.0, self.fs / 2, count)
        rows = [frequency, *(self.sums / self.records).numpy()]
        named = zip(("frequency", "signal", "perturbation"), rows, strict=True)
        width = np.diff(edges)
        return {name: (np.add.reduceat(row, edges[:-1]) / width).tolist() for name, row in named}


@dataclass(frozen=True)
class Shelf:
    """Keep the outcomes of conditions in a folder, each under the digest of what it depends on.

    Args:
        folder: The run's folder `robustness/`.
        identity: What all conditions depend on: digests of checkpoint, store and records, split,
            contract, seed.
    """

    folder: Path
    identity: dict[str, Any]

    def digest(self, condition: Condition) -> str:
        """Digest all that the outcome of a condition depends on."""
        return sha256_text(
            canonical_json(
                plain(
                    {
                        "format": FORMAT,
                        "code": __version__,
                        **self.identity,
                        "condition": condition.settings(),
                    }
                )
            )
        )

    def find(self, condition: Condition) -> Outcome | None:
        """Give an outcome that is already there and whole."""
        note, table = self._files(condition)
        if not note.is_file() or not table.is_file():
            return None
        try:
            facts = json.loads(note.read_text(encoding="utf-8"))
            if not isinstance(facts, dict) or facts.pop("digest", None) != self.digest(condition):
                return None
            return Outcome(read_predictions(table), facts)
        except (ValueError, OSError, PahclError):
            return None  # damaged: it is computed again

    def keep(self, condition: Condition, outcome: Outcome) -> None:
        """Write an outcome, the table first."""
        note, table = self._files(condition)
        self.folder.mkdir(parents=True, exist_ok=True)
        note.unlink(missing_ok=True)  # it would speak of another table
        write_predictions(table, outcome.predictions)
        write_json(note, {"digest": self.digest(condition), **outcome.facts})

    def table(self, key: str) -> Path:
        """Locate the predictions table of a condition."""
        return self.folder / f"{key}.parquet"

    def _files(self, condition: Condition) -> tuple[Path, Path]:
        return self.folder / f"{condition.key}.json", self.table(condition.key)


def pick(batches: Batches, record_ids: Sequence[str]) -> Iterator[Batch]:
    """Serve some records, in the order of the batches."""
    wanted = set(record_ids)
    for batch in batches():
        rows = [row for row, name in enumerate(batch["record_id"]) if name in wanted]
        if rows:
            yield _rows(batch, rows)


def _rows(batch: Batch, rows: list[int]) -> Batch:
    return {
        key: value[torch.tensor(rows, device=value.device)]
        if isinstance(value, Tensor)
        else [value[row] for row in rows]
        for key, value in batch.items()
    }
