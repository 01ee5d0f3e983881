import dataclasses
import logging
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from toy_data import SPEC, TASKS, ToyData, quiet_trainer, small_encoder, small_model

from pahcl.encoders.heads import MLPHead
from pahcl.encoders.pooling import AttentionPool
from pahcl.encoders.resnet import SmallResNet1d
from pahcl.errors import CheckpointError
from pahcl.evaluation.settings import recipe
from pahcl.files import sha256_file
from pahcl.modules._saved import KEY, SavedModel
from pahcl.modules.checkpoint import (
    load,
    load_encoder,
    origin_of,
    read_checkpoint,
    refuse_other_cycles,
)
from pahcl.modules.finetuning import Finetuning
from pahcl.signals.spec import Filter, SignalSpec
from pahcl.task import Task
from pahcl.transfer.strategies import LinearProbe

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*smaller than the logging interval"
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train a model with a pooling and a head of its own; give its checkpoint."""
    path = tmp_path_factory.mktemp("checkpoint") / "best.ckpt"
    model = small_model(pooling=AttentionPool(hidden=4), head=MLPHead(hidden=6))
    model.run_config = {"seed_everything": 3, "model": {"lr": np.float64(0.5)}}
    trainer = quiet_trainer(max_epochs=2)
    trainer.fit(model, datamodule=ToyData("multilabel"))
    trainer.save_checkpoint(path)
    return model.eval(), path


def edit(source, target, change):
    """Write a checkpoint with another `pahcl` part or other weights."""
    checkpoint = torch.load(source, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, target)
    return target


def test_it_loads_with_weights_only_and_says_what_it_is(trained):
    model, path = trained
    values = torch.load(path, weights_only=True)[KEY]
    assert values["format"] == 1
    assert values["method"] == "pahcl.modules.finetuning.Finetuning"
    assert values["encoder"]["class_path"] == "pahcl.encoders.resnet.SmallResNet1d"
    assert SmallResNet1d(**values["encoder"]["init_args"]).config() == model.encoder.config()
    assert SignalSpec.from_dict(values["spec"]) == SPEC
    assert Task.from_dict(values["task"]) == TASKS["multilabel"]
    assert values["classes"] == ["up", "down"]
    assert values["thresholds"] == model.thresholds.tolist()
    assert values["label_statistics"] == {"positives": [3, 3]}
    assert values["config"] == {"seed_everything": 3, "model": {"lr": 0.5}}
    assert type(values["config"]["model"]["lr"]) is float
    assert values["code_version"]


def test_the_description_survives_a_round_trip(trained):
    _, path = trained
    saved = read_checkpoint(path)
    again = SavedModel.from_checkpoint({KEY: saved.to_dict(), "state_dict": {}}, "x")
    assert again == saved


def test_a_model_comes_back_without_config_or_data(trained):
    model, path = trained
    again = load(path)
    signal, mask = torch.randn(3, 2, 64), torch.ones(3, 64, dtype=torch.bool)
    assert isinstance(again, Finetuning)
    assert not again.training
    assert torch.equal(again(signal, mask), model(signal, mask))
    assert torch.equal(again.thresholds, model.thresholds)
    assert again.task == TASKS["multilabel"]


def test_a_loaded_model_tests_as_it_did(trained):
    model, path = trained
    data = ToyData("multilabel")
    results = [
        quiet_trainer().test(model, datamodule=data, verbose=False),
        quiet_trainer().test(load(path), datamodule=data, verbose=False),
        quiet_trainer().test(
            small_model(9, pooling=AttentionPool(hidden=4), head=MLPHead(hidden=6)),
            datamodule=data,
            ckpt_path=path,
            verbose=False,
        ),
    ]
    assert results[0] == results[1] == results[2]


def test_an_encoder_comes_back_with_its_contract(trained):
    model, path = trained
    encoder = load_encoder(path)
    assert encoder.spec == SPEC
    assert not encoder.training
    signal = torch.randn(3, 2, 64)
    assert torch.equal(encoder(signal), model.encoder(signal))


def with_input(**changes):
    return ToyData(spec=dataclasses.replace(SPEC, **changes))


def fit_from(path, data=None, **arguments):
    model = small_model(5, pretrained=str(path), **arguments)
    start = {}
    original = model.on_train_start

    def remember():
        start.update({name: x.clone() for name, x in model.state_dict().items()})
        original()

    model.on_train_start = remember
    trainer = quiet_trainer(num_sanity_val_steps=0, limit_val_batches=0)
    trainer.fit(model, datamodule=data or ToyData("binary"))
    return model, start


def test_pretrained_carries_the_encoder_to_another_task_and_says_so(trained, caplog):
    model, path = trained
    with caplog.at_level(logging.INFO, logger="pahcl"):
        tuned, start = fit_from(path)
    encoder = model.encoder.state_dict()
    assert all(torch.equal(start[f"encoder.{name}"], x) for name, x in encoder.items())
    report = tuned.load_report
    assert set(report.loaded) == {f"encoder.{name}" for name in encoder}
    assert {"head.layers.1.weight", "thresholds"} <= set(report.missing)
    assert "head.layers.4.bias" in report.unexpected
    (line,) = [r.getMessage() for r in caplog.records if r.name == "pahcl.modules.finetuning"]
    assert str(path) in line
    assert f"took over encoder ({len(encoder)} tensors);" in line
    assert "new here: decision thresholds, scale of the target, head (2 tensors);" in line
    assert line.endswith("head (4 tensors).")
    assert "\n" not in line


def test_a_frozen_pretrained_encoder_stays_the_checkpoints(trained):
    model, path = trained
    tuned, _ = fit_from(path, strategy=LinearProbe())
    for name, x in model.encoder.state_dict().items():
        assert torch.equal(tuned.encoder.state_dict()[name], x)


def test_dropout_may_differ(trained):
    _, path = trained
    tuned, _ = fit_from(path, encoder=small_encoder(dropout=0.3))
    assert tuned.load_report.loaded


def test_the_head_comes_along_on_request(trained):
    model, path = trained
    arguments = {"load_head": True, "pooling": AttentionPool(hidden=4), "head": MLPHead(hidden=6)}
    tuned, start = fit_from(path, ToyData("multilabel"), **arguments)
    assert all(torch.equal(start[name], x) for name, x in model.state_dict().items())
    assert tuned.load_report.missing == ()
    assert tuned.load_report.unexpected == ()


def test_a_carried_head_keeps_its_scale_and_the_statistics_are_of_the_new_data(tmp_path):
    first, other = ToyData("regression"), ToyData("regression", seed=3)
    other.target = other.target * 3 - 40
    model = small_model()
    trainer = quiet_trainer()
    trainer.fit(model, datamodule=first)
    trainer.save_checkpoint(tmp_path / "first.ckpt")
    tuned, start = fit_from(tmp_path / "first.ckpt", other, load_head=True)
    assert first.label_statistics != other.label_statistics
    # The same signal gives the same estimate in the task's unit before the first step.
    for name in ("head.layers.0.weight", "target_mean", "target_std"):
        if name in start:
            assert torch.equal(start[name], model.state_dict()[name])
    assert tuned.target_mean.tolist() == pytest.approx(first.label_statistics["mean"])
    assert tuned.label_statistics == other.label_statistics
    tuned.trainer.save_checkpoint(tmp_path / "tuned.ckpt")
    assert read_checkpoint(tmp_path / "tuned.ckpt").label_statistics == other.label_statistics
    again, signal = load(tmp_path / "tuned.ckpt"), torch.randn(3, 2, 64)
    assert torch.equal(again.estimates(again(signal)), tuned.eval().estimates(tuned(signal)))


@pytest.mark.parametrize(
    ("arguments", "data", "text"),
    [
        ({}, with_input(fs=500.0), r"fs: 100\.0, not 500\.0"),
        ({}, with_input(length=80), "length: 64, not 80"),
        ({}, with_input(leads=("II", "I")), r"leads: \('I', 'II'\), not"),
        (
            {},
            with_input(unit="uV"),
            "unit: mV, not uV",
        ),
        (
            {},
            with_input(filter=Filter(highpass=0.5)),
            "filter: ",
        ),
        (
            {},
            with_input(normalisation="robust"),
            "normalisation: none, not robust",
        ),
        (
            {
                "encoder": SmallResNet1d(
                    2, widths=(8, 9), strides=(2, 2), stem_stride=2, kernel_size=5, dropout=0
                )
            },
            ToyData(),
            r"widths: \[8, 8\], not \[8, 9\]",
        ),
        (
            {
                "encoder": SmallResNet1d(
                    2, (8, 8), (2, 2), stem_stride=2, kernel_size=5, activation="relu"
                )
            },
            ToyData(),
            "activation: gelu, not relu",
        ),
        ({"load_head": True}, ToyData(), "kind: multilabel, not binary"),
        ({"load_head": True}, ToyData("multilabel"), "pooling of .*AttentionPool"),
    ],
)
def test_pretrained_of_another_kind_is_refused(trained, arguments, data, text):
    _, path = trained
    with pytest.raises(CheckpointError, match=text) as caught:
        fit_from(path, data, **arguments)
    assert str(path) in str(caught.value)
    assert "Set" in str(caught.value)


@pytest.mark.parametrize(
    ("trained_on", "shown", "text"),
    [
        (None, {"table": "learned", "length": "pad"}, "trained on whole recordings"),
        ({"table": "learned", "length": "pad"}, None, "shows whole recordings"),
        ({"table": "windows"}, {"table": "learned", "length": "pad"}, "trained on windows"),
        (
            {"table": "learned", "length": "phase", "shares": [0.25] * 4},
            {"table": "learned", "length": "phase", "shares": [0.2, 0.3, 0.25, 0.25]},
            "phase, shares",
        ),
    ],
)
def test_a_model_of_another_cut_of_the_recordings_is_refused(trained, trained_on, shown, text):
    saved = dataclasses.replace(read_checkpoint(trained[1]), cycles=trained_on)
    with pytest.raises(CheckpointError, match=text):
        refuse_other_cycles(saved, shown)
    refuse_other_cycles(saved, trained_on and {**trained_on, "per_record": 3})


def test_a_test_of_another_task_or_input_is_refused(trained):
    _, path = trained
    model = small_model(pooling=AttentionPool(hidden=4), head=MLPHead(hidden=6))
    with pytest.raises(CheckpointError, match=r"asks `sign`.*multilabel, not binary"):
        quiet_trainer().test(model, datamodule=ToyData(), ckpt_path=path, verbose=False)
    model = small_model(pooling=AttentionPool(hidden=4), head=MLPHead(hidden=6))
    other = ToyData("multilabel", spec=SignalSpec("ecg", 250.0, 64, ("I", "II")))
    with pytest.raises(CheckpointError, match=r"fs: 100\.0, not 250\.0"):
        quiet_trainer().test(model, datamodule=other, ckpt_path=path, verbose=False)
    with pytest.raises(CheckpointError, match="pooling of"):
        quiet_trainer().test(
            small_model(), datamodule=ToyData("multilabel"), ckpt_path=path, verbose=False
        )


def middle_of(path, info):
    """Find a byte inside an entry; torch pads the names before them."""
    with path.open("rb") as stream:
        stream.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", stream.read(4))
    return info.header_offset + 30 + name + extra + info.file_size // 2


@pytest.mark.parametrize("part", ["weights", "optimiser", "contents"])
def test_flipped_bytes_are_refused(trained, tmp_path, part):
    _, path = trained
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        tensors = [info for info in archive.infolist() if "/data/" in info.filename]
    at = {"weights": tensors[0], "optimiser": tensors[-1]}
    content[middle_of(path, at[part]) if part in at else len(content) - 60] ^= 1
    bad = tmp_path / "flipped.ckpt"
    bad.write_bytes(content)
    for read in (read_checkpoint, load, load_encoder):
        with pytest.raises(CheckpointError, match=r"flipped.ckpt .*is damaged"):
            read(bad)


class Dangerous:
    def __reduce__(self):
        return (print, ("code ran",))


def test_foreign_and_damaged_files_are_refused(trained, tmp_path, capsys):
    _, path = trained
    bad = tmp_path / "bad.ckpt"
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        read_checkpoint(bad)
    for content in (b"", b"hello, no checkpoint", path.read_bytes()[:5000], b"\x80\x04."):
        bad.write_bytes(content)
        with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
            read_checkpoint(bad)
    torch.save({"state_dict": {}, "object": Dangerous()}, bad)
    with pytest.raises(CheckpointError, match="could run code"):
        read_checkpoint(bad)
    bad.write_bytes(pickle.dumps(Dangerous()))
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(bad)
    assert capsys.readouterr().out == ""
    for foreign in ({"state_dict": {}}, [1, 2], {KEY: {"format": 1}}):
        torch.save(foreign, bad)
        with pytest.raises(CheckpointError, match="no checkpoint of pahcl"):
            read_checkpoint(bad)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: c[KEY].update(format=99), "checkpoint format 99"),
        (lambda c: c[KEY].pop("spec"), "damaged"),
        (lambda c: c[KEY]["encoder"].update(class_path="os.system"), "no Encoder known here"),
        (lambda c: c[KEY]["encoder"].update(class_path="antigravity.x"), "import its module first"),
        (lambda c: c[KEY]["encoder"].update(class_path="pahcl.nowhere.X"), "does not have"),
        (lambda c: c[KEY]["encoder"]["init_args"].update(depth=3), "does not take"),
        (lambda c: c["state_dict"].pop("encoder.stem.0.weight"), "do not fit the model"),
    ],
)
def test_a_damaged_description_is_refused(trained, tmp_path, change, text):
    _, path = trained
    with pytest.raises(CheckpointError, match=text):
        load(edit(path, tmp_path / "edited.ckpt", change))


@pytest.mark.parametrize("arguments", [{}, {"scheduler": "cosine"}, {"strategy": LinearProbe()}])
def test_two_and_two_epochs_equal_four(tmp_path, arguments):
    def run(model, epochs, ckpt_path=None):
        trainer = quiet_trainer(max_epochs=epochs)
        trainer.fit(model, datamodule=ToyData("multilabel"), ckpt_path=ckpt_path)
        return trainer

    if arguments.get("scheduler") == "cosine":
        # The length of the whole run shapes the curve: stop early instead of planning less.
        first = quiet_trainer(max_epochs=4)
        half = small_model(**arguments)
        half.on_train_epoch_end = lambda: (
            first.save_checkpoint(tmp_path / "half.ckpt") if half.current_epoch == 1 else None
        )
        first.fit(half, datamodule=ToyData("multilabel"))
    else:
        run(small_model(**arguments), 2).save_checkpoint(tmp_path / "half.ckpt")
    whole = small_model(**arguments)
    run(whole, 4)
    resumed = small_model(7, **arguments)
    run(resumed, 4, tmp_path / "half.ckpt")
    for name, x in whole.state_dict().items():
        assert torch.equal(x, resumed.state_dict()[name]), name


def test_a_resumed_run_does_without_the_pretrained_file(trained, tmp_path):
    _, path = trained
    copied = tmp_path / "pretrained.ckpt"
    copied.write_bytes(path.read_bytes())
    model = small_model(pretrained=str(copied))
    trainer = quiet_trainer()
    trainer.fit(model, datamodule=ToyData())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    copied.unlink()
    resumed = small_model(pretrained=str(copied))
    quiet_trainer(max_epochs=2).fit(resumed, datamodule=ToyData(), ckpt_path=tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        quiet_trainer().fit(small_model(pretrained=str(copied)), datamodule=ToyData())


def test_a_checkpoint_knows_what_its_weights_started_from(trained, tmp_path):
    _, path = trained
    config = torch.load(path, weights_only=True)["pahcl"]["config"]
    model = small_model(pretrained=str(path))
    model.run_config = {"seed_everything": 1, "model": {"init_args": {"pretrained": str(path)}}}
    trainer = quiet_trainer()
    trainer.fit(model, datamodule=ToyData())
    trainer.save_checkpoint(tmp_path / "next.ckpt")
    origin = read_checkpoint(tmp_path / "next.ckpt").origin
    assert origin == {"sha256": sha256_file(path), "recipe": recipe(config), "seed": 3}
    assert load(tmp_path / "next.ckpt").origin == origin
    tested = small_model()
    quiet_trainer().test(tested, ToyData(), ckpt_path=tmp_path / "next.ckpt", verbose=False)
    assert tested.origin == origin
    third = origin_of(read_checkpoint(tmp_path / "next.ckpt"), tmp_path / "next.ckpt")
    assert third["recipe"] == recipe(model.run_config, origin["recipe"])
    bare = edit(path, tmp_path / "bare.ckpt", lambda c: c["pahcl"].update(config={}))
    assert origin_of(read_checkpoint(bare), bare)["recipe"] == sha256_file(bare)
