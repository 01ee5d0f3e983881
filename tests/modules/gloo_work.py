"""What each of two processes computes; light to import, since both start from nothing."""

from datetime import timedelta

import torch
from torch import distributed

from pahcl.attacks.pgd import PGD
from pahcl.encoders.resnet import SmallResNet1d
from pahcl.modules._averages import global_mean
from pahcl.modules._in_parts import InParts
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


EPSILON = 0.05


class Attacked(torch.nn.Module):
    """A step on clean and attacked signals, its parts differentiated one by one."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, signal, target):
        attack = PGD(epsilon=EPSILON, steps=3, random_start=False)
        attacked = attack(self.network, signal, target).signal
        assert (attacked - signal).abs().max() <= EPSILON + 1e-6
        total, value = InParts(list(self.parameters())), 0.0
        for given in (signal, attacked):
            sums, weights = loss_terms("multilabel", self.network(given), target)
            summand, mean = global_mean(sums, weights)
            total.add(0.5 * summand)
            value = value + 0.5 * mean
        return total.total(), value


def attacked_gradient(network, forward, signal, target):
    network.zero_grad()
    objective, value = forward(signal, target)
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
    attacked = torch.nn.parallel.DistributedDataParallel(Attacked(network))
    found_attacked = attacked_gradient(network, attacked, signal[rows], target[rows])
    with torch.autocast("cpu", dtype=torch.bfloat16):  # the budget is checked in the pass
        half = attacked_gradient(network, attacked, signal[rows], target[rows])
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
            "attacked": found_attacked,
            "attacked_half": half,
            "ids": gathered.record_ids,
            "subjects": gathered.subject_ids,
            "outputs": gathered.outputs,
            "target": gathered.target,
            "empty": outputs.gather() is None,
        },
        folder / f"{rank}.pt",
    )
    distributed.destroy_process_group()
