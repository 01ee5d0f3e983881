"""Augmentations as PA-HCL trains with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from pahcl.errors import UsageError
from pahcl.signals.augment.base import PCG_BAND, Range
from pahcl.signals.augment.composing import Compose
from pahcl.signals.augment.loudness import AmplitudeScale, GaussianNoise
from pahcl.signals.augment.spectrum import FrequencyMask
from pahcl.signals.augment.timing import TimeMask, TimeShift, TimeStretch

Preset = Literal["pretrain", "finetune", "none"]


def _pretrain(band: Range) -> Compose:
    return Compose(
        augmentations=(
            TimeShift(p=0.8, max_share=0.1),
            TimeStretch(p=0.5, speed=(0.9, 1.1)),
            AmplitudeScale(p=0.8, factor=(0.8, 1.2)),
            GaussianNoise(p=0.5, snr=(20.0, 40.0)),
            TimeMask(p=0.5, masks=2, max_width=0.03, max_share=0.05),
            FrequencyMask(p=0.3, masks=1, max_width=0.15, band=band),
        )
    )


def _finetune(band: Range) -> Compose:
    return Compose(
        augmentations=(
            TimeShift(p=0.5, max_share=0.05),
            AmplitudeScale(p=0.5, factor=(0.9, 1.1)),
            GaussianNoise(p=0.3, snr=(25.0, 40.0)),
        )
    )


_PRESETS: dict[str, Callable[[Range], Compose]] = {
    "pretrain": _pretrain,
    "finetune": _finetune,
    "none": lambda band: Compose(),
}


def preset(name: Preset, band: Range = PCG_BAND) -> Compose:
    """Give the augmentations of pretraining, of fine-tuning, or none.

    Order, ranges and probabilities are those of PA-HCL's pipelines; what differs in each transform
    stands there.

    Args:
        name: `pretrain`, `finetune` or `none`.
        band: Where the signal lies, in Hz.

    Raises:
        UsageError: There is no such preset.
    """
    if name not in _PRESETS:
        raise UsageError(f"There is no preset `{name}`; use one of {', '.join(get_args(Preset))}.")
    return _PRESETS[name](band)
