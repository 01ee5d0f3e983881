"""Attacks with a shape, a pattern or no gradient, and the ensemble."""

import pytest
import torch
from attack_work import MaskedNet, length_of, robust_share, trained, waves
from torch import nn

from pahcl.attacks.apgd import APGD
from pahcl.attacks.band_limited import BandLimitedPGD
from pahcl.attacks.fgsm import FGSM
from pahcl.attacks.n_fgsm import NFGSM
from pahcl.attacks.noise import NoiseControl
from pahcl.attacks.pgd import PGD
from pahcl.attacks.smooth import SmoothAttack, smoothing_kernel
from pahcl.attacks.square import Square, window_share
from pahcl.attacks.universal import UniversalPerturbation
from pahcl.attacks.worst_case import WorstCase
from pahcl.errors import SpecError, UsageError

FS = 96.0


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def share_above(delta, hertz, fs):
    power = torch.fft.rfft(delta.double()).abs().square()
    bins = torch.fft.rfftfreq(delta.shape[-1], 1 / fs)
    return float(power[..., bins > hertz].sum() / power.sum())


def test_one_kernel_is_the_mean_of_twenty_five():
    signal = torch.randn(1, 1, 200)
    copies = []
    for size in (5, 7, 11, 15, 19):
        for sigma in (1.0, 3.0, 5.0, 7.0, 10.0):
            time = torch.arange(size) - size // 2
            kernel = torch.exp(-0.5 * (time / sigma) ** 2)
            kernel = (kernel / kernel.sum()).reshape(1, 1, -1)
            copies.append(nn.functional.conv1d(signal, kernel, padding=size // 2))
    folded = smoothing_kernel(300.0)
    assert folded.numel() == 19
    found = nn.functional.conv1d(signal, folded.reshape(1, 1, -1), padding=9)
    torch.testing.assert_close(found, torch.stack(copies).mean(0), atol=1e-6, rtol=0)
    assert smoothing_kernel(600.0).numel() == 37
    assert float(smoothing_kernel(400.0).sum()) == pytest.approx(1.0)


def test_smooth_perturbations_have_less_of_high_frequencies_and_still_harm():
    signal, labels = waves(64, seed=0)
    options = {"epsilon": 0.2}
    smooth = SmoothAttack(fs=300.0, **options)(trained(), signal, labels)
    plain = PGD(steps=60, **options)(trained(), signal, labels, generator=seeded())
    noise = NoiseControl(**options)(trained(), signal, labels, generator=seeded())
    rough = [share_above(one.signal - signal, 40.0, 300.0) for one in (smooth, plain)]
    assert rough[0] < 0.1 * rough[1]
    assert float(noise.loss.mean()) < float(smooth.loss.mean()) < float(plain.loss.mean())


def test_smooth_refuses_a_rate_that_is_not_the_signals():
    with pytest.raises(SpecError, match="give the signal's own `fs`"):
        SmoothAttack(fs=4000.0)(trained(), *waves(2, seed=0))
    with pytest.raises(UsageError, match="odd"):
        SmoothAttack(sizes=(4,))


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.2), ("l2", 1.0)])
@pytest.mark.parametrize("band", [(0.0, 10.0), (5.0, 20.0)])
def test_the_band_is_kept(norm, epsilon, band):
    signal, labels = waves(64, seed=1)
    options = {"epsilon": epsilon, "norm": norm}
    found = BandLimitedPGD(fs=FS, low=band[0], high=band[1], **options)(trained(), signal, labels)
    delta = found.signal - signal
    assert share_above(delta, band[1] + 1e-6, FS) < 1e-8
    assert 1 - share_above(delta, band[0] - 0.5, FS) < 1e-8
    noise = NoiseControl(**options)(trained(), signal, labels, generator=seeded())
    assert float(found.loss.mean()) > float(noise.loss.mean())
    lengths = length_of(delta, norm)
    assert float(lengths.mean()) > 0.95 * epsilon  # the budget is used


def test_a_band_beyond_half_the_rate_is_refused():
    with pytest.raises(UsageError, match="half the sampling rate"):
        BandLimitedPGD(fs=FS, high=60.0)


def test_a_universal_pattern_is_one_and_carries_over():
    signal, labels = waves(128, seed=2)
    attack = UniversalPerturbation(epsilon=0.15)
    result = attack(trained(), signal, labels)
    deltas = result.signal - signal
    torch.testing.assert_close(deltas, deltas[:1].expand_as(deltas), atol=1e-6, rtol=0)
    batches = [(signal[rows], labels[rows], None) for rows in torch.arange(128).split(32)]
    pattern = attack.fit(trained(), batches)
    assert pattern.shape == (1, 2, 96)
    assert float(pattern.abs().max()) <= 1.0
    fresh, truth = waves(128, seed=3)
    mask = torch.ones(128, 96, dtype=torch.bool)
    mask[:, 90:] = False
    moved = attack.apply(fresh, pattern, mask)
    assert torch.equal(moved[..., 90:], fresh[..., 90:])
    noise = NoiseControl(epsilon=0.15)(trained(), fresh, truth, generator=seeded())
    clean = robust_share(trained(), fresh, truth)
    assert robust_share(trained(), moved, truth) < robust_share(trained(), noise.signal, truth)
    assert robust_share(trained(), moved, truth) < clean - 0.1
    with pytest.raises(UsageError, match="at least one batch"):
        attack.fit(trained(), [])


def test_the_windows_shrink_as_in_the_paper():
    queries = [0, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001]
    shares = [window_share(query, 10_000, 0.8) for query in queries]
    assert shares == [0.8 / 2**power for power in range(10)]
    assert window_share(50, 100, 0.8) == window_share(5000, 10_000, 0.8)


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.05), ("l2", 0.5)])
def test_black_box_and_transfer_do_not_beat_apgd(norm, epsilon):
    signal, labels = waves(128, seed=4)
    options = {"epsilon": epsilon, "norm": norm}
    strong = APGD(steps=20, restarts=2, **options)(trained(), signal, labels, generator=seeded())
    square = Square(queries=200, **options)(trained(), signal, labels, generator=seeded())
    noise = NoiseControl(**options)(trained(), signal, labels, generator=seeded())
    torch.manual_seed(5)
    stranger = MaskedNet(2, 2, 16)
    optimiser = torch.optim.Adam(stranger.parameters(), 3e-3)
    for _ in range(40):
        loss = nn.functional.binary_cross_entropy_with_logits(stranger(signal), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    carried = APGD(steps=20, **options)(stranger, signal, labels, generator=seeded())
    shares = {
        name: robust_share(trained(), one.signal, labels)
        for name, one in {"apgd": strong, "square": square, "transfer": carried}.items()
    }
    assert shares["apgd"] <= min(shares["square"], shares["transfer"])
    assert float(noise.loss.mean()) < float(square.loss.mean()) < float(strong.loss.mean())


def test_square_sees_through_hidden_gradients():
    """A model that rounds its logits gives no gradient: what looks robust to APGD is not."""

    class Rounded(nn.Module):
        def forward(self, signal):
            outputs = trained()(signal)
            return outputs.round() + 0.0 * outputs

    signal, labels = waves(64, seed=5)
    options = {"epsilon": 0.15}
    climbed = APGD(steps=20, **options)(Rounded(), signal, labels, generator=seeded())
    tried = Square(queries=300, **options)(Rounded(), signal, labels, generator=seeded())
    shares = [robust_share(Rounded(), one.signal, labels) for one in (climbed, tried)]
    assert shares[1] < shares[0]


def test_the_worst_of_several():
    signal, labels = waves(64, seed=6)
    members = (APGD(steps=5), APGD(steps=5, loss="margin"), Square(queries=20))
    worst = WorstCase(epsilon=0.04, attacks=members)(trained(), signal, labels, generator=seeded())
    assert (worst.gradient_calls, worst.forward_calls) == (12, 20 + 3)
    alone = [
        member.with_epsilon(0.04)(trained(), signal, labels, generator=seeded(seed))
        for seed, member in enumerate(members)
    ]
    shares = [robust_share(trained(), one.signal, labels) for one in alone]
    assert robust_share(trained(), worst.signal, labels) <= min(shares) + 2 / 64


def test_a_member_brings_its_search_alone():
    with pytest.raises(UsageError, match="its member APGD sets `epsilon`"):
        WorstCase(attacks=(APGD(epsilon=0.3),))
    with pytest.raises(UsageError, match="leaves the budget"):
        WorstCase(attacks=(NFGSM(),))
    with pytest.raises(UsageError, match="knows the norms"):
        WorstCase(attacks=(Square(),), norm="l1")
    assert len(WorstCase(norm="l1").attacks) == 2
    assert len(WorstCase().attacks) == 3
    kept = WorstCase(epsilon=0.3, attacks=[APGD(epsilon=0.3)])
    assert isinstance(kept.attacks, tuple)


def test_estimates_are_attacked_by_their_error():
    signal, labels = waves(16, seed=7)
    worst = WorstCase(epsilon=0.05, loss="mse")(trained(), signal, labels, generator=seeded())
    single = FGSM(epsilon=0.05, loss="mse")(trained(), signal, labels)
    assert float(worst.loss.mean()) > float(single.loss.mean())


def test_n_fgsm_says_how_far_it_goes():
    signal, labels = waves(32, seed=8)
    attack = NFGSM(epsilon=0.02)
    result = attack(trained(), signal, labels, generator=seeded())
    reach = float((result.signal - signal).abs().max())
    assert result.budget_factor == attack.budget_factor == 3.0
    assert 0.058 < reach <= 0.06 + 1e-6


def test_the_final_loss_can_be_spared():
    signal, labels = waves(4, seed=9)
    result = NFGSM(final_loss=False)(trained(), signal, labels)
    assert result.loss.isnan().all()
    assert (result.gradient_calls, result.forward_calls) == (1, 0)
