"""The publisher's folder and the arguments about it, refused before any record is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data_modules.code15 import CODE15DataModule
from data_modules.ptbxl import PTBXLDataModule
from pahcl.cli import main
from pahcl.commands._run import one_writer
from pahcl.errors import StoreError, UsageError
from pahcl.evaluation.run import RunFolder
from pahcl.signals import Filter
from pahcl.store import SignalStore

FIT = ["fit", "--config", str(Path(__file__).parents[2] / "configs/finetune/code15_af.yaml")]


@pytest.fixture
def real(corpora: Path, tmp_path: Path) -> Path:
    """A corpus that does not say that it is simulated, as a real one does not."""
    root = tmp_path / "real"
    shutil.copytree(corpora / "code15", root)
    (root / "simulation.json").unlink()
    return root


def test_a_store_and_a_root_of_another_kind_are_refused_together(
    corpora: Path, real: Path, tmp_path: Path
) -> None:
    simulated = corpora / "code15"
    for packed, other in ((simulated, real), (real, simulated)):
        store = tmp_path / f"store-{packed.parent.name}"
        manifest = CODE15DataModule.prepare(packed, store, progress=False)
        assert manifest is not None
        assert (manifest.dataset_version == "simulated") == (packed == simulated)
        module = CODE15DataModule(root=str(other), store=str(store))
        for step in (module.prepare_data, module.setup):
            with pytest.raises(StoreError) as caught:
                step()
            for words in (str(store), str(other), "data.init_args.store", "data.init_args.root"):
                assert words in str(caught.value)
        own = CODE15DataModule(root=str(packed), store=str(store))
        own.prepare_data()
        own.setup()
    alone = CODE15DataModule(root=str(tmp_path / "none"), store=str(store))
    alone.prepare_data()


def test_no_lock_is_left_behind(corpora: Path, tmp_path: Path) -> None:
    store = tmp_path / "stores" / "code15"
    module = CODE15DataModule(root=str(corpora / "code15"), store=str(store), fs=200)
    module.prepare_data()
    assert SignalStore(store).spec.fs == 400
    left = sorted(path.name for path in store.parent.iterdir())
    assert [name for name in left if not name.startswith("code15")] == []
    run = RunFolder(tmp_path / "run")
    with one_writer(run), pytest.raises(UsageError, match="Another process"), one_writer(run):
        pass
    assert list(run.path.iterdir()) == []


@pytest.mark.parametrize("rate", ["0", "-500", "1", "nan", "1e12"])
def test_a_rate_that_holds_no_ecg_is_refused(
    rate: str, corpora: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "store"
    line = ["prepare", "code15", "--root", str(corpora / "code15"), "--out", str(out)]
    assert main([*line, f"--fs={rate}"]) == 2
    assert "`--fs`) must be a rate between 40 and" in capsys.readouterr().err
    assert not out.exists()


def test_a_root_that_is_a_file_is_named(
    corpora: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = corpora / "code15" / "exams.csv"
    out = str(tmp_path / "store")
    assert main(["prepare", "code15", "--root", str(table), "--out", out]) == 1
    assert f"{table} is a file, not the folder of CODE-15%" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("lowpass", 200), ("highpass", 250), ("notch", 260)])
def test_a_cut_off_beyond_half_the_rate_is_blamed_on_its_key(
    name: str, value: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [f"--data.init_args.root={tmp_path / 'none'}", f"--run.root={tmp_path / 'runs'}"]
    assert main([*FIT, *where, f"--data.init_args.filter.{name}={value}"]) == 2
    refused = capsys.readouterr().err
    assert (
        f"data.init_args.filter.{name} must be below 200 Hz, half of data.init_args.fs" in refused
    )
    assert f"got {float(value)}" in refused or f"got {value}" in refused


def test_a_cut_off_is_measured_against_the_rate_of_the_batches() -> None:
    with pytest.raises(UsageError, match=r"data\.init_args\.filter\.lowpass must be below 50 Hz"):
        PTBXLDataModule(fs=100, filter=Filter(lowpass=50))
