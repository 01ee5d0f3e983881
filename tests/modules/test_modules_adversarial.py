import copy
import logging

import pytest
import torch
from torch.utils.data import DataLoader
from toy_data import ToyData, quiet_trainer, small_encoder, small_model

from pahcl.attacks.apgd import APGD
from pahcl.attacks.band_limited import BandLimitedPGD
from pahcl.attacks.fgsm import FGSM
from pahcl.attacks.fgsm_rs import FGSMRS
from pahcl.attacks.n_fgsm import NFGSM
from pahcl.attacks.noise import NoiseControl
from pahcl.attacks.pgd import PGD
from pahcl.attacks.worst_case import WorstCase
from pahcl.encoders.pooling import Flatten
from pahcl.errors import PahclError, UsageError
from pahcl.modules._in_parts import InParts
from pahcl.modules._twin_norms import batch_norms
from pahcl.modules.adversarial import AdversarialPretraining
from pahcl.modules.averaging import EMA
from pahcl.modules.checkpoint import load
from pahcl.modules.free import FreeAdversarialPretraining
from pahcl.modules.guard import Guard
from pahcl.objectives.robust import MART, TRADES, Mixed
from pahcl.objectives.schedules import Constant, Exponential, Linear
from pahcl.signals.spec import SignalSpec
from pahcl.transfer.strategies import LinearProbe

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*smaller than the logging interval"
)
KINDS = ("binary", "multilabel", "multiclass", "regression")


def robust_model(seed=0, method=AdversarialPretraining, **arguments):
    torch.manual_seed(seed)
    settings = {"attack": APGD(epsilon=0.1, steps=2), "warmup_epochs": 0, "lr": 1e-2}
    return method(encoder=small_encoder(), **{**settings, **arguments})


def fit(model, data=None, **settings):
    trainer = quiet_trainer(**settings)
    trainer.fit(model, datamodule=data or ToyData("multilabel"))
    return trainer


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


class SteppedError(Exception):
    pass


class FirstStep:
    """Run a training until its first gradients are there, and keep them and the buffers."""

    def __init__(self, model, data, **settings):
        def keep(*_):
            self.gradients = gradients(model)
            self.buffers = {name: x.clone() for name, x in model.named_buffers()}
            raise SteppedError

        model.on_before_optimizer_step = keep
        torch.manual_seed(1)  # of the head
        with pytest.raises(SteppedError):
            fit(model, data, **settings)


def by_hand(model, batch, attack, weight):
    """Differentiate (1 - weight) clean + weight adversarial at once, as one reads the formula."""
    model.train()
    signal, mask, target = batch["signal"], batch["mask"], batch["target"]
    clean_sums, weights = model.losses(model(signal, mask), target)
    told = target
    if model.task.kind == "regression":
        told = (target - model.target_mean) / model.target_std
    attacked = attack(model, signal, told, mask).signal
    model.train()
    sums, _ = model.losses(model(attacked, mask), target)
    loss = ((1 - weight) * clean_sums.sum() + weight * sums.sum()) / weights.sum()
    model.zero_grad()
    loss.backward()
    return gradients(model)


@pytest.mark.parametrize("kind", KINDS)
def test_the_step_is_the_gradient_of_the_mixed_loss(kind):
    data = ToyData(kind)
    # From the clean signal, so that both sides attack alike whatever was drawn before.
    loss = "mse" if kind == "regression" else None
    attack = PGD(epsilon=0.1, steps=3, random_start=False, loss=loss)
    model = robust_model(
        attack=attack, objective=Mixed(weight=0.3), epsilon_schedule=Constant(), guard=None
    )
    step = FirstStep(model, data)
    other = robust_model(attack=attack)
    data.setup("fit")
    other.adopt(data.task, data.spec, data.label_statistics)
    other.load_state_dict({**other.state_dict(), **dict(model.named_parameters())}, strict=False)
    expected = by_hand(other, next(iter(data.train_dataloader())), attack, 0.3)
    assert step.gradients.keys() == expected.keys()
    for name, found in step.gradients.items():
        assert torch.allclose(found, expected[name], rtol=1e-4, atol=1e-6), name
    # Each pass in training mode moves the statistics once, the attack not at all.
    for name, found in dict(other.named_buffers()).items():
        assert torch.allclose(step.buffers[name].float(), found.float(), atol=1e-5), name


def test_parts_add_up_under_any_scale():
    torch.manual_seed(0)
    weight, other = torch.randn(3, requires_grad=True), torch.randn(2, requires_grad=True)
    signal = torch.randn(3, requires_grad=True)
    for scale in (None, lambda value: value * 4096.0):
        total = InParts([weight, other], scale)
        total.add((weight**2).sum())
        (found,) = total.add((weight * signal).sum() * 3.0, also=(signal,))
        assert torch.allclose(found, 3 * weight.detach())
        whole = total.total()
        assert whole.item() == pytest.approx(
            ((weight**2).sum() + 3 * (weight * signal).sum()).item(), rel=1e-5
        )
        weight.grad = other.grad = None
        (whole / 2).backward()
        assert torch.allclose(weight.grad, (2 * weight + 3 * signal).detach() / 2, atol=1e-6)
        assert torch.equal(other.grad, torch.zeros(2))
        assert signal.grad is None


def test_only_one_graph_lives_at_a_time():
    alive, most = set(), []

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            ctx.token = object()
            alive.add(id(ctx))
            most.append(len(alive))
            return value.clone()

        @staticmethod
        def backward(ctx, upstream):
            alive.discard(id(ctx))
            return upstream

    model = robust_model(guard=None)
    outputs = model.forward
    model.forward = lambda signal, mask=None: Watched.apply(outputs(signal, mask))
    fit(model, max_epochs=1, limit_train_batches=2, limit_val_batches=0)
    assert len(most) == 2 * (3 + 2)
    assert max(most) == 1


def test_the_warm_up_is_clean_training_to_the_bit():
    plain, warm = small_model(), robust_model(warmup_epochs=2, separate_norm=True)
    warm.load_state_dict(plain.state_dict(), strict=False)
    seen = {}

    def look(*_, model=warm):
        seen[model.current_epoch] = copy.deepcopy(model.state_dict())

    warm.on_validation_end = look
    for model, epochs in ((plain, 2), (warm, 3)):
        torch.manual_seed(1)  # of the head, which is made when its task is known
        fit(model, max_epochs=epochs)
    for name, value in plain.state_dict().items():
        assert torch.equal(seen[1][name], value), name
    assert any(not torch.equal(seen[2][n], v) for n, v in plain.state_dict().items())


def test_epsilon_follows_the_published_schedule():
    model = robust_model(attack=PGD(epsilon=0.05, steps=1), warmup_epochs=10, guard=None)
    seen = []
    model.on_train_epoch_end = lambda: seen.append(
        model.present_attack().epsilon if model.attacking else None
    )
    fit(model, max_epochs=20, limit_train_batches=1, limit_val_batches=0)
    assert seen[:10] == [None] * 10
    published = [0.001, 0.00154, 0.00239, 0.00368, 0.00569, 0.00879, 0.0136, 0.0210, 0.0324, 0.05]
    assert seen[10:] == pytest.approx(published, rel=5e-3)


@pytest.mark.parametrize(
    ("arguments", "forward", "backward"),
    [
        ({"attack": APGD(steps=10)}, 13, 13),
        ({"attack": APGD(steps=3), "objective": Mixed(weight=1.0)}, 5, 5),
        ({"attack": FGSMRS(), "objective": Mixed(weight=1.0)}, 2, 2),
        ({"attack": NFGSM()}, 3, 3),
        ({"attack": PGD(steps=10), "objective": TRADES()}, 13, 12),
        ({"attack": PGD(steps=10), "objective": MART()}, 12, 12),
        ({"method": FreeAdversarialPretraining, "attack": None, "replays": 3}, 3, 3),
    ],
)
def test_passes_are_counted(arguments, forward, backward):
    calls = {"forward": 0}
    model = robust_model(guard=None, **arguments)

    def count(*_):
        calls["forward"] += 1

    model.encoder.register_forward_hook(count)
    trainer = fit(model, max_epochs=1, limit_val_batches=0)
    account = model.cost.to_dict()["adversarial"]
    assert account["steps"] == 3
    assert account["forward"] == calls["forward"] == 3 * forward
    assert account["backward"] == 3 * backward
    assert account["seconds"] > 0
    assert float(trainer.callback_metrics["cost/forward_passes"]) == forward
    assert model.cost.clean.steps == 0
    assert model.cost.wall_time_ratio is None


def test_the_ratio_of_wall_times_needs_both_kinds_of_step():
    model = robust_model(warmup_epochs=1)
    fit(model, max_epochs=2)
    assert model.cost.wall_time_ratio > 1.0
    assert model.cost.guard.backward == 3 + 11


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("objective", [Mixed(), TRADES(), MART()], ids=lambda o: type(o).__name__)
def test_every_objective_learns_every_kind_of_task(kind, separate, objective):
    if kind == "regression" and isinstance(objective, MART):
        return
    data = ToyData(kind)
    model = robust_model(objective=objective, separate_norm=separate, guard=None)
    trainer = fit(model, data, max_epochs=8)
    metric = {"binary": "auroc", "regression": "r2"}.get(kind, "macro_auroc")
    assert float(trainer.callback_metrics[f"val/{metric}"]) > 0.7


def test_training_with_an_attack_bears_it():
    attack = APGD(epsilon=0.4, steps=5)
    losses = {}
    for name, model in (
        ("clean", small_model(encoder=small_encoder())),
        ("robust", robust_model(attack=attack, epsilon_schedule=Linear(), warmup_epochs=3)),
    ):
        data = ToyData("multilabel", records=96)
        fit(model, data, max_epochs=15, limit_val_batches=0)
        batch = next(iter(data.loader()))
        judge = APGD(epsilon=0.4, steps=20)
        found = judge(model, batch["signal"], batch["target"], batch["mask"])
        losses[name] = float(found.loss.mean())
    assert losses["robust"] < 0.8 * losses["clean"]


def test_attacked_signals_have_norms_of_their_own():
    data = ToyData("multilabel")
    model = robust_model(separate_norm=True, warmup_epochs=1, guard=None)
    norms = batch_norms(model)
    start = {name: copy.deepcopy(norm.state_dict()) for name, norm in norms.items()}
    seen = []

    def look(batch, batch_idx):
        seen.append(
            (copy.deepcopy(model.adversarial_norm[0].state_dict()), model.attacking, batch_idx)
        )

    step = model.training_step

    def stepped(batch, batch_idx):
        made = step(batch, batch_idx)
        look(batch, batch_idx)
        return made

    model.training_step = stepped
    fit(model, data, max_epochs=2, limit_val_batches=0)
    clean, own = next(iter(norms.values())), model.adversarial_norm[0]
    assert torch.equal(seen[2][0]["running_mean"], next(iter(start.values()))["running_mean"])
    # 3 clean steps, then 3 with both: one update of each norm a step, none by the attack.
    assert int(clean.num_batches_tracked) == 6
    assert int(own.num_batches_tracked) == 3 + 3
    assert not torch.equal(clean.running_mean, own.running_mean)
    assert not torch.equal(clean.weight, own.weight)


def test_separate_norms_are_what_the_attack_sees():
    data = ToyData("binary")
    model = robust_model(separate_norm=True)
    data.setup("fit")
    model.adopt(data.task, data.spec, {})
    model.eval()
    batch = next(iter(data.train_dataloader()))
    same = model(batch["signal"], batch["mask"])
    assert torch.equal(model.adversarial_forward(batch["signal"], batch["mask"]), same)
    with torch.no_grad():
        model.adversarial_norm[0].bias += 1.0
    seen = model.attacked()(batch["signal"], batch["mask"])
    assert not torch.allclose(seen, same)
    assert torch.equal(model(batch["signal"], batch["mask"]), same)


@pytest.mark.parametrize("separate", [False, True])
def test_checkpoints_make_the_model_again(separate, tmp_path):
    model = robust_model(separate_norm=separate, warmup_epochs=1)
    trainer = fit(model, max_epochs=2)
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    again = load(path)
    assert isinstance(again, AdversarialPretraining)
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    torch.load(path, weights_only=True)
    # Its encoder carries over to plain fine-tuning.
    tuned = small_model(pretrained=str(path))
    fit(tuned, limit_train_batches=0, limit_val_batches=0)
    assert tuned.load_report is not None


@pytest.mark.parametrize(
    "arguments",
    [
        {"separate_norm": True},
        {"method": FreeAdversarialPretraining, "attack": None},
        {"attack": NoiseControl(epsilon=0.2), "guard": Guard(least_share=0.9, least_gain=0.0)},
    ],
    ids=["norms", "free", "strengthened"],
)
def test_a_resumed_run_ends_with_the_same_weights(arguments, tmp_path):
    from pahcl.modules.callbacks import StepSeed

    def run(epochs, checkpoint=None, **more):
        model = robust_model(warmup_epochs=1, epsilon_schedule=Exponential(), **arguments)
        trainer = quiet_trainer(max_epochs=4, callbacks=[StepSeed(0)], **more)
        model.scheduled_epochs = 4
        if epochs < 4:
            trainer.fit_loop.max_epochs = 4
            end = model.on_train_epoch_end

            def stop():
                end()
                trainer.should_stop = model.current_epoch + 1 == epochs

            model.on_train_epoch_end = stop
        trainer.fit(model, datamodule=ToyData("multilabel"), ckpt_path=checkpoint)
        return model, trainer

    whole, _ = run(4)
    _, trainer = run(2)
    path = tmp_path / "half.ckpt"
    trainer.save_checkpoint(path)
    resumed, _ = run(4, str(path))
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    assert resumed.watchman.state_dict() == whole.watchman.state_dict()
    a, b = whole.cost.to_dict(), resumed.cost.to_dict()
    assert a["adversarial"]["forward"] == b["adversarial"]["forward"]


BLIND = {"attack": NoiseControl(epsilon=0.3), "epsilon_schedule": Constant()}


def test_the_guard_strengthens_an_attack_that_finds_nothing(caplog):
    model = robust_model(**BLIND, guard=Guard(least_gain=0.001))
    with caplog.at_level(logging.WARNING):
        trainer = fit(model, max_epochs=3)
    assert "Catastrophic overfitting" in caplog.text
    assert caplog.text.count("takes its place") == 1
    assert isinstance(model.present_attack(), PGD)
    assert model.present_attack().epsilon == 0.3
    assert model.watchman.acted_in is not None
    assert float(trainer.callback_metrics["guard/share"]) > 0.3, "the new attack is a sound one"


def test_the_guard_can_stop_or_only_warn(caplog):
    with pytest.raises(PahclError, match="Catastrophic overfitting in epoch"):
        fit(robust_model(**BLIND, guard=Guard(least_gain=0.001, action="stop")), max_epochs=3)
    model = robust_model(**BLIND, guard=Guard(least_gain=0.001, action="warn"))
    with caplog.at_level(logging.WARNING):
        fit(model, max_epochs=3)
    assert "goes on as it is" in caplog.text
    assert isinstance(model.present_attack(), NoiseControl)


def test_the_guard_leaves_a_sound_attack_alone(caplog):
    model = robust_model(guard=Guard(least_gain=0.0))
    with caplog.at_level(logging.WARNING):
        fit(model, max_epochs=4)
    assert "Catastrophic" not in caplog.text
    assert model.watchman.acted_in is None


def test_best_is_the_last_epoch_unless_validation_is_to_choose():
    for kind, mode in (("multilabel", "max"), ("regression", "min")):
        model = robust_model(choose="validation")
        trainer = fit(model, ToyData(kind))
        assert model.kept_by is None
        assert model.task.mode == mode
        primary = model.task.primary_metric
        logged = trainer.callback_metrics
        assert float(logged[model.monitor]) == float(logged[f"val/{primary}"])
        # What rates and patience follow is the same; only the kept checkpoint is another.
        last = robust_model(choose="last")
        assert float(fit(last, ToyData(kind)).callback_metrics[last.monitor]) == float(
            logged[model.monitor]
        )
        assert last.kept_by == ("step", "max")


def test_the_free_variant_moves_the_perturbation_by_the_shared_gradient():
    model = robust_model(
        method=FreeAdversarialPretraining,
        attack=FGSM(epsilon=0.2),
        replays=3,
        guard=None,
        epsilon_schedule=Constant(),
    )
    seen = []
    forward = model.forward

    def look(signal, mask=None):
        if model.training:
            seen.append(signal.detach().clone())
        return forward(signal, mask)

    model.forward = look
    data = ToyData("binary")
    trainer = fit(model, data, max_epochs=1, limit_train_batches=1, limit_val_batches=0)
    batch = next(iter(data.train_dataloader()))
    assert len(seen) == 3
    for signal in seen:
        delta = signal.double() - batch["signal"].double()
        assert delta.abs().max() <= 0.2 * (1 + 1e-6)
        assert delta[::3, :, 48:].abs().max() == 0  # padding
    assert not torch.equal(seen[0], seen[1])
    steps = trainer.optimizers[0].state_dict()["state"][0]["step"]
    assert int(steps) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"warmup_epochs": -1}, "warmup_epochs"),
        ({"attack": APGD(epsilon=0.0)}, "ends above 0"),
        ({"objective": TRADES(), "attack": FGSM()}, "starts at random"),
        ({"objective": TRADES(), "attack": PGD(loss="margin")}, "own answer"),
        ({"objective": TRADES(), "attack": PGD(random_start=False)}, "starts at random"),
        ({"objective": TRADES(), "attack": BandLimitedPGD()}, "starts at random"),
        ({"objective": TRADES(), "attack": WorstCase(attacks=(FGSM(),))}, "starts at random"),
        ({"objective": Mixed(weight=1.0), "separate_norm": True}, "clean signals too"),
        ({"epsilon_schedule": Linear(start=-0.1)}, "`epsilon` must be 0 or more"),
        ({"weight_schedule": Linear(start=3.0)}, "between 0 and 1"),
        ({"method": FreeAdversarialPretraining, "replays": 1}, "replays"),
        ({"method": FreeAdversarialPretraining, "guard": Guard()}, "warn or stop"),
        ({"method": FreeAdversarialPretraining, "objective": TRADES()}, "no clean pass"),
    ],
)
def test_contradictions_are_refused(arguments, words):
    with pytest.raises(UsageError, match=words):
        robust_model(**arguments)


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("multilabel", {"attack": APGD(loss="dlr")}, "dlr"),
        ("multilabel", {"attack": APGD(labels=(5,))}, "names output 5"),
        ("regression", {"objective": MART()}, "needs classes"),
    ],
)
def test_what_does_not_go_with_the_task_is_refused_before_the_warm_up(kind, arguments, words):
    model = robust_model(warmup_epochs=5, **arguments)
    with pytest.raises(UsageError, match=words):
        fit(model, ToyData(kind), max_epochs=6)
    assert model.cost.clean.steps == 0


def test_a_run_without_an_attacked_epoch_is_refused():
    with pytest.raises(UsageError, match="nothing would be attacked"):
        fit(robust_model(warmup_epochs=3), max_epochs=3)
    with pytest.raises(UsageError, match="max_epochs"):
        fit(robust_model(), max_epochs=-1, max_steps=2)
    with pytest.raises(UsageError, match=r"trainer\.precision 64-true"):
        fit(robust_model(), precision="64-true")
    with pytest.raises(UsageError, match="accumulate_grad_batches"):
        fit(robust_model(method=FreeAdversarialPretraining), accumulate_grad_batches=2)


@pytest.mark.parametrize("normalisation", ["none", "zscore_record", "zscore_lead"])
def test_consistent_leads_need_leads_of_one_scale(normalisation):
    spec = SignalSpec(
        "ecg", fs=100.0, length=64, leads=("I", "II", "III"), normalisation=normalisation
    )
    data = ToyData("binary", spec=spec)
    torch.manual_seed(0)
    model = AdversarialPretraining(
        small_encoder(leads=3),
        attack=PGD(epsilon=0.1, steps=2),
        warmup_epochs=0,
        consistent_leads=True,
    )
    if normalisation == "zscore_lead":
        with pytest.raises(UsageError, match="zscore_lead"):
            fit(model, data)
        return
    fit(model, data)
    batch = next(iter(data.train_dataloader()))
    attacked = model.present_attack()(model, batch["signal"], batch["target"], batch["mask"])
    delta = attacked.signal - batch["signal"]
    assert delta.abs().max() > 0
    assert torch.allclose(delta[:, 2], delta[:, 1] - delta[:, 0], atol=1e-6)


def test_under_bfloat16_the_budget_holds_in_float32():
    seen = []

    class Watching(AdversarialPretraining):
        def adversarial_forward(self, signal, mask=None):
            seen.append((signal.detach().clone(), torch.is_autocast_enabled("cpu")))
            return super().adversarial_forward(signal, mask)

    torch.manual_seed(0)
    data = ToyData("multilabel")
    model = Watching(
        small_encoder(),
        attack=APGD(epsilon=0.01, steps=3),
        warmup_epochs=0,
        epsilon_schedule=Constant(),
        guard=None,
    )
    fit(model, data, max_epochs=3, precision="bf16-mixed")
    clean = [batch["signal"] for batch in data.train_dataloader()] * 3
    assert len(seen) == 9
    for (attacked, autocast), signal in zip(seen, clean, strict=True):
        assert autocast
        assert attacked.dtype == torch.float32
        delta = (attacked.double() - signal.double()).abs()
        # Half a float32 digit of the sum is all that the budget may be missed by.
        assert (delta <= 0.01 + signal.abs() * 2**-24 + 1e-9).all()
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_attacks_in_seconds_follow_the_rate_of_the_data():
    model = robust_model(attack=BandLimitedPGD(epsilon=0.1, steps=1, fs=400.0, high=20.0))
    fit(model, max_epochs=1)
    assert model.present_attack().fs == 100.0


def test_the_guard_gathers_its_records_over_batches():
    seen = []
    model = robust_model(guard=Guard(records=20))
    look = model.watchman.look

    def watched(network, attack, signal, target, mask):
        seen.append((len(signal), len(target), len(mask)))
        return look(network, attack, signal, target, mask)

    model.watchman.look = watched
    fit(model, ToyData("multilabel", batch_size=8), max_epochs=2)
    assert seen == [(20, 20, 20)] * 2


def test_the_guard_compares_within_the_budget():
    """N-FGSM leaves the ball; what it finds there does not count."""
    data = ToyData("multilabel")
    model = robust_model(attack=NFGSM(epsilon=0.1))
    fit(model, data, max_epochs=3)
    batch = next(iter(data.loader()))
    given = batch["signal"], batch["target"], batch["mask"]
    verdict = model.watchman.look(model, model.attack, *given)
    found = model.attack(model, *given, torch.Generator().manual_seed(0)).signal
    inside = torch.minimum(torch.maximum(found, given[0] - 0.1), given[0] + 0.1)
    with model.attack.opened(model, *given) as oracle:
        gain = (oracle.ask(inside).loss - oracle.ask(given[0]).loss).mean()
    assert verdict.gain == pytest.approx(float(gain), abs=1e-6)


def test_frozen_norms_have_frozen_twins():
    model = robust_model(strategy=LinearProbe(), separate_norm=True)
    fit(model, max_epochs=2)
    assert not any(weight.requires_grad for weight in model.adversarial_norm.parameters())
    names = [group["name"] for group in model.configure_optimizers().param_groups]
    assert names == ["head"]
    for twin, norm in zip(model.adversarial_norm, batch_norms(model).values(), strict=True):
        assert torch.equal(twin.weight, norm.weight)


def test_a_guard_without_validation_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        fit(robust_model(), limit_val_batches=0)
    assert "validates on none" in caplog.text


def test_checkpoints_of_earlier_runs_have_no_account(tmp_path):
    model = robust_model()
    trainer = fit(model, max_epochs=1)
    path = tmp_path / "old.ckpt"
    trainer.save_checkpoint(path)
    kept = torch.load(path, weights_only=True)
    del kept["cost"], kept["guard"]
    torch.save(kept, path)
    again = robust_model()
    quiet_trainer().test(again, datamodule=ToyData("multilabel"), ckpt_path=path, verbose=False)
    assert again.cost.adversarial.steps == 0


def test_accumulation_adds_the_gradients_of_its_batches():
    attack = PGD(epsilon=0.1, steps=1, random_start=False)
    found = []
    for data, batches in ((ToyData("binary", batch_size=16), 1), (Twice(), 2)):
        model = robust_model(attack=attack, guard=None, epsilon_schedule=Constant())
        for norm in batch_norms(model).values():
            norm.momentum = 0.0  # else the attack on the second batch sees other statistics
        found.append(FirstStep(model, data, accumulate_grad_batches=batches).gradients)
    for name, gradient in found[0].items():
        assert torch.allclose(found[1][name], gradient, rtol=1e-4, atol=1e-6), name


class Twice(ToyData):
    """Serve the first batch two times, so that their mean is each of them."""

    def __init__(self):
        super().__init__("binary", batch_size=16)

    def train_dataloader(self):
        batch = next(iter(self.loader()))
        return DataLoader([batch, copy.deepcopy(batch)], batch_size=None, collate_fn=copy.copy)


@pytest.mark.parametrize("method", ["clean", "adversarial"])
def test_ema_keeps_the_average_and_its_thresholds(method, tmp_path):
    def make():
        return small_model() if method == "clean" else robust_model(guard=None)

    path = tmp_path / "last.ckpt"
    model, states = make(), []
    callback = EMA(decay=0.5)
    trainer = quiet_trainer(max_epochs=3, callbacks=[callback])
    model.on_before_zero_grad = lambda *_: states.append(
        {name: p.detach().clone() for name, p in model.named_parameters()}
    )
    scored = {}

    def keep():
        scored["thresholds"] = model.thresholds.clone()
        if model.current_epoch == 2:
            trainer.save_checkpoint(path)

    model.on_train_epoch_end = keep
    trainer.fit(model, datamodule=ToyData("multilabel"))
    # Torch's average starts as a copy of the first weights that it sees.
    after = [*states[1:], torch.load(path)["current_model_state"]]
    expected = after[0]
    for state in after[1:]:
        expected = {name: 0.5 * expected[name] + 0.5 * state[name] for name in states[0]}
    saved = torch.load(path, weights_only=True)
    for name in states[0]:
        assert torch.allclose(saved["state_dict"][name], expected[name], atol=1e-6), name
    assert torch.equal(saved["state_dict"]["thresholds"], scored["thresholds"])
    again = load(path)
    assert torch.equal(again.thresholds, scored["thresholds"])


def test_ema_goes_on_where_a_run_was_stopped(tmp_path):
    from pahcl.modules.callbacks import StepSeed

    def run(epochs, checkpoint=None):
        model, callback = small_model(), EMA(decay=0.9)
        trainer = quiet_trainer(max_epochs=epochs, callbacks=[StepSeed(0), callback])
        trainer.fit(model, datamodule=ToyData("multilabel"), ckpt_path=checkpoint)
        return model, trainer, callback

    whole, _, _ = run(4)
    half = small_model()
    callback = EMA(decay=0.9)
    trainer = quiet_trainer(max_epochs=2, callbacks=[StepSeed(0), callback])
    path = tmp_path / "half.ckpt"

    def keep():
        if half.current_epoch == 1:
            trainer.save_checkpoint(path)

    half.on_train_epoch_end = keep
    trainer.fit(half, datamodule=ToyData("multilabel"))
    resumed, _, _ = run(4, str(path))
    for name, value in whole.state_dict().items():
        if name != "thresholds":
            assert torch.allclose(resumed.state_dict()[name], value, atol=1e-7), name


def test_a_flattening_pool_is_attacked_too():
    model = robust_model(pooling=Flatten())
    fit(model, max_epochs=1)
    assert model.cost.adversarial.steps == 3
