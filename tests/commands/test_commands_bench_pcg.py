"""`pahcl bench pcg`: the sides do what they are said to do, and the figures say so."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pahcl.cli import main
from pahcl.commands import _bench_pcg, _bench_pcg_original
from pahcl.signals.heart_cycles import segment
from pahcl.signals.heart_cycles.upstream import Upstream


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return _bench_pcg.simulated(tmp_path_factory.mktemp("pcg"), 3, 8.0, 4000)


def test_the_original_cuts_where_its_segmenter_does(paths: list[Path], tmp_path: Path) -> None:
    for path in paths:
        samples = _bench_pcg_original.filtered(_bench_pcg_original.read(path))
        energy = _bench_pcg_original.envelope(samples)
        peaks = _bench_pcg_original.peaks_of(energy, len(samples) / 5000) / 100
        length = np.diff(peaks)
        kept = (length >= 0.4 - 1e-9) & (length <= 1.2 + 1e-9)
        found = segment(path, segmenter=Upstream(longest=1.2)).cycles
        np.testing.assert_allclose(found.start, peaks[:-1][kept])


def test_the_original_keeps_cycles_of_one_length(paths: list[Path], tmp_path: Path) -> None:
    counts = []
    for path in paths:
        out = tmp_path / path.stem
        out.mkdir()
        counts.append(_bench_pcg_original.prepare_recording(path, out))
        assert len(list(out.iterdir())) == counts[-1]
    assert max(counts) > 3
    cycle = np.load(next(tmp_path.rglob("cycle_0000.npy")))
    assert cycle.shape == (4000,)
    assert cycle.dtype == np.float32
    assert cycle.any()


def test_a_cycle_is_cut_or_padded_at_both_ends() -> None:
    cut = _bench_pcg_original.to_length(np.arange(4400.0))
    assert (cut[0], len(cut)) == (200, 4000)
    padded = _bench_pcg_original.to_length(np.ones(3001))
    assert np.flatnonzero(padded)[[0, -1]].tolist() == [499, 3499]


def test_the_long_recording_is_as_long_as_is_said(tmp_path: Path) -> None:
    _bench_pcg.write_long(tmp_path / "long.wav", 1.2)
    found = segment(tmp_path / "long.wav", segmenter="upstream")
    assert found.duration == pytest.approx(72)
    assert found.notes == ("the mean of its 2 channels is taken",)


def test_figures_and_goals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Processes that import torch take longer than all else here together.
    monkeypatch.setattr(_bench_pcg, "process", lambda: ThreadPoolExecutor(1))
    out = tmp_path / "figures.json"
    small = ["--recordings=2", "--seconds=8", "--rounds=1", "--memory-minutes=1"]
    status = main(["bench", "pcg", *small, "--json", str(out)])
    figures = json.loads(out.read_text())["figures"]
    goals = {name: figure["goal"] for name, figure in figures.items() if figure["goal"]}
    assert goals == {
        "rhythm_ratio": 3.0,
        "rhythm_rate": 2000.0,
        "learned_rate": 500.0,
        "rhythm_memory_ratio": 1.3,
        "learned_memory_ratio": 1.3,
    }
    assert all(figure["value"] > 0 for figure in figures.values())
    assert status in (0, 1)


@pytest.mark.parametrize("option", [["--recordings", "0"], ["--seconds", "2"], ["--rounds", "0"]])
def test_too_little_is_refused(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "pcg", *option]) == 2
    assert "bench pcg" in capsys.readouterr().err
