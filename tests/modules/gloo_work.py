"""What each of two processes computes; light to import, since both start from nothing."""

from datetime import timedelta

import torch
from torch import distributed

from pahcl.encoders.resnet import SmallResNet1d
from pahcl.modules._averages import global_mean
from pahcl.modules._outputs import Outputs
from pahcl.objectives.supervised import loss_terms

NAN = float("nan")


def make_problem():
    torch.manual_seed(0)
    encoder = SmallResNet1d(2, (8, 8), (2, 2), stem_stride=2, kernel_size=5, dropout=0.0)
    head = torch.nn.Linear(64, 2)
    network = torch.nn.Sequential(encoder.eval(), torch.nn.Flatten(), head)
    signal = torch.randn(6, 2, 64)
    target = torch.tensor([[1, 0], [NAN, 1], [1, NAN], [NAN, NAN], [0, 0], [NAN, 1]])
    return network, signal, target


def gradient(network, forward, signal, target):
    sums, weights = loss_terms("multilabel", forward(signal), target)
    objective, value = global_mean(sums, weights)
    objective.backward()
    return torch.cat([p.grad.flatten() for p in network.parameters()]), value


def work(rank, folder):
    """Compute the gradient of this process's part, and gather outputs, as one of two processes."""
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=60),
    )
    network, signal, target = make_problem()
    rows = slice(0, 4) if rank == 0 else slice(4, 6)
    parallel = torch.nn.parallel.DistributedDataParallel(network)
    found = gradient(network, parallel, signal[rows], target[rows])
    outputs = Outputs()
    # As a distributed sampler deals five records to two processes: the first one comes twice.
    mine = [[0, 2, 4], [1, 3, 0]][rank]
    outputs.add(
        {
            "record_id": [f"r{i}" for i in mine],
            "subject_id": [f"s{i}" for i in mine],
            "target": torch.tensor(mine),
        },
        torch.tensor(mine)[:, None] * 10.0,
    )
    gathered = outputs.gather()
    torch.save(
        {
            "gradient": found,
            "ids": gathered.record_ids,
            "subjects": gathered.subject_ids,
            "outputs": gathered.outputs,
            "target": gathered.target,
            "empty": outputs.gather() is None,
        },
        folder / f"{rank}.pt",
    )
    distributed.destroy_process_group()
