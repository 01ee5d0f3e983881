"""A Ray cluster writes the store that one process writes, whatever is lost on the way."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from store_corpus import make_index, tree, write

from pahcl.cli import main
from pahcl.errors import UsageError
from pahcl.simulation import code15
from pahcl.store import cluster

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pahcl[cluster]"
)
def test_two_nodes_a_killed_worker_and_a_lost_node_write_the_same_bytes(tmp_path):
    write(tmp_path / "local", make_index(120))
    paths = [str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, str(HERE / "ray_cluster.py"), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["killed"] == 1
    assert facts["workers"] >= 3  # one for each node, and one in the place of the killed one
    expected = tree(tmp_path / "local")
    for name, found in facts["tree"].items():
        assert found == expected, name
    assert "does not see" in facts["apart"]
    assert "on a file system that all share" in facts["apart"]
    assert facts["nodes"] == 0  # beside the head
    assert not facts["connected"]


def test_a_store_that_is_complete_needs_no_cluster(tmp_path, monkeypatch):
    manifest = write(tmp_path / "store")
    monkeypatch.setattr(cluster, "require_ray", lambda: pytest.fail("nothing is left to write"))
    assert [*cluster.write_all_on_ray([], 0, None, tmp_path / "store", None)] == []
    assert manifest.counts["kept"] > 0


def test_without_ray_the_error_names_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'pahcl\[cluster\]'"):
        write(tmp_path / "store", engine="ray")
    assert not (tmp_path / "store").exists()
    code15.write(tmp_path / "corpus", records=4)
    words = ["--root", str(tmp_path / "corpus"), "--out", str(tmp_path / "out"), "--engine", "ray"]
    assert main(["prepare", "code15", *words]) == 2
    assert "pahcl[cluster]" in capsys.readouterr().err


def test_what_a_worker_does_not_see_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out, root = tmp_path / "out", tmp_path / "root"
    for folder in (out, root):
        folder.mkdir()
    (out / "plan.json").write_text("{}")
    (root / "a.csv").touch()
    place = cluster.Place.here(Path("out"), Path("root"))
    assert cluster._trouble(place) is None
    (root / "b.csv").touch()
    assert cluster._trouble(place) == f"does not see {root}, or sees other files there"
    (out / "plan.json").write_text("{ }")
    assert cluster._trouble(place) == f"sees another store in {out}"
    (out / "plan.json").unlink()
    assert cluster._trouble(place) == f"does not see {out}"
    monkeypatch.setattr(cluster.pahcl, "__version__", "0.0.0")
    assert "has pahcl 0.0.0, not" in cluster._trouble(place)
    with pytest.raises(Exception, match="Every node must see `--root` and `--out`"):
        cluster._require_place(place)
