"""What `pahcl bench data` measures: batches against their sources, and memory of `prepare`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import wfdb
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from data_modules.ptbxl import PTBXLDataModule
from pahcl.commands._bench import Figure, peak_memory
from pahcl.errors import PahclError, UsageError
from pahcl.simulation import ptbxl as simulated

SIMULATED = 512
"""Records that are simulated; the measured corpora are made of links to them."""

FAST_ROUNDS = 5
"""Rounds of the ways that take milliseconds for each round of the one that takes seconds."""

Batches = Callable[[], Iterator[Any]]


def measure(
    records: int, batch_size: int, rounds: int, memory_records: int, fs: int
) -> dict[str, Figure]:
    """Make a synthetic corpus, pack it, and measure.

    Args:
        records: Records of the corpus whose training split is loaded.
        batch_size: Records in a batch.
        rounds: Rounds, in each of which every way of loading takes its turn.
        memory_records: Records of the smaller corpus for the memory of `prepare`, or 0.
        fs: Rate of the records in Hz, 100 or 500.

    Returns:
        The figures by name.

    Raises:
        UsageError: A number is too small to measure anything.
    """
    if records < 50 or batch_size < 1 or rounds < 1 or memory_records < 0:
        raise UsageError(
            "`bench data` needs at least 50 records, a batch size and rounds of at least 1."
        )
    with tempfile.TemporaryDirectory(prefix="pahcl-bench-") as folder:
        here = Path(folder)
        simulated.write(here / "corpus", records=min(records, SIMULATED), ugly=False)
        root = multiply(here / "corpus", records, here / "speed", fs)
        module = PTBXLDataModule(
            root=str(root), store=str(here / "store"), fs=fs, task="af", batch_size=batch_size
        )
        PTBXLDataModule.prepare(root, here / "store", fs, progress=False)
        module.prepare_data()
        module.setup()
        figures = loading(module, root, here / "flat.bin", rounds)
        if memory_records:
            figures |= memory(here, memory_records, fs)
        if torch.cuda.is_available():
            figures |= training(module)
    return figures


def multiply(corpus: Path, records: int, out: Path, fs: int) -> Path:
    """Make a larger corpus of a smaller one: each record stands for several, by links.

    A few megabytes would lie in the processor's cache, as no real corpus does.

    Args:
        corpus: A folder in the layout of PTB-XL.
        records: Records wanted.
        out: The new folder.
        fs: Rate of the records that are carried over, 100 or 500 Hz.

    Returns:
        `out`.
    """
    column = "filename_lr" if fs == 100 else "filename_hr"
    given = pd.read_csv(corpus / "ptbxl_database.csv")
    table = given.iloc[np.arange(records) % len(given)].reset_index(drop=True)
    table["ecg_id"] = np.arange(records) + 1
    table["patient_id"] += np.arange(records) // len(given) * 1_000_000
    sources = table[column].tolist()
    table[column] = [f"records{fs}/{row // 1000:05d}/{row:05d}" for row in range(records)]
    for source, target in zip(sources, table[column], strict=True):
        path = out / target
        path.parent.mkdir(parents=True, exist_ok=True)
        header = (corpus / f"{source}.hea").read_text(encoding="utf-8")
        header = header.replace(Path(source).name, path.name)
        path.with_suffix(".hea").write_text(header, encoding="utf-8")
        os.link(f"{corpus / source}.dat", path.with_suffix(".dat"))
    table.to_csv(out / "ptbxl_database.csv", index=False)
    return out


# Loading


class WfdbRecords(Dataset[tuple[Tensor, Tensor]]):
    """Read each record where it lies, as public training code does.

    Args:
        root: The publisher's folder.
        files: Records without suffix.
        targets: `[N, K]`.
    """

    def __init__(self, root: Path, files: list[str], targets: Tensor) -> None:
        self.root = root
        self.files = files
        self.targets = targets

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        signal, _ = wfdb.rdsamp(str(self.root / self.files[index]))
        return torch.from_numpy(signal.T.astype(np.float32)), self.targets[index]


def loading(module: PTBXLDataModule, root: Path, flat: Path, rounds: int) -> dict[str, Figure]:
    """Compare ways of loading the training records, in CPU time.

    Each way serves the same records in batches of the same size, shuffled: WFDB record by record;
    the data module's loader (int16, as it ships them); a bare gather from one memory map; and the
    loader with the conversion to float32 on the CPU.
    """
    rows, size = module.rows["train"], module.batch_size
    files = module.store.table["file"].iloc[rows].tolist()
    targets = torch.from_numpy(module.targets[rows])
    slow = DataLoader(WfdbRecords(root, files, targets), batch_size=size, shuffle=True)
    fast = module.train_dataloader()
    gathered = module.store.gather(rows, module.spec.length or 0).samples
    gathered.tofile(flat)
    mapped = np.memmap(flat, dtype=np.int16, mode="r", shape=gathered.shape)

    def bare() -> Iterator[Any]:
        order = np.random.default_rng(0).permutation(len(rows))
        return (mapped[order[first : first + size]] for first in range(0, len(rows), size))

    def ready() -> Iterator[Any]:
        return (module.on_after_batch_transfer(batch, 0) for batch in fast)

    repeats = max(1, 20_000 // len(rows))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # CPU time of one core, whatever the machine has
    try:
        # Apart, since reading thousands of files empties the caches for whoever comes next.
        slow_rates = interleave(
            {"wfdb": (lambda: iter(slow), 1), "loader": (lambda: iter(fast), repeats)},
            len(rows),
            rounds,
        )
        rates = interleave(
            {
                "loader": (lambda: iter(fast), repeats),
                "gather": (bare, repeats),
                "ready": (ready, max(1, repeats // 4)),
            },
            len(rows),
            rounds * FAST_ROUNDS,
        )
    finally:
        torch.set_num_threads(threads)
    figures = {
        "wfdb_ratio": Figure(ratio(slow_rates, "loader", "wfdb"), "x", goal=100.0),
        "gather_ratio": Figure(ratio(rates, "loader", "gather"), "x", goal=0.8),
    }
    rates["wfdb"] = slow_rates["wfdb"]
    served = statistics.median(rates["ready"]) / statistics.median(rates["wfdb"])
    figures["ready_ratio"] = Figure(served, "x")
    for name, values in rates.items():
        figures[f"{name}_rate"] = Figure(statistics.median(values), "records / CPU s")
    return figures


def interleave(
    ways: dict[str, tuple[Batches, int]], records: int, rounds: int
) -> dict[str, list[float]]:
    """Let every way load all records in turn, round after round, each time the other way round.

    Args:
        ways: Name -> (iterator over one epoch's batches, epochs a round).
        records: Records of an epoch.
        rounds: Rounds after a warm-up, which is not counted.

    Returns:
        Records per CPU second of each round, by name.
    """
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        order = list(ways.items())
        for name, (batches, repeats) in order if turn % 2 else reversed(order):
            began = time.process_time()
            for _ in range(repeats if turn else 1):
                for _ in batches():
                    pass
            spent = time.process_time() - began
            if turn:
                rates[name].append(repeats * records / max(spent, 1e-9))
    return rates


def ratio(rates: dict[str, list[float]], ours: str, theirs: str) -> float:
    """Give the median over rounds of how many times faster the one is than the other."""
    pairs = zip(rates[ours], rates[theirs], strict=True)
    return statistics.median(mine / other for mine, other in pairs)


# Memory


def memory(folder: Path, records: int, fs: int) -> dict[str, Figure]:
    """Compare the peak memory of `prepare` for N and 10 N records, each in a process of its own."""
    peaks = []
    for count in (records, 10 * records):
        root = multiply(folder / "corpus", count, folder / f"memory-{count}", fs)
        command = "from pahcl.commands._bench_data import report_peak; report_peak({!r}, {!r}, {})"
        done = subprocess.run(
            [sys.executable, "-c", command.format(str(root), str(folder / f"packed-{count}"), fs)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PahclError(f"`prepare` failed while it was measured: {done.stderr[-500:]}")
        peaks.append(int(done.stdout.split()[-1]) / 2**20)
    few, many = peaks
    return {
        "prepare_memory_ratio": Figure(many / few, "x", goal=1.2, better="lower"),
        "prepare_memory": Figure(many, f"MiB at {10 * records} records", better="lower"),
        "prepare_memory_growth": Figure(many - few, f"MiB for {9 * records} more", better="lower"),
    }


def report_peak(root: str, out: str, fs: int) -> None:
    """Pack a corpus and write the peak memory in bytes to standard output."""
    PTBXLDataModule.prepare(root, out, fs, progress=False)
    sys.stdout.write(f"{peak_memory()}\n")


# Training on a GPU


def training(module: PTBXLDataModule, seconds: float = 10.0) -> dict[str, Figure]:
    """Train the full network in bf16, compiled, and see how long the GPU waits for data.

    The share is 1 - (step on one batch that is there already) / (step on loaded batches).
    """
    from pahcl.encoders.pooling import Flatten
    from pahcl.encoders.resnet import ResNet1d

    device = torch.device("cuda")
    encoder = ResNet1d()
    features = encoder.out_channels * encoder.feature_length(module.spec.length or 0)
    network = nn.Sequential(encoder, Flatten(), nn.Linear(features, 1)).to(device)
    step = torch.compile(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)

    def loaded() -> Iterator[dict[str, Any]]:
        while True:
            for batch in module.train_dataloader():
                moved = {
                    key: value.to(device, non_blocking=True) if torch.is_tensor(value) else value
                    for key, value in batch.items()
                }
                if len(moved["record_id"]) == module.batch_size:
                    yield module.on_after_batch_transfer(moved, 0)

    def train(batches: Iterator[dict[str, Any]], limit: float) -> float:
        torch.cuda.synchronize()
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < limit:
            for _ in range(20):
                batch = next(batches)
                with torch.autocast("cuda", dtype=torch.bfloat16):
                    logits = step(batch["signal"])
                loss = nn.functional.binary_cross_entropy_with_logits(
                    logits.float(), batch["target"]
                )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                count += 1
            torch.cuda.synchronize()
        return count / (time.perf_counter() - began)

    there = next(loaded())
    train(loaded(), limit=1)  # compile and warm up
    fixed = train(iter(lambda: there, None), limit=seconds)
    real = train(loaded(), limit=seconds)
    return {
        "training_rate": Figure(real * module.batch_size, "records / s, bf16, compiled"),
        "data_wait_share": Figure(max(0.0, 1 - real / fixed), "of a step", better="lower"),
    }
