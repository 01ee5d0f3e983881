"""Callbacks that every run has: reproducible epochs, a line an epoch, the evidence."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from pahcl.evaluation.run import RunFolder

log = logging.getLogger(__name__)


class EpochSeed(Callback):
    """Make every epoch's randomness a function of (seed, epoch, rank) alone.

    A run that was killed and resumed at an epoch's end then draws what the undisturbed run draws:
    dropout masks, random crops and worker seeds are the same, and so are the weights.

    Args:
        seed: The run's seed; None or False leaves the generators alone.
    """

    def __init__(self, seed: int | bool | None) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.seed is None or self.seed is False:
            return
        # A product with large odd numbers keeps neighbouring seeds and epochs apart.
        mixed = int(self.seed) * 1_000_003 + trainer.current_epoch * 7_919 + trainer.global_rank
        torch.manual_seed(mixed % 2**63)


class EpochLine(Callback):
    """Log one line an epoch where there is no terminal for a progress bar."""

    def __init__(self) -> None:
        self.started = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if sys.stderr.isatty() or not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        wanted = ["train/loss", "val/loss", f"val/{trainer.datamodule.task.primary_metric}"]  # type: ignore[attr-defined]
        shown = "  ".join(f"{key} {float(metrics[key]):.4f}" for key in wanted if key in metrics)
        seconds = time.perf_counter() - self.started
        log.info(
            "epoch %d/%s  %s  %.1f s", trainer.current_epoch + 1, trainer.max_epochs, shown, seconds
        )
