"""Arguments that cannot work are refused by their names in a config, before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pahcl.errors import UsageError
from pahcl.signals.spec import Modality, SignalSpec

LOWEST_RATES: Mapping[Modality, float] = {"ecg": 40.0, "pcg": 100.0}
"""Least sampling rates in Hz. The QRS complex lies mostly between 5 and 20 Hz (Thakor, Webster and
Tompkins, IEEE Trans. Biomed. Eng. 31(11), 1984), the heart sounds between 20 and 50 Hz and above:
below twice that, nothing of them is left."""

HIGHEST_RATE = 100_000.0
"""Most that a recorder of the heart is sampled at, and then some, in Hz."""


def require_rate(fs: float, modality: Modality) -> None:
    """Refuse a rate that cannot hold a signal of the heart.

    Raises:
        UsageError: With the rates that can.
    """
    lowest = LOWEST_RATES[modality]
    if not lowest <= fs <= HIGHEST_RATE:
        raise UsageError(
            f"data.init_args.fs (`--fs`) must be a rate between {lowest:g} and {HIGHEST_RATE:g} Hz "
            f"to hold an {modality.upper()}, got {fs:g}."
        )


def require_arguments(spec: SignalSpec, given: Mapping[str, Any]) -> None:
    """Refuse arguments of a data module that cannot work.

    Args:
        spec: The contract that they make.
        given: The other arguments, by name.

    Raises:
        UsageError: With the config key, what it must be, and what it was.
    """
    require_rate(spec.fs, spec.modality)
    length = spec.length or 0
    checks = {"length": (length, length > 0, "a positive number of samples")}
    for name in ("batch_size", "prepare_workers"):
        checks[name] = given[name], given[name] > 0, "at least 1"
    for name in ("seed", "num_workers"):
        checks[name] = given[name], given[name] >= 0, "0 or more"
    for name, frequency in asdict(spec.filter).items():
        below = f"below {spec.fs / 2:g} Hz, half of data.init_args.fs"
        checks[f"filter.{name}"] = frequency, frequency is None or frequency < spec.fs / 2, below
    for name, (value, fits, expected) in checks.items():
        if not fits:
            raise UsageError(f"data.init_args.{name} must be {expected}, got {value}.")


def require_side(title: str, sides: tuple[str, ...], stage: str | None, predicted: str) -> None:
    """Refuse a stage for which a data set has no split.

    Args:
        title: The data set.
        sides: Splits that it has.
        stage: Lightning's word for what is to be done; None where that is not known.
        predicted: The split that `predict` serves.

    Raises:
        UsageError: With what can be done instead.
    """
    side = {"fit": "train", "validate": "val", "predict": predicted}.get(stage or "")
    if side is None or side in sides:
        return
    advice = "`pahcl test --ckpt_path` scores a model of another data set on it"
    if stage == "predict":
        advice = f"set data.init_args.predict_split to {' or '.join(sides)}"
    raise UsageError(f"{title} has no {side} split, but {', '.join(sides)} alone: {advice}.")
