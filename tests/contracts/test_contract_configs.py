"""Every YAML under configs/ runs; a new file is found by listing and cannot escape."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import yaml

from data_modules.circor import CirCorDataModule
from pahcl.cli import main
from pahcl.commands._sweep_file import read_sweep
from pahcl.commands._sweep_plan import plan
from pahcl.store import SignalStore
from pahcl.store.cycle_finders import ByAnnotation
from pahcl.store.cycle_writer import write_cycles

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
EXPERIMENTS = sorted([*CONFIGS.glob("pretrain/*.yaml"), *CONFIGS.glob("finetune/*.yaml")])
SWEEPS = sorted(CONFIGS.glob("sweep/*.yaml"))
CYCLES = sorted(CONFIGS.glob("cycles/*.yaml"))
AUGMENT = sorted(CONFIGS.glob("augment/*_pcg.yaml"))
SEGMENTERS = sorted(CONFIGS.glob("segment/*.yaml"))
NO_LAYERS = {*EXPERIMENTS, *SWEEPS, *CYCLES, *AUGMENT, *SEGMENTERS}
LAYERS = sorted(set(CONFIGS.rglob("*.yaml")) - NO_LAYERS)
PROTOCOLS = sorted(CONFIGS.glob("protocol/*/*.yaml"))
BASE = CONFIGS / "finetune" / "code15_code6.yaml"
ON_THIS_MACHINE = [
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
    "--trainer.strategy=auto",
    "--trainer.sync_batchnorm=false",
    "--run.compile=false",
]


def try_out(*files: Path, words: tuple[str, ...] = ()) -> int:
    layers = [f"--config={file}" for file in (*files, CONFIGS / "trainer" / "debug.yaml")]
    return main(["fit", *layers, *ON_THIS_MACHINE, *words])


@pytest.fixture(autouse=True)
def _data_in_reach(corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAHCL_DATA", str(corpora))
    monkeypatch.setenv("PAHCL_STORES", str(corpora.parent / "stores"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_experiments_run_in_the_small_size(file: Path, tmp_path: Path) -> None:
    sound = "in_channels: 1\n" in file.read_text(encoding="utf-8")
    assert try_out(file, CONFIGS / "size" / ("small_pcg.yaml" if sound else "small.yaml")) == 0
    assert not list(tmp_path.iterdir()), "a trial leaves nothing behind"


@pytest.mark.parametrize("file", LAYERS, ids=lambda file: str(file.relative_to(CONFIGS)))
def test_layers_run_on_an_experiment(file: Path) -> None:
    small = CONFIGS / "size" / "small.yaml"
    assert try_out(BASE, small, file) == 0


@pytest.mark.parametrize("file", CYCLES, ids=lambda file: file.stem)
def test_layers_of_cycles_run_on_heart_sounds(file: Path, corpora: Path) -> None:
    sounds, small = CONFIGS / "finetune" / "circor_murmur.yaml", CONFIGS / "size" / "small_pcg.yaml"
    asked = yaml.safe_load(file.read_text(encoding="utf-8"))["data"]["init_args"]["cycles"]
    words: tuple[str, ...] = ()
    if asked["table"] != "windows":  # found by the fastest, for it is the layer that is tried
        root, store = corpora / "circor", corpora.parent / "stores" / "circor"
        CirCorDataModule(root=str(root), store=str(store)).prepare_data()
        finder = ByAnnotation(partial(CirCorDataModule.states, root))
        write_cycles(SignalStore(store), finder, progress=False)
        words = ("--data.init_args.cycles.table=annotated",)
    assert try_out(sounds, small, file, words=words) == 0


@pytest.mark.parametrize("file", AUGMENT, ids=lambda file: file.stem)
def test_layers_of_augmentation_run_on_heart_sounds(file: Path) -> None:
    sounds, small = CONFIGS / "finetune" / "pascal_a.yaml", CONFIGS / "size" / "small_pcg.yaml"
    assert try_out(sounds, small, file) == 0


@pytest.mark.parametrize("file", SEGMENTERS, ids=lambda file: file.stem)
def test_segmenters_are_trained(file: Path, tmp_path: Path) -> None:
    assert try_out(file, words=("--data.init_args.simulated=4",)) == 0
    assert not list(tmp_path.iterdir()), "a trial leaves nothing behind"


@pytest.mark.parametrize("file", PROTOCOLS, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_protocols_say_what_their_names_say(file: Path) -> None:
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    data, epochs = values["data"]["init_args"], values["trainer"]["max_epochs"]
    assert data["fraction"] == float(file.stem)
    if file.parent.name == "cinc2024":
        # Eriksson et al. divide a tenth of the data set by 1, 2 and 4, and train as often longer.
        division = 0.1 / data["fraction"]
        assert data["fraction_of"] == "dataset"
        assert epochs == pytest.approx(10 * division)
    else:
        assert data["fraction_of"] == "train"
        assert epochs == 10


def test_every_division_of_the_paper_has_its_file() -> None:
    assert {file.stem for file in (CONFIGS / "protocol/cinc2024").iterdir()} == {
        "0.1",
        "0.05",
        "0.025",
    }


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_experiments_run_in_their_own_size(file: Path) -> None:
    assert try_out(file, words=("--data.init_args.batch_size=2", "--trainer.fast_dev_run=1")) == 0


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_every_line_of_a_sweep_is_understood(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = plan(read_sweep(file), Path("runs"), seeds=[3])
    for job in jobs:
        assert main(["fit", *job.words, "--print_config"]) == 0, job.line
        config = yaml.safe_load(capsys.readouterr().out)
        assert config["run"]["name"] == job.folder.name
        assert config["seed_everything"] == job.seed
        assert config["data"]["init_args"]["fraction"] == float(job.fraction or 1.0)
        started = config["model"]["init_args"]["pretrained"]
        assert started == (job.start.as_posix() if job.start else None)
