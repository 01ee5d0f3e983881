"""What the benches share: figures with goals, and what machine they were measured on."""

from __future__ import annotations

import os
import platform
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch


@dataclass(frozen=True)
class Figure:
    """Hold one measured number.

    Args:
        value: The number.
        unit: Its unit.
        goal: What it should reach.
        better: Whether a higher or a lower value is the better one.
    """

    value: float
    unit: str
    goal: float | None = None
    better: Literal["higher", "lower"] = "higher"

    @property
    def is_met(self) -> bool:
        """Say whether the goal is reached; true where there is none."""
        if self.goal is None:
            return True
        return self.value >= self.goal if self.better == "higher" else self.value <= self.goal

    def to_dict(self) -> dict[str, Any]:
        """Write the figure as plain types."""
        return asdict(self)


def machine() -> dict[str, str]:
    """Say what this machine is."""
    facts = {
        "system": platform.platform(terse=True),
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def processor() -> str:
    """Name the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def peak_memory() -> int:
    """Give the peak memory of this process and its largest child so far, in bytes."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    try:
        # Of this program alone; getrusage would count what the starting process held before.
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        own = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    except (OSError, StopIteration):
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(own + children // 1024) if sys.platform == "darwin" else own * 1024 + children
    return own + children


def memory_in_use() -> int:
    """Give the memory that this process holds now, in bytes; its peak where the system hides it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024
    except (OSError, StopIteration):
        return peak_memory()
