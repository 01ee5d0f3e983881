"""What `pahcl bench attack` measures: what adversarial recipes cost, and what they buy."""

from __future__ import annotations

import logging
import multiprocessing
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from rich.table import Column, Table
from torch.utils.data import DataLoader

from data_modules.ptbxl import PTBXLDataModule
from pahcl.attacks.apgd import APGD
from pahcl.commands._bench import Figure, memory_in_use, peak_memory
from pahcl.commands._bench_recipes import CLEAN, RECIPES
from pahcl.encoders.pooling import Flatten
from pahcl.encoders.resnet import ResNet1d, SmallResNet1d
from pahcl.errors import UsageError
from pahcl.evaluation.metrics import evaluate
from pahcl.evaluation.predictions import predictions_table
from pahcl.modules.callbacks import StepSeed
from pahcl.modules.finetuning import Finetuning
from pahcl.signals.leads import STANDARD_12
from pahcl.signals.spec import Filter, SignalSpec
from pahcl.simulation import ptbxl as simulated
from pahcl.task import Task

if TYPE_CHECKING:
    from rich.console import Console

EVALUATION_STEPS = 20
"""Of the APGD that judges robustness."""

STEPS = 4
"""Steps that are timed in a round, after one that warms up."""

MEMORY_RECORDS = 16
"""Records in the step that is weighed, on the network of the paper: about 1 GiB of activations."""

CLASSES = tuple("abcdef")
THRESHOLDS = np.full(len(CLASSES), 0.5)

T = TypeVar("T")


def chosen(names: Sequence[str] | None) -> tuple[str, ...]:
    """Give the recipes to measure; the clean one is always among them.

    Raises:
        UsageError: There is no such recipe.
    """
    wanted = [CLEAN, *(RECIPES if names is None else names)]
    unknown = [name for name in wanted if name not in RECIPES]
    if unknown:
        raise UsageError(f"There is no recipe {unknown[0]!r}; there are {', '.join(RECIPES)}.")
    return tuple(dict.fromkeys(wanted))


@dataclass(frozen=True)
class Settings:
    """What is asked of the bench; the options of `pahcl bench attack` say what each means."""

    recipes: tuple[str, ...]
    records: int
    seeds: int
    epochs: int
    epsilon: float
    size: str
    batch_size: int
    rounds: int

    def __post_init__(self) -> None:
        if self.records < 50 or self.seeds < 0 or self.rounds < 1 or self.batch_size < 2:
            raise UsageError(
                "`bench attack` needs at least 50 records, 0 seeds, 1 round and a batch of 2."
            )
        if self.epochs < 2 or not self.epsilon > 0:
            raise UsageError("`bench attack` needs 2 epochs or more and an epsilon above 0.")


@dataclass
class Row:
    """What was measured of one recipe: a value a round, or a seed."""

    seconds: list[float] = field(default_factory=list)
    passes: float = float("nan")
    memory: float = float("nan")
    clean: list[float] = field(default_factory=list)
    robust: list[float] = field(default_factory=list)


def measure(settings: Settings, console: Console) -> dict[str, Figure]:
    """Time steps, weigh them, train and attack; show a row for each recipe.

    Returns:
        The figures by name.
    """
    rows = {name: Row() for name in settings.recipes}
    with quiet(), tempfile.TemporaryDirectory(prefix="pahcl-bench-") as folder:
        for _ in console_steps(console, "timing", range(settings.rounds)):
            for name, row in rows.items():
                row.seconds.append(time_step(settings, name, row))
        for name in console_steps(console, "memory", settings.recipes):
            rows[name].memory = weigh_step(settings, name)
        if settings.seeds:
            here = Path(folder)
            simulated.write(here / "corpus", records=settings.records, ugly=False)
            PTBXLDataModule.prepare(here / "corpus", here / "store", fs=100, progress=False)
        for seed in range(settings.seeds):
            for name in console_steps(console, f"training, seed {seed}", settings.recipes):
                clean, robust = train_and_attack(settings, here, name, seed)
                rows[name].clean.append(clean)
                rows[name].robust.append(robust)
    console.print(table_of(settings, rows))
    return figures(rows)


def console_steps(console: Console, title: str, steps: Iterable[T]) -> Iterator[T]:
    """Go through steps, saying on a terminal which one is done."""
    for step in steps:
        with console.status(f"{title}: {step}"):
            yield step


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning from talking of each of many small trainings."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


def make(settings: Settings, name: str, size: str, warmup: int) -> Finetuning:
    """Make the module of a recipe."""
    if size == "paper":
        parts: dict[str, Any] = {"encoder": ResNet1d(), "pooling": Flatten()}
    else:
        parts = {"encoder": SmallResNet1d()}
    arguments = {**parts, "lr": 1e-3}
    if name != CLEAN:
        arguments["warmup_epochs"] = warmup
    return RECIPES[name].make(epsilon=settings.epsilon, **arguments)


def trainer(**settings: Any) -> pl.Trainer:
    """Make a trainer that writes and says nothing."""
    return pl.Trainer(
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        devices=1,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        **settings,
    )


class Noise(pl.LightningDataModule):
    """One batch of noise, served again and again: what a step costs does not depend on it.

    Args:
        size: `small`: 10 s at 100 Hz; `paper`: 10.24 s at 400 Hz.
        records: In the batch.
        batches: Times that it is served.
    """

    def __init__(self, size: str, records: int, batches: int) -> None:
        super().__init__()
        fs, length = (400.0, 4096) if size == "paper" else (100.0, 1000)
        self.task = Task("noise", "multilabel", CLASSES, CLASSES, "macro_auroc")
        self.spec = SignalSpec("ecg", fs=fs, length=length, leads=STANDARD_12)
        self.class_weights, self.label_statistics = None, dict[str, Any]()
        draw = torch.Generator().manual_seed(0)
        self.batch = {
            "signal": torch.randn(records, 12, length, generator=draw),
            "mask": torch.ones(records, length, dtype=torch.bool),
            "target": torch.rand(records, len(CLASSES), generator=draw).round(),
            "record_id": [str(row) for row in range(records)],
        }
        self.batches = batches

    def train_dataloader(self) -> DataLoader[Any]:
        """Serve the batch."""
        return DataLoader([self.batch] * self.batches, batch_size=None)  # type: ignore[arg-type]


class Stopwatch(Callback):
    """Take the time of each step, optimiser included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.began = 0.0

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Start."""
        synchronise()
        self.began = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop."""
        synchronise()
        self.seconds.append(time.perf_counter() - self.began)


def synchronise() -> None:
    """Wait for the GPU where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def time_step(settings: Settings, name: str, row: Row) -> float:
    """Give the median seconds of a step on one batch, and count its passes."""
    torch.manual_seed(0)
    module, watch = make(settings, name, settings.size, warmup=0), Stopwatch()
    data = Noise(settings.size, settings.batch_size, STEPS + 1)
    trainer(max_epochs=1, callbacks=[watch]).fit(module, datamodule=data)
    row.passes = module.tally.backward / module.tally.steps
    return statistics.median(watch.seconds[1:])


def weigh_step(settings: Settings, name: str) -> float:
    """Give by how many bytes a step raises the memory in use at its peak."""
    if torch.cuda.is_available():
        return float(peak_of_step(settings, name))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as child:
        return float(child.submit(peak_of_step, settings, name).result())


def peak_of_step(settings: Settings, name: str) -> int:
    """Take two steps and measure, in a process that has done nothing else."""
    with quiet():
        module = make(settings, name, "paper", warmup=0)
        data = Noise("paper", MEMORY_RECORDS, 2)
        before = memory_in_use()
        trainer(max_epochs=1).fit(module, datamodule=data)
    if torch.cuda.is_available():
        peak = int(torch.cuda.max_memory_allocated())
        torch.cuda.reset_peak_memory_stats()
        return peak
    return peak_memory() - before


def train_and_attack(settings: Settings, here: Path, name: str, seed: int) -> tuple[float, float]:
    """Train on simulated records, and score the held out ones, clean and attacked.

    Nothing is chosen on the validation split, so its records are judged with those of the test.

    Returns:
        Macro AUPRC without and with APGD at the end's epsilon.
    """
    torch.manual_seed(seed)
    data = PTBXLDataModule(
        root=str(here / "corpus"),
        store=str(here / "store"),
        task="code6",
        fs=100,
        length=1000,
        filter=Filter(highpass=0.8),
        batch_size=settings.batch_size,
        prepare_workers=1,
        seed=seed,
    )
    warmup = settings.epochs // 2
    epochs = warmup + (settings.epochs - warmup) // RECIPES[name].replays
    module = make(settings, name, "small", warmup)
    fitted = trainer(max_epochs=epochs, callbacks=[StepSeed(seed)])
    fitted.fit(module, datamodule=data)
    judge = APGD(epsilon=settings.epsilon, steps=EVALUATION_STEPS, final_loss=False)
    return score(module, data, None), score(module, data, judge)


def score(module: Finetuning, data: PTBXLDataModule, attack: APGD | None) -> float:
    """Give the macro AUPRC over validation and test records."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).eval()
    tables = []
    for loader in (data.val_dataloader(), data.test_dataloader()):
        for batch in loader:
            moved = {k: v.to(device) if torch.is_tensor(v) else v for k, v in batch.items()}
            given = data.on_after_batch_transfer(moved, 0)
            signal, mask, target = given["signal"], given["mask"], given["target"]
            if attack is not None:
                draw = torch.Generator(device).manual_seed(0)
                signal = attack(module, signal, target, mask, draw).signal
            with torch.no_grad():
                found = module.estimates(module(signal, mask)).cpu().numpy()
            ids = given["record_id"], given["subject_id"]
            truth = target.cpu().numpy()
            tables.append(predictions_table(data.task, *ids, truth, found, THRESHOLDS))
    joined = pd.concat(tables, ignore_index=True)
    return evaluate(data.task, joined).macro["macro_auprc"]


def mean(values: Sequence[float]) -> float:
    """Average; NaN where nothing was measured."""
    return statistics.fmean(values) if values else float("nan")


def step_ratio(rows: Mapping[str, Row], name: str) -> float:
    """Give the time of a step in clean steps: the median over rounds of the ratio in a round."""
    pairs = zip(rows[name].seconds, rows[CLEAN].seconds, strict=True)
    return statistics.median(ours / clean for ours, clean in pairs)


def table_of(settings: Settings, rows: Mapping[str, Row]) -> Table:
    """Lay out a row for each recipe."""
    table = Table(
        "recipe",
        Column("what it is", no_wrap=True),
        "step",
        "backward passes",
        "memory",
        "AUPRC",
        f"AUPRC under APGD-{EVALUATION_STEPS}",
        title="pahcl bench attack, by recipe",
        caption=f"Step and memory in those of a clean step: time of the {settings.size} network, "
        f"memory of the paper's. {settings.seeds} seed(s), {settings.epochs} epochs, epsilon "
        f"{settings.epsilon:g} mV.",
    )
    for name, row in rows.items():
        table.add_row(
            name,
            RECIPES[name].title,
            f"{step_ratio(rows, name):.2f}",
            f"{row.passes:g}",
            f"{row.memory / rows[CLEAN].memory:.2f}",
            f"{mean(row.clean):.3f}",
            f"{mean(row.robust):.3f}",
        )
    return table


def figures(rows: Mapping[str, Row]) -> dict[str, Figure]:
    """Give the figures with their goals, then those of each recipe."""
    found: dict[str, Figure] = {}
    if "fast" in rows:
        ratio = step_ratio(rows, "fast")
        found["fast_ratio"] = Figure(ratio, "clean steps", goal=2.5, better="lower")
    if "paper" in rows:
        found["paper_ratio"] = Figure(step_ratio(rows, "paper"), "clean steps", better="lower")
        memory = rows["paper"].memory / rows[CLEAN].memory
        found["memory_ratio"] = Figure(memory, "of a clean step", goal=1.3, better="lower")
    if {"fast", "paper"} <= rows.keys() and rows["fast"].robust:
        gap = mean(rows["paper"].robust) - mean(rows["fast"].robust)
        found["fast_gap"] = Figure(gap, "robust AUPRC", goal=0.02, better="lower")
        # A gap between two networks that attacks leave nothing or everything of would say nothing.
        gain = mean(rows["paper"].robust) - mean(rows[CLEAN].robust)
        found["paper_gain"] = Figure(gain, "robust AUPRC, over clean", goal=0.1)
    for name, row in rows.items():
        found[f"{name}/step_ratio"] = Figure(step_ratio(rows, name), "clean steps", better="lower")
        if row.robust:
            found[f"{name}/clean_auprc"] = Figure(mean(row.clean), "macro AUPRC")
            found[f"{name}/robust_auprc"] = Figure(mean(row.robust), "macro AUPRC")
    return found
