from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from pahcl.errors import SpecError, UsageError
from pahcl.signals.corruption import Corruption
from pahcl.signals.corruptions import (
    ECG_CORRUPTIONS,
    BaselineWander,
    Clipping,
    ElectrodeMotion,
    Gain,
    LeadLoss,
    LeadSwap,
    Mains,
    Muscle,
    TimeShift,
    exchange_cables,
)
from pahcl.signals.electrodes import electrode_matrix, swap_matrix
from pahcl.signals.leads import STANDARD_12, select_leads

FS = 400.0
LEAD = {name: k for k, name in enumerate(STANDARD_12)}
ADDED = (BaselineWander, ElectrodeMotion, Mains, Muscle)
every = pytest.mark.parametrize("kind", ECG_CORRUPTIONS, ids=lambda kind: kind.__name__)


def ecg(records: int = 6, seconds: float = 10.0, fs: float = FS) -> Tensor:
    """Beats in eight independent leads, the other four by Einthoven and Goldberger."""
    rng = np.random.default_rng(1)
    time = np.arange(round(seconds * fs)) / fs
    signal = np.empty((records, 12, len(time)), np.float32)
    for record in signal:
        phase = (time * rng.uniform(0.9, 1.5) + rng.random()) % 1
        qrs, wave = np.exp(-((phase - 0.4) ** 2) / 2e-4), np.exp(-((phase - 0.7) ** 2) / 5e-3)
        eight = rng.normal(1, 0.8, (8, 1)) * qrs + rng.normal(0.2, 0.1, (8, 1)) * wave
        have = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
        record[:] = select_leads(eight.astype(np.float32), have, STANDARD_12)
    return torch.from_numpy(signal)


def own(count: int, seed: int = 0) -> list[Generator]:
    return [Generator().manual_seed(1000 * seed + k) for k in range(count)]


def rms(difference: Tensor) -> float:
    return float(difference.square().mean().sqrt())


@every
def test_more_severe_is_further_away(kind: type[Corruption]) -> None:
    if kind in (LeadSwap, TimeShift):
        pytest.skip("how far an exchange or a shift leads depends on the heart")
    clean = ecg(12)
    distance = [rms(kind()(clean, FS, s, generator=own(12)) - clean) for s in (1, 2, 3, 4, 5)]
    assert distance[0] > 0
    assert distance == sorted(distance)
    assert distance[4] > 1.5 * distance[0]


@every
def test_padding_stays_as_it_is(kind: type[Corruption]) -> None:
    clean = ecg(4, 6.0)
    mask = torch.zeros(4, clean.shape[-1], dtype=torch.bool)
    mask[0] = True
    mask[1, 400:2000] = True
    mask[2, :900] = True  # and nothing at all of the last one
    clean = clean * mask.unsqueeze(1)
    before = clean.clone()
    found = kind()(clean, FS, 5, mask, own(4))
    assert torch.equal(clean, before)
    assert not found[(~mask).unsqueeze(1).expand_as(found)].any()
    assert torch.isfinite(found).all()
    assert not torch.equal(found[:3], clean[:3])


@every
def test_a_record_does_not_depend_on_its_batch(kind: type[Corruption]) -> None:
    clean = ecg(5)
    whole = kind()(clean, FS, 3, generator=own(5))
    alone = [kind()(clean[k : k + 1], FS, 3, generator=[own(5)[k]]) for k in range(5)]
    torch.testing.assert_close(whole, torch.cat(alone), rtol=0, atol=2e-6)
    assert torch.equal(whole, kind()(clean, FS, 3, generator=own(5)))


@every
def test_limb_leads_agree_afterwards(kind: type[Corruption]) -> None:
    if kind in (LeadLoss, Clipping):
        pytest.skip("a flat or a clipped lead no longer agrees with the others")
    found = kind()(ecg(), FS, 4, generator=own(6))
    one, two = found[:, LEAD["I"]], found[:, LEAD["II"]]
    derived = {
        "III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2,
    }  # fmt: skip
    for name, expected in derived.items():
        torch.testing.assert_close(found[:, LEAD[name]], expected, rtol=1e-4, atol=1e-5)


@every
def test_one_generator_and_the_global_one_do(kind: type[Corruption]) -> None:
    clean = ecg(3)
    first = kind()(clean, FS, 2, generator=Generator().manual_seed(3))
    assert torch.equal(first, kind()(clean, FS, 2, generator=Generator().manual_seed(3)))
    assert kind()(clean, FS, 2).shape == clean.shape


@every
def test_no_record_is_no_problem(kind: type[Corruption]) -> None:
    assert kind()(torch.zeros(0, 12, 400), FS, 1, generator=[]).shape == (0, 12, 400)


@every
def test_each_says_its_severity(kind: type[Corruption]) -> None:
    said = [kind().level(severity) for severity in (1, 2, 3, 4, 5)]
    assert len(set(said)) == 5
    assert kind.title


def test_amplitudes_are_in_the_unit_of_the_signal() -> None:
    zero = torch.zeros(2, 12, 4000)
    for kind in ADDED:
        volts = kind(unit="mV")(zero, FS, 3, generator=own(2))
        micro = kind(unit="uV")(zero, FS, 3, generator=own(2))
        torch.testing.assert_close(micro, 1000 * volts)
    rail = Clipping(unit="uV")(torch.full((1, 12, 10), 5000.0), FS, 3)
    assert float(rail.max()) == pytest.approx(1000.0)


def spectrum(signal: Tensor) -> tuple[Tensor, Tensor]:
    return torch.fft.rfftfreq(signal.shape[-1], 1 / FS), torch.fft.rfft(signal).abs().square()


@pytest.mark.parametrize("frequency", [50.0, 60.0])
def test_mains_is_one_line(frequency: float) -> None:
    added = Mains(frequency=frequency)(torch.zeros(8, 12, 4000), FS, 5, generator=own(8))
    frequencies, power = spectrum(added)
    at = (frequencies - frequency).abs() < 0.2
    assert float(power[..., at].sum() / power.sum()) > 0.999
    limbs = added[:, [LEAD["I"], LEAD["II"], LEAD["III"]]]
    assert rms(limbs) == pytest.approx(0.4 / np.sqrt(2), rel=0.25)


def test_wander_lies_between_its_frequencies_and_has_its_size() -> None:
    added = BaselineWander()(torch.zeros(40, 12, round(100 * FS)), FS, 4, generator=own(40))
    frequencies, power = spectrum(added)
    inside = (frequencies > 0.03) & (frequencies < 0.53)
    assert float(power[..., inside].sum() / power.sum()) > 0.99
    assert rms(added[:, :3]) == pytest.approx(0.8 / np.sqrt(2), rel=0.05)


def test_muscle_lies_between_its_frequencies_and_has_its_size() -> None:
    added = Muscle()(torch.zeros(20, 12, 8000), FS, 5, generator=own(20))
    frequencies, power = spectrum(added)
    inside = (frequencies >= 20) & (frequencies <= 150)
    assert float(power[..., inside].sum() / power.sum()) > 0.9999
    assert rms(added[:, :3]) == pytest.approx(0.2, rel=0.02)


def test_a_slow_recording_holds_only_its_part_of_the_muscle_noise() -> None:
    added = Muscle()(torch.zeros(20, 12, 4000), 100.0, 5, generator=own(20))
    assert rms(added[:, :3]) == pytest.approx(0.2 * np.sqrt(30 / 130), rel=0.02)


def test_motion_jumps_at_one_electrode_and_decays() -> None:
    added = ElectrodeMotion()(torch.zeros(30, 12, 4000), FS, 3, generator=own(30))
    largest = added.abs().amax(dim=(1, 2))
    assert (largest > 0.6).all()
    assert (largest < 3.01).all()
    assert float(added.abs().amax(dim=1).median()) < 0.1  # most of the time nothing slips


def test_clipping_and_gain_are_what_they_say() -> None:
    clean = 3 * ecg()
    clipped = Clipping()(clean, FS, 3)
    assert torch.equal(clipped, clean.clamp(-1, 1))
    scaled = Gain()(clean, FS, 5, generator=own(6)) / clean
    factors = {round(float(value), 4) for value in scaled[clean.abs() > 0.1]}
    assert factors == {0.5, 2.0}


def test_a_shift_moves_all_leads_and_holds_the_end() -> None:
    clean = ecg(16)
    found = TimeShift()(clean, FS, 3, generator=own(16))
    directions = set()
    for before, after in zip(clean, found, strict=True):
        if torch.equal(after[:, :-40], before[:, 40:]):
            directions.add("earlier")
            assert torch.equal(after[:, -40:], before[:, -1:].expand(-1, 40))
        else:
            directions.add("later")
            assert torch.equal(after[:, 40:], before[:, :-40])
    assert directions == {"earlier", "later"}


def test_exchanged_arms_by_name() -> None:
    clean = ecg()
    order = ["V1", "aVL", "III", "I", "aVR", "II", "aVF"]  # not the usual one
    part = clean[:, [LEAD[name] for name in order]]
    found = dict(zip(order, exchange_cables(part, order, "LA/RA").unbind(1), strict=True))
    right = {name: clean[:, LEAD[name]] for name in order}
    assert torch.equal(found["I"], -right["I"])
    assert torch.equal(found["II"], right["III"])
    assert torch.equal(found["III"], right["II"])
    assert torch.equal(found["aVR"], right["aVL"])
    assert torch.equal(found["aVL"], right["aVR"])
    assert torch.equal(found["aVF"], right["aVF"])
    assert torch.equal(found["V1"], right["V1"])


@pytest.mark.parametrize("swap", ["LA/RA", "LA/LL", "RA/LL", "V1/V2", "V1/V3", "V1-V6"])
def test_exchanges_follow_from_the_electrodes(swap: str) -> None:
    electrodes, matrix = electrode_matrix(STANDARD_12)
    order = list(range(len(electrodes)))
    if swap == "V1-V6":
        order[3:] = order[:2:-1]
    else:
        a, b = (electrodes.index(name) for name in swap.split("/"))
        order[a], order[b] = b, a
    potential = np.random.default_rng(0).normal(size=(len(electrodes), 50))
    expected = matrix @ potential[order]
    np.testing.assert_allclose(
        swap_matrix(STANDARD_12, swap) @ (matrix @ potential), expected, atol=1e-5
    )


def test_a_source_that_is_not_there_is_derived_or_refused() -> None:
    two = torch.stack([ecg()[:, LEAD["I"]], ecg()[:, LEAD["II"]]], 1)
    found = exchange_cables(two, ("I", "II"), "LA/RA")
    torch.testing.assert_close(found[:, 1], two[:, 1] - two[:, 0])
    with pytest.raises(SpecError, match="Lead III is needed"):
        swap_matrix(("II", "V1"), "LA/RA")
    with pytest.raises(SpecError, match="changes none"):
        swap_matrix(("V1", "V2"), "LA/RA")
    with pytest.raises(SpecError, match="no exchange"):
        swap_matrix(STANDARD_12, "RA/RL")
    assert "Lead I is needed" in LeadSwap(leads=("II", "V1", "V3")).cannot_occur(FS)


def test_a_lost_limb_electrode_takes_its_leads_along() -> None:
    found = LeadLoss()(torch.ones(300, 12, 5), FS, 1, generator=own(300))
    flat = {frozenset(STANDARD_12[k] for k in range(12) if not record[k].any()) for record in found}
    augmented = {"aVR", "aVL", "aVF"}
    assert flat == {
        *(frozenset({f"V{k}"}) for k in range(1, 7)),
        frozenset({"I", "II"} | augmented),  # right arm
        frozenset({"I", "III"} | augmented),  # left arm
        frozenset({"II", "III"} | augmented),  # left leg
    }


def test_lost_electrodes_add_up() -> None:
    clean = torch.ones(200, 12, 3)
    before = torch.zeros(200, 12, dtype=torch.bool)
    for severity in (1, 2, 3, 4, 5):
        flat = LeadLoss()(clean, FS, severity, generator=own(200))[..., 0] == 0
        assert (flat | ~before).all()
        assert flat.float().mean() > before.float().mean()
        before = flat
    limbs_gone = before[:, :6].all(dim=1)
    assert limbs_gone.any()


def test_chest_leads_need_something_to_measure_against() -> None:
    class All(LeadLoss):
        sizes = (9.0,) * 5

    assert not All()(torch.ones(3, 12, 4), FS, 1).any()
    chest = LeadLoss(leads=("V1",))(torch.ones(50, 1, 4), FS, 2, generator=own(50))
    assert set(chest.flatten().tolist()) == {0.0, 1.0}  # four electrodes behind one lead


def test_what_cannot_occur_says_why() -> None:
    slow = torch.zeros(1, 12, 100)
    assert "half the rate of 100 Hz" in Mains().cannot_occur(100.0)
    with pytest.raises(SpecError, match="Mains cannot occur: 50 Hz is not below half"):
        Mains()(slow, 100.0, 1)
    assert Muscle().cannot_occur(40.0)
    sounds = BaselineWander(leads=("PCG",), unit="a.u.")
    assert "not in one of voltage" in sounds.cannot_occur(1000.0)
    assert not Gain(leads=("PCG",), unit="a.u.").cannot_occur(1000.0)


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(UsageError, match="1 to 5"):
        Gain()(ecg(1), FS, 6)
    with pytest.raises(SpecError, match=r"\[B, 12, L\]"):
        Gain()(torch.zeros(1, 8, 10), FS, 1)
    with pytest.raises(UsageError, match="each of the 2 records"):
        Gain()(ecg(2), FS, 1, generator=own(3))


def test_leads_without_a_known_place_count_alone() -> None:
    names, matrix = electrode_matrix(("I", "VX", "odd", "V7"))
    assert names == ("RA", "LA", "LL", "VX", "odd", "V7")
    assert matrix[2].tolist() == [0, 0, 0, 0, 1, 0]
    np.testing.assert_allclose(matrix[3], [-1 / 3, -1 / 3, -1 / 3, 0, 0, 1])
