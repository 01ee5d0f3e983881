"""Pack on a local Ray cluster of two nodes while workers are killed; run as a script by a test.

In a process of its own, since Ray leaves threads and handlers behind.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import store_corpus
from store_corpus import make_index, tree, write

from pahcl.errors import StoreError
from pahcl.signals import Recording
from pahcl.store import merge

RECORDS = 120


def read(folder: Path, row, pause=0.03) -> Recording:
    """Read slowly, and leave the worker's name behind."""
    (folder / f"worker-{os.getpid()}").touch()
    time.sleep(pause)
    return store_corpus.read(row)


def kill_one_worker(seen: Path, done: list[int]) -> None:
    """Kill, as the kernel would, the first worker that is at work."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not done:
        for path in seen.glob("worker-*"):
            os.kill(int(path.name.partition("-")[2]), signal.SIGKILL)
            done.append(int(path.name.partition("-")[2]))
            return
        time.sleep(0.02)


def remove_a_node(cluster, seen: Path) -> None:
    """Take the second node away, without a farewell, once both have a worker at work."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len([*seen.iterdir()]) < 2:
        time.sleep(0.02)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)


def main(folder: Path) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        from ray.cluster_utils import Cluster

        small = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=small)
        cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
        cluster.wait_for_nodes()
    os.environ["RAY_ADDRESS"] = cluster.address
    root, seen = folder / "root", folder / "seen"
    for path in (root, seen):
        path.mkdir()
    (root / "table.csv").touch()
    index, facts = make_index(RECORDS), {}
    reader = functools.partial(read, seen)
    options = {"engine": "ray", "workers": None, "root": root}

    killed: list[int] = []
    killer = threading.Thread(target=kill_one_worker, args=(seen, killed))
    killer.start()
    began = time.monotonic()
    write(folder / "killed", index, reader, **options)
    facts["seconds"] = time.monotonic() - began
    killer.join()
    facts["killed"] = len(killed)
    facts["workers"] = len([*seen.iterdir()])

    write(folder / "share", index, reader, shard=(0, 2), **options)
    write(folder / "share", index, reader, shard=(1, 2), **options)
    merge(folder / "share")

    # A node that sees another folder: as if the root were not shared.
    facts["tree"] = {name: tree(folder / name) for name in ("killed", "share")}
    from pahcl.store import cluster as engine

    honest = engine._listing
    engine._listing = lambda path: "of this node alone"
    try:
        write(folder / "apart", index, reader, **options)
    except StoreError as error:
        facts["apart"] = str(error)
    engine._listing = honest

    # A node is lost for good while both are at work.
    again = folder / "seen-again"
    again.mkdir()
    remover = threading.Thread(target=remove_a_node, args=(cluster, again))
    remover.start()
    write(folder / "node", index, functools.partial(read, again), **options)
    remover.join()
    facts["nodes"] = len(cluster.worker_nodes)
    facts["tree"]["node"] = tree(folder / "node")
    facts["connected"] = ray.is_initialized()
    cluster.shutdown()
    return facts


if __name__ == "__main__":
    target = Path(sys.argv[1])
    (target / "facts.json").write_text(json.dumps(main(target)))
