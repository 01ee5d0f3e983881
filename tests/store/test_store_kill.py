"""Kill -9 at any instant, then run again: the same bytes as an undisturbed run."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from store_corpus import make_index, tree, write

from pahcl.store import SignalStore

SCRIPT = Path(__file__).with_name("store_corpus.py")


class Killed(BaseException):
    """Stands for the kernel: no handler of the package may catch it."""


class Doom:
    """Let every operation on files fail for good after the first `lives`, as if killed there."""

    OPERATIONS = ("replace", "link", "unlink", "rmdir", "mkdir", "fsync", "open")

    def __init__(self, monkeypatch, lives):
        self.lives, self.dead = lives, False
        for name in self.OPERATIONS:
            monkeypatch.setattr(os, name, self._mortal(getattr(os, name)))

    def _mortal(self, operation):
        def attempt(*args, **kwargs):
            if self.lives == 0:
                self.dead = True
                raise Killed
            self.lives -= 1
            return operation(*args, **kwargs)

        return attempt


def test_a_kill_before_any_file_operation_leaves_nothing_that_a_rerun_does_not_mend(
    tmp_path, monkeypatch
):
    index = make_index(5)
    write(tmp_path / "whole", index, shard_records=2)
    expected = tree(tmp_path / "whole")
    lives, alive = 0, False
    while not alive:
        out = tmp_path / f"killed-{lives}"
        with monkeypatch.context() as patched:
            doom = Doom(patched, lives)
            with contextlib.suppress(Killed):
                write(out, index, shard_records=2)
        alive = not doom.dead
        if (out / "manifest.json").is_file():
            assert len(SignalStore(out)) == 4  # complete from this instant on
        write(out, index, shard_records=2)
        assert tree(out) == expected, f"killed before operation {lives}"
        assert not (out / "parts").exists()
        lives += 1
    assert lives > 30


def _start(out, workers, records, pause):
    command = [sys.executable, str(SCRIPT), str(out), str(workers), str(records), str(pause)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, start_new_session=True)


def _kill_until_done(out, workers, records, pause, kills, longest):
    """Kill the whole run at random instants after it has begun, then let it end; count kills."""
    chance = random.Random(1234)
    killed = 0
    while True:
        process = _start(out, workers, records, pause)
        if killed == kills:
            assert process.wait(timeout=120) == 0
            return killed
        while process.poll() is None and not (out / "plan.json").exists():
            time.sleep(0.005)
        # A run that goes on finds its plan at once: leave it time to load and to write.
        time.sleep(chance.uniform(0.0, longest))
        if process.poll() is None:
            # Workers are left alone, as by a kill of the one process that a person sees.
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.wait(timeout=120)
        if (out / "manifest.json").exists():
            return killed


def test_kills_then_the_same_bytes(tmp_path):
    write(tmp_path / "whole", make_index(60))
    out = tmp_path / "store"
    killed = _kill_until_done(out, 2, 60, 0.04, kills=3, longest=1.0)
    assert killed >= 2
    assert tree(out) == tree(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ten_kills_of_a_larger_corpus_then_the_same_bytes(tmp_path, workers):
    write(tmp_path / "whole", make_index(900), workers=2)
    out = tmp_path / "store"
    killed = _kill_until_done(out, workers, 900, 0.02, kills=10, longest=3.0)
    assert killed == 10
    assert tree(out) == tree(tmp_path / "whole")
    assert not [name for name in tree(out) if name.endswith(".tmp")]


def test_workers_end_with_their_parent(tmp_path):
    process = _start(tmp_path / "store", 2, 400, 0.05)
    try:
        children = []
        deadline = time.monotonic() + 60
        while len(children) < 2 and time.monotonic() < deadline:
            children = _session(process.pid)
            time.sleep(0.02)
        assert len(children) >= 2
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
    deadline = time.monotonic() + 20
    while _session(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _session(process.pid)


def _session(leader):
    """List the other living processes of a session."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc")
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and int(entry.parent.name) != leader and fields[0] != "Z":
            found.append(int(entry.parent.name))
    return found
