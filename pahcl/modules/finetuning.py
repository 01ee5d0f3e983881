"""Supervised training of an encoder with a head, from scratch or from a checkpoint."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from pahcl.encoders.base import Encoder
from pahcl.encoders.heads import Head
from pahcl.encoders.pooling import Pooling
from pahcl.errors import UsageError
from pahcl.evaluation.thresholds import Criterion
from pahcl.modules._averages import global_mean
from pahcl.modules._cost import Cost, Tally
from pahcl.modules._supervised import Supervised
from pahcl.modules._watch import LossWatch
from pahcl.modules.checkpoint import (
    LoadReport,
    load_weights,
    origin_of,
    read_checkpoint,
    refuse_other_cycles,
    refuse_other_input,
    refuse_other_network,
    refuse_other_task,
)
from pahcl.objectives.supervised import RegressionLoss
from pahcl.transfer.strategies import Full, Strategy

log = logging.getLogger(__name__)


class Finetuning(Supervised):
    """Train an encoder and a head on a task's labels.

    Task, input contract, class weights and label statistics come from the data module. Every kind
    of task is learned from missing labels too: they are masked. Thresholds are chosen on
    validation, kept in the checkpoint, and used by the test.

    Args:
        encoder: The network.
        pooling: From a sequence of features to a vector; None takes the mean over real signal.
        head: From a vector to the outputs; None takes one linear layer.
        pretrained: Checkpoint whose encoder is carried over. Its input contract must be the data
            module's.
        load_head: With `pretrained`, also carry pooling and head over; the checkpoint must be of
            the same task.
        strategy: Which parts are learned, and how fast; None learns all of them.
        lr: Learning rate of the head, and of the encoder unless the strategy says otherwise.
        weight_decay: Of AdamW.
        optimizer: Another optimiser than AdamW. It gets parameter groups that carry `lr`.
        scheduler: `cosine` falls to zero over all steps, `plateau` divides the rate by ten after
            seven validations without a better primary metric; None keeps the rate.
        class_weights: Weigh rare classes up, by the training split's frequencies.
        regression_loss: Error on the standardised target of a regression.
        threshold_criterion: What thresholds maximise on validation.

    Attributes:
        load_report: What came from `pretrained`.
        cost: The account of passes and time, for checkpoint and receipt.
    """

    objects: ClassVar[tuple[str, ...]] = ("encoder", "pooling", "head", "strategy", "optimizer")
    """Arguments that are no hyper-parameters: checkpoints describe the objects themselves."""

    def __init__(
        self,
        encoder: Encoder,
        pooling: Pooling | None = None,
        head: Head | None = None,
        pretrained: str | None = None,
        load_head: bool = False,
        strategy: Strategy | None = None,
        lr: float = 1e-3,
        weight_decay: float = 1e-2,
        optimizer: OptimizerCallable | None = None,
        scheduler: Literal["cosine", "plateau"] | None = None,
        class_weights: bool = False,
        regression_loss: RegressionLoss = "mse",
        threshold_criterion: Criterion = "f1",
    ) -> None:
        super().__init__(
            encoder, pooling, head, class_weights, regression_loss, threshold_criterion
        )
        self.save_hyperparameters(ignore=list(self.objects))
        if not lr > 0:
            raise UsageError(f"lr must be positive, got {lr}.")
        self.strategy = strategy or Full()
        self.pretrained, self.load_head = pretrained, load_head
        self.lr, self.weight_decay = lr, weight_decay
        self.make_optimizer, self.scheduler = optimizer, scheduler
        self.load_report: LoadReport | None = None
        self.loss_watch, self.cost = LossWatch(), Cost()

    def setup(self, stage: str) -> None:
        """Fit the model to the trainer's data module; load what is to be carried over."""
        super().setup(stage)
        if stage != "fit":
            return
        # A resumed run does without the file: `on_fit_start` asks for it only where it is needed.
        if self.pretrained is not None and Path(self.pretrained).exists():
            self._load_pretrained()
        self.strategy.prepare(self.encoder)

    def _load_pretrained(self) -> None:
        if self.pretrained is None or self.load_report is not None:
            return
        saved = read_checkpoint(self.pretrained)
        task, spec = self.known()
        refuse_other_input(saved, spec)
        refuse_other_network(saved, "encoder", self.encoder)
        parts = ["encoder"]
        if self.load_head:
            refuse_other_task(saved, task)
            refuse_other_cycles(saved, self.cycles)
            refuse_other_network(saved, "pooling", self.pooling)
            refuse_other_network(saved, "head", self.head)
            # A head's outputs are on the scale of the target that it was trained with.
            parts += ["pooling", "head", "target_mean", "target_std", "thresholds"]
        self.load_report = load_weights(self, saved, parts)
        self.origin = origin_of(saved, self.pretrained)
        log.info("From %s: %s.", saved.source, self.load_report)

    def train(self, mode: bool = True) -> Self:
        """Switch to training or evaluation mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        if mode:
            self.strategy.keep_frozen(self.encoder)
        return self

    def encode(self, signal: Tensor, mask: Tensor | None) -> Tensor:
        """Compute the features `[B, D, T]`, without a graph where none of them is learned."""
        # Attacks ask for gradients of the signal, which pass through a frozen encoder.
        frozen = self.strategy.freezes_all(self.encoder) and not signal.requires_grad
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            return super().encode(signal, mask)

    def on_fit_start(self) -> None:
        """Start in training mode, whatever the model was used for before."""
        # Lightning warns of modules in evaluation mode, which is what freezing asks for.
        warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
        self.train()
        if self.trainer.ckpt_path is None:
            self._load_pretrained()

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Compute the loss of one batch, averaged over the labels of all processes."""
        sums, weights = self.losses(self(batch["signal"], batch.get("mask")), batch["target"])
        objective, value = global_mean(sums, weights)
        self.count(self.tally, forward=1, backward=1)
        self.report_step(batch, value, sums)
        return objective

    @property
    def tally(self) -> Tally:
        """Give the account on which the present epoch's steps are booked."""
        return self.cost.clean

    def count(self, tally: Tally, forward: int, backward: int) -> None:
        """Book a step and its passes."""
        tally.steps += 1
        tally.forward += forward
        tally.backward += backward

    def report_step(self, batch: dict[str, Any], value: Tensor, sums: Tensor) -> None:
        """Log a step's loss, equal on all processes, and watch over it; `sums` is `[B]`."""
        place = f"epoch {self.current_epoch}, step {self.global_step}"
        self.loss_watch.add(value, sums, batch["record_id"], place)
        size = len(batch["record_id"])
        several = self.trainer.world_size > 1
        self.log(
            "train/loss", value, on_step=False, on_epoch=True, batch_size=size, sync_dist=several
        )
        self.log("train/loss_step", value, on_step=True, prog_bar=True, batch_size=size)
        rate = self.trainer.optimizers[0].param_groups[-1]["lr"]
        self.log("train/lr", rate, on_step=True, batch_size=size)

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Start the clock."""
        self.cost.start(self.tally)

    def on_train_batch_end(self, outputs: Any, batch: dict[str, Any], batch_idx: int) -> None:
        """Look at the losses where the loggers do."""
        every = int(getattr(self.trainer, "log_every_n_steps", 0))
        if every and (batch_idx + 1) % every == 0:
            self.loss_watch.check()

    def on_validation_start(self) -> None:
        """Look at the losses before a checkpoint may be kept."""
        self.loss_watch.check()
        self.cost.stop(self.device)
        super().on_validation_start()

    def on_train_epoch_end(self) -> None:
        """Look at the losses before a checkpoint may be kept."""
        self.loss_watch.check()
        self.cost.stop(self.device)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what makes the model again, and what it has cost."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["cost"] = self.cost.to_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the account, once the checkpoint is found to be of this model."""
        super().on_load_checkpoint(checkpoint)
        kept = checkpoint.get("cost")
        self.cost = Cost() if kept is None else Cost.from_dict(kept)

    def learned_beside(self) -> list[nn.Module]:
        """List what is learned beside the encoder."""
        return [self.pooling, self.head]

    def configure_optimizers(self) -> Any:
        """Make the optimiser from the strategy's groups, and the scheduler if there is one."""
        groups = self.strategy.parameter_groups(self.encoder, self.learned_beside(), self.lr)
        if self.make_optimizer is not None:
            optimizer = self.make_optimizer(groups)
        else:
            optimizer = AdamW(groups, lr=self.lr, weight_decay=self.weight_decay)
        if self.scheduler is None:
            return optimizer
        if self.scheduler == "cosine":
            steps = max(1, int(self.trainer.estimated_stepping_batches))
            cosine = CosineAnnealingLR(optimizer, steps)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": cosine, "interval": "step"},
            }
        plateau = ReduceLROnPlateau(
            optimizer, mode=self.known()[0].mode, factor=0.1, patience=7, min_lr=1e-7
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": plateau, "monitor": self.monitor},
        }
