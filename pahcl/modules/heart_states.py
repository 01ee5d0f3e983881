"""Training of the network that segments heart sounds, frame by frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from pahcl.errors import CheckpointError, SpecError
from pahcl.evaluation.metrics import evaluate
from pahcl.evaluation.predictions import DEFAULT_THRESHOLD, predictions_table
from pahcl.modules._data import labelled_data
from pahcl.modules._heart_sound_changes import SoundChanges
from pahcl.modules._saved import KEY, Part, SavedModel
from pahcl.modules.checkpoint import refuse_other_input, refuse_other_task
from pahcl.signals.heart_cycles.state_network import FRAME_RATE, StateNetwork
from pahcl.signals.spec import SignalSpec
from pahcl.task import Task

UNKNOWN = -1
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""


class HeartStates(LightningModule):
    """Train a network to say in which state of its cycle a heart is at each moment.

    Batches hold `signal` `[B, 1, L]`, `mask` `[B, L]` and `target` `[B, T]`, the class of every
    frame, -1 where it is not known. What is scored is a frame every `every` seconds.

    Args:
        network: The network; None takes the usual one.
        changes: How sounds are changed in training; None takes the usual ways.
        lr: Highest learning rate, of one cycle over all steps.
        weight_decay: Of AdamW.
        label_smoothing: Share of a frame's weight that all classes have alike: annotators differ.
        every: Seconds from one scored frame to the next.

    Attributes:
        predictions: Predictions table of the last validation or test, one row a scored frame.
        run_config: The resolved config, for the checkpoint.
    """

    thresholds: Tensor

    def __init__(
        self,
        network: StateNetwork | None = None,
        changes: SoundChanges | None = None,
        lr: float = 4e-3,
        weight_decay: float = 0.02,
        label_smoothing: float = 0.05,
        every: float = 0.25,
    ) -> None:
        super().__init__()
        self.network = network or StateNetwork()
        self.changes = changes or SoundChanges()
        self.lr, self.weight_decay = lr, weight_decay
        self.label_smoothing, self.every = label_smoothing, every
        self.task: Task | None = None
        self.spec: SignalSpec | None = None
        self.label_statistics: dict[str, Any] = {}
        self.predictions: pd.DataFrame | None = None
        self.record_predictions: pd.DataFrame | None = None
        self.run_config: dict[str, Any] = {}
        self.origin: dict[str, Any] = {}
        self.register_buffer("thresholds", torch.full((5,), DEFAULT_THRESHOLD), persistent=False)
        self._tables: list[pd.DataFrame] = []

    @property
    def encoder(self) -> StateNetwork:
        """Name what `--run.compile` compiles."""
        return self.network

    def setup(self, stage: str) -> None:
        """Take over task and input contract."""
        data = labelled_data(self.trainer)
        self.task, self.spec = data.task, data.spec
        self.label_statistics = data.label_statistics

    def forward(self, signal: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the logits `[B, 5, T]` of signals `[B, 1, L]`."""
        logits: Tensor = self.network(signal[:, 0], mask)
        return logits.float()

    def _loss(self, logits: Tensor, target: Tensor) -> Tensor:
        known = (target != UNKNOWN).sum().clamp(min=1)
        smoothing = self.label_smoothing if self.training else 0.0
        total = F.cross_entropy(
            logits, target, ignore_index=UNKNOWN, label_smoothing=smoothing, reduction="sum"
        )
        return total / known

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Compute the loss of one batch of changed sounds."""
        target = batch["target"]
        sound = self.changes.sounds(batch["signal"][:, 0], target)
        from_sound = self.network.features(sound, self.network.frames(batch["mask"]))
        logits = self.network.classify(self.changes.features(from_sound))
        loss = self._loss(logits.float(), target)
        size, several = len(target), self.trainer.world_size > 1
        self.log(
            "train/loss", loss, on_step=False, on_epoch=True, batch_size=size, sync_dist=several
        )
        return loss

    def _evaluation_step(self, batch: dict[str, Any], split: str) -> None:
        logits, target = self(batch["signal"], batch["mask"]), batch["target"]
        several = self.trainer.world_size > 1
        loss = self._loss(logits, target)
        self.log(f"{split}/loss", loss, batch_size=len(target), sync_dist=several)
        self._tables.append(self._table(batch, logits))

    def _table(self, batch: dict[str, Any], logits: Tensor) -> pd.DataFrame:
        """Make the predictions table of some frames of each record of a batch."""
        step = max(round(self.every * FRAME_RATE), 1)
        target = batch["target"][:, ::step].cpu().numpy()
        chances = logits.softmax(1).movedim(1, -1)[:, ::step].cpu().numpy()
        record, frame = np.nonzero(target != UNKNOWN)
        names = [str(batch["record_id"][row]) for row in record]
        seconds = frame * step / FRAME_RATE
        return predictions_table(
            self._known()[0],
            [f"{name}@{when:.2f}s" for name, when in zip(names, seconds, strict=True)],
            [str(batch["subject_id"][row]) for row in record],
            target[record, frame],
            chances[record, frame],
            self.thresholds.cpu().numpy(),
        )

    def _known(self) -> tuple[Task, SignalSpec]:
        if self.task is None or self.spec is None:
            raise SpecError("The model knows its task only from a data module: give it a trainer.")
        return self.task, self.spec

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Keep what was said of one batch."""
        self._evaluation_step(batch, "val")

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Keep what was said of one batch."""
        self._evaluation_step(batch, "test")

    def _score(self, split: str) -> None:
        tables = self._tables
        if self.trainer.world_size > 1:
            parts: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(parts, tables)
            tables = [table for part in parts for table in part]
        self._tables = []
        if not tables:
            return
        table = pd.concat(tables, ignore_index=True).drop_duplicates("record_id")
        table = table.sort_values("record_id", ignore_index=True)
        metrics = evaluate(self._known()[0], table).macro
        several = self.trainer.world_size > 1
        self.log_dict({f"{split}/{key}": x for key, x in metrics.items()}, sync_dist=several)
        if not self.trainer.sanity_checking:
            self.predictions = table

    def on_validation_epoch_end(self) -> None:
        """Score the validation split."""
        self._score("val")

    def on_test_epoch_end(self) -> None:
        """Score the test split."""
        self._score("test")

    def configure_optimizers(self) -> Any:
        """Make AdamW, whose rate rises for a tenth of the steps and falls to zero."""
        optimizer = AdamW(self.network.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        steps = max(2, int(self.trainer.estimated_stepping_batches))
        schedule = OneCycleLR(optimizer, self.lr, total_steps=steps, pct_start=WARM_UP)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def saved_model(self, source: str = "the checkpoint") -> SavedModel:
        """Describe the model as a checkpoint keeps it, without the weights."""
        task, spec = self._known()
        kind = type(self.network)
        return SavedModel(
            method=f"{type(self).__module__}.{type(self).__qualname__}",
            encoder=Part(f"{kind.__module__}.{kind.__qualname__}", self.network.config()),
            spec=spec,
            task=task,
            label_statistics=self.label_statistics,
            thresholds=self.thresholds.tolist(),
            config=self.run_config,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what makes the network again."""
        checkpoint[KEY] = self.saved_model().to_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the weights of another task, input or network before they are loaded."""
        path = self._trainer.ckpt_path if self._trainer is not None else None
        saved = SavedModel.from_checkpoint(checkpoint, str(path or "The checkpoint"))
        task, spec = self._known()
        refuse_other_task(saved, task)
        refuse_other_input(saved, spec)
        own = self.saved_model().encoder
        if differences := saved.encoder.differences(own, ignore=("dropout",)):
            raise CheckpointError(
                f"The network of {saved.source} is another one than the config's "
                f"({'; '.join(differences)}). Set `model.network` to the checkpoint's."
            )

    @classmethod
    def from_saved(cls, saved: SavedModel) -> HeartStates:
        """Make the model that a checkpoint describes, without its weights."""
        model = cls(network=saved.build(saved.encoder, StateNetwork))
        model.task, model.spec = saved.task, saved.spec
        return model
