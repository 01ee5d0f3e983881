"""Small sweeps for the tests of the verb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pahcl.commands._sweep_file import read_sweep
from pahcl.commands._sweep_plan import Job, plan

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
QUICK = [
    "--run.wandb=off",
    "--run.tensorboard=false",
    "--trainer.num_sanity_val_steps=0",
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=2",
]


def values(**changes: Any) -> dict[str, Any]:
    """Give a sweep of two arms and two fractions."""
    return {
        "pretraining": {
            "arms": [
                {"name": "none"},
                {
                    "name": "clean",
                    "config": str(CONFIGS / "pretrain/supervised_ptbxl.yaml"),
                    "checkpoint": "last",
                },
            ],
        },
        "transfer": {
            "config": str(CONFIGS / "finetune/code15_af.yaml"),
            "fractions": [
                str(CONFIGS / "protocol/equal_epochs/0.1.yaml"),
                str(CONFIGS / "protocol/equal_epochs/1.0.yaml"),
            ],
        },
        "layers": [str(CONFIGS / "size/small.yaml"), str(CONFIGS / "trainer/cpu.yaml")],
        "seeds": [0, 1],
        **changes,
    }


def write(place: Path, content: Any, name: str = "tiny.yaml") -> Path:
    path = place / name
    text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
    path.write_text(text)
    return path


def titles(jobs: list[Job]) -> list[str]:
    return [job.title for job in jobs]


def jobs_of(place: Path, **changes: Any) -> list[Job]:
    return plan(read_sweep(write(place, values(**changes))), Path("runs"))


ARM = {"name": "a", "config": str(CONFIGS / "pretrain/supervised_ptbxl.yaml"), "checkpoint": "best"}
