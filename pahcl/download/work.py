"""A data set, fetched file by file by a few threads, or as one archive; each call goes on."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from pahcl.download.archive import Unpacked, settle, unpack
from pahcl.download.client import Client
from pahcl.download.fetch import Arrived, Partial, fetch, is_right, put_in_place, weigh
from pahcl.download.listing import SUMS, Listing, RemoteFile, SumsListing
from pahcl.download.receipt import Receipt
from pahcl.download.selection import Selected
from pahcl.errors import ArchiveError, ChecksumError, DataError, DownloadError, MissingFileError
from pahcl.simulation.corpus import MARK

State = Literal["fetched", "replaced", "there"]
AHEAD = 4
"""Files that wait for each thread, so that a list of a million is never held."""

_STAGED = "unpacked-"


@dataclass(frozen=True)
class Failure:
    """Name a file that could not be fetched, and why."""

    file: str
    reason: str


@dataclass
class Outcome:
    """Count what became of the files.

    Args:
        counts: Files that were fetched, replaced (one of that name was not the publisher's) and
            there already.
        bytes: Size of those that were fetched or replaced.
        failures: Files that could not be fetched, with reasons.
    """

    counts: dict[State, int] = field(
        default_factory=lambda: {"fetched": 0, "replaced": 0, "there": 0}
    )
    bytes: int = 0
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """Say what became of one file: its state, and the bytes that it cost."""

    state: State
    size: int


def require_place(out: Path) -> None:
    """Refuse a folder that must not be written to.

    Raises:
        DataError: It is a file, or holds a simulated corpus.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"--out {out} is a file; name the folder of the data set.")
    if (out / MARK).is_file():
        raise DataError(
            f"--out {out} holds a simulated corpus ({MARK}), with which real records must not be "
            "mixed. Name another folder, or remove that one."
        )


@contextlib.contextmanager
def workplace(out: Path) -> Iterator[Path]:
    """Give a folder for what is not whole yet, on the disk of the data set and outside of it.

    What stands in it outlives a failure; what was being unpacked is thrown away.

    Raises:
        DownloadError: Another process fetches into the same folder.
    """
    work = _make_workplace(out)
    lock = FileLock(work / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise DownloadError(
            f"Another process is fetching into {out}. Wait for it, or stop it; what it has done "
            "is kept."
        ) from error
    try:
        for left in work.glob(f"{_STAGED}*"):
            shutil.rmtree(left)
        yield work
        shutil.rmtree(work)
    finally:
        lock.release()


def _make_workplace(out: Path) -> Path:
    """Choose a folder beside the data set's; within it where that is another disk."""
    beside = out.parent / f".{out.name}.download"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        same = not out.exists() or out.stat().st_dev == out.parent.stat().st_dev
        if same and out.name:
            beside.mkdir(exist_ok=True)
            return beside
    except PermissionError:
        pass  # a folder of ours in a folder of somebody else's
    (out / ".download").mkdir(parents=True, exist_ok=True)
    return out / ".download"


class Fetcher:
    """Bring files of a listing into a folder.

    Args:
        client: Speaks to the servers.
        out: The data set's folder.
        work: Folder for what is not whole yet, on the same disk.
        count: Is told the bytes of each piece that arrives.
    """

    def __init__(
        self,
        client: Client,
        out: Path,
        work: Path,
        count: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.client, self.out, self.work, self.count = client, out, work, count
        self.receipt = Receipt(out)

    def require_same_version(self, listing: Listing, facts: dict[str, Any]) -> None:
        """Refuse to change one version of a data set into another, file by file.

        Raises:
            DataError: The folder holds another version.
        """
        had = {key: self.receipt.facts.get(key, value) for key, value in facts.items()}
        sums = self.out / SUMS
        changed = had != facts
        if isinstance(listing, SumsListing) and not listing.below and sums.is_file():
            changed |= weigh(sums).sha256 != weigh(listing.sums).sha256
        if changed:
            raise DataError(
                f"{self.out} holds {' '.join(map(str, had.values()))}, and its list of files is "
                f"not that of {' '.join(map(str, facts.values()))} at {listing.origin}. Name "
                f"another folder with --out; or remove {SUMS} and download.json there, and "
                "every file that differs is replaced."
            )

    def seems_there(self, file: RemoteFile) -> bool:
        """Say, without reading it, whether a file is probably there."""
        if file.unpack is None:
            return (self.out / file.path).is_file()
        return file.path in self.receipt.facts.get("received", {})

    def bring(self, file: RemoteFile) -> Result:
        """Bring one file, unless it is there.

        Raises:
            DownloadError: It cannot be had, or is not the publisher's.
        """
        self.client.require_going()
        target = self.out / file.path
        plain = file.unpack is None
        there = is_right(target, file) if plain and file.digest else self.receipt.is_there(file)
        if there:
            return Result("there", 0)
        stood = plain and target.exists()
        partial = Partial(self.work, file)
        arrived = fetch(self.client, file, partial, self.count)
        if not plain:
            self._unpack(file, partial, arrived)
        else:
            if file.digest is None:
                self.receipt.add(file, arrived, None)
            put_in_place(partial.path, target)
        return Result("replaced" if stood else "fetched", arrived.size)

    def _unpack(self, file: RemoteFile, partial: Partial, arrived: Arrived) -> None:
        """Put an archive's members in place, and remember them instead of the archive."""
        with self._staging(file, partial) as (staged, members):
            self.receipt.add(file, arrived, members)
            settle(staged, self.out / (file.unpack or ""))
        partial.discard()

    @contextlib.contextmanager
    def _staging(
        self, file: RemoteFile, partial: Partial, keep: Callable[[str], bool] = lambda _: True
    ) -> Iterator[tuple[Path, list[Unpacked]]]:
        """Unpack beside the data set; an archive that is no good is not kept."""
        staged = self.work / f"{_STAGED}{partial.path.stem}"
        going, whole = self.client.require_going, file.checked_inside
        try:
            yield staged, unpack(partial.path, file.path, staged, going, keep, unwrap=whole)
        except (ArchiveError, ChecksumError):
            partial.discard()
            raise
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def bring_whole(self, archive: RemoteFile, listing: Listing) -> Outcome:
        """Bring all files of a listing in one archive, unless they are there.

        Raises:
            ChecksumError: A member is missing or not the publisher's; nothing is put in place.
            DownloadError: The archive cannot be had or is not to be trusted.
        """
        wanted = {file.path: file for file in listing}
        right = sum(is_right(self.out / path, file) for path, file in wanted.items())
        outcome = Outcome()
        outcome.counts["there"] = right
        if right == len(wanted):
            return outcome
        partial = Partial(self.work, archive)
        outcome.bytes = fetch(self.client, archive, partial, self.count).size
        with self._staging(archive, partial, wanted.__contains__) as (staged, members):
            _require_members(archive, members, wanted)
            settle(staged, self.out)
        partial.discard()
        outcome.counts["fetched"] = len(wanted) - right
        return outcome

    def bring_all(self, files: Selected, workers: int) -> Outcome:
        """Bring files in several threads.

        A file that the server does not have, or not as its publisher lists it, does not keep the
        others from coming; whatever would befall all of them ends the work.

        Args:
            files: The files.
            workers: Files at once.
        """
        outcome = Outcome()
        queue = iter(files)
        running: dict[Future[Result], RemoteFile] = {}
        with ThreadPoolExecutor(workers) as pool:
            try:
                while True:
                    for file in islice(queue, workers * AHEAD - len(running)):
                        # A list may name a file twice; two threads would write into one partial.
                        wait([one for one, its in running.items() if its.path == file.path])
                        running[pool.submit(self.bring, file)] = file
                    if not running:
                        return outcome
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        _take(outcome, running.pop(future), future)
            finally:
                if running:  # one of them ended the work, or somebody interrupts it
                    self.client.stop()
                    pool.shutdown(wait=True, cancel_futures=True)

    def keep_list(self, listing: Listing) -> None:
        """Keep the publisher's list beside its files, where it is about all of them."""
        if isinstance(listing, SumsListing) and not listing.below:
            put_in_place(listing.sums, self.out / SUMS)


def _take(outcome: Outcome, file: RemoteFile, future: Future[Result]) -> None:
    """Count what became of a file."""
    try:
        result = future.result()
    except (ChecksumError, MissingFileError, ArchiveError) as error:
        outcome.failures.append(Failure(file.path, str(error)))
        return
    outcome.counts[result.state] += 1
    outcome.bytes += result.size


def _require_members(
    archive: RemoteFile, members: list[Unpacked], wanted: dict[str, RemoteFile]
) -> None:
    """Compare what came out of an archive with the publisher's list."""
    found = {one.path: one for one in members}
    for path, file in wanted.items():
        one = found.get(path)
        if one is None or file.digest is None or one.sha256 != file.digest.value:
            has = "is missing" if one is None else f"has the sha256 {one.sha256}"
            raise ChecksumError(
                f"{archive.url}: {path} {has}, where the publisher lists {file.digest}. Nothing "
                "was put in place. Fetch file by file instead: the same command without --zip."
            )
