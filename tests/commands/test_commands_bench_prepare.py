"""The bench of packing: what it measures is there, for every data set that can be simulated."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pahcl.cli import main
from pahcl.commands import _bench_prepare
from pahcl.commands._bench import Figure
from pahcl.commands._common import datasets, modules_in


def test_figures_of_a_data_set_land_in_the_json_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Five processes that import torch take longer than all else here together.
    monkeypatch.setattr(_bench_prepare, "process", lambda: ThreadPoolExecutor(1))
    target = tmp_path / "bench.json"
    small = ["--records=20", "--rounds=1", "--memory-records=20"]
    status = main(["bench", "prepare", "--datasets", "code15", *small, "--json", str(target)])
    facts = json.loads(target.read_text())
    found = facts["figures"]
    assert facts["bench"] == "prepare"
    assert facts["machine"]["cores"]
    ratios = {"code15_ratio", "code15_wall_ratio", "code15_memory_ratio"}
    others = {"rate", "read_rate", "memory", "memory_growth", "read_memory"}
    assert set(found) == ratios | {f"code15_{name}" for name in others}
    assert found["code15_ratio"]["goal"] == 2.0
    assert found["code15_memory_ratio"]["goal"] == 1.2
    assert found["code15_read_rate"]["value"] > found["code15_rate"]["value"] > 0
    assert found["code15_memory"]["value"] > 50
    met = all(Figure(**figure).is_met for figure in found.values())
    assert status == (0 if met else 1)


def test_a_side_is_one_process_of_its_own() -> None:
    with _bench_prepare.process() as one, _bench_prepare.process() as other:
        ids = [side.submit(os.getpid).result() for side in (one, other, one, other)]
    assert ids[:2] == ids[2:]
    assert len({os.getpid(), *ids}) == 3


def test_every_data_set_with_a_simulator_is_measured() -> None:
    names = _bench_prepare.chosen(None)
    assert {"ptbxl", "code15", "csn", "cpsc2018"} <= set(names)
    assert set(names) == set(datasets()) & set(modules_in("pahcl.simulation"))
    assert _bench_prepare.chosen(["csn", "ptbxl", "csn"]) == ["csn", "ptbxl"]


def test_both_sides_work_through_the_same_records(tmp_path: Path) -> None:
    root = _bench_prepare.simulate("csn", tmp_path / "csn", 20)
    read = _bench_prepare.read("csn", root)
    packed = _bench_prepare.pack("csn", root, tmp_path / "store")
    assert read.records == packed.records == 20
    assert packed.cpu > 0
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--datasets", "ptbxxl"], "did you mean `ptbxl`?"),
        (["--records", "3"], "at least 20 records"),
        (["--rounds", "0"], "one round"),
        (["--memory-records", "3"], "`--memory-records` too"),
    ],
)
def test_what_measures_nothing_is_refused(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "prepare", *words]) == 2
    assert says in " ".join(capsys.readouterr().err.split())
