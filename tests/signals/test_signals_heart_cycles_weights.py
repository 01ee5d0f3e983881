"""Files of weights may come from anywhere: they are data, and no more than they hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from pahcl.errors import CheckpointError
from pahcl.signals.heart_cycles.state_weights import KEY, read_network, weights_path


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": []},
        {"channels": [4]},
        {"channels": [-3, 4]},
        {"channels": ["a", "b"]},
        {"channels": [10**6, 10**6]},  # some ten terabytes
        {"channels": [4, 4], "dropout": 7},
        {"width": 3},
        [1],
        None,
    ],
)
def test_what_does_not_describe_the_weights_is_refused(tmp_path: Path, settings: Any) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(save({"stem.0.weight": torch.zeros(1)}, {KEY: json.dumps(settings)}))
    with pytest.raises(CheckpointError, match=r"own\.safetensors does not hold the weights"):
        read_network(path)


@pytest.mark.parametrize("metadata", [{}, {KEY: "no json"}])
def test_what_says_nothing_of_itself_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(save({"a": torch.zeros(1)}, metadata))
    with pytest.raises(CheckpointError, match="holds no weights of the learned segmenter"):
        read_network(path)


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(weights_path(None).read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="holds no weights of the learned segmenter"):
        read_network(path)


def test_the_weights_of_the_package_are_whole() -> None:
    network = read_network(None)
    assert all(x.isfinite().all() for x in network.state_dict().values())
    assert not network.training
