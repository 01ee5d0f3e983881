"""Turn a tested run of `configs/segment/heart_states.yaml` into the weights of a segmenter.

    python -m pahcl.modules.heart_states_export runs/segment/NAME --out DIR

writes `learned.safetensors` and `learned.json`, which says what they were learned from and how well
they do. `Learned(weights="DIR/learned.safetensors")` reads them; without `--out` they become those
that the package comes with.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pahcl.errors import PahclError, UsageError
from pahcl.evaluation.run import RunFolder
from pahcl.files import sha256_file, write_atomically, write_json
from pahcl.signals.heart_cycles.state_network import (
    BAND_EDGES,
    CLASSES,
    FRAME_RATE,
    FS,
    HOP,
    WINDOW,
)
from pahcl.signals.heart_cycles.state_weights import (
    CARD,
    WEIGHTS,
    packed,
    read_network,
    weights_path,
)

FORMAT = 1

_PLACES = frozenset({"root", "store", "default_root_dir"})

SPLITS = {"train": "train", "val": "validate", "test": "test"}
"""Names of the splits in a run, and on the card."""

TERMS = {
    "physionet2016": {
        "title": "PhysioNet/CinC Challenge 2016, training sets a to f, states corrected by hand",
        "licence": "ODC-By-1.0",
        "homepage": "https://physionet.org/content/challenge-2016/1.0.0/",
    }
}
"""Terms of use of what weights may have been learned from, by data set."""


def export(run: Path, out: Path) -> Path:
    """Write the weights of a run's best checkpoint, and their card.

    Args:
        run: Folder of a run that was tested.
        out: Folder of the two files.

    Returns:
        The card.

    Raises:
        UsageError: It is no run, or was not tested.
        CheckpointError: Its checkpoint holds another network.
    """
    folder = RunFolder(run).require()
    if not folder.is_complete:
        raise UsageError(
            f"{run} was not tested: `pahcl test --config {folder.config}` writes the evidence that "
            "the card of the weights holds."
        )
    network = read_network(folder.best)
    out.mkdir(parents=True, exist_ok=True)
    weights, card = out / WEIGHTS, out / CARD
    write_atomically(weights, lambda stream: stream.write(packed(network)))
    receipt, config = folder.load_receipt(), folder.load_config()
    data = config["data"]["init_args"]
    dataset = str(receipt["data"]["dataset"])
    facts: dict[str, Any] = {
        "format": FORMAT,
        "segmenter": "learned",
        "sha256": sha256_file(weights),
        "network": {
            "class_path": f"{type(network).__module__}.{type(network).__qualname__}",
            "init_args": network.config(),
            "parameters": sum(x.numel() for x in network.parameters()),
            "classes": list(CLASSES),
        },
        "features": {
            "fs": FS,
            "frames_a_second": FRAME_RATE,
            "hop": HOP,
            "window": WINDOW,
            "band_edges_hz": list(BAND_EDGES),
        },
        "data": {dataset: TERMS.get(dataset, {})},
        "recordings": {dataset: _recordings(folder)},
        "simulated_recordings": data.get("simulated", 0),
        "split": "zlib.crc32(record_id) % 10: 0 to 5 train, 6 validate, 7 to 9 test"
        if data.get("leave_out") is None
        else f"set {data['leave_out']} tests",
        "config": _without_places(config),
        "receipt": {"sha256": sha256_file(folder.receipt), **_digests(receipt)},
        "frames": {
            SPLITS[split]: folder.load_metrics(split)["metrics"]
            for split in ("val", "test")
            if folder.evidence("metrics.json", split).is_file()
        },
    }
    write_json(card, facts)
    return card


def _without_places(config: Any) -> Any:
    """Leave out of a config where things lie on the machine that trained."""
    if isinstance(config, dict):
        return {key: _without_places(x) for key, x in config.items() if key not in _PLACES}
    return [_without_places(x) for x in config] if isinstance(config, list) else config


def _recordings(folder: RunFolder) -> dict[str, list[str]]:
    """List who trained, validated and tested."""
    table = pd.read_parquet(folder.splits)
    names = table["record_id"].astype(str)
    return {SPLITS[name]: sorted(names[table["split"] == name]) for name in SPLITS}


def _digests(receipt: dict[str, Any]) -> dict[str, Any]:
    """Give what names code, config, checkpoint and store of a run."""
    held = receipt.get("sha256", {})
    return {"files": held, "store": receipt["data"].get("store"), "seed": receipt.get("seed")}


def main(words: Sequence[str] | None = None) -> int:
    """Read the command line; see the head of this module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("run", type=Path, help="folder of a tested run")
    parser.add_argument("--out", type=Path, help="folder of the two files (default: the package's)")
    arguments = parser.parse_args(words)
    try:
        card = export(arguments.run, arguments.out or weights_path(None).parent)
    except PahclError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    sys.stdout.write(f"{card}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
