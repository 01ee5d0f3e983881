"""Loggers of a run: CSV always, TensorBoard and W&B by option, all with the same keys."""

from __future__ import annotations

import logging
import netrc
import os
import secrets
import sys
import urllib.parse
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from pahcl.commands._run import Run
from pahcl.evaluation.run import RunFolder

log = logging.getLogger(__name__)


def logged_in_to_wandb() -> bool:
    """Say whether W&B has credentials here, without asking W&B: a key or a netrc entry."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urllib.parse.urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    try:
        return netrc.netrc().authenticators(host or "") is not None
    except (FileNotFoundError, netrc.NetrcParseError):
        return False


def wandb_id(folder: RunFolder) -> str:
    """Read the run's W&B id, or draw and keep one: a resumed job continues its W&B run."""
    path = folder.path / "wandb_id"
    if getattr(rank_zero_only, "rank", 0) != 0:
        return ""  # the other processes do not log
    if not path.is_file():
        folder.path.mkdir(parents=True, exist_ok=True)
        path.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()


class QuietWandbLogger(WandbLogger):
    """Log to W&B without a setting that it warns of in every run.

    Lightning hands on `anonymous=None`; wandb 0.31 warns of the setting, whatever its value.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        getattr(self, "_wandb_init", {}).pop("anonymous", None)


def build_loggers(folder: RunFolder, run: Run) -> list[Logger]:
    """Make the loggers of a run folder."""
    loggers: list[Logger] = [CSVLogger(folder.path, name="logs")]
    if run.tensorboard:
        loggers.append(TensorBoardLogger(folder.path, name="tensorboard", default_hp_metric=False))
    if run.wandb != "off":
        offline = run.wandb == "offline" or (run.wandb == "auto" and not logged_in_to_wandb())
        folder.path.mkdir(parents=True, exist_ok=True)
        if offline:
            os.environ.setdefault("WANDB_SILENT", "true")
            log.info("W&B is offline; `wandb sync %s/wandb/offline-run-*` uploads.", folder.path)
        loggers.append(
            QuietWandbLogger(
                name=folder.path.name,
                save_dir=folder.path,
                id=wandb_id(folder),
                offline=offline,
                project="pahcl",
                group=run.experiment,
                resume="allow",
            )
        )
    return loggers


def finish() -> None:
    """End the W&B run of this process, if there is one, so that the next run gets its own."""
    if "wandb" in sys.modules:
        sys.modules["wandb"].finish()
