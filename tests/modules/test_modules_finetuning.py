import copy
import logging

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from toy_data import SPEC, TASKS, ToyData, collate, quiet_trainer, small_encoder, small_model

from pahcl.encoders.heads import MLPHead
from pahcl.encoders.pooling import AttentionPool, Flatten
from pahcl.errors import PahclError, SpecError, UsageError
from pahcl.evaluation.metrics import evaluate
from pahcl.modules._watch import LossWatch
from pahcl.signals.spec import SignalSpec
from pahcl.transfer.strategies import DiscriminativeLR, FreezeFirst, LinearProbe

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*smaller than the logging interval"
)


def fit(model, data, **settings):
    trainer = quiet_trainer(**settings)
    trainer.fit(model, datamodule=data)
    return trainer


@pytest.mark.parametrize(
    ("kind", "metric", "goal"),
    [
        ("binary", "auroc", 0.98),
        ("multilabel", "macro_auroc", 0.98),
        ("multiclass", "macro_auroc", 0.95),
        ("regression", "r2", 0.9),
    ],
)
def test_every_kind_of_task_is_learned_from_its_definition_alone(kind, metric, goal):
    data, model = ToyData(kind), small_model()
    trainer = fit(model, data, max_epochs=25)
    logged = trainer.callback_metrics
    assert float(logged[f"val/{metric}"]) >= goal
    assert float(logged["train/loss"]) < 0.25
    assert float(logged["val/loss"]) < 0.35
    assert float(logged["train/lr"]) == pytest.approx(1e-2)
    assert float(logged[model.monitor]) == float(logged[f"val/{data.task.primary_metric}"])


def test_scores_come_from_the_predictions_table():
    data, model = ToyData("multilabel"), small_model()
    trainer = fit(model, data, max_epochs=3)
    table = model.predictions
    assert len(table) == 48
    assert table["record_id"].is_monotonic_increasing
    expected = evaluate(data.task, table).macro
    for name, value in expected.items():
        assert float(trainer.callback_metrics[f"val/{name}"]) == pytest.approx(value, nan_ok=True)
    assert table["target/up"].isna().sum() == 4


def test_regression_is_scored_in_its_own_unit():
    data, model = ToyData("regression"), small_model()
    fit(model, data, max_epochs=25)
    table = model.predictions.dropna()
    assert table["target/height"].std() > 10
    assert (table["target/height"] - table["probability/height"]).abs().mean() < 6


def test_test_uses_the_thresholds_of_validation():
    data, model = ToyData("binary"), small_model()
    trainer = fit(model, data, max_epochs=2)
    chosen = model.thresholds.clone()
    assert chosen.tolist() != [0.5]
    data.target = 1 - data.target
    trainer.test(model, datamodule=data, verbose=False)
    assert torch.equal(model.thresholds, chosen)
    assert "test/auroc" in trainer.callback_metrics
    probability = model.predictions["probability/up"].to_numpy()
    said = model.predictions["prediction/up"].to_numpy()
    assert np.array_equal(said, probability >= chosen.numpy())
    assert model.predictions["record_id"].str.startswith("r2").all()


def test_a_sanity_check_leaves_thresholds_alone():
    seen = []
    model = small_model()
    step = model.training_step

    def watch(batch, batch_idx):
        seen.append((model.thresholds.tolist(), model.predictions))
        return step(batch, batch_idx)

    model.training_step = watch
    trainer = fit(model, ToyData("binary"), num_sanity_val_steps=2)
    assert seen[0] == ([0.5], None)
    assert trainer.num_sanity_val_batches == [2]


def test_what_stands_in_the_padding_never_matters():
    data, model = ToyData("binary"), small_model(pooling=AttentionPool())
    fit(model, data)
    model.eval()
    batch = collate([data.train_dataloader().dataset[i] for i in range(8)])
    spoiled = batch["signal"].masked_fill(~batch["mask"][:, None], float("nan"))
    assert torch.equal(model(batch["signal"], batch["mask"]), model(spoiled, batch["mask"]))


@pytest.mark.parametrize(("strategy", "stages"), [(LinearProbe(), 3), (FreezeFirst(stages=2), 2)])
def test_frozen_stages_are_bit_for_bit_the_same_after_training(strategy, stages):
    model = small_model(encoder=small_encoder(dropout=0.5), strategy=strategy)
    before = copy.deepcopy([stage.state_dict() for stage in model.encoder.stages()])
    fit(model, ToyData("binary"), max_epochs=2)
    after = [stage.state_dict() for stage in model.encoder.stages()]
    same = [
        all(torch.equal(old[name], new[name]) for name in old)
        for old, new in zip(before, after, strict=True)
    ]
    assert same == [position < stages for position in range(3)]
    model.train()
    training = [any(m.training for m in stage.modules()) for stage in model.encoder.stages()]
    assert training == [position >= stages for position in range(3)]


def test_a_linear_probe_builds_no_graph_but_lets_input_gradients_through():
    model = small_model(strategy=LinearProbe())
    fit(model, ToyData("binary"))
    signal = torch.randn(2, 2, 64)
    assert not model.encode(signal, None).requires_grad
    signal.requires_grad_()
    model(signal).sum().backward()
    assert signal.grad.abs().sum() > 0


def test_a_model_that_was_evaluated_trains_in_training_mode():
    model = small_model(encoder=small_encoder(dropout=0.5)).eval()
    before = model.encoder.stem[1].running_mean.clone()
    fit(model, ToyData("binary"))
    assert not torch.equal(before, model.encoder.stem[1].running_mean)


def test_learning_rates_of_the_strategy_reach_the_optimiser():
    model = small_model(strategy=DiscriminativeLR(decay=2.0), lr=0.08)
    trainer = fit(model, ToyData("binary"))
    groups = trainer.optimizers[0].param_groups
    assert [group["lr"] for group in groups] == pytest.approx([0.01, 0.02, 0.04, 0.08])
    assert float(trainer.callback_metrics["train/lr"]) == pytest.approx(0.08)


def test_another_optimiser_gets_the_groups():
    def sgd(groups):
        return torch.optim.SGD(groups, lr=9.0, momentum=0.9)

    trainer = fit(small_model(optimizer=sgd), ToyData("binary"))
    assert isinstance(trainer.optimizers[0], torch.optim.SGD)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-2)


def test_cosine_falls_to_zero_over_all_steps():
    trainer = fit(small_model(scheduler="cosine"), ToyData("binary"), max_epochs=2)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_plateau_watches_the_primary_metric():
    model = small_model(scheduler="plateau")
    trainer = fit(model, ToyData("regression"), max_epochs=1)
    (config,) = trainer.lr_scheduler_configs
    assert config.monitor == model.monitor
    assert model.monitor in trainer.callback_metrics
    assert config.scheduler.mode == "min"


def test_class_weights_change_the_loss():
    plain, weighted = small_model(), small_model(class_weights=True)
    logged = [
        fit(model, ToyData("binary"), limit_val_batches=0).callback_metrics["train/loss"]
        for model in (plain, weighted)
    ]
    assert logged[1] > logged[0] * 1.2
    with pytest.raises(UsageError, match="no classes to weigh"):
        fit(small_model(class_weights=True), ToyData("regression"))


def test_flattening_and_another_head():
    model = small_model(pooling=Flatten(), head=MLPHead(hidden=4))
    fit(model, ToyData("multiclass"))
    assert model.head.in_features == 8 * 8
    assert model(torch.zeros(1, 2, 64)).shape == (1, 3)


def test_a_loss_that_is_not_finite_names_the_records():
    data = ToyData("binary")
    data.signal[5, 0, 3] = float("inf")
    for every in (1, 50):  # looked at in every step, or at the end of the epoch
        with pytest.raises(PahclError, match=r"loss is nan in epoch 0, step 0, at the rec.*r0005"):
            fit(small_model(), data, num_sanity_val_steps=0, log_every_n_steps=every)


def test_losses_are_looked_at_together(monkeypatch):
    looks = []
    check = LossWatch.check
    monkeypatch.setattr(
        LossWatch, "check", lambda self: (looks.append(len(self._steps)), check(self))
    )
    fit(
        small_model(),
        ToyData(records=80, batch_size=8),
        num_sanity_val_steps=0,
        log_every_n_steps=4,
    )
    assert [count for count in looks if count] == [4, 4, 2]
    data = ToyData(records=80, batch_size=8)
    data.signal[70, 0, 3] = float("nan")
    with pytest.raises(PahclError, match=r"step 8, at the records r0064, .*r0070"):
        fit(small_model(), data, num_sanity_val_steps=0, log_every_n_steps=4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_outputs_that_are_no_numbers_are_no_evidence(value):
    model, data = small_model(), ToyData()
    fit(model, data)
    with torch.no_grad():
        next(iter(model.head.parameters())).fill_(value)
    for verb in ("test", "validate"):
        with pytest.raises(PahclError, match=r"48 of 48 records of the (test|val) split"):
            getattr(quiet_trainer(), verb)(model, datamodule=data, verbose=False)


def test_an_undefined_primary_metric_gives_way_to_the_loss(tmp_path, caplog):
    data, model = ToyData("binary"), small_model()
    whole = data.val_dataloader

    def without_positives():
        loader = whole()
        loader.dataset.target = torch.zeros_like(data.target)
        return loader

    data.val_dataloader = without_positives
    keep = ModelCheckpoint(tmp_path, "best", monitor=model.monitor, mode=data.task.mode)
    losses = []
    model.on_validation_end = lambda: losses.append(
        float(model.trainer.callback_metrics["val/loss"])
    )
    with caplog.at_level(logging.WARNING, logger="pahcl.modules"):
        fit(model, data, max_epochs=4, callbacks=[keep], enable_checkpointing=True)
    (line,) = [r.getMessage() for r in caplog.records if r.name == "pahcl.modules._choice"]
    for part in ("validation split", "auroc", "up: no positives", "val/loss"):
        assert part in line
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)["epoch"]
    assert losses[1:].index(min(losses[1:])) == best  # the first is the sanity check's


def test_predictions_are_rows_of_a_table():
    data, model = ToyData("multilabel"), small_model()
    trainer = fit(model, data)
    parts = trainer.predict(model, datamodule=data)
    table = pd.concat([pd.DataFrame(part) for part in parts])
    assert len(table) == 48
    assert list(table.columns[:5]) == [
        "record_id",
        "subject_id",
        "target/up",
        "probability/up",
        "prediction/up",
    ]


def test_a_validation_without_labels_is_no_crash():
    data = ToyData("binary")
    data.target[:] = float("nan")
    trainer = quiet_trainer()
    trainer.validate(small_model(), datamodule=data, verbose=False)
    assert np.isnan(float(trainer.callback_metrics["val/auroc"]))


def test_mixed_precision_keeps_the_loss_in_float32():
    model = small_model()
    trainer = fit(model, ToyData("binary"), precision="bf16-mixed", max_epochs=2)
    assert trainer.callback_metrics["train/loss"].dtype == torch.float32
    assert model.predictions["probability/up"].dtype == np.float32


def test_hyper_parameters_are_plain():
    model = small_model(strategy=LinearProbe(), pooling=Flatten())
    assert all(isinstance(v, str | int | float | bool | None) for v in model.hparams.values())
    assert model.hparams["lr"] == pytest.approx(1e-2)


def test_a_model_for_another_task_or_input_is_refused():
    model = small_model()
    trainer = fit(model, ToyData("binary"))
    with pytest.raises(PahclError, match="kind: binary, not multilabel"):
        trainer.fit(model, datamodule=ToyData("multilabel"))
    other = SignalSpec(modality="ecg", fs=200.0, length=64, leads=("I", "II"))
    with pytest.raises(PahclError, match=r"fs: 100\.0, not 200\.0"):
        trainer.test(model, datamodule=ToyData("binary", spec=other), verbose=False)


def test_wrong_questions_are_answered():
    with pytest.raises(UsageError, match="lr must be positive"):
        small_model(lr=0.0)
    with pytest.raises(SpecError, match="reads 12 leads, the data module gives 2"):
        fit(small_model(encoder=small_encoder(leads=12)), ToyData("binary"))
    with pytest.raises(UsageError, match="data module"):
        quiet_trainer().validate(small_model(), ToyData("binary").val_dataloader())
    with pytest.raises(UsageError, match="from a data module or a checkpoint"):
        small_model().losses(torch.zeros(1, 1), torch.zeros(1, 1))


def test_toy_data_has_the_contract():
    assert ToyData().spec == SPEC
    assert set(TASKS) == {"binary", "multilabel", "multiclass", "regression"}
