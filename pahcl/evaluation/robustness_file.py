"""What `robustness.json` must hold to be read, and the files that stand beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pahcl.files import sha256_file

REPORTED = "apgd"
CONTROL = "noise"
BLACK_BOX = "square"
WORST = "worst"
"""Names of the attacks in files and facts."""

REST = "*"
"""In a shape, every key that is not named."""

NUMBER = (int, float)
MAYBE = (int, float, type(None))

_SCORES = {"metrics": dict, "per_class": {REST: dict}}
_SPECTRUM = {"frequency": [NUMBER], "signal": [NUMBER], "perturbation": [NUMBER]}
SHAPE: dict[str, Any] = {
    "metric": str,
    "unit": str,
    "split": str,
    "n_records": int,
    "n_subjects": int,
    "task": dict,
    "protocol": {
        "norm": str,
        "steps": int,
        "restarts": int,
        "queries": int,
        "consistent_leads": bool,
    },
    "clean": _SCORES,
    "bounds": {REST: {"chance": MAYBE, "floor": MAYBE}},
    "curve": [
        {
            "epsilon": NUMBER,
            "attacks": {
                REPORTED: {**_SCORES, "gradient_calls": NUMBER, "spectrum": _SPECTRUM},
                REST: _SCORES,
            },
        }
    ],
    "area": ({"logarithmic": dict, "linear": dict}, type(None)),
    "corruptions": [
        {"title": str, "severities": [{"severity": int, "level": str, **_SCORES}]},
    ],
    "left_out": {REST: str},
    "warnings": [str],
    "sha256": {"checkpoint": str, "files": {REST: str}},
    "examples": (
        {
            "file": str,
            "epsilon": NUMBER,
            "condition": str,
            "records": [str],
            "fs": NUMBER,
            "leads": [str],
            "unit": str,
        },
        type(None),
    ),
}
"""Types; `{key: shape}`, `[shape of each item]`, `(shape, or another, …)`."""


def misfit(value: object, shape: Any = SHAPE, where: str = "") -> str:
    """Name the first place where plain values have not the shape that is asked of them.

    Returns:
        The place, such as `curve[0].epsilon`; "" where all fits.
    """
    if isinstance(shape, tuple):
        wrong = [misfit(value, one, where) for one in shape]
        return "" if "" in wrong else next((w for w in wrong if w != where), where) or "all"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return where or "all"
        parts = ((one, shape[0], f"{where}[{i}]") for i, one in enumerate(value))
    elif isinstance(shape, dict):
        if not isinstance(value, Mapping):
            return where or "all"
        parts = ((value.get(k), s, _dotted(where, k)) for k, s in _named(value, shape).items())
    else:
        return "" if isinstance(value, shape) else where or "all"
    return next((found for part in parts if (found := misfit(*part))), "")


def _named(value: Mapping[str, Any], shape: Mapping[str, Any]) -> dict[str, Any]:
    """Give a shape to each key that there must be, and to all others where a shape is known."""
    found = {key: one for key, one in shape.items() if key != REST}
    rest = {key: shape[REST] for key in value if key not in found} if REST in shape else {}
    return {**found, **rest}


def _dotted(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def lost_files(folder: Path, facts: Mapping[str, Any]) -> list[str]:
    """Name the files beside `robustness.json` that are gone, or not those it was made of."""
    return [
        name
        for name, digest in facts["sha256"]["files"].items()
        if not (folder / name).is_file() or sha256_file(folder / name) != digest
    ]
