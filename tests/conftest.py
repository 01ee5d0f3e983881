"""What the whole test run shares: quiet surroundings and simulated corpora."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest
from filelock import FileLock

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported
os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
os.environ["MPLBACKEND"] = "Agg"

RECORDS = 96
"""Good records of each simulated corpus; the ugly ones come on top."""


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAHCL_STORES", "PAHCL_RUN_NAME", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    # Else real records in data/ would be held against the simulated stores of the tests.
    monkeypatch.setenv("PAHCL_DATA", "no-data-of-this-machine")


@pytest.fixture(scope="session")
def samples() -> Path:
    """Give the folder of real recordings that PAHCL_SAMPLES names, or skip."""
    folder = os.environ.get("PAHCL_SAMPLES")
    if not folder or not Path(folder).is_dir():
        pytest.skip("PAHCL_SAMPLES names no folder of real recordings")
    return Path(folder)


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write simulated corpora into one folder laid out like PAHCL_DATA, once for all processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "corpora"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / ".lock"):
        write_corpora(folder)
    return folder


def write_corpora(folder: Path) -> None:
    """Write every data set's corpus; one that is there already stays."""
    for dataset, name in (
        ("ptbxl", "ptb-xl"),
        ("code15", "code15"),
        ("cpsc2018", "cpsc2018"),
        ("csn", "csn"),
        ("mimic_iv_ecg", "mimic-iv-ecg"),
        ("code_test", "code-test"),
        ("physionet2016", "physionet2016"),
        ("pascal", "pascal"),
        ("circor", "circor"),
        ("folder", "folder"),
    ):
        importlib.import_module(f"pahcl.simulation.{dataset}").write(
            folder / name, records=RECORDS, seed=7
        )


@pytest.fixture
def place(
    corpora: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Stand in an empty folder with simulated data in reach."""
    stores = tmp_path_factory.getbasetemp() / "stores"  # packed once for all tests of a process
    monkeypatch.setenv("PAHCL_DATA", str(corpora))
    monkeypatch.setenv("PAHCL_STORES", str(stores))
    monkeypatch.chdir(tmp_path)
    return tmp_path
