"""Every key of every augmentation does what its docstring says, and none is without a proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import pytest
import torch
from augmenting import (
    BATCH,
    FS,
    LONG,
    added,
    blur,
    breaths,
    changed,
    different,
    factors,
    friction,
    gain,
    kinds,
    left,
    moved_by,
    noise,
    part_factors,
    peak,
    pieces,
    power,
    ratios,
    reversed_share,
    run,
    seeds,
    silent,
    slope,
    stretches,
    taken,
    tone,
    widest,
)

from pahcl.signals.augment import (
    AmplitudeScale,
    Augmentation,
    ColouredNoise,
    Compose,
    FrequencyMask,
    GaussianNoise,
    HighPass,
    LowPass,
    PartWise,
    PitchShift,
    RandomApply,
    RandomChoice,
    RandomCrop,
    RespiratoryNoise,
    Reverse,
    TimeMask,
    TimeShift,
    TimeStretch,
)

REVERSE, LOUDER = Reverse(p=1.0), AmplitudeScale(p=1.0, factor=(3.0, 3.0))
SOFTER = AmplitudeScale(p=1.0, factor=(0.5, 0.5))


def near(value: float, within: float = 0.05) -> Any:
    return pytest.approx(value, rel=within)


@dataclass
class Key:
    """Two settings of a key and what is measured with each."""

    kind: type[Augmentation]
    name: str
    measure: Callable[[Any], float]
    expected: dict[Any, Any]
    base: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.kind.__name__}.{self.name}"


def key(
    kind: type[Augmentation],
    name: str,
    measure: Callable[[Any], float],
    expected: dict[Any, Any],
    **base: Any,
) -> Key:
    return Key(kind, name, measure, expected, base)


def only(p: float) -> Any:
    return pytest.approx(p, abs=4.5 * (p * (1 - p) / 2000) ** 0.5 + 0.01)


KEYS = [
    key(TimeShift, "p", changed, {0.2: only(0.2), 0.9: only(0.9)}, max_share=1.0),
    key(
        TimeShift,
        "max_share",
        lambda a: float(moved_by(a).abs().max()),
        {0.02: 20, 0.2: near(200)},
        p=1.0,
    ),
    key(
        TimeShift,
        "wrap",
        lambda a: float(left(a).mean()),
        {True: 1, False: near(0.95, 0.01)},
        p=1.0,
    ),
    key(TimeStretch, "p", changed, {0.3: only(0.3), 0.8: only(0.8)}),
    key(
        TimeStretch,
        "speed",
        lambda a: float(left(a).mean()),
        {(0.8, 0.8): 1, (1.25, 1.25): near(0.8, 0.01), (2.0, 2.0): near(0.5, 0.01)},
        p=1.0,
    ),
    key(TimeMask, "p", changed, {0.3: only(0.3), 0.8: only(0.8)}),
    key(TimeMask, "masks", lambda a: float(pieces(silent(a)).max()), {1: 1, 2: 2, 5: 5}, p=1.0),
    key(
        TimeMask,
        "max_width",
        lambda a: widest(silent(a)),
        {0.01: 10, 0.03: 30, 0.2: 50},  # the last one is limited by the share
        p=1.0,
        masks=1,
    ),
    key(
        TimeMask,
        "max_share",
        lambda a: widest(silent(a)),
        {0.01: 10, 0.02: 20, 0.5: 30},
        p=1.0,
        masks=1,
    ),
    key(RandomCrop, "p", changed, {0.3: only(0.3), 0.8: only(0.8)}, keep=(0.5, 0.6)),
    key(
        RandomCrop,
        "keep",
        lambda a: float(left(a).mean()),
        {(0.25, 0.25): near(0.25, 0.01), (0.5, 1.0): near(0.75)},
        p=1.0,
    ),
    key(Reverse, "p", reversed_share, {0.0: 0, 1.0: 1, 0.3: near(0.3, 0.25)}),
    key(AmplitudeScale, "p", changed, {0.3: only(0.3), 0.8: only(0.8)}),
    key(
        AmplitudeScale,
        "factor",
        lambda a: float(factors(a).max() / factors(a).min()),
        {(0.8, 1.2): near(1.5, 0.02), (1.0, 4.0): near(4, 0.05)},
        p=1.0,
    ),
    key(GaussianNoise, "p", changed, {0.3: only(0.3), 0.8: only(0.8)}),
    key(
        GaussianNoise,
        "snr",
        lambda a: float(ratios(a).mean()),
        {(0.0, 10.0): pytest.approx(5, abs=0.7), (20.0, 40.0): pytest.approx(30, abs=1.4)},
        p=1.0,
    ),
    key(ColouredNoise, "p", changed, {0.3: only(0.3), 0.8: only(0.8)}),
    key(
        ColouredNoise,
        "colours",
        slope,
        {
            ("white",): pytest.approx(0, abs=0.4),
            ("pink",): pytest.approx(3.01, abs=0.4),
            ("brown",): pytest.approx(6.02, abs=0.4),
        },
        p=1.0,
    ),
    key(
        ColouredNoise,
        "snr",
        lambda a: float(ratios(a).mean()),
        {(0.0, 10.0): pytest.approx(5, abs=0.8), (15.0, 30.0): pytest.approx(22.5, abs=1.2)},
        p=1.0,
    ),
    key(
        ColouredNoise,
        "band",
        lambda a: float(peak(added(a)).median()),
        {(25.0, 400.0): pytest.approx(210, abs=60), (100.0, 101.0): pytest.approx(100.5, abs=2)},
        p=1.0,
        colours=("white",),
    ),
    key(RespiratoryNoise, "p", changed, {0.3: only(0.3), 0.8: only(0.8)}),
    key(
        RespiratoryNoise,
        "intensity",
        lambda a: float(power(added(a, noise(50, 1, 20_000))).mean().sqrt()),
        {(0.1, 0.1): near(0.048), (1.0, 1.0): near(0.48)},  # of sines 0.6, 0.3 and 0.1 high
        p=1.0,
        friction=0.0,
    ),
    key(
        RespiratoryNoise,
        "rate",
        breaths,
        {(12.0, 12.0): near(12), (30.0, 30.0): near(30)},
        p=1.0,
        friction=0.0,
    ),
    key(
        RespiratoryNoise,
        "friction",
        friction,
        {0.0: pytest.approx(0, abs=0.03), 0.1: near(0.08, 0.3), 1.0: near(0.8, 0.3)},
        p=1.0,
        intensity=(1.0, 1.0),
    ),
    key(FrequencyMask, "p", changed, {0.3: only(0.3), 0.8: only(0.8)}),
    key(FrequencyMask, "masks", lambda a: float(pieces(taken(a)).max()), {1: 1, 4: 4}, p=1.0),
    key(
        FrequencyMask, "max_width", lambda a: widest(taken(a)), {0.0: 1, 0.15: 56, 0.5: 188}, p=1.0
    ),
    key(
        FrequencyMask,
        "band",
        lambda a: float(taken(a).nonzero()[:, 1].min()),
        {(25.0, 400.0): pytest.approx(26, abs=3), (300.0, 310.0): 300},
        p=1.0,
    ),
    key(LowPass, "p", changed, {0.3: only(0.3), 0.8: only(0.8)}),
    key(
        LowPass,
        "cutoff",
        lambda a: gain(a, 200),
        {(200.0, 200.0): near(0.5, 0.01), (100.0, 100.0): pytest.approx(0, abs=0.01)},
        p=1.0,
    ),
    key(
        LowPass,
        "order",
        lambda a: gain(a, 150),
        {1: near(0.289), 2: near(0.142), 4: near(0.0266)},  # warped, 150 Hz is 1.568 cut-offs
        p=1.0,
        cutoff=(100.0, 100.0),
    ),
    key(HighPass, "p", changed, {0.3: only(0.3), 0.8: only(0.8)}),
    key(
        HighPass,
        "cutoff",
        lambda a: gain(a, 50),
        {(50.0, 50.0): near(0.5, 0.01), (20.0, 20.0): near(1, 0.01)},
        p=1.0,
    ),
    key(
        HighPass,
        "order",
        lambda a: gain(a, 30),
        {1: near(0.26), 2: near(0.114), 4: near(0.0164, 0.1)},
        p=1.0,
        cutoff=(50.0, 50.0),
    ),
    key(PitchShift, "p", changed, {0.3: only(0.3), 0.8: only(0.8)}),
    key(
        PitchShift,
        "semitones",
        lambda a: float(peak(run(a, tone(100.0))[0])),
        {
            (-12.0, -12.0): near(50, 0.01),
            (2.0, 2.0): near(112.25, 0.005),
            (7.0, 7.0): near(149.8, 0.005),
        },
        p=1.0,
    ),
    key(
        PitchShift,
        "window",
        blur,
        {0.032: pytest.approx(0.004, abs=0.004), 0.256: pytest.approx(0.04, abs=0.025)},
        p=1.0,
        semitones=(2.0, 2.0),
    ),
    key(
        Compose,
        "augmentations",
        lambda a: float(factors(a).mean()),
        {(): 1, (LOUDER,): near(3), (LOUDER, SOFTER): near(1.5)},
    ),
    key(
        RandomApply,
        "augmentation",
        lambda a: float(factors(a).mean()),
        {LOUDER: near(3), SOFTER: near(0.5)},
        p=1.0,
    ),
    key(RandomApply, "p", changed, {0.3: only(0.3), 0.8: only(0.8)}, augmentation=LOUDER),
    key(
        RandomChoice,
        "augmentations",
        lambda a: float(factors(a).mean()),
        {(LOUDER,): near(3), (LOUDER, SOFTER): near(1.75, 0.15)},
    ),
    key(
        RandomChoice,
        "weights",
        lambda a: float((factors(a) > 1).float().mean()),
        {None: near(0.5, 0.2), (0.0, 1.0): 0, (8.0, 2.0): near(0.8, 0.1)},
        augmentations=(LOUDER, SOFTER),
    ),
    key(
        RandomChoice, "p", changed, {0.3: only(0.3), 0.8: only(0.8)}, augmentations=(LOUDER, SOFTER)
    ),
    key(
        PartWise,
        "augmentation",
        lambda a: float(part_factors(a).mean()),
        {LOUDER: near(3), SOFTER: near(0.5)},
    ),
    key(PartWise, "parts", different, {2: 2, 4: 4, 6: 6}, augmentation=AmplitudeScale(p=1.0)),
    key(PartWise, "same", different, {True: 1, False: 4}, augmentation=AmplitudeScale(p=1.0)),
]


def test_every_key_of_every_augmentation_is_proved() -> None:
    there = {(kind, field.name) for kind in kinds() for field in fields(kind)}
    assert {(one.kind, one.name) for one in KEYS} == there
    assert len(KEYS) == len(there)


@pytest.mark.parametrize("one", KEYS, ids=str)
def test_a_key_does_what_it_says(one: Key) -> None:
    measured = {
        value: one.measure(one.kind(**{**one.base, one.name: value})) for value in one.expected
    }
    assert measured == one.expected
    assert len({round(number, 6) for number in measured.values()}) >= 2


def test_nothing_that_is_drawn_does_nothing() -> None:
    """The original drew frequency masks up to half the rate: 18 % of them touched the signal."""
    signal = noise(BATCH, 1, LONG)
    spectrum = torch.fft.rfft(signal)
    spectrum[..., :25], spectrum[..., 400:] = 0, 0
    signal = torch.fft.irfft(spectrum)
    for transform in (FrequencyMask(p=1.0), TimeMask(p=1.0), PitchShift(p=1.0)):
        got = run(transform, signal)[0]
        lost = power(got - signal) / power(signal)
        assert (lost > 1e-4).all(), transform


def test_padding_is_never_masked_nor_wrapped() -> None:
    mask = stretches(BATCH, LONG)
    ones = mask[:, None].float()
    for transform in (TimeMask(p=1.0), TimeShift(p=1.0), TimeShift(p=1.0, wrap=False)):
        got, moved = transform(ones, FS, mask, seeds(BATCH))
        if isinstance(transform, TimeShift):
            assert torch.equal(got[:, 0] == 1, moved)
        if getattr(transform, "wrap", True):
            assert torch.equal(moved, mask)
        if isinstance(transform, TimeMask):
            assert ((got[:, 0] == 0) & mask).any(dim=1)[mask.any(dim=1)].all()
