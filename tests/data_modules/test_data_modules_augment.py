"""Training batches are augmented as the config says, and drawn from seed, epoch and record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from data_modules._augment import SEEDS
from data_modules._dataset import EpochSampler
from data_modules.code15 import CODE15DataModule
from data_modules.pascal import PASCALDataModule
from pahcl.cli import main
from pahcl.errors import SpecError
from pahcl.signals.augment import (
    AmplitudeScale,
    Augmentation,
    Compose,
    FrequencyMask,
    GaussianNoise,
    LowPass,
    Preset,
    TimeShift,
    preset,
)

CONFIGS = Path(__file__).parents[2] / "configs"
STRONG = Compose(augmentations=(TimeShift(p=1.0), GaussianNoise(p=1.0)))


@pytest.fixture(scope="module")
def store(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores") / "code15"
    CODE15DataModule.prepare(corpora / "code15", folder, progress=False)
    return folder


def code15(store: Path, **settings: Any) -> CODE15DataModule:
    given = {"length": 512, "crop": "center", "batch_size": 16, **settings}
    module = CODE15DataModule(store=str(store), **given)
    module.setup()
    return module


def epoch_of(module: CODE15DataModule, epoch: int) -> dict[str, torch.Tensor]:
    """Serve one epoch of training; give what the model sees of each record."""
    loader = module.train_dataloader()
    assert isinstance(loader.sampler, EpochSampler)
    loader.sampler.set_epoch(epoch)
    seen = {}
    for shipped in loader:
        batch = module.on_after_batch_transfer(shipped, 0)
        assert SEEDS not in batch
        for number, name in enumerate(batch["record_id"]):
            seen[name] = torch.cat([batch["signal"][number], batch["mask"][number][None].float()])
    return seen


def same(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> list[bool]:
    shared = some.keys() & others.keys()
    assert len(shared) > 10
    return [torch.allclose(some[name], others[name], atol=1e-4) for name in shared]


def test_training_alone_is_augmented(store: Path) -> None:
    plain, module = code15(store), code15(store, augment=STRONG)
    assert not any(same(epoch_of(plain, 0), epoch_of(module, 0)))
    for name in ("val_dataloader", "test_dataloader", "predict_dataloader"):
        for mine, other in zip(getattr(module, name)(), getattr(plain, name)(), strict=True):
            got = module.on_after_batch_transfer(mine, 0)["signal"]
            assert torch.equal(got, plain.on_after_batch_transfer(other, 0)["signal"])
    assert module.data_receipt()["augment"] == repr(STRONG)
    assert plain.data_receipt()["augment"] is None


def test_what_is_drawn_depends_on_seed_epoch_and_record_alone(store: Path) -> None:
    first = epoch_of(code15(store, augment=STRONG), 3)
    assert all(same(first, epoch_of(code15(store, augment=STRONG, batch_size=5), 3)))
    assert all(same(first, epoch_of(code15(store, augment=STRONG, num_workers=1), 3)))
    assert not any(same(first, epoch_of(code15(store, augment=STRONG), 4)))
    assert not any(same(first, epoch_of(code15(store, augment=STRONG, seed=1), 3)))
    fewer = epoch_of(code15(store, augment=STRONG, fraction=0.5), 3)
    assert all(same(first, fewer)), "a record is drawn for by its row, not by who else is there"


def test_it_comes_after_normalisation(store: Path) -> None:
    scale = AmplitudeScale(p=1.0, factor=(3.0, 3.0))
    seen = epoch_of(code15(store, augment=scale, normalisation="zscore_record"), 0)
    for signal in seen.values():
        real = signal[-1] > 0
        assert signal[:-1, real].std() == pytest.approx(3.0, rel=0.01)


def test_a_resumed_run_draws_what_it_would_have_drawn(place: Path, store: Path) -> None:
    def fit(name: str, epochs: int) -> dict[str, torch.Tensor]:
        words = ["--run.wandb=off", "--run.tensorboard=false", f"--trainer.max_epochs={epochs}"]
        layers = ("finetune/code15_code6", "trainer/cpu", "size/small")
        configs = [f"--config={CONFIGS / layer}.yaml" for layer in layers]
        noise = '{"class_path": "pahcl.signals.augment.GaussianNoise", "init_args": {"p": 0.7}}'
        small = [f"--data.init_args.store={store}", f"--data.init_args.augment={noise}"]
        small += ["--data.init_args.fs=400", "--data.init_args.length=512"]
        assert main(["fit", *configs, *words, *small, f"--run.name={name}"]) == 0
        found = torch.load(place / f"runs/finetune/{name}/checkpoints/last.ckpt", weights_only=True)
        return dict(found["state_dict"])

    whole = fit("whole", 2)
    half = fit("parts", 1)
    parts = fit("parts", 2)
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    assert not all(torch.equal(half[key], parts[key]) for key in whole)


def test_a_rate_that_does_not_fit_is_refused_before_anything_is_read() -> None:
    with pytest.raises(SpecError, match="LowPass: `cutoff` reaches 400 Hz"):
        PASCALDataModule(fs=500, augment=LowPass())
    with pytest.raises(SpecError, match="FrequencyMask: `band` begins at 25 Hz"):
        CODE15DataModule(fs=50, augment=FrequencyMask())


@pytest.mark.parametrize("name", ["pretrain", "finetune"])
def test_the_configs_are_the_presets(name: Preset) -> None:
    text = (CONFIGS / "augment" / f"{name}_pcg.yaml").read_text(encoding="utf-8")
    asked = yaml.safe_load(text)["data"]["init_args"]["augment"]
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--augment", type=Augmentation)
    made = parser.instantiate_classes(parser.parse_object({"augment": asked})).augment
    assert made == preset(name)
    changed = replace(made, augmentations=made.augmentations[:-1])
    assert made != changed


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (
            {"class_path": "pahcl.signals.augment.TimeMask", "init_args": {"max_widht": 0.1}},
            "`data.init_args.augment.init_args.max_widht`",
        ),
        (
            {
                "class_path": "pahcl.signals.augment.Compose",
                "init_args": {
                    "augmentations": [
                        {"class_path": "pahcl.signals.augment.Reverse"},
                        {
                            "class_path": "pahcl.signals.augment.TimeMask",
                            "init_args": {"max_widht": 0.1},
                        },
                    ]
                },
            },
            "`data.init_args.augment.init_args.augmentations[1].init_args.max_widht`",
        ),
        ({"class_path": "pahcl.signals.augment.TimeMsk"}, "Did you mean `TimeMask`?"),
    ],
)
def test_an_unknown_key_is_refused_by_name(
    asked: dict[str, Any], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layer = tmp_path / "augment.yaml"
    layer.write_text(yaml.safe_dump({"data": {"init_args": {"augment": asked}}}), encoding="utf-8")
    experiment = CONFIGS / "finetune" / "pascal_a.yaml"
    assert main(["fit", f"--config={experiment}", f"--config={layer}"]) == 2
    told = capsys.readouterr().err
    assert text in told
    assert "max_widht" not in text or "did you mean" in told
