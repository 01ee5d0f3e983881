"""Do much in several processes, a few jobs at a time; above all write shards."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.context import BaseContext
from typing import TypeVar

from pahcl.errors import StoreError
from pahcl.store.patience import Reader
from pahcl.store.shards import ShardJob, write_shard

Job = TypeVar("Job")
Done = TypeVar("Done")


def processors() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def write_all(
    jobs: Iterable[ShardJob], count: int, workers: int | None, read: Reader
) -> Iterator[int]:
    """Write shards, and yield each one's number when it is done, as `work_off` does.

    Args:
        jobs: The shards to write.
        count: How many there are.
        workers: Processes at most; None takes one for each processor.
        read: The reader of all jobs, whose module the workers import once.

    Raises:
        StoreError: A worker died.
        DataError: The machine cannot read the publisher's files.
        OSError: The store cannot be written.
    """
    inner: object = read
    while isinstance(inner, functools.partial):
        inner = inner.func
    yield from work_off(write_shard, jobs, count, workers, [getattr(inner, "__module__", None)])


def work_off(
    do: Callable[[Job], Done],
    jobs: Iterable[Job],
    count: int,
    workers: int | None,
    modules: Sequence[str | None] = (),
) -> Iterator[Done]:
    """Do jobs, and yield what each gives when it is done, in whatever order.

    At most two jobs a worker are handed out at once, so that memory does not grow with their
    number. With one worker or one job everything runs in this process.

    Args:
        do: Does one of them; a function of a module.
        jobs: The jobs; picklable.
        count: How many there are.
        workers: Processes at most; None takes one for each processor.
        modules: Names of modules that the workers import once for all.

    Raises:
        StoreError: A worker died.
    """
    workers = min(workers or processors(), count)
    if workers <= 1:
        yield from map(do, jobs)
        return
    queue = iter(jobs)
    context = _context([do.__module__, *modules])
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        pending = {pool.submit(do, job) for job in islice(queue, 2 * workers)}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            pending |= {pool.submit(do, job) for job in islice(queue, len(done))}
            yield from (future.result() for future in _in_order(done))
    except BrokenProcessPool as error:
        raise StoreError(
            "A worker process ended unexpectedly; it was killed, or memory was short. What is done "
            "is kept: run the same command again, with fewer `--workers` if memory is short."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(done: set[Future[Done]]) -> list[Future[Done]]:
    """Put failures last, so that jobs which are done count before the error ends the work."""
    return sorted(done, key=lambda future: future.exception() is not None)


def _context(modules: Sequence[str | None]) -> BaseContext:
    """Choose how workers start: never by a fork of this process, whose threads might hold locks."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # Imported once by the server instead of by every worker; `__main__` is what it does by default.
    context.set_forkserver_preload(["__main__", *(name for name in modules if name)])
    return context


def _start_worker() -> None:
    """Make a worker end with its parent, however that ended, and leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
