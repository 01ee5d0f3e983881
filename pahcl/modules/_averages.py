"""Averages over the labelled entries of all processes."""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def global_mean(sums: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Average over the labelled entries of all processes.

    Distributed training averages gradients over W processes, each of which may hold another number
    of labelled entries. The local sum times W, over the global weight, makes that average the
    gradient of one process with the union of the batches.

    Args:
        sums: `[B]` of `pahcl.objectives.supervised.loss_terms`.
        weights: `[B]` of `pahcl.objectives.supervised.loss_terms`.

    Returns:
        The scalar to differentiate on this process, and the global loss, equal on all processes.
        Both are 0 where nothing is labelled.
    """
    local = sums.sum()
    totals = torch.stack([local.detach(), weights.sum()])
    processes = 1
    if distributed.is_available() and distributed.is_initialized():
        processes = distributed.get_world_size()
        distributed.all_reduce(totals)
    weight = torch.where(totals[1] > 0, totals[1], torch.ones_like(totals[1]))
    return local * processes / weight, totals[0] / weight
