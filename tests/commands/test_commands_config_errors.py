"""What is wrong with a config is said in a sentence or two, with the key and the nearest one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pahcl.cli import main

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = [
    f"--config={CONFIGS}/finetune/ptbxl_superclass.yaml",
    f"--config={CONFIGS}/size/small.yaml",
]
DATA_MODULES = "There are: CODE15DataModule, "
ENCODERS = "There are: ResNet1d, SmallResNet1d."


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["fit", *words]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.count("\n") == 1
    assert len(said) < 400, said
    return said


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        (
            "--model.init_args.lrr=1",
            ["`model.init_args.lrr` (command line)", "`model.init_args.lr`?"],
        ),
        ("--model.lrr=1", ["`model.init_args.lr`?", "--model.help Finetuning"]),
        ("--dta.fs=1", ["`dta` (command line)", "`data`?", "--print_config"]),
        ("--run.nme=x", ["`run.nme`", "`run.name`?"]),
        ("--model.encoder.init_args.wdths=3", ["init_args.encoder.init_args.widths`?"]),
        ("--data.class_path=NoSuch", ["no class `NoSuch`", DATA_MODULES]),
        ("--data=CODE15DataModul", ["Did you mean `CODE15DataModule`?"]),
        ("--data.class_path=no.such.Module", ["No module named 'no'", DATA_MODULES]),
        ("--model.encoder=ResNet2d", ["`model.init_args.encoder`", "`ResNet1d`?", ENCODERS]),
        ("--model.encoder=data_modules.ptbxl.PTBXLDataModule", ["is no Encoder", ENCODERS]),
        ("--model.strategy=Ful", ["DiscriminativeLR, FreezeFirst, Full, LinearProbe"]),
        ("--trainer.max_epochs=many", ["`trainer.max_epochs`", "int or null", "got many"]),
        ("--trainer.max_epoch=3", ["max_epoch"]),  # no word is guessed from its beginning
        ("--run.wandb=perhaps", ["one of auto, online, offline, off, got perhaps"]),
        ("--data.filter.highpass=x", ["`data.init_args.filter.highpass`", "float or null"]),
        ("--config=.", [". is a folder"]),
        ("--config=nowhere.yaml", ["no file 'nowhere.yaml'"]),
        ("--config=", ["no file ''"]),
    ],
)
def test_a_wrong_word(word: str, parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = refused([*BASE, word], capsys)
    for part in parts:
        assert part in said


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("data: {init_args: {fractoin: 0.5}}", ["(c.yaml)", "`data.init_args.fraction`?"]),
        ("model: {init_args: {lrr: 0.5}}", ["(c.yaml)", "`model.init_args.lr`?"]),
        ("trainer: {max_epoch: 5}", ["(c.yaml)", "`trainer.max_epochs`?"]),
        ("trainr: {max_epochs: 5}", ["`trainr` (c.yaml)", "`trainer`?"]),
        ("data: {init_args: {fs: fast}}", ["`data.init_args.fs` (c.yaml)", "got fast"]),
        ("data: {init_args: {filter: {hghpass: 1}}}", ["filter.highpass`?"]),
        ("data:", ["`data` in c.yaml is empty", DATA_MODULES]),
        ("model: {}", ["`model` in c.yaml is empty", "Finetuning"]),
        ("", ["c.yaml is empty"]),
        ("# nothing but a comment", ["c.yaml is empty"]),
        ("hello", ["c.yaml holds no keys"]),
        ("trainer: {max_epochs: 1}\nrun: [\n", ["c.yaml, line 3", "no YAML"]),
        ("run:\n\tname: x", ["c.yaml, line 2"]),
        ("run: {name: '${oc.env:PAHCL_NOT_SET}'}", ["`run.name` (c.yaml)", "PAHCL_NOT_SET"]),
        ("run: {name: '${no.such}'}", ["`run.name` (c.yaml)", "`${no.such}`"]),
    ],
)
def test_a_wrong_file(
    text: str,
    parts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(text)
    said = refused([*BASE, "--config", "c.yaml"], capsys)
    for part in parts:
        assert part in said


def test_a_file_in_another_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("latin.yaml").write_bytes("run: {name: été}".encode("latin-1"))
    assert "latin.yaml is not UTF-8" in refused([*BASE, "--config=latin.yaml"], capsys)


def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "which `data` to use" in refused([], capsys)
    assert "which `model` to use" in refused(["--data=PTBXLDataModule"], capsys)
    needs = ["--data=PTBXLDataModule", "--model=Finetuning"]
    assert "required: encoder" in refused(needs, capsys)


def test_a_good_config_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *BASE, "--model.lr=0.5", "--print_config"]) == 0
    assert "lr: 0.5" in capsys.readouterr().out
