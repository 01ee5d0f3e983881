"""The runs of a sweep: which there are, in which order, with which words, and how far each is."""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pahcl.commands._sweep_file import PRETRAINING, Arm, SweepFile
from pahcl.errors import PahclError, UsageError
from pahcl.evaluation.run import RunFolder
from pahcl.files import sha256_file, write_json

PRETRAIN = "pretrain"
TRANSFER = "transfer"
RECORD = "made_by.json"
"""File of a run folder: what the `pahcl fit` was given that a sweep has seen end well."""

ENVIRONMENT = re.compile(r"\$\{oc\.env:\s*(\w+)")
"""An environment variable that a config reads, such as where the data lie."""

OUTPUT = "sweep.log"
"""File of a run folder: what its `pahcl fit` wrote."""


@dataclass(frozen=True)
class Job:
    """Hold one run of a sweep.

    Args:
        stage: `pretrain` or `transfer`.
        arm: The arm that it belongs to.
        fraction: The label fraction of a transfer; "" for a pretraining.
        seed: Its seed.
        folder: Its run folder.
        words: What follows `pahcl fit`.
        configs: The configs among the words.
        needs: The pretraining that it starts from.
        start: The checkpoint of `needs` that it starts from.
    """

    stage: str
    arm: str
    fraction: str
    seed: int
    folder: RunFolder
    words: tuple[str, ...] = field(repr=False)
    configs: tuple[Path, ...] = field(repr=False)
    needs: Job | None = field(default=None, repr=False)
    start: Path | None = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """Name the run as its folders do."""
        return f"{self.folder.experiment}/{self.folder.name}"

    @property
    def line(self) -> str:
        """Write the command as a person would type it."""
        return f"pahcl fit {shlex.join(self.words)}"


def plan(
    file: SweepFile, root: Path, seeds: Sequence[int] = (), given: Sequence[str] = ()
) -> list[Job]:
    """List the runs of a sweep, seed by seed, each pretraining before the transfers that need it.

    Args:
        file: The sweep.
        root: Folder of the sweep's own folder.
        seeds: Seeds to take instead of the file's.
        given: Words for every `pahcl fit`, after those of the file.
    """
    maker = _Maker(file, root / file.name, tuple(given))
    jobs: dict[Path, Job] = {}
    for seed in seeds or file.seeds:
        before = {arm.name: maker.pretraining(arm, seed) for arm in file.arms if arm.configs}
        after = [
            maker.transfer(arm, fraction, seed, before.get(arm.name))
            for fraction in file.fractions
            for arm in file.arms
        ]
        jobs.update({job.folder.path: job for job in (*before.values(), *after)})
    return list(jobs.values())


@dataclass(frozen=True)
class _Maker:
    """Make the runs of one sweep.

    Args:
        file: The sweep.
        folder: The sweep's folder.
        given: Words for every `pahcl fit`.
    """

    file: SweepFile
    folder: Path
    given: tuple[str, ...]

    def pretraining(self, arm: Arm, seed: int) -> Job:
        """Make the pretraining of an arm for the transfers of one seed."""
        shared = self.file.pretraining_seed
        own = seed if shared is None else shared
        configs = (*arm.configs, *self.file.layers)
        name = f"{arm.name}-seed{own}"
        arguments = (*self.file.pretraining_arguments, *arm.arguments)
        words = self.words(configs, arguments, PRETRAIN, name, own)
        return Job(PRETRAIN, arm.name, "", own, self.place(PRETRAIN, name), words, configs)

    def transfer(self, arm: Arm, fraction: str, seed: int, needs: Job | None) -> Job:
        """Make one transfer."""
        configs = (*self.file.transfer, *self.file.layers, self.file.fractions[fraction])
        name = f"{arm.name}-{fraction}-seed{seed}"
        words = self.words(configs, self.file.transfer_arguments, TRANSFER, name, seed)
        start = None
        if needs is not None:
            start = needs.folder.best if arm.checkpoint == "best" else needs.folder.last
            words = (*words, "--model.pretrained", start.as_posix())
        place = self.place(TRANSFER, name)
        return Job(TRANSFER, arm.name, fraction, seed, place, words, configs, needs, start)

    def place(self, stage: str, name: str) -> RunFolder:
        """Name a run's folder."""
        return RunFolder(self.folder / stage / name)

    def words(
        self, configs: Sequence[Path], arguments: Sequence[str], stage: str, name: str, seed: int
    ) -> tuple[str, ...]:
        """Put a command together; what the sweep gives itself comes last and holds."""
        layered = [word for config in configs for word in ("--config", config.as_posix())]
        place = ["--run.root", self.folder.as_posix(), "--run.experiment", stage]
        own = [*place, "--run.name", name, "--run.test", "true", "--seed_everything", str(seed)]
        return (*layered, *arguments, *self.given, *own)


def chosen(jobs: Sequence[Job], only: Sequence[str], shard: tuple[int, int] | None) -> list[Job]:
    """Choose some of the runs, and the pretrainings that these need.

    Args:
        jobs: All of them.
        only: Names of arms, of fractions, or `pretraining`; nothing means everything.
        shard: Share i of n. A pretraining and all that starts from it with one seed stay together.

    Raises:
        UsageError: A name that is neither an arm nor a fraction.
    """
    arms = list(dict.fromkeys(job.arm for job in jobs))
    fractions = list(dict.fromkeys(job.fraction for job in jobs if job.fraction))
    known = [*arms, *fractions, PRETRAINING]
    for name in only:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f"--only {name}: there are {', '.join(known)}.{hint}")
    of_arms = [name for name in only if name in arms] or arms
    of_fractions = [name for name in only if name in fractions] or fractions
    stage = PRETRAIN if PRETRAINING in only else TRANSFER
    found = [job for job in jobs if job.stage == stage and job.arm in of_arms]
    found = [job for job in found if stage == PRETRAIN or job.fraction in of_fractions]
    if shard is not None:
        chains = list(dict.fromkeys(_chain(job) for job in found))
        mine = set(chains[shard[0] :: shard[1]])
        found = [job for job in found if _chain(job) in mine]
    wanted = {*found, *(job.needs for job in found if job.needs is not None)}
    return [job for job in jobs if job in wanted]


def _chain(job: Job) -> tuple[str, int]:
    return job.arm, job.seed


def record(job: Job) -> dict[str, Any]:
    """Write down with which words, configs and environment a run is made."""
    texts = [config.read_text(encoding="utf-8") for config in job.configs]
    read = sorted({name for text in texts for name in ENVIRONMENT.findall(text)})
    return {
        "words": list(job.words),
        "configs": {config.as_posix(): sha256_file(config) for config in job.configs},
        "environment": {name: os.environ.get(name) for name in read},
    }


def keep_record(job: Job) -> None:
    """Note in a run's folder what made it, so that a changed sweep is noticed."""
    write_json(job.folder.path / RECORD, record(job))


def is_done(job: Job, *, of_any_words: bool = False) -> bool:
    """Say whether a run is complete, its evidence whole, and made by these words and configs.

    Args:
        job: The run.
        of_any_words: Whatever words and configs have made it.

    Raises:
        PahclError: It is complete, but started from another checkpoint than there is now.
    """
    if not job.folder.is_complete or not (of_any_words or _recorded(job)):
        return False
    from pahcl.evaluation.evidence import verify_evidence

    if verify_evidence(job.folder):
        return False
    require_start(job)
    return True


def _recorded(job: Job) -> bool:
    try:
        found = json.loads((job.folder.path / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == record(job))


def require_start(job: Job) -> None:
    """Refuse a complete transfer whose pretraining was made again since.

    Raises:
        PahclError: With what to do.
    """
    if job.start is None or not job.start.is_file():
        return
    held = job.folder.load_receipt().get("pretrained")
    digest = held.get("sha256") if isinstance(held, dict) else None
    status = job.start.stat()
    if digest != _digest(job.start, status.st_mtime_ns, status.st_size):
        raise PahclError(
            f"{job.folder.path} started from another checkpoint than the one that is now at "
            f"{job.start}. Remove that folder to run it again, or bring the checkpoint back."
        )


@cache
def _digest(path: Path, changed: int, size: int) -> str:
    """Give a file's digest, computed anew only where the file has changed."""
    return sha256_file(path)


def is_held(folder: RunFolder) -> bool:
    """Say whether another process is writing to a run."""
    lock = folder.path / ".lock"
    if not lock.is_file():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except (Timeout, OSError):
        return True


def cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
