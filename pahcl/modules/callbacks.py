"""Callbacks that every run has: reproducible steps, a line an epoch, the evidence."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException

from pahcl.evaluation.evidence import write_evidence
from pahcl.evaluation.official_scores import with_extras
from pahcl.evaluation.predictions import write_predictions
from pahcl.evaluation.receipt import ReceiptParts
from pahcl.evaluation.run import RunFolder
from pahcl.evaluation.units import predicted_records, with_examinations
from pahcl.files import appearing
from pahcl.modules._data import scored_unit_of

log = logging.getLogger(__name__)


class StepSeed(Callback):
    """Make the randomness of every training step a function of (seed, epoch, batch, rank) alone.

    A run that was killed and resumed then draws the dropout masks and attack starts that the
    undisturbed run draws, and ends with the same weights. Order and crops of the records are such
    functions already (`data_modules`). It is not done once an epoch, since Lightning leaves the
    epoch-start hooks out when it resumes from the end of an epoch.

    Args:
        seed: The run's seed; None or False leaves the generators alone.
    """

    def __init__(self, seed: int | bool | None) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed torch for this step."""
        if self.seed is None or self.seed is False:
            return
        key = [int(self.seed), trainer.current_epoch, batch_idx, trainer.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))


class EpochLine(Callback):
    """Log what is learned from, and one line an epoch where no terminal shows a progress bar."""

    def __init__(self) -> None:
        self.started = 0.0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say how many records and subjects each split has."""
        if trainer.is_global_zero:
            splits = trainer.datamodule.data_receipt()["splits"]  # type: ignore[attr-defined]
            counts = [(name, found["records"], found["subjects"]) for name, found in splits.items()]
            first, *others = counts
            told = ["{} {} records of {} subjects".format(*first)]
            log.info("%s.", ", ".join([*told, *("{} {} of {}".format(*other) for other in others)]))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log losses and the primary metric."""
        if sys.stderr.isatty() or not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        wanted = ["train/loss", "val/loss", f"val/{trainer.datamodule.task.primary_metric}"]  # type: ignore[attr-defined]
        shown = "  ".join(f"{key} {float(metrics[key]):.4f}" for key in wanted if key in metrics)
        seconds = time.perf_counter() - self.started
        self.started += seconds
        log.info(
            "epoch %d/%s  %s  %.1f s", trainer.current_epoch + 1, trainer.max_epochs, shown, seconds
        )


class StopLine(Callback):
    """Log where a run stands that a person or a scheduler has stopped.

    Args:
        folder: The run.
        name: The name that was drawn for the run; None where the command gives it.
    """

    def __init__(self, folder: RunFolder, name: str | None) -> None:
        self.folder = folder
        self.again = f"the same command with --run.name {name}" if name else "the same command"

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Say what is kept and how to go on."""
        stopped = isinstance(exception, KeyboardInterrupt | SIGTERMException)
        if not stopped or not trainer.is_global_zero:
            return
        done = epochs_kept(self.folder)
        if trainer.state.fn != TrainerFn.FITTING:
            log.info("Stopped; %s starts this step again.", self.again)
        elif done == 0:
            log.info("Stopped before the end of the first epoch; %s starts again.", self.again)
        else:
            log.info("Stopped after epoch %d of %s; %s goes on.", done, epochs(trainer), self.again)


def epochs_kept(folder: RunFolder) -> int:
    """Read after how many epochs the last checkpoint was written; 0 where there is none.

    The trainer counts an epoch only after its checkpoint is written, and a stop may come between.
    """
    if not folder.last.is_file():
        return 0
    checkpoint = torch.load(folder.last, map_location="cpu", weights_only=True, mmap=True)
    return int(checkpoint["epoch"]) + 1


def epochs(trainer: pl.Trainer) -> str:
    """Write how many epochs a run is to have."""
    return "no limit" if trainer.max_epochs in (None, -1) else str(trainer.max_epochs)


class EvidenceWriter(Callback):
    """Write what a test, a validation or a prediction found into the run folder.

    Args:
        folder: The run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.predicted: list[pd.DataFrame] = []
        self.started = time.perf_counter()
        self.seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Keep in the checkpoint how long training took until then."""
        return {"seconds": self.seconds + time.perf_counter() - self.started}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting from a checkpoint."""
        self.seconds, self.started = float(state_dict["seconds"]), time.perf_counter()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock, and say who trains, validates and tests."""
        self.started = time.perf_counter()
        if trainer.is_global_zero:
            self._write_splits(trainer)

    def _write_splits(self, trainer: pl.Trainer) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.folder.path.mkdir(parents=True, exist_ok=True)
        with appearing(self.folder.splits) as temporary:
            data.used_records().to_parquet(temporary, index=False)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write metrics, predictions and receipt of the test split."""
        self._write(trainer, pl_module, "test")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write those of the validation split, where it was asked for by itself."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._write(trainer, pl_module, "val")

    def _write(self, trainer: pl.Trainer, pl_module: pl.LightningModule, split: str) -> None:
        if not trainer.is_global_zero:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        model: Any = pl_module
        if not self.folder.splits.is_file():
            self._write_splits(trainer)
        unit = getattr(data, "unit_column", "subject_id")
        facts = write_evidence(
            self.folder,
            data.task,
            with_extras(data.task, model.predictions, data.store.table, unit),
            ReceiptParts(
                data={**data.data_receipt(), "store_name": data.store.path.name},
                pretrained=getattr(model, "origin", {}),
                cost=model.cost.to_dict() if hasattr(model, "cost") else {},
                checkpoint=Path(trainer.ckpt_path) if trainer.ckpt_path else None,
                seed=model.run_config.get("seed_everything"),
                wall_time_s=round(self.seconds, 1),
                device=str(pl_module.device),
            ),
            split=split,
            thresholds=model.thresholds.cpu().numpy(),
            records=model.record_predictions,
        )
        lines = [
            f"  {name:<24} {shown(found['value'])}  [{shown(found['low'])}, {shown(found['high'])}]"
            for name, found in facts["metrics"].items()
        ]
        lines += official_lines(facts.get("official"))
        units = "records of " if data.task.level == "record" else ""
        log.info(
            "Split %s, %s%d subjects, with 95 %% intervals:\n%s\nEvidence: %s",
            split,
            units and f"{facts['n_records']} {units}",
            facts["n_subjects"],
            "\n".join(lines),
            self.folder.path,
        )

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the predictions of one batch."""
        self.predicted.append(pd.DataFrame(outputs))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the predictions table, one row a record, from all processes."""
        tables: list[Any] = [self.predicted]
        if trainer.world_size > 1:
            tables = [None] * trainer.world_size
            torch.distributed.all_gather_object(tables, self.predicted)
        if trainer.is_global_zero:
            table = pd.concat([part for rank in tables for part in rank], ignore_index=True)
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            split = data.predict_split
            if "cycle" in table:
                model: Any = pl_module
                table = predicted_records(data.task, table, model.thresholds.cpu().numpy())
            if data.task.level == "subject":  # `pahcl score` makes one row of an examination's
                _, table = with_examinations(table, table, scored_unit_of(trainer))
            target = self.folder.path / f"predicted_{split}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            write_predictions(target, table.drop_duplicates("record_id", ignore_index=True))
            log.info("Predictions of %d records: %s", table["record_id"].nunique(), target)
            if split == "test":
                log.warning(
                    "This looked at the test split, which `pahcl test` is to score once: choose "
                    "nothing by these predictions (data.init_args.predict_split)."
                )


def official_lines(official: dict[str, Any] | None) -> list[str]:
    """Write the headline of the data set's official scorer, or why there is none."""
    if official is None:
        return []
    if "failed" in official:
        return [f"  {official['scorer']} gave no official score: {official['failed']}"]
    found = official["metrics"][official["headline"]]
    name = f"{official['scorer']}: {official['headline']}"
    low, high = shown(found["low"]), shown(found["high"])
    return [f"  {name:<24} {shown(found['value'])}  [{low}, {high}]"]


def shown(value: float | None) -> str:
    """Write a metric for people; None is one that is not defined here."""
    return "–" if value is None else f"{value:.3f}"
