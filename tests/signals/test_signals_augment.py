"""What holds for every augmentation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from augmenting import BATCH, FS, LONG, kinds, noise, one, seeds, stretches
from hypothesis import given, settings
from hypothesis import strategies as st

from pahcl.errors import SpecError, UsageError
from pahcl.signals import augment
from pahcl.signals.augment import (
    AmplitudeScale,
    Augmentation,
    Compose,
    Draws,
    GaussianNoise,
    PartWise,
    RandomApply,
    RandomChoice,
    Reverse,
    TimeShift,
    TimeStretch,
    Transform,
    augment_parts,
    preset,
    record_seeds,
    two_views,
)

EVERY = [pytest.param(one(kind), id=kind.__name__) for kind in kinds()]


def test_every_kind_has_a_public_name() -> None:
    assert {kind.__name__ for kind in kinds()} <= set(augment.__all__)
    assert len(kinds()) == 17


@pytest.mark.parametrize("augmentation", EVERY)
def test_padding_stays_nothing_and_the_input_as_it_was(augmentation: Augmentation) -> None:
    signal, mask = noise(8, 2, 500), stretches(8, 500)
    kept = signal.clone(), mask.clone()
    got, moved = augmentation(signal, FS, mask, seeds(8))
    assert got.dtype == torch.float32
    assert moved.dtype == torch.bool
    assert got.shape == signal.shape
    assert moved.shape == mask.shape
    assert torch.isfinite(got).all()
    assert (got[~moved[:, None].expand_as(got)] == 0).all()
    assert not moved[3].any(), "a record without a real sample has none afterwards"
    assert torch.equal(signal, kept[0])
    assert torch.equal(mask, kept[1])
    assert not torch.equal(got, torch.where(mask[:, None], signal, 0.0))


@pytest.mark.parametrize("augmentation", EVERY)
def test_what_stands_in_the_padding_does_not_matter(augmentation: Augmentation) -> None:
    mask, signal = stretches(8, 300), noise(8, 1, 300)
    real = mask[:, None]
    got = augmentation(signal.where(real, 1e6), FS, mask, seeds(8))
    expected = augmentation(signal.where(real, float("nan")), FS, mask, seeds(8))
    assert torch.equal(got[0], expected[0])
    assert torch.equal(got[1], expected[1])


@pytest.mark.parametrize("augmentation", EVERY)
def test_a_record_does_not_see_its_neighbours(augmentation: Augmentation) -> None:
    signal, mask = noise(9, 2, 400), stretches(9, 400)
    got, moved = augmentation(signal, FS, mask, seeds(9))
    order = torch.tensor([6, 2, 8])
    others = torch.cat([signal[order], noise(2, 2, 400, seed=5) * 100])
    masks = torch.cat([mask[order], mask[:2]])
    again, there = augmentation(others, FS, masks, torch.cat([order, seeds(2, 90)]))
    torch.testing.assert_close(again[:3], got[order], atol=1e-5, rtol=1e-5)
    assert torch.equal(there[:3], moved[order])


@pytest.mark.parametrize("augmentation", EVERY)
def test_seeds_say_everything(augmentation: Augmentation) -> None:
    signal, mask = noise(6, 1, 400), stretches(6, 400)
    first, again = (augmentation(signal, FS, mask, seeds(6)) for _ in range(2))
    other = augmentation(signal, FS, mask, seeds(6, 1000))
    assert torch.equal(first[0], again[0])
    if not isinstance(augmentation, augment.Reverse | augment.RandomApply):  # nothing to draw
        assert not torch.equal(first[0], other[0])
    drawn = [
        augmentation(signal, FS, mask, torch.Generator().manual_seed(seed))[0] for seed in (3, 3)
    ]
    assert torch.equal(*drawn)
    torch.manual_seed(5)
    free = augmentation(signal, FS, mask)[0]
    torch.manual_seed(5)
    assert torch.equal(augmentation(signal, FS, mask)[0], free)


@pytest.mark.parametrize("kind", kinds())
def test_without_asking_the_device_the_result_is_the_same(
    kind: type[Augmentation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU every record is worked on, and chosen from by the mask of those that are hit."""
    made = one(kind)
    augmentation = replace(made, p=0.5) if isinstance(made, Transform) else made
    signal, mask = noise(12, 2, 400), stretches(12, 400)
    expected, there = augmentation(signal, FS, mask, seeds(12))
    monkeypatch.setattr("pahcl.signals.augment.base._may_ask", lambda values: False)
    got, moved = augmentation(signal, FS, mask, seeds(12))
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(moved, there)


@pytest.mark.gpu
@pytest.mark.parametrize("augmentation", EVERY)
def test_a_gpu_draws_and_does_the_same(augmentation: Augmentation) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    signal, mask = noise(12, 2, 400), stretches(12, 400)
    expected, there = augmentation(signal, FS, mask, seeds(12))
    given = signal.cuda(), FS, mask.cuda(), seeds(12).cuda()
    augmentation(*given)  # tables go to the device once
    torch.cuda.set_sync_debug_mode("error")  # whoever makes the host wait fails
    try:
        got, moved = augmentation(*given)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(got.cpu(), expected, atol=1e-3, rtol=1e-3)
    assert torch.equal(moved.cpu(), there)


@pytest.mark.parametrize("augmentation", EVERY)
def test_silence_stays_silence(augmentation: Augmentation) -> None:
    signal = noise(4, 2, 300)
    signal[1], signal[2, 1] = 0.0, 0.0
    got, _ = augmentation(signal, FS, None, seeds(4))
    assert (got[1] == 0).all()
    assert (got[2, 1] == 0).all(), "a lead that is flat gets nothing of its neighbour"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("augmentation", EVERY)
def test_other_types_are_worked_on_in_float32(
    augmentation: Augmentation, dtype: torch.dtype
) -> None:
    signal = (noise(4, 1, 300) * 1000).to(dtype)
    got = augmentation(signal, FS, None, seeds(4))[0]
    assert torch.equal(got, augmentation(signal.float(), FS, None, seeds(4))[0])


@pytest.mark.parametrize("augmentation", EVERY)
@pytest.mark.parametrize("shape", [(0, 1, 50), (3, 0, 50), (3, 1, 0), (2, 12, 1), (2, 1, 2)])
def test_empty_and_tiny_batches(augmentation: Augmentation, shape: tuple[int, ...]) -> None:
    got, mask = augmentation(noise(*shape), FS, None, seeds(shape[0]))
    assert got.shape == shape
    assert torch.isfinite(got).all()
    assert mask.shape == shape[::2]


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(kinds()),
    batch=st.integers(1, 5),
    leads=st.integers(1, 3),
    length=st.integers(1, 700),
    fs=st.sampled_from([900.0, 1000.0, 2000.0, 4000.0, 44100.0]),
    height=st.sampled_from([1e-12, 1e-3, 1.0, 1e4, 1e12]),
    seed=st.integers(-(2**62), 2**62),
)
def test_any_shape_rate_and_height(
    kind: type[Augmentation],
    batch: int,
    leads: int,
    length: int,
    fs: float,
    height: float,
    seed: int,
) -> None:
    signal, mask = noise(batch, leads, length) * height, stretches(batch, length)
    got, moved = one(kind)(signal, fs, mask, seeds(batch, seed))
    assert got.shape == signal.shape
    assert torch.isfinite(got).all()
    assert (got[~moved[:, None].expand_as(got)] == 0).all()
    assert (moved.sum(1) > 0).equal(mask.sum(1) > 0) or kind in (
        augment.PartWise,
        augment.RandomCrop,
    )


@pytest.mark.parametrize("kind", [kind for kind in kinds() if issubclass(kind, Transform)])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.7, 1.0])
def test_each_record_draws_whether_it_is_changed(kind: type[Augmentation], p: float) -> None:
    transform = one(kind)
    assert isinstance(transform, Transform)
    batch = 600
    signal = noise(batch, 1, 64)
    whole, _ = transform(signal, FS, None, seeds(batch))
    got, mask = replace(transform, p=p)(signal, FS, None, seeds(batch))
    hit = (got != signal).any(dim=2)[:, 0] | ~mask.all(dim=1)
    does = float((whole != signal).any(dim=2).float().mean())  # a shift by 0 changes nothing
    error = 4.5 * (p * (1 - p) / batch) ** 0.5
    assert p * does - error <= hit.float().mean() <= p + error
    same = torch.isclose(got[hit], whole[hit], atol=1e-4).flatten(1).all(dim=1)
    # A phase that lies half a turn off may be rounded either way, rarely.
    assert same.float().mean() >= 0.97 if same.numel() else p == 0, "what is done depends on p"


def test_draws_are_uniform_normal_and_independent() -> None:
    draws = Draws(seeds(20000))
    uniform, other = draws.uniform(1, 2), draws.uniform(2, 2)
    columns = [uniform[:, 0], uniform[:, 1], other[:, 0], draws.child(0).uniform(1, 1)[:, 0]]
    columns += [draws.child(1).uniform(1, 1)[:, 0], draws.child(0).child(0).uniform(1, 1)[:, 0]]
    table = torch.stack(columns)
    assert (table >= 0).all()
    assert (table < 1).all()
    shares = torch.stack([column.histc(20, 0, 1) for column in table]) / 20000
    assert (shares - 0.05).abs().max() < 0.008
    correlation = torch.corrcoef(table) - torch.eye(len(table))
    assert correlation.abs().max() < 0.03
    following = torch.corrcoef(torch.stack([uniform[1:, 0], uniform[:-1, 0]]))[0, 1]
    assert abs(following) < 0.03, "neighbouring seeds have nothing to do with each other"
    normal = Draws(seeds(200)).normal(1, 1001)
    assert abs(normal.mean()) < 0.01
    assert abs(normal.std() - 1) < 0.01
    assert abs((normal**4).mean() - 3) < 0.1
    assert torch.corrcoef(normal[:, :6].T).fill_diagonal_(0).abs().max() < 0.3
    count = Draws(seeds(5000)).below(1, torch.full((5000, 1), 7))
    assert torch.bincount(count[:, 0], minlength=7).min() > 600
    assert count.max() == 6


def test_draws_are_the_published_hash() -> None:
    """SplitMix64 from seed 1234567: the first numbers of its authors' reference program."""
    from pahcl.signals.augment import draws

    golden = draws._signed(0x9E3779B97F4A7C15)
    states = torch.tensor([1234567]) + torch.arange(1, 4) * golden
    got = [number % 2**64 for number in draws._mix_(states).tolist()]
    assert got == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_seeds_of_records_are_those_of_their_names_alone() -> None:
    records, epochs = torch.arange(3000), torch.full((3000,), 4)
    made = record_seeds(7, epochs, records)
    assert made.dtype == torch.int64
    order = torch.randperm(3000)
    assert torch.equal(record_seeds(7, epochs[order], records[order]), made[order])
    others = [record_seeds(8, epochs, records), record_seeds(7, epochs + 1, records)]
    others += [record_seeds(7, epochs, records, records), record_seeds(-7, epochs, records)]
    assert len(torch.cat([made, *others]).unique()) == 5 * 3000


@pytest.mark.parametrize(
    "wrong", [torch.arange(3), torch.arange(4).float(), torch.zeros(4, 1, dtype=torch.int64)]
)
def test_seeds_that_do_not_fit_are_refused(wrong: torch.Tensor) -> None:
    with pytest.raises(UsageError, match="one int64 seed for each of the 4 records"):
        AmplitudeScale()(noise(4, 1, 9), FS, None, wrong)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SpecError, match=r"\[B, C, L\]"):
        AmplitudeScale()(noise(4, 9), FS)
    with pytest.raises(SpecError, match="mask"):
        AmplitudeScale()(noise(4, 1, 9), FS, torch.ones(4, 8, dtype=torch.bool))
    with pytest.raises(SpecError, match=r"\[B, K, C, L\]"):
        augment_parts(AmplitudeScale(), noise(4, 1, 9), FS)


def test_rates_that_cannot_hold_it_are_refused_from_within() -> None:
    inner = PartWise(augmentation=augment.RandomApply(augmentation=augment.LowPass()))
    for whole in (inner, Compose(augmentations=(inner,))):
        with pytest.raises(SpecError, match="LowPass: `cutoff` reaches 400 Hz"):
            whole(noise(2, 1, 99), 500.0)
    choice = augment.RandomChoice(augmentations=(augment.FrequencyMask(band=(300.0, 400.0)),))
    with pytest.raises(SpecError, match="begins at 300 Hz"):
        choice(noise(2, 1, 99), 500.0)


WRONG = [
    (lambda: AmplitudeScale(p=1.2), "AmplitudeScale: `p` must be from 0 to 1, got 1.2"),
    (lambda: AmplitudeScale(factor=(2.0, 1.0)), "`factor` must be a least and a greatest"),
    (lambda: TimeShift(max_share=-0.1), "`max_share`"),
    (lambda: GaussianNoise(snr=(float("nan"), 3.0)), "`snr`"),
    (lambda: augment.TimeStretch(speed=(0.0, 1.0)), "`speed`"),
    (lambda: augment.TimeMask(masks=0), "`masks` must be 1 or more"),
    (lambda: augment.ColouredNoise(colours=()), "`colours` must name some of white, pink, brown"),
    (lambda: augment.PitchShift(window=0.0), "`window`"),
    (lambda: augment.RandomChoice(augmentations=()), "`weights`"),
    (
        lambda: augment.RandomChoice(augmentations=(TimeShift(),), weights=(1.0, 2.0)),
        "`weights` must give each of the 1",
    ),
    (lambda: PartWise(augmentation=TimeShift(), parts=0), "`parts`"),
    (lambda: preset("heavy"), "no preset `heavy`; use one of pretrain, finetune, none"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "text"), WRONG, ids=[text for _, text in WRONG])
def test_settings_that_make_no_sense_are_refused(make: object, text: str) -> None:
    with pytest.raises(UsageError, match=text.replace("(", r"\(")):
        make()  # type: ignore[operator]


def test_two_views_are_two_draws_of_one_record() -> None:
    signal, mask = noise(16, 1, 400), stretches(16, 400)
    (one_, _), (other, _) = two_views(preset("pretrain"), signal, FS, mask, seeds(16))
    (again, _), _ = two_views(preset("pretrain"), signal, FS, mask, seeds(16))
    assert torch.equal(one_, again)
    differ = (one_ != other).flatten(1).any(dim=1)
    assert differ[mask.any(dim=1)].all()


def test_parts_that_are_cut_already() -> None:
    parts, scale = noise(5, 4, 1, 80), AmplitudeScale(p=1.0)
    own, mask = augment_parts(scale, parts, FS, None, seeds(5))
    same, _ = augment_parts(scale, parts, FS, None, seeds(5), same=True)
    assert mask.shape == (5, 4, 80)
    factor = (own / parts).mean(dim=(2, 3))
    assert (factor.std(dim=1) > 0).all()
    assert ((same / parts).mean(dim=(2, 3)).std(dim=1) < 1e-6).all()
    # Equal parts of a record by PartWise are the same draws.
    whole = PartWise(augmentation=scale)(parts.transpose(1, 2).flatten(2), FS, None, seeds(5))[0]
    assert torch.equal(whole.view(5, 1, 4, 80).transpose(1, 2), own)


@pytest.mark.parametrize("made", EVERY)
def test_what_moves_sounds_in_time_says_so(made: Augmentation) -> None:
    time = torch.arange(LONG) / FS
    burst = torch.sin(2 * torch.pi * 90 * time) * torch.exp(-(((time - 0.7) / 0.012) ** 2))
    seen, _ = made(burst.expand(BATCH, 1, -1), FS, None, seeds(BATCH))
    loudness = F.avg_pool1d(seen.square(), 31, stride=1, padding=15)[:, 0]
    away = (loudness.argmax(dim=1) / FS - 0.7).abs()
    assert (float(away.quantile(0.75)) > 0.005) == bool(made.movers())


def test_movers_are_named_where_they_may_come_to_act() -> None:
    assert preset("pretrain").movers() == ("TimeShift", "TimeStretch")
    never = RandomApply(augmentation=preset("pretrain"), p=0.0)
    drawn = RandomChoice(augmentations=(Reverse(), TimeShift(), GaussianNoise()), weights=(1, 0, 1))
    assert Compose(augmentations=(never, TimeStretch(p=0.0), drawn)).movers() == ("Reverse",)
