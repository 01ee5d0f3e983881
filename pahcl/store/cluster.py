"""Write shards on a Ray cluster, a few at a time; a worker or a node that is lost costs time alone.

Ray is an extra (`pahcl[cluster]`), imported when it is asked for. Every node has to see the
publisher's folder and the store's under the same paths: that is checked on each node before the
work begins, and again by each worker before its first shard.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pahcl
from pahcl.errors import StoreError, UsageError
from pahcl.files import sha256_file, sha256_text, temporary_for
from pahcl.store.plan import PLAN
from pahcl.store.pool import processors
from pahcl.store.shards import ShardJob, write_shard

RETRIES = 5
"""How often a shard is begun again whose worker or node was lost."""

_PROBE_SECONDS = 300.0
"""A node that has not started a worker by then is taken for lost."""

_OBJECT_STORE = 256 * 2**20
"""Bytes of shared memory of a cluster that is started here; through it go tables alone."""


@dataclass(frozen=True)
class Place:
    """Say what a worker has to see where it runs.

    Args:
        folder: The working folder, from which relative paths are meant.
        out: The store's folder.
        plan: Checksum of the plan that lies there.
        root: The publisher's folder, where it is known.
        listing: Checksum of the names in it.
        version: Version of this package.
    """

    folder: Path
    out: Path
    plan: str
    root: Path | None
    listing: str | None
    version: str = pahcl.__version__

    @classmethod
    def here(cls, out: Path, root: Path | None) -> Place:
        """Describe the folders as they are seen from here."""
        root = None if root is None else root.absolute()
        listing = None if root is None else _listing(root)
        return cls(Path.cwd(), out.absolute(), sha256_file(out / PLAN), root, listing)


def require_ray() -> ModuleType:
    """Import Ray.

    Raises:
        UsageError: It is not installed.
    """
    # Set before the import: no statistics are sent to anybody from here.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise UsageError(
            "The engine `ray` needs Ray, which is not installed: pip install 'pahcl[cluster]'."
        ) from error


def write_all_on_ray(
    jobs: Iterable[ShardJob], count: int, workers: int | None, out: Path, root: Path | None
) -> Iterator[int]:
    """Write shards on the cluster, and yield each one's number when it is done.

    The cluster is the one that this process is connected to, that `RAY_ADDRESS` names, or that runs
    on this machine; else one is started here, for this work alone.

    Args:
        jobs: The shards to write.
        count: How many there are.
        workers: Shards that are written at once; None takes every processor of the cluster.
        out: The store's folder, which holds the plan.
        root: The publisher's folder, where it is known.

    Raises:
        StoreError: A node does not see the folders, no cluster can be had, or a shard's worker was
            lost again and again.
        DataError: The machine cannot read the publisher's files.
        OSError: The store cannot be written.
    """
    if not count:
        return
    place = Place.here(out, root)
    with _connected(workers) as ray:
        _require_on_every_node(ray, place)
        slots = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        task = ray.remote(_write).options(num_cpus=1, max_retries=RETRIES)
        queue = (replace(job, out=place.out) for job in jobs)
        pending = [task.remote(job, place) for job in islice(queue, slots)]
        try:
            while pending:
                ray.wait(pending, num_returns=1)
                done, pending = ray.wait(pending, num_returns=len(pending), timeout=0)
                pending += [task.remote(job, place) for job in islice(queue, len(done))]
                yield from _results(ray, done)
        finally:
            for reference in pending:
                ray.cancel(reference)


@contextlib.contextmanager
def _connected(workers: int | None) -> Iterator[ModuleType]:
    """Connect to a cluster, or start one; what was connected here is disconnected."""
    ray = require_ray()
    if ray.is_initialized():
        yield ray
        return
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    named = os.environ.get("RAY_ADDRESS")
    try:
        try:
            ray.init(address=named or "auto", **quiet)
        except ConnectionError:
            if named:
                raise
            ray.init(
                address="local",
                num_cpus=workers or processors(),
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE,
                **quiet,
            )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        which = f"RAY_ADDRESS={named}" if named else "a Ray cluster on this machine"
        raise StoreError(
            f"{which} cannot be used ({' '.join(str(error).split())[:300]}). Check the cluster "
            "with `ray status`, or pack with `--engine local`."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_on_every_node(ray: ModuleType, place: Place) -> None:
    """Let every node look for the folders before any work is done."""
    pinned = importlib.import_module(
        "ray.util.scheduling_strategies"
    ).NodeAffinitySchedulingStrategy
    look = ray.remote(_trouble)
    asked = {
        look.options(num_cpus=0, scheduling_strategy=pinned(node["NodeID"], soft=False)).remote(
            place
        ): f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU")
    }
    troubles = []
    ready, _ = ray.wait([*asked], num_returns=len(asked), timeout=_PROBE_SECONDS)
    for reference in ready:
        try:
            trouble = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            trouble = f"cannot run pahcl there ({error.cause!r}); install the same on each node"
        except ray.exceptions.RayError:  # it was lost meanwhile; the others do its work
            continue
        if trouble is not None:
            troubles.append(f"node {asked[reference]} {trouble}")
    if troubles:
        raise _not_shared("; ".join(troubles))


def _not_shared(troubles: str) -> StoreError:
    return StoreError(
        f"The Ray cluster cannot pack this: {troubles}. Every node must see `--root` and `--out` "
        "under the same paths, on a file system that all share. What is done is kept."
    )


def _results(ray: ModuleType, done: list[Any]) -> Iterator[int]:
    """Yield the numbers of shards that are done; only then raise what ended another."""
    failed: Exception | None = None
    for reference in done:
        try:
            yield ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            failed = error.cause if isinstance(error.cause, Exception) else error
        except ray.exceptions.RayError as error:
            failed = StoreError(
                f"A worker of the Ray cluster was lost {RETRIES + 1} times while it wrote the same "
                f"shard ({type(error).__name__}); it was killed, or memory was short. What is done "
                "is kept: run the same command again, with fewer `--workers` if memory is short."
            )
    if failed is not None:
        raise failed


# On the nodes


def _write(job: ShardJob, place: Place) -> int:
    _require_place(place)
    return write_shard(job)


@functools.lru_cache
def _require_place(place: Place) -> None:
    """Check once in each worker: a node may have joined after the others were asked."""
    trouble = _trouble(place)
    if trouble is not None:
        raise _not_shared(f"node {platform.node()} {trouble}")


def _trouble(place: Place) -> str | None:
    """Say what is missing where this runs; None if all is there."""
    if pahcl.__version__ != place.version:
        return f"has pahcl {pahcl.__version__}, not {place.version}"
    with contextlib.suppress(OSError):  # then paths that are absolute may still do
        os.chdir(place.folder)
    try:
        if sha256_file(place.out / PLAN) != place.plan:
            return f"sees another store in {place.out}"
    except OSError:
        return f"does not see {place.out}"
    try:
        probe = temporary_for(place.out / PLAN)
        probe.touch()
        probe.unlink()
    except OSError as error:
        return f"cannot write to {place.out} ({error.strerror})"
    if place.root is not None and _listing(place.root) != place.listing:
        return f"does not see {place.root}, or sees other files there"
    return None


def _listing(folder: Path) -> str | None:
    """Name the names in a folder, of any size, in a few letters; None where there is no folder."""
    try:
        return sha256_text("\n".join(sorted(path.name for path in folder.iterdir())))
    except OSError:
        return None
