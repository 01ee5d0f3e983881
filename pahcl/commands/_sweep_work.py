"""Run what a sweep plans: some runs at a time, each a process of its own with its own output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import IO, Any

from pahcl.commands._sweep_plan import (
    OUTPUT,
    Job,
    cores,
    is_done,
    is_held,
    keep_record,
    require_start,
)
from pahcl.errors import PahclError

LOOK_S = 0.2
"""How often running processes are looked at, in seconds."""

HELD_S = 5.0
"""How often a run that another process holds is looked at, in seconds."""

TAIL_LINES = 8
"""Lines of a failed run's output that are shown."""

FIT = (sys.executable, "-m", "pahcl", "fit")
"""What a run's words are given to."""

HELD_ELSEWHERE = "Another process is writing to"
"""What `pahcl fit` says of a run that another process took a moment before."""


class TerminatedError(BaseException):
    """Unwind the work after SIGTERM, as KeyboardInterrupt does after Ctrl-C."""


@dataclass
class Outcome:
    """Hold what became of the runs.

    Args:
        done: Complete runs, those that were complete before included.
        failed: Runs that ended badly, with the reason and the end of their output.
        blocked: Runs whose pretraining failed.
    """

    done: list[Job] = field(default_factory=list)
    failed: dict[Job, str] = field(default_factory=dict)
    blocked: list[Job] = field(default_factory=list)


@dataclass
class Child:
    """Hold one running process."""

    job: Job
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    begins: int
    started: float
    slot: int


class Estimate:
    """Guess how long the rest takes, from runs of the same kind.

    Args:
        jobs: All runs.
        workers: Runs side by side.
    """

    def __init__(self, jobs: Sequence[Job], workers: int) -> None:
        self.jobs = jobs
        self.workers = workers
        self.seconds: dict[tuple[str, str], list[float]] = {}

    def learn(self, job: Job, seconds: float) -> None:
        """Take in how long a run took."""
        self.seconds.setdefault(_kind(job), []).append(seconds)

    def learn_from_receipt(self, job: Job) -> None:
        """Take in how long a run of an earlier command took."""
        with suppress(PahclError):
            found = job.folder.load_receipt().get("wall_time_s")
            if isinstance(found, int | float):
                self.learn(job, float(found))

    def of(self, job: Job) -> float | None:
        """Guess how long a run takes; None where no run of its stage is known."""
        same = self.seconds.get(_kind(job))
        found = same or [x for key, xs in self.seconds.items() if key[0] == job.stage for x in xs]
        return sum(found) / len(found) if found else None

    def rest(self, left: Sequence[Job], running: Mapping[Job, float]) -> float | None:
        """Guess the seconds until all is done; None where that cannot be known yet.

        Args:
            left: Runs that have not begun.
            running: Seconds since each running one has begun.
        """
        guesses = [self.of(job) for job in left]
        guesses += [max(0.0, g - s) if (g := self.of(j)) else g for j, s in running.items()]
        known = [guess for guess in guesses if guess is not None]
        return sum(known) / self.workers if known and len(known) == len(guesses) else None


def _kind(job: Job) -> tuple[str, str]:
    return job.stage, job.fraction or job.arm


class Work:
    """Run jobs, some at a time.

    Args:
        jobs: What to run, in the order of preference.
        workers: Processes side by side.
        say: Takes a line for people.
        on_change: Is called with the number of settled runs and the guess of the rest in seconds.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        workers: int,
        say: Callable[[str], None],
        on_change: Callable[[int, float | None], None],
    ) -> None:
        self.jobs = list(jobs)
        self.workers = workers
        self.say = say
        self.on_change = on_change
        self.left: list[Job] = []
        self.children: list[Child] = []
        self.outcome = Outcome()
        self.held: dict[Job, float] = {}
        self.estimate = Estimate(self.jobs, workers)
        self.gpus = _gpus() if workers > 1 else 0

    def run(self) -> Outcome:
        """Run everything that can be run.

        Raises:
            KeyboardInterrupt: After Ctrl-C; the children were stopped before.
            TerminatedError: The same after SIGTERM.
        """
        with terminated():
            try:
                self._settle_what_is_done()
                while self.left or self.children:
                    self._start_what_can()
                    time.sleep(LOOK_S)
                    self._look()
                self._recheck()
            except KeyboardInterrupt:
                self._stop(signal.SIGINT)
                raise
            except TerminatedError:
                self._stop(signal.SIGTERM)
                raise
        return self.outcome

    def _settle_what_is_done(self) -> None:
        for job in self.jobs:
            self._settle_or_keep(job)
        before = len(self.outcome.done)
        if before:
            self.say(f"{before} of {len(self.jobs)} runs are done already.")
        self._tell()

    def _settle_or_keep(self, job: Job) -> None:
        """Sort a run: done, failed for good, or still to be run."""
        try:
            done = is_done(job)
        except PahclError as error:
            self._fail(job, str(error))
            return
        if done:
            self.outcome.done.append(job)
            self.estimate.learn_from_receipt(job)
        else:
            self.left.append(job)

    def _tell(self) -> None:
        now = time.monotonic()
        running = {child.job: now - child.started for child in self.children}
        self.on_change(self._settled(), self.estimate.rest(self.left, running))

    def _settled(self) -> int:
        return len(self.outcome.done) + len(self.outcome.failed) + len(self.outcome.blocked)

    def _start_what_can(self) -> None:
        for job in list(self.left):
            if job.needs in self.outcome.failed:
                self.left.remove(job)
                self.outcome.blocked.append(job)
                self._tell()
            elif len(self.children) < self.workers and self._is_free(job):
                self.left.remove(job)
                self._start(job)

    def _is_free(self, job: Job) -> bool:
        """Say whether a run can begin now: its pretraining is done, and nobody else is at it."""
        if job.needs is not None and job.needs not in self.outcome.done:
            return False
        now = time.monotonic()
        if now < self.held.get(job, 0.0):
            return False
        if is_held(job.folder):
            if job not in self.held:
                self.say(f"{job.title}: another process is at it; it is waited for.")
            self.held[job] = now + HELD_S
            return False
        if job in self.held:
            del self.held[job]
            self.left.remove(job)
            self._settle_or_keep(job)
            self._tell()
            return False  # where it is not done, the next round begins it
        return True

    def _start(self, job: Job) -> None:
        job.folder.path.mkdir(parents=True, exist_ok=True)
        output = (job.folder.path / OUTPUT).open("ab")
        begins = output.seek(0, os.SEEK_END)
        output.write(f"$ {job.line}\n".encode())
        output.flush()
        self.say(job.line)
        slot = min(set(range(self.workers)) - {child.slot for child in self.children})
        process = subprocess.Popen(
            [*FIT, *job.words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(self.workers, slot, self.gpus),
            start_new_session=True,  # Ctrl-C reaches this process alone, which hands it on once
        )
        self.children.append(Child(job, process, output, begins, time.monotonic(), slot))

    def _look(self) -> None:
        """Take in what has ended."""
        for child in [one for one in self.children if one.process.poll() is not None]:
            self.children.remove(child)
            child.output.close()
            self._end(child)
            self._tell()

    def _end(self, child: Child) -> None:
        job, status = child.job, child.process.returncode
        seconds = time.monotonic() - child.started
        told = output_of(child)
        if status == 0 and job.folder.is_complete:
            try:
                require_start(job)
            except PahclError as error:
                self._fail(job, str(error))
                return
            keep_record(job)
            self.outcome.done.append(job)
            self.estimate.learn(job, seconds)
            rest = self.estimate.rest(self.left, {one.job: 0.0 for one in self.children})
            self.say(
                f"[{self._settled()}/{len(self.jobs)}] {job.title}{score(job)}  "
                f"{duration(seconds)}{f'; about {duration(rest)} remain' if rest else ''}"
            )
        elif HELD_ELSEWHERE in told:
            self.left.append(job)
            self.held[job] = time.monotonic() + HELD_S
        else:
            end = "\n".join(f"    {line}" for line in told.splitlines()[-TAIL_LINES:])
            self._fail(job, f"{ending(status)} (see {job.folder.path / OUTPUT}):\n{end}")

    def _recheck(self) -> None:
        """Take out transfers that were complete, but whose pretraining was made again now."""
        for job in list(self.outcome.done):
            try:
                require_start(job)
            except PahclError as error:
                self.outcome.done.remove(job)
                self._fail(job, str(error))

    def _fail(self, job: Job, why: str) -> None:
        self.outcome.failed[job] = why
        self.say(f"[{self._settled()}/{len(self.jobs)}] {job.title} FAILED: {why}")

    def _stop(self, number: signal.Signals) -> None:
        """Hand a signal on, wait until all have stopped, and say where they stand.

        A second Ctrl-C kills what still runs.
        """
        try:
            self._send(number)
            for child in self.children:
                child.process.wait()
        except (KeyboardInterrupt, TerminatedError):
            self._send(signal.SIGKILL)
            for child in self.children:
                child.process.wait()
        for child in self.children:
            child.output.close()
            told = output_of(child).splitlines()
            where = [line for line in told if line.startswith("Stopped")] or told
            self.say(f"{child.job.title}: {where[-1] if where else 'stopped before it began'}")

    def _send(self, number: signal.Signals) -> None:
        for child in self.children:
            if child.process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(child.process.pid, number)


@contextmanager
def terminated() -> Iterator[None]:
    """Turn SIGTERM, with which schedulers stop a job, into an exception."""

    def unwind(_number: int, _frame: FrameType | None) -> None:
        raise TerminatedError

    try:
        before = signal.signal(signal.SIGTERM, unwind)
    except ValueError:  # outside the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def environment(workers: int, slot: int, gpus: int) -> dict[str, str]:
    """Give a child its share of the machine: threads, and of several GPUs its own."""
    found = dict(os.environ)
    found.setdefault("OMP_NUM_THREADS", str(max(1, cores() // workers)))
    if gpus > 1:
        visible = [name for name in found.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        names = visible or [str(number) for number in range(gpus)]
        found["CUDA_VISIBLE_DEVICES"] = names[slot % len(names)]
    return found


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def output_of(child: Child) -> str:
    """Read what a run has written since it was started here, without the command's own line."""
    with (child.job.folder.path / OUTPUT).open("rb") as stream:
        stream.seek(child.begins)
        text = stream.read().decode("utf-8", errors="replace")
    return text.partition("\n")[2].strip()


def ending(status: int) -> str:
    """Say how a process ended."""
    number = -status if status < 0 else status - 128
    if number > 0:
        with suppress(ValueError):
            return f"stopped by {signal.Signals(number).name}"
    return f"exit status {status}" if status else "it ended without evidence"


def score(job: Job) -> str:
    """Write a run's primary metric."""
    try:
        name = job.folder.load_task().primary_metric
        found: Any = job.folder.load_metrics().get("metrics", {}).get(name, {})
    except (PahclError, json.JSONDecodeError):
        return ""
    value = found.get("value") if isinstance(found, dict) else None
    return f"  {name} {value:.3f}" if isinstance(value, int | float) else ""


def duration(seconds: float) -> str:
    """Write a duration for people."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
