"""The training verbs: LightningCLI with a run folder around it.

Settled by experiment (jsonargparse 4.53): `omegaconf+` together with relative paths is the one
parser mode in which `${...}` in a config follows what the command line overrides.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import warnings
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, set_parsing_settings
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf.errors import OmegaConfBaseException

from pahcl.commands._common import modules_in, shortened
from pahcl.commands._config_errors import explain, innermost, layers_of
from pahcl.commands._loggers import build_loggers, finish
from pahcl.commands._run import (
    Run,
    choose_name,
    finished_epochs,
    mark_finished,
    one_writer,
    require_hardware,
    require_own_checkpoint,
    require_same_run,
)
from pahcl.errors import UsageError
from pahcl.evaluation.evidence import verify_evidence
from pahcl.evaluation.run import RunFolder
from pahcl.files import appearing, write_text
from pahcl.modules.callbacks import EpochLine, EvidenceWriter, StepSeed, StopLine
from pahcl.modules.checkpoint import read_checkpoint

log = logging.getLogger(__name__)


NAMED_IN_CONFIGS = (
    "data_modules",
    "pahcl.modules",
    "pahcl.encoders",
    "pahcl.transfer",
    "pahcl.attacks",
    "pahcl.objectives",
)
"""Packages whose classes a config may name without their module."""


def make_class_names_short() -> None:
    """Import what configs name, so that they may write the class name alone."""
    for package in NAMED_IN_CONFIGS:
        for name in modules_in(package):
            importlib.import_module(f"{package}.{name}")


class SaveConfig(SaveConfigCallback):
    """Keep the resolved config in the run folder, in the W&B run and in every checkpoint."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the config once; a later `test` in the same folder leaves it as it is."""
        config = experiment(self.parser.dump(self.config, skip_none=False))
        model: Any = pl_module
        model.run_config = config
        target = RunFolder(Path(trainer.default_root_dir)).config
        if stage == "fit" or not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            write_text(target, yaml.safe_dump(config, sort_keys=False))
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.config.update(config, allow_val_change=True)


def experiment(dump: str) -> dict[str, Any]:
    """Read a resolved config without what is not part of an experiment.

    The names of the config files are left out, and the checkpoint from which this process went on:
    whoever replays the config starts from the beginning.
    """
    config: dict[str, Any] = yaml.safe_load(dump)
    return {key: value for key, value in config.items() if key not in {"config", "ckpt_path"}}


class WholeCheckpoints(TorchCheckpointIO):
    """Let a checkpoint appear whole or not at all.

    Lightning copies it from the system's folder for temporary files, which on a cluster is often
    another disk: a kill or a full disk in that copy would leave half a `last.ckpt`.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write beside the target, then rename."""
        with appearing(Path(path)) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)


class AlreadyDoneError(Exception):
    """End a verb that finds its work done; the text says where."""


class Cli(LightningCLI):
    """Walk from a config to a run folder.

    Args:
        opened: What stays open until the verb ends.
        settings: What LightningCLI takes.
    """

    def __init__(self, opened: ExitStack, **settings: Any) -> None:
        self.opened = opened
        super().__init__(LightningModule, LightningDataModule, **settings)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add `--run.*`."""
        parser.add_class_arguments(Run, "run")

    def _parse_ckpt_path(self) -> None:
        """Leave the config alone: what a person writes beats what a checkpoint stores.

        LightningCLI would let the hyper-parameters of `--ckpt_path` override the command line.
        """

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the command line; a config that does not fit is refused in a sentence."""
        verb, *words = args
        layers = layers_of(words)
        try:
            super().parse_arguments(parser, args)
        except (ArgumentError, OmegaConfBaseException) as error:
            keys = [*self._parser(verb).get_defaults().as_dict(), "config", "print_config"]
            raise explain(error, verb, layers, keys) from error

    @property
    def options(self) -> Any:
        """Give the parsed config of the verb."""
        return self.config[self.subcommand]

    def before_instantiate_classes(self) -> None:
        """Settle the run folder and the checkpoint before anything is built."""
        run = self.options.run
        self.drawn_name = run.name is None
        run.name = choose_name(run.name)
        trainer = self.options.trainer
        require_hardware(trainer.accelerator, trainer.sync_batchnorm)
        self.folder = RunFolder(Path(run.root) / run.experiment / run.name)
        self.options.trainer.default_root_dir = str(self.folder.path)
        if "verbose" in self.options:
            self.options.verbose = False  # EvidenceWriter says it with intervals
        if self.options.trainer.get("fast_dev_run"):
            return
        dump = self._parser(self.subcommand).dump(self.options, skip_none=False)
        config = experiment(dump)
        require_same_run(self.folder, config)
        if self.subcommand != "fit":
            self._choose_checkpoint()
            return
        self.opened.enter_context(one_writer(self.folder))
        if self.options.ckpt_path is None and self.folder.last.is_file():
            self._go_on(config)
        if self.options.ckpt_path is not None:
            read_checkpoint(self.options.ckpt_path)

    def _go_on(self, config: dict[str, Any]) -> None:
        """Start from the run's last checkpoint.

        Raises:
            AlreadyDoneError: There is nothing left to do.
        """
        epochs, path = finished_epochs(self.folder, config), self.folder.path
        if epochs is None:
            log.info("Going on with %s from %s.", path, self.folder.last.name)
        elif not self.folder.is_complete or verify_evidence(self.folder):
            if not self.options.run.test:
                raise AlreadyDoneError(
                    f"{path} is finished after {epochs} epoch(s) and not tested: `pahcl test "
                    f"--config {self.folder.config}` writes its evidence."
                )
            log.info("%s is finished after %d epoch(s); its test follows.", path, epochs)
        else:
            raise AlreadyDoneError(
                f"{path} is finished after {epochs} epoch(s); its evidence is in "
                f"{self.folder.metrics} and {self.folder.receipt.name} beside it."
            )
        self.options.ckpt_path = str(self.folder.last)

    def _choose_checkpoint(self) -> None:
        """Take the run's best checkpoint where `--ckpt_path` names none; refuse a missing one."""
        path = Path(self.options.ckpt_path or self.folder.best)
        if not path.is_file():
            raise UsageError(
                f"There is no checkpoint at {path}. `pahcl {self.subcommand} --config "
                "RUN/config.yaml` takes the best one of a run that `fit` has made; --ckpt_path "
                "names another."
            )
        require_own_checkpoint(self.folder, path)
        read_checkpoint(path)  # refuses a damaged or foreign file in words
        self.options.ckpt_path = str(path)

    def instantiate_classes(self) -> None:
        """Build the objects; what a class refuses, jsonargparse hands on as a ValueError."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise UsageError(innermost(error)) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add the loggers and callbacks that every run has."""
        settings = self._get(self.config_init, "trainer", default={})
        trying = bool(settings.get("fast_dev_run"))
        if settings.get("logger") in (None, True) and not trying:
            kwargs["logger"] = build_loggers(self.folder, self.options.run)
        if not sys.stderr.isatty() and settings.get("enable_progress_bar") is None:
            kwargs["enable_progress_bar"] = False
        kwargs["plugins"] = [*(settings.get("plugins") or []), WholeCheckpoints()]
        kwargs["callbacks"] = [*(settings.get("callbacks") or []), *self._callbacks(trying)]
        return super().instantiate_trainer(**kwargs)

    def _callbacks(self, trying: bool) -> list[Callback]:
        """Make the callbacks; Lightning wants those of `fit` by every verb that reads its files."""
        callbacks: list[Callback] = [StepSeed(self.options.seed_everything), EpochLine()]
        if trying:
            return callbacks
        name = str(self.options.run.name) if self.drawn_name else None
        callbacks += [EvidenceWriter(self.folder), StopLine(self.folder, name)]
        mode = self.datamodule.task.mode
        monitor = getattr(self.model, "monitor", f"val/{self.datamodule.task.primary_metric}")
        if self.options.run.patience is not None:
            stop = {"patience": self.options.run.patience, "check_finite": False}
            callbacks.append(EarlyStopping(monitor, mode=mode, **stop))
        keep: dict[str, Any] = {
            "dirpath": self.folder.checkpoints,
            "enable_version_counter": False,
            "auto_insert_metric_name": False,
        }
        by, best = getattr(self.model, "kept_by", None) or (monitor, mode)
        return [
            *callbacks,
            ModelCheckpoint(filename=self.folder.best.stem, monitor=by, mode=best, **keep),
            ModelCheckpoint(filename=self.folder.last.stem, save_on_train_epoch_end=True, **keep),
        ]

    def before_fit(self) -> None:
        """Compile the encoder where that is asked for."""
        if self.options.run.compile:
            self.model.encoder.compile()

    def after_fit(self) -> None:
        """Test the best checkpoint where that is asked for, unless just that was tested already."""
        if self.options.trainer.get("fast_dev_run"):
            return
        if self.trainer.is_global_zero:
            mark_finished(self.folder, self.trainer.current_epoch)
        if not self.options.run.test:
            return
        if self.folder.is_complete and not verify_evidence(self.folder):
            log.info("%s was tested already; its evidence stands.", self.folder.path)
        else:
            best = str(self.folder.best)
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False)


NOT_NEWS = (
    "LightningCLI's args parameter is intended",  # we pass what stands on the command line
    "The '.*' does not have many workers",  # a gather in the main process is the faster way
    "Checkpoint directory .* exists and is not empty",  # a resumed run
    "Precision .* is not supported by the model summary",
    "The dirpath has changed from",  # a checkpoint of another run is tested
    "The number of training batches .* is smaller than the logging interval",
    "`isinstance\\(treespec, LeafSpec\\)` is deprecated",  # Lightning 2.6 on torch 2.13
)


def quieten() -> None:
    """Leave out what libraries say that no user can act on."""
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    for text in NOT_NEWS:
        warnings.filterwarnings("ignore", message=f".*{text}")


def run(verb: str, arguments: list[str]) -> int:
    """Run a training verb.

    Returns:
        Exit status: 0, or 128 plus the number of the signal that stopped it.

    Raises:
        UsageError: The config has an unknown key, class or value, or asks for hardware that
            is not there.
    """
    quieten()
    make_class_names_short()
    set_parsing_settings(omegaconf_absolute_to_relative_paths=True)
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        with ExitStack() as opened:
            run_cli(opened, verb, arguments)
    except AlreadyDoneError as done:
        log.info("%s", done)
    except MisconfigurationException as error:
        raise UsageError(shortened(str(error))) from error
    except SIGTERMException:
        return 128 + signal.SIGTERM
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning answers it by `exit(1)`
            return 128 + signal.SIGINT
        raise
    finally:
        finish()
        with suppress(ValueError):  # outside the main thread there is nothing to restore
            signal.signal(signal.SIGINT, on_interrupt)  # Lightning leaves it ignored
    return 0


def run_cli(opened: ExitStack, verb: str, arguments: list[str]) -> None:
    """Give the words of a verb to LightningCLI."""
    Cli(
        opened,
        subclass_mode_model=True,
        subclass_mode_data=True,
        seed_everything_default=0,
        auto_configure_optimizers=False,
        save_config_callback=SaveConfig,
        save_config_kwargs={"save_to_log_dir": False},
        parser_kwargs={"parser_mode": "omegaconf+", "exit_on_error": False, "allow_abbrev": False},
        args=[verb, *arguments],
    )
