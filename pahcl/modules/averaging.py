"""Averages of the weights over training."""

from __future__ import annotations

import warnings
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.trainer.states import TrainerFn

AVERAGED_BY = "averaging_state"


class EMA(EMAWeightAveraging):
    """Validate, keep and test an exponential moving average of the weights.

    Lightning's callback, made to fit methods whose network is known only after `setup`, and whose
    decision thresholds are chosen when the averaged weights are validated: these are carried into
    the average as they are. Checkpoints hold the average; a resumed run also finds the weights that
    are being trained.

    Args:
        decay: Weight of the average against the new weights, at each step.
        update_every_n_steps: Steps between two updates.
        update_starting_at_step: First step of the average; None = from the start.
        update_starting_at_epoch: First epoch of the average; None = from the start.
    """

    def __init__(
        self,
        decay: float = 0.999,
        update_every_n_steps: int = 1,
        update_starting_at_step: int | None = None,
        update_starting_at_epoch: int | None = None,
    ) -> None:
        super().__init__(
            decay=decay,
            update_every_n_steps=update_every_n_steps,
            update_starting_at_step=update_starting_at_step,
            update_starting_at_epoch=update_starting_at_epoch,
        )

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Wait: the module's own `setup`, which comes after this one, makes the network."""

    def _begin(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._average_model is None and trainer.state.fn == TrainerFn.FITTING:
            super().setup(trainer, pl_module, "fit")

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take over the average and the weights that were trained; a test needs the average alone.

        A checkpoint without an average begins one.
        """
        self._begin(trainer, pl_module)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a test or a checkpoint without an average
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the average, on the device on which the network is by now."""
        self._begin(trainer, pl_module)
        if self._average_model is not None:
            self._average_model.to(pl_module.device)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the average the thresholds that were chosen for it."""
        if self._average_model is not None:
            own: Any = self._average_model.module
            own.thresholds.copy_(pl_module.thresholds)
