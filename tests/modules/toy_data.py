"""A data module whose labels stand plainly in the signal."""

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pahcl.encoders.resnet import SmallResNet1d
from pahcl.modules.finetuning import Finetuning
from pahcl.signals.spec import SignalSpec
from pahcl.task import Task

SPEC = SignalSpec(modality="ecg", fs=100.0, length=64, leads=("I", "II"))
TASKS = {
    "binary": Task("sign", "binary", ("up",), ("up",), "auroc"),
    "multilabel": Task("signs", "multilabel", ("up", "down"), ("up", "down"), "macro_auroc"),
    "multiclass": Task("level", "multiclass", ("low", "mid", "high"), ("level",), "macro_auroc"),
    "regression": Task("height", "regression", ("height",), ("height",), "mae", unit="mV"),
}


class Records(Dataset):
    def __init__(self, signal, mask, target, offset):
        self.signal, self.mask, self.target, self.offset = signal, mask, target, offset

    def __len__(self):
        return len(self.signal)

    def __getitem__(self, i):
        return self.signal[i], self.mask[i], self.target[i], self.offset + i


def collate(items: list[Any]) -> dict[str, Any]:
    signal, mask, target, number = zip(*items, strict=True)
    return {
        "signal": torch.stack(signal),
        "mask": torch.stack(mask),
        "target": torch.stack(target),
        "record_id": [f"r{n:04d}" for n in number],
        "subject_id": [f"s{n // 2:04d}" for n in number],
    }


def target_of(kind: str, height: torch.Tensor, lower: torch.Tensor) -> torch.Tensor:
    if kind == "binary":
        return (height > 0).float()[:, None]
    if kind == "multilabel":
        return torch.stack([height > 0, lower > 0], 1).float()
    if kind == "multiclass":
        return torch.bucketize(height.contiguous(), torch.tensor([-0.6, 0.6]))
    return 60 + 20 * height[:, None]


class ToyData(pl.LightningDataModule):
    """The mean of each lead is the label; some labels are missing, the padding is nonsense."""

    def __init__(self, kind="binary", records=48, batch_size=16, spec=SPEC, task=None, seed=0):
        super().__init__()
        self.task, self.spec = task or TASKS[kind], spec
        rng = torch.Generator().manual_seed(seed)
        height = torch.randn(records, len(spec.leads), generator=rng)
        noise = 0.3 * torch.randn(records, len(spec.leads), spec.length, generator=rng)
        self.signal = height[..., None] + noise
        self.mask = torch.ones(records, spec.length, dtype=torch.bool)
        self.mask[::3, 48:] = False
        self.signal[::3, :, 48:] = 1e3
        self.target = target_of(self.task.kind, height[:, 0], height[:, 1])
        missing = -1 if self.task.kind == "multiclass" else float("nan")
        self.target[:: max(records // 4, 2)] = missing
        self.batch_size = batch_size
        self.class_weights: torch.Tensor | None = None
        self.label_statistics: dict[str, Any] = {}

    def setup(self, stage: str) -> None:
        if self.task.kind == "regression":
            values = self.target.numpy()
            mean, std = np.nanmean(values, 0).tolist(), np.nanstd(values, 0).tolist()
            self.label_statistics = {"mean": mean, "std": std}
        else:
            self.class_weights = torch.full((self.task.num_outputs,), 2.0)
            self.label_statistics = {"positives": [3] * self.task.num_outputs}

    def loader(self, offset=0):
        records = Records(self.signal, self.mask, self.target, offset)
        return DataLoader(records, batch_size=self.batch_size, collate_fn=collate)

    def train_dataloader(self):
        return self.loader()

    def val_dataloader(self):
        return self.loader(1000)

    def test_dataloader(self):
        return self.loader(2000)

    def predict_dataloader(self):
        return self.loader(3000)


def small_encoder(dropout=0.0, leads=2):
    return SmallResNet1d(
        leads, widths=(8, 8), strides=(2, 2), stem_stride=2, kernel_size=5, dropout=dropout
    )


def small_model(seed=0, encoder=None, **arguments):
    torch.manual_seed(seed)
    return Finetuning(encoder or small_encoder(), **{"lr": 1e-2, **arguments})


def quiet_trainer(**arguments):
    settings = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
        "max_epochs": 1,
    }
    return pl.Trainer(**{**settings, **arguments})
