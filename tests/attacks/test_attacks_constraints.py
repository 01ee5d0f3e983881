"""Balls by record and lead, masks, boxes and the leads' equations."""

import pytest
import torch
from attack_work import MaskedNet, length_of, waves
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pahcl.attacks.constraints import Ball, LeadMap, amplitude
from pahcl.attacks.pgd import PGD
from pahcl.errors import UsageError
from pahcl.signals.leads import STANDARD_12, select_leads

MIMIC = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")


def derived(first, second):
    return {
        "III": second - first, "aVR": -(first + second) / 2,
        "aVL": first - second / 2, "aVF": second - first / 2,
    }  # fmt: skip


@example(  # a rounding error beside the box
    seed=662, norm="linf", leads=STANDARD_12, by_lead=False, box=(-0.7, 0.9), masked=False
)
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    norm=st.sampled_from(["linf", "l2", "l1"]),
    leads=st.sampled_from([STANDARD_12, MIMIC, ("II", "I", "V2"), ("V1", "aVL", "II", "I")]),
    by_lead=st.booleans(),
    box=st.sampled_from([None, (-0.7, 0.9)]),
    masked=st.booleans(),
)
def test_leads_stay_consistent_within_every_budget(seed, norm, leads, by_lead, box, masked):
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randn(2, len(leads), 9, generator=generator)
    radius = torch.rand(2, len(leads) if by_lead else 1, 1, generator=generator) * 0.3 + 0.01
    free = torch.rand(2, 1, 9, generator=generator) < 0.8 if masked else None
    ball = Ball(clean, norm, radius, free, box, LeadMap(leads))
    far = clean + torch.randn(clean.shape, generator=generator)
    point = ball.project(far.clone())
    delta = point - clean
    rows = {name: delta[:, index] for index, name in enumerate(leads)}
    for name, expected in derived(rows["I"], rows["II"]).items():
        if name in leads:
            torch.testing.assert_close(rows[name], expected, atol=2e-6, rtol=0)
    if by_lead:
        lengths = length_of(delta.flatten(0, 1), norm).reshape(2, -1)
        assert (lengths <= radius[..., 0] * (1 + 1e-5) + 2e-6).all()
    else:
        assert (length_of(delta, norm) <= radius[:, 0, 0] * (1 + 1e-5) + 2e-6).all()
    if free is not None:
        assert torch.equal(torch.where(free, 0.0, delta), torch.zeros_like(delta))
    if box is not None:
        assert (point <= clean.clamp(min=box[1]) + 1e-6).all()
        assert (point >= clean.clamp(max=box[0]) - 1e-6).all()
    # Scaling at an instant rounds: what is in the set stays there, but for its last digits.
    torch.testing.assert_close(ball.project(point.clone()), point, atol=2e-4, rtol=0)


def test_the_map_agrees_with_the_readers_leads():
    recorded = torch.randn(1, 12, 30)
    expected = select_leads(recorded[0, :2].numpy(), ("I", "II"), STANDARD_12[:6])
    found = LeadMap(STANDARD_12).derive_(recorded.clone())
    torch.testing.assert_close(found[0, :6], torch.from_numpy(expected))
    assert torch.equal(found[:, 6:], recorded[:, 6:])


def test_the_nearest_consistent_signal_is_an_orthogonal_projection():
    leads = LeadMap(STANDARD_12)
    values, other = torch.randn(2, 3, 12, 8).unbind(0)
    near = leads.nearest(values)
    torch.testing.assert_close(leads.nearest(near), near)
    inner = ((values - near) * leads.nearest(other)).sum()
    assert abs(float(inner)) < 1e-4


def test_the_pulled_gradient_follows_the_chain_rule():
    leads = LeadMap(STANDARD_12)
    gradient = torch.randn(1, 12, 4)
    limbs = torch.randn(1, 2, 4, requires_grad=True)
    whole = torch.cat([limbs, torch.zeros(1, 10, 4)], 1)
    first, second = whole[:, 0], whole[:, 1]
    rows = {"I": first, "II": second, **derived(first, second)}
    signal = torch.stack([rows.get(name, torch.zeros(1, 4)) for name in STANDARD_12], 1)
    (expected,) = torch.autograd.grad((signal * gradient).sum(), limbs)
    torch.testing.assert_close(leads.pull(gradient)[:, :2], expected)
    assert torch.equal(leads.pull(gradient)[:, 2:6], torch.zeros(1, 4, 4))


@pytest.mark.parametrize("names", [("I", "III"), ("II", "aVF", "V1"), ("aVR",)])
def test_a_derived_lead_without_its_sources_is_refused(names):
    with pytest.raises(UsageError, match="made of I and II, but lacks"):
        LeadMap(names)


def test_leads_without_derived_ones_are_free():
    assert not LeadMap(("I", "II", "V1"))
    assert not LeadMap(("V1", "V2"))


def test_shrinking_keeps_directions_in_time():
    clean = torch.zeros(2, 3, 40)
    ball = Ball(clean, "linf", torch.full((2, 1, 1), 0.1))
    delta = torch.randn(2, 3, 40)
    ratio = ball.shrink(delta) / delta
    torch.testing.assert_close(ratio, ratio[..., :1].expand_as(ratio))
    assert float(ball.shrink(delta).abs().max()) == pytest.approx(0.1)


def test_amplitudes_are_measured_on_the_real_signal():
    signal = torch.randn(3, 2, 50)
    real = torch.ones(3, 1, 50, dtype=torch.bool)
    real[1, :, 20:] = False
    real[2] = False
    spoiled = signal.clone()
    spoiled[1, :, 20:] = 1e6
    for kind in ("rms", "mad", "peak"):
        alone = amplitude(signal[1:2, :, :20], None, kind)
        found = amplitude(spoiled, real, kind)
        torch.testing.assert_close(found[1:2], alone)
        assert float(found[2]) == 0.0
    torch.testing.assert_close(amplitude(signal, None, "rms"), signal.square().mean((1, 2)).sqrt())
    assert torch.equal(amplitude(signal, None, "peak"), signal.abs().amax((1, 2)))
    middle = signal.flatten(1).median(1, keepdim=True).values
    expected = (signal.flatten(1) - middle).abs().median(1).values
    torch.testing.assert_close(amplitude(signal, None, "mad"), expected)


def test_a_relative_epsilon_follows_the_record():
    signal, labels = waves(4, seed=0)
    signal = signal * torch.tensor([1.0, 2.0, 0.5, 0.0]).reshape(4, 1, 1)
    attack = PGD(epsilon=0.1, relative_to="rms", steps=2, lead_epsilon=(1.0, 0.5))
    delta = attack(MaskedNet(2, 2), signal, labels).signal - signal
    rms = signal.square().mean((1, 2)).sqrt()
    torch.testing.assert_close(delta.abs().amax(2)[:, 0], 0.1 * rms, atol=1e-6, rtol=0)
    torch.testing.assert_close(delta.abs().amax(2)[:, 1], 0.05 * rms, atol=1e-6, rtol=0)
