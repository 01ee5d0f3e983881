"""What every method that learns from labels shares: the network, its scores, its checkpoint."""

from __future__ import annotations

from typing import Any, Literal, Self

import pandas as pd
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, distributed

from pahcl.encoders.base import Encoder
from pahcl.encoders.heads import Head, LinearHead
from pahcl.encoders.pooling import MaskedMeanPool, Pooling
from pahcl.errors import SpecError, UsageError
from pahcl.evaluation.metrics import evaluate
from pahcl.evaluation.predictions import DEFAULT_THRESHOLD, predictions_table
from pahcl.evaluation.thresholds import Criterion, choose_thresholds
from pahcl.evaluation.units import Units, scored_units, whole_records, with_examinations
from pahcl.files import plain
from pahcl.modules._choice import MONITOR, Choice
from pahcl.modules._data import LabelledData, cycles_of, labelled_data, scored_unit_of
from pahcl.modules._outputs import Outputs
from pahcl.modules._saved import KEY, Part, SavedModel
from pahcl.modules.checkpoint import (
    refuse_other_cycles,
    refuse_other_input,
    refuse_other_network,
    refuse_other_task,
)
from pahcl.objectives.supervised import RegressionLoss, loss_terms, probabilities
from pahcl.signals.spec import SignalSpec
from pahcl.task import Task


class Supervised(LightningModule):
    """Hold an encoder, a pooling and a head for a task, and score them.

    Task, input contract, class weights and label statistics come from the trainer's data module,
    or from a checkpoint. Thresholds are chosen on validation, kept in the checkpoint, and used by
    the test. How the weights are learned is the subclass's.

    Args:
        encoder: The network.
        pooling: From a sequence of features to a vector; None takes the mean over real signal.
        head: From a vector to the outputs; None takes one linear layer.
        class_weights: Weigh rare classes up, by the training split's frequencies.
        regression_loss: Error on the standardised target of a regression.
        threshold_criterion: What thresholds maximise on validation.

    Attributes:
        predictions: Predictions table of the last validation or test, one row a scored unit, the
            same on every process.
        cycles: How the heart cycles were shown that it learns from; None where records were.
        record_predictions: The same with one row a record, where a task scores subjects.
        run_config: The resolved config, for the checkpoint.
        origin: What the weights started from, for checkpoint and receipt; empty = random weights.
    """

    thresholds: Tensor
    target_mean: Tensor
    target_std: Tensor
    class_weight: Tensor | None

    def __init__(
        self,
        encoder: Encoder,
        pooling: Pooling | None = None,
        head: Head | None = None,
        class_weights: bool = False,
        regression_loss: RegressionLoss = "mse",
        threshold_criterion: Criterion = "f1",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling or MaskedMeanPool()
        self.head = head or LinearHead()
        self.use_class_weights = class_weights
        self.regression_loss: RegressionLoss = regression_loss
        self.threshold_criterion: Criterion = threshold_criterion
        self.task: Task | None = None
        self.cycles: dict[str, Any] | None = None
        self.label_statistics: dict[str, Any] = {}
        self.predictions: pd.DataFrame | None = None
        self.record_predictions: pd.DataFrame | None = None
        self.run_config: dict[str, Any] = {}
        self.origin: dict[str, Any] = {}
        self._outputs, self._choice = Outputs(), Choice()
        self.register_buffer("class_weight", None, persistent=False)

    def adopt(self, task: Task, spec: SignalSpec, label_statistics: dict[str, Any]) -> None:
        """Build pooling and head for a task and an input contract, with fresh weights.

        Raises:
            SpecError: The encoder reads another number of leads, or a longer window.
        """
        if len(spec.leads) != self.encoder.in_channels:
            raise SpecError(
                f"The encoder reads {self.encoder.in_channels} leads, the data module gives "
                f"{len(spec.leads)} ({', '.join(spec.leads)}). Set the encoder's `in_channels` or "
                "the data module's `leads`."
            )
        steps = None if spec.length is None else self.encoder.feature_length(spec.length)
        features = self.pooling.build(self.encoder.out_channels, steps)
        self.head.build(features, task.num_outputs)
        self.task, self.encoder.spec = task, spec
        self.label_statistics = plain(label_statistics)
        outputs = torch.zeros(task.num_outputs)
        scale = self.label_statistics if task.kind == "regression" else {}
        self.register_buffer("thresholds", outputs + DEFAULT_THRESHOLD)
        self.register_buffer("target_mean", outputs + torch.tensor(scale.get("mean", 0.0)))
        self.register_buffer("target_std", outputs + torch.tensor(scale.get("std", 1.0)))
        self.pooling.to(self.device)
        self.head.to(self.device)

    def setup(self, stage: str) -> None:
        """Fit the network to the trainer's data module, or refuse a module that it does not fit."""
        data = labelled_data(self.trainer)
        if self.task is None:
            self.adopt(data.task, data.spec, data.label_statistics)
            self.cycles = cycles_of(data)
        else:
            own = self.saved_model("The model")
            refuse_other_task(own, data.task)
            refuse_other_input(own, data.spec)
            refuse_other_cycles(own, cycles_of(data))
        self._set_class_weight(data)

    def _set_class_weight(self, data: LabelledData) -> None:
        if not self.use_class_weights:
            return
        if data.class_weights is None:
            raise UsageError(
                f"Task `{data.task.name}` has no classes to weigh: leave `class_weights` off."
            )
        self.class_weight = data.class_weights.to(self.device, torch.float32)

    def known(self) -> tuple[Task, SignalSpec]:
        """Give task and input contract.

        Raises:
            UsageError: They are not known before `setup` or `load`.
        """
        if self.task is None or self.encoder.spec is None:
            raise UsageError(
                "The model knows its task only from a data module or a checkpoint: give it to a "
                "trainer, or make it with pahcl.modules.checkpoint.load."
            )
        return self.task, self.encoder.spec

    @property
    def monitor(self) -> str:
        """Name the number by which checkpoints are chosen: the primary metric where it can be."""
        return MONITOR

    @property
    def kept_by(self) -> tuple[str, Literal["min", "max"]] | None:
        """Name the number by which `best.ckpt` is chosen; None = `monitor`, in the task's sense."""
        return None

    def encode(self, signal: Tensor, mask: Tensor | None) -> Tensor:
        """Compute the features `[B, D, T]`."""
        features: Tensor = self.encoder(signal, mask)
        return features

    def forward(self, signal: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the outputs.

        Args:
            signal: `[B, C, L]`, of the encoder's input contract.
            mask: `[B, L]` bool, true = real signal; None = all of it is.

        Returns:
            `[B, K]` float32: logits, or the standardised estimates of a regression.
        """
        features = self.encode(signal, mask)
        steps = None if mask is None else self.encoder.feature_mask(mask)
        outputs: Tensor = self.head(self.pooling(features, steps))
        return outputs.float()

    def losses(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Compute each record's loss and its weight, both `[B]`, as `loss_terms` does."""
        task, _ = self.known()
        if task.kind == "regression":
            target = (target - self.target_mean) / self.target_std
        return loss_terms(task.kind, outputs, target, self.class_weight, self.regression_loss)

    def _evaluation_step(self, batch: dict[str, Any]) -> None:
        self._outputs.add(batch, self(batch["signal"], batch.get("mask")))

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Keep the outputs of one batch."""
        self._evaluation_step(batch)

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Keep the outputs of one batch."""
        self._evaluation_step(batch)

    def estimates(self, outputs: Tensor) -> Tensor:
        """Turn outputs `[B, K]` into probabilities, or estimates in the task's unit."""
        task, _ = self.known()
        if task.kind == "regression":
            return outputs * self.target_std + self.target_mean
        return probabilities(task.kind, outputs)

    def _score(self, split: str) -> None:
        """Score what an evaluation epoch has collected on all processes, and log it."""
        task, _ = self.known()
        found = self._outputs.gather()
        if found is None:
            return
        if self.trainer.state.fn != TrainerFn.FITTING:
            found.require_finite(split)
        outputs, target = found.outputs.to(self.device), found.target.to(self.device)
        share = found.share.to(self.device)  # a record counts once, however many cycles it has
        sums, weights = (part * share for part in self.losses(outputs, target))
        estimates = self.estimates(outputs).cpu().numpy()
        rows = Units(found.record_ids, found.subject_ids, found.target.numpy(), estimates)
        records = whole_records(task, rows)
        unit_of = scored_unit_of(self.trainer)
        units = scored_units(task, records, unit_of)
        trying = self.trainer.sanity_checking  # a few records say nothing about thresholds
        if split == "val" and not trying:
            criterion = self.threshold_criterion
            chosen = choose_thresholds(task, units.targets, units.estimates, criterion)
            self.thresholds.copy_(torch.from_numpy(chosen))
        thresholds = self.thresholds.cpu().numpy()
        table = predictions_table(task, *units, thresholds)
        loss = float(sums.sum() / weights.sum())  # NaN where nothing is labelled
        metrics = evaluate(task, table)
        shared = {f"{split}/{k}": value for k, value in {"loss": loss, **metrics.macro}.items()}
        # Every process has the same numbers; Lightning asks for sync_dist all the same.
        several = self.trainer.world_size > 1
        self.log_dict(shared, sync_dist=several)
        if split == "val" and not trying:
            chosen_by = self._choice.value(task, metrics, loss)
            self.log(MONITOR, chosen_by, logger=False, sync_dist=several)
        if not trying:
            self.predictions, self.record_predictions = table, None
            if task.level == "subject":
                single = predictions_table(task, *records, thresholds)
                self.predictions, self.record_predictions = with_examinations(
                    table, single, unit_of
                )

    def on_validation_start(self) -> None:
        """Give every process the running statistics of the first, which the checkpoint keeps."""
        if distributed.is_available() and distributed.is_initialized():
            for buffer in self.buffers():
                distributed.broadcast(buffer, 0)

    def on_validation_epoch_end(self) -> None:
        """Choose the thresholds and score the validation split."""
        self._score("val")

    def on_test_epoch_end(self) -> None:
        """Score the test split with the thresholds of validation."""
        self._score("test")

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, list[Any]]:
        """Predict one batch; `pandas.DataFrame` makes a predictions table of what is returned."""
        task, _ = self.known()
        estimates = self.estimates(self(batch["signal"], batch.get("mask"))).cpu().numpy()
        table = predictions_table(
            task,
            batch["record_id"],
            batch["subject_id"],
            batch["target"].cpu().numpy(),
            estimates,
            self.thresholds.cpu().numpy(),
        )
        if "cycle" in batch:
            table["cycle"] = batch["cycle"].cpu().numpy()
        return {str(name): values for name, values in table.to_dict("list").items()}

    def saved_model(self, source: str = "the checkpoint") -> SavedModel:
        """Describe the model as a checkpoint keeps it, without the weights."""
        task, spec = self.known()
        return SavedModel(
            method=f"{type(self).__module__}.{type(self).__qualname__}",
            encoder=Part.of(self.encoder),
            pooling=Part.of(self.pooling),
            head=Part.of(self.head),
            spec=spec,
            cycles=self.cycles,
            task=task,
            label_statistics=self.label_statistics,
            thresholds=self.thresholds.tolist(),
            config=self.run_config,
            origin=self.origin,
            source=source,
        )

    @classmethod
    def from_saved(cls, saved: SavedModel) -> Self:
        """Make the model that a checkpoint describes, without its weights."""
        parts: dict[str, Any] = {
            "encoder": saved.build(saved.encoder, Encoder),  # type: ignore[type-abstract]
        }
        if saved.pooling is not None and saved.head is not None and saved.task is not None:
            parts["pooling"] = saved.build(saved.pooling, Pooling)  # type: ignore[type-abstract]
            parts["head"] = saved.build(saved.head, Head)  # type: ignore[type-abstract]
        model = cls(**parts, **cls.init_args_of(saved))
        if saved.task is not None:
            model.adopt(saved.task, saved.spec, saved.label_statistics)
        model.cycles, model.origin = saved.cycles, saved.origin
        return model

    @classmethod
    def init_args_of(cls, saved: SavedModel) -> dict[str, Any]:
        """Give the arguments beside the network that the checkpoint's weights need."""
        return {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what makes the model again."""
        checkpoint[KEY] = self.saved_model().to_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the weights of another task, input or network before they are loaded."""
        path = self._trainer.ckpt_path if self._trainer is not None else None
        saved = SavedModel.from_checkpoint(checkpoint, str(path or "The checkpoint"))
        if self.task is None and saved.task is not None:
            self.adopt(saved.task, saved.spec, saved.label_statistics)
            self.cycles = saved.cycles
        task, spec = self.known()
        refuse_other_task(saved, task)
        refuse_other_input(saved, spec)
        refuse_other_cycles(saved, self.cycles)
        for name in ("encoder", "pooling", "head"):
            refuse_other_network(saved, name, getattr(self, name))
        self.label_statistics, self.origin = saved.label_statistics, saved.origin
