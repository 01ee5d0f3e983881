"""Kill -9 while cycles are found, then run again: the same bytes as an undisturbed run."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from heart_corpus import find, make_store
from store_corpus import tree
from test_store_kill import Doom, Killed

from pahcl.errors import StoreError
from pahcl.store import SignalStore, verify
from pahcl.store import cycle_writer as writer_module

SCRIPT = Path(__file__).with_name("heart_corpus.py")


def test_a_kill_before_any_file_operation_leaves_nothing_that_a_rerun_does_not_mend(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(writer_module, "CHUNK_RECORDS", 2)
    bare = make_store(tmp_path / "bare", 3).path
    shutil.copytree(bare, tmp_path / "whole")
    find(SignalStore(tmp_path / "whole"))
    expected = tree(tmp_path / "whole")
    lives, alive = 0, False
    while not alive:
        out = tmp_path / f"killed-{lives}"
        shutil.copytree(bare, out)
        with monkeypatch.context() as patched:
            doom = Doom(patched, lives)
            with contextlib.suppress(Killed):
                find(SignalStore(out))
        alive = not doom.dead
        if (out / "cycles" / "metronome.json").exists():
            assert len(SignalStore(out).cycles()) > 0  # whole from this instant on
        else:
            with pytest.raises(StoreError, match="has no heart cycles"):
                SignalStore(out).cycles()
        find(SignalStore(out))
        assert tree(out) == expected, f"killed before operation {lives}"
        assert not [path for path in (out / "cycles").iterdir() if path.is_dir()]
        shutil.rmtree(out)
        lives += 1
    assert lives > 12


def _start(store: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(SCRIPT), str(store), str(workers), "0.02"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, start_new_session=True)


def test_kills_then_the_same_bytes(tmp_path):
    store = make_store(tmp_path / "store", 48).path
    find(SignalStore(store), pause=0.02)
    expected = tree(store)
    shutil.rmtree(store / "cycles")
    chance, killed = random.Random(7), 0
    while not killed:
        process = _start(store, 2)
        while process.poll() is None and not (store / "cycles").exists():
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, 1.0))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.wait(timeout=120)
        if (store / "cycles" / "metronome.json").exists():
            break
    assert killed
    find(SignalStore(store), pause=0.02)
    assert tree(store) == expected
    assert verify(SignalStore(store)) == []
