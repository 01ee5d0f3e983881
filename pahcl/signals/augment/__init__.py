"""Random changes of signals that leave what they show as it is, batched on the device.

`pahcl.signals.augment.preset("pretrain")(signal, fs, mask)` is the whole of it for a batch; every
transform is a class of its own, made of plain values, so that a config can name it.
"""

from pahcl.signals.augment.base import PCG_BAND, Augmentation, Range, Transform, View
from pahcl.signals.augment.composing import (
    Compose,
    PartWise,
    RandomApply,
    RandomChoice,
    augment_parts,
    two_views,
)
from pahcl.signals.augment.draws import Draws, Seeds, record_seeds
from pahcl.signals.augment.loudness import (
    AmplitudeScale,
    ColouredNoise,
    GaussianNoise,
    RespiratoryNoise,
)
from pahcl.signals.augment.pitch import PitchShift
from pahcl.signals.augment.presets import Preset, preset
from pahcl.signals.augment.spectrum import FrequencyMask, HighPass, LowPass
from pahcl.signals.augment.timing import RandomCrop, Reverse, TimeMask, TimeShift, TimeStretch

__all__ = [
    "PCG_BAND",
    "AmplitudeScale",
    "Augmentation",
    "ColouredNoise",
    "Compose",
    "Draws",
    "FrequencyMask",
    "GaussianNoise",
    "HighPass",
    "LowPass",
    "PartWise",
    "PitchShift",
    "Preset",
    "RandomApply",
    "RandomChoice",
    "RandomCrop",
    "Range",
    "RespiratoryNoise",
    "Reverse",
    "Seeds",
    "TimeMask",
    "TimeShift",
    "TimeStretch",
    "Transform",
    "View",
    "augment_parts",
    "preset",
    "record_seeds",
    "two_views",
]
