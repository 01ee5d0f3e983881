"""Where the learned segmenter's weights lie, and reading them without running foreign code."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pahcl.errors import CheckpointError
from pahcl.signals.heart_cycles.state_network import StateNetwork

WEIGHTS, CARD = "learned.safetensors", "learned.json"
"""The weights that come with the package, and what is to be known of them."""

KEY = "pahcl"
_PREFIX = "network."


def weights_path(weights: str | Path | None) -> Path:
    """Give the file of weights; None names those of the package."""
    if weights is not None:
        return Path(weights)
    return Path(str(resources.files("pahcl.signals.heart_cycles").joinpath(WEIGHTS)))


def read_network(weights: str | Path | None, device: str = "cpu") -> StateNetwork:
    """Read a network, ready to be asked; the same file is read once.

    Args:
        weights: `.safetensors`, or a checkpoint of `pahcl fit`; None takes those of the package.
        device: Where it is to compute.

    Raises:
        CheckpointError: There is no such file, it is damaged, or holds another network.
    """
    path = weights_path(weights)
    if not path.is_file():
        raise CheckpointError(
            f"There are no weights of the learned segmenter at {path}: name a .safetensors or a "
            "checkpoint that `pahcl fit --config configs/segment/heart_states.yaml` made."
        )
    return _read(str(path.resolve()), path.stat().st_mtime_ns, device)


@lru_cache(maxsize=4)
def _read(path: str, changed: int, device: str) -> StateNetwork:
    settings, state = _open(Path(path))
    try:
        _require_described(settings, state)
        network = StateNetwork(**settings)
        network.load_state_dict(state)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise CheckpointError(
            f"{path} does not hold the weights of the network that it describes. Train it again "
            "with this version of pahcl, or take another file."
        ) from error
    return network.eval().to(device)


def _require_described(settings: dict[str, Any], state: dict[str, Tensor]) -> None:
    """Refuse other tensors than are described, before a network of any size takes memory.

    Raises:
        ValueError: They are others.
    """
    with torch.device("meta"):
        described = StateNetwork(**settings).state_dict()
    if _shapes(described) != _shapes(state):
        raise ValueError("other tensors than are described")


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: values.shape for name, values in state.items()}


def _open(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the arguments of the network, and its tensors."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                settings = json.loads((file.metadata() or {})[KEY])
                names = file.keys()
                return settings, {name: file.get_tensor(name) for name in names}
        found = torch.load(path, map_location="cpu", weights_only=True)
        state = found["state_dict"]
        own = {k.removeprefix(_PREFIX): x for k, x in state.items() if k.startswith(_PREFIX)}
        return dict(found[KEY]["encoder"]["init_args"]), own
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        OSError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise CheckpointError(
            f"{path} holds no weights of the learned segmenter that can be read. Name a "
            ".safetensors or a checkpoint that `pahcl fit --config configs/segment/"
            "heart_states.yaml` made."
        ) from error


def packed(network: StateNetwork) -> bytes:
    """Write a network as the bytes of a `.safetensors` file, which says how to make it again."""
    state = {name: x.detach().cpu().contiguous() for name, x in network.state_dict().items()}
    return save(state, {KEY: json.dumps(network.config(), sort_keys=True)})
